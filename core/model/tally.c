/* core/model/tally.c: see tally.h */
#include "core/model/tally.h"
#include "core/base/mem.h"

enum { ROOM_AT_FIRST = 64 };

enum err tally_init(struct tally *tally, struct diag *diag)
{
    *tally = (struct tally){.room = ROOM_AT_FIRST};
    tally->rows = mem_take_zero(tally->room, sizeof *tally->rows);
    return tally->rows ? OK : mem_fail(diag, tally->room * sizeof *tally->rows, "a tally");
}

void tally_fini(struct tally *tally)
{
    mem_give(tally->rows);
    tally->rows = NULL;
}

static uint32_t find(const struct tally *tally, uint32_t key)
{
    uint32_t i = (key * 2654435761u) >> 7 & (tally->room - 1);
    while (tally->rows[i].key && tally->rows[i].key != key)
        i = (i + 1) & (tally->room - 1);
    return i;
}

struct tally_row *tally_row(struct tally *tally, uint32_t key)
{
    uint32_t i = find(tally, key);
    if (!tally->rows[i].key) {
        if ((tally->count + 1) * 2 > tally->room) {
            struct tally grown = {.room = tally->room * 2};
            grown.rows = mem_take_zero(grown.room, sizeof *grown.rows);
            if (!grown.rows)
                return NULL;
            for (uint32_t k = 0; k < tally->room; k++)
                if (tally->rows[k].key)
                    grown.rows[find(&grown, tally->rows[k].key)] = tally->rows[k];
            grown.count = tally->count;
            mem_give(tally->rows);
            *tally = grown;
            i = find(tally, key);
        }
        tally->rows[i].key = key;
        tally->count++;
    }
    tally->memo = i;
    return &tally->rows[i];
}

int tally_run_end(struct tally_run *run, struct tally *tally)
{
    for (unsigned out = 0; out < 2; out++) {
        if (!run->count[out])
            continue;
        struct tally_row *row = tally_row(tally, run->key | (out ? 2u : 0u));
        if (!row)
            return 0;
        row->count += run->count[out];
        row->sum += run->sum[out];
        run->count[out] = 0;
        run->sum[out] = 0;
    }
    return 1;
}

enum err tally_merge(struct tally *into, const struct tally *from, int sign, struct diag *diag)
{
    for (uint32_t i = 0; i < from->room; i++) {
        if (!from->rows[i].key)
            continue;
        struct tally_row *row = tally_row(into, from->rows[i].key);
        if (!row)
            return mem_fail(diag, 2u * into->room * sizeof *row, "a tally");
        row->count += sign < 0 ? 0 - from->rows[i].count : from->rows[i].count;
        row->sum += sign < 0 ? -from->rows[i].sum : from->rows[i].sum;
    }
    return OK;
}
