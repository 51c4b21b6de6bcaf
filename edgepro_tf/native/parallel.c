#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#define _DARWIN_C_SOURCE /* macOS has _SC_NPROCESSORS_ONLN beside POSIX' own */
#include <pthread.h>
#include <unistd.h>
#endif

#include "parallel.h"

#if defined(_WIN32)

void parallel_for(int threads, size_t count, void (*work)(void* context, size_t i),
                  void* context) {
  (void)threads;
  for (size_t i = 0; i < count; i++) work(context, i);
}

int processor_count(void) { return 1; }

#else

typedef struct {
  pthread_mutex_t mutex;
  size_t next, count;
  void (*work)(void*, size_t);
  void* context;
} loop;

static void* take_turns(void* argument) {
  loop* shared = argument;
  for (;;) {
    pthread_mutex_lock(&shared->mutex);
    size_t i = shared->next;
    if (i < shared->count) shared->next++;
    pthread_mutex_unlock(&shared->mutex);
    if (i >= shared->count) return NULL;
    shared->work(shared->context, i);
  }
}

void parallel_for(int threads, size_t count, void (*work)(void* context, size_t i),
                  void* context) {
  loop shared = {PTHREAD_MUTEX_INITIALIZER, 0, count, work, context};
  pthread_t others[PARALLEL_MAX_THREADS];
  int started = 0;
  if (threads > PARALLEL_MAX_THREADS) threads = PARALLEL_MAX_THREADS;
  while (started + 1 < threads && (size_t)started + 1 < count) {
    if (pthread_create(&others[started], NULL, take_turns, &shared) != 0) break;
    started++;
  }
  take_turns(&shared);
  while (started > 0) pthread_join(others[--started], NULL);
  pthread_mutex_destroy(&shared.mutex);
}

int processor_count(void) {
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count < PARALLEL_MAX_THREADS ? (int)count : PARALLEL_MAX_THREADS;
}

#endif
