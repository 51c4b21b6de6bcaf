#include "steps.h"

#include <string.h>

enum {
  DRAWN_STEPS = STEP_ORDER | STEP_SIGNS | STEP_EXPONENTS | STEP_SHUFFLE | STEP_MASK
};

static int is_block_shuffle(const record* r) {
  return (r->steps & STEP_SHUFFLE) && element_count(r) >= SMALLEST_BLOCK_SHUFFLE;
}

static void fill_row(uint8_t* row, const uint8_t* value, size_t element, size_t count) {
  for (size_t i = 0; i < count; i++) memcpy(row + i * element, value, element);
}

static void set_channels(const record* r, uint8_t* data) {
  size_t element = element_size(r), row = element * r->inner;
  const uint8_t *cursor = r->set_channels, *value = r->set_values;
  int64_t channel = -1;
  for (uint32_t i = 0; i < r->set_count; i++) {
    channel = next_set_channel(&cursor, channel);
    for (size_t o = 0; o < r->outer; o++) {
      fill_row(data + (o * r->channels + (size_t)channel) * row, value, element,
               r->inner);
    }
    if (r->set_form == SET_VALUE_A_CHANNEL) value += element;
  }
}

void run_steps(const job* work) {
  const record* r = &work->lock->records[work->record];
  int sets = work->way == RESTORE && (r->steps & STEP_SET);
  if (sets && r->set_form == SET_WHOLE) {
    memcpy(work->destination, r->set_values, record_bytes(r));
    return;
  }
  if (is_block_shuffle(r)) {
    run_block_shuffle(work);
  } else if (r->steps & DRAWN_STEPS) {
    run_channel_steps(work);
  } else {
    memcpy(work->destination, work->source, record_bytes(r));
  }
  if (sets) set_channels(r, work->destination);
}

size_t steps_scratch_bytes(const record* r) {
  if (is_block_shuffle(r)) return block_shuffle_scratch_bytes(r);
  return r->steps & DRAWN_STEPS ? channel_scratch_bytes(r) : 0;
}
