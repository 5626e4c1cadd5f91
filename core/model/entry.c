/* core/model/entry.c: see entry.h */
#include "core/model/entry.h"
#include "core/base/hash.h"
#include <stddef.h>

enum { HEAD = 24, SIDE_HEAD = 32 };

static uint8_t *put(uint8_t *p, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *p++ = (uint8_t)(value >> (8 * i));
    return p;
}

static uint64_t get(const uint8_t *p, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static uint8_t *put_text(uint8_t *p, struct span text)
{
    p = put(p, text.size, 4);
    if (text.size)
        memcpy(p, text.data, text.size);
    return p + text.size;
}

static int get_text(const uint8_t **p, const uint8_t *end, struct span *text)
{
    if (end - *p < 4)
        return 0;
    const uint64_t size = get(*p, 4);
    *p += 4;
    if ((uint64_t)(end - *p) < size)
        return 0;
    *text = (struct span){(const char *)*p, (size_t)size};
    *p += size;
    return 1;
}

size_t entry_size(const struct entry *e)
{
    size_t size = HEAD + 12 + e->task.size + e->reasons.size + e->key.size;
    for (int side = 0; side < SIDES; side++) {
        if (!e->side[side].present)
            continue;
        size += SIDE_HEAD + 8 + e->side[side].occurrence.size + e->side[side].place.size;
        for (int i = 0; i < e->field_count; i++)
            size += 4 + e->side[side].text[i].size;
    }
    return size;
}

void entry_encode(const struct entry *e, uint8_t *p)
{
    p = put(p, ENTRY_VERSION, 1);
    p = put(p, e->kind, 1);
    p = put(p, e->class_id, 1);
    p = put(p, e->key_no, 1);
    p = put(p, e->field_count, 1);
    p = put(p, (uint64_t)e->side[LOCAL].present | (uint64_t)e->side[CHANNEL].present << 1, 1);
    p = put(p, e->repeated, 1);
    p = put(p, e->undo, 1);
    p = put(p, e->revision, 4);
    p = put(p, 0, 4);
    p = put(p, e->set_id, 8);
    p = put_text(p, e->task);
    p = put_text(p, e->reasons);
    p = put_text(p, e->key);
    for (int side = 0; side < SIDES; side++) {
        const struct entry_side *s = &e->side[side];
        if (!s->present)
            continue;
        p = put(p, s->currency, 1);
        p = put(p, s->has_fee, 1);
        p = put(p, s->carried, 1);
        p = put(p, 0, 1);
        p = put(p, s->day, 2);
        p = put(p, s->since, 2);
        p = put(p, s->tries, 4);
        p = put(p, 0, 4);
        p = put(p, (uint64_t)s->amount_micro, 8);
        p = put(p, (uint64_t)s->fee_micro, 8);
        for (int i = 0; i < e->field_count; i++)
            p = put_text(p, s->text[i]);
        p = put_text(p, s->occurrence);
        p = put_text(p, s->place);
    }
}

int entry_peek(const uint8_t *p, size_t size, unsigned *kind, unsigned *class_id)
{
    if (size < HEAD || p[0] != ENTRY_VERSION || p[1] < ENTRY_VERDICT || p[1] >= ENTRY_KINDS ||
        p[2] >= CLASSES)
        return 0;
    *kind = p[1];
    *class_id = p[2];
    return 1;
}

int entry_decode(struct entry *e, const uint8_t *p, size_t size)
{
    const uint8_t *const end = p + size;
    memset(e, 0, sizeof *e);
    if (size < HEAD || p[0] != ENTRY_VERSION || p[1] < ENTRY_VERDICT || p[1] > ENTRY_AGAIN ||
        p[2] >= CLASSES || p[4] < FIELDS || p[4] > FIELD_SLOTS || p[5] < 1 || p[5] > 3)
        return 0;
    e->kind = p[1];
    e->class_id = p[2];
    e->key_no = p[3];
    e->field_count = p[4];
    e->side[LOCAL].present = p[5] & 1;
    e->side[CHANNEL].present = p[5] >> 1 & 1;
    e->repeated = p[6];
    e->undo = p[7];
    e->revision = (uint32_t)get(p + 8, 4);
    e->set_id = get(p + 16, 8);
    p += HEAD;
    if (!get_text(&p, end, &e->task) || !get_text(&p, end, &e->reasons) || !get_text(&p, end, &e->key))
        return 0;
    for (int side = 0; side < SIDES; side++) {
        struct entry_side *s = &e->side[side];
        if (!s->present)
            continue;
        if (end - p < SIDE_HEAD)
            return 0;
        s->currency = p[0];
        s->has_fee = p[1];
        s->carried = p[2];
        s->day = (uint16_t)get(p + 4, 2);
        s->since = (uint16_t)get(p + 6, 2);
        s->tries = (uint32_t)get(p + 8, 4);
        s->amount_micro = (int64_t)get(p + 16, 8);
        s->fee_micro = (int64_t)get(p + 24, 8);
        p += SIDE_HEAD;
        for (int i = 0; i < e->field_count; i++)
            if (!get_text(&p, end, &s->text[i]))
                return 0;
        if (!get_text(&p, end, &s->occurrence) || !get_text(&p, end, &s->place))
            return 0;
    }
    return p == end;
}

static int compare_texts(const struct entry *a, const struct entry_side *x, const struct entry_side *y)
{
    int c = 0;
    for (int i = 0; c == 0 && i < a->field_count; i++)
        c = x->text[i].size != y->text[i].size ? (x->text[i].size < y->text[i].size ? -1 : 1)
                                               : span_compare(x->text[i], y->text[i]);
    return c;
}

int entry_compare(const struct entry *a, const struct entry *b)
{
    const struct entry_side *x = entry_lead(a), *y = entry_lead(b);
    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    if (!x->occurrence.size != !y->occurrence.size)
        return x->occurrence.size ? -1 : 1;
    int c = span_compare(x->occurrence, y->occurrence);
    if (c == 0 && a->field_count != b->field_count)
        c = a->field_count < b->field_count ? -1 : 1;
    if (c == 0)
        c = compare_texts(a, x, y);
    return c ? c : (int)b->side[LOCAL].present - (int)a->side[LOCAL].present;
}

int entry_same(const struct entry *a, const struct entry *b)
{
    if (a->class_id != b->class_id || a->key_no != b->key_no || a->field_count != b->field_count ||
        a->set_id != b->set_id || !span_equal(a->reasons, b->reasons) || !span_equal(a->key, b->key) ||
        !span_equal(a->task, b->task))
        return 0;
    for (int side = 0; side < SIDES; side++) {
        const struct entry_side *x = &a->side[side], *y = &b->side[side];
        if (x->present != y->present)
            return 0;
        if (x->present &&
            (x->carried != y->carried || x->since != y->since || x->tries != y->tries || x->day != y->day ||
             !span_equal(x->occurrence, y->occurrence) || compare_texts(a, x, y) != 0))
            return 0;
    }
    return 1;
}

static uint64_t print_text(uint64_t print, struct span text)
{
    return hash_bytes(text.data, text.size, print ^ text.size);
}

uint64_t entry_print(const struct entry *e)
{
    uint64_t print = print_text(e->class_id + 1u, e->task);
    for (int side = 0; side < SIDES; side++) {
        const struct entry_side *s = &e->side[side];
        print = print * 31 + s->present;
        if (!s->present)
            continue;
        print = print_text(print, s->occurrence);
        for (int i = 0; i < e->field_count; i++)
            print = print_text(print, s->text[i]);
    }
    return print;
}
