#include "restored.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "tasks.h"

/* XNNPACK reads up to a few vectors past a constant's end. */
enum { ALIGNMENT = 64, SLACK = 64 };
/* Bytes: a shorter run of constants is not worth the search for its mapping, a larger gap
 * is not of the run. */
enum { SMALLEST_RELEASE = 1 << 17, LARGEST_GAP = 1 << 16 };

struct copies {
  copies* next;
  size_t size; /* of this allocation */
};

static size_t padded(size_t size) {
  return (size + SLACK + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

edgepro_status restored_begin(restored* all, edgepro_lock* lock, message* out) {
  memset(all, 0, sizeof *all);
  all->lock = lock;
  all->of_record = calloc(lock->count, sizeof *all->of_record);
  all->by_original = malloc(lock->count * sizeof *all->by_original);
  if (all->of_record != NULL && all->by_original != NULL) return EDGEPRO_OK;
  size_t bytes = lock->count * sizeof *all->of_record;
  restored_end(all);
  return fail_out_of_memory(out, "restore", bytes);
}

void restored_end(restored* all) {
  while (all->first_copies != NULL) {
    copies* ended = all->first_copies;
    all->first_copies = ended->next;
    edgepro_wipe(ended, ended->size);
    free(ended);
  }
  free(all->of_record);
  free((void*)all->by_original);
  edgepro_lock_free(all->lock);
  memset(all, 0, sizeof *all);
}

int restored_is_complete(const restored* all) { return all->count == all->lock->count; }

int subgraph_fits(const restored* all, const TfLiteContext* context,
                  uint32_t subgraph) {
  const edgepro_lock* lock = all->lock;
  for (uint32_t i = 0; i < lock->count; i++) {
    const record* r = &lock->records[i];
    if (r->subgraph == subgraph && find_target(context, r) == NULL) return 0;
  }
  for (uint32_t i = 0; i < lock->count; i++) {
    const record* r = &lock->records[i];
    if (r->subgraph != subgraph) continue;
    const void* bytes = find_target(context, r);
    if (!is_fingerprint_of(r, fingerprint_of(r, bytes))) return 0;
  }
  return 1;
}

static int compare_originals(const void* left, const void* right) {
  uintptr_t a = (uintptr_t)(*(restored_constant* const*)left)->original;
  uintptr_t b = (uintptr_t)(*(restored_constant* const*)right)->original;
  return (a > b) - (a < b);
}

const restored_constant* find_by_original(const restored* all, const void* address) {
  restored_constant wanted = {(void*)address, NULL, 0}, *key = &wanted;
  restored_constant** found = bsearch(&key, (void*)all->by_original, all->shared_count,
                                      sizeof *all->by_original, compare_originals);
  return found == NULL ? NULL : *found;
}

/* One allocation for all copies of the subgraph, and a place in it for each. */
static int place_copies(restored* all, uint32_t subgraph) {
  const edgepro_lock* lock = all->lock;
  size_t size = sizeof(copies) + ALIGNMENT;
  for (uint32_t i = 0; i < lock->count; i++) {
    if (lock->records[i].subgraph != subgraph) continue;
    size += padded(record_bytes(&lock->records[i]));
    if (size > SIZE_MAX / 2) return 0; /* 32 bits: constants that overlap in the file */
  }
  copies* added = allocate_copies(size);
  if (added == NULL) return 0;
  added->next = all->first_copies;
  added->size = size;
  all->first_copies = added;
  uintptr_t start = (uintptr_t)(added + 1) + ALIGNMENT - 1;
  uint8_t* next = (uint8_t*)added + (start / ALIGNMENT * ALIGNMENT - (uintptr_t)added);
  for (uint32_t i = 0; i < lock->count; i++) {
    if (lock->records[i].subgraph != subgraph) continue;
    restored_constant* constant = &all->of_record[i];
    constant->size = record_bytes(&lock->records[i]);
    constant->copy = next;
    next += padded(constant->size);
    memset(constant->copy + constant->size, 0, padded(constant->size) - constant->size);
  }
  return 1;
}

static int fill_copies(const restored* all, uint32_t subgraph) {
  const edgepro_lock* lock = all->lock;
  size_t count = 0, bytes = 0;
  task* tasks = malloc(lock->count * sizeof *tasks);
  if (tasks == NULL) return 0;
  for (uint32_t i = 0; i < lock->count; i++) {
    if (lock->records[i].subgraph != subgraph) continue;
    task one = {i, all->of_record[i].original, all->of_record[i].copy};
    tasks[count++] = one;
    bytes += record_bytes(&lock->records[i]);
  }
  int threads = threads_for(bytes);
  int is_done = run_tasks(lock, RESTORE, tasks, count, threads, &bytes);
  free(tasks);
  return is_done;
}

static void release_run(uintptr_t first, uintptr_t end, mapping* last) {
  if (end - first < SMALLEST_RELEASE) return;
  release_file_pages((void*)first, end - first, last);
}

/* Nothing reads the public constants again, but for what little stands between them. */
static void release_originals(const restored* all) {
  uintptr_t first = 0, end = 0;
  mapping last = {0, 0, 0};
  for (uint32_t i = 0; i < all->shared_count; i++) {
    uintptr_t start = (uintptr_t)all->by_original[i]->original;
    if (start - end > LARGEST_GAP) {
      release_run(first, end, &last);
      first = start;
    }
    end = start + all->by_original[i]->size;
  }
  release_run(first, end, &last);
}

static void use_copy(TfLiteContext* context, const record* r, restored_constant* of) {
  TfLiteTensor* tensor = &context->tensors[r->tensor];
  if (r->target == TARGET_DATA) {
    tensor->data = of->copy;
    return;
  }
  memcpy(of->original, of->copy, of->size);
  if (r->channels == 1) memcpy(&tensor->params.scale, of->copy, sizeof(float));
}

static void find_originals(restored* all, const TfLiteContext* context,
                           uint32_t subgraph) {
  const edgepro_lock* lock = all->lock;
  for (uint32_t i = 0; i < lock->count; i++) {
    const record* r = &lock->records[i];
    if (r->subgraph == subgraph) all->of_record[i].original = find_target(context, r);
  }
}

static int names_constant_twice(const restored* all, uint32_t subgraph) {
  const edgepro_lock* lock = all->lock;
  restored_constant** added = all->by_original + all->shared_count;
  size_t count = 0;
  for (uint32_t i = 0; i < lock->count; i++) {
    const record* r = &lock->records[i];
    if (r->subgraph != subgraph || r->target != TARGET_DATA) continue;
    restored_constant* constant = &all->of_record[i];
    if (find_by_original(all, constant->original) != NULL) return 1;
    added[count++] = constant;
  }
  qsort((void*)added, count, sizeof *added, compare_originals);
  for (size_t i = 1; i < count; i++) {
    if (compare_originals(&added[i - 1], &added[i]) == 0) return 1;
  }
  return 0;
}

edgepro_status restore_subgraph(restored* all, TfLiteContext* context,
                                uint32_t subgraph, message* out) {
  const edgepro_lock* lock = all->lock;
  find_originals(all, context, subgraph);
  if (names_constant_twice(all, subgraph)) {
    return fail(out, EDGEPRO_WRONG_MODEL, "%s", kWrongModel);
  }
  if (!place_copies(all, subgraph) || !fill_copies(all, subgraph)) {
    return fail(out, EDGEPRO_OUT_OF_MEMORY,
                "cannot restore this model: expected memory for a copy of the "
                "protected constants, got none. Close other programs.");
  }
  for (uint32_t i = 0; i < lock->count; i++) {
    if (lock->records[i].subgraph != subgraph) continue;
    restored_constant* constant = &all->of_record[i];
    use_copy(context, &lock->records[i], constant);
    if (lock->records[i].target == TARGET_DATA) {
      all->by_original[all->shared_count++] = constant;
    }
    all->count++;
  }
  qsort((void*)all->by_original, all->shared_count, sizeof *all->by_original,
        compare_originals);
  if (!restored_is_complete(all)) return EDGEPRO_OK;
  lock_forget_secrets(all->lock);
  release_originals(all);
  return EDGEPRO_OK;
}
