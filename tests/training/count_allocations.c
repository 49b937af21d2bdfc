// Preloaded into a process, counts its allocations: the program's, Python's, libstdc++'s (operator new),
// everybody's. glibc only: the work is done by its own functions under the names that programs can't take
// over.

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);
extern void __libc_free(void*);

static atomic_long allocated, freed;

long allocation_count(void) { return allocated; }
long free_count(void) { return freed; }

void* malloc(size_t size) {
  ++allocated;
  return __libc_malloc(size);
}

void* calloc(size_t count, size_t size) {
  ++allocated;
  return __libc_calloc(count, size);
}

void* realloc(void* memory, size_t size) {
  ++allocated;
  return __libc_realloc(memory, size);
}

void* memalign(size_t alignment, size_t size) {
  ++allocated;
  return __libc_memalign(alignment, size);
}

void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void** memory, size_t alignment, size_t size) {
  void* made = memalign(alignment, size);
  if (made == NULL) return ENOMEM;
  *memory = made;
  return 0;
}

void free(void* memory) {
  if (memory != NULL) ++freed;
  __libc_free(memory);
}
