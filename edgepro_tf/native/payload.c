/* docs/payload.md in code; edgepro_tf/payload.py accepts and refuses the same. */
#include "payload.h"

#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "reader.h"

enum { MAGIC_BYTES = 4, MAX_RECORDS = 65535, MAX_EXPONENT_RANGE = 8 };
enum { KIND_TYPE = 0x0f, KIND_SCALES = 0x10, KIND_SCALES_TOO = 0x20 };
enum { KIND_KEPT = 0x40 };
enum { ALL_STEPS = 0x7f };
static const char kMagic[] = "EPL"; /* and the digit of the version */

static int is_float(const record* r) {
  return r->type == TYPE_FLOAT32 || r->type == TYPE_FLOAT16;
}

static int has_countable_elements(const record* r) {
  if (r->outer == 0 || r->channels == 0 || r->inner == 0) return 0;
  uint64_t plane = (uint64_t)r->outer * r->channels;
  if (plane > UINT32_MAX || plane * r->inner > UINT32_MAX) return 0;
  /* A machine of 32 bits cannot hold all that the format can name, nor the scratch that
   * its draws need (up to 9 bytes and a bit for an element of one byte). */
  return plane * r->inner * element_size(r) <= SIZE_MAX / 16;
}

/* A window ends below the exponent field of infinities. */
static void check_mask(reader* from, const record* r) {
  int most = r->type == TYPE_FLOAT32 ? 255 - MASK_WINDOW_32 : 31 - MASK_WINDOW_16;
  require(from, is_float(r) || r->type == TYPE_INT8 || r->type == TYPE_UINT8,
          "expected a mask of float32, float16, int8 or raw bytes, got another type");
  require(from, !is_float(r) || (r->window >= 1 && r->window <= most),
          "expected a mask's window of normal numbers, got another");
  require(from, !(r->steps & (STEP_SIGNS | STEP_EXPONENTS | STEP_SHUFFLE)),
          "expected a mask with no other step but order, got one beside it");
}

static int check_rules(reader* from, const record* r) {
  if (!require(from, r->type >= TYPE_FLOAT32 && r->type <= TYPE_UINT8,
               "expected an element type, got another number")) {
    return 0;
  }
  require(from, r->steps >= 1 && r->steps <= ALL_STEPS,
          "expected steps 1 to 127, got others");
  require(from, has_countable_elements(r),
          "expected a tensor of 1 to 2^32-1 elements, got another size");
  require(from,
          r->target == TARGET_DATA ||
              (r->type == TYPE_FLOAT32 && r->outer == 1 && r->inner == 1 &&
               !(r->steps & (STEP_SIGNS | STEP_MASK))),
          "expected unsigned float32 [1, n, 1] quantisation scales, got others");
  require(from, r->type != TYPE_UINT8 || !(r->steps & STEP_SIGNS),
          "expected no sign step on raw bytes, got one");
  require(from,
          !(r->steps & STEP_EXPONENTS) || (is_float(r) && r->exponent_range >= 1 &&
                                           r->exponent_range <= MAX_EXPONENT_RANGE),
          "expected exponents of float elements within 1..8, got others");
  if (r->steps & STEP_MASK) check_mask(from, r);
  require(from,
          !(r->steps & STEP_FRACTION) ||
              ((r->steps & STEP_MASK) && r->type == TYPE_FLOAT32),
          "expected whole fractions of a float32 mask, got them elsewhere");
  return require(
      from, !(r->steps & STEP_SHUFFLE) || !(r->steps & (STEP_ORDER | STEP_EXPONENTS)),
      "expected a shuffle alone, got it beside order or exponents");
}

uint32_t next_set_channel(const uint8_t** cursor, int64_t previous) {
  uint64_t value = 0;
  int shift = 0;
  uint8_t byte;
  do {
    byte = *(*cursor)++;
    value |= (uint64_t)(byte & 0x7f) << shift;
    shift += 7;
  } while (byte >= 0x80);
  return (uint32_t)(previous + 1 + (int64_t)value);
}

static void read_set(reader* from, record* r) {
  uint64_t values = element_count(r);
  r->set_form = read_byte(from);
  require(from, r->set_form <= SET_WHOLE, "expected set form 0, 1 or 2, got another");
  if (r->set_form != SET_WHOLE) {
    r->set_count = read_varint(from);
    if (!require(from, r->set_count >= 1 && r->set_count <= r->channels,
                 "expected 1 to all of the channels set, got another count")) {
      return;
    }
    r->set_channels = from->next;
    uint64_t next_allowed = 0;
    for (uint32_t i = 0; i < r->set_count && from->broken_rule == NULL; i++) {
      next_allowed += (uint64_t)read_varint(from) + 1;
    }
    require(from, next_allowed <= r->channels,
            "expected set channels of the tensor, got one beyond");
    values = r->set_form == SET_ONE_VALUE ? 1 : r->set_count;
  }
  r->set_values = read_bytes(from, values * element_size(r));
}

static void imply_scales(const record* data, record* scales) {
  scales->seed = data->seed;
  scales->nonce = data->nonce + 1;
  scales->version = data->version;
  scales->subgraph = data->subgraph;
  scales->tensor = data->tensor;
  scales->outer = scales->inner = 1;
  scales->channels = data->channels;
  scales->type = TYPE_FLOAT32;
  scales->target = TARGET_SCALES;
  scales->steps = STEP_SHUFFLE;
  scales->is_implied = 1;
}

/* Which draws these are: this conversion's next ones, or those of an earlier one. */
static void read_draws(reader* from, const edgepro_lock* lock, uint8_t kind, record* r) {
  r->seed = lock->seed;
  r->nonce = lock->count;
  if (!(kind & KIND_KEPT)) return;
  uint32_t seed = read_varint(from);
  r->nonce = read_varint(from);
  if (require(from, seed < lock->earlier_count && r->nonce < 2 * MAX_RECORDS,
              "expected draws of an earlier seed and record, got others")) {
    r->seed = lock->earlier_seeds + (size_t)seed * SEED_BYTES;
  }
}

/* Reads a record, and the one it implies; returns how many these are. */
static uint32_t read_record(reader* from, const edgepro_lock* lock, record* r) {
  r->subgraph = read_varint(from);
  r->tensor = read_varint(from);
  uint8_t kind = read_byte(from);
  r->type = kind & KIND_TYPE;
  r->target = kind & KIND_SCALES ? TARGET_SCALES : TARGET_DATA;
  require(from, kind < KIND_KEPT || (lock->version >= '4' && kind < 2 * KIND_KEPT),
          "expected a record kind of its version, got another");
  require(from, !(kind & KIND_SCALES) || !(kind & KIND_SCALES_TOO),
          "expected scales behind constant data, got them behind scales");
  r->outer = read_varint(from);
  r->channels = read_varint(from);
  r->inner = read_varint(from);
  r->steps = read_byte(from);
  if (r->steps & STEP_EXPONENTS) r->exponent_range = read_byte(from);
  if ((r->steps & STEP_MASK) && is_float(r)) r->window = read_byte(from);
  r->fingerprint = read_u32(from);
  read_draws(from, lock, kind, r);
  r->version = lock->version;
  if (check_rules(from, r) && r->steps & STEP_SET) read_set(from, r);
  if (!(kind & KIND_SCALES_TOO)) return 1;
  imply_scales(r, r + 1);
  require(from, has_countable_elements(r + 1),
          "expected a tensor of 1 to 2^32-1 elements, got another size");
  return 2;
}

static int compare_addresses(const void* left, const void* right) {
  const record *a = *(const record* const*)left, *b = *(const record* const*)right;
  if (a->subgraph != b->subgraph) return a->subgraph < b->subgraph ? -1 : 1;
  if (a->tensor != b->tensor) return a->tensor < b->tensor ? -1 : 1;
  return (int)a->target - (int)b->target;
}

static int has_distinct_addresses(const edgepro_lock* lock, const record** sorted) {
  for (uint32_t i = 0; i < lock->count; i++) sorted[i] = &lock->records[i];
  qsort(sorted, lock->count, sizeof *sorted, compare_addresses);
  for (uint32_t i = 1; i < lock->count; i++) {
    if (compare_addresses(&sorted[i - 1], &sorted[i]) == 0) return 0;
  }
  return 1;
}

/* Returns EDGEPRO_OUT_OF_MEMORY, or EDGEPRO_OK with `from` telling the rest. */
static edgepro_status read_lock(reader* from, edgepro_lock* lock) {
  const uint8_t* magic = read_bytes(from, MAGIC_BYTES);
  int has_magic = magic != NULL && memcmp(magic, kMagic, MAGIC_BYTES - 1) == 0;
  lock->version = has_magic ? magic[MAGIC_BYTES - 1] : 0;
  require(from, lock->version >= '1' && lock->version <= '4',
          "expected it to begin with EPL1 to EPL4, got another");
  lock->seed = read_bytes(from, SEED_BYTES);
  if (lock->version >= '4') {
    lock->earlier_count = read_varint(from);
    lock->earlier_seeds = read_bytes(from, (uint64_t)lock->earlier_count * SEED_BYTES);
  }
  uint32_t written = read_varint(from);
  if (!require(from, written >= 1 && written <= MAX_RECORDS,
               "expected 1 to 65535 records, got another count")) {
    return EDGEPRO_OK;
  }
  lock->records = calloc(2 * (size_t)written, sizeof *lock->records);
  const record** sorted = malloc(2 * (size_t)written * sizeof *sorted);
  if (lock->records == NULL || sorted == NULL) {
    free((void*)sorted);
    return EDGEPRO_OUT_OF_MEMORY;
  }
  for (uint32_t i = 0; i < written && from->broken_rule == NULL; i++) {
    record* r = &lock->records[lock->count];
    lock->count += read_record(from, lock, r);
    int is_masked_int8 = (r->steps & STEP_MASK) && r->type == TYPE_INT8;
    require(from, lock->version != '1' || !is_masked_int8,
            "expected no masked int8 in version 1, whose mask was uneven, got one");
  }
  if (require(from, from->next == from->end,
              "expected nothing after the last record, got more bytes")) {
    require(from, has_distinct_addresses(lock, sorted),
            "expected one record for each constant, got two for one");
  }
  free((void*)sorted);
  return EDGEPRO_OK;
}

edgepro_status edgepro_lock_parse(const void* payload, size_t size, edgepro_lock** lock,
                                  char* error, size_t error_size) {
  message out = {error, error_size};
  if (lock != NULL) *lock = NULL;
  if (payload == NULL || lock == NULL) {
    return fail(&out, EDGEPRO_BAD_ARGUMENT,
                "cannot read lock payload: expected bytes and a place for the lock, "
                "got none. Pass both.");
  }
  edgepro_lock* parsed = calloc(1, sizeof *parsed);
  if (parsed != NULL) parsed->payload = malloc(size | 1); /* never of 0 bytes */
  if (parsed == NULL || parsed->payload == NULL) {
    edgepro_lock_free(parsed);
    return fail_out_of_memory(&out, "read the lock of", size);
  }
  memcpy(parsed->payload, payload, size);
  parsed->size = size;
  reader from = {parsed->payload, parsed->payload + size, NULL};
  edgepro_status status = read_lock(&from, parsed);
  if (status == EDGEPRO_OK && from.broken_rule == NULL) {
    *lock = parsed;
    return EDGEPRO_OK;
  }
  edgepro_lock_free(parsed);
  if (status != EDGEPRO_OK) return fail_out_of_memory(&out, "read the lock of", size);
  return fail(&out, EDGEPRO_BAD_PAYLOAD,
              "cannot read lock payload: %s. The sidecar was made by another version, "
              "or is not one of EdgePro's.",
              from.broken_rule);
}

void lock_forget_secrets(edgepro_lock* lock) {
  edgepro_wipe(lock->payload, lock->size);
}

void edgepro_lock_free(edgepro_lock* lock) {
  if (lock == NULL) return;
  lock_forget_secrets(lock);
  if (lock->records != NULL) {
    edgepro_wipe(lock->records, lock->count * sizeof *lock->records);
  }
  free(lock->records);
  free(lock->payload);
  free(lock);
}

size_t edgepro_lock_record_count(const edgepro_lock* lock) {
  return lock == NULL ? 0 : lock->count;
}
