/* Moving elements of 1, 2, 4 or 8 bytes, signs changed on the way.
 *
 * A sign flip is v -> (v ^ flip) + add: {top bit, 0} for floats, {all ones, 1} for
 * integers. It is its own inverse. Addresses need not be aligned. */
#ifndef EDGEPRO_ELEMENTS_H
#define EDGEPRO_ELEMENTS_H

#include <stddef.h>
#include <stdint.h>

enum { TILE_ROWS = 64, TILE_ROW_BYTES = 64 };

typedef struct {
  uint64_t flip, add;
} sign_flip;

sign_flip sign_flip_of(uint8_t element_type);

/* to[i] = from[i], all flipped or (NULL) none. */
void move_row(size_t element, void* to, const void* from, size_t count,
              const sign_flip* flip);

/* to[i] = from[picks[i]]. */
void pick_elements(size_t element, void* to, const void* from, size_t count,
                   const uint32_t* picks);
/* The same, flipped where bit drawn[i] of `signs` is set. */
void pick_signed(size_t element, void* to, const void* from, size_t count,
                 const uint32_t* picks, const uint32_t* drawn, const uint32_t* signs,
                 sign_flip flip);

/* One column of a tile of 64 rows of 64 bytes, and one block of 64 elements:
 * tile[j][column] = block[order[j]], or the inverse. */
void gather_column(size_t element, void* tile, size_t column, const void* block,
                   const uint8_t order[TILE_ROWS]);
void scatter_column(size_t element, const void* tile, size_t column, void* block,
                    const uint8_t order[TILE_ROWS]);

/* Flips tile[j][column] where bit j of its column's signs is set; signs[0] has the bits
 * 0 to 31 of every column, signs[1] the others. */
void flip_tile(size_t element, void* tile, uint32_t signs[2][TILE_ROW_BYTES],
               sign_flip flip);

#endif /* EDGEPRO_ELEMENTS_H */
