/* tests/push/make_book.c: a book with errors, as a task's commit leaves them.
 *
 *     make_book STATE COUNT [DATE]    makes the state if there is none, and adds a task of that bill date with COUNT errors:
 *                                     missing A1, A2, ...; every third extra, with the amount before it; every fifth a mismatch; --late=N: the first N of
 *                                     the day before are reversed and given anew
 */
#include "core/config/book.h"
#include "io/store/error_order.h"
#include "io/store/generation.h"
#include "io/store/state.h"
#include "tests/support/verdict_segment.h"
#include <time.h>

static void check(enum err err, struct diag *diag)
{
    if (err == OK)
        return;
    diag_print(diag, stderr);
    exit((int)err);
}

static void make_verdict(struct made_verdict *v, char room[32], long i, const char *day)
{
    snprintf(room, 32, "A%ld-%s", i, day);
    v->order = room;
    v->local_fen = i % 3 == 0 ? 0 : 1000 + i;
    v->channel_fen = i % 3 == 0 ? 999 + i : i % 5 == 0 ? 900 + i : 0;
    v->class_id = i % 3 == 0 ? CLASS_EXTRA : i % 5 == 0 ? CLASS_MISMATCH : CLASS_MISSING;
    v->reasons = i % 5 == 0 && i % 3 ? "amount" : "";
    v->revision = 1;
}

int main(int argc, char **argv)
{
    struct diag diag = {0};
    struct state *state;
    struct book *book;
    char name[300], path[4096], jobs[4096];
    long late = 0;
    if (argc > 1 && strncmp(argv[argc - 1], "--late=", 7) == 0)
        late = strtol(argv[--argc] + 7, NULL, 10);
    if (argc < 3)
        return 2;
    const long count = strtol(argv[2], NULL, 10);
    const char *day = argc > 3 ? argv[3] : "2026-11-19";
    if (!state_exists(argv[1]))
        check(state_create(argv[1], &diag), &diag);
    check(state_open(&state, argv[1], STATE_WRITE, &diag), &diag);
    snprintf(jobs, sizeof jobs, "%s/..", argv[1]);
    check(book_load(&book, jobs, &diag), &diag);
    snprintf(name, sizeof name, "ALIPAY/pay/%s/1", day);
    struct task task = made_task(name, day);
    const long all = count + 2 * late;
    struct made_verdict *verdicts = calloc((size_t)all + 1, sizeof *verdicts);
    char(*orders)[32] = calloc((size_t)all + 1, sizeof *orders);
    for (long i = 0; i < count; i++)
        make_verdict(&verdicts[i], orders[i], i + 1, day);
    for (long i = 0; i < late; i++) {
        struct made_verdict *old = &verdicts[count + i], *new = &verdicts[count + late + i];
        make_verdict(old, orders[count + i], i + 1, "2026-11-19");
        *new = *old;
        old->task = "ALIPAY/pay/2026-11-19/1";
        old->is_reversal = 1;
        new->local_fen = 1000 + i;
        new->channel_fen = 2000 + i;
        new->class_id = CLASS_MISMATCH;
        new->reasons = "amount;late";
    }
    snprintf(path, sizeof path, "%s/verdicts/%s", argv[1], day);
    if (!made_segment(path, name, verdicts, (size_t)all))
        return 4;
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    check(sqlite_begin(state_db(state), &diag), &diag);
    check(error_orders_add(state_db(state), &task, path, NULL, book, time(NULL), &diag), &diag);
    check(sqlite_commit(state_db(state), &diag), &diag);
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%ld verdicts in %.2f s\n", all,
           (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9);
    state_close(state);
    book_close(book);
    free(verdicts);
    free(orders);
    return 0;
}
