/* index/pairs.c: see pairs.h; which pairs are not alone */
#include "index/pairs.h"
#include "core/base/mem.h"

enum { MARKS_A_PAIR = 6, MARKS_MAX = 1 << 30, ONE = 1, EQUALS = 3 };

/* Prints of a shard that came back have their upper bits in common: all bits choose. */
static inline uint32_t place_of(uint32_t print, unsigned shift)
{
    return print * 0x9E3779B1u >> shift;
}

static const uint8_t *prints_of(const struct pair_page *page, uint32_t *count)
{
    const struct pair_head *head = (const struct pair_head *)page->bytes;
    *count = head->count;
    return (const uint8_t *)(head + 1);
}

static inline uint32_t print_at(const uint8_t *prints, uint32_t number)
{
    uint32_t print;
    memcpy(&print, prints + (size_t)number * sizeof print, sizeof print);
    return print;
}

int pair_sift_copies(struct pair_sift *sift, size_t size)
{
    if (size > sift->copies_room) {
        mem_give(sift->copies);
        sift->copies_room = 0;
        sift->copies = mem_take(size + size / 4);
        if (!sift->copies)
            return 0;
        sift->copies_room = size + size / 4;
    }
    sift->copies_size = size;
    return 1;
}

int pair_sift_add(struct pair_sift *sift, const void *bytes, uint32_t size)
{
    if (sift->copies_size) {
        CHECK2(size <= sift->copies_size - sift->copies_used, size, sift->copies_used);
        memcpy(sift->copies + sift->copies_used, bytes, size);
        bytes = sift->copies + sift->copies_used;
        sift->copies_used += size;
    }
    if (sift->page_count == sift->page_room) {
        const uint32_t room = sift->page_room ? sift->page_room * 2 : 64;
        struct pair_page *grown = mem_grow(sift->pages, room * sizeof *grown);
        if (!grown)
            return 0;
        sift->pages = grown;
        sift->page_room = room;
    }
    struct pair_page *page = &sift->pages[sift->page_count++];
    *page = (struct pair_page){bytes, size, sift->count};
    uint32_t count;
    prints_of(page, &count);
    sift->count += count;
    return 1;
}

static int make_room(struct pair_sift *sift)
{
    size_t marks = 1024;
    while (marks < MARKS_MAX && marks < (size_t)sift->count * MARKS_A_PAIR)
        marks *= 2;
    sift->shift = 32 - (unsigned)__builtin_ctzll(marks);
    if (marks > sift->marks_room) {
        mem_give(sift->marks);
        sift->marks = mem_take(marks);
        sift->marks_room = sift->marks ? marks : 0;
        if (!sift->marks)
            return 0;
    }
    if (sift->count >= sift->found_room) {
        mem_give(sift->found);
        sift->found_room = sift->count + sift->count / 4 + 64;
        sift->found = mem_take(sift->found_room * sizeof *sift->found);
        if (!sift->found) {
            sift->found_room = 0;
            return 0;
        }
    }
    memset(sift->marks, 0, marks);
    return 1;
}

int pair_sift_begin(struct pair_sift *sift)
{
    if (!make_room(sift))
        return 0;
    uint8_t *const marks = sift->marks;
    const unsigned shift = sift->shift;
    /* Without a branch: one in ten was there before, and just that would be guessed wrong. */
    uint32_t *const again = (uint32_t *)sift->found;
    size_t count = 0;
    for (uint32_t p = 0; p < sift->page_count; p++) {
        uint32_t prints_count;
        const uint8_t *prints = prints_of(&sift->pages[p], &prints_count);
        for (uint32_t i = 0; i < prints_count; i++) {
            const uint32_t place = place_of(print_at(prints, i), shift);
            again[count] = place;
            count += marks[place];
            marks[place] = ONE;
        }
    }
    for (size_t i = 0; i < count; i++)
        marks[again[i]] = EQUALS;
    sift->asked_count = 0;
    return 1;
}

int pair_sift_ask(struct pair_sift *sift, uint32_t print)
{
    const uint32_t place = place_of(print, sift->shift);
    if (!sift->marks[place])
        return 1;
    if (sift->asked_count == sift->asked_room) {
        const uint32_t room = sift->asked_room ? sift->asked_room * 2 : 64;
        uint32_t *grown = mem_grow(sift->asked, room * sizeof *grown);
        if (!grown)
            return 0;
        sift->asked = grown;
        sift->asked_room = room;
    }
    sift->asked[sift->asked_count++] = print;
    sift->marks[place] = EQUALS;
    return 1;
}

#define HAS_EQUAL (UINT64_C(1) << 31)

static inline uint32_t found_print(uint64_t found)
{
    return (uint32_t)(found >> 32);
}

/* The slot of a print: empty, or 1 + the number of the first one with it among those found. */
static size_t slot_of(const struct pair_sift *sift, size_t mask, uint32_t print)
{
    size_t at = (print * 0x9E3779B97F4A7C15ull) >> 20 & mask;
    while (sift->set[at] && found_print(sift->found[sift->set[at] - 1]) != print)
        at = (at + 1) & mask;
    return at;
}

/* Marks those found that have an equal, and the first of each print that was asked for. */
static int mark_equals(struct pair_sift *sift, size_t count)
{
    size_t slots = 64;
    while (slots < count * 2)
        slots *= 2;
    if (slots > sift->set_room) {
        mem_give(sift->set);
        sift->set = mem_take(slots * sizeof *sift->set);
        sift->set_room = sift->set ? slots : 0;
        if (!sift->set)
            return 0;
    }
    memset(sift->set, 0, slots * sizeof *sift->set);
    for (size_t i = 0; i < count; i++) {
        const size_t at = slot_of(sift, slots - 1, found_print(sift->found[i]));
        if (sift->set[at]) {
            sift->found[sift->set[at] - 1] |= HAS_EQUAL;
            sift->found[i] |= HAS_EQUAL;
        } else {
            sift->set[at] = (uint32_t)i + 1;
        }
    }
    for (uint32_t i = 0; i < sift->asked_count; i++) {
        const size_t at = slot_of(sift, slots - 1, sift->asked[i]);
        if (sift->set[at])
            sift->found[sift->set[at] - 1] |= HAS_EQUAL;
    }
    return 1;
}

int pair_sift_end(struct pair_sift *sift, struct left_pair **pairs, size_t *room, size_t *count)
{
    size_t found = 0, marked = 0;
    uint64_t *const all = sift->found;
    const uint8_t *const marks = sift->marks;
    const unsigned shift = sift->shift;
    *count = 0;
    for (uint32_t p = 0; p < sift->page_count; p++) {
        uint32_t prints_count;
        const uint8_t *prints = prints_of(&sift->pages[p], &prints_count);
        const uint32_t first = sift->pages[p].first;
        for (uint32_t i = 0; i < prints_count; i++) {
            const uint32_t print = print_at(prints, i);
            all[found] = (uint64_t)print << 32 | (first + i);
            found += marks[place_of(print, shift)] >> 1;
        }
    }
    if (!mark_equals(sift, found))
        return 0;
    for (size_t i = 0; i < found; i++)
        marked += (sift->found[i] & HAS_EQUAL) != 0;
    if (marked > *room) {
        mem_give(*pairs);
        *room = 0;
        *pairs = mem_take(marked * sizeof **pairs);
        if (!*pairs)
            return 0;
        *room = marked;
    }
    const int has_images = sift->is_log[LOCAL] | sift->is_log[CHANNEL];
    if (has_images && marked > sift->images_room) {
        mem_give(sift->images);
        sift->images = mem_take(marked * sizeof *sift->images);
        sift->images_room = sift->images ? marked : 0;
        if (!sift->images)
            return 0;
    }
    struct image_at none[SIDES];
    uint32_t p = 0, next = 0, end = 0; /* of the page that is walked: its pairs from `next` on */
    struct pair_walk walk = {0};
    for (size_t i = 0; i < found; i++) {
        if (!(sift->found[i] & HAS_EQUAL))
            continue;
        const uint32_t number = (uint32_t)(sift->found[i] & (HAS_EQUAL - 1));
        while (number >= end) {
            const struct pair_page *page = &sift->pages[p++];
            next = page->first;
            end = next + pair_walk_begin(&walk, page->bytes, page->size);
        }
        struct image_at *const at = has_images ? sift->images[*count] : none;
        do {
            pair_next(&walk, &(*pairs)[*count]);
            for (int side = 0; has_images && side < SIDES; side++)
                if (sift->is_log[side])
                    pair_next_image(&walk, &at[side]);
        } while (next++ < number);
        ++*count;
    }
    return 1;
}

void pair_sift_reset(struct pair_sift *sift)
{
    sift->page_count = sift->count = sift->asked_count = 0;
    sift->copies_used = sift->copies_size = 0;
}

void pair_sift_fini(struct pair_sift *sift)
{
    mem_give(sift->pages);
    mem_give(sift->copies);
    mem_give(sift->marks);
    mem_give(sift->found);
    mem_give(sift->set);
    mem_give(sift->asked);
    mem_give(sift->images);
    *sift = (struct pair_sift){0};
}
