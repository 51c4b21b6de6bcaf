/* The float mask of mask.c for one width; included once for each, with WORD,
 * MASK_FLOATS (its name), FRACTION_BITS, EXPONENT_TOP and WINDOW defined.
 *
 * `drawn` is a plane of sign bits and one of nibbles, both read as lanes as wide as an
 * element. All elements of a row take the same bits of their lanes, so that a row is a
 * vector. */

static void MASK_FLOATS(uint8_t* restrict data, size_t count,
                        const uint8_t* restrict drawn, WORD window) {
  enum { LANE_BITS = 8 * sizeof(WORD), LANES = MASK_GROUP / LANE_BITS };
  WORD signs[LANES], nibbles[4 * LANES];
  memcpy(signs, drawn, sizeof signs);
  memcpy(nibbles, drawn + sizeof signs, sizeof nibbles);
  for (size_t row = 0; row * LANES < count; row++) {
    size_t left = count - row * LANES, width = left < LANES ? left : LANES;
    uint8_t* elements = data + row * LANES * sizeof(WORD);
    const WORD* powers = nibbles + row % 4 * LANES;
    const int power_shift = (int)(row / 4 * 4), sign_shift = (int)row;
    for (size_t i = 0; i < width; i++) {
      WORD word;
      memcpy(&word, elements + i * sizeof word, sizeof word);
      WORD power = (WORD)((powers[i] >> power_shift) & (WINDOW - 1));
      WORD sign = (WORD)((WORD)(signs[i] >> sign_shift) << (LANE_BITS - 1));
      WORD place = (WORD)(((WORD)(word >> FRACTION_BITS) & EXPONENT_TOP) - window);
      WORD inside = (WORD)(0 - (WORD)(place < WINDOW));
      WORD moved = (WORD)((WORD)(place ^ power) - place) & inside;
      word = (WORD)((WORD)(word + (WORD)(moved << FRACTION_BITS)) ^ sign);
      memcpy(elements + i * sizeof word, &word, sizeof word);
    }
  }
}

#undef WORD
#undef MASK_FLOATS
#undef FRACTION_BITS
#undef EXPONENT_TOP
#undef WINDOW
