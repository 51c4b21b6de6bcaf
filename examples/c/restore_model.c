/* Restores a pair in C, with the core alone: no runtime, no cryptography.
 *
 *   restore_model MODEL PAYLOAD
 *
 * MODEL is the public .tflite, PAYLOAD the lock as its sidecar holds it, decrypted by
 * the host (examples/write_payload.py stands in for it). What edgepro_restore() leaves
 * in memory is the authorized model: hand it to what takes a buffer, such as
 * TfLiteModelCreate(), LiteRtCreateModelFromBuffer() or MediaPipe's model_asset_buffer.
 */
#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edgepro.h"

typedef struct {
  void* data;
  size_t size;
} mapping;

/* Maps privately: writes stay in this process, and pages that restoring does not touch
 * stay shared with the page cache. Returns 1 on success. */
static int map_file(const char* path, mapping* out) {
  struct stat status;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  int done = descriptor >= 0 && fstat(descriptor, &status) == 0 && status.st_size > 0;
  if (done) {
    out->size = (size_t)status.st_size;
    out->data =
        mmap(NULL, out->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, descriptor, 0);
    done = out->data != MAP_FAILED;
  }
  if (descriptor >= 0) close(descriptor);
  if (!done) fprintf(stderr, "cannot read %s\n", path);
  return done;
}

/* Parses the payload, and wipes the copy of it that this program holds. */
static edgepro_lock* read_lock(const char* path) {
  char error[256];
  mapping payload;
  edgepro_lock* lock = NULL;
  if (!map_file(path, &payload)) return NULL;
  if (edgepro_lock_parse(payload.data, payload.size, &lock, error, sizeof error) !=
      EDGEPRO_OK) {
    fprintf(stderr, "%s\n", error);
  }
  edgepro_wipe(payload.data, payload.size);
  munmap(payload.data, payload.size);
  return lock;
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s MODEL PAYLOAD\n", argv[0]);
    return 2;
  }
  mapping model;
  edgepro_lock* lock = read_lock(argv[2]);
  if (lock == NULL || !map_file(argv[1], &model)) {
    edgepro_lock_free(lock);
    return 1;
  }
  char error[256];
  uint64_t rewritten = 0;
  edgepro_status status =
      edgepro_restore(lock, model.data, model.size, 0, &rewritten, error, sizeof error);
  if (status == EDGEPRO_OK) {
    printf("core %s restored %zu constants: rewrote %" PRIu64
           " of %zu bytes, fingerprint %08" PRIx32 "\n",
           edgepro_version(), edgepro_lock_record_count(lock), rewritten, model.size,
           edgepro_fingerprint(model.data, model.size));
    /* Use model.data here. */
  } else {
    fprintf(stderr, "%s\n", error);
  }
  edgepro_lock_free(lock);
  munmap(model.data, model.size);
  return status == EDGEPRO_OK ? 0 : 1;
}
