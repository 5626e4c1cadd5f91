/* core/model/id_print.h: by what a book knows a record again that an earlier day took in.
 *
 * The identity is (side, first key, occurrence id), the contents are sigma; both only as hashes with the book's secret seed, the same
 * in every run of the book. Of a record without a first key the texts of all keys stand in its place. Two records are held for one
 * and the same where `print` and `key` agree: 96 bits.
 *
 *     while reading        normalize_hot and plain_id fill the scratch's id_print, outbox_id puts an id_entry into a spool
 *     when all is read     core/engine/known.c sorts the entries, core/ops/id_store.h asks and remembers
 */
#ifndef TIEOUT_CORE_MODEL_ID_PRINT_H
#define TIEOUT_CORE_MODEL_ID_PRINT_H

#include "core/base/hash.h"
#include "core/base/span.h"
#include "core/model/record.h"

struct id_print {
    uint64_t print;
    uint32_t key;      /* of the first key's hash: the index's own, but for odd_key */
    uint32_t contents; /* of sigma */
    uint8_t has;       /* 0: no occurrence id: nothing to be known again by */
    uint8_t undated;   /* its bill date is only the unit's */
    uint8_t odd_key;   /* the index knows the key by another hash in every run */
    uint8_t keyless;   /* no key at all: it is known by its id alone */
};

/* One record of this run. */
struct id_entry {
    uint64_t print;
    uint32_t key, contents;
    uint64_t at; /* place << 24 | bill date (0: undated) << 8 | keyless << 1 | odd_key */
};
_Static_assert(sizeof(struct id_entry) == 24, "nothing between");

static inline uint64_t id_entry_place(const struct id_entry *e)
{
    return e->at >> 24;
}
static inline int id_entry_has_odd_key(const struct id_entry *e)
{
    return (int)(e->at & 1);
}
static inline int id_entry_is_keyless(const struct id_entry *e)
{
    return (int)(e->at >> 1 & 1);
}
static inline uint16_t id_entry_day(const struct id_entry *e)
{
    return (uint16_t)(e->at >> 8);
}

/* Where entries are set aside while reading: by side, then by the first bits of the print. */
enum { ID_SIDE_BITS = 7, ID_PARTITIONS = SIDES << ID_SIDE_BITS };
static inline uint32_t id_partition(unsigned side, uint64_t print)
{
    return side << ID_SIDE_BITS | (uint32_t)(print >> (64 - ID_SIDE_BITS));
}

static inline struct id_entry id_entry_of(const struct id_print *id, const struct record *record)
{
    const uint64_t day = id->undated ? 0 : record->day;
    const unsigned flags = (unsigned)id->keyless << 1 | id->odd_key;
    return (struct id_entry){id->print, id->key, id->contents, record->place << 24 | day << 8 | flags};
}

static inline uint64_t id_mix(uint64_t a, uint64_t b)
{
    const unsigned __int128 p = (unsigned __int128)(a ^ 0x9E3779B97F4A7C15ull) * (b ^ 0xC2B2AE3D27D4EB4Full);
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* `key_hash` is the same in every run of the book; `status` a hash of the status, `extras` of what else is compared. */
static inline void id_print_make(struct id_print *id, uint64_t key_hash, struct span occurrence,
                                 unsigned side, uint64_t status, uint64_t extras, const char currency[3],
                                 int64_t amount_micro, int is_out)
{
    const uint64_t money = (uint64_t)(uint8_t)currency[0] | (uint64_t)(uint8_t)currency[1] << 8 |
                           (uint64_t)(uint8_t)currency[2] << 16 | (uint64_t)(is_out != 0) << 24;
    id->print = hash_bytes(occurrence.data, occurrence.size, key_hash + 0x1D5A5EEDull + side);
    id->key = (uint32_t)key_hash;
    id->contents = (uint32_t)id_mix(id_mix((uint64_t)amount_micro, status), money ^ extras);
    id->has = 1;
}

#endif
