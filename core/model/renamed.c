/* core/model/renamed.c: see renamed.h */
#include "core/model/renamed.h"
#include "core/base/mem.h"

int renamed_init(struct renamed *renamed, uint64_t records, uint64_t seed)
{
    uint64_t rows = 64;
    while (rows < records + records / 2)
        rows *= 2;
    *renamed =
        (struct renamed){.rows = mem_take_zero(rows, sizeof *renamed->rows), .mask = rows - 1, .seed = seed};
    return renamed->rows && bloom_init(&renamed->left, records + 65536, UINT64_MAX / 16);
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
    return hash_bytes(id + 2, record_u16(id), renamed->seed + (r->flags & RECORD_CHANNEL)) | 1;
}

static uint64_t leaving(uint64_t id, uint64_t key)
{
    const uint64_t both[2] = {id, key};
    return hash_bytes(both, sizeof both, 0);
}

void renamed_carried(struct renamed *renamed, const struct record *record, struct record_layout layout)
{
    const uint64_t id = id_of(renamed, record, layout);
    for (uint64_t i = id >> 8, walked = 0; walked <= renamed->mask; i++, walked++) {
        struct renamed_row *row = &renamed->rows[i & renamed->mask];
        uint64_t nobody = 0;
        if (!atomic_compare_exchange_strong_explicit(&row->id, &nobody, id, memory_order_relaxed,
                                                     memory_order_relaxed))
            continue;
        atomic_store_explicit(&row->key, record_hash(record), memory_order_relaxed);
        return;
    }
    CHECK(!"more carried records than their file has");
}

void renamed_left(struct renamed *renamed, const struct record *record, struct record_layout layout)
{
    bloom_put(&renamed->left, leaving(id_of(renamed, record, layout), record_hash(record)));
    atomic_store_explicit(&renamed->any, 1, memory_order_relaxed);
}

int renamed_has_row(const struct renamed *renamed, const struct record *record, struct record_layout layout)
{
    const uint64_t id = id_of(renamed, record, layout);
    for (uint64_t i = id >> 8;; i++) {
        const struct renamed_row *row = &renamed->rows[i & renamed->mask];
        const uint64_t other = atomic_load_explicit(&row->id, memory_order_relaxed);
        if (!other)
            return 0;
        if (other == id &&
            bloom_has(&renamed->left, leaving(id, atomic_load_explicit(&row->key, memory_order_relaxed))))
            return 1;
    }
}
