/* core/model/packed.c: see packed.h; what is rare */
#include "core/model/packed.h"

const uint8_t packed_masks[64] = {
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

struct packed_key packed_key_anywhere(const uint8_t *key, uint32_t size, uint32_t channel)
{
    uint8_t room[32 + PACKED_KEY_MAX + 16] = {0};
    if (size == 0 || size > PACKED_KEY_MAX)
        return (struct packed_key){{0, 0}};
    memcpy(room + 32, key, size);
    return packed_key_of(room + 32, size, channel);
}

uint32_t packed_key_bytes(const struct packed_key *key, uint8_t *bytes)
{
    uint8_t at[16];
    const uint32_t size = key->word[0] & 31, letters = key->word[0] >> 5 & 7;
    memcpy(at, key->word, sizeof at);
    if (size <= PACKED_RAW_MAX) {
        memcpy(bytes, at + 2, size);
        return size;
    }
    memcpy(bytes, at + 2, letters);
    for (uint32_t i = letters; i < size; i++) {
        const uint32_t half = 32 - size + i;
        bytes[i] = (uint8_t)('0' + (half % 2 ? at[half / 2] & 15 : at[half / 2] >> 4));
    }
    return size;
}

void packed_open(const struct packed *p, uint64_t hash, struct record *record)
{
    const struct packed_key key = {{p->key[0], p->key[1]}};
    memset(record, 0, sizeof *record);
    record->hash_lo = (uint32_t)hash;
    record->hash_hi = (uint32_t)(hash >> 32);
    record->amount_micro = packed_amount(p);
    record->place = packed_place(p);
    record->day = packed_day(p);
    record->key_size = (uint16_t)packed_key_bytes(&key, record->var);
    record->status = (uint16_t)(p->sigma >> 1 & PACKED_STATUS_MAX);
    record->channel = (uint16_t)(p->key[0] >> 8 & PACKED_CHANNEL_MAX);
    record->flags = packed_flags(p);
    record->currency = packed_currency(p);
}
