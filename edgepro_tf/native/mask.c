#include "mask.h"

#include <string.h>

#include "edgepro.h"

#define WORD uint32_t
#define MASK_FLOATS mask_float32
#define FRACTION_BITS 23
#define EXPONENT_TOP 255
#define WINDOW MASK_WINDOW_32
#define MASKED_FRACTION 11
#include "mask_kernel.h"
#define WORD uint16_t
#define MASK_FLOATS mask_float16
#define FRACTION_BITS 10
#define EXPONENT_TOP 31
#define WINDOW MASK_WINDOW_16
#define MASKED_FRACTION 10
#include "mask_kernel.h"

/* Adds (APPLY) or subtracts the drawn bytes modulo 255, over -127 .. 127. */
static void mask_int8(uint8_t* restrict data, size_t count,
                      const uint8_t* restrict drawn, direction way) {
  const uint8_t flip = way == RESTORE ? 255 : 0;
  for (size_t i = 0; i < count; i++) {
    uint8_t added = (uint8_t)(drawn[i] ^ flip);
    uint8_t sum = (uint8_t)((uint8_t)(data[i] + 127) + added);
    sum = (uint8_t)(sum + (sum < added));
    sum = (uint8_t)(sum & (uint8_t)(0 - (sum != 255)));
    data[i] = (uint8_t)(sum - 127);
  }
}

static size_t group_bytes(uint8_t type) {
  return type == TYPE_INT8 ? MASK_GROUP : 2 * MASK_GROUP;
}

void mask_begin(mask_stream* mask, const job* work, size_t chunk) {
  draws_begin(&mask->stream, work->lock->seed, work->record, 1 + (uint32_t)chunk);
  mask->record = record_of(work);
  mask->way = work->way;
}

void mask_group(mask_stream* mask, void* data, size_t first, size_t count) {
  const record* r = mask->record;
  uint8_t* from = (uint8_t*)data + first * element_size(r);
  uint32_t words[2 * MASK_GROUP / sizeof(uint32_t)];
  const uint8_t* drawn = (const uint8_t*)words; /* little-endian */
  draw_words(&mask->stream, words, group_bytes(r->type) / sizeof *words);
  if (r->type == TYPE_FLOAT32) {
    mask_float32(from, count, drawn, r->window);
  } else if (r->type == TYPE_FLOAT16) {
    mask_float16(from, count, drawn, r->window);
  } else {
    mask_int8(from, count, drawn, mask->way);
  }
  edgepro_wipe(words, sizeof words);
}

void mask_end(mask_stream* mask) { draws_end(&mask->stream); }

void mask_all(const job* work, void* data) {
  size_t count = element_count(record_of(work));
  mask_stream mask;
  for (size_t first = 0; first < count; first += MASK_GROUP) {
    size_t left = count - first;
    if (first % MASK_CHUNK == 0) mask_begin(&mask, work, first / MASK_CHUNK);
    mask_group(&mask, data, first, left < MASK_GROUP ? left : MASK_GROUP);
  }
  mask_end(&mask);
}
