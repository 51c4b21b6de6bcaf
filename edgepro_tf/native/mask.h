/* docs/payload.md, "Mask": every element's own sign and power of two, in place. */
#ifndef EDGEPRO_MASK_H
#define EDGEPRO_MASK_H

#include "draws.h"
#include "steps.h"

/* Elements with a stream of their own, and those that one draw of it is for. */
enum { MASK_CHUNK = 1 << 16, MASK_GROUP = 1024 };

typedef struct {
  draws stream;
  draws again; /* for bytes that an int8 mask draws again */
  const record* record;
  direction way;
} mask_stream;

void mask_begin(mask_stream* mask, const job* work, size_t chunk);
/* Masks data's elements [first, first + count): the stream's next group. `first` is a
 * multiple of MASK_GROUP, and only a tensor's last group may be shorter. */
void mask_group(mask_stream* mask, void* data, size_t first, size_t count);
void mask_end(mask_stream* mask);

/* Masks the whole of a record's data. */
void mask_all(const job* work, void* data);

#endif /* EDGEPRO_MASK_H */
