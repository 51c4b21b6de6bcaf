/* Draws from the keystream, as docs/payload.md ("Draws") defines them. */
#ifndef EDGEPRO_DRAWS_H
#define EDGEPRO_DRAWS_H

#include <stddef.h>
#include <stdint.h>

#include "chacha20.h"

enum { DRAWS_BUFFERED = CHACHA20_BATCH * CHACHA20_WORDS };

typedef struct {
  uint32_t key[8];
  uint32_t nonce[3];
  uint32_t counter;
  uint32_t used;
  uint32_t words[DRAWS_BUFFERED];
} draws;

/* The nonce's last word: what a stream's draws are for. */
enum { DRAWS_FIRST = 0, DRAWS_AGAIN = 1 };

/* Begins the stream of one record's chunk. It holds a secret: draws_end() wipes it. */
void draws_begin(draws* stream, const uint8_t seed[32], uint32_t record, uint32_t chunk,
                 uint32_t purpose);
void draws_end(draws* stream);

void draws_refill(draws* stream);

static inline uint32_t draw_word(draws* stream) {
  if (stream->used == DRAWS_BUFFERED) draws_refill(stream);
  return stream->words[stream->used++];
}

/* Source: Lemire, Fast random integer generation in an interval, ACM TOMACS 2019. */
static inline uint32_t draw_below(draws* stream, uint32_t n) {
  uint64_t product = (uint64_t)draw_word(stream) * n;
  if ((uint32_t)product < n) {
    uint32_t threshold = (0u - n) % n;
    while ((uint32_t)product < threshold) product = (uint64_t)draw_word(stream) * n;
  }
  return (uint32_t)(product >> 32);
}

void draw_words(draws* stream, uint32_t* out, size_t count);
void draw_permutation(draws* stream, uint32_t* out, uint32_t n);

/* bits(n) takes this many words; bit i is bit (i mod 32) of word i / 32. */
static inline size_t draws_bit_words(size_t n) { return (n + 31) / 32; }
static inline uint32_t draws_bit(const uint32_t* words, size_t i) {
  return (words[i >> 5] >> (i & 31)) & 1u;
}

enum { DRAWS_BLOCK = 64 };
/* The permutation of a shuffled block: 63 draws of below16(), i = 63 .. 1. */
void draw_block(draws* stream, uint8_t out[DRAWS_BLOCK]);

#endif /* EDGEPRO_DRAWS_H */
