/* The fast loop of exponents.c for one width; included once for each, with WORD,
 * SHIFT_EXPONENTS (its name) and FORMAT defined.
 *
 * Adds k to the exponents of `count` numbers and returns 0; or returns 1 and changes
 * nothing where one of them is, or would become, no normal number (zeros are fine). */

static int SHIFT_EXPONENTS(uint8_t* row, size_t count, int k) {
  const uint32_t bits = FORMAT.mantissa_bits, last = FORMAT.exponent_top - 1;
  const uint32_t first_fine = k < 0 ? (uint32_t)(1 - k) : 1;
  const uint32_t last_fine = k > 0 ? last - (uint32_t)k : last;
  const WORD low = (WORD)(first_fine << bits), add = (WORD)((uint32_t)k << bits);
  const WORD span = (WORD)(((last_fine + 1) << bits) - low);
  const WORD magnitude_mask = (WORD)(FORMAT.sign - 1);
  WORD outside = 0;
  for (size_t i = 0; i < count; i++) {
    WORD number;
    memcpy(&number, row + i * sizeof number, sizeof number);
    number &= magnitude_mask;
    outside |= (WORD)(((WORD)(number - low) >= span) & (number != 0));
  }
  if (outside) return 1;
  for (size_t i = 0; i < count; i++) {
    WORD number;
    memcpy(&number, row + i * sizeof number, sizeof number);
    number = (WORD)(number + ((number & magnitude_mask) != 0 ? add : 0));
    memcpy(row + i * sizeof number, &number, sizeof number);
  }
  return 0;
}

#undef WORD
#undef SHIFT_EXPONENTS
#undef FORMAT
