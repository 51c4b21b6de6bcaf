/* docs/payload.md, "Element-wise", 4,096 elements and more: 16 or more blocks are
 * gathered into a tile whose rows then go out as whole cache lines. */
#include <string.h>

#include "draws.h"
#include "elements.h"
#include "steps.h"

enum { BLOCK = 64, CHUNK_BLOCKS = 1024, PREFETCH_BLOCKS = 12 };

#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)(address))
#endif

typedef struct {
  uint32_t swaps[BLOCK]; /* t_i for i = 64 B + j */
  uint32_t signs[2];
} tail_draws;

/* Stands at the scratch's start, `order` behind it. */
typedef struct {
  const job* work;
  size_t element, blocks, tail;
  uint32_t* order; /* P: which public block holds class b */
  int has_signs;
  sign_flip flip;
  tail_draws drawn;
} shuffle;

size_t shuffle_scratch_bytes(const record* r) {
  return sizeof(shuffle) + element_count(r) / BLOCK * sizeof(uint32_t);
}

size_t shuffle_piece_count(const record* r) {
  return (element_count(r) / BLOCK + CHUNK_BLOCKS - 1) / CHUNK_BLOCKS;
}

static uint8_t* public_block(const shuffle* s, size_t b) {
  uint8_t* data = s->work->way == RESTORE ? s->work->source : s->work->destination;
  return data + (size_t)s->order[b] * BLOCK * s->element;
}

static void prefetch_block(const shuffle* s, size_t b) {
  if (b >= s->blocks) return;
  const uint8_t* block = public_block(s, b);
  for (size_t i = 0; i < BLOCK * s->element; i += BLOCK) PREFETCH(block + i);
}

/* Rows of the tile <-> the 64 classes of places of the restored tensor. */
static void move_tile(const shuffle* s, uint8_t* tile, size_t first, size_t columns) {
  size_t stride = s->blocks * s->element, bytes = columns * s->element;
  size_t start = first * s->element;
  if (s->work->way == RESTORE) {
    uint8_t* to = (uint8_t*)s->work->destination + start;
    for (size_t j = 0; j < BLOCK; j++, to += stride, tile += TILE_ROW_BYTES) {
      if (bytes == TILE_ROW_BYTES) {
        memcpy(to, tile, TILE_ROW_BYTES); /* the size is known: four moves */
      } else {
        memcpy(to, tile, bytes);
      }
    }
  } else {
    const uint8_t* from = (const uint8_t*)s->work->source + start;
    for (size_t j = 0; j < BLOCK; j++, from += stride, tile += TILE_ROW_BYTES) {
      memcpy(tile, from, bytes);
    }
  }
}

/* Permutes one tile's blocks into (RESTORE) or out of its columns. */
static void permute_tile(const shuffle* s, draws* stream, uint8_t* tile, size_t first,
                         size_t columns) {
  uint8_t orders[TILE_ROW_BYTES][BLOCK];
  uint32_t signs[2][TILE_ROW_BYTES] = {{0}};
  for (size_t column = 0; column < columns; column++) {
    draw_block(stream, orders[column]);
    if (!s->has_signs) continue;
    signs[0][column] = draw_word(stream);
    signs[1][column] = draw_word(stream);
  }
  if (s->work->way == APPLY && s->has_signs)
    flip_tile(s->element, tile, signs, s->flip);
  for (size_t column = 0; column < columns; column++) {
    uint8_t* block = public_block(s, first + column);
    prefetch_block(s, first + column + PREFETCH_BLOCKS);
    if (s->work->way == RESTORE) {
      gather_column(s->element, tile, column, block, orders[column]);
    } else {
      scatter_column(s->element, tile, column, block, orders[column]);
    }
  }
  if (s->work->way == RESTORE && s->has_signs) {
    flip_tile(s->element, tile, signs, s->flip);
  }
}

void shuffle_run_piece(const job* work, size_t chunk) {
  const record* r = record_of(work);
  const shuffle* s = work->scratch;
  size_t first = chunk * CHUNK_BLOCKS, width = TILE_ROW_BYTES / s->element;
  size_t end = s->blocks - first < CHUNK_BLOCKS ? s->blocks : first + CHUNK_BLOCKS;
  uint64_t words[TILE_ROWS * TILE_ROW_BYTES / sizeof(uint64_t)] = {0};
  uint8_t* tile = (uint8_t*)words;
  draws stream;
  draws_begin(&stream, r->seed, r->nonce, 1 + (uint32_t)chunk, DRAWS_FIRST);
  for (; first < end; first += width) {
    size_t columns = end - first < width ? end - first : width;
    if (work->way == APPLY) move_tile(s, tile, first, columns);
    permute_tile(s, &stream, tile, first, columns);
    if (work->way == RESTORE) move_tile(s, tile, first, columns);
  }
  draws_end(&stream);
}

static void swap_elements(uint8_t* data, size_t a, size_t b, size_t element) {
  uint8_t kept[sizeof(uint64_t)];
  memcpy(kept, data + a * element, element);
  memmove(data + a * element, data + b * element, element);
  memcpy(data + b * element, kept, element);
}

static void move_tail(const shuffle* s) {
  const job* work = s->work;
  size_t start = s->blocks * BLOCK * s->element;
  const uint8_t* from = (const uint8_t*)work->source + start;
  uint8_t* to = (uint8_t*)work->destination + start;
  for (size_t j = 0; j < s->tail; j++, from += s->element, to += s->element) {
    move_row(s->element, to, from, 1, draws_bit(s->drawn.signs, j) ? &s->flip : NULL);
  }
}

void shuffle_prepare(const job* work) {
  const record* r = record_of(work);
  size_t count = element_count(r);
  shuffle* s = work->scratch;
  memset(s, 0, sizeof *s);
  s->work = work;
  s->element = element_size(r);
  s->blocks = count / BLOCK;
  s->tail = count % BLOCK;
  s->order = (uint32_t*)(s + 1);
  s->has_signs = (r->steps & STEP_SIGNS) != 0;
  s->flip = sign_flip_of(r->type);
  size_t first = s->blocks * BLOCK;
  draws stream;
  draws_begin(&stream, r->seed, r->nonce, 0, DRAWS_FIRST);
  for (size_t j = s->tail; j-- > 0;) {
    s->drawn.swaps[j] = draw_below(&stream, (uint32_t)(first + j + 1));
  }
  if (s->has_signs) draw_words(&stream, s->drawn.signs, 2);
  draw_permutation(&stream, s->order, (uint32_t)s->blocks);
  draws_end(&stream);
  for (size_t j = s->tail; work->way == APPLY && j-- > 0;) {
    swap_elements(work->source, first + j, s->drawn.swaps[j], s->element);
  }
}

void shuffle_finish(const job* work) {
  const shuffle* s = work->scratch;
  size_t first = s->blocks * BLOCK;
  move_tail(s);
  for (size_t j = 0; work->way == RESTORE && j < s->tail; j++) {
    swap_elements(work->destination, first + j, s->drawn.swaps[j], s->element);
  }
}
