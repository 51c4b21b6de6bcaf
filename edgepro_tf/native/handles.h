/* Locks on their way from the host to a delegate, each under a single-use number. */
#ifndef EDGEPRO_HANDLES_H
#define EDGEPRO_HANDLES_H

#include <stdint.h>

#include "payload.h"

/* Hands out the lock, which the caller owns from now on; NULL for a number that was
 * never given, or was used or discarded. */
edgepro_lock* take_over(uint64_t handle);

#endif /* EDGEPRO_HANDLES_H */
