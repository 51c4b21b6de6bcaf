/* What a delegate has restored: copies of constants, and where they came from. */
#ifndef EDGEPRO_RESTORED_H
#define EDGEPRO_RESTORED_H

#include "context.h"
#include "message.h"
#include "payload.h"

typedef struct {
  void* original; /* the public bytes; NULL until its subgraph is seen */
  uint8_t* copy;  /* the restored ones */
  size_t size;
} restored_constant;

typedef struct copies copies; /* one allocation that holds some of the copies */

typedef struct {
  edgepro_lock* lock;
  restored_constant* of_record;    /* [lock->count] */
  uint32_t count;                  /* records restored */
  restored_constant** by_original; /* those of constant data, in order of address */
  uint32_t shared_count;
  copies* first_copies;
} restored;

/* Takes the lock over, also where it fails. */
edgepro_status restored_begin(restored* all, edgepro_lock* lock, message* out);
void restored_end(restored* all);
int restored_is_complete(const restored* all);

/* Whether every record of the subgraph finds its public bytes in the context. */
int subgraph_fits(const restored* all, const TfLiteContext* context, uint32_t subgraph);

/* Restores all records of a subgraph that fits. On failure nothing was changed. */
edgepro_status restore_subgraph(restored* all, TfLiteContext* context,
                                uint32_t subgraph, message* out);

/* The constant whose public bytes stand at this address, or NULL. */
const restored_constant* find_by_original(const restored* all, const void* address);

#endif /* EDGEPRO_RESTORED_H */
