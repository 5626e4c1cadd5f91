/* io/sink/match_items.c: see match_items.h */
#include "io/sink/match_items.h"
#include "core/base/check.h"
#include "core/base/mem.h"

/* The size of the item at `at`, or 0 when its end is not there. */
static size_t whole_item(const uint8_t *at, size_t size)
{
    size_t need = 1;
    for (int cell = 0; cell < 2; cell++) {
        if (need + 1 > size)
            return 0;
        uint32_t n = at[need];
        size_t head = 1;
        if (n == 255) {
            if (need + 5 > size)
                return 0;
            memcpy(&n, at + need + 1, 4);
            head = 5;
        }
        need += head + n;
    }
    return need <= size ? need : 0;
}

enum err item_reader_next(struct item_reader *r, const uint8_t **item, size_t *size, struct diag *diag)
{
    size_t carried = 0; /* of the item at hand, in r->carried */
    for (;;) {
        if (r->at < r->end && carried == 0 && (*size = whole_item(r->at, (size_t)(r->end - r->at))) != 0) {
            *item = r->at;
            r->at += *size;
            return OK;
        }
        /* Carry over as much as is there, byte runs that grow, until the item is whole. */
        size_t more = (size_t)(r->end - r->at);
        if (more) {
            if (carried + more > r->room) {
                uint8_t *grown = mem_grow(r->carried, 2 * (carried + more));
                if (!grown)
                    return mem_fail(diag, 2 * (carried + more), "a matched row");
                r->carried = grown;
                r->room = 2 * (carried + more);
            }
            memcpy(r->carried + carried, r->at, more);
            if ((*size = whole_item(r->carried, carried + more)) != 0) {
                r->at += *size - carried;
                *item = r->carried;
                return OK;
            }
            carried += more;
            r->at = r->end;
        }
        size_t block;
        enum err err = tank_scan_next(r->tank, &r->scan, &r->at, &block, diag);
        if (err != OK)
            return err;
        r->end = r->at + block;
        if (block == 0) {
            CHECK2(carried == 0, carried, r->scan.next);
            r->at = r->end = NULL;
            *size = 0;
            return OK;
        }
    }
}

void item_reader_fini(struct item_reader *r)
{
    tank_scan_fini(&r->scan);
    mem_give(r->carried);
}
