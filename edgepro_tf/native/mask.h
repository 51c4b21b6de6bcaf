/* docs/payload.md, "Mask": a sign for every element, in place. */
#ifndef EDGEPRO_MASK_H
#define EDGEPRO_MASK_H

#include "draws.h"
#include "elements.h"
#include "steps.h"

enum { MASK_CHUNK = 1 << 16 }; /* elements with a stream of their own */

typedef struct {
  draws stream;
  size_t element;
  sign_flip flip;
} mask_stream;

void mask_begin(mask_stream* mask, const job* work, size_t chunk);
/* Flips data's elements [first, first + count): the stream's next group. `first` is a
 * multiple of MASK_GROUP, and only a tensor's last group may be shorter. */
void mask_group(mask_stream* mask, void* data, size_t first, size_t count);
void mask_end(mask_stream* mask);

/* Masks the whole of a record's data. */
void mask_all(const job* work, void* data);

#endif /* EDGEPRO_MASK_H */
