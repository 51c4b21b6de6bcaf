/* Restoring and applying a lock over a whole file in memory. */
#include <stdlib.h>
#include <string.h>

#include "edgepro.h"
#include "flatbuffer.h"
#include "message.h"
#include "parallel.h"
#include "payload.h"
#include "tasks.h"

typedef struct {
  const edgepro_lock* lock;
  const char* verb;
  direction way;
  uint8_t* model;
  span* places; /* of each record */
  uint32_t* fingerprints;
  int threads;
} model_job;

static int compare_places(const void* left, const void* right) {
  const span *a = left, *b = right;
  return (a->offset > b->offset) - (a->offset < b->offset);
}

static edgepro_status fail_wrong_model(message* out, direction way) {
  if (way == APPLY) {
    return fail(out, EDGEPRO_WRONG_MODEL,
                "cannot lock this model: expected the constants that the lock names, "
                "got a model without one of them. Plan the lock on this very file.");
  }
  return fail(out, EDGEPRO_WRONG_MODEL, "%s", kWrongModel);
}

static edgepro_status check_places(model_job* j, message* out) {
  uint32_t count = j->lock->count;
  span* sorted = malloc(count * sizeof *sorted);
  if (sorted == NULL) return fail_out_of_memory(out, j->verb, count * sizeof *sorted);
  memcpy(sorted, j->places, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, compare_places);
  int is_distinct = 1;
  for (uint32_t i = 1; i < count; i++) {
    span before = sorted[i - 1];
    if (before.offset + before.size > sorted[i].offset) is_distinct = 0;
  }
  free(sorted);
  if (is_distinct) return EDGEPRO_OK;
  return fail(out, EDGEPRO_WRONG_MODEL,
              "cannot %s this model: expected a constant of its own for each record of "
              "the lock, got one constant for two. Convert the model again.",
              j->verb);
}

static edgepro_status find_places(model_job* j, size_t size, message* out) {
  flatbuffer file;
  int is_model = flatbuffer_open(&file, j->model, size);
  for (uint32_t i = 0; is_model && i < j->lock->count; i++) {
    const record* r = &j->lock->records[i];
    if (!flatbuffer_find(&file, r, &j->places[i])) {
      if (file.is_damaged) break;
      return fail_wrong_model(out, j->way);
    }
    if (j->places[i].size != record_bytes(r)) return fail_wrong_model(out, j->way);
    if (j->way == APPLY && r->target == TARGET_SCALES &&
        flatbuffer_count_scale_users(&file, j->places[i].offset) != 1) {
      return fail(out, EDGEPRO_BAD_MODEL,
                  "cannot lock this model: expected quantisation scales of one tensor "
                  "each, got a vector that several tensors share. Convert the model "
                  "again with the stock converter.");
    }
  }
  if (is_model && !file.is_damaged) return check_places(j, out);
  return fail(
      out, EDGEPRO_BAD_MODEL,
      "cannot %s this model: expected a TFLite flatbuffer, got %s of %zu bytes. "
      "Transfer the file again.",
      j->verb, is_model ? "a damaged one" : "other data", size);
}

static void take_fingerprint(void* context, size_t i) {
  model_job* j = context;
  j->fingerprints[i] =
      fingerprint_of(&j->lock->records[i], j->model + j->places[i].offset);
}

static edgepro_status run_checked(model_job* j, message* out) {
  uint32_t count = j->lock->count;
  task* tasks = malloc(count * sizeof *tasks);
  size_t wanted = count * sizeof *tasks;
  for (uint32_t i = 0; tasks != NULL && i < count; i++) {
    task one = {i, NULL, j->model + j->places[i].offset};
    tasks[i] = one;
  }
  int is_done =
      tasks != NULL && run_tasks(j->lock, j->way, tasks, count, j->threads, &wanted);
  free(tasks);
  return is_done ? EDGEPRO_OK : fail_out_of_memory(out, j->verb, wanted);
}

static edgepro_status run_model(model_job* j, size_t size, message* out) {
  uint32_t count = j->lock->count;
  edgepro_status status = find_places(j, size, out);
  if (status != EDGEPRO_OK) return status;
  if (j->way == APPLY) {
    status = run_checked(j, out);
    parallel_for(j->threads, count, take_fingerprint, j);
    return status;
  }
  parallel_for(j->threads, count, take_fingerprint, j);
  for (uint32_t i = 0; i < count; i++) {
    if (!is_fingerprint_of(&j->lock->records[i], j->fingerprints[i])) {
      return fail_wrong_model(out, j->way);
    }
  }
  return run_checked(j, out);
}

static size_t lock_bytes(const edgepro_lock* lock) {
  size_t bytes = 0;
  for (uint32_t i = 0; i < lock->count; i++) bytes += record_bytes(&lock->records[i]);
  return bytes;
}

static edgepro_status open_job(model_job* j, size_t size, message* out) {
  if (j->lock == NULL || j->model == NULL) {
    return fail(
        out, EDGEPRO_BAD_ARGUMENT,
        "cannot %s this model: expected a lock and a model, got none. Pass both.",
        j->verb);
  }
  if (j->threads < 1) j->threads = threads_for(lock_bytes(j->lock));
  if (j->threads > PARALLEL_MAX_THREADS) j->threads = PARALLEL_MAX_THREADS;
  uint32_t count = j->lock->count;
  size_t bytes = count * sizeof *j->fingerprints;
  j->places = malloc(count * sizeof *j->places);
  j->fingerprints = malloc(bytes);
  edgepro_status status = EDGEPRO_OUT_OF_MEMORY;
  if (j->places != NULL && j->fingerprints != NULL) {
    status = run_model(j, size, out);
  } else {
    fail_out_of_memory(out, j->verb, bytes + count * sizeof *j->places);
  }
  free(j->places);
  if (status != EDGEPRO_OK) {
    free(j->fingerprints);
    j->fingerprints = NULL;
  }
  return status;
}

edgepro_status edgepro_restore(const edgepro_lock* lock, void* model, size_t size,
                               int threads, uint64_t* bytes_written, char* error,
                               size_t error_size) {
  message out = {error, error_size};
  model_job j = {lock, "restore", RESTORE, model, NULL, NULL, threads};
  edgepro_status status = open_job(&j, size, &out);
  int is_done = status == EDGEPRO_OK;
  if (bytes_written != NULL) *bytes_written = is_done ? lock_bytes(lock) : 0;
  if (is_done) free(j.fingerprints);
  return status;
}

edgepro_status edgepro_apply(const edgepro_lock* lock, void* model, size_t size,
                             uint32_t* fingerprints, char* error, size_t error_size) {
  message out = {error, error_size};
  model_job j = {lock, "lock", APPLY, model, NULL, NULL, 1};
  if (fingerprints == NULL) {
    return fail(&out, EDGEPRO_BAD_ARGUMENT,
                "cannot lock this model: expected a place for the fingerprints, got "
                "none. Pass one.");
  }
  edgepro_status status = open_job(&j, size, &out);
  if (status != EDGEPRO_OK) return status;
  memcpy(fingerprints, j.fingerprints, lock->count * sizeof *fingerprints);
  free(j.fingerprints);
  return EDGEPRO_OK;
}
