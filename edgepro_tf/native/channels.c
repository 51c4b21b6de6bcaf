/* docs/payload.md, "Channel-wise": order, signs and exponents of rows of channels, and
 * the mask behind them. A shuffle is the same thing over [1, elements, 1]. */
#include <string.h>

#include "draws.h"
#include "elements.h"
#include "exponents.h"
#include "mask.h"
#include "steps.h"

/* Row `to` of the destination is row picks[to] of the source, with the sign and the
 * exponent that were drawn for channel drawn[to]. Stands at the scratch's start. */
typedef struct {
  size_t outer, channels, inner;
  uint32_t* picks;
  uint32_t* drawn;
  uint32_t* signs;   /* NULL without the step, as the exponents are */
  int8_t* exponents; /* negated for APPLY */
} channel_plan;

/* A mask alone leaves every row where it is: they are one. */
static int is_one_row(const record* r) {
  return !(r->steps & (STEP_ORDER | STEP_SIGNS | STEP_EXPONENTS | STEP_SHUFFLE));
}

static size_t row_count(const record* r) {
  if (is_one_row(r)) return 1;
  return r->steps & STEP_SHUFFLE ? element_count(r) : r->channels;
}

static int has_long_rows(const record* r) {
  return is_one_row(r) || (r->inner > 1 && !(r->steps & STEP_SHUFFLE));
}

size_t channels_scratch_bytes(const record* r) {
  size_t rows = row_count(r);
  size_t words = 2 * rows + draws_bit_words(rows);
  return sizeof(channel_plan) + words * sizeof(uint32_t) + rows;
}

size_t channels_piece_count(const record* r) {
  return has_long_rows(r) ? (element_count(r) + MASK_CHUNK - 1) / MASK_CHUNK : 1;
}

static channel_plan* place_plan(const job* work) {
  const record* r = record_of(work);
  channel_plan* plan = work->scratch;
  plan->outer = is_one_row(r) || (r->steps & STEP_SHUFFLE) ? 1 : r->outer;
  plan->channels = row_count(r);
  plan->inner = element_count(r) / (plan->outer * plan->channels);
  plan->picks = (uint32_t*)(plan + 1);
  plan->drawn = plan->picks + plan->channels;
  plan->signs = plan->drawn + plan->channels;
  plan->exponents = (int8_t*)(plan->signs + draws_bit_words(plan->channels));
  return plan;
}

static void fill_identity(uint32_t* out, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = (uint32_t)i;
}

static void draw_plan(const job* work, channel_plan* plan) {
  const record* r = record_of(work);
  size_t rows = plan->channels;
  draws stream;
  draws_begin(&stream, r->seed, r->nonce, 0, DRAWS_FIRST);
  if (r->steps & (STEP_ORDER | STEP_SHUFFLE)) {
    draw_permutation(&stream, plan->picks, (uint32_t)rows);
  } else {
    fill_identity(plan->picks, rows);
  }
  if (r->steps & STEP_SIGNS) {
    draw_words(&stream, plan->signs, draws_bit_words(rows));
  } else {
    plan->signs = NULL;
  }
  if (r->steps & STEP_EXPONENTS) {
    int range = r->exponent_range;
    for (size_t c = 0; c < rows; c++) {
      int k = (int)draw_below(&stream, (uint32_t)(2 * range + 1)) - range;
      plan->exponents[c] = (int8_t)(work->way == RESTORE ? k : -k);
    }
  } else {
    plan->exponents = NULL;
  }
  draws_end(&stream);
  fill_identity(plan->drawn, rows);
}

/* Channel c was drawn to read row p[c]; backwards, row p[c] reads channel c. */
static void invert_plan(channel_plan* plan) {
  for (size_t c = 0; c < plan->channels; c++) plan->drawn[plan->picks[c]] = (uint32_t)c;
  memcpy(plan->picks, plan->drawn, plan->channels * sizeof *plan->picks);
}

static void move_columns(const channel_plan* plan, const job* work, size_t element,
                         sign_flip flip) {
  const uint8_t* from = work->source;
  uint8_t* to = work->destination;
  size_t plane = plan->channels * element;
  for (size_t o = 0; o < plan->outer; o++, from += plane, to += plane) {
    if (plan->signs == NULL) {
      pick_elements(element, to, from, plan->channels, plan->picks);
    } else {
      pick_signed(element, to, from, plan->channels, plan->picks, plan->drawn,
                  plan->signs, flip);
    }
    if (plan->exponents == NULL) continue;
    scale_each(element, to, plan->channels, plan->exponents, plan->drawn);
  }
}

/* Writes the destination's elements [first, first + count). */
static void move_span(const job* work, size_t first, size_t count) {
  const channel_plan* plan = work->scratch;
  const record* r = record_of(work);
  const size_t element = element_size(r);
  const sign_flip flip = sign_flip_of(r->type);
  const uint8_t* from = work->source;
  uint8_t* to = (uint8_t*)work->destination + first * element;
  size_t row = first / plan->inner, skipped = first % plan->inner;
  size_t channel = row % plan->channels, before = row - channel;
  while (count > 0) {
    size_t rest = plan->inner - skipped, piece = rest < count ? rest : count;
    size_t start = (before + plan->picks[channel]) * plan->inner + skipped;
    uint32_t drawn = plan->drawn[channel];
    move_row(element, to, from + start * element, piece,
             plan->signs && draws_bit(plan->signs, drawn) ? &flip : NULL);
    if (plan->exponents) scale_row(element, to, piece, plan->exponents[drawn]);
    to += piece * element;
    count -= piece;
    skipped = 0;
    if (++channel == plan->channels) channel = 0, before += plan->channels;
  }
}

/* The mask follows group by group, while the group is in the nearest cache. */
static void move_chunk(const job* work, size_t chunk) {
  const record* r = record_of(work);
  size_t first = chunk * MASK_CHUNK, end = first + MASK_CHUNK;
  size_t count = element_count(r);
  int is_masked = work->way == RESTORE && (r->steps & STEP_MASK);
  mask_stream mask;
  if (end > count) end = count;
  if (is_masked) mask_begin(&mask, work, chunk);
  for (; first < end; first += MASK_GROUP) {
    size_t group = end - first < MASK_GROUP ? end - first : MASK_GROUP;
    move_span(work, first, group);
    if (is_masked) mask_group(&mask, work->destination, first, group);
  }
  if (is_masked) mask_end(&mask);
}

void channels_prepare(const job* work) {
  channel_plan* plan = place_plan(work);
  draw_plan(work, plan);
  if (work->way == RESTORE) return;
  invert_plan(plan);
  if (record_of(work)->steps & STEP_MASK) mask_all(work, work->source);
}

void channels_run_piece(const job* work, size_t piece) {
  const record* r = record_of(work);
  if (has_long_rows(r)) {
    move_chunk(work, piece);
    return;
  }
  move_columns(work->scratch, work, element_size(r), sign_flip_of(r->type));
  if (work->way == RESTORE && (r->steps & STEP_MASK)) mask_all(work, work->destination);
}
