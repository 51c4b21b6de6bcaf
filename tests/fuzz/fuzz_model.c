/* libFuzzer: payload and model, both made to harm, through parse, restore and apply.
 *
 * Input: u8 threads, u16 size of the payload, the payload, the model. */
#include <stdlib.h>
#include <string.h>

#include "payload.h"

enum { HEAD = 3, MAX_THREADS = 4 };

/* A block of exactly this size, so that the sanitizer sees a step past its end. */
static void* copy_of(const void* data, size_t size) {
  void* copy = malloc(size > 0 ? size : 1);
  if (copy == NULL) abort();
  memcpy(copy, data, size);
  return copy;
}

static void restore_or_keep(const edgepro_lock* lock, const uint8_t* model, size_t size,
                            int threads) {
  char error[512];
  uint64_t written;
  uint8_t* copy = copy_of(model, size);
  edgepro_status status =
      edgepro_restore(lock, copy, size, threads, &written, error, sizeof error);
  if (status != EDGEPRO_OK && memcmp(copy, model, size) != 0) abort();
  free(copy);
}

/* What apply has written is restored, so that fingerprints are no obstacle. */
static void apply_and_restore(edgepro_lock* lock, const uint8_t* model, size_t size,
                              int threads) {
  size_t count = edgepro_lock_record_count(lock);
  uint32_t* fingerprints = malloc(count * sizeof *fingerprints);
  uint8_t* copy = copy_of(model, size);
  if (fingerprints == NULL) abort();
  edgepro_status status = edgepro_apply(lock, copy, size, fingerprints, NULL, 0);
  if (status == EDGEPRO_OK) {
    for (size_t i = 0; i < count; i++) lock->records[i].fingerprint = fingerprints[i];
    restore_or_keep(lock, copy, size, threads);
  } else if (memcmp(copy, model, size) != 0) {
    abort();
  }
  free(copy);
  free(fingerprints);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < HEAD) return 0;
  int threads = data[0] % (MAX_THREADS + 1);
  size_t payload_size = (size_t)data[1] | (size_t)data[2] << 8;
  data += HEAD;
  size -= HEAD;
  if (payload_size > size) payload_size = size;
  char error[64];
  edgepro_lock* lock;
  uint8_t* payload = copy_of(data, payload_size);
  if (edgepro_lock_parse(payload, payload_size, &lock, error, sizeof error) ==
      EDGEPRO_OK) {
    restore_or_keep(lock, data + payload_size, size - payload_size, threads);
    apply_and_restore(lock, data + payload_size, size - payload_size, threads);
  }
  edgepro_lock_free(lock);
  edgepro_discard(edgepro_hand_over(payload, payload_size, error, sizeof error));
  free(payload);
  return 0;
}
