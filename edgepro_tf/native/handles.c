#if defined(_WIN32)
#include <windows.h>
static SRWLOCK mutex = SRWLOCK_INIT;
static void enter(void) { AcquireSRWLockExclusive(&mutex); }
static void leave(void) { ReleaseSRWLockExclusive(&mutex); }
#else
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static void enter(void) { pthread_mutex_lock(&mutex); }
static void leave(void) { pthread_mutex_unlock(&mutex); }
#endif

#include "handles.h"

#include <stdlib.h>

#include "message.h"

typedef struct entry {
  struct entry* next;
  uint64_t handle;
  edgepro_lock* lock;
} entry;

static entry* entries;
static uint64_t last_handle;

uint64_t edgepro_hand_over(const void* payload, size_t size, char* error,
                           size_t error_size) {
  message out = {error, error_size};
  edgepro_lock* lock;
  if (edgepro_lock_parse(payload, size, &lock, error, error_size) != EDGEPRO_OK)
    return 0;
  entry* added = malloc(sizeof *added);
  if (added == NULL) {
    edgepro_lock_free(lock);
    fail_out_of_memory(&out, "restore", sizeof *added);
    return 0;
  }
  added->lock = lock;
  enter();
  uint64_t handle = added->handle = ++last_handle;
  added->next = entries;
  entries = added;
  leave();
  return handle;
}

edgepro_lock* take_over(uint64_t handle) {
  entry* found = NULL;
  enter();
  for (entry** link = &entries; *link != NULL; link = &(*link)->next) {
    if ((*link)->handle != handle) continue;
    found = *link;
    *link = found->next;
    break;
  }
  leave();
  edgepro_lock* lock = found == NULL ? NULL : found->lock;
  free(found);
  return lock;
}

void edgepro_discard(uint64_t handle) { edgepro_lock_free(take_over(handle)); }
