/* Restores pairs with the core and C's own library alone, so that it runs anywhere.
 *
 *   restore_files {MODEL PAYLOAD AUTHORIZED} ...
 *
 * Ends with 0 where each restored model is the authorized one, byte for byte; prints what
 * the core says of a model that is none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edgepro.h"

enum { ERROR_SIZE = 320, THREADS = 4 };

typedef struct {
  uint8_t* data;
  size_t size;
} content;

static content read_file(const char* path) {
  content out = {NULL, 0};
  FILE* file = fopen(path, "rb");
  if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
    long size = ftell(file);
    rewind(file);
    out.data = size > 0 ? malloc((size_t)size) : NULL;
    if (out.data != NULL) out.size = fread(out.data, 1, (size_t)size, file);
  }
  if (file != NULL) fclose(file);
  return out;
}

static int restores(content model, content payload, content authorized) {
  char error[ERROR_SIZE] = "";
  edgepro_lock* lock;
  edgepro_status status =
      edgepro_lock_parse(payload.data, payload.size, &lock, error, sizeof error);
  if (status == EDGEPRO_OK) {
    status = edgepro_restore(lock, model.data, model.size, THREADS, NULL, error,
                             sizeof error);
  }
  edgepro_lock_free(lock);
  if (status != EDGEPRO_OK) fprintf(stderr, "%s\n", error);
  return status == EDGEPRO_OK && model.size == authorized.size &&
         memcmp(model.data, authorized.data, model.size) == 0;
}

static void say_refusal(content payload) {
  char error[ERROR_SIZE] = "", model[] = "none";
  edgepro_lock* lock;
  edgepro_lock_parse(payload.data, payload.size, &lock, error, sizeof error);
  edgepro_restore(lock, model, sizeof model, 0, NULL, error, sizeof error);
  edgepro_lock_free(lock);
  printf("%s\n", error);
}

int main(int argc, char** argv) {
  int failed = 0;
  for (int i = 1; i + 2 < argc; i += 3) {
    content files[3];
    for (int k = 0; k < 3; k++) files[k] = read_file(argv[i + k]);
    if (!restores(files[0], files[1], files[2])) {
      fprintf(stderr, "not restored: %s\n", argv[i]);
      failed = 1;
    }
    if (i + 5 >= argc) say_refusal(files[1]);
    for (int k = 0; k < 3; k++) free(files[k].data);
  }
  return failed;
}
