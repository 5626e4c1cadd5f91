/* io/sink/shelf.c: see shelf.h */
#include "io/sink/shelf.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include <stdatomic.h>

enum { PIECE = 2 << 20, SPARE_PIECES = 64 };
/* So an item that begins in a block ends in it, as does a line. */
enum { ITEM_MAX = 40 };
_Static_assert(SHELF_PAYLOAD % SHELF_LINE == 0 && SHELF_PAYLOAD % 24 == 0 && SHELF_PAYLOAD % 40 == 0,
               "a block is whole items");
_Static_assert(PIECE % SHELF_BLOCK == 0,
               "a block begins where SHELF_BLOCK divides its place, as its piece does");

struct shelf {
    struct shelf_config config;
    struct shelf_lane *lanes;
    atomic_uint
        left; /* pieces that all lanes together may take yet: one may read far more rows than another */
};

enum err shelf_open(struct shelf **out, const struct shelf_config *config, struct diag *diag)
{
    *out = NULL;
    CHECK2(SHELF_PAYLOAD % config->item == 0 && config->item <= ITEM_MAX, config->item, SHELF_PAYLOAD);
    struct shelf *s = mem_take_zero(1, sizeof *s);
    if (!s)
        return mem_fail(diag, sizeof *s, "rows put aside");
    s->config = *config;
    const uint32_t pieces = (uint32_t)(config->memory / PIECE);
    atomic_init(&s->left, pieces);
    s->lanes = mem_take_zero(config->lanes, sizeof *s->lanes);
    for (uint32_t i = 0; s->lanes && i < config->lanes; i++) {
        struct shelf_lane *const lane = &s->lanes[i];
        lane->shelf = s;
        lane->parts = mem_take_zero(config->parts, sizeof *lane->parts);
        lane->next = mem_take_zero(config->parts, sizeof *lane->next);
        lane->piece_room = pieces + SPARE_PIECES;
        lane->pieces = mem_take(lane->piece_room * sizeof *lane->pieces);
        lane->gather = mem_map(config->parts * sizeof *lane->gather, 0);
        if (!lane->parts || !lane->next || !lane->pieces || !lane->gather) {
            shelf_close(s);
            return mem_fail(diag, config->parts * sizeof *lane->gather, "rows put aside");
        }
    }
    if (!s->lanes) {
        shelf_close(s);
        return mem_fail(diag, config->lanes * sizeof *s->lanes, "rows put aside");
    }
    *out = s;
    return OK;
}

void shelf_clear(struct shelf *s, uint32_t number)
{
    struct shelf_lane *const lane = &s->lanes[number];
    for (; lane->given < lane->piece_count; lane->given++)
        mem_unmap(lane->pieces[lane->given], PIECE);
}

void shelf_close(struct shelf *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; s->lanes && i < s->config.lanes; i++) {
        struct shelf_lane *const lane = &s->lanes[i];
        shelf_clear(s, i);
        mem_unmap(lane->gather, s->config.parts * sizeof *lane->gather);
        mem_give(lane->pieces);
        mem_give(lane->next);
        mem_give(lane->parts);
    }
    mem_give(s->lanes);
    mem_give(s);
}

struct shelf_lane *shelf_lane(struct shelf *s, uint32_t lane)
{
    return &s->lanes[lane];
}

/* 0: all pieces that may be taken are. */
static int may_take(struct shelf *s)
{
    unsigned left = atomic_load_explicit(&s->left, memory_order_relaxed);
    while (left && !atomic_compare_exchange_weak(&s->left, &left, left - 1)) {
    }
    return left != 0;
}

/* NULL: the lane's piece is used up, and there is no other one to be had. */
static struct shelf_block *take_block(struct shelf_lane *lane, int is_spare)
{
    if (lane->free == lane->free_end) {
        if (lane->piece_count == lane->piece_room || (!is_spare && !may_take(lane->shelf)))
            return NULL;
        uint8_t *const piece = mem_map_filled(PIECE, MEM_HUGE_PATIENCE_NS);
        if (!piece)
            return NULL;
        lane->pieces[lane->piece_count++] = lane->free = piece;
        lane->free_end = piece + PIECE;
    }
    struct shelf_block *const block = (struct shelf_block *)lane->free;
    lane->free += SHELF_BLOCK;
    block->next = NULL;
    return block;
}

__attribute__((noinline)) uint64_t shelf_block(struct shelf_lane *lane, uint32_t number)
{
    struct shelf_part *const part = &lane->parts[number];
    struct shelf_block *const block = take_block(lane, 0);
    if (!block)
        return 0;
    if (part->last)
        part->last->next = block;
    else
        part->first = block;
    part->last = block;
    part->count++;
    return lane->next[number] = (uintptr_t)(block + 1);
}

void shelf_end(struct shelf *s, uint32_t number)
{
    struct shelf_lane *const lane = &s->lanes[number];
    for (uint32_t i = 0; i < s->config.parts; i++) {
        const uint64_t next = lane->next[i], left = next % SHELF_LINE;
        if (left)
            memcpy((void *)(uintptr_t)(next - left), lane->gather[i], left);
    }
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

/* Of a part that has a block, in its last one. */
static uint64_t in_last(const struct shelf_lane *lane, uint32_t part)
{
    return lane->next[part] - (uintptr_t)(lane->parts[part].last + 1);
}

uint64_t shelf_size(const struct shelf *s, uint32_t part)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < s->config.lanes; i++) {
        const uint64_t blocks = s->lanes[i].parts[part].count;
        size += blocks ? (blocks - 1) * SHELF_PAYLOAD + in_last(&s->lanes[i], part) : 0;
    }
    return size;
}

void shelf_take(struct shelf *s, uint32_t number, struct shelf_block **list)
{
    for (uint32_t i = 0; i < s->config.lanes; i++) {
        struct shelf_part *const part = &s->lanes[i].parts[number];
        s->lanes[i].next[number] = 0;
        if (part->last) {
            part->last->next = *list;
            *list = part->first;
        }
        *part = (struct shelf_part){0};
    }
}

struct shelf_block *shelf_spare(struct shelf *s, uint32_t lane)
{
    return take_block(&s->lanes[lane], 1);
}

int shelf_next(const struct shelf *s, struct shelf_walk *walk)
{
    for (; walk->lane < s->config.lanes; walk->lane++, walk->began = 0) {
        const struct shelf_lane *const lane = &s->lanes[walk->lane];
        const struct shelf_part *const part = &lane->parts[walk->part];
        walk->block = walk->began ? walk->block->next : part->first;
        walk->began = 1;
        if (walk->block) {
            walk->items = (uint8_t *)(walk->block + 1);
            walk->size = walk->block == part->last ? in_last(lane, walk->part) : SHELF_PAYLOAD;
            return 1;
        }
    }
    return 0;
}
