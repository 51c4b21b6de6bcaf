#if defined(__linux__)
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__)

enum { LARGE_PAGE = 1 << 21, SMALLEST_POPULATED = 1 << 16 };
/* Bytes in large pages: where the system has to make room for more, each takes
 * milliseconds. */
enum { MOST_IN_LARGE_PAGES = 1 << 25 };

#if !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older systems refuse it */
#endif

/* The whole pages in a piece of memory. */
typedef struct {
  void* start;
  size_t size;
} pages;

static pages pages_within(const void* start, size_t size) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t first = ((uintptr_t)start + page - 1) / page * page;
  uintptr_t last = ((uintptr_t)start + size) / page * page;
  pages found = {(void*)first, last > first ? last - first : 0};
  return found;
}

/* All pages at once: faults one by one take several times as long. */
static void* allocate_populated(size_t size) {
  void* memory = malloc(size);
  if (memory == NULL || size < SMALLEST_POPULATED) return memory;
  pages whole = pages_within(memory, size);
  madvise(whole.start, whole.size, MADV_POPULATE_WRITE);
  return memory;
}

void* allocate_copies(size_t size) {
  void* memory = NULL;
  if (size < LARGE_PAGE || size > MOST_IN_LARGE_PAGES) return allocate_populated(size);
  size_t over = size % LARGE_PAGE;
  if (over > LARGE_PAGE / 8 * 7) size += LARGE_PAGE - over;
  if (posix_memalign(&memory, LARGE_PAGE, size) != 0) return NULL;
  madvise(memory, size, MADV_HUGEPAGE); /* a hint: old systems refuse it */
  return memory;
}

/* Finds the mapping that holds an address; none where the system does not tell. One that
 * is shared shows as "start-end r--s offset device inode path". */
static mapping find_mapping(uintptr_t address) {
  char line[512], shared;
  unsigned long start, end, inode;
  mapping found = {0, 0, 0};
  FILE* maps = fopen("/proc/self/maps", "re");
  if (maps == NULL) return found;
  int is_rest = 0; /* of a line with a long path, which may spell anything */
  while (found.end == 0 && fgets(line, sizeof line, maps) != NULL) {
    int was_rest = is_rest;
    is_rest = strchr(line, '\n') == NULL;
    if (was_rest) continue;
    int fields =
        sscanf(line, "%lx-%lx %*3c%c %*s %*s %lu", &start, &end, &shared, &inode);
    if (fields != 4 || address < start || address >= end) continue;
    found = (mapping){start, end, shared == 's' && inode != 0};
  }
  fclose(maps);
  return found;
}

void release_file_pages(const void* start, size_t size, mapping* last) {
  pages whole = pages_within(start, size);
  uintptr_t first = (uintptr_t)whole.start;
  if (whole.size == 0) return;
  if (first < last->start || first >= last->end) *last = find_mapping(first);
  if (!last->is_file || last->end < first + whole.size) return;
  /* Else one look at what stands between the constants maps 2 MB of them again. */
  madvise(whole.start, whole.size, MADV_NOHUGEPAGE);
  madvise(whole.start, whole.size, MADV_DONTNEED);
}

#else

void* allocate_copies(size_t size) { return malloc(size); }

void release_file_pages(const void* start, size_t size, mapping* last) {
  (void)start;
  (void)size;
  (void)last;
}

#endif
