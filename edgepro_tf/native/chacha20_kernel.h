/* The block function of chacha20.c for one width of vector; included once for each,
 * with SOME_BLOCKS (its name), LANES and VECTOR (of LANES words) defined. Not an inline
 * function: gcc splits wide vectors before it inlines into a function that has them. */

static void SOME_BLOCKS(const uint32_t key[8], const uint32_t nonce[3],
                        uint32_t counter, uint32_t* out) {
  VECTOR start[CHACHA20_WORDS], x[CHACHA20_WORDS];
  uint32_t words[CHACHA20_WORDS][LANES];
  for (int i = 0; i < CHACHA20_WORDS; i++) {
    for (int lane = 0; lane < LANES; lane++) {
      words[i][lane] = i < 4     ? kConstants[i]
                       : i < 12  ? key[i - 4]
                       : i == 12 ? counter + (uint32_t)lane
                                 : nonce[i - 13];
    }
  }
  memcpy(start, words, sizeof start);
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
  memcpy(words, x, sizeof words);
  for (int lane = 0; lane < LANES; lane++) {
    for (int i = 0; i < CHACHA20_WORDS; i++) *out++ = words[i][lane];
  }
}

#undef SOME_BLOCKS
#undef LANES
#undef VECTOR
