/* docs/payload.md, "Fingerprint": many lanes, so that their multiplications overlap. */
#include <string.h>

#include "edgepro.h"
#include "payload.h"
#include "processor.h"

enum { LANES = 32, STRIPE = LANES * sizeof(uint32_t) };
enum { EARLIER_LANES = 4, EARLIER_STRIPE = EARLIER_LANES * sizeof(uint64_t) };
static const uint32_t kLanePrime = 0x9E3779B1u;
static const uint64_t kPrime = 0x9E3779B97F4A7C15u;

/* Undoes itself. */
static inline uint64_t fold(uint64_t word) { return word ^ (word >> 32); }

static inline void mix_stripes_common(uint32_t* restrict lanes,
                                      const uint8_t* restrict bytes, size_t count) {
  for (; count > 0; count--, bytes += STRIPE) {
    for (int k = 0; k < LANES; k++) {
      uint32_t word;
      memcpy(&word, bytes + (size_t)k * sizeof word, sizeof word);
      word = (lanes[k] ^ word) * kLanePrime;
      lanes[k] = word ^ (word >> 15);
    }
  }
}

#if defined(FOR_AVX2)
FOR_AVX2 static void mix_stripes_avx2(uint32_t* lanes, const uint8_t* bytes,
                                      size_t count) {
  mix_stripes_common(lanes, bytes, count);
}
#endif

uint32_t edgepro_fingerprint(const void* data, size_t size) {
  const uint8_t* bytes = data;
  uint32_t lanes[LANES];
  for (int k = 0; k < LANES; k++) lanes[k] = kLanePrime * (uint32_t)(k + 1);
  size_t left = size % STRIPE;
  FASTEST(mix_stripes)(lanes, bytes, size / STRIPE);
  if (left > 0) {
    uint8_t last[STRIPE] = {0};
    memcpy(last, bytes + (size - left), left);
    mix_stripes_common(lanes, last, 1);
  }
  uint64_t hash = size;
  for (int k = 0; k < LANES; k++) hash = fold((hash ^ lanes[k]) * kPrime);
  return (uint32_t)hash;
}

/* A lane is kept unfolded: it is folded and xored with the word at once, and a stripe
 * takes five cycles where one after the other takes six. */
static inline uint64_t mix_earlier(uint64_t lane, uint64_t word) {
  return ((lane ^ word) ^ (lane >> 32)) * kPrime;
}

static inline void mix_earlier_stripe(uint64_t lanes[EARLIER_LANES],
                                      const uint8_t* stripe) {
  for (int k = 0; k < EARLIER_LANES; k++) {
    uint64_t word;
    memcpy(&word, stripe + (size_t)k * sizeof word, sizeof word);
    lanes[k] = mix_earlier(lanes[k], word);
  }
}

/* That of versions 1 to 3. */
static uint32_t earlier_fingerprint(const void* data, size_t size) {
  const uint8_t* bytes = data;
  uint64_t lanes[EARLIER_LANES];
  for (int k = 0; k < EARLIER_LANES; k++) {
    lanes[k] = fold(kPrime * (uint64_t)(k + 1));
  }
  size_t left = size;
  for (; left >= EARLIER_STRIPE; left -= EARLIER_STRIPE, bytes += EARLIER_STRIPE) {
    mix_earlier_stripe(lanes, bytes);
  }
  if (left > 0) {
    uint8_t last[EARLIER_STRIPE] = {0};
    memcpy(last, bytes, left);
    mix_earlier_stripe(lanes, last);
  }
  uint64_t hash = fold(size);
  for (int k = 0; k < EARLIER_LANES; k++) hash = mix_earlier(hash, fold(lanes[k]));
  return (uint32_t)fold(hash);
}

uint32_t fingerprint_of(const record* r, const void* data) {
  size_t size = record_bytes(r);
  return r->version < '4' ? earlier_fingerprint(data, size)
                          : edgepro_fingerprint(data, size);
}
