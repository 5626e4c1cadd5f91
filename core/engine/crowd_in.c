/* core/engine/crowd_in.c: rows of a crowd are read in their files' order and become items. */
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/engine/crowd_parts.h"
#include "core/engine/judge.h"
#include "core/engine/ref_order.h"
#include "core/rules/plain_order.h"

/* ---- IN: hashes ---- */

/* Of key and sigma; the amounts are still to come. */
static uint64_t kind_hash(const struct crowd *c, const struct full *row)
{
    const uint64_t hash = hash_bytes(row->key.data, row->key.size, c->w->run->config->hash_seed);
    return hash_bytes(row->sigma.data, row->sigma.size, hash);
}

uint64_t crowd_sigma_hash(uint64_t kind, int64_t gross, int64_t fee, int has_fee)
{
    const int64_t amounts[3] = {gross, fee, has_fee};
    return hash_bytes(amounts, sizeof amounts, kind);
}

/* Of key and side; the id is still to come. */
static uint64_t owner_hash(const struct crowd *c, const struct full *row)
{
    return hash_bytes(row->key.data, row->key.size, c->w->run->config->hash_seed + 1u + row->side);
}

uint64_t crowd_id_hash(const struct run *run, struct span id)
{
    return hash_bytes(id.data, id.size, run->config->hash_seed);
}

/* ---- names of keys and sigmas ---- */

enum {
    NAMES_MAX = 1 << 16,
    NAME_SLOTS = NAMES_MAX * 2,
    NAMES_SHARE = 32 /* of the memory, for their texts */
};
_Static_assert((int)NAMES_MAX <= (int)NAME_MASK, "a name fits");

struct crowd_names {
    uint32_t slots[NAME_SLOTS]; /* 1 + number of a text; 0: free */
    struct span texts[NAMES_MAX];
    uint64_t hashes[NAMES_MAX];
    struct arena arena;
    uint32_t count;
};

/* The number of a text, from 1, the same for all workers; 0 when there are too many, or memory is out. */
static uint32_t name_of(struct run *run, struct span text)
{
    const uint64_t hash = hash_bytes(text.data, text.size, run->config->hash_seed);
    uint32_t name = 0;
    pthread_mutex_lock(&run->fresh_lock);
    struct crowd_names *all = run->crowd_names;
    if (!all && (all = run->crowd_names = mem_map(sizeof *all, 0)))
        arena_init(&all->arena);
    for (uint64_t at = hash % NAME_SLOTS; all; at = (at + 1) % NAME_SLOTS) {
        const uint32_t number = all->slots[at];
        if (number && all->hashes[number - 1] == hash && span_equal(all->texts[number - 1], text)) {
            name = number;
            break;
        }
        if (number)
            continue;
        struct span copy = {0};
        if (all->count < NAMES_MAX && all->arena.held + text.size < run->config->memory / NAMES_SHARE)
            copy = arena_copy(&all->arena, text);
        if (copy.data) {
            all->texts[all->count] = copy;
            all->hashes[all->count] = hash;
            name = all->slots[at] = ++all->count;
        }
        break;
    }
    pthread_mutex_unlock(&run->fresh_lock);
    return name;
}

void crowd_forget_names(struct run *run)
{
    if (!run->crowd_names)
        return;
    arena_fini(&run->crowd_names->arena);
    mem_unmap(run->crowd_names, sizeof *run->crowd_names);
    run->crowd_names = NULL;
}

/* Rows of a crowd usually have the key and sigma of the one before. */
struct name_memo {
    struct span key, sigma;
    uint32_t name;
};

static uint32_t name_row(struct crowd *c, const struct full *row, struct name_memo *memo)
{
    if (compares_fee(c->job) || row->taken_micro || row->reasons || row->carry)
        return 0;
    if (memo->name && span_equal(memo->key, row->key) && span_equal(memo->sigma, row->sigma))
        return memo->name;
    const uint32_t size = (uint32_t)row->key.size;
    char *text = arena_take(&c->w->arena, sizeof size + row->key.size + row->sigma.size);
    if (!text)
        return 0;
    memcpy(text, &size, sizeof size);
    memcpy(text + sizeof size, row->key.data, row->key.size);
    memcpy(text + sizeof size + row->key.size, row->sigma.data, row->sigma.size);
    *memo = (struct name_memo){
        row->key, row->sigma,
        name_of(c->w->run, (struct span){text, sizeof size + row->key.size + row->sigma.size})};
    return memo->name;
}

/* What IN has to know of rows, a bit for each field; 0: all, since one of these may have its verdict here. */
static uint64_t fields_of(const struct crowd *c, const struct row_ref *refs, uint32_t count)
{
    if (c->w->carry || c->w->run->config->ids)
        return 0;
    for (uint32_t i = 0; i < count; i++)
        if (refs[i].record_flags & ~(unsigned)(RECORD_CHANNEL | RECORD_OUT | RECORD_CROWDED))
            return 0;
    return crowd_key_fields(c);
}

static enum err admit(struct crowd *c, struct full *row, const struct row_ref *ref, int is_whole,
                      int *admitted)
{
    *admitted = 1;
    if (is_whole)
        return judge_admit(c->w, row, ref, NULL, c->pass, admitted);
    judge_revisit(c->w, row, ref);
    if (!judge_key_of(c->job, c->pass, &c->w->arena, row))
        return mem_fail(&c->w->diag, 0, "a key");
    CHECK2(row->key.data, row->side, row->place); /* or it would not be here */
    return OK;
}

enum err crowd_kind_of(struct crowd *c, const struct row_ref *ref, struct crowd_kind *kind)
{
    struct row_ref one = *ref;
    struct name_memo memo = {.name = 0};
    uint32_t count = 1;
    enum err err = crowd_need_rows(c, 1);
    if (err != OK)
        return err;
    arena_reset(&c->w->arena);
    err = judge_fetch_some(c->w, &one, &count, c->rows, crowd_key_fields(c), &c->w->arena);
    CHECK2(err != OK || count == 1, count, ref->place);
    if (err == OK && (!judge_key_of(c->job, c->pass, &c->w->arena, c->rows) || !c->rows->key.data))
        err = mem_fail(&c->w->diag, 0, "a key");
    if (err == OK)
        *kind = (struct crowd_kind){kind_hash(c, c->rows), owner_hash(c, c->rows),
                                    name_row(c, c->rows, &memo) & NAME_MASK};
    return err;
}

/* ---- usual rows: what is the same for all rows of a key and sigma is found once ---- */

enum { KINDS = 256, OUTLINE_KEY_MAX = 64 };

/* What rows whose outlines agree in these are: their key and sigma are the same texts. */
struct row_kind {
    struct crowd_kind is;
    uint16_t status, channel;
    uint8_t currency, out, is_there, key_size;
    char key[OUTLINE_KEY_MAX];
};

static struct row_kind *kind_of(struct row_kind kinds[KINDS], const struct outline *line, int *is_it)
{
    const uint64_t seed = (uint64_t)line->status << 32 | (uint64_t)line->channel << 16 |
                          (uint64_t)line->currency << 8 | line->out;
    struct row_kind *kind = &kinds[hash_bytes(line->key.data, line->key.size, seed) % KINDS];
    *is_it = kind->is_there && kind->status == line->status && kind->channel == line->channel &&
             kind->currency == line->currency && kind->out == line->out && kind->key_size == line->key.size &&
             memcmp(kind->key, line->key.data, line->key.size) == 0;
    return kind;
}

static enum err put_outline(struct crowd *c, const struct row_ref *ref, const struct outline *line,
                            const struct row_kind *kind)
{
    const struct full row = {.side = ref->side,
                             .amount_micro = line->amount_micro,
                             .currency = line->currency,
                             .text_size = line->text_size};
    struct crowd_item item = {.ref = *ref,
                              .sigma = crowd_sigma_hash(kind->is.kind, line->amount_micro, 0, 0),
                              .amount_micro = line->amount_micro,
                              .name = kind->is.name & NAME_MASK,
                              .weight = crowd_weight(crowd_row_bytes(&row)),
                              .day = line->day,
                              .currency = line->currency};
    const int has_id = !ref->met && line->occurrence.size;
    judge_revisit(c->w, &row, ref);
    item.ref.revisited = 0; /* it is counted */
    item.ref.order = line->order;
    item.flags |= (has_id ? ITEM_HAS_ID : 0) | (line->order ? ITEM_HAS_ORDER : 0);
    item.hash = crowd_owner_and_id(kind->is.owner, crowd_id_hash(c->w->run, line->occurrence));
    return has_id ? crowd_to_stage(c, CROWD_OCCURRENCE, &item) : crowd_behind_occurrence(c, &item);
}

/* `kind`: to be filled from the first row, which `line` is the outline of; NULL: nobody asks. `beside_outlines`: other rows of their keys
 * may have been read as such, and say where they stand in their order. */
static enum err scan_slice(struct crowd *c, struct row_ref *refs, uint32_t count, const struct outline *line,
                           struct row_kind *kind, int beside_outlines)
{
    struct worker *w = c->w;
    unsigned order[ORDER_FIELDS];
    uint64_t fields = fields_of(c, refs, count);
    const int has_order = fields && beside_outlines && w->run->config->bases;
    for (unsigned i = has_order ? order_fields(c->job, order) : 0; i-- > 0;)
        fields |= 1ull << order[i];
    struct span noted[SIDES] = {{0}};
    struct name_memo memo[SIDES] = {{.name = 0}, {.name = 0}};
    arena_reset(&w->arena);
    enum err err = judge_fetch_some(w, refs, &count, c->rows, fields, &w->arena);
    w->rows_at_hand = c->rows;
    w->refs_at_hand = refs;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        struct full *row = &c->rows[i];
        int admitted;
        err = admit(c, row, &refs[i], !fields, &admitted);
        if (err != OK || !admitted)
            continue;
        const int has_fee = compares_fee(c->job);
        const uint64_t same = kind_hash(c, row);
        struct crowd_item item = {.ref = refs[i],
                                  .sigma =
                                      crowd_sigma_hash(same, full_gross(row), has_fee ? row->fee_micro : 0,
                                                       has_fee && row->has_fee),
                                  .amount_micro = row->amount_micro,
                                  .name = name_row(c, row, &memo[row->side]) & NAME_MASK,
                                  .weight = crowd_weight(crowd_row_bytes(row)),
                                  .day = row->day,
                                  .currency = row->currency};
        item.ref.revisited = 0; /* it is counted */
        item.flags |= !row->met && row->occurrence.size ? ITEM_HAS_ID : 0;
        if (has_order && (item.ref.order = full_order(w->run->config->bases, c->job, row)))
            item.flags |= ITEM_HAS_ORDER;
        if (w->carry && !row->carry && row->repeated != REPEAT_EQUAL &&
            !span_equal(noted[row->side], row->key)) {
            err = crowd_note_fresh(c, row);
            noted[row->side] = row->key;
        }
        const int sleeps = w->carry && crowd_sleeps_here(c, row);
        if (err == OK && sleeps && row->carry->link)
            err = crowd_note_pair(c, row);
        if (sleeps || (!row->met && row->repeated))
            item.flags |= ITEM_APART;
        if (err != OK)
            continue;
        const uint64_t owner = owner_hash(c, row);
        if (kind) {
            *kind = (struct row_kind){.is = {same, owner, item.name},
                                      .status = line->status,
                                      .channel = line->channel,
                                      .currency = line->currency,
                                      .out = line->out,
                                      .is_there = 1,
                                      .key_size = (uint8_t)line->key.size};
            memcpy(kind->key, line->key.data, line->key.size);
        }
        item.hash = crowd_owner_and_id(owner, crowd_id_hash(w->run, row->occurrence));
        err = item.flags & ITEM_APART || (!row->met && row->occurrence.size)
                  ? crowd_to_stage(c, CROWD_OCCURRENCE, &item)
                  : crowd_behind_occurrence(c, &item);
    }
    return err;
}

/* References of a partition: rows near each other are read one after the other, a few at a time: nobody knows yet how long
 * they are. */
enum { ROWS_AT_ONCE = 64 };

struct scan {
    struct crowd *c;
    struct row_kind *kinds[SIDES];
    struct row_ref *refs;
    uint32_t count, room;
};

/* Rows of one side, by their outlines where they are usual. */
static enum err scan_side(struct scan *scan, struct row_ref *refs, uint32_t count)
{
    struct crowd *c = scan->c;
    struct source *source = c->w->run->config->sources[refs[0].side];
    const int has_outlines =
        source->ops->outlines && c->pass == 0 && !compares_fee(c->job) && fields_of(c, refs, count);
    struct outline lines[OUTLINES_MAX];
    enum err err = OK;
    for (uint32_t i = 0, taken; err == OK && i < count; i += taken) {
        taken = 0;
        if (has_outlines)
            err = source->ops->outlines(source, c->w->io, refs + i, count - i, lines, &taken, &c->w->diag);
        if (err == OK && !taken) {
            taken = count - i;
            err = scan_slice(c, refs + i, taken, NULL, NULL, has_outlines);
            continue;
        }
        for (uint32_t k = 0; err == OK && k < taken; k++) {
            const struct outline *const line = &lines[k];
            const int fits = line->is_there && line->key.size <= OUTLINE_KEY_MAX;
            int is_it = 0;
            struct row_kind *const kind = fits ? kind_of(scan->kinds[refs[i].side], line, &is_it) : NULL;
            err = is_it ? put_outline(c, &refs[i + k], line, kind)
                        : scan_slice(c, &refs[i + k], 1, line, kind, 1);
        }
    }
    return err;
}

static enum err scan_rows(struct scan *scan, struct row_ref *refs, uint32_t count)
{
    uint32_t locals = 0;
    while (locals < count && refs[locals].side == LOCAL)
        locals++;
    enum err err = locals ? scan_side(scan, refs, locals) : OK;
    return err == OK && locals < count ? scan_side(scan, refs + locals, count - locals) : err;
}

static enum err scan_all(struct scan *scan)
{
    enum err err = OK;
    refs_by_place(scan->refs, scan->count);
    for (uint32_t at = 0; err == OK && at < scan->count && !run_failed(scan->c->w->run); at += ROWS_AT_ONCE)
        err = scan_rows(scan, scan->refs + at,
                        scan->count - at < ROWS_AT_ONCE ? scan->count - at : ROWS_AT_ONCE);
    scan->count = 0;
    return err;
}

static enum err scan_refs(void *context, const void *bytes, uint32_t size, struct diag *diag)
{
    struct scan *scan = context;
    const struct row_ref *refs = bytes;
    enum err err = OK;
    (void)diag; /* the worker's own */
    for (uint32_t i = 0; err == OK && i < size / sizeof *refs; i++) {
        scan->refs[scan->count++] = refs[i];
        if (scan->count == scan->room)
            err = scan_all(scan);
    }
    return err;
}

enum err crowd_stage_in(struct crowd *c, uint32_t partition)
{
    struct worker *w = c->w;
    struct scan scan = {.c = c, .room = c->stream_room};
    if (partition >= CROWD_SHARES)
        return OK;
    scan.refs = mem_take(scan.room * sizeof *scan.refs);
    for (int side = 0; side < SIDES; side++)
        scan.kinds[side] = mem_take_zero(KINDS, sizeof *scan.kinds[side]);
    enum err err = scan.refs && scan.kinds[LOCAL] && scan.kinds[CHANNEL]
                       ? crowd_need_rows(c, ROWS_AT_ONCE)
                       : mem_fail(&w->diag, scan.room * sizeof *scan.refs, "open records");
    for (uint32_t i = 0; err == OK && i < w->run->worker_count; i++) {
        const struct spool *spool = w->run->workers[i].crowd[CROWD_IN];
        if (spool)
            err = spool->ops->read(spool, w->spill, partition, scan_refs, &scan, &w->diag);
    }
    if (err == OK)
        err = scan_all(&scan);
    if (err == OK)
        err = crowd_told_each(c, partition);
    mem_give(scan.refs);
    for (int side = 0; side < SIDES; side++)
        mem_give(scan.kinds[side]);
    return err;
}
