/* cli/earlier.h: verdicts of earlier tasks that a task takes back: under which revision each of them stands in the log.
 *
 *     earlier_note       each reversal of the run, before the log is written
 *     earlier_look_up    reads the segments of the tasks that they name
 *     earlier_settle     a reversal, when it is written: puts the revision in
 *     earlier_fini
 *
 * A final record remembers the revision that wrote its row, and a rerun writes all of its rows again, also those whose verdict keeps its
 * old number. Its error has the number of the verdict. Memory: 24 bytes a reversal that may be meant. Threads: one owner.
 */
#ifndef TIEOUT_CLI_EARLIER_H
#define TIEOUT_CLI_EARLIER_H

#include "core/base/text.h"
#include "core/model/entry.h"
#include "io/store/state.h"

struct earlier_one {
    uint64_t print;
    uint32_t revision; /* 0: not found yet */
    uint8_t used;
};
struct earlier {
    struct earlier_one *ones;
    uint32_t count, room;
    struct text tasks; /* their names, each with its NUL */
};

enum err earlier_note(struct earlier *earlier, const struct entry *reversal, struct diag *diag);
enum err earlier_look_up(struct earlier *earlier, struct state *state, struct diag *diag);
void earlier_settle(struct earlier *earlier, struct entry *reversal);
void earlier_fini(struct earlier *earlier);

#endif
