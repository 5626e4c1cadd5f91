/* cli/task_log.c: a task's segment of the verdict log
 *
 * A task that is done again reads its last revision's segment beside the new one; both are in the order of entry_compare. What both say keeps
 * its revision, what only the last one said is taken back, and what that had taken back stands again.
 */
#include "cli/task_work.h"
#include "core/base/mem.h"
#include <stdio.h>
#include <string.h>

static enum err take_in(struct differ *d, struct diag *diag)
{
    enum step step = verdict_log_next(d->reader, &d->next, &d->next_bytes, diag);
    d->has_next = step == STEP_MORE;
    return step == STEP_FAILED ? diag->err : OK;
}

static enum err put_entry(struct task_work *w, const struct entry *e, struct diag *diag)
{
    const size_t size = entry_size(e);
    text_reset(&w->entry);
    char *at = text_room(&w->entry, size);
    if (!at)
        return mem_fail(diag, size, "the verdict log");
    entry_encode(e, (uint8_t *)at);
    return verdict_log_put(w->log, w->entry.data, size, diag);
}

/* What the last revision said and the new one does not: a verdict is taken back, and what had been taken back stands again. */
static enum err take_back(struct task_work *w, const uint8_t *bytes, size_t size, struct diag *diag)
{
    struct entry e;
    if (!entry_decode(&e, bytes, size))
        return diag_set(diag, ERR_STATE, "verdicts.damaged", NULL,
                        "an entry of the last revision cannot be read");
    if (e.undo || (e.kind == ENTRY_REVERSAL && span_is(e.task, w->task.name)))
        return OK; /* it was itself no more than an end to what the revision before that had said */
    e.kind = e.kind == ENTRY_REVERSAL ? ENTRY_AGAIN : ENTRY_REVERSAL;
    e.repeated = 0;
    e.undo = 1;
    if (e.kind == ENTRY_REVERSAL)
        w->differ.reversed++;
    else
        w->differ.again++;
    return put_entry(w, &e, diag);
}

static enum err end_group(struct task_work *w, struct diag *diag)
{
    struct differ *d = &w->differ;
    enum err err = OK;
    for (uint32_t i = 0; i < d->count; i++) {
        if (err == OK && !d->group[i].used)
            err = take_back(w, d->group[i].bytes, d->group[i].size, diag);
        mem_give(d->group[i].bytes);
    }
    d->count = 0;
    return err;
}

static enum err add_to_group(struct differ *d, struct diag *diag)
{
    if (mem_list_more(&d->group, d->count, &d->room, 16, "verdicts of the last revision", diag) != OK)
        return ERR_MACHINE;
    uint8_t *bytes = mem_take(d->next_bytes.size);
    if (!bytes)
        return mem_fail(diag, d->next_bytes.size, "verdicts of the last revision");
    memcpy(bytes, d->next_bytes.data, d->next_bytes.size);
    d->group[d->count++] = (struct old_entry){bytes, d->next_bytes.size, 0};
    return take_in(d, diag);
}

/* Old entries up to and with those of this leading record (NULL: all). */
static enum err catch_up(struct task_work *w, const struct entry *e, struct diag *diag)
{
    struct differ *d = &w->differ;
    struct entry first;
    enum err err = OK;
    if (d->count && entry_decode(&first, d->group[0].bytes, d->group[0].size) && e &&
        entry_compare(&first, e) == 0)
        return OK;
    err = end_group(w, diag);
    while (err == OK && d->has_next) {
        const int order = e ? entry_compare(&d->next, e) : -1;
        if (order > 0)
            break;
        if (order == 0) {
            err = add_to_group(d, diag);
            continue;
        }
        err = take_back(w, (const uint8_t *)d->next_bytes.data, d->next_bytes.size, diag);
        if (err == OK)
            err = take_in(d, diag);
    }
    return err;
}

static enum err note_earlier(void *context, struct span row, struct diag *diag)
{
    struct task_work *w = context;
    struct entry e;
    if (!entry_decode(&e, (const uint8_t *)row.data, row.size))
        return diag_set(diag, ERR_BUG, "verdicts.entry", NULL,
                        "an entry of the verdict log cannot be read again");
    return e.kind == ENTRY_VERDICT ? OK : earlier_note(&w->earlier, &e, diag);
}

/* A line of the new revision: one that says what the last one said keeps its number. */
static enum err log_entry(struct task_work *w, struct entry *e, struct diag *diag)
{
    struct differ *d = &w->differ;
    struct entry old;
    enum err err = d->reader ? catch_up(w, e, diag) : OK;
    for (uint32_t i = 0; err == OK && i < d->count; i++)
        if (!d->group[i].used && entry_decode(&old, d->group[i].bytes, d->group[i].size) && !old.undo &&
            old.kind == e->kind && (e->kind == ENTRY_VERDICT || old.revision == e->revision) &&
            entry_same(&old, e)) {
            d->group[i].used = 1;
            e->revision = old.revision;
            e->repeated = e->kind != ENTRY_VERDICT;
            return put_entry(w, e, diag);
        }
    d->fresh += e->kind == ENTRY_VERDICT;
    d->reversed += e->kind == ENTRY_REVERSAL;
    return err == OK ? put_entry(w, e, diag) : err;
}

/* What pairs made by hand have to say, up to the entry `before`. */
static enum err log_by_hand(struct task_work *w, const struct entry *before, struct diag *diag)
{
    struct entry e;
    enum err err = OK;
    while (err == OK && by_hand_next(&w->by_hand, before, &e))
        err = log_entry(w, &e, diag);
    return err;
}

static enum err log_row(void *context, struct span row, struct diag *diag)
{
    struct task_work *w = context;
    struct entry e;
    if (!w->differ.reader && !w->earlier.count && !w->by_hand.entry_count)
        return verdict_log_put(w->log, row.data, row.size, diag);
    if (!entry_decode(&e, (const uint8_t *)row.data, row.size))
        return diag_set(diag, ERR_BUG, "verdicts.entry", NULL,
                        "an entry of the verdict log cannot be read again");
    if (e.kind != ENTRY_VERDICT)
        earlier_settle(&w->earlier, &e);
    enum err err = log_by_hand(w, &e, diag);
    return err == OK ? log_entry(w, &e, diag) : err;
}

enum err task_log_write(struct task_work *w, struct results *results, struct diag *diag)
{
    char path[STATE_PATH_MAX], old_path[STATE_PATH_MAX];
    struct state *state = w->folder->state;
    struct segment last;
    w->segment = (struct segment){.task = w->task.id, .revision = w->task.wanted};
    snprintf(w->segment.file, sizeof w->segment.file, "verdicts/%06lld-r%lld.log", (long long)w->task.id,
             (long long)w->task.wanted);
    enum err err = state_path(state, path, w->segment.file, diag);
    const int found = err == OK && w->task.revision
                          ? segment_find(state_db(state), w->task.id, w->task.revision, &last, diag)
                          : 0;
    if (found < 0)
        return diag->err;
    if (err == OK && found) {
        err = state_path(state, old_path, last.file, diag);
        if (err == OK)
            err = verdict_log_open(&w->differ.reader, old_path, diag);
        if (err == OK)
            err = take_in(&w->differ, diag);
    }
    if (err == OK && w->late) /* else nothing of earlier days can have been reopened */
        err = results_book_of_run(results, BOOK_LOG, note_earlier, w, diag);
    if (err == OK)
        err = earlier_look_up(&w->earlier, state, diag);
    if (err == OK)
        err = verdict_log_create(&w->log, path, diag);
    if (err == OK)
        err = by_hand_entries(&w->by_hand, diag);
    if (err == OK)
        err = results_book(results, BOOK_LOG, log_row, w, diag);
    if (err == OK)
        err = log_by_hand(w, NULL, diag);
    if (err == OK && w->differ.reader)
        err = catch_up(w, NULL, diag);
    if (err == OK)
        err = verdict_log_seal(w->log, &w->segment.entries, w->segment.sha, &w->head, diag);
    if (err == OK)
        w->fresh_files[w->fresh_count++] = w->segment.file;
    if (err == OK && w->differ.reader)
        fprintf(
            stderr,
            "revision %lld: %llu verdicts taken back, %llu given anew, %llu of earlier days stand again\n",
            (long long)w->task.wanted, (unsigned long long)w->differ.reversed,
            (unsigned long long)w->differ.fresh, (unsigned long long)w->differ.again);
    return err;
}

void task_log_close(struct task_work *w)
{
    verdict_log_drop(w->log);
    verdict_log_close(w->differ.reader);
    for (uint32_t i = 0; i < w->differ.count; i++)
        mem_give(w->differ.group[i].bytes);
    mem_give(w->differ.group);
    text_fini(&w->entry);
}
