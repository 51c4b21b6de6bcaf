/* Looking into a subgraph of a live interpreter, believing nothing before a look. */
#ifndef EDGEPRO_CONTEXT_H
#define EDGEPRO_CONTEXT_H

#include "payload.h"
#include "tflite_abi.h"

/* Whether the struct looks as tflite_abi.h declares it. */
int has_known_layout(const TfLiteContext* context);

/* The bytes in memory that a record names, or NULL where the tensor is missing, its data
 * is no constant, or is of another size. Only what it returns may be read. */
void* find_target(const TfLiteContext* context, const record* r);

/* Whether another delegate, not that of Select TF, has taken nodes of this subgraph
 * already; -1 if unknown. */
int has_delegated_nodes(TfLiteContext* context);

/* Whether the subgraph has constants, and none of them from this model file. */
int is_of_other_model(const TfLiteContext* context, const void* allocation);

#endif /* EDGEPRO_CONTEXT_H */
