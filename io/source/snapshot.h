/* io/source/snapshot.h: a table as it is now, put in front of the stream that goes on from there.
 *
 * One transaction on the server reads the table in pieces, by its primary key; where it stands in the log is known exactly, so the
 * stream from there on joins it without a gap and without a change that counts twice. The rows go into a capture as a server
 * would have logged their INSERTs. Nothing counts until the last one is there: a snapshot that is cut short is begun anew.
 *
 * Threads: one owner.
 */
#ifndef TIEOUT_IO_SOURCE_SNAPSHOT_H
#define TIEOUT_IO_SOURCE_SNAPSHOT_H

#include "core/config/job.h"
#include "io/net/mysql.h"

struct snapshot_config {
    struct mysql_peer *peer; /* a connection for this alone */
    /* Takes the events one after the other; of a capture, begun with capture_discard. */
    enum err (*take)(void *context, const uint8_t *event, size_t size, struct diag *diag);
    void *context;
    const struct source_spec *source;
    int is_mariadb;
    int is_alone; /* 1: no stream goes on from there: `file` stays empty, and nothing is asked about its log */
    const char *where;               /* a condition in SQL; NULL: all rows */
    const volatile int *interrupted; /* NULL: nobody does */
};

/* `file` and `offset` are where the stream has to begin. ERR_INTERRUPTED when it was told to stop. */
enum err snapshot_take(const struct snapshot_config *config, char file[256], uint64_t *offset,
                       struct diag *diag);

#endif
