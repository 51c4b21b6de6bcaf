/* Memory for restored constants, and the pages of the public ones behind them. */
#ifndef EDGEPRO_MEMORY_H
#define EDGEPRO_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Memory for constants' copies; NULL without. free() ends it. In large pages where the
 * system has them and few are enough: faults of small ones cost more than restoring. */
void* allocate_copies(size_t size);

/* What the system maps at some address. */
typedef struct {
  uintptr_t start, end;
  int is_file; /* a shared mapping of one */
} mapping;

/* Lets the system take back the pages of [start, start + size) where they belong to a
 * shared mapping of a file, whose contents cannot be lost by that. Does nothing about
 * any other memory. `last` is the mapping that the call before found, zeros at first: to
 * search for it takes longer than to give pages back. */
void release_file_pages(const void* start, size_t size, mapping* last);

#endif /* EDGEPRO_MEMORY_H */
