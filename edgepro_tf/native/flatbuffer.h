/* Finds constants in a .tflite, believing none of its offsets. */
#ifndef EDGEPRO_FLATBUFFER_H
#define EDGEPRO_FLATBUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "payload.h"

typedef struct {
  const uint8_t* data;
  size_t size;
  int is_damaged; /* sticky: an offset led out of the file */
} flatbuffer;

typedef struct {
  size_t offset, size; /* bytes, inside the file */
} span;

/* Whether the bytes have the identifier TFL3. */
int flatbuffer_open(flatbuffer* file, const void* data, size_t size);

/* Finds the bytes a record names. 0: no such constant, or is_damaged. */
int flatbuffer_find(flatbuffer* file, const record* r, span* found);

/* Tensors of the file whose vector of scales begins at `offset`. */
size_t flatbuffer_count_scale_users(flatbuffer* file, size_t offset);

#endif /* EDGEPRO_FLATBUFFER_H */
