/* One record's steps, in both directions, over the same drawn parameters. */
#ifndef EDGEPRO_STEPS_H
#define EDGEPRO_STEPS_H

#include <stddef.h>
#include <stdint.h>

#include "payload.h"

typedef enum { RESTORE, APPLY } direction;

typedef struct {
  const edgepro_lock* lock;
  uint32_t record; /* its number */
  direction way;
  void* source;      /* must not overlap `to`; RESTORE only reads it */
  void* destination; /* written completely */
  void* scratch;     /* steps_scratch_bytes(), 8-byte aligned; holds secrets after */
  int threads;
} job;

/* RESTORE: source holds the public bytes. APPLY: the authorized ones; SET is left out.
 */
void run_steps(const job* work);
size_t steps_scratch_bytes(const record* r);

/* The two families of steps: rows of channels, and all elements. */
void run_channel_steps(const job* work);
size_t channel_scratch_bytes(const record* r);
enum { SMALLEST_BLOCK_SHUFFLE = 4096 };
void run_block_shuffle(const job* work);
size_t block_shuffle_scratch_bytes(const record* r);

#endif /* EDGEPRO_STEPS_H */
