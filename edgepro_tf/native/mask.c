#include "mask.h"

#include "edgepro.h"
#include "parallel.h"

void mask_begin(mask_stream* mask, const job* work, size_t chunk) {
  const record* r = &work->lock->records[work->record];
  draws_begin(&mask->stream, work->lock->seed, work->record, 1 + (uint32_t)chunk);
  mask->element = element_size(r);
  mask->flip = sign_flip_of(r->type);
}

void mask_group(mask_stream* mask, void* data, size_t first, size_t count) {
  uint32_t signs[MASK_ROW];
  draw_words(&mask->stream, signs, MASK_ROW);
  flip_group(mask->element, (uint8_t*)data + first * mask->element, count, signs,
             mask->flip);
  edgepro_wipe(signs, sizeof signs);
}

void mask_end(mask_stream* mask) { draws_end(&mask->stream); }

typedef struct {
  const job* work;
  void* data;
  size_t count;
} whole;

static void mask_chunk(void* context, size_t chunk, int worker) {
  const whole* all = context;
  size_t first = chunk * MASK_CHUNK, end = first + MASK_CHUNK;
  mask_stream mask;
  (void)worker;
  if (end > all->count) end = all->count;
  mask_begin(&mask, all->work, chunk);
  for (; first < end; first += MASK_GROUP) {
    size_t left = end - first;
    mask_group(&mask, all->data, first, left < MASK_GROUP ? left : MASK_GROUP);
  }
  mask_end(&mask);
}

void run_mask(const job* work, void* data) {
  size_t count = element_count(&work->lock->records[work->record]);
  whole all = {work, data, count};
  parallel_for(work->threads, (count + MASK_CHUNK - 1) / MASK_CHUNK, mask_chunk, &all);
}
