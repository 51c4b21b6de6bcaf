/* A float mask of mask_kernels.h; included once for each, with WORD, MASK_FLOATS (its
 * name), FRACTION_BITS, EXPONENT_TOP, WINDOW, MASKED_FRACTION, DRAW_BITS and POWER_AT
 * defined.
 *
 * An element's draw has DRAW_BITS: its sign on top, its power of two from POWER_AT on, the
 * upper bits of its fraction below. Several elements may draw from one word.
 */

TARGET static void MASK_FLOATS(uint8_t* restrict data, size_t count,
                               const uint8_t* restrict drawn, WORD window) {
  enum { HALVES = 8 * sizeof(WORD) / DRAW_BITS, LANES = MASK_GROUP / HALVES };
  enum { UNMASKED = FRACTION_BITS - MASKED_FRACTION };
  const WORD top = (WORD)1 << (8 * sizeof(WORD) - 1);
  const WORD fraction = (WORD)(((WORD)1 << MASKED_FRACTION) - 1);
  for (size_t half = 0; half < HALVES && half * LANES < count; half++) {
    size_t left = count - half * LANES, width = left < LANES ? left : LANES;
    uint8_t* elements = data + half * LANES * sizeof(WORD);
    for (size_t i = 0; i < width; i++) {
      WORD word, draw;
      memcpy(&word, elements + i * sizeof word, sizeof word);
      memcpy(&draw, drawn + i * sizeof draw, sizeof draw);
      draw = (WORD)(draw >> (DRAW_BITS * half));
      WORD power = (WORD)((draw >> POWER_AT) & (WINDOW - 1));
      WORD place = (WORD)(((WORD)(word >> FRACTION_BITS) & EXPONENT_TOP) - window);
      WORD inside = (WORD)(0 - (WORD)(place < WINDOW));
      WORD moved = (WORD)((WORD)(place ^ power) - place);
      WORD upper = (WORD)((draw & fraction) << UNMASKED);
      WORD sign = (WORD)((WORD)(draw << (8 * sizeof word - DRAW_BITS)) & top);
      word = (WORD)(word + ((WORD)(moved << FRACTION_BITS) & inside));
      word ^= (WORD)((upper & inside) | sign);
      memcpy(elements + i * sizeof word, &word, sizeof word);
    }
  }
}

#undef WORD
#undef MASK_FLOATS
#undef FRACTION_BITS
#undef EXPONENT_TOP
#undef WINDOW
#undef MASKED_FRACTION
#undef DRAW_BITS
#undef POWER_AT
