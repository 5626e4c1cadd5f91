/* io/sink/results.c: see results.h */
#include "io/sink/results.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/config/carry.h"
#include "core/model/currency.h"
#include "core/rules/verdict.h"
#include "io/ring/disk.h"
#include "io/ring/sys.h"
#include "io/sink/cell_text.h"
#include "io/sink/digest.h"
#include "io/sink/match.h"
#include "io/sink/out_file.h"
#include "io/sink/stage.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WRITE_BLOCK = 1 << 20,
    WRITE_BLOCK_MIN = 64 << 10,
    RUN_READ = 256 * 1024,
    RUN_READ_MIN = 4096,
    REJECT_FILE = CLASSES,
    PROPOSAL_FILE,
    FILES,
    HELD_LIST = FILES, /* tolerance pairs until the budget is settled; no file */
    BOOK_LISTS,        /* what a task keeps: enum kept */
    LISTS = BOOK_LISTS + BOOKS
};

static const char certificate[] = "certificate.json"; /* only where it is asked for */
static const char *const set_names[] = {
    "match.csv",     "mismatch.csv",  "missing.csv",  "extra.csv",  "suspense.csv",
    "duplicate.csv", "ambiguous.csv", "excluded.csv", "reject.csv", "proposal.csv",
    "aggregate.csv", "summary.json",  "stats.json",   certificate,  NULL};
enum { NAMES = sizeof set_names / sizeof *set_names - 1 };

/* An item in a lane: this head, the key, the row without its places, the places. 4-byte aligned. */
struct item {
    uint32_t key_size, row_size, place_size;
    /* bytes follow */
};

struct sorted_run {
    uint64_t offset, size; /* in the lane's file */
};

struct lane_class {
    char *
        bytes; /* of mem_map: as it grows nothing is copied, and no memory is touched anew but what is used */
    size_t used, room;
    uint32_t *items; /* offsets / 4 */
    uint32_t item_count, item_room;
    int is_ordered; /* by key; what is added ends it */
    struct sorted_run *runs;
    uint32_t run_count, run_room;
};

struct results_lane {
    struct lane_class classes[LISTS];
    char *row; /* the row being made */
    size_t row_used, row_room;
    char *key;
    size_t key_used, key_room;
    char *place;
    size_t place_used, place_room;
    int spill_fd;
    uint64_t spill_size;
    struct largest_break largest[LARGEST_MAX];
    uint32_t largest_count;
    int no_memory;
    int is_slice;     /* of struct sleepers: it holds what it holds, in order */
    struct text kept; /* what a task keeps, being made */
    struct text pair; /* CARRY_PAIR of a local record */
};

struct results {
    struct sink base;
    struct results_config config;
    struct stage *stage;
    struct results_lane *lanes;
    struct match *match;       /* NULL: match.csv is not asked for */
    struct sleepers *sleepers; /* borrowed; NULL: none */
    char seals[FILES][DIGEST_TEXT];
    char digests[FILES][DIGEST_TEXT];
    uint8_t made[NAMES];  /* by set_names: it is there, and empty */
    struct sync_set sync; /* written, and not yet durable */
    atomic_int file_next; /* of the class files: who writes takes it */
    struct {              /* a thread that writes some of them; has_second */
        pthread_t thread;
        int runs;
        sem_t has_written;
        enum err written; /* once it has */
        enum err err;     /* once it is joined: of making them durable, too */
        struct diag diag;
        struct sync_set sync;
    } second;
    char match_head[4096];
};

/* ---- text ---- */

static char *grow(char **buffer, size_t *used, size_t *room, size_t more)
{
    if (*used + more > *room) {
        size_t want = (*used + more) * 2;
        char *grown = mem_grow(*buffer, want);
        if (!grown)
            return NULL;
        *buffer = grown;
        *room = want;
    }
    char *at = *buffer + *used;
    *used += more;
    return at;
}

static void append(struct results_lane *lane, char **buffer, size_t *used, size_t *room, const void *bytes,
                   size_t size)
{
    if (size == 0)
        return;
    char *at = grow(buffer, used, room, size);
    if (at)
        memcpy(at, bytes, size);
    else
        lane->no_memory = 1;
}

static void put_bytes(struct results_lane *lane, const void *bytes, size_t size)
{
    append(lane, &lane->row, &lane->row_used, &lane->row_room, bytes, size);
}

static void put_cell(struct results_lane *lane, struct span text, int is_number)
{
    char *at = grow(&lane->row, &lane->row_used, &lane->row_room, CELL_ROOM(text.size));
    if (at)
        lane->row_used = (size_t)(cell_write(at, text, is_number) - lane->row);
    else
        lane->no_memory = 1;
}

static void put_comma(struct results_lane *lane)
{
    put_bytes(lane, ",", 1);
}

static void put_word(struct results_lane *lane, const char *word)
{
    put_cell(lane, span_of(word), 1);
}

static size_t reasons_text(const struct job *job, uint64_t reasons, char *out, size_t room)
{
    size_t used = 0;
    out[0] = 0;
    for (; reasons; reasons &= reasons - 1) {
        const unsigned bit = (unsigned)__builtin_ctzll(reasons);
        const char *prefix = bit < REASONS ? "" : "attr:";
        unsigned slot = bit < REASONS ? 0 : reason_attr_slot(bit - REASONS);
        const char *name = bit < REASONS ? reason_name((enum reason)bit) : job_field_name(job, slot);
        const char *const words[] = {used ? ";" : "", prefix, name};
        const size_t sizes[] = {strlen(words[0]), strlen(words[1]), strlen(words[2])};
        if (used + sizes[0] + sizes[1] + sizes[2] >= room)
            break;
        for (int i = 0; i < 3; i++) {
            memcpy(out + used, words[i], sizes[i]);
            used += sizes[i];
        }
        out[used] = 0;
    }
    return used;
}

static struct span first_of(struct span a, struct span b)
{
    return a.size ? a : b;
}

static void put_set(struct results_lane *lane, const struct full *f)
{
    char text[24];
    put_bytes(lane, text, (size_t)snprintf(text, sizeof text, "%016llx", (unsigned long long)f->set_id));
}

/* `l` or `r` may be NULL: a member of a set stands alone. Its delta is what it adds, so that the column adds up. */
static void put_two_sided(struct results *s, struct results_lane *lane, const struct full *l,
                          const struct full *r, uint64_t reasons)
{
    static const struct full nobody;
    const struct job *job = s->config.job;
    const struct full *one = l ? l : r;
    char text[512], money[MONEY_TEXT_MAX];
    const int is_pair = l && r, one_currency = !is_pair || l->currency == r->currency;
    const money_total delta = (r ? (money_total)r->amount_micro : 0) - (l ? l->amount_micro : 0);
    l = l ? l : &nobody;
    r = r ? r : &nobody;
    put_cell(lane, first_of(l->text[FIELD_CHANNEL_CODE], r->text[FIELD_CHANNEL_CODE]), 0);
    put_comma(lane);
    put_cell(lane, first_of(l->text[FIELD_BIZ_ORDER_NO], r->text[FIELD_BIZ_ORDER_NO]), 0);
    put_comma(lane);
    put_cell(lane, first_of(r->text[FIELD_CHANNEL_ORDER_NO], l->text[FIELD_CHANNEL_ORDER_NO]), 0);
    put_comma(lane);
    put_cell(lane, (struct span){text, reasons_text(job, reasons, text, sizeof text)}, 0);
    put_comma(lane);
    put_cell(lane, l->text[FIELD_AMOUNT], 1);
    put_comma(lane);
    put_cell(lane, r->text[FIELD_AMOUNT], 1);
    put_comma(lane);
    if (one_currency)
        put_bytes(lane, money, money_print(money, delta, currency_exponent(one->currency)));
    put_comma(lane);
    put_bytes(lane, text, (size_t)snprintf(text, sizeof text, "%u", one->key_no));
    if (job_makes_sets(job)) {
        put_comma(lane);
        if (!is_pair)
            put_set(lane, one);
    }
    for (int i = 0; i < job->match.compare_count; i++) {
        unsigned field = job->match.compare[i];
        int number = field == FIELD_FEE;
        put_comma(lane);
        put_cell(lane, l->text[field], number);
        put_comma(lane);
        put_cell(lane, r->text[field], number);
    }
    put_comma(lane);
    put_word(lane, currency_code(one->currency));
    if (!one_currency) {
        put_bytes(lane, "/", 1);
        put_word(lane, currency_code(r->currency));
    }
    put_comma(lane);
    put_cell(lane, l->text[FIELD_BILL_DATE], 1);
    put_comma(lane);
    put_cell(lane, r->text[FIELD_BILL_DATE], 1);
}

static void put_fields(struct results *s, struct results_lane *lane, const struct full *f)
{
    const struct job *job = s->config.job;
    put_word(lane, side_name((enum side)f->side));
    for (unsigned field = 0; field < FIELDS + (unsigned)job->attr_count; field++) {
        put_comma(lane);
        put_cell(lane, f->text[field],
                 field == FIELD_AMOUNT || field == FIELD_FEE || field == FIELD_BILL_DATE ||
                     field == FIELD_TRADE_TIME);
    }
    put_comma(lane);
    put_cell(lane, f->occurrence, 0);
}

static void put_one_sided(struct results *s, struct results_lane *lane, const struct full *f)
{
    char text[512];
    put_fields(s, lane, f);
    put_comma(lane);
    if (f->verdict == CLASS_AMBIGUOUS || f->reasons & REASON_BIT(REASON_PARTIAL))
        put_set(lane, f);
    put_comma(lane);
    if (s->config.job->match.partials.given) {
        if (f->remains_micro)
            put_bytes(lane, text, money_print(text, f->remains_micro, currency_exponent(f->currency)));
        put_comma(lane);
    }
    put_cell(lane, (struct span){text, reasons_text(s->config.job, f->reasons, text, sizeof text)}, 0);
}

static void header(const struct results *s, int file, char *out, size_t room)
{
    const struct job *job = s->config.job;
    size_t n = 0;
    if (file == REJECT_FILE) {
        snprintf(out, room, "side,code,column,value,raw");
        return;
    }
    if (file == CLASS_MATCH || file == CLASS_MISMATCH) {
        n = (size_t)snprintf(
            out, room,
            "channel_code,biz_order_no,channel_order_no,reasons,local_amount,channel_amount,delta,key_no%s",
            job_makes_sets(job) ? ",set_id" : "");
        for (int i = 0; i < job->match.compare_count && n < room; i++) {
            const char *name = job_field_name(job, job->match.compare[i]);
            n += (size_t)snprintf(out + n, room - n, ",local_%s,channel_%s", name, name);
        }
        if (n < room)
            snprintf(out + n, room - n, ",currency,local_bill_date,channel_bill_date");
        return;
    }
    n = (size_t)snprintf(out, room, file == PROPOSAL_FILE ? "outcome,solutions,solution,role,side" : "side");
    for (unsigned field = 0; field < FIELDS + (unsigned)job->attr_count && n < room; field++)
        n += (size_t)snprintf(out + n, room - n, ",%s", job_field_name(job, field));
    if (n < room && file == PROPOSAL_FILE)
        snprintf(out + n, room - n, ",occurrence_id");
    else if (n < room)
        snprintf(out + n, room - n, ",occurrence_id,set_id,%sreasons",
                 job->match.partials.given ? "remains," : "");
}

static const char *place_header(int file)
{
    return file == CLASS_MATCH || file == CLASS_MISMATCH ? ",local_place,channel_place" : ",place";
}

/* ---- sort keys ---- */

static void put_key(struct results_lane *lane, const void *bytes, size_t size)
{
    append(lane, &lane->key, &lane->key_used, &lane->key_room, bytes, size);
}

/* A record's place in ≺ as bytes that memcmp orders: date and occurrence id, canonical bytes (which end where they
 * say), side, place. */
static void put_order_of(struct results_lane *lane, const struct full *f, int with_reasons)
{
    size_t room = 16 + 2 * f->occurrence.size;
    uint8_t *at = (uint8_t *)grow(&lane->key, &lane->key_used, &lane->key_room, room);
    if (!at) {
        lane->no_memory = 1;
        return;
    }
    lane->key_used = (size_t)((char *)order_put_head(at, f->day, f->occurrence) - lane->key);
    put_key(lane, f->canonical.data, f->canonical.size);
    uint8_t tail[17] = {f->side};
    size_t n = 1;
    for (int i = 0; with_reasons && i < 8; i++)
        tail[n++] = (uint8_t)(f->reasons >> (56 - 8 * i));
    for (int i = 0; i < 8; i++)
        tail[n++] = (uint8_t)(f->place >> (56 - 8 * i));
    put_key(lane, tail, n);
}

static void put_order(struct results_lane *lane, const struct full *f)
{
    put_order_of(lane, f, 0);
}

static int compare_items(const void *a, const void *b, void *bytes)
{
    const struct item *x = (const struct item *)((char *)bytes + (size_t) * (const uint32_t *)a * 4);
    const struct item *y = (const struct item *)((char *)bytes + (size_t) * (const uint32_t *)b * 4);
    return span_compare((struct span){(const char *)(x + 1), x->key_size},
                        (struct span){(const char *)(y + 1), y->key_size});
}

static size_t item_bytes(const struct item *item)
{
    return (sizeof *item + item->key_size + item->row_size + item->place_size + 3) & ~(size_t)3;
}

static void sort_lane(struct lane_class *c)
{
    if (c->item_count && !c->is_ordered)
        qsort_r(c->items, c->item_count, sizeof *c->items, compare_items, c->bytes);
    c->is_ordered = 1;
}

/* ---- spilling a lane's class ---- */

static enum err spill(struct results *s, struct results_lane *lane, struct lane_class *c, struct diag *diag)
{
    if (lane->spill_fd < 0) {
        disk_is_for(lane->spill_fd = sys_open_unnamed(stage_path(s->stage)), DISK_SORTED);
        if (lane->spill_fd < 0)
            return diag_set_errno(diag, -lane->spill_fd, "out.spill", "%s: cannot make a temporary file",
                                  stage_path(s->stage));
    }
    if (mem_list_more(&c->runs, c->run_count, &c->run_room, 16, "sorted runs", diag) != OK)
        return ERR_MACHINE;
    sort_lane(c);
    const size_t room = s->config.sort_bytes < WRITE_BLOCK ? WRITE_BLOCK_MIN : WRITE_BLOCK;
    char *block = mem_take(room);
    if (!block)
        return mem_fail(diag, room, "a sorted run");
    struct sorted_run run = {lane->spill_size, 0};
    size_t used = 0;
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < c->item_count; i++) {
        const char *item = c->bytes + (size_t)c->items[i] * 4;
        size_t left = item_bytes((const struct item *)item);
        while (left && error == 0) {
            size_t n = left < room - used ? left : room - used;
            memcpy(block + used, item, n);
            used += n;
            item += n;
            left -= n;
            if (used == room) {
                error = sys_pwrite_full(lane->spill_fd, block, used, run.offset + run.size);
                run.size += used;
                used = 0;
            }
        }
    }
    if (error == 0 && used)
        error = sys_pwrite_full(lane->spill_fd, block, used, run.offset + run.size);
    run.size += used;
    mem_give(block);
    if (error)
        return out_write_failed(diag, -error, "out.spill", stage_path(s->stage), run.size);
    lane->spill_size += run.size;
    c->runs[c->run_count++] = run;
    c->used = 0;
    c->item_count = 0;
    return OK;
}

/* How large a class begins. It is addresses, and memory only as rows are written to it; what moves later has to be moved in the tables of
 * all cores. Where memory is short room counts as if it were used, so there it is little. */
static size_t room_first(const struct results *s)
{
    enum { ROOM_MIN = 16 * 1024, ROOM_MAX = 1024 * 1024, CLASSES_A_LANE = 64 };
    const size_t share = s->config.sort_bytes / CLASSES_A_LANE;
    return share < ROOM_MIN ? ROOM_MIN : share < ROOM_MAX ? share : ROOM_MAX;
}

/* Room for so many bytes more; NULL when memory is out. */
static char *class_grow(const struct results *s, struct lane_class *c, size_t more)
{
    if (c->used + more > c->room) {
        const size_t twice = (c->used + more) * 2, first = room_first(s),
                     want = twice < first ? first : twice;
        char *grown = c->bytes ? mem_map_more(c->bytes, c->room, want, 0) : mem_map(want, 0);
        if (!grown)
            return NULL;
        c->bytes = grown;
        c->room = want;
    }
    char *at = c->bytes + c->used;
    c->used += more;
    return at;
}

static void class_free(struct lane_class *c)
{
    mem_unmap(c->bytes, c->room);
    mem_give(c->items);
    c->bytes = NULL;
    c->items = NULL;
    c->room = c->item_room = 0;
}

static size_t class_room(const struct lane_class *c)
{
    return c->room + c->item_room * sizeof *c->items;
}

/* Before a class grows: what all classes of the lane have room for stays within sort_bytes. The largest goes to disk, and its room
 * back, until that is so. */
static enum err make_room(struct results *s, struct results_lane *lane, struct lane_class *c, size_t size,
                          struct diag *diag)
{
    if (lane->is_slice || c->used + size <= c->room)
        return OK;
    for (;;) {
        struct lane_class *largest = NULL;
        size_t all = 0;
        for (int i = 0; i < LISTS; i++) {
            struct lane_class *other = &lane->classes[i];
            all += class_room(other);
            if (other->item_count && (!largest || class_room(other) > class_room(largest)))
                largest = other;
        }
        if (!largest || all - c->room + (c->used + size) * 2 <= s->config.sort_bytes)
            return OK;
        enum err err = spill(s, lane, largest, diag);
        if (err != OK)
            return err;
        class_free(largest);
    }
}

/* Adds a row, its key and place to a class's lane. */
static enum err store_item(struct results *s, struct results_lane *lane, int file, struct span key,
                           struct span row, struct span place, struct diag *diag)
{
    struct lane_class *c = &lane->classes[file];
    struct item item = {(uint32_t)key.size, (uint32_t)row.size, (uint32_t)place.size};
    size_t size = item_bytes(&item);
    enum err err = make_room(s, lane, c, size, diag);
    if (err != OK)
        return err;
    char *at = class_grow(s, c, size);
    if (mem_list_more(&c->items, c->item_count, &c->item_room, 256, "breaks", NULL) != OK)
        at = NULL;
    if (!at)
        return mem_fail(diag, size, "result rows");
    c->items[c->item_count++] = (uint32_t)((size_t)(at - c->bytes) / 4);
    c->is_ordered = 0;
    memcpy(at, &item, sizeof item);
    at += sizeof item;
    if (key.size) /* a row that the book keeps may have no key or place, and then no room for one */
        memcpy(at, key.data, key.size);
    at += key.size;
    memcpy(at, row.data, row.size);
    at += row.size;
    if (place.size)
        memcpy(at, place.data, place.size);
    return OK;
}

/* The same of the row, key and place at hand. */
static enum err store(struct results *s, struct results_lane *lane, int file, struct diag *diag)
{
    if (lane->no_memory)
        return mem_fail(diag, lane->row_used, "a result row");
    return store_item(s, lane, file, (struct span){lane->key, lane->key_used},
                      (struct span){lane->row, lane->row_used}, (struct span){lane->place, lane->place_used},
                      diag);
}

static void begin_item(struct results_lane *lane)
{
    lane->row_used = lane->key_used = lane->place_used = 0;
    lane->no_memory = 0;
}

/* A place as a cell, in lane->place, with the comma before it. */
static void put_place_text(struct results_lane *lane, struct span text)
{
    const size_t keep = lane->row_used;
    put_comma(lane);
    put_cell(lane, text, 0);
    const size_t size = lane->row_used - keep;
    char *const at = grow(&lane->place, &lane->place_used, &lane->place_room, size);
    if (at && !lane->no_memory)
        memcpy(at, lane->row + keep, size);
    else
        lane->no_memory = 1;
    lane->row_used = keep;
}

static enum err put_place(struct results *s, struct results_lane *lane, struct worker_io *io,
                          const struct full *f, struct diag *diag)
{
    char text[4400];
    struct source *source = s->config.sources[f->side];
    size_t n = source->ops->place_text(source, io, f, text, sizeof text);
    if (n == 0)
        return diag_set_errno(diag, errno, "read", "%s: cannot count its lines", text);
    put_place_text(lane, (struct span){text, n});
    return OK;
}

/* Both places of a pair; of a member of a set, whose partner is NULL, the other one is empty. */
static enum err put_places(struct results *s, struct results_lane *lane, struct worker_io *io,
                           const struct full *row, const struct full *partner, struct diag *diag)
{
    enum err err = OK;
    if (!partner && row->side == CHANNEL)
        append(lane, &lane->place, &lane->place_used, &lane->place_room, ",", 1);
    err = put_place(s, lane, io, row, diag);
    if (err == OK && partner)
        err = put_place(s, lane, io, partner, diag);
    else if (row->side == LOCAL)
        append(lane, &lane->place, &lane->place_used, &lane->place_room, ",", 1);
    return err;
}

/* ---- the largest breaks ---- */

static int larger(const struct largest_break *a, const struct largest_break *b)
{
    if (a->magnitude != b->magnitude)
        return a->magnitude > b->magnitude;
    return span_compare((struct span){a->key, a->key_size}, (struct span){b->key, b->key_size}) < 0;
}

/* A break as one line, for people; its places are in the lane. */
static void break_text(struct results *s, const struct results_lane *lane, const struct full *row,
                       const struct full *partner, uint64_t reason_bits, struct largest_break *b)
{
    money_total size = row->amount_micro;
    if (partner && partner->currency == row->currency)
        size = (money_total)partner->amount_micro - row->amount_micro;
    b->magnitude = (uint64_t)(size < 0 ? -size : size);
    char reasons[200], money[MONEY_TEXT_MAX];
    reasons_text(s->config.job, reason_bits, reasons, sizeof reasons);
    struct span order = first_of(row->text[FIELD_BIZ_ORDER_NO], row->text[FIELD_CHANNEL_ORDER_NO]);
    if (partner) {
        money_print(money, size, currency_exponent(row->currency));
        snprintf(b->text, sizeof b->text, "%-9s %.*s  local %.*s channel %.*s delta %s %s  (%s)  %.*s",
                 class_name(b->class_id), (int)(order.size < 64 ? order.size : 64), order.data,
                 (int)row->text[FIELD_AMOUNT].size, row->text[FIELD_AMOUNT].data,
                 (int)partner->text[FIELD_AMOUNT].size, partner->text[FIELD_AMOUNT].data,
                 partner->currency == row->currency ? money : "-", currency_code(row->currency), reasons,
                 (int)(lane->place_used > 1 ? lane->place_used - 1 : 0), lane->place + 1);
    } else {
        snprintf(b->text, sizeof b->text, "%-9s %.*s  %s %.*s %s%s%s%s  %.*s", class_name(b->class_id),
                 (int)(order.size < 64 ? order.size : 64), order.data, side_name((enum side)row->side),
                 (int)row->text[FIELD_AMOUNT].size, row->text[FIELD_AMOUNT].data,
                 currency_code(row->currency), reasons[0] ? "  (" : "", reasons, reasons[0] ? ")" : "",
                 (int)(lane->place_used > 1 ? lane->place_used - 1 : 0), lane->place + 1);
    }
    text_make_plain(b->text);
}

/* 1 when it is, or may be, among the largest of the lane. */
static int is_large(const struct results_lane *lane, const struct largest_break *b)
{
    return lane->largest_count < LARGEST_MAX || larger(b, &lane->largest[LARGEST_MAX - 1]);
}

static void keep_largest(struct results_lane *lane, struct largest_break b)
{
    b.key = mem_copy_text(b.key, b.key_size);
    if (!b.key)
        return; /* a line of the summary less; results are not touched */
    if (lane->largest_count == LARGEST_MAX)
        mem_give(lane->largest[--lane->largest_count].key);
    uint32_t at = lane->largest_count++;
    for (; at > 0 && larger(&b, &lane->largest[at - 1]); at--)
        lane->largest[at] = lane->largest[at - 1];
    lane->largest[at] = b;
}

static void note_largest(struct results *s, struct results_lane *lane, const struct full *row,
                         const struct full *partner)
{
    money_total size = row->amount_micro;
    if (partner && partner->currency == row->currency)
        size = (money_total)partner->amount_micro - row->amount_micro;
    struct largest_break b = {.class_id = (enum class_id)row->verdict,
                              .magnitude = (uint64_t)(size < 0 ? -size : size),
                              .key = lane->key,
                              .key_size = (uint32_t)lane->key_used};
    if (!is_large(lane, &b))
        return;
    break_text(s, lane, row, partner, row->reasons, &b);
    keep_largest(lane, b);
}

uint32_t results_largest(struct results *s, struct largest_break out[LARGEST_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->config.lanes; i++)
        for (uint32_t k = 0; k < s->lanes[i].largest_count; k++) {
            const struct largest_break *b = &s->lanes[i].largest[k];
            if (count == LARGEST_MAX && !larger(b, &out[count - 1]))
                break;
            uint32_t at = count < LARGEST_MAX ? count++ : count - 1;
            for (; at > 0 && larger(b, &out[at - 1]); at--)
                out[at] = out[at - 1];
            out[at] = *b;
        }
    return count;
}

/* Called for each item of a list, in order. */
typedef enum err item_fn(void *context, const struct item *item, struct diag *diag);
static enum err merge(struct results *s, struct sleepers *sleepers, int list, item_fn *each, void *context,
                      struct diag *diag);

static enum err second_join(struct results *s, struct diag *diag);

/* ---- the sink ---- */

static enum err put_match(struct results *s, uint32_t number, struct diag *diag)
{
    struct results_lane *lane = &s->lanes[number];
    if (lane->no_memory)
        return mem_fail(diag, lane->row_used, "a result row");
    return match_put_row(s->match, number, (struct span){lane->key, lane->key_used},
                         (struct span){lane->row, lane->row_used},
                         (struct span){lane->place, lane->place_used}, diag);
}

static enum err put_in(struct results *s, struct results_lane *lane, uint32_t number, struct worker_io *io,
                       const struct full *row, const struct full *partner, struct diag *diag)
{
    const int two_sided = row->verdict == CLASS_MATCH || row->verdict == CLASS_MISMATCH;
    begin_item(lane);
    /* What columns that are no fields say may set equal records aside for different reasons, and no place may tell which
     * stands first. */
    put_order_of(lane, row, !two_sided);
    if (partner)
        put_order(lane, partner);
    if (two_sided)
        put_two_sided(s, lane, partner || row->side == LOCAL ? row : NULL,
                      partner                ? partner
                      : row->side == CHANNEL ? row
                                             : NULL,
                      row->reasons);
    else
        put_one_sided(s, lane, row);
    enum err err =
        two_sided ? put_places(s, lane, io, row, partner, diag) : put_place(s, lane, io, row, diag);
    if (err != OK)
        return err;
    if (!lane->no_memory && (row->verdict == CLASS_MISMATCH || row->verdict == CLASS_MISSING ||
                             row->verdict == CLASS_EXTRA || row->verdict == CLASS_AMBIGUOUS))
        note_largest(s, lane, row, partner);
    return row->verdict != CLASS_MATCH ? store(s, lane, row->verdict, diag) : put_match(s, number, diag);
}

static enum err put(struct sink *sink, uint32_t number, struct worker_io *io, const struct full *row,
                    const struct full *partner, struct diag *diag)
{
    struct results *s = (struct results *)sink;
    return put_in(s, &s->lanes[number], number, io, row, partner, diag);
}

/* ---- tolerance pairs, and the budget that they spend ----
 *
 * A pair is held as an item of its own list, sorted by cell and then by ≺ of the local record. Its row is this head, the
 * sort key of either class, the rows of both, and its line among the largest breaks. */

struct held {
    struct settled_pair pair;
    uint64_t match_reasons;
    uint64_t delta;
    uint32_t cell_size, key_size, mismatch_size, match_size, text_size;
};

static enum err hold(struct sink *sink, uint32_t number, struct worker_io *io, const struct held_pair *pair,
                     struct diag *diag)
{
    struct results *s = (struct results *)sink;
    struct results_lane *lane = &s->lanes[number];
    const struct full *l = pair->local, *r = pair->channel;
    const uint64_t stays = REASON_BIT(REASON_DAY_CUT) | REASON_BIT(REASON_DATE_DISAGREES) |
                           REASON_BIT(REASON_CARRIED) | REASON_BIT(REASON_SECOND_PASS) |
                           REASON_BIT(REASON_LATE);
    const uint64_t reasons = (l->reasons & stays) | REASON_BIT(REASON_BUDGET);
    struct held held = {.pair = {.amount_micro = {l->amount_micro, r->amount_micro},
                                 .kept_micro = r->taken_micro,
                                 .reasons = reasons,
                                 .currency = l->currency,
                                 .key_no = l->key_no},
                        .match_reasons = l->reasons,
                        .delta = l->delta_micro,
                        .cell_size = (uint32_t)pair->cell.size};
    memcpy(held.pair.refs, pair->refs, sizeof pair->refs);
    memcpy(held.pair.before, pair->before, sizeof pair->before);
    memcpy(held.pair.has_before, pair->has_before, sizeof pair->has_before);
    begin_item(lane);
    put_bytes(lane, &held, sizeof held);
    put_order(lane, l);
    put_order(lane, r);
    held.key_size = (uint32_t)lane->key_used;
    put_bytes(lane, lane->key, lane->key_used);
    size_t from = lane->row_used;
    put_two_sided(s, lane, l, r, reasons);
    held.mismatch_size = (uint32_t)(lane->row_used - from);
    from = lane->row_used;
    if (s->match)
        put_two_sided(s, lane, l, r, l->reasons);
    held.match_size = (uint32_t)(lane->row_used - from);
    enum err err = put_places(s, lane, io, l, r, diag);
    if (err != OK)
        return err;
    if (lane->no_memory)
        return mem_fail(diag, lane->row_used, "a result row");
    struct largest_break b = {.class_id = CLASS_MISMATCH};
    break_text(s, lane, l, r, reasons, &b);
    held.text_size = (uint32_t)strlen(b.text);
    put_bytes(lane, b.text, held.text_size);
    /* Shorter cells first; no cell is the beginning of another of its size. */
    const uint8_t size[2] = {(uint8_t)(pair->cell.size >> 8), (uint8_t)pair->cell.size};
    lane->key_used = 0;
    put_key(lane, size, 2);
    put_key(lane, pair->cell.data, pair->cell.size);
    put_order(lane, l);
    if (!lane->no_memory)
        memcpy(lane->row, &held, sizeof held);
    return store(s, lane, HELD_LIST, diag);
}

struct budget {
    struct results *s;
    settled_pair_fn *settled;
    void *context;
    char *cell; /* size and bytes of the cell at hand */
    size_t cell_size, cell_room;
    unsigned __int128 spent;
    int is_spent;
    struct budget_cell *book; /* of the cell at hand; NULL: no book, or none that counts */
};

static void load(struct results_lane *lane, char **buffer, size_t *used, size_t *room, const char *bytes,
                 size_t size)
{
    *used = 0;
    append(lane, buffer, used, room, bytes, size);
}

static enum err spend(void *context, const struct item *item, struct diag *diag)
{
    struct budget *budget = context;
    struct results *s = budget->s;
    struct results_lane *lane = &s->lanes[0];
    struct held held;
    const char *key = (const char *)(item + 1), *row = key + item->key_size;
    memcpy(&held, row, sizeof held);
    const size_t cell_size = 2 + held.cell_size;
    if (budget->cell_size != cell_size || memcmp(budget->cell, key, cell_size) != 0) {
        lane->no_memory = 0;
        load(lane, &budget->cell, &budget->cell_size, &budget->cell_room, key, cell_size);
        if (lane->no_memory)
            return mem_fail(diag, cell_size, "a budget");
        budget->spent = 0;
        budget->is_spent = 0;
        budget->book = NULL;
        if (s->config.keep && s->config.keep->budgets) {
            budget->book = budget_cells_at(s->config.keep->budgets, (struct span){key + 2, held.cell_size});
            if (!budget->book)
                return mem_fail(diag, cell_size, "a budget");
            budget->spent = (uint64_t)budget->book->before;
            budget->is_spent = budget->book->was_over;
        }
    }
    budget->is_spent |= budget->spent + held.delta > (uint64_t)s->config.job->match.budget_micro;
    const int breaks = budget->is_spent;
    if (!breaks)
        budget->spent += held.delta;
    if (budget->book) {
        budget->book->spent += breaks ? 0 : (int64_t)held.delta;
        budget->book->is_over |= (uint8_t)breaks;
    }
    held.pair.is_broken = (uint8_t)breaks;
    if (!breaks)
        held.pair.reasons = held.match_reasons;
    enum err err = budget->settled(budget->context, &held.pair, diag);
    if (err != OK || (!breaks && !s->match))
        return err;
    begin_item(lane);
    const char *at = row + sizeof held;
    load(lane, &lane->key, &lane->key_used, &lane->key_room, at, held.key_size);
    at += held.key_size;
    load(lane, &lane->row, &lane->row_used, &lane->row_room, breaks ? at : at + held.mismatch_size,
         breaks ? held.mismatch_size : held.match_size);
    load(lane, &lane->place, &lane->place_used, &lane->place_room, row + item->row_size, item->place_size);
    if (!breaks)
        return put_match(s, 0, diag);
    const money_total delta = (money_total)held.pair.amount_micro[CHANNEL] - held.pair.amount_micro[LOCAL];
    struct largest_break b = {.class_id = CLASS_MISMATCH,
                              .magnitude = (uint64_t)(delta < 0 ? -delta : delta),
                              .key = lane->key,
                              .key_size = (uint32_t)lane->key_used};
    memcpy(b.text, at + held.mismatch_size + held.match_size, held.text_size);
    if (!lane->no_memory && is_large(lane, &b))
        keep_largest(lane, b);
    return store(s, lane, CLASS_MISMATCH, diag);
}

static enum err settle_budget(struct sink *sink, settled_pair_fn *settled, void *context, struct diag *diag)
{
    struct results *s = (struct results *)sink;
    struct budget budget = {.s = s, .settled = settled, .context = context};
    enum err err = merge(s, NULL, HELD_LIST, spend, &budget, diag);
    mem_give(budget.cell);
    for (uint32_t i = 0; i < s->config.lanes; i++) {
        struct lane_class *c = &s->lanes[i].classes[HELD_LIST];
        class_free(c);
        mem_give(c->runs);
        *c = (struct lane_class){0};
    }
    return err;
}

/* ---- proposals ---- */

static enum err put_proposal(struct results *s, struct results_lane *lane, struct worker_io *io,
                             const struct proposal *p, uint32_t solution, const struct full *part,
                             struct diag *diag)
{
    const struct full *row = part ? part : p->target;
    char text[32];
    begin_item(lane);
    put_order(lane, p->target);
    const uint8_t number = (uint8_t)solution; /* 0: the target */
    put_key(lane, &number, 1);
    if (part)
        put_order(lane, part);
    put_word(lane, proposal_outcome_name(p->outcome));
    put_comma(lane);
    if (p->outcome != PROPOSAL_GAVE_UP)
        put_bytes(lane, text, (size_t)snprintf(text, sizeof text, "%u", p->solution_count));
    put_comma(lane);
    if (part)
        put_bytes(lane, text, (size_t)snprintf(text, sizeof text, "%u", solution));
    put_comma(lane);
    put_word(lane, part ? "part" : "target");
    put_comma(lane);
    put_fields(s, lane, row);
    enum err err = put_place(s, lane, io, row, diag);
    return err == OK ? store(s, lane, PROPOSAL_FILE, diag) : err;
}

static enum err propose(struct sink *sink, uint32_t number, struct worker_io *io, const struct proposal *p,
                        struct diag *diag)
{
    struct results *s = (struct results *)sink;
    enum err err = put_proposal(s, &s->lanes[number], io, p, 0, NULL, diag);
    for (uint32_t i = 0; i < p->solution_count; i++)
        for (uint32_t k = 0; err == OK && k < p->part_count[i]; k++)
            err = put_proposal(s, &s->lanes[number], io, p, i + 1, p->parts[i][k], diag);
    return err;
}

/* ---- what a task keeps ---- */

static enum err store_kept(struct results *s, struct results_lane *lane, enum kept book,
                           const struct full *row, uint8_t kind, struct diag *diag)
{
    if (lane->kept.failed)
        return mem_fail(diag, lane->kept.size, "what a task keeps");
    begin_item(lane);
    put_order(lane, row);
    put_key(lane, &kind, 1);
    put_bytes(lane, lane->kept.data, lane->kept.size);
    text_reset(&lane->kept);
    return store(s, lane, BOOK_LISTS + (int)book, diag);
}

/* The entry of a pair's verdict, as hex, becomes that of its reversal. 0: it is none. */
static int put_reversed(struct results_lane *lane, struct span hex)
{
    struct entry e;
    const size_t size = hex.size / 2, at = lane->kept.size;
    for (size_t i = 0; i < size; i++) {
        const char high = hex.data[2 * i], low = hex.data[2 * i + 1];
        const char byte = (char)((high <= '9' ? high - '0' : high - 'a' + 10) << 4 |
                                 (low <= '9' ? low - '0' : low - 'a' + 10));
        text_put(&lane->kept, &byte, 1);
    }
    if (lane->kept.failed)
        return 1; /* store_kept says so */
    uint8_t *bytes = (uint8_t *)lane->kept.data + at;
    if (!entry_decode(&e, bytes, size))
        return 0;
    bytes[1] = ENTRY_REVERSAL;
    return entry_decode(&e, bytes, size) && e.kind == ENTRY_REVERSAL;
}

/* A reopened record: its old verdict is taken back, and its row is no final one's any more. */
static enum err keep_reopened(struct results *s, struct results_lane *lane, const struct full *row,
                              struct diag *diag)
{
    if (!row->carry || !row->carry->is_late)
        return OK;
    enum err err = OK;
    if (row->carry->link) { /* of a pair: its local one says it for both */
        if (row->carry->pair.size && !put_reversed(lane, row->carry->pair))
            return diag_set(diag, ERR_STATE, "state.carried", "bring the state folder back from a backup",
                            "%.*s: is damaged: the verdict that it takes back cannot be read",
                            (int)row->carry->origin.size, row->carry->origin.data);
    } else {
        keep_entry(&lane->kept, s->config.job, s->config.keep, ENTRY_REVERSAL, row, NULL, NULL, "");
    }
    if (lane->kept.size)
        err = store_kept(s, lane, BOOK_LOG, row->before ? row->before : row, 0, diag);
    text_put(&lane->kept, row->carry->origin.data, row->carry->origin.size);
    return err == OK ? store_kept(s, lane, BOOK_GONE, row, 0, diag) : err;
}

/* A record that P9 gave for good, or one of a mismatch: what is needed to find and reopen it. */
static enum err keep_final(struct results *s, struct results_lane *lane, const struct full *row,
                           const struct full *partner, struct span place, const char *reasons,
                           struct span pair, uint64_t link, struct diag *diag)
{
    struct final_print prints[1 + PRINTS_MAX] = {{0}};
    const int more = keep_more_prints(prints + 1, s->config.job, s->config.keep, row, partner, link);
    const uint8_t count = (uint8_t)(1 + more);
    const size_t head = 1 + count * sizeof *prints;
    text_put(&lane->kept, &count, 1);
    text_put(&lane->kept, prints, count * sizeof *prints);
    keep_row(&lane->kept, s->config.job, s->config.keep, row, place, reasons, pair);
    if (!lane->kept.failed) {
        const size_t size = lane->kept.size - head;
        prints[0] = (struct final_print){.hash = keep_print(s->config.keep, row),
                                         .size = (uint32_t)size + 1,
                                         .sum = (uint32_t)hash_bytes(lane->kept.data + head, size, 0)};
        memcpy(lane->kept.data + 1, prints, sizeof *prints);
    }
    return store_kept(s, lane, (enum kept)(BOOK_FINAL + row->side), row, 0, diag);
}

/* Both records of a mismatch. Their entry is at hand in lane->kept. */
static enum err pair_text(struct results_lane *lane, uint64_t *link, struct diag *diag)
{
    static const char digits[] = "0123456789abcdef";
    const size_t size = lane->kept.size;
    *link = hash_bytes(lane->kept.data, size, 0) | 1;
    text_reset(&lane->pair);
    text_format(&lane->pair, "%016llx", (unsigned long long)*link);
    for (size_t i = 0; i < size; i++) {
        const uint8_t byte = (uint8_t)lane->kept.data[i];
        const char two[2] = {digits[byte >> 4], digits[byte & 15]};
        text_put(&lane->pair, two, 2);
    }
    return lane->pair.failed ? mem_fail(diag, 2 * size, "a final pair") : OK;
}

static enum err keep_in(struct results *s, struct results_lane *lane, struct worker_io *io,
                        const struct full *row, const struct full *partner, struct diag *diag)
{
    const struct full *rows[2] = {row, partner};
    char places[2][4400], reasons[512];
    struct span at[2] = {{"", 0}, {"", 0}};
    const int is_pair = row->verdict == CLASS_MISMATCH && partner != NULL;
    uint64_t link = 0;
    enum err err = OK;
    for (int i = 0; err == OK && i < 2 && rows[i]; i++) {
        struct source *source = s->config.sources[rows[i]->side];
        at[i] = (struct span){places[i],
                              source->ops->place_text(source, io, rows[i], places[i], sizeof places[i])};
        if (at[i].size == 0)
            return diag_set_errno(diag, errno, "read", "%s: cannot count its lines", places[i]);
        err = keep_reopened(s, lane, rows[i], diag);
    }
    reasons_text(s->config.job, row->reasons, reasons, sizeof reasons);
    if (err == OK) {
        keep_entry(&lane->kept, s->config.job, s->config.keep, ENTRY_VERDICT, row, partner, at, reasons);
        if (is_pair && !lane->kept.failed)
            err = pair_text(lane, &link, diag);
        if (err == OK)
            err = store_kept(s, lane, BOOK_LOG, row, 1, diag);
    }
    for (int i = 0; err == OK && is_pair && i < 2; i++) {
        const size_t digits = rows[i]->side == LOCAL ? lane->pair.size : CARRY_LINK_DIGITS;
        err = keep_final(s, lane, rows[i], rows[!i], at[i], reasons, (struct span){lane->pair.data, digits},
                         link, diag);
    }
    for (int i = 0; err == OK && i < 2 && rows[i]; i++)
        if (row->reasons & REASON_BIT(REASON_MANUAL)) /* its real partner may still come */
            err = keep_final(s, lane, rows[i], NULL, at[i], reasons, (struct span){"", 0}, 0, diag);
    if (err != OK || partner || (row->verdict != CLASS_SUSPENSE && !verdict_is_final(row)))
        return err;
    if (row->verdict != CLASS_SUSPENSE)
        return keep_final(s, lane, row, NULL, at[0], reasons, (struct span){"", 0}, 0, diag);
    union open_unit open[OPEN_UNITS_MAX];
    const uint8_t count = (uint8_t)keep_open_print(open, s->config.job, s->config.keep, row);
    const size_t head = 1 + count * sizeof *open;
    text_put(&lane->kept, &count, 1);
    text_put(&lane->kept, open, count * sizeof *open);
    keep_row(&lane->kept, s->config.job, s->config.keep, row, at[0], NULL, (struct span){"", 0});
    if (!lane->kept.failed) {
        open->print.size = (uint32_t)(lane->kept.size - head) + 1;
        memcpy(lane->kept.data + 1, open, sizeof *open);
    }
    return store_kept(s, lane, (enum kept)(BOOK_OPEN + row->side), row, 0, diag);
}

static enum err keep(struct sink *sink, uint32_t number, struct worker_io *io, const struct full *row,
                     const struct full *partner, struct diag *diag)
{
    struct results *s = (struct results *)sink;
    return keep_in(s, &s->lanes[number], io, row, partner, diag);
}

/* ---- records in order, made beside the run ---- */

struct results_lane *results_slice_open(void)
{
    struct results_lane *lane = mem_take_zero(1, sizeof *lane);
    if (lane) {
        lane->spill_fd = -1;
        lane->is_slice = 1;
    }
    return lane;
}

void results_slice_empty(struct results_lane *lane)
{
    for (int f = 0; f < LISTS; f++)
        lane->classes[f].used = lane->classes[f].item_count = 0;
}

static void lane_fini(struct results_lane *lane)
{
    for (int f = 0; f < LISTS; f++) {
        class_free(&lane->classes[f]);
        mem_give(lane->classes[f].runs);
    }
    for (uint32_t k = 0; k < lane->largest_count; k++)
        mem_give(lane->largest[k].key);
    mem_give(lane->row);
    mem_give(lane->key);
    mem_give(lane->place);
    text_fini(&lane->kept);
    text_fini(&lane->pair);
}

void results_slice_close(struct results_lane *lane)
{
    if (lane)
        lane_fini(lane);
    mem_give(lane);
}

enum err results_slice_put(struct results *s, struct results_lane *slice, struct worker_io *io,
                           const struct full *row, struct diag *diag)
{
    CHECK2(row->verdict == CLASS_SUSPENSE, row->verdict, row->place);
    enum err err = keep_in(s, slice, io, row, NULL, diag);
    return err == OK ? put_in(s, slice, 0, io, row, NULL, diag) : err;
}

enum err results_slice_line(struct results *s, struct results_lane *slice, const struct carried_line *line,
                            struct diag *diag)
{
    const int log = BOOK_LISTS + (int)BOOK_LOG, open = BOOK_LISTS + (int)BOOK_OPEN + line->full.side;
    const struct span none = {"", 0};
    enum err err = store_item(s, slice, CLASS_SUSPENSE, line->key, line->row, line->place, diag);
    if (err == OK)
        err = store_item(s, slice, log, line->log_key, line->entry, none, diag);
    return err == OK ? store_item(s, slice, open, line->open_key, line->open, none, diag) : err;
}

void results_sleepers(struct results *s, struct sleepers *sleepers)
{
    s->sleepers = sleepers;
}

static enum err put_pairs(struct sink *sink, uint32_t number, const struct pair_ref *pairs, uint64_t count,
                          struct diag *diag)
{
    return match_put_pairs(((struct results *)sink)->match, number, pairs, count, diag);
}

static enum err take_whole(struct sink *sink, int *takes, struct diag *diag)
{
    struct results *s = (struct results *)sink;
    *takes = 0;
    return s->match ? match_take_whole(s->match, takes, diag) : OK;
}

static struct tap *tap(struct sink *sink, uint32_t number)
{
    const struct results *s = (const struct results *)sink;
    return s->match ? match_tap(s->match, number) : NULL;
}

static enum err join(struct sink *sink, uint32_t number, struct outbox *outbox, struct pair_totals *left,
                     struct diag *diag)
{
    return match_join(((struct results *)sink)->match, number, outbox, left, diag);
}

static void order(struct sink *sink, uint32_t number)
{
    struct results_lane *lane = &((struct results *)sink)->lanes[number];
    /* Pairs that are held are the one's that settles their budget, perhaps just now. */
    for (int f = 0; f < LISTS; f++)
        if (f != HELD_LIST)
            sort_lane(&lane->classes[f]);
}

static unsigned stages(const struct sink *sink)
{
    return ((const struct results *)sink)->match ? MATCH_STAGES : 0;
}

static enum err stage(struct sink *sink, unsigned number, uint32_t lane, struct worker_io *io,
                      struct diag *diag)
{
    return match_stage(((struct results *)sink)->match, number, lane, io, diag);
}

static const struct sink_ops results_ops = {.put = put,
                                            .keep = keep,
                                            .hold = hold,
                                            .settle_budget = settle_budget,
                                            .propose = propose,
                                            .put_pairs = put_pairs,
                                            .take_whole = take_whole,
                                            .tap = tap,
                                            .join = join,
                                            .order = order,
                                            .stages = stages,
                                            .stage = stage};

const char *results_folder(const struct results *results)
{
    return stage_path(results->stage);
}

const struct keep_task *results_keep(const struct results *s)
{
    return s->config.keep;
}

struct sink *results_sink(struct results *s)
{
    return &s->base;
}

static struct match_config match_config_of(const struct results_config *config)
{
    return (struct match_config){.job = config->job,
                                 .sources = config->sources,
                                 .lanes = config->lanes,
                                 .memory = config->match_bytes,
                                 .shelf = config->shelf_bytes,
                                 .backend = config->backend,
                                 .interrupted = config->interrupted};
}

enum err results_look(const struct results_config *config, struct match_outlook *out, struct diag *diag)
{
    struct match_config match = match_config_of(config);
    match.directory = match.head = match.place_head = "";
    return match_look(&match, out, diag);
}

enum err results_open(struct results **out, const struct results_config *config, struct diag *diag)
{
    *out = NULL;
    struct results *s = mem_take_zero(1, sizeof *s);
    if (!s)
        return mem_fail(diag, sizeof *s, "results");
    s->base.ops = &results_ops;
    s->config = *config;
    s->lanes = mem_take_zero(config->lanes, sizeof *s->lanes);
    enum err err = s->lanes ? OK : mem_fail(diag, config->lanes * sizeof *s->lanes, "results");
    for (uint32_t i = 0; err == OK && i < config->lanes; i++)
        s->lanes[i].spill_fd = -1;
    if (err == OK)
        err = stage_open(&s->stage, config->final_dir, set_names, diag);
    if (err == OK && config->write_match) {
        header(s, CLASS_MATCH, s->match_head, sizeof s->match_head);
        struct match_config match = match_config_of(config);
        match.directory = stage_path(s->stage);
        match.head = s->match_head;
        match.place_head = place_header(CLASS_MATCH);
        err = match_open(&s->match, &match, diag);
    }
    if (err != OK) {
        results_close(s);
        return err;
    }
    *out = s;
    return OK;
}

void results_close(struct results *s)
{
    if (!s)
        return;
    second_join(s, NULL);
    for (uint32_t i = 0; s->lanes && i < s->config.lanes; i++) {
        struct results_lane *lane = &s->lanes[i];
        lane_fini(lane);
        if (s->stage && lane->spill_fd >= 0)
            sys_close(lane->spill_fd);
    }
    mem_give(s->lanes);
    sync_set_drop(&s->sync);
    match_close(s->match);
    stage_close(s->stage);
    mem_give(s);
}

uint64_t results_spilled_bytes(const struct results *s)
{
    uint64_t bytes = s->match ? match_spilled(s->match) : 0;
    for (uint32_t i = 0; i < s->config.lanes; i++)
        bytes += s->lanes[i].spill_size;
    return bytes;
}

uint64_t results_early_matches(const struct results *s)
{
    return s->match ? match_early_pairs(s->match) : 0;
}

uint64_t results_met_matches(const struct results *s)
{
    return s->match ? match_met_pairs(s->match) : 0;
}

/* ---- writing files ---- */

/* Where a merge stands in one sorted run: in memory, or in a lane's file. */
struct cursor {
    struct results_lane *lane;
    struct lane_class *in_memory;
    uint32_t next_item;
    uint64_t offset, left; /* in the file */
    char *buffer;
    size_t at, filled, room;
    const struct item *item;
    /* of records that come in order from beside the run, a slice at a time */
    struct results_lane *slice;
    enum sleepers_reader reader;
    enum side side;
    int list, is_stream;
};

static enum err stream_step(struct results *s, struct cursor *c, struct diag *diag)
{
    while (!c->slice || c->next_item == c->slice->classes[c->list].item_count) {
        enum err err = s->sleepers->next(s->sleepers, c->side, c->reader, &c->slice, diag);
        if (err != OK || !c->slice)
            return err;
        c->next_item = 0;
    }
    const struct lane_class *class = &c->slice->classes[c->list];
    c->item = (const struct item *)(class->bytes + (size_t) class->items[c->next_item++] * 4);
    return OK;
}

/* Who reads of a list what comes from beside the run. 0: nothing of that side does. */
static int stream_of(struct sleepers *sleepers, int list, enum side side, struct cursor *cursor)
{
    if (!sleepers || !sleepers->has[side])
        return 0;
    *cursor = (struct cursor){.is_stream = 1, .list = list, .side = side};
    if (list == CLASS_SUSPENSE)
        cursor->reader = SLEEPERS_RESULTS;
    else if (list == BOOK_LISTS + BOOK_LOG)
        cursor->reader = SLEEPERS_LOG;
    else if (list == BOOK_LISTS + BOOK_OPEN + (int)side)
        cursor->reader = SLEEPERS_OPEN;
    else
        return 0;
    return 1;
}

static enum err cursor_step(struct results *s, struct cursor *c, struct diag *diag)
{
    c->item = NULL;
    if (c->is_stream)
        return stream_step(s, c, diag);
    if (c->in_memory) {
        if (c->next_item < c->in_memory->item_count)
            c->item =
                (const struct item *)(c->in_memory->bytes + (size_t)c->in_memory->items[c->next_item++] * 4);
        return OK;
    }
    for (;;) {
        size_t have = c->filled - c->at;
        if (have >= sizeof(struct item)) {
            const struct item *item = (const struct item *)(c->buffer + c->at);
            size_t size = item_bytes(item);
            if (have >= size) {
                c->item = item;
                c->at += size;
                return OK;
            }
            if (size > c->room) {
                char *grown = mem_grow(c->buffer, size + RUN_READ_MIN);
                if (!grown)
                    return mem_fail(diag, size + RUN_READ_MIN, "a sorted run");
                c->buffer = grown;
                c->room = size + RUN_READ_MIN;
            }
        }
        if (c->left == 0) {
            CHECK2(have == 0, have, c->offset);
            return OK;
        }
        memmove(c->buffer, c->buffer + c->at, have);
        c->at = 0;
        c->filled = have;
        size_t want = c->room - have < c->left ? c->room - have : (size_t)c->left;
        ssize_t n = sys_pread_full(c->lane->spill_fd, c->buffer + have, want, c->offset);
        if (n < 0 || (size_t)n != want)
            return diag_set_errno(diag, n < 0 ? (int)-n : EIO, "out.spill",
                                  "%s: cannot read a temporary file again", stage_path(s->stage));
        c->filled += want;
        c->offset += want;
        c->left -= want;
    }
}

static int cursor_before(const struct cursor *a, const struct cursor *b)
{
    return span_compare((struct span){(const char *)(a->item + 1), a->item->key_size},
                        (struct span){(const char *)(b->item + 1), b->item->key_size}) < 0;
}

static void heap_down(struct cursor **heap, uint32_t count, uint32_t at)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && cursor_before(heap[child + 1], heap[child]))
            child++;
        if (!cursor_before(heap[child], heap[at]))
            return;
        struct cursor *swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
        at = child;
    }
}

struct writing {
    struct out_file *file;
    struct digest *digest;
};

/* Places are in the file and not in the digest. */
static enum err write_item(void *context, const struct item *item, struct diag *diag)
{
    struct writing *w = context;
    const char *row = (const char *)(item + 1) + item->key_size;
    digest_put(w->digest, row, item->row_size);
    digest_put(w->digest, "\n", 1);
    enum err err = out_put(w->file, row, item->row_size + item->place_size, diag);
    return err == OK ? out_put(w->file, "\n", 1, diag) : err;
}

static enum err merge(struct results *s, struct sleepers *sleepers, int list, item_fn *each, void *context,
                      struct diag *diag)
{
    uint32_t count = SIDES, open = 0;
    for (uint32_t i = 0; i < s->config.lanes; i++)
        count += s->lanes[i].classes[list].run_count + 1;
    struct cursor *cursors = mem_take_zero(count, sizeof *cursors);
    struct cursor **heap = mem_take_zero(count, sizeof *heap);
    enum err err = cursors && heap ? OK : mem_fail(diag, count * sizeof *cursors, "merging results");
    /* All runs are open at once: together they read ahead no more than the lanes held while they sorted. */
    size_t ahead = s->config.sort_bytes * s->config.lanes / count;
    ahead = ahead > RUN_READ ? RUN_READ : ahead < RUN_READ_MIN ? RUN_READ_MIN : ahead;
    uint32_t made = 0;
    for (uint32_t i = 0; err == OK && i < s->config.lanes; i++) {
        struct lane_class *c = &s->lanes[i].classes[list];
        sort_lane(c);
        cursors[made].lane = &s->lanes[i];
        cursors[made++].in_memory = c;
        for (uint32_t k = 0; err == OK && k < c->run_count; k++) {
            struct cursor *cursor = &cursors[made++];
            *cursor = (struct cursor){
                .lane = &s->lanes[i], .offset = c->runs[k].offset, .left = c->runs[k].size, .room = ahead};
            cursor->buffer = mem_take(cursor->room);
            if (!cursor->buffer)
                err = mem_fail(diag, cursor->room, "merging results");
        }
    }
    for (int side = 0; err == OK && side < SIDES; side++)
        made += (uint32_t)stream_of(sleepers, list, (enum side)side, &cursors[made]);
    for (uint32_t i = 0; err == OK && i < made; i++) {
        err = cursor_step(s, &cursors[i], diag);
        if (err == OK && cursors[i].item)
            heap[open++] = &cursors[i];
    }
    for (uint32_t i = open / 2; i-- > 0;)
        heap_down(heap, open, i);
    while (err == OK && open) {
        err = each(context, heap[0]->item, diag);
        if (err == OK)
            err = cursor_step(s, heap[0], diag);
        if (err == OK && !heap[0]->item)
            heap[0] = heap[--open];
        if (err == OK)
            heap_down(heap, open, 0);
    }
    for (uint32_t i = 0; i < made; i++)
        mem_give(cursors[i].buffer);
    mem_give(cursors);
    mem_give(heap);
    return err;
}

struct read_book {
    results_book_fn *each;
    void *context;
};

static enum err book_item(void *context, const struct item *item, struct diag *diag)
{
    const struct read_book *book = context;
    const char *row = (const char *)(item + 1) + item->key_size;
    return book->each(book->context, (struct span){row, item->row_size}, diag);
}

enum err results_book(struct results *s, enum kept book, results_book_fn *each, void *context,
                      struct diag *diag)
{
    struct read_book reading = {each, context};
    return merge(s, s->sleepers, BOOK_LISTS + (int)book, book_item, &reading, diag);
}

int results_book_is_empty(const struct results *s, enum kept book)
{
    const int list = BOOK_LISTS + (int)book;
    for (uint32_t i = 0; i < s->config.lanes; i++)
        if (s->lanes[i].classes[list].item_count || s->lanes[i].classes[list].run_count)
            return 0;
    return !s->sleepers || (book != BOOK_LOG && !(book == BOOK_OPEN && s->sleepers->has[LOCAL]) &&
                            !(book == BOOK_OPEN_CHANNEL && s->sleepers->has[CHANNEL]));
}

enum err results_book_of_run(struct results *s, enum kept book, results_book_fn *each, void *context,
                             struct diag *diag)
{
    struct read_book reading = {each, context};
    return merge(s, NULL, BOOK_LISTS + (int)book, book_item, &reading, diag);
}

struct rejecting {
    struct results *s;
    struct worker_io *io;
    struct source *source;
    struct arena arena;
};

/* A reject as a row of reject.csv, by the control thread's lane. */
static enum err put_reject(void *taker, const struct reject *reject, struct diag *diag)
{
    struct rejecting *const r = taker;
    struct results_lane *const lane = &r->s->lanes[0];
    struct span raw, place, column, value;
    arena_reset(&r->arena);
    const enum err err =
        r->source->ops->reject_text(r->source, r->io, reject, &r->arena, &raw, &place, &column, &value, diag);
    if (err != OK)
        return err;
    /* No order but the bytes: two files in another order, or one file cut in two, must give the same
     * digest. */
    begin_item(lane);
    put_word(lane, side_name((enum side)reject->side));
    put_comma(lane);
    put_word(lane, reject_name((enum reject_code)reject->code));
    put_comma(lane);
    put_cell(lane, column, 0);
    put_comma(lane);
    put_cell(lane, value, 0);
    put_comma(lane);
    put_cell(lane, raw, 0);
    put_key(lane, &reject->side, 1);
    put_key(lane, lane->row, lane->row_used);
    uint8_t tail[9] = {0};
    for (int k = 0; k < 8; k++)
        tail[1 + k] = (uint8_t)(reject->place >> (56 - 8 * k));
    put_key(lane, tail, 9);
    put_place_text(lane, place);
    return store(r->s, lane, REJECT_FILE, diag);
}

/* Their order is that of all other rows: what lanes hold is sorted. */
static enum err write_rejects(struct results *s, struct worker_io *io, struct out_file *f,
                              struct digest *digest, struct diag *diag)
{
    struct rejecting rejecting = {.s = s, .io = io};
    arena_init(&rejecting.arena);
    enum err err = OK;
    for (int side = 0; err == OK && side < SIDES; side++) {
        rejecting.source = s->config.sources[side];
        err = rejecting.source->ops->rejects(rejecting.source, put_reject, &rejecting, diag);
    }
    arena_fini(&rejecting.arena);
    struct writing writing = {f, digest};
    return err == OK ? merge(s, NULL, REJECT_FILE, write_item, &writing, diag) : err;
}

static int is_written(const struct results *s, int file)
{
    return file == CLASS_MATCH ? s->match != NULL
                               : file != PROPOSAL_FILE || s->config.job->match.subset.given;
}

static int number_of(const char *name)
{
    for (int i = 0; i < NAMES; i++)
        if (strcmp(set_names[i], name) == 0)
            return i;
    return NAMES;
}

/* 1: the file was made before, and is the caller's to write now. */
static int take_made(struct results *s, int name)
{
    const int made = name < NAMES && s->made[name];
    if (made)
        s->made[name] = 0;
    return made;
}

void results_make(struct results *s)
{
    for (int name = CLASS_MATCH + 1; name < NAMES && set_names[name] != certificate; name++) {
        char path[4500];
        if (name < FILES && !is_written(s, name))
            continue;
        snprintf(path, sizeof path, "%s/%s", stage_path(s->stage), set_names[name]);
        const int fd = out_make(path, 0);
        if (fd < 0)
            return;
        sys_close(fd);
        s->made[name] = 1;
    }
}

/* One class file; `text` is its digest. */
static enum err write_file(struct results *s, struct worker_io *io, int file, struct out_file *f,
                           struct digest *digest, struct digest *whole, char text[DIGEST_TEXT],
                           struct diag *diag)
{
    if (file == CLASS_MATCH)
        return match_finish(s->match, text, diag);
    char head[4096];
    header(s, file, head, sizeof head);
    digest_begin(digest);
    if (whole)
        digest_begin(whole);
    digest_put(digest, head, strlen(head));
    digest_put(digest, "\n", 1);
    enum err err = out_begin(f, stage_path(s->stage), set_names[file], 0, take_made(s, file), diag);
    if (err == OK)
        err = out_put(f, head, strlen(head), diag);
    if (err == OK)
        err = out_put(f, place_header(file), strlen(place_header(file)), diag);
    if (err == OK)
        err = out_put(f, "\n", 1, diag);
    struct writing writing = {f, digest};
    if (err == OK)
        err = file == REJECT_FILE ? write_rejects(s, io, f, digest, diag)
                                  : merge(s, s->sleepers, file, write_item, &writing, diag);
    err = out_end(f, err, diag);
    digest_end(digest, text);
    if (whole)
        digest_end(whole, s->seals[file]);
    return err;
}

/* Files that nobody has taken yet, one after the other. */
static enum err write_files(struct results *s, struct worker_io *io, struct sync_set *sync, struct diag *diag)
{
    struct out_file f;
    enum err err = out_open(&f, s->config.backend, 2, diag);
    struct digest *digest = digest_open(), *whole = s->config.keep ? digest_open() : NULL;
    if (err == OK && (!digest || (s->config.keep && !whole)))
        err = mem_fail(diag, 0, "writing results");
    f.digest = whole;
    f.sync = sync;
    int file;
    while (err == OK && (file = atomic_fetch_add(&s->file_next, 1)) < FILES)
        if (is_written(s, file))
            err = write_file(s, io, file, &f, digest, whole, s->digests[file], diag);
    if (err != OK)
        atomic_store(&s->file_next, FILES); /* no more by the other one either */
    digest_close(digest);
    digest_close(whole);
    out_close(&f);
    return err;
}

static void *second_main(void *argument)
{
    struct results *s = argument;
    const enum err err = write_files(s, NULL, &s->second.sync, &s->second.diag);
    s->second.err = s->second.written = err;
    sem_post(&s->second.has_written);
    if (err == OK)
        s->second.err = sync_set_all(&s->second.sync, &s->second.diag);
    return NULL;
}

/* When a run's workers are done, a core that had one is idle: it writes files beside this one, and makes its own durable while the summary is
 * made. What is merged must lie in memory, since rows on disk are read ahead as far as one merge's memory goes, and rejects become
 * rows of a lane while they are written. In a book the other cores have the next task. */
static int has_second(const struct results *s)
{
    uint64_t rejects = 0;
    for (int side = 0; side < SIDES; side++) {
        struct source_counts counts;
        s->config.sources[side]->ops->counts(s->config.sources[side], &counts);
        rejects += counts.rejects;
    }
    return s->config.lanes > 1 && !s->config.keep && !s->sleepers && !s->match && rejects == 0 &&
           results_spilled_bytes(s) == 0;
}

static enum err second_join(struct results *s, struct diag *diag)
{
    if (!s->second.runs)
        return OK;
    pthread_join(s->second.thread, NULL);
    sem_destroy(&s->second.has_written);
    sync_set_drop(&s->second.sync);
    s->second.runs = 0;
    if (s->second.err != OK && diag)
        *diag = s->second.diag;
    return s->second.err;
}

enum err results_write(struct results *s, struct worker_io *io, char digest_lines[4096], struct diag *diag)
{
    size_t used = 0;
    digest_lines[0] = 0;
    atomic_store(&s->file_next, 0);
    if (has_second(s)) {
        sem_init(&s->second.has_written, 0, 0);
        s->second.runs = pthread_create(&s->second.thread, NULL, second_main, s) == 0;
        if (!s->second.runs) /* then this one writes all */
            sem_destroy(&s->second.has_written);
    }
    enum err err = write_files(s, io, &s->sync, diag);
    if (s->second.runs)
        while (sem_wait(&s->second.has_written) != 0) {
        }
    if (err == OK && s->second.runs && (err = s->second.written) != OK)
        *diag = s->second.diag;
    for (int file = 0; err == OK && file < FILES; file++)
        if (is_written(s, file))
            used += (size_t)snprintf(digest_lines + used, 4096 - used, "%s %s\n", set_names[file],
                                     s->digests[file]);
    return err;
}

enum err results_match_adds_up(const struct results *s, const struct count_and_sum pairs[CURRENCY_COUNT_MAX],
                               struct diag *diag)
{
    return s->match ? match_adds_up(s->match, pairs, diag) : OK;
}

const char *results_seal(const struct results *s, const char *name)
{
    for (int file = 0; file < FILES; file++)
        if (strcmp(set_names[file], name) == 0 && s->seals[file][0])
            return s->seals[file];
    return NULL;
}

enum err results_extra_begin(struct results *s, struct results_extra_file *file, const char *name,
                             struct diag *diag)
{
    file->size = 0;
    snprintf(file->path, sizeof file->path, "%s/%s", stage_path(s->stage), name);
    file->fd = out_make(file->path, take_made(s, number_of(name)));
    return file->fd < 0 ? diag_set_errno(diag, -file->fd, "out.open", "%s: cannot make it", file->path) : OK;
}

enum err results_extra_put(struct results_extra_file *file, const void *bytes, size_t size, struct diag *diag)
{
    const int error = sys_pwrite_full(file->fd, bytes, size, file->size);
    if (error)
        return out_write_failed(diag, -error, "out.write", file->path, size);
    file->size += size;
    return OK;
}

enum err results_extra_end(struct results *s, struct results_extra_file *file, enum err err,
                           struct diag *diag)
{
    if (err == OK)
        return sync_set_add(&s->sync, file->fd, file->path, diag);
    sys_close(file->fd);
    return err;
}

enum err results_extra(struct results *s, const char *name, const void *bytes, size_t size, struct diag *diag)
{
    struct results_extra_file file;
    enum err err = results_extra_begin(s, &file, name, diag);
    return err == OK ? results_extra_end(s, &file, results_extra_put(&file, bytes, size, diag), diag) : err;
}

enum err results_publish(struct results *s, struct diag *diag)
{
    for (int name = 0; name < NAMES; name++)
        CHECK2(!s->made[name], name, 0); /* an empty file would be no result */
    enum err err = sync_set_all(&s->sync, diag);
    const enum err second = second_join(s, err == OK ? diag : NULL);
    err = err == OK ? second : err;
    return err == OK ? stage_publish(s->stage, diag) : err;
}
