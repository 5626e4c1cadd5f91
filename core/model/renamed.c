/* core/model/renamed.c: see renamed.h */
#include "core/model/renamed.h"
#include "core/base/mem.h"

int renamed_init(struct renamed *renamed, uint64_t records, uint64_t seed)
{
    const uint64_t count = records + records / 3 + 64;
    *renamed =
        (struct renamed){.rows = mem_take_zero(count, sizeof *renamed->rows), .count = count, .seed = seed};
    return renamed->rows && bloom_init(&renamed->left, records + 65536, UINT64_MAX / 16);
}

uint64_t renamed_bytes(const struct renamed *renamed)
{
    return renamed->rows ? renamed->count * sizeof *renamed->rows + bloom_bytes(&renamed->left) : 0;
}

void renamed_fini(struct renamed *renamed)
{
    mem_give(renamed->rows);
    bloom_fini(&renamed->left);
    renamed->rows = NULL;
}

static uint64_t id_of(const struct renamed *renamed, const struct record *r, struct record_layout layout)
{
    const uint8_t *id = record_extras(r, layout.has_fold);
    id += layout.has_extras ? 2 + record_u16(id) : 0;
    return hash_bytes(id + 2, record_u16(id),
                      renamed->seed + (r->flags & RECORD_CHANNEL) + ((uint64_t)record_log(r, layout) << 32)) |
           1;
}

/* Of the key half: more is not kept. */
static uint64_t leaving(uint64_t id, uint32_t key)
{
    const uint64_t both[2] = {id, key};
    return hash_bytes(both, sizeof both, 0);
}

static uint64_t slot_of(const struct renamed *renamed, uint64_t id)
{
    return (uint64_t)((unsigned __int128)id * renamed->count >> 64);
}

static uint64_t next_slot(const struct renamed *renamed, uint64_t slot)
{
    return slot + 1 == renamed->count ? 0 : slot + 1;
}

void renamed_carried(struct renamed *renamed, const struct record *record, struct record_layout layout)
{
    const uint64_t id = id_of(renamed, record, layout), row = id << 32 | (uint32_t)record_hash(record);
    uint64_t slot = slot_of(renamed, id);
    for (uint64_t walked = 0; walked < renamed->count; walked++, slot = next_slot(renamed, slot)) {
        uint64_t nobody = 0;
        if (atomic_compare_exchange_strong_explicit(&renamed->rows[slot], &nobody, row, memory_order_relaxed,
                                                    memory_order_relaxed))
            return;
    }
    CHECK(!"more carried records than their file has");
}

void renamed_left(struct renamed *renamed, const struct record *record, struct record_layout layout)
{
    bloom_put(&renamed->left, leaving(id_of(renamed, record, layout), (uint32_t)record_hash(record)));
    atomic_store_explicit(&renamed->any, 1, memory_order_relaxed);
}

int renamed_has_row(const struct renamed *renamed, const struct record *record, struct record_layout layout)
{
    const uint64_t id = id_of(renamed, record, layout);
    for (uint64_t slot = slot_of(renamed, id);; slot = next_slot(renamed, slot)) {
        const uint64_t row = atomic_load_explicit(&renamed->rows[slot], memory_order_relaxed);
        if (!row)
            return 0;
        if ((uint32_t)(row >> 32) == (uint32_t)id && bloom_has(&renamed->left, leaving(id, (uint32_t)row)))
            return 1;
    }
}
