#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#endif

#include "parallel.h"

#if defined(_WIN32)

void parallel_for(int threads, size_t count,
                  void (*work)(void* context, size_t i, int worker), void* context) {
  (void)threads;
  for (size_t i = 0; i < count; i++) work(context, i, 0);
}

#else

typedef struct {
  pthread_mutex_t mutex;
  size_t next, count;
  void (*work)(void*, size_t, int);
  void* context;
} loop;

typedef struct {
  loop* shared;
  int worker;
  pthread_t thread;
} worker_state;

static void* run_worker(void* argument) {
  const worker_state* self = argument;
  loop* shared = self->shared;
  for (;;) {
    pthread_mutex_lock(&shared->mutex);
    size_t i = shared->next;
    if (i < shared->count) shared->next++;
    pthread_mutex_unlock(&shared->mutex);
    if (i >= shared->count) return NULL;
    shared->work(shared->context, i, self->worker);
  }
}

void parallel_for(int threads, size_t count,
                  void (*work)(void* context, size_t i, int worker), void* context) {
  loop shared = {PTHREAD_MUTEX_INITIALIZER, 0, count, work, context};
  worker_state workers[PARALLEL_MAX_THREADS];
  int started = 1;
  if (threads > PARALLEL_MAX_THREADS) threads = PARALLEL_MAX_THREADS;
  for (; started < threads && (size_t)started < count; started++) {
    worker_state* self = &workers[started];
    self->shared = &shared;
    self->worker = started;
    if (pthread_create(&self->thread, NULL, run_worker, self) != 0) break;
  }
  workers[0].shared = &shared;
  workers[0].worker = 0;
  run_worker(&workers[0]);
  while (--started > 0) pthread_join(workers[started].thread, NULL);
  pthread_mutex_destroy(&shared.mutex);
}

#endif
