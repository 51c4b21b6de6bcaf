#include "elements.h"

#include <string.h>

#include "payload.h"

sign_flip sign_flip_of(uint8_t element_type) {
  sign_flip of_integers = {UINT64_MAX, 1}, of_halves = {0x8000, 0},
            of_floats = {0x80000000u, 0};
  if (element_type == TYPE_FLOAT32) return of_floats;
  return element_type == TYPE_FLOAT16 ? of_halves : of_integers;
}

#define WORD uint8_t
#define OF_WIDTH(name) name##_1
#include "element_kernels.h"
#define WORD uint16_t
#define OF_WIDTH(name) name##_2
#include "element_kernels.h"
#define WORD uint32_t
#define OF_WIDTH(name) name##_4
#include "element_kernels.h"
#define WORD uint64_t
#define OF_WIDTH(name) name##_8
#include "element_kernels.h"

#define FOR_WIDTH(element, name, ...) \
  switch (element) {                  \
    case 1:                           \
      name##_1(__VA_ARGS__);          \
      break;                          \
    case 2:                           \
      name##_2(__VA_ARGS__);          \
      break;                          \
    case 4:                           \
      name##_4(__VA_ARGS__);          \
      break;                          \
    default:                          \
      name##_8(__VA_ARGS__);          \
      break;                          \
  }

void move_row(size_t element, void* to, const void* from, size_t count,
              const sign_flip* flip) {
  if (flip == NULL) {
    memcpy(to, from, count * element);
  } else {
    FOR_WIDTH(element, flip_row, to, from, count, *flip)
  }
}

void pick_elements(size_t element, void* to, const void* from, size_t count,
                   const uint32_t* picks) {
  FOR_WIDTH(element, pick, to, from, count, picks)
}

void pick_signed(size_t element, void* to, const void* from, size_t count,
                 const uint32_t* picks, const uint32_t* drawn, const uint32_t* signs,
                 sign_flip flip) {
  FOR_WIDTH(element, pick_signed, to, from, count, picks, drawn, signs, flip)
}

void gather_column(size_t element, void* tile, size_t column, const void* block,
                   const uint8_t order[TILE_ROWS]) {
  FOR_WIDTH(element, gather, tile, column, block, order)
}

void scatter_column(size_t element, const void* tile, size_t column, void* block,
                    const uint8_t order[TILE_ROWS]) {
  FOR_WIDTH(element, scatter, tile, column, block, order)
}

void flip_tile(size_t element, void* tile, uint32_t signs[2][TILE_ROW_BYTES],
               sign_flip flip) {
  FOR_WIDTH(element, flip_all, tile, signs, flip)
}
