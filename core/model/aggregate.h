/* core/model/aggregate.h: counts and sums of records by what a row says of itself, taken while rows are read.
 *
 *     aggregate_init
 *       aggregate_add     for each record
 *       aggregate_merge   after all workers stopped; then aggregate_each tells what was counted, in no order
 *       aggregate_read -> aggregate_next ... -> aggregate_read_end   in the order of aggregate.csv; nothing is added any more
 *     aggregate_fini
 *
 * A cell is (side, bill date, hour, currency, direction, texts), 48 bytes; texts of a kind are kept once. The row before
 * usually had the same texts and stood in the same cell, so both are remembered. A worker has one of its own: no lines
 * are shared. There may be a cell for each merchant: one costs about 100 bytes, and when `memory` bytes are in use the cells go to
 * the store, sorted, as a run, and counting begins anew. Runs are laid together when they are read; a run's blocks
 * carry checksums. Threads: one owner; a store is for all.
 */
#ifndef TIEOUT_CORE_MODEL_AGGREGATE_H
#define TIEOUT_CORE_MODEL_AGGREGATE_H

#include "core/base/check.h"
#include "core/base/diag.h"
#include "core/base/span.h"
#include "core/model/money.h"
#include <stdatomic.h>

enum {
    AGGREGATE_CHANNEL_CODE,
    AGGREGATE_MERCHANT,
    AGGREGATE_SUB_MERCHANT,
    AGGREGATE_BIZ_TYPE,
    AGGREGATE_DIMS,
    AGGREGATE_NOTE_MAX = 2048, /* bytes of a row's texts */
    AGGREGATE_CELLS_MAX = 1 << 20,
    AGGREGATE_MEMORY_MIN = 256 << 10,
    HOUR_NONE = 24
};

/* What a row says beside its record. */
struct row_note {
    int64_t cost_micro;                /* the fee with a cost's sign */
    uint32_t size;                     /* of texts */
    uint8_t hour;                      /* of the trade time; HOUR_NONE */
    uint8_t texts[AGGREGATE_NOTE_MAX]; /* AGGREGATE_DIMS of them, each behind its length in two bytes */
};
/* 0 when it does not fit. */
static inline int row_note_put(struct row_note *note, const char *text, size_t size)
{
    if (UNLIKELY(note->size + 2 + size > AGGREGATE_NOTE_MAX))
        return 0;
    const uint16_t n = (uint16_t)size;
    memcpy(note->texts + note->size, &n, 2);
    if (size) /* a text of no bytes may be nowhere */
        memcpy(note->texts + note->size + 2, text, size);
    note->size += 2u + n;
    return 1;
}

struct aggregate_cell {
    uint64_t key; /* texts 32, day 16, currency 8, hour 5, OUT, CHANNEL, 1 */
    int64_t count;
    money_total gross, cost;
};

/* Where runs go: bytes at any place of a file (io/spill/block_store.h). */
struct aggregate_store {
    enum err (*put)(struct aggregate_store *store, uint64_t offset, const void *bytes, size_t size,
                    struct diag *diag);
    enum err (*get)(struct aggregate_store *store, uint64_t offset, void *bytes, size_t size,
                    struct diag *diag);
    _Atomic uint64_t used; /* bytes: whoever adds to it has them */
};

/* What one may take. Without a store `memory` is not looked at, and AGGREGATE_CELLS_MAX is the end. */
struct aggregate_share {
    struct aggregate_store *store; /* borrowed; outlives the aggregate */
    uint64_t memory;               /* bytes, at least AGGREGATE_MEMORY_MIN */
};

struct aggregate {
    struct aggregate_share share;
    uint64_t held;                    /* bytes of memory */
    struct aggregate_cell *cell_memo; /* of the row before, NULL: none; and its texts */
    struct span text_memo;
    struct aggregate_cell **cells; /* blocks of them, by number */
    uint32_t *cell_slots;          /* open addressing: 1 + number; 0: free */
    uint32_t cell_count, cell_room;
    struct span **texts; /* as cells; the bytes are in `blocks` */
    uint32_t *text_slots;
    uint32_t text_count, text_room;
    struct aggregate_block *blocks;
    char *next;
    size_t left;
    uint64_t *runs; /* where each begins in the store */
    uint32_t run_count, run_room;
    uint64_t written; /* bytes, to the store */
    int too_many;
    struct diag diag; /* of the store */
};

/* `share` NULL: memory has no end but AGGREGATE_CELLS_MAX. */
enum err aggregate_init(struct aggregate *aggregate, const struct aggregate_share *share, struct diag *diag);
void aggregate_fini(struct aggregate *aggregate);

static inline uint64_t aggregate_key(unsigned side, int out, uint16_t day, uint8_t currency, uint8_t hour)
{
    return (uint64_t)day << 16 | (uint64_t)currency << 8 | (uint64_t)hour << 3 | (out ? 4u : 0u) |
           (side ? 2u : 0u) | 1u;
}
static inline unsigned aggregate_side(const struct aggregate_cell *cell)
{
    return cell->key >> 1 & 1;
}
static inline int aggregate_out(const struct aggregate_cell *cell)
{
    return cell->key >> 2 & 1;
}
static inline uint8_t aggregate_hour(const struct aggregate_cell *cell)
{
    return cell->key >> 3 & 31;
}
static inline uint8_t aggregate_currency(const struct aggregate_cell *cell)
{
    return (uint8_t)(cell->key >> 8);
}
static inline uint16_t aggregate_day(const struct aggregate_cell *cell)
{
    return (uint16_t)(cell->key >> 16);
}
/* The cell of a key and texts, made when it is new; NULL when memory or the store is out, or there are
 * too many (aggregate_failed). Valid until the next call. */
struct aggregate_cell *aggregate_find(struct aggregate *aggregate, uint64_t key, struct span texts);

/* `key` is aggregate_key's; the note says the texts. 0 as above. */
static inline int aggregate_add(struct aggregate *a, uint64_t key, int64_t amount_micro,
                                const struct row_note *note)
{
    const struct span texts = {(const char *)note->texts, note->size};
    struct aggregate_cell *cell = a->cell_memo;
    if (UNLIKELY(!cell || (uint32_t)cell->key != (uint32_t)key || !span_equal(a->text_memo, texts)) &&
        !(cell = aggregate_find(a, key, texts)))
        return 0;
    cell->count++;
    cell->gross += amount_micro;
    cell->cost += note->cost_micro;
    return 1;
}
enum err aggregate_failed(const struct aggregate *aggregate, struct diag *diag);
/* What `from` counted goes to `into`, and `from` is empty. Both have the same store. */
enum err aggregate_merge(struct aggregate *into, struct aggregate *from, struct diag *diag);

/* A cell as it is counted in a part: those of the same key and texts are to be added. */
typedef void aggregate_take_fn(void *context, const struct aggregate_cell *cell);
/* What is in memory, then what is in the store. */
enum err aggregate_each(const struct aggregate *aggregate, aggregate_take_fn *take, void *context,
                        struct diag *diag);

/* Its cells that count something, in order of side, date, hour, texts, currency, direction. */
struct aggregate_reader {
    struct aggregate *aggregate;
    uint32_t *order; /* nothing is in the store: numbers of cells */
    uint32_t at;
    struct aggregate_run *runs; /* a heap: the first one stands lowest */
    uint32_t run_count;
    struct aggregate_cell cell;
    struct span texts;
    char room[AGGREGATE_NOTE_MAX];
};
enum err aggregate_read(struct aggregate_reader *reader, struct aggregate *aggregate, struct diag *diag);
/* The next one in reader->cell and reader->texts, until another call; key 0: there is none. */
enum err aggregate_next(struct aggregate_reader *reader, struct diag *diag);
void aggregate_read_end(struct aggregate_reader *reader);
struct span aggregate_dim(struct span texts, int dim);

#endif
