/* Error sentences: "cannot <do what>: expected <rule>, got <fact>. <Next step>." */
#ifndef EDGEPRO_MESSAGE_H
#define EDGEPRO_MESSAGE_H

#include <stddef.h>

#include "edgepro.h"

/* Where a caller wants the sentence; `text` may be NULL. */
typedef struct {
  char* text;
  size_t size;
} message;

enum { MESSAGE_SIZE = 320 };

extern const char kWrongModel[];

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
edgepro_status fail(message* out, edgepro_status status, const char* format, ...);

edgepro_status fail_out_of_memory(message* out, const char* verb, size_t size);

#endif /* EDGEPRO_MESSAGE_H */
