/* The block function of chacha20.c for one width of vector; included once for each,
 * with SOME_BLOCKS (its name), TARGET (its attribute), LANES (1, 4 or 8), VECTOR (of LANES
 * words) and TRANSPOSE (the name of a function that turns LANES rows around) defined.
 * Not an inline function: gcc splits wide vectors before it inlines into a function
 * that has them. */

#define PAIRS(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#if defined(HAS_SHUFFLES) && LANES == 4
#define TRANSPOSES
TARGET static void TRANSPOSE(const VECTOR rows[4], uint32_t* out) {
  VECTOR a[4], b[4];
  for (int i = 0; i < 4; i += 2) {
    a[i] = PAIRS(rows[i], rows[i + 1], 0, 4, 1, 5);
    a[i + 1] = PAIRS(rows[i], rows[i + 1], 2, 6, 3, 7);
  }
  for (int i = 0; i < 2; i++) {
    b[2 * i] = PAIRS(a[i], a[i + 2], 0, 1, 4, 5);
    b[2 * i + 1] = PAIRS(a[i], a[i + 2], 2, 3, 6, 7);
  }
  for (int i = 0; i < 4; i++) memcpy(out + i * CHACHA20_WORDS, &b[i], sizeof b[i]);
}
#elif defined(HAS_SHUFFLES) && LANES == 8
#define TRANSPOSES
TARGET static void TRANSPOSE(const VECTOR rows[8], uint32_t* out) {
  VECTOR a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = PAIRS(rows[i], rows[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    a[i + 1] = PAIRS(rows[i], rows[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int k = 0; k < 2; k++) {
      b[i + 2 * k] = PAIRS(a[i + k], a[i + 2 + k], 0, 1, 8, 9, 4, 5, 12, 13);
      b[i + 2 * k + 1] = PAIRS(a[i + k], a[i + 2 + k], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  for (int i = 0; i < 4; i++) {
    VECTOR low = PAIRS(b[i], b[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    VECTOR high = PAIRS(b[i], b[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    memcpy(out + i * CHACHA20_WORDS, &low, sizeof low);
    memcpy(out + (i + 4) * CHACHA20_WORDS, &high, sizeof high);
  }
}
#endif
#undef PAIRS

TARGET static void SOME_BLOCKS(const uint32_t key[8], const uint32_t nonce[3],
                               uint32_t counter, uint32_t* out) {
  VECTOR start[CHACHA20_WORDS], x[CHACHA20_WORDS], lanes;
  memcpy(&lanes, kLanes, sizeof lanes);
  const VECTOR zero = lanes ^ lanes;
  for (int i = 0; i < 4; i++) start[i] = kConstants[i] + zero;
  for (int i = 0; i < 8; i++) start[4 + i] = key[i] + zero;
  start[12] = counter + lanes;
  for (int i = 0; i < 3; i++) start[13 + i] = nonce[i] + zero;
  for (int i = 0; i < CHACHA20_WORDS; i++) x[i] = start[i];
  for (int i = 0; i < 10; i++) {
    QUARTER_ROUND(x[0], x[4], x[8], x[12]);
    QUARTER_ROUND(x[1], x[5], x[9], x[13]);
    QUARTER_ROUND(x[2], x[6], x[10], x[14]);
    QUARTER_ROUND(x[3], x[7], x[11], x[15]);
    QUARTER_ROUND(x[0], x[5], x[10], x[15]);
    QUARTER_ROUND(x[1], x[6], x[11], x[12]);
    QUARTER_ROUND(x[2], x[7], x[8], x[13]);
    QUARTER_ROUND(x[3], x[4], x[9], x[14]);
  }
  for (int i = 0; i < CHACHA20_WORDS; i++) x[i] += start[i];
#if defined(TRANSPOSES)
  for (int i = 0; i < CHACHA20_WORDS; i += LANES) TRANSPOSE(x + i, out + i);
#else
  uint32_t words[CHACHA20_WORDS][LANES];
  memcpy(words, x, sizeof words);
  for (int lane = 0; lane < LANES; lane++) {
    for (int i = 0; i < CHACHA20_WORDS; i++) *out++ = words[i][lane];
  }
#endif
}

#undef SOME_BLOCKS
#undef TARGET
#undef TRANSPOSE
#undef TRANSPOSES
