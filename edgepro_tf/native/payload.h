/* The payload of docs/payload.md, parsed. */
#ifndef EDGEPRO_PAYLOAD_H
#define EDGEPRO_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "edgepro.h"

enum { SEED_BYTES = 32 };
enum {
  STEP_ORDER = 1,
  STEP_SIGNS = 2,
  STEP_EXPONENTS = 4,
  STEP_SHUFFLE = 8,
  STEP_SET = 16,
  STEP_MASK = 32,
  STEP_FRACTION = 64 /* of a float32 mask: all of the fraction */
};
enum { SET_ONE_VALUE = 0, SET_VALUE_A_CHANNEL = 1, SET_WHOLE = 2 };
/* Exponent fields that MASK changes, from `window` on: powers of two. */
enum { MASK_WINDOW_32 = 16, MASK_WINDOW_16 = 8 };
enum { TARGET_DATA = 0, TARGET_SCALES = 1 };
enum {
  TYPE_FLOAT32 = 1,
  TYPE_INT32 = 2,
  TYPE_INT8 = 3,
  TYPE_FLOAT16 = 4,
  TYPE_INT16 = 5,
  TYPE_INT64 = 6,
  TYPE_UINT8 = 7
};

typedef struct {
  const uint8_t* seed; /* what it draws from, in the payload; and the nonce's first word */
  uint32_t nonce;
  uint32_t subgraph, tensor;
  uint32_t outer, channels, inner;
  uint32_t fingerprint;
  uint8_t type, target, steps, exponent_range;
  uint8_t window;     /* of MASK on floats: the least exponent field that it changes */
  uint8_t is_implied; /* the scales of the record before it; has no fingerprint */
  uint8_t version;    /* its payload's, a digit */
  uint8_t set_form;
  uint32_t set_count;
  const uint8_t* set_channels; /* varints, as in the payload */
  const uint8_t* set_values;
} record;

struct edgepro_lock {
  uint8_t* payload; /* what all pointers point into */
  size_t size;
  uint8_t version; /* its digit */
  const uint8_t* seed;
  const uint8_t* earlier_seeds; /* of conversions whose draws are kept */
  uint32_t earlier_count;
  uint32_t count;
  record* records;
};

static inline size_t element_size(const record* r) {
  static const uint8_t kSizes[] = {0, 4, 4, 1, 2, 2, 8, 1};
  return kSizes[r->type];
}
static inline size_t element_count(const record* r) {
  return (size_t)r->outer * r->channels * r->inner;
}
static inline size_t record_bytes(const record* r) {
  return element_count(r) * element_size(r);
}

/* The fingerprint of a record's public bytes, as its payload's version takes it. */
uint32_t fingerprint_of(const record* r, const void* data);
/* Whether public bytes with this fingerprint may be the record's. */
static inline int is_fingerprint_of(const record* r, uint32_t fingerprint) {
  return r->is_implied || r->fingerprint == fingerprint;
}

/* Reads one of a checked record's set_channels and steps over it. */
uint32_t next_set_channel(const uint8_t** cursor, int64_t previous);

/* Wipes seeds and stored values; addresses and fingerprints stay. */
void lock_forget_secrets(edgepro_lock* lock);

#endif /* EDGEPRO_PAYLOAD_H */
