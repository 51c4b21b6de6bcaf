#include "tasks.h"

#include <stdlib.h>
#include <string.h>

#include "edgepro.h"
#include "parallel.h"

/* Less is not worth a thread: 1 MB takes half a millisecond, a thread a tenth. */
enum { BYTES_A_THREAD = 1 << 20, MOST_THREADS = 4 };
/* Memory that tasks work in together; one that needs more has it for itself. Bounded
 * for phones, where all of a model's is much, and 32 bits do not count it. */
enum { MOST_TOGETHER = 1 << 26 };

/* Tasks that are under way together: as many as the largest one's copy has room for the
 * copies of, or one where there is one thread, so that all work in the same memory. */
typedef struct {
  job* jobs;
  size_t* first_pieces;
  size_t count;
} batch;

static size_t rounded(size_t bytes) { return (bytes + 7) & ~(size_t)7; }

static size_t copy_bytes(const edgepro_lock* lock, const task* one) {
  return one->source == NULL ? rounded(record_bytes(&lock->records[one->record])) : 0;
}

static size_t working_bytes(const edgepro_lock* lock, const task* one) {
  return rounded(scratch_bytes(&lock->records[one->record])) + copy_bytes(lock, one);
}

/* How many of the tasks go together, and the memory they work in. */
static size_t batch_size(const edgepro_lock* lock, const task* tasks, size_t count,
                         int threads, size_t largest_copy, size_t* bytes) {
  size_t size = 0, copies = 0;
  *bytes = 0;
  if (threads == 1 && count > 1) count = 1;
  for (; size < count; size++) {
    uint64_t together = (uint64_t)*bytes + working_bytes(lock, &tasks[size]);
    copies += copy_bytes(lock, &tasks[size]);
    if (copies > largest_copy || (size > 0 && together > MOST_TOGETHER)) break;
    *bytes = (size_t)together;
  }
  return size;
}

static void run_some(void* context, size_t piece) {
  const batch* all = context;
  size_t low = 0, high = all->count;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (all->first_pieces[middle] <= piece) {
      low = middle;
    } else {
      high = middle;
    }
  }
  run_piece(&all->jobs[low], piece - all->first_pieces[low]);
}

static void run_batch(const batch* all, uint8_t* working, int threads) {
  size_t pieces = 0;
  for (size_t i = 0; i < all->count; i++) {
    job* work = &all->jobs[i];
    const record* r = record_of(work);
    work->scratch = working;
    working += rounded(scratch_bytes(r));
    if (work->source == NULL) {
      memcpy(working, work->destination, record_bytes(r));
      work->source = working;
      working += rounded(record_bytes(r));
    }
    all->first_pieces[i] = pieces;
    pieces += piece_count(r);
    prepare_steps(work);
  }
  parallel_for(threads, pieces, run_some, (void*)all);
  for (size_t i = 0; i < all->count; i++) finish_steps(&all->jobs[i]);
}

static void run_batches(const edgepro_lock* lock, direction way, const task* tasks,
                        size_t count, size_t largest_copy, int threads, batch* all,
                        uint8_t* working) {
  while (count > 0) {
    size_t bytes;
    all->count = batch_size(lock, tasks, count, threads, largest_copy, &bytes);
    for (size_t i = 0; i < all->count; i++) {
      job work = {lock, tasks[i].record, way, tasks[i].source, tasks[i].destination,
                  NULL};
      all->jobs[i] = work;
    }
    run_batch(all, working, threads);
    tasks += all->count;
    count -= all->count;
  }
}

int threads_for(size_t bytes) {
  size_t worth = bytes / BYTES_A_THREAD;
  int threads = worth < MOST_THREADS ? (int)worth : MOST_THREADS;
  if (threads <= 1) return 1; /* without asking the system, which reads a file */
  int processors = processor_count();
  if (processors < threads) threads = processors;
  return threads < 1 ? 1 : threads;
}

int run_tasks(const edgepro_lock* lock, direction way, const task* tasks, size_t count,
              int threads, size_t* bytes_wanted) {
  size_t largest_copy = 0, most = 8;
  for (size_t i = 0; i < count; i++) {
    size_t bytes = copy_bytes(lock, &tasks[i]);
    if (bytes > largest_copy) largest_copy = bytes;
  }
  for (size_t i = 0; i < count;) {
    size_t bytes;
    i += batch_size(lock, tasks + i, count - i, threads, largest_copy, &bytes);
    if (bytes > most) most = bytes;
  }
  uint8_t* working = malloc(most);
  batch all = {malloc(count * sizeof *all.jobs), malloc(count * sizeof(size_t)), 0};
  int is_ready = working != NULL && all.jobs != NULL && all.first_pieces != NULL;
  if (is_ready) {
    run_batches(lock, way, tasks, count, largest_copy, threads, &all, working);
    edgepro_wipe(working, most);
  }
  free(working);
  free(all.jobs);
  free(all.first_pieces);
  *bytes_wanted = most + count * (sizeof *all.jobs + sizeof(size_t));
  return is_ready;
}
