/* docs/payload.md, "Channel-wise": order, signs and exponents of rows of channels. A
 * small shuffle is the same thing over [1, elements, 1]. */
#include <string.h>

#include "draws.h"
#include "elements.h"
#include "exponents.h"
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

static void move_rows(const channel_plan* plan, const job* work, size_t element,
                      sign_flip flip) {
  const uint8_t* from = work->source;
  uint8_t* to = work->destination;
  size_t row = plan->inner * element, plane = plan->channels * row;
  for (size_t o = 0; o < plan->outer; o++, from += plane) {
    for (size_t c = 0; c < plan->channels; c++, to += row) {
      uint32_t drawn = plan->drawn[c];
      int is_flipped = draws_bit(plan->signs, drawn) != 0;
      move_row(element, to, from + plan->picks[c] * row, plan->inner,
               is_flipped ? &flip : NULL);
      if (plan->exponents == NULL) continue;
      scale_row(element, to, plan->inner, plan->exponents[drawn]);
    }
  }
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
  if (work->way == APPLY) invert_plan(&plan);
  if (plan.inner == 1) {
    move_columns(&plan, work, element_size(r), sign_flip_of(r->type));
  } else {
    move_rows(&plan, work, element_size(r), sign_flip_of(r->type));
  }
}
