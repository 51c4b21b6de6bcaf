/* Making the delegate that restores one interpreter. */
#ifndef EDGEPRO_DELEGATE_H
#define EDGEPRO_DELEGATE_H

#include "message.h"
#include "payload.h"

struct TfLiteDelegate;

/* Takes the lock over, also where it fails (NULL). */
struct TfLiteDelegate* delegate_create(edgepro_lock* lock, message* out);

#endif /* EDGEPRO_DELEGATE_H */
