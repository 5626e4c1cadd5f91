/* io/source/capture.h: what a server sends becomes segments on disk, and a position that says how far.
 *
 *     capture_open
 *       capture_position             empty: capture_start says where the stream begins
 *       capture_connected            before the events of each connection
 *         capture_take               event by event, as received
 *         capture_checkpoint         as often as one likes; what was taken is then safe
 *       capture_disconnected
 *     capture_close                  nothing is lost by leaving it out
 *
 * A segment is a binlog file that this program wrote: FORMAT_DESCRIPTION, whole committed transactions, reduced to the events
 * that rows of the watched table need, each with its CRC-32, and a ROTATE at its end. io/format/binlog.h reads it like any other
 * (README.md says why it holds events, and not normalized records).
 *
 * The checkpoint is one transaction of SQLite: position (file and offset, GTIDs), the size up to which each segment counts, and
 * which file of the server its bytes are from. Bytes behind that size are no part of the segment: they are cut off when it is
 * opened again. So every committed change counts once, whenever the process is killed.
 *
 * What cannot be understood stops (ERR_INPUT, "FILE@POSITION: ..."), with the checkpoint where it was.
 *
 * Memory: a buffer of a megabyte, or the largest event. Threads: one owner; one process per folder, by a lock.
 */
#ifndef TIEOUT_IO_SOURCE_CAPTURE_H
#define TIEOUT_IO_SOURCE_CAPTURE_H

#include "core/config/job.h"
#include "io/format/binlog.h"

struct capture;

struct capture_position {
    char server
        [96]; /* which one: MySQL's server_uuid, MariaDB's "server_id N"; "" when nothing was captured yet */
    char file[256];     /* of the server */
    uint64_t offset;    /* where the next transaction begins */
    const char *gtids;  /* of what is done; "" when they are not known */
    int exact;          /* 1: all before `offset` is done, nothing behind it; 0: only the GTIDs say what is */
    uint32_t file_time; /* when the server began `file`; 0: not known */
};

struct capture_counts {
    uint64_t transactions, rows, bytes, segments; /* bytes: as received */
    int64_t commit_time;                          /* epoch seconds of the newest transaction; 0: none */
};

/* Takes the folder's lock (ERR_STATE when another process has it) and brings it to its last checkpoint. `directory` is made. */
enum err capture_open(struct capture **out, const struct job *job, enum side side, const char *directory,
                      struct diag *diag);
void capture_close(struct capture *capture);

const struct capture_position *capture_position(const struct capture *capture);
/* The first position. `position->gtids` may be "". */
enum err capture_start(struct capture *capture, const struct capture_position *position, struct diag *diag);
/* Throws away what was captured while there was no position yet: a snapshot that was cut short. */
enum err capture_discard(struct capture *capture, struct diag *diag);
/* A connection to `server` begins. `by_gtid`: the stream was asked for by GTIDs, so what lies before an offset
 * need not be done yet, and what lies behind may be. A file of the position's name must be the one it was. */
enum err capture_connected(struct capture *capture, const char *server, int by_gtid, struct diag *diag);
enum err capture_take(struct capture *capture, const uint8_t *event, size_t size, struct diag *diag);
/* 1: since it was connected the server said which file it sends, and when that was begun. */
int capture_knows_file(const struct capture *capture);
/* 1: something was taken that no checkpoint holds yet. */
int capture_due(const struct capture *capture);
enum err capture_checkpoint(struct capture *capture, struct diag *diag);
/* The connection is gone: a transaction that was under way counts for nothing and will be sent again. */
enum err capture_disconnected(struct capture *capture, struct diag *diag);
const struct capture_counts *capture_counts(const struct capture *capture);

/* ---- the folder, as others see it ---- */

/* What `--status` shows. */
struct capture_status {
    struct capture_position position; /* gtids: "" here */
    struct capture_counts counts;
    char *gtids;         /* mem_give it */
    int running;         /* a process holds the lock */
    int64_t complete_us; /* all that the server had committed until then is here; 0: not known */
    int64_t heard_us, lag_ms, rows_per_second; /* epoch microseconds; -1: not known */
    char state[24], said[600]; /* "streaming", "waiting", "stopped"; the last trouble, or "" */
};
enum err capture_status_read(struct capture_status *status, const char *directory, struct diag *diag);
/* Notes how it goes; calm: at most a few times a second. Of `status` state, said (may be ""), heard_us, lag_ms, rows_per_second and
 * complete_us count. */
enum err capture_status_write(struct capture *capture, const struct capture_status *status,
                              struct diag *diag);
/* What an earlier process, or this one, wrote last of it. */
int64_t capture_complete_us(const struct capture *capture);

/* io/source/capture_passed.c: whether all rows of bill date `day` are captured: what is not, is not missing, it was not looked for. ERR_PEER
 * (capture.behind; capture.stopped, where no process is at it or it is in trouble) says how far it is. */
enum err capture_passed(const struct job *job, uint16_t day, struct diag *diag);

#endif
