/* One record's steps, in both directions, over the same drawn parameters. They are
 * divided: prepare, then every piece once (in any order, on any thread), then finish.
 */
#ifndef EDGEPRO_STEPS_H
#define EDGEPRO_STEPS_H

#include <stddef.h>
#include <stdint.h>

#include "payload.h"

typedef enum { RESTORE, APPLY } direction;

/* RESTORE: source holds the public bytes. APPLY: the authorized ones; SET is left out.
 */
typedef struct {
  const edgepro_lock* lock;
  uint32_t record; /* its number */
  direction way;
  void* source;      /* must not overlap `destination`; RESTORE only reads it */
  void* destination; /* written completely */
  void* scratch;     /* scratch_bytes(), 8-byte aligned; holds secrets after */
} job;

static inline const record* record_of(const job* work) {
  return &work->lock->records[work->record];
}

size_t scratch_bytes(const record* r);
size_t piece_count(const record* r);
void prepare_steps(const job* work);
void run_piece(const job* work, size_t piece);
void finish_steps(const job* work);

/* The two families of steps. Channel-wise: rows of channels, and shuffles. */
size_t channels_scratch_bytes(const record* r);
size_t channels_piece_count(const record* r);
void channels_prepare(const job* work);
void channels_run_piece(const job* work, size_t piece);

/* Element-wise: shuffles of versions 1 and 2, of this many elements and more. */
enum { SMALLEST_BLOCK_SHUFFLE = 4096 };
size_t shuffle_scratch_bytes(const record* r);
size_t shuffle_piece_count(const record* r);
void shuffle_prepare(const job* work);
void shuffle_run_piece(const job* work, size_t piece);
void shuffle_finish(const job* work);

#endif /* EDGEPRO_STEPS_H */
