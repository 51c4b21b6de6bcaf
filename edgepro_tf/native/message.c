#include "message.h"

#include <stdarg.h>
#include <stdio.h>

const char kWrongModel[] =
    "cannot restore this model: the sidecar belongs to another model file: expected "
    "the constants that its lock was made for, got others. Ship the pair that one "
    "conversion wrote.";

edgepro_status fail(message* out, edgepro_status status, const char* format, ...) {
  if (out->text != NULL && out->size > 0) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out->text, out->size, format, arguments);
    va_end(arguments);
  }
  return status;
}

edgepro_status fail_out_of_memory(message* out, const char* verb, size_t size) {
  return fail(
      out, EDGEPRO_OUT_OF_MEMORY,
      "cannot %s this model: expected %zu bytes of free memory, got less. Close "
      "other programs, or use a smaller model.",
      verb, size);
}
