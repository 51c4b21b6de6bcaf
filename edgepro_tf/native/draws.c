#include "draws.h"

#include <string.h>

#include "edgepro.h"

void draws_begin(draws* stream, const uint8_t seed[32], uint32_t record, uint32_t chunk,
                 uint32_t purpose) {
  memcpy(stream->key, seed, sizeof stream->key);
  stream->nonce[0] = record;
  stream->nonce[1] = chunk;
  stream->nonce[2] = purpose;
  stream->counter = 0;
  stream->used = DRAWS_BUFFERED;
}

void draws_end(draws* stream) { edgepro_wipe(stream, sizeof *stream); }

static void next_batch(draws* stream, uint32_t out[DRAWS_BUFFERED]) {
  chacha20_blocks(stream->key, stream->nonce, stream->counter, out);
  stream->counter += CHACHA20_BATCH;
}

void draws_refill(draws* stream) {
  next_batch(stream, stream->words);
  stream->used = 0;
}

void draw_words(draws* stream, uint32_t* out, size_t count) {
  while (count > 0) {
    if (stream->used == DRAWS_BUFFERED && count >= DRAWS_BUFFERED) {
      next_batch(stream, out);
      out += DRAWS_BUFFERED;
      count -= DRAWS_BUFFERED;
      continue;
    }
    *out++ = draw_word(stream);
    size_t buffered = DRAWS_BUFFERED - stream->used;
    size_t piece = --count < buffered ? count : buffered;
    memcpy(out, stream->words + stream->used, piece * sizeof *out);
    stream->used += (uint32_t)piece;
    out += piece;
    count -= piece;
  }
}

static void swap_words(uint32_t* out, uint32_t i, uint32_t j) {
  uint32_t kept = out[i];
  out[i] = out[j];
  out[j] = kept;
}

void draw_permutation(draws* stream, uint32_t* out, uint32_t n) {
  uint32_t picks[DRAWS_BUFFERED];
  for (uint32_t i = 0; i < n; i++) out[i] = i;
  for (uint32_t left = n; left > 1;) {
    if (stream->used == DRAWS_BUFFERED) draws_refill(stream);
    const uint32_t* words = stream->words + stream->used;
    uint32_t count = DRAWS_BUFFERED - stream->used, doubtful = 0;
    if (count > left - 1) count = left - 1;
    /* All that are buffered at once; one is rejected less than n times in 2^32. */
    for (uint32_t k = 0; k < count; k++) {
      uint64_t product = (uint64_t)words[k] * (left - k);
      picks[k] = (uint32_t)(product >> 32);
      doubtful |= (uint32_t)((uint32_t)product < left - k);
    }
    if (doubtful) {
      uint32_t j = draw_below(stream, left);
      swap_words(out, --left, j);
      continue;
    }
    stream->used += count;
    for (uint32_t k = 0; k < count; k++) swap_words(out, --left, picks[k]);
  }
  edgepro_wipe(picks, sizeof picks);
}

/* A block's halves of words: first those of `given`, then the stream's own. */
typedef struct {
  draws* stream;
  const uint16_t* given;
  uint32_t left;
  uint32_t word;
  int has_half;
} halves;

static uint32_t next_half(halves* source) {
  if (source->left > 0) {
    source->left--;
    return *source->given++;
  }
  source->has_half = !source->has_half;
  if (!source->has_half) return source->word >> 16;
  source->word = draw_word(source->stream);
  return source->word & 0xffff;
}

static void draw_block_slowly(halves* source, uint16_t picks[DRAWS_BLOCK]) {
  for (uint32_t t = 0; t < DRAWS_BLOCK - 1; t++) {
    uint32_t n = DRAWS_BLOCK - t, threshold = 65536 % n, product;
    do {
      product = next_half(source) * n;
    } while ((product & 0xffff) < threshold);
    picks[t] = (uint16_t)(product >> 16);
  }
}

void draw_block(draws* stream, uint8_t out[DRAWS_BLOCK]) {
  uint32_t words[DRAWS_BLOCK / 2];
  uint16_t given[DRAWS_BLOCK], picks[DRAWS_BLOCK];
  draw_words(stream, words, DRAWS_BLOCK / 2);
  memcpy(given, words, sizeof given); /* little-endian: the low half comes first */
  /* All 63 draws at once; that one is rejected happens once in 3,000 draws. */
  uint16_t doubtful = 0;
  for (int t = 0; t < DRAWS_BLOCK; t++) {
    uint16_t n = (uint16_t)(DRAWS_BLOCK - t);
    picks[t] = (uint16_t)(((uint32_t)given[t] * n) >> 16);
    doubtful |= (uint16_t)((uint16_t)(given[t] * n) < n);
  }
  if (doubtful) {
    halves source = {stream, given, DRAWS_BLOCK, 0, 0};
    draw_block_slowly(&source, picks);
  }
  for (int i = 0; i < DRAWS_BLOCK; i++) out[i] = (uint8_t)i;
  for (int i = DRAWS_BLOCK - 1; i > 0; i--) {
    uint8_t j = (uint8_t)picks[DRAWS_BLOCK - 1 - i], kept = out[i];
    out[i] = out[j];
    out[j] = kept;
  }
}
