/* core/rules/plain_order.c: see plain_order.h */
#include "core/rules/plain_order.h"
#include "core/base/mem.h"
#include "core/rules/plain.h"
#include <stdatomic.h>

/* A base is no row, but texts that rows are held against, so it may be shorter than the row that it was made of. */
enum { BASE_MAX = 48 };

struct order_text {
    uint32_t size;
    char data[BASE_MAX];
};

struct order_base {
    struct order_text text[ORDER_FIELDS];
};

struct order_bases {
    _Atomic(struct order_base *) ids[SIDES], rows[SIDES];
};

struct order_bases *order_bases_open(void)
{
    return mem_take_zero(1, sizeof(struct order_bases));
}

void order_bases_close(struct order_bases *bases)
{
    for (int side = 0; bases && side < SIDES; side++) {
        mem_give(atomic_load(&bases->ids[side]));
        mem_give(atomic_load(&bases->rows[side]));
    }
    mem_give(bases);
}

unsigned order_fields(const struct job *job, unsigned fields[ORDER_FIELDS])
{
    const struct key_spec *const key = &job->match.keys[0];
    unsigned count = 0;
    for (unsigned field = 0; field < ORDER_FIELDS; field++) {
        int in_key = 0;
        for (int i = 0; i < key->part_count; i++)
            in_key |= key->parts[i] == field;
        if (!in_key)
            fields[count++] = field;
    }
    return count;
}

/* The first one that comes is made the base. NULL when memory is out. */
static __attribute__((noinline)) const struct order_base *make_base(_Atomic(struct order_base *) *at,
                                                                    const struct span *texts, unsigned count)
{
    struct order_base *base = mem_take_zero(1, sizeof *base), *there = NULL;
    if (!base)
        return NULL;
    for (unsigned i = 0; i < count; i++) {
        base->text[i].size = texts[i].size < BASE_MAX ? (uint32_t)texts[i].size : BASE_MAX;
        memcpy(base->text[i].data, texts[i].data, base->text[i].size);
    }
    if (atomic_compare_exchange_strong(at, &there, base))
        return base;
    mem_give(base);
    return there;
}

/* How many bytes both begin with. */
static inline uint32_t alike(struct span text, const struct order_text *base)
{
    const uint32_t n = text.size < base->size ? (uint32_t)text.size : base->size;
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t a, b;
        memcpy(&a, text.data + i, 8);
        memcpy(&b, base->data + i, 8);
        if (a != b)
            break;
    }
    while (i < n && text.data[i] == base->data[i])
        i++;
    return i;
}

/* Six bytes from `at` on, as a number that grows with them; what there is none of is 0. */
static inline uint64_t six_bytes(struct span text, size_t at)
{
    uint8_t six[8] = {0};
    if (at < text.size)
        memcpy(six + 2, text.data + at, text.size - at < 6 ? text.size - at : 6);
    uint64_t number = 0;
    memcpy(&number, six, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    number = __builtin_bswap64(number);
#endif
    return number;
}

/* A number, from its uppermost bit on: 1 without an id, whose rows come last; 1; below, equal to or above the base. What else parts
 * rows on the same side of the base: below it those come first that part from it first, above it those that part from it last. */
enum {
    NO_ID_AT = 63,
    THERE_AT = 62,
    CLASS_AT = 60,
    FIELD_AT = 57,
    SIZED_AT = 56,
    ALIKE_AT = 50,
    SIX_AT = 2,
    ALIKE_MAX = 63,
    FIELD_LAST = 7
};
_Static_assert((int)BASE_MAX <= (int)ALIKE_MAX && (int)ORDER_FIELDS <= FIELD_LAST + 1, "bits are enough");
enum { BELOW, EQUAL, ABOVE };

static inline uint64_t place_in(uint64_t class, uint64_t field, uint64_t sized, uint64_t alike)
{
    return class << CLASS_AT | field << FIELD_AT | sized << SIZED_AT | alike << ALIKE_AT;
}

/* Of texts that are compared by their bytes. */
static inline uint64_t id_order(struct span id, const struct order_text *base)
{
    const uint32_t same = alike(id, base);
    if (same == id.size && same == base->size)
        return place_in(EQUAL, 0, 0, 0);
    const int above =
        same == base->size || (same < id.size && (uint8_t)id.data[same] > (uint8_t)base->data[same]);
    return place_in(above ? ABOVE : BELOW, 0, 0, above ? ALIKE_MAX - same : same) | six_bytes(id, same)
                                                                                        << SIX_AT;
}

/* Of the first field that differs: by their sizes first, as canonical bytes are. */
static inline uint64_t field_order(struct span text, const struct order_text *base, uint32_t same,
                                   uint32_t field)
{
    if (text.size != base->size) {
        const int above = text.size > base->size;
        const uint32_t size = text.size < ALIKE_MAX ? (uint32_t)text.size : ALIKE_MAX;
        return place_in(above ? ABOVE : BELOW, above ? FIELD_LAST - field : field, above != 0, size) |
               (size < ALIKE_MAX ? six_bytes(text, 0) << SIX_AT : 0);
    }
    const int above = (uint8_t)text.data[same] > (uint8_t)base->data[same];
    return place_in(above ? ABOVE : BELOW, above ? FIELD_LAST - field : field, above == 0,
                    above ? ALIKE_MAX - same : same) |
           six_bytes(text, same) << SIX_AT;
}

static inline const struct order_base *base_of(_Atomic(struct order_base *) *at, const struct span *texts,
                                               unsigned count)
{
    const struct order_base *base = atomic_load_explicit(at, memory_order_acquire);
    return LIKELY(base != NULL) ? base : make_base(at, texts, count);
}

static inline uint64_t order_of_id(struct order_bases *bases, enum side side, struct span id)
{
    const struct order_base *const base = base_of(&bases->ids[side], &id, 1);
    return base ? UINT64_C(1) << THERE_AT | id_order(id, &base->text[0]) : 0;
}

static inline uint64_t order_of_row(struct order_bases *bases, enum side side, const struct span *texts,
                                    unsigned count)
{
    const struct order_base *const base = base_of(&bases->rows[side], texts, count);
    const uint64_t there = UINT64_C(1) << NO_ID_AT | UINT64_C(1) << THERE_AT;
    if (!base)
        return 0;
    for (unsigned i = 0; i < count; i++) {
        const uint32_t same = alike(texts[i], &base->text[i]);
        if (same < texts[i].size || same < base->text[i].size)
            return there | field_order(texts[i], &base->text[i], same, i);
    }
    return there | place_in(EQUAL, 0, 0, 0);
}

uint64_t plain_order(const struct plain_plan *plan, const uint8_t *bytes, const uint32_t *seps,
                     uint32_t columns)
{
    const enum side side = plan->side_flag & RECORD_CHANNEL ? CHANNEL : LOCAL;
    if (!plan->bases)
        return 0;
    if (plan->occurrence >= 0) {
        const struct span id = plain_cell_of(bytes, seps, plan->occurrence, columns);
        if (id.size)
            return order_of_id(plan->bases, side, id);
    }
    struct span texts[ORDER_FIELDS];
    for (unsigned i = 0; i < plan->order_count; i++)
        texts[i] = plan->order_columns[i] < 0 ? plan->order_constants[i]
                                              : plain_cell_of(bytes, seps, plan->order_columns[i], columns);
    return order_of_row(plan->bases, side, texts, plan->order_count);
}

uint64_t full_order(struct order_bases *bases, const struct job *job, const struct full *row)
{
    const enum side side = (enum side)row->side;
    if (row->occurrence.size)
        return order_of_id(bases, side, row->occurrence);
    unsigned fields[ORDER_FIELDS];
    struct span texts[ORDER_FIELDS];
    const unsigned count = order_fields(job, fields);
    for (unsigned i = 0; i < count; i++)
        texts[i] = row->text[fields[i]];
    return order_of_row(bases, side, texts, count);
}
