/* io/store/carry_file.h: files of carried records: written, held against what state.db says of them, searched.
 *
 *     carry_write_open -> carry_write_row ... -> carry_write_end      NAME.new is whole, with its hash
 *     carry_check                                                     before its records are believed
 *     late_open -> late_find (once a side) -> late_close              final records whose partner may have come
 *
 * Memory: a block. Threads: one owner; late_find by whichever worker asks, one at a time.
 */
#ifndef TIEOUT_IO_STORE_CARRY_FILE_H
#define TIEOUT_IO_STORE_CARRY_FILE_H

#include "core/base/bloom.h"
#include "core/ops/late.h"
#include "io/sink/keep.h"
#include "io/store/generation.h"
#include "io/store/state.h"

struct carry_writer;
/* `header`: the first line without its newline; empty: none (prints). */
enum err carry_write_open(struct carry_writer **out, const struct state *state, const struct carry_file *file,
                          struct span header, struct diag *diag);
/* Bytes of a row; `newline` 1: one is put behind it. */
enum err carry_write_row(struct carry_writer *writer, struct span row, int newline, struct diag *diag);
/* Fills sha, records and bytes of `file`; the caller publishes it (state_files_publish). */
enum err carry_write_end(struct carry_writer *writer, struct carry_file *file, struct diag *diag);
void carry_write_drop(struct carry_writer *writer);

/* ERR_STATE when the file is not there, or not what state.db says. */
enum err carry_check(const struct state *state, const struct carry_file *file, struct diag *diag);

struct late;
/* Final records of the task's queue before its day. `*out` is NULL where there are none. All that the state's database says of them
 * is read here: late_find runs beside the control thread and may not ask it. */
enum err late_open(struct late **out, struct state *state, const struct task *task, struct diag *diag);
/* The row of a final record that `task` left is taken by late_find, fresh key or not, as one of pair `hand`. Before late_find.
 * `*found` 0: there is no such row, or a task before reopened it. */
struct late_row {
    int64_t task;
    enum side side;
    struct span place, occurrence, biz_order_no, channel_order_no;
    uint32_t hand;
};
enum err late_want(struct late *late, const struct late_row *row, int *found, struct diag *diag);
/* Final records of both sides together: how large the sets of fresh keys may be worth. */
uint64_t late_records(const struct late *late);
/* Writes those of `side` that `ask` means, and that no task before reopened, into files; the names are its own. May be asked once
 * for each key. */
enum err late_find(struct late *late, enum side side, const struct late_ask *ask, const char ***paths,
                   int *count, struct diag *diag);
void late_close(struct late *late);

#endif
