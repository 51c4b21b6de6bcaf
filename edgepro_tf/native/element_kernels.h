/* The loops of elements.c for one width; included once for each, with WORD (an unsigned
 * integer) and OF_WIDTH(name) defined. memcpy is how C loads an unaligned word. */

static inline WORD OF_WIDTH(load)(const uint8_t* from, size_t index) {
  WORD word;
  memcpy(&word, from + index * sizeof word, sizeof word);
  return word;
}

static inline void OF_WIDTH(store)(uint8_t* to, size_t index, WORD word) {
  memcpy(to + index * sizeof word, &word, sizeof word);
}

static inline WORD OF_WIDTH(flip_if)(WORD word, uint32_t bit, WORD flip, WORD add) {
  WORD mask = (WORD)(0 - (WORD)(bit & 1));
  return (WORD)((WORD)(word ^ (flip & mask)) + (WORD)(add & mask));
}

static void OF_WIDTH(flip_row)(uint8_t* restrict to, const uint8_t* restrict from,
                               size_t count, sign_flip by) {
  WORD flip = (WORD)by.flip, add = (WORD)by.add;
  for (size_t i = 0; i < count; i++) {
    OF_WIDTH(store)(to, i, (WORD)((WORD)(OF_WIDTH(load)(from, i) ^ flip) + add));
  }
}

static void OF_WIDTH(pick)(uint8_t* restrict to, const uint8_t* restrict from,
                           size_t count, const uint32_t* restrict picks) {
  for (size_t i = 0; i < count; i++) {
    OF_WIDTH(store)(to, i, OF_WIDTH(load)(from, picks[i]));
  }
}

static void OF_WIDTH(pick_signed)(uint8_t* restrict to, const uint8_t* restrict from,
                                  size_t count, const uint32_t* restrict picks,
                                  const uint32_t* restrict drawn,
                                  const uint32_t* restrict signs, sign_flip by) {
  WORD flip = (WORD)by.flip, add = (WORD)by.add;
  for (size_t i = 0; i < count; i++) {
    uint32_t bit = signs[drawn[i] >> 5] >> (drawn[i] & 31);
    WORD word = OF_WIDTH(load)(from, picks[i]);
    OF_WIDTH(store)(to, i, OF_WIDTH(flip_if)(word, bit, flip, add));
  }
}

static void OF_WIDTH(gather)(uint8_t* restrict tile, size_t column,
                             const uint8_t* restrict block,
                             const uint8_t* restrict order) {
  for (size_t j = 0; j < TILE_ROWS; j++) {
    WORD word = OF_WIDTH(load)(block, order[j]);
    OF_WIDTH(store)(tile + j * TILE_ROW_BYTES, column, word);
  }
}

static void OF_WIDTH(scatter)(const uint8_t* restrict tile, size_t column,
                              uint8_t* restrict block, const uint8_t* restrict order) {
  for (size_t j = 0; j < TILE_ROWS; j++) {
    WORD word = OF_WIDTH(load)(tile + j * TILE_ROW_BYTES, column);
    OF_WIDTH(store)(block, order[j], word);
  }
}

static void OF_WIDTH(flip_all)(uint8_t* restrict tile,
                               uint32_t signs[2][TILE_ROW_BYTES], sign_flip by) {
  WORD flip = (WORD)by.flip, add = (WORD)by.add;
  for (size_t j = 0; j < TILE_ROWS; j++, tile += TILE_ROW_BYTES) {
    const uint32_t* restrict bits = signs[j / 32];
    for (size_t column = 0; column < TILE_ROW_BYTES / sizeof(WORD); column++) {
      uint32_t bit = bits[column] >> (j % 32);
      WORD word = OF_WIDTH(load)(tile, column);
      OF_WIDTH(store)(tile, column, OF_WIDTH(flip_if)(word, bit, flip, add));
    }
  }
}

#undef WORD
#undef OF_WIDTH
