#include "steps.h"

#include <string.h>

typedef enum { STORED, COPIED, CHANNELS, SHUFFLED } family;

static int sets_whole(const job* work) {
  const record* r = record_of(work);
  return work->way == RESTORE && (r->steps & STEP_SET) && r->set_form == SET_WHOLE;
}

static family family_of(const record* r) {
  if (r->steps & STEP_SHUFFLE) {
    int is_large = element_count(r) >= SMALLEST_BLOCK_SHUFFLE;
    return is_large && r->version < '3' ? SHUFFLED : CHANNELS;
  }
  return r->steps & (STEP_ORDER | STEP_SIGNS | STEP_EXPONENTS | STEP_MASK) ? CHANNELS
                                                                           : COPIED;
}

static family family_of_job(const job* work) {
  return sets_whole(work) ? STORED : family_of(record_of(work));
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

size_t scratch_bytes(const record* r) {
  family of = family_of(r);
  if (of == CHANNELS) return channels_scratch_bytes(r);
  return of == SHUFFLED ? shuffle_scratch_bytes(r) : 0;
}

size_t piece_count(const record* r) {
  family of = family_of(r);
  if (of == CHANNELS) return channels_piece_count(r);
  return of == SHUFFLED ? shuffle_piece_count(r) : 1;
}

void prepare_steps(const job* work) {
  family of = family_of_job(work);
  if (of == CHANNELS) channels_prepare(work);
  if (of == SHUFFLED) shuffle_prepare(work);
}

void run_piece(const job* work, size_t piece) {
  const record* r = record_of(work);
  switch (family_of_job(work)) {
    case CHANNELS:
      channels_run_piece(work, piece);
      break;
    case SHUFFLED:
      shuffle_run_piece(work, piece);
      break;
    case STORED:
      if (piece == 0) memcpy(work->destination, r->set_values, record_bytes(r));
      break;
    case COPIED:
      memcpy(work->destination, work->source, record_bytes(r));
      break;
  }
}

void finish_steps(const job* work) {
  const record* r = record_of(work);
  family of = family_of_job(work);
  if (of == SHUFFLED) shuffle_finish(work);
  if (of != STORED && work->way == RESTORE && (r->steps & STEP_SET)) {
    set_channels(r, work->destination);
  }
}
