/* io/filter/unpack.h: packed inputs, unpacked in the background into unnamed files.
 *
 *     unpack_open                   one input; nothing is unpacked yet
 *       unpack_read                 its first bytes, for headers: unpacked into memory, as far as asked
 *       unpack_crew_start           threads unpack the inputs, in order, each input on one of them
 *         unpack_read, unpack_ready, any thread
 *       unpack_crew_stop
 *     unpack_close
 *
 * The unpacked bytes go to a file without a name in the folder given, so rows can be fetched again by their
 * offset, and nothing of it is left behind however the run ends. The disk must have room for them; memory is a
 * fixed amount for each thread. Whoever scans never waits for a whole file: what is unpacked may be read at
 * once, while the rest follows.
 *
 * Threads: unpack_open, unpack_close and the crew by one; the rest by any, once the crew runs.
 */
#ifndef TIEOUT_IO_FILTER_UNPACK_H
#define TIEOUT_IO_FILTER_UNPACK_H

#include "core/ops/filter.h"
#include <sys/types.h>

struct unpack;

/* Opens the filter of an input; called when unpacking begins. */
struct unpack_config {
    enum err (*open)(struct filter **out, void *context, struct diag *diag);
    void *context;    /* borrowed */
    const char *path; /* as messages show it; borrowed */
    uint64_t limit;   /* more bytes than this are refused; also how much room the input takes among places */
    uint64_t packed_size;
    uint64_t
        guess; /* how much comes out, if that is known; else 0: guessed by what came out of what was read */
};

enum err unpack_open(struct unpack **out, const struct unpack_config *config, struct diag *diag);
void unpack_close(struct unpack *unpack);

/* Bytes that may be read now. *whole: they are all, and all of them were checked. A failure is -1, once for
 * each caller that asks, with `diag` filled. */
int64_t unpack_ready(struct unpack *unpack, int *whole, struct diag *diag);
/* Reads at `offset`; waits for what is not there yet. Less than `size` only at the end. -1 with `diag` filled.
 * Before the crew runs, `offset + size` may be at most UNPACK_HEAD_MAX. */
enum { UNPACK_HEAD_MAX = 4 << 20 };
ssize_t unpack_read(struct unpack *unpack, void *buffer, size_t size, uint64_t offset, struct diag *diag);
/* Frees what unpack_read kept in memory. */
void unpack_forget_head(struct unpack *unpack);
/* The size once it is known, else the limit. */
uint64_t unpack_size(const struct unpack *unpack);
/* The size once it is known, else about what it will be. */
uint64_t unpack_guess(const struct unpack *unpack);
/* The unnamed file. -1 before the crew runs. */
int unpack_fd(const struct unpack *unpack);

struct unpack_crew;
/* `list` is borrowed. `threads` at most. */
enum err unpack_crew_start(struct unpack_crew **out, struct unpack **list, uint32_t count, uint32_t threads,
                           const char *folder, struct diag *diag);
/* Stops at once, finished or not. NULL is fine. */
void unpack_crew_stop(struct unpack_crew *crew);

#endif
