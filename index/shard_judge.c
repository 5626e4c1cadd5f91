/* index/shard_judge.c: see shard_in.h; what is left when the inputs are at their end */
#include "index/shard_in.h"

/* ---- settle ---- */

/* Of one side: do an image and a carried record tell the same row? */
static int is_same_row(const struct index *s, const struct record *image, const struct record *carried)
{
    const struct record_layout layout = layout_of(s, image);
    if ((image->flags ^ carried->flags) & RECORD_CHANNEL ||
        record_log(image, layout) != record_log(carried, layout))
        return 0;
    const uint8_t *id = occurrence_of(s, image), *other = occurrence_of(s, carried);
    return record_u16(id) == record_u16(other) && memcmp(id + 2, other + 2, record_u16(id)) == 0;
}

/* A row that two parts of a side read by turns has left one of them: is it in the other one now? Then that image; else the one that was
 * asked for. */
static const struct record *lives_on(const struct index *s, uint32_t head, const struct record *carried,
                                     const struct record *gone)
{
    for (uint32_t at = head; layout_of(s, gone).place_bits && at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        const struct record *e = entry_at(s, at);
        if ((e->flags & (RECORD_IMAGE | RECORD_DEAD | RECORD_GONE)) == RECORD_IMAGE &&
            is_same_row(s, e, carried))
            return e;
    }
    return gone;
}

/* Whether a carried record is in the chain. One that the log tells as deleted, or moved to another key, is voided. */
static int settle_carried(struct index *s, uint32_t head)
{
    int carried = 0;
    for (uint32_t number = head; number != NO_ENTRY; number = entry_at(s, number)->hash_hi)
        carried |= (entry_at(s, number)->flags & RECORD_CARRIED) != 0;
    for (uint32_t at = head; carried && at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        struct record *gone = entry_at(s, at);
        if (!(gone->flags & RECORD_GONE) || (gone->flags & RECORD_DEAD))
            continue;
        for (uint32_t number = head; number != NO_ENTRY; number = entry_at(s, number)->hash_hi) {
            struct record *e = entry_at(s, number);
            if (e->flags & RECORD_CARRIED && is_same_row(s, gone, e) && lives_on(s, head, e, gone) == gone) {
                e->flags |= RECORD_VOIDED;
                gone->flags |= RECORD_OTHER_DAY; /* one record of the row is enough */
            }
        }
    }
    return carried;
}

/* Of a bill date too far back, or of one to come: NULL. */
static struct log_sums *sums_of(struct log_sums sums[SIDES][LOG_DAYS], const struct index *s,
                                const struct record *r)
{
    const int back = (int)s->config.unit_day - (int)r->day;
    return back >= 0 && back < LOG_DAYS ? &sums[r->flags & RECORD_CHANNEL ? CHANNEL : LOCAL][back] : NULL;
}

static void tell_record(const struct index *s, struct log_sums *sums, const struct record *r)
{
    if (!sums)
        return;
    if (r->flags & RECORD_IMAGE && r->flags & RECORD_GONE) {
        sums->deleted += (r->flags & RECORD_VOIDED) != 0;
        return;
    }
    const struct log_print print = log_print_of(r, layout_of(s, r), s->config.words, s->config.seed);
    log_sums_add(sums, &print);
}

void shard_tell_left(struct index *s, const struct record *r, int sign)
{
    struct log_sums *const sums = sums_of(s->log_days.told, s, r);
    struct log_sums one = {0};
    tell_record(s, sums ? &one : NULL, r);
    if (sums)
        log_sums_merge(sums, &one, sign);
}

/* 1: the log tells a carried record as it was carried. */
static int is_as_carried(const struct index *s, const struct record *carried, const struct record *image)
{
    if (image->flags & RECORD_GONE || image->day != carried->day)
        return 0;
    return log_print_of(carried, layout_of(s, carried), s->config.words, s->config.seed).print ==
           log_print_of(image, layout_of(s, image), s->config.words, s->config.seed).print;
}

/* Sums up what the log tells of the records of a chain, by bill date. Final records that may be reopened are as any other: that one
 * of them changed is told. */
static void tell_days(struct index *s, uint32_t head, int carried)
{
    for (uint32_t at = head; at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        const struct record *e = entry_at(s, at);
        if ((e->flags & (RECORD_DEAD | RECORD_IMAGE | RECORD_REJECT)) == RECORD_IMAGE)
            tell_record(s, sums_of(s->log_days.told, s, e), e);
    }
    for (uint32_t at = head; carried && at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        const struct record *e = entry_at(s, at);
        if ((e->flags & (RECORD_DEAD | RECORD_IMAGE | RECORD_CARRIED | RECORD_LATE)) != RECORD_CARRIED ||
            !layout_of(s, e).has_fold)
            continue;
        const uint32_t number = shard_image_entry(s, head, e);
        const struct record *image = number == NO_ENTRY ? NULL : entry_at(s, number);
        if (image && image->flags & RECORD_GONE)
            image = lives_on(s, head, e, image);
        if (!image || ((image->flags ^ e->flags) & RECORD_CHANNEL) || is_as_carried(s, e, image))
            continue;
        tell_record(s, sums_of(s->log_days.was, s, e), e);
        if (e->flags & RECORD_TIMELESS)
            tell_record(s, sums_of(s->log_days.timeless, s, e), e);
        if (!(image->flags & RECORD_REJECT))
            tell_record(s, sums_of(s->log_days.is, s, image), image);
    }
}

static int is_carried_here(const struct index *s, uint32_t head, const struct record *image)
{
    for (uint32_t at = head; at != NO_ENTRY; at = entry_at(s, at)->hash_hi)
        if (entry_at(s, at)->flags & RECORD_CARRIED && is_same_row(s, image, entry_at(s, at)))
            return 1;
    return 0;
}

/* Carried records that have this key by now take part as the task's own; what they were is voided under the key that they had. */
static void take_renamed(struct index *s, uint32_t head)
{
    for (uint32_t at = head; s->config.other_days_apart && at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        struct record *e = entry_at(s, at);
        if (!is_renamed(s, e) || is_carried_here(s, head, e))
            continue;
        e->flags &= (uint16_t)~RECORD_OTHER_DAY;
        if (s->config.words)
            tell_record(s, sums_of(s->log_days.is, s, e), e);
    }
}

/* A key that one live image and one channel record share, exactly alike: what apply would have let go, had
 * the image been final. */
static int settles_now(const struct index *s, uint32_t head, const struct record **local,
                       const struct record **channel)
{
    *local = *channel = NULL;
    if (s->config.holds_all)
        return 0;
    for (uint32_t number = head; number != NO_ENTRY; number = entry_at(s, number)->hash_hi) {
        const struct record *e = entry_at(s, number);
        if (e->flags & (RECORD_DEAD | RECORD_REJECT) ||
            (e->flags & (RECORD_GONE | RECORD_VOIDED)) == RECORD_GONE || is_apart(s, e))
            continue;
        if (e->flags & (RECORD_VOIDED | RECORD_NO_KEY | RECORD_CARRIED))
            return 0;
        const struct record **at = e->flags & RECORD_CHANNEL ? channel : local;
        if (*at)
            return 0;
        *at = e;
    }
    return *local && *channel && ((*local)->flags & RECORD_IMAGE) &&
           sigma_equal(s, *local, *channel, (struct road){0}) && window_fits(s, *local, *channel);
}

/* Too many pairs for one set of their hashes. */
static int pairs_exceed(const struct index *s, uint32_t partition)
{
    const uint64_t each = sizeof(struct left_pair) + 2 * sizeof *s->seen;
    /* Images that come back are records again, all of them if need be. */
    const uint64_t images =
        s->has_images ? sizeof(struct left_image) + sizeof(struct row_ref) + 2 * RECORD_UNIT : 0;
    const uint64_t share =
        s->has_images && s->level == LEVEL_LAST ? s->live_max : shard_pair_share(s->config.memory_max);
    return s->config.memory_max && s->trail[partition].count * (each + images) > share;
}

static int pairs_too_many(const struct index *s, uint32_t partition)
{
    return s->level < LEVEL_LAST && pairs_exceed(s, partition);
}

/* The same list of packed records. */
static enum err list_packed(struct index *s, struct diag *diag)
{
    const struct packed_table *const packed = &s->packed;
    uint32_t size[HASH_PARTITIONS] = {0}, at[HASH_PARTITIONS], sum = 0;
    mem_give(s->packed_waiting);
    s->packed_waiting = mem_take((packed->table.keys + 1) * sizeof *s->packed_waiting);
    if (!s->packed_waiting)
        return mem_fail(diag, (packed->table.keys + 1) * sizeof *s->packed_waiting,
                        "the list of open records");
    for (int turn = 0; turn < 2; turn++) {
        for (uint64_t i = 0; packed->table.keys && i <= packed->table.mask; i++)
            for (unsigned bits = bucket_taken(&packed->table.buckets[i]); bits; bits &= bits - 1) {
                const uint32_t head = packed->table.buckets[i].head[__builtin_ctz(bits)];
                if (packed_is_escaped(packed_at(packed, head)))
                    continue;
                const uint32_t partition = partition_of_hash(
                    s, packed_hash(packed_at(packed, head)->key, packed->seed), s->level > 0);
                if (turn == 0)
                    size[partition]++;
                else
                    s->packed_waiting[at[partition]++] = head;
            }
        for (unsigned p = 0; turn == 0 && p < s->partition_count; p++) {
            s->packed_start[p] = at[p] = sum;
            sum += size[p];
        }
    }
    s->packed_start[s->partition_count] = sum;
    s->counts.groups += sum;
    return OK;
}

enum err shard_settle(struct index *s, struct diag *diag)
{
    enum err err = OK;
    /* What does not fit is judged in parts of a part. */
    const int list_fits =
        s->level == LEVEL_LAST || shard_may_grow(s, s->table.keys * sizeof *s->waiting +
                                                        s->packed.table.keys * sizeof *s->packed_waiting);
    uint32_t more = 0;
    for (uint32_t p = 0; p < s->partition_count; p++)
        if (!s->left[p] && (!list_fits || pairs_too_many(s, p))) {
            s->left[p] = 1;
            s->left_count++;
            more++;
        }
    if (more) {
        err = shard_need_kept(s, diag);
        if (err == OK)
            err = shard_move_left(s, diag);
    }
    /* What comes back needs room. */
    if (err == OK && s->left_count && s->config.packs)
        err = s->pairs->ops->limit(s->pairs, shard_pair_share(s->config.memory_max), diag);
    shard_end_pairs(s);
    if (err == OK)
        err = s->pairs->ops->seal(s->pairs, diag);
    if (err == OK && s->kept)
        err = s->kept->ops->seal(s->kept, diag);
    if (err != OK)
        return err;
    const uint64_t count = s->table.keys;
    mem_give(s->waiting);
    s->waiting = mem_take((count + 1) * sizeof *s->waiting);
    if (!s->waiting)
        return mem_fail(diag, (count + 1) * sizeof *s->waiting, "the list of open records");
    /* Counting sort by partition, with the half of the hash which the slot holds. */
    uint32_t size[HASH_PARTITIONS] = {0}, at[HASH_PARTITIONS], sum = 0;
    for (uint64_t i = 0; count && i <= s->table.mask; i++)
        for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++)
            if (s->table.buckets[i].head[slot] != NO_ENTRY)
                size[partition_of_tag(s, s->table.buckets[i].tag[slot])]++;
    for (unsigned p = 0; p < s->partition_count; p++) {
        s->waiting_start[p] = at[p] = sum;
        sum += size[p];
    }
    s->waiting_start[s->partition_count] = sum;
    s->counts.groups += sum;
    for (uint64_t i = 0; count && i <= s->table.mask; i++)
        for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
            uint32_t head = s->table.buckets[i].head[slot], tag = s->table.buckets[i].tag[slot];
            if (head != NO_ENTRY)
                s->waiting[at[partition_of_tag(s, tag)]++] = (struct waiting){head, tag};
        }
    return list_packed(s, diag);
}

/* ---- next: what needs its rows again ---- */

static enum err out_put(struct refs *out, struct row_ref ref, struct diag *diag)
{
    return UNLIKELY(out->index->crowd_count | out->index->all_crowd) &&
                   shard_is_crowd(out->index, ref.key_hash)
               ? shard_crowd_put(out->index, &ref, diag)
               : shard_ref_put(out->refs, out->count, out->room, ref, diag);
}

/* A key is a crowd: all that has its print goes there, what is in the list already too. */
static enum err call_crowd(struct index *s, struct refs *out, uint32_t print, struct diag *diag)
{
    if (shard_is_crowd(s, print))
        return OK;
    if (s->crowd_count == s->crowd_room) {
        const uint32_t room = s->crowd_room ? s->crowd_room * 2 : 16;
        uint32_t *grown = mem_grow(s->crowds, room * sizeof *grown);
        if (!grown)
            return mem_fail(diag, room * sizeof *grown, "keys with many records");
        s->crowds = grown;
        s->crowd_room = room;
    }
    s->crowds[s->crowd_count++] = print;
    enum err err = OK;
    uint32_t kept = out->from;
    for (uint32_t i = out->from; err == OK && i < *out->count; i++)
        if ((*out->refs)[i].key_hash == print)
            err = shard_crowd_put(s, &(*out->refs)[i], diag);
        else
            (*out->refs)[kept++] = (*out->refs)[i];
    *out->count = kept;
    return err;
}

struct row_ref shard_ref_of_left(const struct left_pair *p, const struct left_image *image, enum side side)
{
    struct row_ref ref = {.place = side == LOCAL ? p->local : p->channel,
                          .key_hash = p->print,
                          .side = (uint8_t)side,
                          .record_flags = side == LOCAL ? 0 : RECORD_CHANNEL,
                          .revisited = 1};
    if (image) {
        ref.back_event = image->at[side].back_event;
        ref.back_map = image->at[side].back_map;
        ref.row_index = image->at[side].row_index;
    }
    return ref;
}

/* `image`: where a side is a log. One that came back as a record is in the chains already. */
enum err shard_give_back(struct left_pair *p, const struct left_image *image, struct refs *out,
                         struct diag *diag)
{
    if (p->local == GIVEN_BACK)
        return OK;
    enum err err = OK;
    for (int side = 0; err == OK && side < SIDES; side++) {
        const int is_image = image && out->index->config.layout[side].has_fold;
        struct row_ref ref = shard_ref_of_left(p, is_image ? image : NULL, (enum side)side);
        if (is_image && image->state != LEFT)
            continue;
        if (is_image)
            ref.record_flags |= RECORD_IMAGE;
        err = out_put(out, ref, diag);
    }
    p->local = GIVEN_BACK;
    return err;
}

static enum err lay_flat(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct index *s = context;
    struct pair_walk walk;
    const uint32_t count = pair_walk_begin(&walk, bytes, size);
    (void)diag;
    CHECK2(count <= s->flat_room - s->flat_count, count, s->flat_room);
    for (uint32_t i = 0; i < count; i++) {
        struct image_at images[SIDES];
        next_left(s, &walk, &s->flat[s->flat_count], images);
        if (s->has_images)
            s->left_images[s->flat_count] = (struct left_image){.at = {images[LOCAL], images[CHANNEL]}};
        s->flat_count++;
    }
    return OK;
}

/* How many keys were called (index_config). */
static uint32_t shard_called(const struct index *s)
{
    return s->config.called ? atomic_load_explicit(&s->config.called->count, memory_order_acquire) : 0;
}

static enum err lay_page(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct index *s = context;
    return pair_sift_add(&s->sift, bytes, size) ? OK : mem_fail(diag, 0, "the pairs of one partition");
}

/* Room for what is known of images beside `flat`. */
static enum err images_room(struct index *s, struct diag *diag)
{
    if (!s->has_images || s->left_image_room >= s->flat_room)
        return OK;
    mem_give(s->left_images);
    s->left_images = mem_take(s->flat_room * sizeof *s->left_images);
    s->left_image_room = s->left_images ? s->flat_room : 0;
    return s->left_images
               ? OK
               : mem_fail(diag, s->flat_room * sizeof *s->left_images, "the pairs of one partition");
}

static enum err flat_all(struct index *s, uint32_t number, struct diag *diag)
{
    const size_t n = s->trail[number].count;
    if (n > s->flat_room) {
        mem_give(s->flat);
        s->flat_room = 0;
        s->flat = mem_take((n + n / 4 + 1) * sizeof *s->flat);
        if (!s->flat)
            return mem_fail(diag, n * sizeof *s->flat, "the pairs of one partition");
        s->flat_room = n + n / 4 + 1;
    }
    s->flat_count = 0;
    enum err err = images_room(s, diag);
    if (err == OK)
        err = s->pairs->ops->read(s->pairs, s->config.spill, number, lay_flat, s, diag);
    CHECK2(err != OK || s->flat_count == n, s->flat_count, n);
    return err;
}

/* Only those pairs that have an equal, or whose key waits. */
static enum err flat_some(struct index *s, uint32_t number, struct diag *diag)
{
    s->flat_count = 0;
    pair_sift_reset(&s->sift);
    for (int side = 0; side < SIDES; side++)
        s->sift.is_log[side] = s->config.layout[side].has_fold;
    if (!s->pairs->ops->is_in_memory(s->pairs, number) &&
        !pair_sift_copies(&s->sift, s->pairs->ops->size(s->pairs, number)))
        return mem_fail(diag, s->pairs->ops->size(s->pairs, number), "the pairs of one partition");
    enum err err = s->pairs->ops->read(s->pairs, s->config.spill, number, lay_page, s, diag);
    if (err != OK)
        return err;
    CHECK2(s->sift.count == s->trail[number].count, s->sift.count, s->trail[number].count);
    int fits = pair_sift_begin(&s->sift);
    for (uint32_t i = s->waiting_start[number]; fits && i < s->waiting_start[number + 1]; i++)
        fits = pair_sift_ask(&s->sift, entry_at(s, s->waiting[i].head)->hash_lo);
    for (uint32_t i = s->packed_start[number]; fits && i < s->packed_start[number + 1]; i++)
        fits = pair_sift_ask(&s->sift, (uint32_t)packed_hash(packed_at(&s->packed, s->packed_waiting[i])->key,
                                                             s->packed.seed));
    for (uint32_t k = 0; fits && k < shard_called(s); k++)
        fits = pair_sift_ask(&s->sift, s->config.called->print[k]);
    if (!fits || !pair_sift_end(&s->sift, &s->flat, &s->flat_room, &s->flat_count))
        return mem_fail(diag, s->sift.count * sizeof *s->flat, "the pairs of one partition");
    err = images_room(s, diag);
    for (size_t i = 0; err == OK && s->has_images && i < s->flat_count; i++) {
        const struct image_at *const at = s->sift.images[i];
        s->left_images[i] = (struct left_image){.at = {at[LOCAL], at[CHANNEL]}};
    }
    return err;
}

/* Lays a partition's pairs side by side in s->flat, `all` or those that something may come of, and makes room for the set of their
 * prints. */
static enum err flatten(struct index *s, uint32_t number, int all, size_t *count, size_t *mask,
                        struct diag *diag)
{
    enum err err = all ? flat_all(s, number, diag) : flat_some(s, number, diag);
    size_t slots = 64;
    while (slots < s->flat_count * 2)
        slots *= 2;
    if (err == OK && slots > s->seen_room) {
        mem_give(s->seen);
        s->seen = mem_take(slots * sizeof *s->seen);
        s->seen_room = s->seen ? slots : 0;
        if (!s->seen)
            return mem_fail(diag, slots * sizeof *s->seen, "the pairs of one partition");
    }
    if (err == OK)
        memset(s->seen, 0, slots * sizeof *s->seen);
    *mask = slots - 1;
    *count = s->flat_count;
    s->pairs->ops->drop(s->pairs, number);
    return err;
}

static enum err pair_list_put(struct pair_ref **pairs, uint32_t *count, uint32_t *room, struct pair_ref pair,
                              struct diag *diag)
{
    if (*count == *room) {
        uint32_t more = *room ? *room * 2 : 1024;
        struct pair_ref *grown = mem_grow(*pairs, (size_t)more * sizeof *grown);
        if (!grown)
            return mem_fail(diag, (size_t)more * sizeof *grown, "pairs");
        *pairs = grown;
        *room = more;
    }
    (*pairs)[(*count)++] = pair;
    return OK;
}

static enum err pairs_to_crowd(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct pair_walk walk;
    enum err err = OK;
    for (uint32_t left = pair_walk_begin(&walk, bytes, size); err == OK && left; left--) {
        struct left_pair pair;
        pair_next(&walk, &pair);
        err = shard_give_back(&pair, NULL, context, diag);
    }
    return err;
}

/* More pairs than can be told apart, and no level is left that parts them: nearly all must be of one key. */
static enum err pairs_are_crowd(struct index *s, uint32_t number, struct refs *out, struct diag *diag)
{
    s->all_crowd = 1;
    enum err err = s->pairs->ops->read(s->pairs, s->config.spill, number, pairs_to_crowd, out, diag);
    s->pairs->ops->drop(s->pairs, number);
    return err;
}

/* Records of a key that wait, or are back. `left`: a pair with its print that goes the long way, too; NULL: none. */
static enum err judge_chain(struct index *s, uint32_t head, size_t left, struct refs *out, struct diag *diag)
{
    const struct record *local, *channel;
    enum err err = OK;
    if (s->config.renamed)
        take_renamed(s, head);
    int settled = !left && !repeats_has_key(s->config.repeats, entry_at(s, head)->hash_lo) &&
                  settles_now(s, head, &local, &channel);
    const int carried = s->config.other_days_apart && settle_carried(s, head);
    if (s->config.words)
        tell_days(s, head, carried);
    if (entry_at(s, head)->flags & RECORD_CROWDED)
        err = call_crowd(s, out, entry_at(s, head)->hash_lo, diag);
    if (err == OK && left)
        err = shard_give_back(&s->flat[left - 1], image_of(s, left - 1), out, diag);
    uint32_t members = 0;
    /* For match.csv a pair goes the long way, marked as counted: the row of an image is found by more
     * than its place. */
    int counted_already = settled && s->config.keep_pairs;
    if (settled)
        count_pair(s, local, channel, (struct road){0});
    if (counted_already)
        settled = 0;
    for (uint32_t at = head; err == OK && at != NO_ENTRY; at = entry_at(s, at)->hash_hi) {
        const struct record *e = entry_at(s, at);
        if (e->flags & (RECORD_DEAD | RECORD_CROWDED))
            continue;
        int unreadable = e->flags & RECORD_REJECT;
        if (unreadable || (e->flags & (RECORD_GONE | RECORD_VOIDED)) == RECORD_GONE) {
            s->counts.moved[side_of(e)]++;
            if (!tally_add(&s->superseded, e))
                err = mem_fail(diag, 0, "a tally");
            if (!unreadable)
                continue;
        }
        if (is_apart(s, e) && !unreadable && (!carried || (e->flags & RECORD_VOIDED))) {
            s->counts.other_days[side_of(e)]++;
            if (!tally_add(&s->others, e))
                err = mem_fail(diag, 0, "a tally");
            continue;
        }
        if (settled && !unreadable)
            continue;
        struct row_ref ref = shard_ref_of(s, e);
        ref.revisited = (uint8_t)counted_already;
        if (s->config.crowd && ++members > s->config.crowd_rows)
            err = call_crowd(s, out, ref.key_hash, diag);
        if (err == OK)
            err = out_put(out, ref, diag);
    }
    return err;
}

/* The pair with the print of a chain that goes the long way with it: its number from 1 on; 0: none. */
static size_t left_with(const struct index *s, size_t n, size_t mask, uint32_t head)
{
    const size_t left = n ? s->seen[seen_slot(s, mask, entry_at(s, head)->hash_lo)] : 0;
    /* Where both sides are logs all that left is in chains again. */
    return left && s->has_images &&
                   (s->left_images[left - 1].state == LEFT_AGAIN ||
                    (s->config.layout[LOCAL].has_fold && s->config.layout[CHANNEL].has_fold))
               ? 0
               : left;
}

/* A partition that stayed. */
static enum err judge_partition(struct index *s, uint32_t number, struct row_ref **refs, uint32_t *ref_count,
                                uint32_t *ref_room, struct pair_ref **pairs, uint32_t *pair_count,
                                uint32_t *pair_room, struct diag *diag)
{
    struct refs out = {s, refs, ref_count, ref_room, *ref_count};
    size_t n = 0, mask = 0;
    const int all = pairs || (s->has_images && s->config.keep_pairs) || s->config.gives_back ||
                    (s->config.repeats && s->config.repeats->count);
    s->crowd_count = 0;
    s->all_crowd = 0;
    enum err err = s->level < LEVEL_LAST || !pairs_exceed(s, number) || !(s->config.crowd || s->has_images)
                       ? flatten(s, number, all, &n, &mask, diag)
                   : s->has_images ? shard_too_many_alike(s, s->trail[number].count, diag)
                                   : pairs_are_crowd(s, number, &out, diag);
    for (uint32_t k = 0; err == OK && k < shard_called(s); k++)
        err = call_crowd(s, &out, s->config.called->print[k], diag);
    for (size_t i = 0; err == OK && shard_called(s) && i < n; i++)
        if (shard_is_crowd(s, s->flat[i].print))
            err = shard_give_back(&s->flat[i], image_of(s, i), &out, diag);
    /* A hash that left twice: both pairs come back, since their key has more records than a pair. */
    for (size_t i = 0; err == OK && i < n; i++) {
        size_t at = seen_slot(s, mask, s->flat[i].print);
        if (!s->seen[at]) {
            s->seen[at] = (uint32_t)i + 1;
            continue;
        }
        struct left_pair *first = &s->flat[s->seen[at] - 1];
        const struct left_image *image = image_of(s, s->seen[at] - 1u);
        if (s->config.crowd && ++first->repeats == s->config.crowd_rows / 2)
            err = call_crowd(s, &out, first->print, diag);
        if (err == OK && !image)
            err = shard_give_back(first, NULL, &out, diag);
        if (err == OK && !image)
            err = shard_give_back(&s->flat[i], NULL, &out, diag);
    }
    uint32_t called = 0;
    if (err == OK && s->has_images && n)
        err = shard_recall_images(s, number, n, mask, &out, &called, diag);
    /* What an earlier day took in may not pair again without being looked at. */
    for (size_t i = 0; err == OK && s->config.repeats && s->config.repeats->count && i < n; i++)
        if (repeats_has_key(s->config.repeats, s->flat[i].print))
            err = shard_give_back(&s->flat[i], image_of(s, i), &out, diag);
    for (uint32_t i = s->waiting_start[number]; err == OK && i < s->waiting_start[number + 1]; i++)
        err = judge_chain(s, s->waiting[i].head, left_with(s, n, mask, s->waiting[i].head), &out, diag);
    for (uint32_t i = 0; err == OK && called && i < s->back_count; i++)
        err = judge_chain(s, s->back[i].head, left_with(s, n, mask, s->back[i].head), &out, diag);
    for (uint32_t i = s->packed_start[number]; err == OK && i < s->packed_start[number + 1]; i++) {
        const struct packed *p = packed_at(&s->packed, s->packed_waiting[i]);
        const struct row_ref ref = {.place = packed_place(p),
                                    .key_hash = (uint32_t)packed_hash(p->key, s->packed.seed),
                                    .side = packed_is_channel(p) ? CHANNEL : LOCAL,
                                    .record_flags = packed_flags(p)};
        const uint32_t left = n ? s->seen[seen_slot(s, mask, ref.key_hash)] : 0;
        if (left)
            err = shard_give_back(&s->flat[left - 1], NULL, &out, diag);
        if (err == OK)
            err = out_put(&out, ref, diag);
    }
    /* Images too, where match.csv is wanted: a row of theirs is found by more than its place. */
    const int all_back = s->config.gives_back || (s->config.keep_pairs && s->has_images);
    for (size_t i = 0; all_back && err == OK && i < n; i++)
        err = shard_give_back(&s->flat[i], image_of(s, i), &out, diag);
    for (size_t i = 0; pairs && err == OK && i < n; i++)
        if (s->flat[i].local != GIVEN_BACK)
            err = pair_list_put(pairs, pair_count, pair_room,
                                (struct pair_ref){s->flat[i].local, s->flat[i].channel}, diag);
    if (called)
        shard_forget_recalled(s, number);
    return err;
}

/* Each is judged by itself, so each has a hash of its own, in the order in which they came: rows that lie near each other are read
 * together, and many are no crowd. */
static enum err loose_back(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct refs *out = context;
    const struct row_ref *refs = bytes;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < size / sizeof *refs; i++) {
        struct row_ref ref = refs[i];
        ref.key_hash = out->index->loose_hash++;
        err = shard_ref_put(out->refs, out->count, out->room, ref, diag);
    }
    return err;
}

static enum step failed(enum err err)
{
    return err == OK ? STEP_MORE : STEP_FAILED;
}

/* All is judged; only counts and sums stay. What is judged and written next needs the memory. */
static void release_all(struct index *s)
{
    shard_release_live(s);
    shard_close(s->sub);
    s->sub = NULL;
    s->pair_bytes_top = s->pairs ? s->pairs->ops->held(s->pairs) : s->pair_bytes_top;
    if (s->pairs)
        s->pairs->ops->close(s->pairs);
    if (s->kept)
        s->kept->ops->close(s->kept);
    s->pairs = s->kept = NULL;
}

enum step shard_next(struct index *s, struct row_ref **refs, uint32_t *ref_count, uint32_t *ref_room,
                     struct pair_ref **pairs, uint32_t *pair_count, uint32_t *pair_room, struct diag *diag)
{
    for (;;) {
        if (s->sub_open) {
            enum step step =
                shard_next(s->sub, refs, ref_count, ref_room, pairs, pair_count, pair_room, diag);
            if (step != STEP_DONE)
                return step;
            if (shard_merge_sub(s, diag) != OK)
                return STEP_FAILED;
        }
        if (s->cursor == s->partition_count) {
            if (s->turn == 0) {
                s->turn = 1;
                s->cursor = 0;
                if (s->left_count)
                    shard_release_live(s);
                continue;
            }
            struct refs out = {s, refs, ref_count, ref_room, *ref_count};
            s->turn = 2;
            if (s->loose.is_done) {
                if (s->level == 0)
                    release_all(s);
                return STEP_DONE;
            }
            /* Nobody asks which of them come together, so the caller judges them piece by piece. */
            return failed(s->pairs->ops->read_some(s->pairs, s->config.spill, s->partition_count, &s->loose,
                                                   loose_back, &out, diag));
        }
        const uint32_t number = s->cursor++;
        if (s->turn == 0 && !s->left[number])
            return failed(
                judge_partition(s, number, refs, ref_count, ref_room, pairs, pair_count, pair_room, diag));
        if (s->turn == 1 && s->left[number] && shard_bring_back(s, number, diag) != OK)
            return STEP_FAILED;
    }
}
