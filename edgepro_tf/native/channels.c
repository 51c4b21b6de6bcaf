/* docs/payload.md, "Channel-wise": order, signs and exponents of rows of channels. A
 * small shuffle is the same thing over [1, elements, 1]. */
#include <string.h>

#include "draws.h"
#include "elements.h"
#include "exponents.h"
#include "mask.h"
#include "parallel.h"
#include "steps.h"

/* Row `to` of the destination is row picks[to] of the source, with the sign and the
 * exponent that were drawn for channel drawn[to]. */
typedef struct {
  size_t outer, channels, inner;
  uint32_t* picks;
  uint32_t* drawn;
  uint32_t* signs;
  int8_t* exponents; /* NULL without the step; negated for APPLY */
} channel_plan;

static size_t row_count(const record* r) {
  return r->steps & STEP_SHUFFLE ? element_count(r) : r->channels;
}

size_t channel_scratch_bytes(const record* r) {
  size_t rows = row_count(r);
  size_t words = 2 * rows + draws_bit_words(rows);
  return words * sizeof(uint32_t) + rows;
}

static void fill_identity(uint32_t* out, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = (uint32_t)i;
}

static void draw_plan(const job* work, channel_plan* plan) {
  const record* r = &work->lock->records[work->record];
  size_t rows = plan->channels;
  draws stream;
  draws_begin(&stream, work->lock->seed, work->record, 0);
  if (r->steps & (STEP_ORDER | STEP_SHUFFLE)) {
    draw_permutation(&stream, plan->picks, (uint32_t)rows);
  } else {
    fill_identity(plan->picks, rows);
  }
  memset(plan->signs, 0, draws_bit_words(rows) * sizeof *plan->signs);
  if (r->steps & STEP_SIGNS) draw_words(&stream, plan->signs, draws_bit_words(rows));
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
    pick_elements(element, to, from, plan->channels, plan->picks, plan->drawn,
                  plan->signs, flip);
    if (plan->exponents == NULL) continue;
    scale_each(element, to, plan->channels, plan->exponents, plan->drawn);
  }
}

typedef struct {
  const channel_plan* plan;
  const job* work;
  size_t element, count;
  sign_flip flip;
  int is_masked;
} row_moves;

/* Writes the destination's elements [first, first + count). */
static void move_span(const row_moves* m, size_t first, size_t count) {
  const channel_plan* plan = m->plan;
  const uint8_t* from = m->work->source;
  uint8_t* to = (uint8_t*)m->work->destination + first * m->element;
  size_t row = first / plan->inner, skipped = first % plan->inner;
  size_t channel = row % plan->channels, before = row - channel;
  while (count > 0) {
    size_t rest = plan->inner - skipped, piece = rest < count ? rest : count;
    size_t start = (before + plan->picks[channel]) * plan->inner + skipped;
    uint32_t drawn = plan->drawn[channel];
    move_row(m->element, to, from + start * m->element, piece,
             draws_bit(plan->signs, drawn) ? &m->flip : NULL);
    if (plan->exponents) scale_row(m->element, to, piece, plan->exponents[drawn]);
    to += piece * m->element;
    count -= piece;
    skipped = 0;
    if (++channel == plan->channels) channel = 0, before += plan->channels;
  }
}

/* The mask follows piece by piece, while the piece is in the nearest cache. */
static void move_chunk(void* context, size_t chunk, int worker) {
  const row_moves* m = context;
  size_t first = chunk * MASK_CHUNK, end = first + MASK_CHUNK;
  mask_stream mask;
  (void)worker;
  if (end > m->count) end = m->count;
  if (m->is_masked) mask_begin(&mask, m->work, chunk);
  while (first < end) {
    size_t piece = end - first < MASK_GROUP ? end - first : MASK_GROUP;
    move_span(m, first, piece);
    if (m->is_masked) mask_group(&mask, m->work->destination, first, piece);
    first += piece;
  }
  if (m->is_masked) mask_end(&mask);
}

static void move_rows(const channel_plan* plan, const job* work, size_t element,
                      sign_flip flip) {
  const record* r = &work->lock->records[work->record];
  int is_masked = work->way == RESTORE && (r->steps & STEP_MASK);
  row_moves m = {plan, work, element, element_count(r), flip, is_masked};
  size_t chunks = (m.count + MASK_CHUNK - 1) / MASK_CHUNK;
  parallel_for(work->threads, chunks, move_chunk, &m);
}

void run_channel_steps(const job* work) {
  const record* r = &work->lock->records[work->record];
  channel_plan plan = {r->outer, r->channels, r->inner, NULL, NULL, NULL, NULL};
  if (r->steps & STEP_SHUFFLE) {
    plan.outer = plan.inner = 1;
    plan.channels = row_count(r);
  }
  plan.picks = work->scratch;
  plan.drawn = plan.picks + plan.channels;
  plan.signs = plan.drawn + plan.channels;
  plan.exponents = (int8_t*)(plan.signs + draws_bit_words(plan.channels));
  draw_plan(work, &plan);
  if (work->way == APPLY) {
    invert_plan(&plan);
    if (r->steps & STEP_MASK) run_mask(work, work->source);
  }
  if (plan.inner == 1) {
    move_columns(&plan, work, element_size(r), sign_flip_of(r->type));
    if (work->way == RESTORE && (r->steps & STEP_MASK)) {
      run_mask(work, work->destination);
    }
  } else {
    move_rows(&plan, work, element_size(r), sign_flip_of(r->type));
  }
}
