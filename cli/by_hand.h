/* cli/by_hand.h: pairs that people made (`tieout errors force-match`), as a task takes them up, and as it breaks them up again.
 *
 *     by_hand_open       which pairs this task takes up: those that wait, and those that it took up before; tells `late` their rows
 *     by_hand_given      a final row was written for pair N: both of it were as they were, and are a match
 *     by_hand_touched    a row of pair N, which an earlier task took up, was reopened: its real partner has come
 *     by_hand_entries    what the log says of the touched ones, in its order: their matches are taken back, and the verdicts that these
 *                        took back stand again
 *     by_hand_mark       in the commit, before the errors are taken from the log
 *     by_hand_settle     and behind that: the orders of each pair are what the pair is
 *     by_hand_close
 *
 * Memory: a pair is some 400 bytes. Threads: the control thread.
 */
#ifndef TIEOUT_CLI_BY_HAND_H
#define TIEOUT_CLI_BY_HAND_H

#include "core/base/text.h"
#include "io/store/carry_file.h"
#include "io/store/error_order.h"
#include "io/store/handling.h"

struct hand_pair {
    struct force_pair pair;
    int wanted, given, touched;
    int reopened[SIDES]; /* its real partner has come, or another record of its key */
    int is_news;         /* this task broke it up, which nobody was told */
};
struct hand_entry {
    const char *extra; /* struct text's bytes, once all are there */
    size_t at, size;
};
struct by_hand {
    struct state *state;
    const struct task *task; /* borrowed */
    char queue[400];
    struct error_ids ids;
    struct hand_pair *pairs; /* by number */
    uint32_t count, room;
    int takes_up;               /* rows of some are wanted */
    struct text extra;          /* entries for the log */
    struct hand_entry *entries; /* in it, in order */
    uint32_t entry_count, entry_room, next_entry;
};

enum err by_hand_open(struct by_hand *by, struct state *state, const struct task *task, struct late *late,
                      struct diag *diag);
void by_hand_given(struct by_hand *by, struct span row);
void by_hand_touched(struct by_hand *by, struct span origin);
enum err by_hand_entries(struct by_hand *by, struct diag *diag);
/* Behind by_hand_touched: records whose verdict of before stands again, by side. */
void by_hand_again(const struct by_hand *by, uint64_t again[SIDES]);
/* The next of them that stands before or at `before` (NULL: of all); 0: there is none. */
int by_hand_next(struct by_hand *by, const struct entry *before, struct entry *out);
enum err by_hand_mark(struct by_hand *by, struct diag *diag);
enum err by_hand_settle(struct by_hand *by, int64_t now_s, struct diag *diag);
void by_hand_close(struct by_hand *by);

#endif
