#include "mask.h"

#include <string.h>

#include "edgepro.h"
#include "processor.h"

#define TARGET
#define OF_TARGET(name) name##_common
#include "mask_kernels.h"

#if defined(FOR_AVX2)
#define TARGET FOR_AVX2
#define OF_TARGET(name) name##_avx2
#include "mask_kernels.h"
#endif

enum { MOST_GROUP_BYTES = 4 * MASK_GROUP };

static size_t group_bytes(const record* r) {
  if (r->steps & STEP_FRACTION) return MOST_GROUP_BYTES;
  return element_size(r) == 1 ? MASK_GROUP : 2 * MASK_GROUP;
}

void mask_begin(mask_stream* mask, const job* work, size_t chunk) {
  const record* r = record_of(work);
  uint32_t number = 1 + (uint32_t)chunk;
  draws_begin(&mask->stream, r->seed, r->nonce, number, DRAWS_FIRST);
  draws_begin(&mask->again, r->seed, r->nonce, number, DRAWS_AGAIN);
  mask->record = r;
  mask->way = work->way;
}

/* Of 256 bytes 255 is drawn again: modulo 255 it would make 0 twice as frequent. */
static void draw_again(draws* again, uint8_t drawn[MASK_GROUP]) {
  uint8_t *next = drawn, *end = drawn + MASK_GROUP;
  while ((next = memchr(next, 255, (size_t)(end - next))) != NULL) {
    *next++ = (uint8_t)draw_below(again, 255);
  }
}

void mask_group(mask_stream* mask, void* data, size_t first, size_t count) {
  const record* r = mask->record;
  uint8_t* from = (uint8_t*)data + first * element_size(r);
  uint32_t words[MOST_GROUP_BYTES / sizeof(uint32_t)];
  uint8_t* drawn = (uint8_t*)words; /* little-endian */
  draw_words(&mask->stream, words, group_bytes(r) / sizeof *words);
  if (r->steps & STEP_FRACTION) {
    FASTEST(mask_whole_float32)(from, count, drawn, r->window);
  } else if (r->type == TYPE_FLOAT32) {
    FASTEST(mask_float32)(from, count, drawn, r->window);
  } else if (r->type == TYPE_FLOAT16) {
    FASTEST(mask_float16)(from, count, drawn, r->window);
  } else if (r->type == TYPE_UINT8) {
    FASTEST(mask_bytes)(from, count, drawn);
  } else {
    draw_again(&mask->again, drawn);
    FASTEST(mask_int8)(from, count, drawn, mask->way);
  }
  edgepro_wipe(words, sizeof words);
}

void mask_end(mask_stream* mask) {
  draws_end(&mask->stream);
  draws_end(&mask->again);
}

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
