/* A loop whose turns run on several threads. */
#ifndef EDGEPRO_PARALLEL_H
#define EDGEPRO_PARALLEL_H

#include <stddef.h>

enum { PARALLEL_MAX_THREADS = 16 };

/* Calls work(context, i) once for each i below count, on up to `threads` threads.
 * The calling thread takes part; where no thread can be started it does all. */
void parallel_for(int threads, size_t count, void (*work)(void* context, size_t i),
                  void* context);

/* Threads that can run at a time: 1 where none are started (Windows). */
int processor_count(void);

#endif /* EDGEPRO_PARALLEL_H */
