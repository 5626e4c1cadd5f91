/* io/sink/shelf.c: see shelf.h. shelf_carry is hot. */
#include "io/sink/shelf.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include <stdatomic.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { PIECE = 2 << 20, SPARE_PIECES = 64 };
/* So an item that begins in a block ends in it, as does a line. */
enum { ITEM_MAX = 40 };
_Static_assert(SHELF_PAYLOAD % SHELF_LINE == 0 && SHELF_PAYLOAD % 24 == 0 && SHELF_PAYLOAD % 40 == 0,
               "a block is whole items");

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
        lane->piece_room = pieces + SPARE_PIECES;
        lane->pieces = mem_take(lane->piece_room * sizeof *lane->pieces);
        lane->gather = mem_map(config->parts * sizeof *lane->gather, 0);
        if (!lane->parts || !lane->pieces || !lane->gather) {
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

/* 0: there is no room. */
static __attribute__((noinline)) int next_block(struct shelf_lane *lane, struct shelf_part *part)
{
    struct shelf_block *const block = take_block(lane, 0);
    if (!block)
        return 0;
    if (part->last)
        part->last->next = block;
    else
        part->first = block;
    part->last = block;
    part->at = (uint8_t *)(block + 1);
    part->end = (uint8_t *)block + SHELF_BLOCK;
    return 1;
}

int shelf_carry(struct shelf_lane *lane, uint32_t number)
{
    struct shelf_part *const part = &lane->parts[number];
    if (UNLIKELY(part->at == part->end) && !next_block(lane, part))
        return 0;
    enum { WORDS = SHELF_LINE / 8 };
    /* Word by word, as they were just written: what is taken up in larger pieces than it was put down in waits until it is in the cache. */
    struct shelf_gather *const g = &lane->gather[number];
    volatile uint64_t *const from = (volatile uint64_t *)g->bytes;
    uint64_t *const to = (uint64_t *)part->at;
    for (size_t k = 0; k < WORDS; k++) {
#if defined(__x86_64__)
        _mm_stream_si64((long long *)to + k, (long long)from[k]);
#else
        to[k] = from[k];
#endif
    }
    for (size_t k = 0; k < ITEM_MAX / 8; k++)
        from[k] = from[WORDS + k];
    part->at += SHELF_LINE;
    part->carried += SHELF_LINE;
    g->used -= SHELF_LINE;
    return 1;
}

void shelf_end(struct shelf *s, uint32_t number)
{
    struct shelf_lane *const lane = &s->lanes[number];
    for (uint32_t i = 0; i < s->config.parts; i++) {
        struct shelf_part *const part = &lane->parts[i];
        struct shelf_gather *const g = &lane->gather[i];
        /* A part that found no room has whole items there; they stay. */
        if (g->used == 0 || (part->at == part->end && !next_block(lane, part)))
            continue;
        memcpy(part->at, g->bytes, g->used);
        part->at += g->used;
        part->carried += g->used;
        g->used = 0;
    }
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

uint64_t shelf_size(const struct shelf *s, uint32_t part)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < s->config.lanes; i++)
        size += s->lanes[i].parts[part].carried + s->lanes[i].gather[part].used;
    return size;
}

void shelf_take(struct shelf *s, uint32_t number, struct shelf_block **list)
{
    for (uint32_t i = 0; i < s->config.lanes; i++) {
        struct shelf_part *const part = &s->lanes[i].parts[number];
        s->lanes[i].gather[number].used = 0;
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
        if (walk->began == 2)
            continue;
        walk->block = walk->began ? walk->block->next : part->first;
        walk->began = 1;
        if (walk->block) {
            uint8_t *const items = (uint8_t *)(walk->block + 1);
            walk->items = items;
            walk->size = walk->block == part->last ? (size_t)(part->at - items) : SHELF_PAYLOAD;
            return 1;
        }
        walk->began = 2;
        struct shelf_gather *const g = &lane->gather[walk->part];
        if (g->used) {
            walk->items = g->bytes;
            walk->size = g->used;
            return 1;
        }
    }
    return 0;
}
