/* core/base/mem.c: see mem.h and fault.h */
#include "core/base/mem.h"
#include "core/base/check.h"
#include "core/base/fault.h"
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#ifdef TIEOUT_FAULTS
static atomic_long fault_count[FAULT_KINDS];
static long fault_at[FAULT_KINDS];
static int fault_errno, fault_forever, fault_kill, fault_stop;

static void fault_report(void)
{
    fprintf(stderr, "calls: mem %ld io %ld\n", atomic_load(&fault_count[FAULT_MEM]),
            atomic_load(&fault_count[FAULT_IO]));
}

__attribute__((constructor)) static void fault_setup(void)
{
    const char *names[FAULT_KINDS] = {"TIEOUT_FAIL_MEM", "TIEOUT_FAIL_IO"};
    for (int k = 0; k < FAULT_KINDS; k++) {
        const char *v = getenv(names[k]);
        fault_at[k] = v ? atol(v) : 0;
    }
    const char *e = getenv("TIEOUT_FAIL_ERRNO");
    fault_errno = e ? atoi(e) : EIO;
    fault_forever = getenv("TIEOUT_FAIL_FOREVER") != NULL;
    fault_kill = getenv("TIEOUT_FAIL_KILL") != NULL;
    fault_stop = getenv("TIEOUT_FAIL_STOP") != NULL;
    if (getenv("TIEOUT_COUNT_CALLS"))
        atexit(fault_report);
}

int fault_now(enum fault_kind kind)
{
    long n = atomic_fetch_add_explicit(&fault_count[kind], 1, memory_order_relaxed) + 1;
    if (fault_at[kind] == 0 || !(n == fault_at[kind] || (fault_forever && n > fault_at[kind])))
        return 0;
    if (fault_kill)
        raise(SIGKILL);
    if (fault_stop) {
        kill(getpid(), SIGSTOP);
        return 0;
    }
    return kind == FAULT_MEM ? ENOMEM : fault_errno;
}
#endif

/* One arena, made before any thread runs: a jemalloc that cannot map a second one when a thread starts
 * crashes instead of returning NULL. Hot loops allocate nothing, so its lock is seldom taken. */
const char *malloc_conf = "narenas:1";

/* Of jemalloc, where the program is linked with it: sanitizers have allocators of their own. */
extern int mallctl(const char *name, void *old, size_t *old_size, void *fresh, size_t fresh_size)
    __attribute__((weak));

void mem_keep_little(void)
{
    ssize_t none = 0;
    if (mallctl) { /* that it does not know the name costs memory, nothing else */
        mallctl("arena.0.dirty_decay_ms", NULL, NULL, &none, sizeof none);
        mallctl("arena.0.muzzy_decay_ms", NULL, NULL, &none, sizeof none);
    }
}

static _Atomic uint64_t held, held_max;

static void account(int64_t change)
{
    uint64_t now =
        atomic_fetch_add_explicit(&held, (uint64_t)change, memory_order_relaxed) + (uint64_t)change;
    uint64_t top = atomic_load_explicit(&held_max, memory_order_relaxed);
    while (change > 0 && now > top &&
           !atomic_compare_exchange_weak_explicit(&held_max, &top, now, memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

void *mem_take(size_t size)
{
    if (fault_now(FAULT_MEM))
        return NULL;
    void *p = malloc(size ? size : 1);
    if (p)
        account((int64_t)malloc_usable_size(p));
    return p;
}

void *mem_take_zero(size_t count, size_t size)
{
    if (fault_now(FAULT_MEM))
        return NULL;
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (p)
        account((int64_t)malloc_usable_size(p));
    return p;
}

void *mem_grow(void *block, size_t size)
{
    if (fault_now(FAULT_MEM))
        return NULL;
    int64_t before = block ? (int64_t)malloc_usable_size(block) : 0;
    void *p = realloc(block, size ? size : 1);
    if (p)
        account((int64_t)malloc_usable_size(p) - before);
    return p;
}

char *mem_copy_text(const char *text, size_t size)
{
    char *p = mem_take(size + 1);
    if (p) {
        memcpy(p, text, size);
        p[size] = 0;
    }
    return p;
}

enum err mem_list_grow(void *list, size_t item_size, void *room, size_t room_size, uint32_t first,
                       const char *what, struct diag *diag)
{
    const int narrow = room_size == sizeof(uint32_t);
    CHECK2(narrow || room_size == sizeof(uint64_t), room_size, item_size);
    const uint64_t now = narrow ? *(uint32_t *)room : *(uint64_t *)room;
    const uint64_t more = now ? now * 2 : first;
    void *items; /* by memcpy: the caller's pointer is one to items of his own */
    memcpy(&items, list, sizeof items);
    size_t size = SIZE_MAX;
    const int fits =
        now <= (narrow ? UINT32_MAX : UINT64_MAX) / 2 && !__builtin_mul_overflow(more, item_size, &size);
    void *grown = fits ? mem_grow(items, size) : NULL;
    if (!grown)
        return diag ? mem_fail(diag, size, what) : ERR_MACHINE;
    memcpy(list, &grown, sizeof grown);
    if (narrow)
        *(uint32_t *)room = (uint32_t)more;
    else
        *(uint64_t *)room = more;
    return OK;
}

void mem_give(void *block)
{
    if (block)
        account(-(int64_t)malloc_usable_size(block));
    free(block);
}

static size_t in_pages(size_t size)
{
    return (size + 4095) & ~(size_t)4095;
}

/* Of whole pages; `aligned`: to huge ones. */
static char *map_pages(size_t size, int aligned)
{
    if (fault_now(FAULT_MEM))
        return NULL;
    if (!aligned) {
        void *const pages =
            mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        return pages == MAP_FAILED ? NULL : pages;
    }
    /* Over-map and trim, so that a huge page can start at the first byte. */
    const size_t align = (size_t)2 << 20;
    char *p =
        mmap(NULL, size + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    size_t head = (align - ((uintptr_t)p & (align - 1))) & (align - 1);
    if (head)
        munmap(p, head);
    munmap(p + head + size, align - head);
    return p + head;
}

void *mem_map(size_t size, int huge)
{
    size = in_pages(size);
    char *p = map_pages(size, huge);
    if (p) {
        madvise(p, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
        account((int64_t)size);
    }
    return p;
}

enum { HUGE_PAGE = 2 << 20, SMALL_BETWEEN = 15 /* calls */ };

static uint64_t processor_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void *mem_map_filled(size_t size, uint64_t patience_ns)
{
    static atomic_uint
        small_left; /* calls, until a huge page is tried again; all threads touch the same memory */
    const unsigned left = atomic_load_explicit(&small_left, memory_order_relaxed);
    char *const p = map_pages(size, 1);
    if (p) {
        madvise(p, size, left ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
        account((int64_t)size);
    }
    if (left) { /* that one is counted twice or not at all harms nobody */
        atomic_store_explicit(&small_left, left - 1, memory_order_relaxed);
        return p;
    }
    const uint64_t before = processor_ns();
    for (size_t at = 0; p && at < size; at += HUGE_PAGE)
        *(volatile char *)(p + at) = 0;
    if (p && (processor_ns() - before) / (size / HUGE_PAGE) > patience_ns)
        atomic_store_explicit(&small_left, SMALL_BETWEEN, memory_order_relaxed);
    return p;
}

void *mem_map_more(void *block, size_t size, size_t more, int huge)
{
    size = in_pages(size);
    more = in_pages(more);
    char *p = map_pages(more, huge);
    if (!p)
        return NULL;
    if (mremap(block, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, p) == MAP_FAILED) {
        munmap(p, more);
        return NULL;
    }
    madvise(p, more, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    account((int64_t)(more - size));
    return p;
}

void mem_unmap(void *block, size_t size)
{
    if (!block)
        return;
    size = in_pages(size);
    munmap(block, size);
    account(-(int64_t)size);
}

uint64_t mem_held(void)
{
    return atomic_load_explicit(&held, memory_order_relaxed);
}

uint64_t mem_held_max(void)
{
    return atomic_load_explicit(&held_max, memory_order_relaxed);
}

enum err mem_fail(struct diag *diag, size_t size, const char *what)
{
    return diag_set(diag, ERR_MACHINE, "memory", "give the program more memory, or lower --memory",
                    "out of memory: wanted %zu bytes for %s", size, what);
}
