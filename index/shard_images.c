/* index/shard_images.c: see shard_in.h; a log's images */
#include "index/shard_in.h"
#include <stdlib.h>

enum { CHAIN_LOOKED_AT = 4 /* entries: a longer chain is looked at in the end */ };

/* ---- folding: of a row the newest image counts ---- */

/* Is an entry the image of the row that `r`, whose id is `id`, is of? The other side, and another log of its side, have ids of their own. Images
 * replace each other within one part of a side; a carried record may be the row of any that reads its log. */
static inline int is_image_of(const struct index *s, const struct record *e, const struct record *r,
                              const uint8_t *id)
{
    if (!(e->flags & RECORD_IMAGE) || (e->flags & RECORD_DEAD) || ((e->flags ^ r->flags) & RECORD_CHANNEL))
        return 0;
    const struct record_layout layout = layout_of(s, e);
    if (layout.place_bits &&
        (UNLIKELY(r->flags & RECORD_CARRIED) ? record_log(e, layout) != record_log(r, layout)
                                             : (e->place ^ r->place) >> layout.place_bits != 0))
        return 0;
    const uint8_t *other = occurrence_of(s, e);
    return record_u16(id) == record_u16(other) && memcmp(id + 2, other + 2, record_u16(id)) == 0;
}

/* Notes an entry of a long chain. What does not fit is forgotten as a whole: then the chain is walked. */
int shard_note_image(struct index *s, uint32_t tag, uint32_t number)
{
    const uint64_t more = image_ids_more(&s->image_ids);
    if ((more == 0 || shard_may_grow(s, more)) && image_ids_add(&s->image_ids, tag, number))
        return 1;
    image_ids_fini(&s->image_ids);
    return 0;
}

uint32_t shard_image_tag(const struct index *s, uint32_t head, const struct record *e)
{
    const uint8_t *id = occurrence_of(s, e);
    return image_ids_tag(head, id + 2, record_u16(id));
}

static void note_chain(struct index *s, uint32_t head)
{
    if (!shard_note_image(s, image_ids_tag(head, NULL, 0), head))
        return;
    for (uint32_t number = head; number != NO_ENTRY; number = entry_at(s, number)->hash_hi) {
        const struct record *e = entry_at(s, number);
        if ((e->flags & RECORD_IMAGE) && !(e->flags & RECORD_DEAD) &&
            !shard_note_image(s, shard_image_tag(s, head, e), number))
            return;
    }
}

/* The entry of a chain that stands for the row of an image; NO_ENTRY: it has none. */
uint32_t shard_image_entry(struct index *s, uint32_t head, const struct record *r)
{
    const uint8_t *id = occurrence_of(s, r);
    if (s->image_ids.slots && image_ids_has(&s->image_ids, head)) {
        const uint32_t tag = image_ids_tag(head, id + 2, record_u16(id));
        uint32_t at = image_ids_first(tag), number;
        /* Another head's entries may have the tag too. */
        while ((number = image_ids_next(&s->image_ids, tag, &at)) != UINT32_MAX) {
            const struct record *e = entry_at(s, number);
            if (is_image_of(s, e, r, id) && e->hash_lo == r->hash_lo && key_equal(s, e, r, (struct road){0}))
                return number;
        }
        return NO_ENTRY;
    }
    uint32_t walked = 0;
    for (uint32_t number = head; number != NO_ENTRY; number = entry_at(s, number)->hash_hi, walked++)
        if (is_image_of(s, entry_at(s, number), r, id)) {
            if (walked > IMAGE_CHAIN_WALKED)
                note_chain(s, head);
            return number;
        }
    if (walked > IMAGE_CHAIN_WALKED)
        note_chain(s, head);
    return NO_ENTRY;
}

/* Folds an image into the chain of its key. 1: `r` was taken in or is older than what is here; 0: it must be
 * chained; -1: failed. */
int shard_fold(struct index *s, uint32_t head, const struct record *r, struct diag *diag)
{
    const uint32_t number = shard_image_entry(s, head, r);
    if (number == NO_ENTRY)
        return 0;
    struct record *e = entry_at(s, number);
    const struct record *older = r->place > e->place ? e : r;
    s->counts.superseded[side_of(r)]++;
    if (!tally_add(&s->superseded, older)) {
        mem_fail(diag, 0, "a tally");
        return -1;
    }
    if (older == r)
        return 1;
    uint32_t units = record_units(record_var_size(r, layout_of(s, r)));
    if (units <= record_units(record_var_size(e, layout_of(s, e)))) {
        const uint32_t next = e->hash_hi;
        memcpy(e, r, (size_t)units * RECORD_UNIT);
        e->hash_hi = next;
        return 1;
    }
    e->flags |= RECORD_DEAD; /* the new image is longer and gets an entry of its own; the chain's key
                                bytes stay */
    return 0;
}

/* All entries of a chain are free. */
void shard_chain_give(struct index *s, uint32_t head)
{
    for (uint32_t number = head, next; number != NO_ENTRY; number = next) {
        const struct record *e = entry_at(s, number);
        next = e->hash_hi;
        entry_give(s, number, record_units(record_var_size(e, layout_of(s, e))));
        s->counts.waiting--;
    }
}

/* ---- images that leave ---- */

/* The local and the channel record of a short chain that are all that is alive in it, and exactly alike. */
static int chain_is_pair(const struct index *s, uint32_t head, const struct record *of[SIDES])
{
    of[LOCAL] = of[CHANNEL] = NULL;
    uint32_t walked = 0;
    for (uint32_t at = head; at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        const struct record *e = entry_at(s, at);
        if (++walked > CHAIN_LOOKED_AT)
            return 0;
        if (e->flags & RECORD_DEAD)
            continue;
        if (e->flags & s->stays || of[side_of(e)])
            return 0;
        of[side_of(e)] = e;
    }
    return of[LOCAL] && of[CHANNEL] && sigma_equal(s, of[LOCAL], of[CHANNEL], (struct road){0}) &&
           window_fits(s, of[LOCAL], of[CHANNEL]);
}

/* A record comes to the key of a sampled chain: had it been a pair, it would have to come back. */
__attribute__((noinline)) void shard_note_sampled(struct index *s, uint32_t head)
{
    const struct record *of[SIDES];
    s->sampled_again += chain_is_pair(s, head, of);
}

enum err shard_image_leaves(struct index *s, uint32_t partition, const struct record *local,
                            const struct record *channel, struct diag *diag)
{
    const struct record *const of[SIDES] = {local, channel};
    struct image_at at[SIDES];
    for (int side = 0; side < SIDES; side++)
        if (s->config.layout[side].has_fold) {
            at[side] = image_at_of(of[side]);
            if (s->config.words)
                shard_tell_left(s, of[side], 1);
        }
    const struct left_pair pair = {.local = local->place, .channel = channel->place};
    return shard_remember_images(s, local->hash_lo, partition, &pair, at, diag);
}

/* A chain to which a record came leaves where it is a pair now. */
__attribute__((noinline)) enum err shard_chain_leaves(struct index *s, const struct found *found,
                                                      uint32_t tag, struct diag *diag)
{
    const struct record *of[SIDES];
    if (s->config.holds_all || !chain_is_pair(s, found->head, of) || !images_go(s, of[LOCAL]))
        return OK;
    count_pair(s, of[LOCAL], of[CHANNEL], (struct road){0});
    enum err err = shard_image_leaves(s, partition_of_tag(s, tag), of[LOCAL], of[CHANNEL], diag);
    table_remove(&s->table, tag, found->bucket, found->slot);
    shard_chain_give(s, found->head);
    return err;
}

/* ---- images that left ----
 *
 * An image that left may have been replaced since, by a record that waits, or by one that left as well. So where anything else has the print of
 * its pair, its record is made again and folded with what is there, as if it had waited. Mostly the row was told once more and nothing
 * changed that is compared: then it is a pair as before, and nobody need look at the other side's row.
 */

/* What is in a chain besides an image that came back is nothing, but perhaps the later image that took its place, exactly alike: that one,
 * else NULL. */
static struct record *left_again(const struct index *s, uint32_t head, const struct record *image)
{
    struct record *alive = NULL;
    if (s->config.keep_pairs || s->config.gives_back || repeats_has_key(s->config.repeats, image->hash_lo))
        return NULL;
    for (uint32_t at = head; at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        struct record *e = entry_at(s, at);
        if (e->flags & (RECORD_DEAD | RECORD_REJECT) ||
            (e->flags & (RECORD_GONE | RECORD_VOIDED)) == RECORD_GONE || is_apart(s, e))
            continue;
        if (alive || e->flags & s->stays)
            return NULL;
        alive = e;
    }
    return alive && alive->flags & RECORD_IMAGE && side_of(alive) == side_of(image) &&
                   alive->day == image->day && sigma_equal(s, alive, image, (struct road){0})
               ? alive
               : NULL;
}

/* Puts a record that came back under its key; the key's chain. */
static enum err put_back(struct index *s, const struct record *r, uint32_t *head, struct diag *diag)
{
    const struct road road = {.sub = s->level > 0};
    const uint32_t units = record_units(record_var_size(r, layout_of(s, r))), tag = tag_of(r, road);
    struct found found = {0};
    int grown = 1;
    const int is_there = find_key(s, r, tag, road, &found);
    if (is_there) {
        *head = found.head;
        const int folded = shard_fold(s, found.head, r, diag);
        if (folded)
            return folded > 0 ? OK : ERR_MACHINE;
    } else if (s->table.keys >= s->table.keys_max) {
        enum err err = shard_table_grow(s, &grown, diag);
        if (err != OK)
            return err;
    }
    const uint32_t number = entry_take(s, units, diag);
    if (number == NO_ENTRY)
        return diag->err;
    struct record *fresh = entry_at(s, number);
    record_copy(fresh, r, units);
    s->counts.waiting++;
    if (is_there) {
        struct record *e = entry_at(s, found.head);
        fresh->hash_hi = e->hash_hi;
        e->hash_hi = number;
        if (s->image_ids.slots && image_ids_has(&s->image_ids, found.head))
            shard_note_image(s, shard_image_tag(s, found.head, fresh), number);
        return OK;
    }
    fresh->hash_hi = NO_ENTRY;
    table_put(&s->table, tag, tag, number);
    *head = number;
    if (s->back_count == s->back_room) {
        const uint32_t room = s->back_room ? s->back_room * 2 : 64;
        struct waiting *more = mem_grow(s->back, room * sizeof *more);
        if (!more)
            return mem_fail(diag, room * sizeof *more, "images that are judged again");
        s->back = more;
        s->back_room = room;
    }
    s->back[s->back_count++] = (struct waiting){number, tag};
    return OK;
}

struct recalling {
    struct index *index;
    const struct row_ref *refs; /* key_hash: the number of its pair, while they are on their way */
};

static enum err take_recalled(void *taker, uint32_t number, const struct record *r, struct diag *diag)
{
    const struct recalling *const recalling = taker;
    struct index *const s = recalling->index;
    const uint32_t pair = recalling->refs[number].key_hash;
    struct left_image *const image = &s->left_images[pair];
    const enum side side = side_of(r);
    if (r->hash_lo != s->flat[pair].print || r->flags & s->stays || side != recalling->refs[number].side)
        return diag_set(diag, ERR_INPUT, "file.changed", "wait until it is written, then run again",
                        "the %s side: the row at byte %llu is not what it was when it was read first",
                        side_name(side), (unsigned long long)r->place);
    s->counts.recalled++;
    s->totals.back_count[side][r->currency]++;
    s->totals.back_sum[side][r->currency] += r->amount_micro;
    if (s->config.words)
        shard_tell_left(s, r, -1);
    uint32_t head = NO_ENTRY;
    enum err err = put_back(s, r, &head, diag);
    if (err != OK || image->many || s->config.layout[!side].has_fold)
        return err;
    /* All of its key that has waited is in the chain, and no other pair of its key left. */
    struct record *const again = left_again(s, head, r);
    if (!again)
        return OK;
    s->totals.back_count[side][r->currency]--;
    s->totals.back_sum[side][r->currency] -= r->amount_micro;
    if (s->config.words)
        shard_tell_left(s, again, 1);
    again->flags |= RECORD_DEAD; /* it is counted */
    *(side == LOCAL ? &s->flat[pair].local : &s->flat[pair].channel) = again->place;
    image->state = LEFT_AGAIN;
    return OK;
}

static int by_ref_place(const void *a, const void *b)
{
    const uint64_t x = ((const struct row_ref *)a)->place, y = ((const struct row_ref *)b)->place;
    return (x > y) - (x < y);
}

static void call_pair(struct index *s, size_t pair, uint32_t *called)
{
    if (s->left_images[pair].state == LEFT) {
        s->left_images[pair].state = LEFT_CALLED;
        ++*called;
    }
}

/* Images of pairs whose print something else has come back; what is no pair any more goes out with its key. */
enum err shard_recall_images(struct index *s, uint32_t number, size_t n, size_t mask, struct refs *out,
                             uint32_t *called, struct diag *diag)
{
    *called = 0;
    s->back_count = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t first = s->seen[seen_slot(s, mask, s->flat[i].print)] - 1;
        if (first == i)
            continue;
        s->left_images[first].many = s->left_images[i].many = 1;
        call_pair(s, first, called);
        call_pair(s, i, called);
    }
    for (uint32_t i = s->waiting_start[number]; n && i < s->waiting_start[number + 1]; i++) {
        const uint32_t left = s->seen[seen_slot(s, mask, entry_at(s, s->waiting[i].head)->hash_lo)];
        if (left)
            call_pair(s, left - 1, called);
    }
    for (size_t i = 0; s->config.repeats && s->config.repeats->count && i < n; i++)
        if (repeats_has_key(s->config.repeats, s->flat[i].print))
            call_pair(s, i, called);
    if (*called == 0)
        return OK;
    struct row_ref *refs = mem_take((size_t)*called * sizeof *refs);
    enum err err = refs ? OK : mem_fail(diag, (size_t)*called * sizeof *refs, "images that are judged again");
    s->is_judging = 1;
    for (int side = 0; err == OK && side < SIDES; side++) {
        struct recalling recalling = {s, refs};
        uint32_t count = 0;
        if (!s->config.layout[side].has_fold)
            continue;
        for (size_t i = 0; i < n; i++)
            if (s->left_images[i].state != LEFT) {
                refs[count] = shard_ref_of_left(&s->flat[i], &s->left_images[i], (enum side)side);
                refs[count++].key_hash = (uint32_t)i;
            }
        qsort(refs, count, sizeof *refs, by_ref_place);
        err = s->config.recall.images(s->config.recall.context, refs, count, take_recalled, &recalling, diag);
    }
    s->is_judging = 0;
    mem_give(refs);
    for (size_t i = 0; err == OK && i < n; i++)
        if (s->left_images[i].state == LEFT_CALLED) {
            s->left_images[i].state = LEFT_BACK;
            err = shard_give_back(&s->flat[i], &s->left_images[i], out, diag);
        }
    return err;
}

/* What came back for a partition has been judged: its memory is for the next one's. */
void shard_forget_recalled(struct index *s, uint32_t number)
{
    const struct road road = {.sub = s->level > 0};
    image_ids_fini(&s->image_ids);
    for (uint32_t i = s->waiting_start[number]; i < s->waiting_start[number + 1]; i++)
        shard_chain_give(s, s->waiting[i].head);
    for (uint32_t i = 0; i < s->back_count; i++) {
        struct found found;
        if (!find_key(s, entry_at(s, s->back[i].head), s->back[i].hash_hi, road, &found))
            CHECK(!"a key that was put is there");
        table_remove(&s->table, s->back[i].hash_hi, found.bucket, found.slot);
        shard_chain_give(s, s->back[i].head);
    }
    s->back_count = 0;
}
