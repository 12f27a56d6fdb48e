/* Counts the allocations of one program, and makes them fail.
 *
 * ALLOCATIONS names a file of five numbers of 64 bits: the allocations so far, the
 * number of the first allocation that fails, the failed ones, the processes that use
 * the file, and the highest use of the program's reserve. The file counts for programs
 * that are called as ALLOCATIONS_OF, and for their children up to the exec.
 * RESERVE_PEAK is the place of the program's variable for the highest use.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AHEAD (1 << 20)

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t align, size_t size);

static volatile struct {
    uint64_t count, first_failed, failed, processes, peak;
} *shared;
static const volatile size_t *peak;
static int has_allocated;

/* The first object is the program. */
static int find_peak(struct dl_phdr_info *program, size_t size, void *place) {
    (void)size;
    peak = (const size_t *)(program->dlpi_addr + *(uintptr_t *)place);
    return 1;
}

/* Each use of the reserve follows a failed allocation. */
static void copy_peak(void) {
    if (peak && *peak > shared->peak) shared->peak = *peak;
}

__attribute__((destructor)) static void end(void) {
    if (shared) copy_peak();
}

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("ALLOCATIONS"), *program = getenv("ALLOCATIONS_OF");
    if (!name || !program || strcmp(program, program_invocation_short_name)) return;
    int file = open(name, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *memory = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) return;
    shared = memory;
    __atomic_add_fetch(&shared->processes, 1, __ATOMIC_SEQ_CST);
    const char *text = getenv("RESERVE_PEAK");
    uintptr_t place = text ? strtoull(text, NULL, 16) : 0;
    if (place) dl_iterate_phdr(find_peak, &place);
}

/* Counts an allocation. Returns whether it fails. */
static int fails(void) {
    if (!shared) return 0;
    has_allocated = 1;
    uint64_t number = __atomic_add_fetch(&shared->count, 1, __ATOMIC_SEQ_CST);
    if (number < shared->first_failed) return 0;
    __atomic_add_fetch(&shared->failed, 1, __ATOMIC_SEQ_CST);
    copy_peak();
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }

void *calloc(size_t count, size_t size) {
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
    return fails() ? NULL : __libc_realloc(memory, size);
}

void *memalign(size_t align, size_t size) {
    return fails() ? NULL : __libc_memalign(align, size);
}

void *aligned_alloc(size_t align, size_t size) { return memalign(align, size); }

int posix_memalign(void **memory, size_t align, size_t size) {
    int before = errno;
    void *found = memalign(align, size);
    errno = before;
    if (!found) return ENOMEM;
    *memory = found;
    return 0;
}

/* Memory of no file, such as a large block. The C library allocates with
 * calls of its own, which do not come here. The reserve, which a program maps before
 * its first allocation, is granted, as static memory would be. The memory that a
 * scanner maps ahead of need is refused: it would serve all requests that fail. */
static int is_refused(size_t size) {
    if (!shared) return 0;
    return has_allocated ? fails() : size > AHEAD;
}

void *mmap(void *place, size_t size, int access, int flags, int file, off_t offset) {
    if ((flags & MAP_ANONYMOUS) && is_refused(size)) return MAP_FAILED;
    return (void *)syscall(SYS_mmap, place, size, access, flags, file, offset);
}
