#include "mask.h"

#include <string.h>

#include "edgepro.h"

void mask_begin(mask_stream* mask, const job* work, size_t chunk) {
  const record* r = record_of(work);
  draws_begin(&mask->stream, work->lock->seed, work->record, 1 + (uint32_t)chunk);
  mask->element = element_size(r);
  mask->flip = sign_flip_of(r->type);
}

void mask_group(mask_stream* mask, void* data, size_t first, size_t count) {
  uint32_t words[MASK_GROUP_BYTES / sizeof(uint32_t)];
  uint8_t signs[MASK_GROUP_BYTES];
  draw_words(&mask->stream, words, sizeof words / sizeof *words);
  memcpy(signs, words, sizeof signs); /* little-endian */
  flip_group(mask->element, (uint8_t*)data + first * mask->element, count, signs,
             mask->flip);
  edgepro_wipe(words, sizeof words);
  edgepro_wipe(signs, sizeof signs);
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
