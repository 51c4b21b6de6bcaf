/* The steps of many records, their pieces shared out among threads. */
#ifndef EDGEPRO_TASKS_H
#define EDGEPRO_TASKS_H

#include "steps.h"

typedef struct {
  uint32_t record;   /* its number in the lock */
  void* source;      /* as in job; NULL: what `destination` holds now */
  void* destination; /* as in job */
} task;

/* Returns 0, and has written nothing, where there is no memory for the work;
 * *bytes_wanted then says how much there should have been. */
int run_tasks(const edgepro_lock* lock, direction way, const task* tasks, size_t count,
              int threads, size_t* bytes_wanted);

/* As many threads as this work is worth: 1 to 4, at most a processor each. */
int threads_for(size_t bytes);

#endif /* EDGEPRO_TASKS_H */
