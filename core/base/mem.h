/* core/base/mem.h: the only door to the allocator.
 *
 * Every allocation of the program goes through mem_take / mem_grow / mem_give, so that one counter says what
 * is held, one limit can refuse more, and the fault tests can make the nth call return NULL. Large blocks
 * (tables, buffers) come from mem_map, aligned to huge pages. NULL means the caller fills a diag with
 * ERR_MACHINE (mem_fail does).
 *
 * Threads: any. The counter is updated per block, never per record.
 */
#ifndef TIEOUT_CORE_BASE_MEM_H
#define TIEOUT_CORE_BASE_MEM_H

#include "core/base/diag.h"
#include <stddef.h>
#include <stdint.h>

void *mem_take(size_t size) __attribute__((malloc, alloc_size(1)));      /* not cleared */
void *mem_take_zero(size_t count, size_t size) __attribute__((malloc));  /* cleared; NULL on overflow too */
void *mem_grow(void *block, size_t size) __attribute__((alloc_size(2))); /* realloc */
char *mem_copy_text(const char *text, size_t size);                      /* with a NUL behind it */
void mem_give(void *block);                                              /* NULL is fine */

/* A list that grows: room for one more item behind the `count` that are there. `list` is where its pointer stands, `room` where it says how many
 * items fit (uint32_t, uint64_t or size_t): `first` when there are none, doubled whenever they are used up. ERR_MACHINE when memory is out or the
 * number does not fit: the list is as it was, and `diag`, which may be NULL, says what it was for. */
#define mem_list_more(list, count, room, first, what, diag)                                                  \
    ((count) < *(room)                                                                                       \
         ? OK                                                                                                \
         : mem_list_grow((list), sizeof **(list), (room), sizeof *(room), (first), (what), (diag)))
enum err mem_list_grow(void *list, size_t item_size, void *room, size_t room_size, uint32_t first,
                       const char *what, struct diag *diag);

/* Pages straight from the system, zeroed, first touched by whoever uses them (so they land on that core's
 * NUMA node). `huge` asks for transparent huge pages. */
void *mem_map(size_t size, int huge);
/* The same for memory that is filled soon, from its first byte on, `size` a number of huge pages, its place a multiple of one: in huge ones, touched here, as long as they
 * come quickly, else in small ones, with a huge one tried now and then. Where a host lends this machine its memory, it takes back what
 * lies free as a whole: then a huge page comes at 2.5 s a GiB, and a small one, out of what others left in pieces, at 0.5. Where
 * pages are at hand it is 0.12 and 0.5. `patience_ns`: of processor time, for one; mostly MEM_HUGE_PATIENCE_NS. */
enum { MEM_HUGE_PATIENCE_NS = 2000000 }; /* what a small page costs more in use is worth no more */
void *mem_map_filled(size_t size, uint64_t patience_ns);
/* More of them: the pages that are there move by their addresses, not their bytes, so nothing is copied or touched anew. What is
 * behind them is zero. NULL: `block` is as it was. */
void *mem_map_more(void *block, size_t size, size_t more, int huge);
void mem_unmap(void *block, size_t size);

/* jemalloc reads it at start. */
extern const char *malloc_conf;

/* From here on what is freed goes back to the system at once, where the allocator keeps it for ten seconds otherwise: for budgets
 * so small that what it keeps would be much of them. Before other threads run. */
void mem_keep_little(void);

/* Bytes held now through mem_map and mem_take (as the allocator rounds them), and the highest it has been. */
uint64_t mem_held(void);
uint64_t mem_held_max(void);

/* "out of memory: wanted N bytes for WHAT". */
enum err mem_fail(struct diag *diag, size_t size, const char *what);

#endif
