/* cli/by_hand.c: see by_hand.h */
#include "cli/by_hand.h"
#include "core/base/mem.h"
#include "core/config/carry.h"
#include "io/store/error_order.h"
#include "io/store/generation.h"
#include "io/store/ordinals.h"
#include "io/store/verdict_log.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- which pairs there are ---- */

static enum err note_pair(void *context, const struct force_pair *pair, struct diag *diag)
{
    struct by_hand *by = context;
    if (mem_list_more(&by->pairs, by->count, &by->room, 16, "pairs made by hand", diag) != OK)
        return ERR_MACHINE;
    by->pairs[by->count++] = (struct hand_pair){.pair = *pair};
    return OK;
}

static struct hand_pair *find_pair(struct by_hand *by, uint32_t no)
{
    uint32_t low = 0, high = by->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (by->pairs[middle].pair.no < no)
            low = middle + 1;
        else
            high = middle;
    }
    return low < by->count && by->pairs[low].pair.no == no ? &by->pairs[low] : NULL;
}

/* The segment that holds the last revision of a task. 1; 0: there is none; -1. */
static int open_segment(struct by_hand *by, const char *name, struct task *task, struct arena *arena,
                        struct verdict_reader **reader, struct diag *diag)
{
    struct segment segment;
    char path[STATE_PATH_MAX];
    struct sqlite *db = state_db(by->state);
    int found = task_find(db, &(struct task_filter){.name = name}, arena, task, diag);
    if (found > 0)
        found = segment_find(db, task->id, task->revision, &segment, diag);
    if (found > 0 &&
        (state_path(by->state, path, segment.file, diag) != OK || verdict_log_open(reader, path, diag) != OK))
        return -1;
    return found;
}

/* 1: the entry is the one that order `id` speaks of; 0; -1. */
static int is_of(struct by_hand *by, struct ordinals *ordinals, const struct entry *e, const char *id,
                 struct diag *diag)
{
    char own[ERROR_ID_TEXT];
    const int carried = error_ids_carried(&by->ids, e, diag);
    if (carried < 0)
        return -1;
    const uint32_t ordinal = ordinals_next(ordinals, e, carried);
    return ordinal != UINT32_MAX && error_order_id(own, e, ordinal, carried) && strcmp(own, id) == 0;
}

static int is_about(const struct entry *e, enum side side, const struct force_side *want)
{
    return e->side[side].present && !e->side[!side].present &&
           span_is(e->side[side].text[FIELD_BIZ_ORDER_NO], want->biz_order_no);
}

/* The verdict of one side's order, as its task's last revision has it: its bytes (`verdict` may be NULL). With `late` its row is wanted.
 * 1: found; 0: it is not as it was; -1. */
static int find_side(struct by_hand *by, const struct hand_pair *pair, enum side side, struct late *late,
                     struct text *verdict, struct diag *diag)
{
    const struct force_side *want = &pair->pair.side[side];
    struct arena arena;
    struct task task;
    struct verdict_reader *reader = NULL;
    struct entry e;
    struct span raw;
    struct ordinals ordinals = {0};
    int found = 0;
    arena_init(&arena);
    int opened = open_segment(by, want->task, &task, &arena, &reader, diag);
    enum step step = STEP_DONE;
    while (opened > 0 && !found && (step = verdict_log_next(reader, &e, &raw, diag)) == STEP_MORE) {
        const int is_it = e.kind == ENTRY_VERDICT && is_about(&e, side, want)
                              ? is_of(by, &ordinals, &e, want->id, diag)
                              : 0;
        if (is_it < 0)
            opened = -1;
        if (is_it <= 0)
            continue;
        const struct late_row row = {.task = task.id,
                                     .side = side,
                                     .place = e.side[side].place,
                                     .occurrence = e.side[side].occurrence,
                                     .biz_order_no = e.side[side].text[FIELD_BIZ_ORDER_NO],
                                     .channel_order_no = e.side[side].text[FIELD_CHANNEL_ORDER_NO],
                                     .hand = (uint32_t)pair->pair.no};
        if (verdict)
            text_put(verdict, raw.data, raw.size);
        found = 1;
        if (late && late_want(late, &row, &found, diag) != OK)
            opened = -1;
        by->takes_up |=
            late && found; /* also where its partner is not as it was: it is read, and must be laid aside */
        break;
    }
    verdict_log_close(reader);
    ordinals_fini(&ordinals);
    arena_fini(&arena);
    return opened < 0 || step == STEP_FAILED ? -1 : found;
}

/* 1: a task before this one took the pair up. */
static int is_before(const struct force_pair *pair, const struct task *task)
{
    return pair->used_by[0] && pair->used_day != DAY_NONE && pair->used_day < task->day;
}

enum err by_hand_open(struct by_hand *by, struct state *state, const struct task *task, struct late *late,
                      struct diag *diag)
{
    by->state = state;
    by->task = task;
    snprintf(by->queue, sizeof by->queue, "%s/%s", task->channel_code, task->biz_type);
    enum err err = error_ids_open(&by->ids, state_db(state), diag);
    if (err == OK)
        err = force_pair_each(state_db(state), by->queue, note_pair, by, diag);
    for (uint32_t i = 0; err == OK && i < by->count; i++) {
        struct hand_pair *p = &by->pairs[i];
        const struct force_pair *pair = &p->pair;
        const int broken_here = strcmp(pair->broken_by, task->name) == 0,
                  waits = !pair->used_by[0] && !pair->is_replaced && (!pair->broken_by[0] || broken_here),
                  is_mine = strcmp(pair->used_by, task->name) == 0 && !(pair->is_replaced && broken_here),
                  is_standing = !pair->broken_by[0] || broken_here;
        /* What was broken up here stays so once one of the two belongs to another pair. */
        p->touched = pair->is_replaced && broken_here && is_before(pair, task);
        p->touched |= pair->is_undone && is_standing && is_before(pair, task);
        if (!(waits || is_mine) || pair->side[LOCAL].day >= task->day || pair->side[CHANNEL].day >= task->day)
            continue;
        p->wanted = 1;
        if (pair->is_undone && is_standing) /* done again, it is not taken up */
            continue;
        int found = late ? find_side(by, p, LOCAL, late, NULL, diag) : 0;
        if (found > 0)
            found = find_side(by, p, CHANNEL, late, NULL, diag);
        if (found < 0)
            err = diag->err;
    }
    return err;
}

/* ---- what the run made of them ---- */

static uint32_t number_behind(struct span text, char mark)
{
    const char *at = text.size ? memchr(text.data, mark, text.size) : NULL;
    uint32_t no = 0;
    for (; at && ++at < text.data + text.size && *at >= '0' && *at <= '9';)
        no = no * 10 + (uint32_t)(*at - '0');
    return no;
}

void by_hand_given(struct by_hand *by, struct span row)
{
    struct hand_pair *p =
        row.size && row.data[0] == CARRY_HAND_BEFORE
            ? find_pair(by, number_behind((struct span){row.data, row.size < 12 ? row.size : 12},
                                          CARRY_HAND_BEFORE))
            : NULL;
    if (p)
        p->given = 1;
}

void by_hand_touched(struct by_hand *by, struct span origin)
{
    struct hand_pair *p = find_pair(by, number_behind(origin, CARRY_HAND_BEFORE));
    if (p && is_before(&p->pair, by->task) &&
        (!p->pair.broken_by[0] || strcmp(p->pair.broken_by, by->task->name) == 0))
        p->touched = 1;
    /* The file that the row stood in is named by its side. */
    if (p)
        p->reopened[memmem(origin.data, origin.size, "-final-channel", strlen("-final-channel")) ? CHANNEL
                                                                                                 : LOCAL] = 1;
}

void by_hand_again(const struct by_hand *by, uint64_t again[SIDES])
{
    again[LOCAL] = again[CHANNEL] = 0;
    for (uint32_t i = 0; i < by->count; i++)
        for (int side = 0; by->pairs[i].touched && side < SIDES; side++)
            again[side] += !by->pairs[i].reopened[side];
}

/* ---- what the log says when a pair is broken up ---- */

static enum err add_entry(struct by_hand *by, struct entry *e, enum entry_kind kind, struct diag *diag)
{
    static const char zeros[256];
    e->kind = (uint8_t)kind;
    e->repeated = e->undo = 0;
    const size_t size = entry_size(e), at = by->extra.size;
    for (size_t left = size; left && !by->extra.failed; left -= left < sizeof zeros ? left : sizeof zeros)
        text_put(&by->extra, zeros, left < sizeof zeros ? left : sizeof zeros);
    if (mem_list_more(&by->entries, by->entry_count, &by->entry_room, 16, "the verdict log", diag) != OK)
        return ERR_MACHINE;
    if (by->extra.failed)
        return mem_fail(diag, size, "the verdict log");
    entry_encode(e, (uint8_t *)by->extra.data + at);
    by->entries[by->entry_count++] = (struct hand_entry){.at = at, .size = size};
    return OK;
}

static int read_entry(const struct hand_entry *e, struct entry *out)
{
    return entry_decode(out, (const uint8_t *)e->extra + e->at, e->size);
}

static int by_order(const void *a, const void *b)
{
    struct entry x, y;
    if (!read_entry(a, &x) || !read_entry(b, &y))
        return 0;
    const int c = entry_compare(&x, &y);
    return c ? c : (int)y.kind - (int)x.kind;
}

static int same_record(const struct entry *a, const struct entry *b, enum side side)
{
    const struct entry_side *x = &a->side[side], *y = &b->side[side];
    if (!x->present || !y->present || x->day != y->day || !span_equal(x->occurrence, y->occurrence) ||
        !span_equal(x->place, y->place) || a->field_count != b->field_count)
        return 0;
    for (int i = 0; i < a->field_count; i++)
        if (!span_equal(x->text[i], y->text[i]))
            return 0;
    return 1;
}

/* What the task that took a pair up said of it. */
struct said {
    struct text verdict[SIDES]; /* that the pair's orders speak of */
    struct text reversal[SIDES];
    struct entry back[SIDES]; /* of the reversals' bytes */
};

static enum err keep_reversal(struct said *said, int side, struct span raw, struct diag *diag)
{
    text_put(&said->reversal[side], raw.data, raw.size);
    if (said->reversal[side].failed)
        return mem_fail(diag, raw.size, "the verdict log");
    if (!entry_decode(&said->back[side], (const uint8_t *)said->reversal[side].data, raw.size))
        return diag_set(diag, ERR_STATE, "verdicts.damaged", NULL, "an entry of the log cannot be read");
    return OK;
}

/* Records that are equal in all have verdicts of one print, so the row and what is said of it decide. `any`: where no reversal has those, as
 * the files were then, one of the print will do. */
static int takes_back(const struct entry *e, const struct text *verdict, enum side side, int any)
{
    struct entry v;
    if (e->kind != ENTRY_REVERSAL || e->undo || !verdict->size ||
        !entry_decode(&v, (const uint8_t *)verdict->data, verdict->size) || entry_print(e) != entry_print(&v))
        return 0;
    return any ||
           (e->revision == v.revision && span_equal(e->reasons, v.reasons) && same_record(e, &v, side));
}

/* One way through the log of the task that took the pair up. */
enum look { LOOK_EXACT, LOOK_ANY, LOOK_MATCH, LOOKS };

static enum err look_for(struct by_hand *by, const struct hand_pair *p, struct said *said, enum look look,
                         struct diag *diag)
{
    struct arena arena;
    struct task task;
    struct verdict_reader *reader = NULL;
    struct entry e;
    struct span raw;
    enum step step = STEP_DONE;
    enum err err = OK;
    int done = 0;
    arena_init(&arena);
    const int opened = open_segment(by, p->pair.used_by, &task, &arena, &reader, diag);
    while (err == OK && opened > 0 && !done &&
           (step = verdict_log_next(reader, &e, &raw, diag)) == STEP_MORE) {
        for (int side = 0; err == OK && look != LOOK_MATCH && side < SIDES; side++)
            if (!said->reversal[side].size &&
                takes_back(&e, &said->verdict[side], (enum side)side, look == LOOK_ANY))
                err = keep_reversal(said, side, raw, diag);
        if (look == LOOK_MATCH && e.kind == ENTRY_VERDICT && e.class_id == CLASS_MATCH &&
            said->reversal[LOCAL].size && said->reversal[CHANNEL].size &&
            same_record(&e, &said->back[LOCAL], LOCAL) && same_record(&e, &said->back[CHANNEL], CHANNEL)) {
            err = add_entry(by, &e, ENTRY_REVERSAL, diag);
            done = 1;
        }
    }
    if (err == OK && (opened < 0 || step == STEP_FAILED))
        err = diag->err;
    verdict_log_close(reader);
    arena_fini(&arena);
    if (err == OK && look == LOOK_MATCH && !done)
        err = diag_set(diag, ERR_STATE, "hand.pair", "tieout verify",
                       "pair %lld made by hand is not in the log of task %s, which took it up",
                       (long long)p->pair.no, p->pair.used_by);
    return err;
}

/* The match is taken back, and what it had taken back stands again: it is of the same two rows. */
static enum err entries_of(struct by_hand *by, const struct hand_pair *p, struct diag *diag)
{
    struct said said = {.verdict = {{0}, {0}}};
    enum err err = OK;
    for (int side = 0; err == OK && side < SIDES; side++)
        if (find_side(by, p, (enum side)side, NULL, &said.verdict[side], diag) < 0)
            err = diag->err;
        else if (said.verdict[side].failed)
            err = mem_fail(diag, said.verdict[side].size, "the verdict log");
    for (int look = LOOK_EXACT; err == OK && look < LOOKS; look++)
        if (look != LOOK_ANY || !said.reversal[LOCAL].size || !said.reversal[CHANNEL].size)
            err = look_for(by, p, &said, (enum look)look, diag);
    for (int side = 0; side < SIDES; side++) {
        if (err == OK && said.reversal[side].size)
            err = add_entry(by, &said.back[side], ENTRY_AGAIN, diag);
        text_fini(&said.verdict[side]);
        text_fini(&said.reversal[side]);
    }
    return err;
}

enum err by_hand_entries(struct by_hand *by, struct diag *diag)
{
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < by->count; i++)
        if (by->pairs[i].touched)
            err = entries_of(by, &by->pairs[i], diag);
    for (uint32_t i = 0; i < by->entry_count; i++)
        by->entries[i].extra = by->extra.data;
    if (by->entry_count)
        qsort(by->entries, by->entry_count, sizeof *by->entries, by_order);
    return err;
}

int by_hand_next(struct by_hand *by, const struct entry *before, struct entry *out)
{
    if (by->next_entry == by->entry_count)
        return 0;
    if (!read_entry(&by->entries[by->next_entry], out) || (before && entry_compare(out, before) > 0))
        return 0;
    by->next_entry++;
    return 1;
}

/* ---- the commit ---- */

enum err by_hand_mark(struct by_hand *by, struct diag *diag)
{
    const char *name = by->task->name;
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < by->count; i++) {
        struct hand_pair *p = &by->pairs[i];
        struct force_pair *pair = &p->pair;
        const int broken_here = strcmp(pair->broken_by, name) == 0;
        p->is_news = !p->given && (p->wanted || p->touched) && !pair->broken_by[0];
        if (p->given) {
            snprintf(pair->used_by, sizeof pair->used_by, "%s", name);
            if (broken_here)
                pair->broken_by[0] = 0;
        } else if (p->wanted || p->touched) {
            snprintf(pair->broken_by, sizeof pair->broken_by, "%s", name);
        } else if (broken_here && is_before(pair, by->task)) {
            pair->broken_by[0] = 0; /* the real partner that had broken it up is no more */
            p->wanted = 1;
        } else {
            continue;
        }
        err = force_pair_mark(state_db(by->state), pair, diag);
    }
    return err;
}

static void tell_broken(const struct by_hand *by, const struct hand_pair *p)
{
    struct force_side side[SIDES] = {p->pair.side[LOCAL], p->pair.side[CHANNEL]};
    const struct force_side *l = &side[LOCAL], *c = &side[CHANNEL];
    text_make_plain(side[LOCAL].biz_order_no);
    text_make_plain(side[CHANNEL].biz_order_no);
    fprintf(stderr,
            "note: task %s: the pair made by hand of local %s (error %.8s) and channel %s (error %.8s) is no "
            "more: %s; see: "
            "tieout errors show %.8s %.8s\n",
            by->task->name, l->biz_order_no, l->id, c->biz_order_no, c->id,
            p->pair.is_undone ? "somebody took it back"
            : p->touched      ? "the partner of one of them has come"
                              : "one of them is not as it was",
            l->id, c->id);
}

enum err by_hand_settle(struct by_hand *by, int64_t now_s, struct diag *diag)
{
    enum err err = OK;
    for (uint32_t i = 0; err == OK && i < by->count; i++)
        if ((by->pairs[i].wanted || by->pairs[i].touched) && !by->pairs[i].pair.is_replaced)
            err = force_pair_settle(state_db(by->state), &by->pairs[i].pair, by->task->name, now_s, diag);
    for (uint32_t i = 0; err == OK && i < by->count; i++)
        if (by->pairs[i].is_news)
            tell_broken(by, &by->pairs[i]);
    return err;
}

void by_hand_close(struct by_hand *by)
{
    mem_give(by->pairs);
    mem_give(by->entries);
    text_fini(&by->extra);
}
