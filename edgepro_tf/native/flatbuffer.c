/* Field numbers are those of TFLite's schema.fbs. A position of 0 means "absent": no
 * table, vector or field can stand there, the root offset does. */
#include "flatbuffer.h"

#include <string.h>

enum { MODEL_SUBGRAPHS = 2, MODEL_BUFFERS = 4, SUBGRAPH_TENSORS = 0 };
enum { TENSOR_BUFFER = 2, TENSOR_QUANTIZATION = 4, QUANTIZATION_SCALE = 2 };
enum { BUFFER_DATA = 0, BUFFER_OFFSET = 1, BUFFER_SIZE = 2 };

typedef struct {
  size_t start;
  uint32_t count;
} vector;

static int is_inside(flatbuffer* file, uint64_t position, uint64_t size) {
  if (position <= file->size && size <= file->size - position) return 1;
  file->is_damaged = 1;
  return 0;
}

static uint64_t read_number(flatbuffer* file, uint64_t position, size_t size) {
  uint64_t number = 0;
  if (is_inside(file, position, size)) memcpy(&number, file->data + position, size);
  return number;
}

/* The place that the 32-bit offset at `position` points to. */
static size_t follow(flatbuffer* file, size_t position) {
  if (position == 0) return 0;
  uint64_t place = position + read_number(file, position, 4);
  return is_inside(file, place, 4) ? (size_t)place : 0;
}

static size_t find_field(flatbuffer* file, size_t table, int number) {
  if (table == 0) return 0;
  int64_t distance = (int32_t)(uint32_t)read_number(file, table, 4);
  int64_t vtable = (int64_t)table - distance, slot = 4 + 2 * (int64_t)number;
  if (vtable < 0) {
    file->is_damaged = 1;
    return 0;
  }
  int64_t vtable_size = (int64_t)read_number(file, (uint64_t)vtable, 2);
  if (slot + 2 > vtable_size) return 0;
  uint64_t offset = read_number(file, (uint64_t)(vtable + slot), 2);
  return offset != 0 && is_inside(file, table + offset, 1) ? table + (size_t)offset : 0;
}

static uint64_t read_field(flatbuffer* file, size_t table, int number, size_t size) {
  size_t field = find_field(file, table, number);
  return field == 0 ? 0 : read_number(file, field, size);
}

static vector find_vector(flatbuffer* file, size_t table, int number, size_t element) {
  vector found = {0, 0};
  size_t position = follow(file, find_field(file, table, number));
  if (position == 0) return found;
  uint64_t count = read_number(file, position, 4);
  if (!is_inside(file, (uint64_t)position + 4, count * element)) return found;
  found.start = position + 4;
  found.count = (uint32_t)count;
  return found;
}

static size_t find_table(flatbuffer* file, vector tables, uint32_t index) {
  if (index >= tables.count) return 0;
  return follow(file, tables.start + (size_t)index * 4);
}

static size_t find_root(flatbuffer* file) { return (size_t)read_number(file, 0, 4); }

static vector find_tensors(flatbuffer* file, uint32_t subgraph) {
  vector subgraphs = find_vector(file, find_root(file), MODEL_SUBGRAPHS, 4);
  return find_vector(file, find_table(file, subgraphs, subgraph), SUBGRAPH_TENSORS, 4);
}

static vector find_scales(flatbuffer* file, size_t tensor) {
  size_t quantization = follow(file, find_field(file, tensor, TENSOR_QUANTIZATION));
  return find_vector(file, quantization, QUANTIZATION_SCALE, sizeof(float));
}

int flatbuffer_open(flatbuffer* file, const void* data, size_t size) {
  file->data = data;
  file->size = size;
  file->is_damaged = 0;
  return size >= 8 && memcmp(file->data + 4, "TFL3", 4) == 0;
}

static int find_constant(flatbuffer* file, size_t tensor, span* found) {
  uint32_t index = (uint32_t)read_field(file, tensor, TENSOR_BUFFER, 4);
  vector buffers = find_vector(file, find_root(file), MODEL_BUFFERS, 4);
  size_t buffer = find_table(file, buffers, index);
  vector data = find_vector(file, buffer, BUFFER_DATA, 1);
  found->offset = data.start;
  found->size = data.count;
  if (found->size > 0 || buffer == 0) return found->size > 0;
  /* Files beyond 2 GB keep constants behind the flatbuffer. */
  uint64_t offset = read_field(file, buffer, BUFFER_OFFSET, 8);
  uint64_t size = read_field(file, buffer, BUFFER_SIZE, 8);
  if (offset <= 1 || size == 0 || !is_inside(file, offset, size)) return 0;
  found->offset = (size_t)offset;
  found->size = (size_t)size;
  return 1;
}

int flatbuffer_find(flatbuffer* file, const record* r, span* found) {
  size_t tensor = find_table(file, find_tensors(file, r->subgraph), r->tensor);
  if (tensor == 0) return 0;
  if (r->target == TARGET_DATA) {
    return find_constant(file, tensor, found) && !file->is_damaged;
  }
  vector scales = find_scales(file, tensor);
  found->offset = scales.start;
  found->size = (size_t)scales.count * sizeof(float);
  return found->size > 0 && !file->is_damaged;
}

size_t flatbuffer_count_scale_users(flatbuffer* file, size_t offset) {
  size_t users = 0;
  vector subgraphs = find_vector(file, find_root(file), MODEL_SUBGRAPHS, 4);
  for (uint32_t s = 0; s < subgraphs.count; s++) {
    vector tensors = find_tensors(file, s);
    for (uint32_t t = 0; t < tensors.count && !file->is_damaged; t++) {
      users += find_scales(file, find_table(file, tensors, t)).start == offset;
    }
  }
  return users;
}
