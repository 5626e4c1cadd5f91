/* cli/earlier.c: see earlier.h */
#include "cli/earlier.h"
#include "core/base/mem.h"
#include "io/store/generation.h"
#include "io/store/task.h"
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_ROOM = 64 };

enum err earlier_note(struct earlier *e, const struct entry *reversal, struct diag *diag)
{
    if (reversal->revision <= 1)
        return OK; /* there is no lower number that it might have kept */
    if (mem_list_more(&e->ones, e->count, &e->room, FIRST_ROOM, "reversals", diag) != OK)
        return ERR_MACHINE;
    e->ones[e->count++] = (struct earlier_one){.print = entry_print(reversal)};
    for (const char *name = e->tasks.data; name && name < e->tasks.data + e->tasks.size;
         name += strlen(name) + 1)
        if (span_is(reversal->task, name))
            return OK;
    text_put(&e->tasks, reversal->task.data, reversal->task.size);
    text_put(&e->tasks, "", 1);
    return e->tasks.failed ? mem_fail(diag, e->tasks.size, "reversals") : OK;
}

static int by_print(const void *a, const void *b)
{
    const struct earlier_one *x = a, *y = b;
    return (x->print > y->print) - (x->print < y->print);
}

/* The first of those with this print; NULL: there is none. */
static struct earlier_one *first_of(struct earlier *e, uint64_t print)
{
    uint32_t low = 0, high = e->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (e->ones[middle].print < print)
            low = middle + 1;
        else
            high = middle;
    }
    return low < e->count && e->ones[low].print == print ? &e->ones[low] : NULL;
}

static enum err read_segment(struct earlier *e, const char *path, struct diag *diag)
{
    struct verdict_reader *reader = NULL;
    struct entry entry;
    enum step step = STEP_FAILED;
    enum err err = verdict_log_open(&reader, path, diag);
    while (err == OK && (step = verdict_log_next(reader, &entry, NULL, diag)) == STEP_MORE) {
        if (entry.kind != ENTRY_VERDICT)
            continue;
        const uint64_t print = entry_print(&entry);
        for (struct earlier_one *one = first_of(e, print);
             one && one < e->ones + e->count && one->print == print; one++)
            if (!one->revision) {
                one->revision = entry.revision;
                break;
            }
    }
    verdict_log_close(reader);
    return step == STEP_FAILED ? diag->err : err;
}

enum err earlier_look_up(struct earlier *e, struct state *state, struct diag *diag)
{
    enum err err = OK;
    struct arena arena;
    if (e->count)
        qsort(e->ones, e->count, sizeof *e->ones, by_print);
    arena_init(&arena);
    for (const char *name = e->tasks.data; err == OK && name && name < e->tasks.data + e->tasks.size;
         name += strlen(name) + 1) {
        struct task task;
        struct segment segment;
        char path[STATE_PATH_MAX];
        arena_reset(&arena);
        int found = task_find(state_db(state), &(struct task_filter){.name = name}, &arena, &task, diag);
        if (found > 0)
            found = segment_find(state_db(state), task.id, task.revision, &segment, diag);
        if (found < 0)
            err = diag->err;
        if (found <= 0)
            continue;
        err = state_path(state, path, segment.file, diag);
        if (err == OK)
            err = read_segment(e, path, diag);
    }
    arena_fini(&arena);
    return err;
}

void earlier_settle(struct earlier *e, struct entry *reversal)
{
    if (!e->count || reversal->revision <= 1)
        return;
    const uint64_t print = entry_print(reversal);
    for (struct earlier_one *one = first_of(e, print); one && one < e->ones + e->count && one->print == print;
         one++)
        if (one->revision && !one->used) {
            one->used = 1;
            reversal->revision = one->revision;
            return;
        }
}

void earlier_fini(struct earlier *e)
{
    mem_give(e->ones);
    text_fini(&e->tasks);
}
