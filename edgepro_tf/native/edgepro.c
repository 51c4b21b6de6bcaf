#include "edgepro.h"

#include <string.h>

#define VERSION "0.1.0"

/* Called through a volatile pointer, memset cannot be proven useless and left out. */
static void* (*const volatile overwrite)(void*, int, size_t) = memset;

void edgepro_wipe(void* data, size_t size) {
  if (data != NULL && size > 0) overwrite(data, 0, size);
}

const char* edgepro_version(void) { return VERSION; }
