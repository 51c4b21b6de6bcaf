/* docs/payload.md, "Fingerprint": four lanes, so that their multiplications overlap. */
#include <string.h>

#include "edgepro.h"

enum { STRIPE = 32, LANES = 4 };
static const uint64_t kPrime = 0x9E3779B97F4A7C15u;

/* Undoes itself. */
static inline uint64_t fold(uint64_t word) { return word ^ (word >> 32); }

/* A lane is kept unfolded: it is folded and xored with the word at once, and a stripe
 * takes five cycles where one after the other takes six. */
static inline uint64_t mix(uint64_t lane, uint64_t word) {
  return ((lane ^ word) ^ (lane >> 32)) * kPrime;
}

static inline uint64_t read_word(const uint8_t* bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  return word;
}

static inline void mix_stripe(uint64_t lanes[LANES], const uint8_t* stripe) {
  for (int k = 0; k < LANES; k++) lanes[k] = mix(lanes[k], read_word(stripe + 8 * k));
}

uint32_t edgepro_fingerprint(const void* data, size_t size) {
  const uint8_t* bytes = data;
  uint64_t lanes[LANES];
  for (int k = 0; k < LANES; k++) lanes[k] = fold(kPrime * (uint64_t)(k + 1));
  size_t left = size;
  for (; left >= STRIPE; left -= STRIPE, bytes += STRIPE) mix_stripe(lanes, bytes);
  if (left > 0) {
    uint8_t last[STRIPE] = {0};
    memcpy(last, bytes, left);
    mix_stripe(lanes, last);
  }
  uint64_t hash = fold(size);
  for (int k = 0; k < LANES; k++) hash = mix(hash, fold(lanes[k]));
  return (uint32_t)fold(hash);
}
