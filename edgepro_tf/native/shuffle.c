/* docs/payload.md, "Element-wise", 4,096 elements and more: 16 or more blocks are
 * gathered into a tile whose rows then go out as whole cache lines. */
#include <string.h>

#include "draws.h"
#include "elements.h"
#include "parallel.h"
#include "steps.h"

enum { BLOCK = 64, CHUNK_BLOCKS = 1024, PREFETCH_BLOCKS = 12 };

#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)(address))
#endif

typedef struct {
  const job* work;
  size_t element, blocks, tail;
  const uint32_t* order; /* P: which public block holds class b */
  int has_signs;
  sign_flip flip;
} shuffle;

typedef struct {
  uint32_t swaps[BLOCK]; /* t_i for i = 64 B + j */
  uint32_t signs[2];
} tail_draws;

size_t block_shuffle_scratch_bytes(const record* r) {
  return element_count(r) / BLOCK * sizeof(uint32_t);
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

static void move_chunk(void* context, size_t chunk, int worker) {
  const shuffle* s = context;
  const job* work = s->work;
  size_t first = chunk * CHUNK_BLOCKS, width = TILE_ROW_BYTES / s->element;
  size_t end = s->blocks - first < CHUNK_BLOCKS ? s->blocks : first + CHUNK_BLOCKS;
  uint64_t words[TILE_ROWS * TILE_ROW_BYTES / sizeof(uint64_t)] = {0};
  uint8_t* tile = (uint8_t*)words;
  draws stream;
  (void)worker;
  draws_begin(&stream, work->lock->seed, work->record, 1 + (uint32_t)chunk);
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

static void move_tail(const shuffle* s, const tail_draws* drawn) {
  size_t start = s->blocks * BLOCK * s->element;
  const uint8_t* from = (const uint8_t*)s->work->source + start;
  uint8_t* to = (uint8_t*)s->work->destination + start;
  for (size_t j = 0; j < s->tail; j++, from += s->element, to += s->element) {
    move_row(s->element, to, from, 1, draws_bit(drawn->signs, j) ? &s->flip : NULL);
  }
}

void run_block_shuffle(const job* work) {
  const record* r = &work->lock->records[work->record];
  size_t count = element_count(r);
  shuffle s = {work,
               element_size(r),
               count / BLOCK,
               count % BLOCK,
               work->scratch,
               (r->steps & STEP_SIGNS) != 0,
               sign_flip_of(r->type)};
  size_t first = s.blocks * BLOCK,
         chunks = (s.blocks + CHUNK_BLOCKS - 1) / CHUNK_BLOCKS;
  tail_draws tail = {{0}, {0, 0}};
  draws stream;
  draws_begin(&stream, work->lock->seed, work->record, 0);
  for (size_t j = s.tail; j-- > 0;) {
    tail.swaps[j] = draw_below(&stream, (uint32_t)(first + j + 1));
  }
  if (r->steps & STEP_SIGNS) draw_words(&stream, tail.signs, 2);
  draw_permutation(&stream, work->scratch, (uint32_t)s.blocks);
  draws_end(&stream);
  for (size_t j = s.tail; work->way == APPLY && j-- > 0;) {
    swap_elements(work->source, first + j, tail.swaps[j], s.element);
  }
  parallel_for(work->threads, chunks, move_chunk, &s);
  move_tail(&s, &tail);
  for (size_t j = 0; work->way == RESTORE && j < s.tail; j++) {
    swap_elements(work->destination, first + j, tail.swaps[j], s.element);
  }
  edgepro_wipe(&tail, sizeof tail);
}
