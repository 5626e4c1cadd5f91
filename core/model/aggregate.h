/* core/model/aggregate.h: counts and sums of records by what a row says of itself, taken while rows are read.
 *
 *     aggregate_init
 *       aggregate_add     for each record
 *       aggregate_merge   after all workers stopped
 *       aggregate_sort    then aggregate_dim tells a cell's texts
 *     aggregate_fini
 *
 * A cell is (side, bill date, hour, currency, direction, texts), 64 bytes; texts of a kind are kept once. The row before
 * usually had the same texts and stood in the same cell, so both are remembered. A worker has one of its own: no lines
 * are shared. Threads: one owner.
 */
#ifndef TIEOUT_CORE_MODEL_AGGREGATE_H
#define TIEOUT_CORE_MODEL_AGGREGATE_H

#include "core/base/check.h"
#include "core/base/diag.h"
#include "core/base/span.h"
#include "core/model/money.h"

enum {
    AGGREGATE_CHANNEL_CODE,
    AGGREGATE_MERCHANT,
    AGGREGATE_SUB_MERCHANT,
    AGGREGATE_BIZ_TYPE,
    AGGREGATE_DIMS,
    AGGREGATE_NOTE_MAX = 2048, /* bytes of a row's texts */
    AGGREGATE_CELLS_MAX = 1 << 20,
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

struct aggregate {
    struct aggregate_cell *cells; /* open addressing; key 0: free */
    uint32_t cell_count, cell_room, cell_memo;
    uint32_t *texts; /* open addressing: 1 + number; 0: free */
    uint32_t text_count, text_room, text_memo;
    struct span *text_spans; /* by number, in `bytes` */
    uint32_t span_room;
    struct aggregate_block *blocks; /* of bytes */
    char *next;
    size_t left;
    int too_many;
};

enum err aggregate_init(struct aggregate *aggregate, struct diag *diag);
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
/* The cell of a key and texts, made when it is new; NULL when memory is out, or with `too_many` set. */
struct aggregate_cell *aggregate_find(struct aggregate *aggregate, uint64_t key, struct span texts);

/* `key` is aggregate_key's; the note says the texts. 0 as above. */
static inline int aggregate_add(struct aggregate *a, uint64_t key, int64_t amount_micro,
                                const struct row_note *note)
{
    const struct span texts = {(const char *)note->texts, note->size};
    struct aggregate_cell *cell = &a->cells[a->cell_memo];
    if (UNLIKELY((uint32_t)cell->key != (uint32_t)key || (cell->key >> 32) != (a->text_memo) ||
                 !a->text_count || !span_equal(a->text_spans[a->text_memo], texts)) &&
        !(cell = aggregate_find(a, key, texts)))
        return 0;
    cell->count++;
    cell->gross += amount_micro;
    cell->cost += note->cost_micro;
    return 1;
}
enum err aggregate_failed(const struct aggregate *aggregate, struct diag *diag);
enum err aggregate_merge(struct aggregate *into, const struct aggregate *from, int sign, struct diag *diag);
/* Its cells that count something, in order of side, date, hour, texts, currency, direction; one block of mem_take. */
struct aggregate_cell *aggregate_sort(const struct aggregate *aggregate, uint32_t *count);
struct span aggregate_dim(const struct aggregate *aggregate, const struct aggregate_cell *cell, int dim);

#endif
