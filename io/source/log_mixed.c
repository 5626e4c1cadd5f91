/* io/source/log_mixed.c: see log_mixed.h. A hot file: no options asked, no allocation and no logging per row. */
#include "io/source/log_mixed.h"
#include "core/rules/image_quick.h"
#include "io/source/log_run.h"

/* The occurrence id at `to`, with its size before it; 8 bytes can be written behind. */
static inline __attribute__((always_inline)) uint16_t id_size_of(uint64_t number, uint64_t *digits)
{
    const uint64_t all = EIGHT_DIGITS(number);
    const unsigned zeros = number ? (unsigned)__builtin_ctzll(all) / 8 : 7;
    *digits = (all + 0x3030303030303030ull) >> 8 * zeros;
    return (uint16_t)(8 - zeros);
}

/* Up to the first that finds no room; how many. */
static inline __attribute__((always_inline)) uint32_t put_all(const struct log_mixed *m, const uint64_t *hash,
                                                              struct outbox *outbox, struct diag *diag)
{
    const int is_asked = outbox->fresh || outbox->dormant;
    uint32_t i;
    for (i = 0; i < m->count; i++) {
        const uint32_t key_size = m->key_size[i];
        char text[CELL_NUMBER_MAX];
        uint64_t digits = 0;
        const char *id_text = (const char *)&digits;
        uint16_t id_size;
        const int is_short = m->number[i] < 100000000;
        if (LIKELY(is_short)) {
            id_size = id_size_of(m->number[i], &digits);
        } else {
            const struct span printed = number_text(text, m->number[i], 0);
            id_text = printed.data;
            id_size = (uint16_t)printed.size;
        }
        const uint32_t units = record_units(RECORD_FOLD_BYTES + key_size + 2u + id_size);
        struct batch *const batch = outbox_room(outbox, hash[i], units, diag);
        if (UNLIKELY(!batch))
            break;
        struct record *const record = &batch->units[batch->used];
        uint8_t *const head = (uint8_t *)record, *const to = record->var + RECORD_FOLD_BYTES,
                       *const id = to + key_size;
        /* Words for the small fields and RECORD_FOLD_BYTES; a byte of what follows is written over and is written next. */
        log_put_le64(head, hash[i]);
        record->amount_micro = m->amount[i];
        record->place = m->place[i];
        log_put_le64(head + 24, m->words[i]);
        log_put_le64(head + 32, m->flags[i]);
        log_put_le64(head + 40, m->tail[i]);
        /* More than the text is written where there is room for it: what follows it is written next. */
        if (LIKELY(is_short & (units > 1) & (key_size <= 32))) {
            memcpy(to, m->key[i], 32);
            memcpy(id, &id_size, 2);
            memcpy(id + 2, &digits, 8);
        } else {
            memcpy(to, m->key[i], key_size);
            memcpy(id, &id_size, 2);
            memcpy(id + 2, id_text, id_size);
        }
        if (UNLIKELY(is_asked))
            outbox_put_untold(outbox, batch, units);
        else
            outbox_put_unasked(batch, units);
    }
    return i;
}

static inline uint32_t key_of(const struct log_mixed *m, uint32_t i)
{
    return tally_key(m->flags[i] & RECORD_CHANNEL, (uint16_t)m->words[i], (uint8_t)(m->flags[i] >> 16),
                     m->flags[i] & RECORD_OUT);
}

/* 0 when memory is out. */
static inline int tell_all(const struct log_mixed *m, uint32_t count, struct tally *tally)
{
    for (uint32_t i = 0; i < count;) {
        const uint32_t key = key_of(m, i), from = i;
        money_total sum = 0;
        do
            sum += m->amount[i++];
        while (i < count && key_of(m, i) == key);
        if (!tally_add_many(tally, key, i - from, sum))
            return 0;
    }
    return 1;
}

__attribute__((noinline)) enum err log_mixed_end(struct log_run *run, struct diag *diag)
{
    struct log_mixed *const m = &run->mixed;
    uint64_t hash[LOG_MIXED];
    for (uint32_t i = 0; i < m->count; i++)
        hash[i] = hash_bytes(m->key[i], m->key_size[i], run->quick.hash_seed);
    const uint32_t put = put_all(m, hash, run->outbox, diag);
    enum err err = put == m->count ? OK : diag->err;
    if (UNLIKELY(!tell_all(m, put, &run->outbox->tally)) && err == OK)
        err = outbox_no_memory(diag);
    m->count = 0;
    return err;
}
