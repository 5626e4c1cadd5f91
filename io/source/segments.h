/* io/source/segments.h: a capture's segments as the files of one side, and where their bytes came from.
 *
 *     segments_open -> segments_place -> segments_close
 *
 * The files are as long as the newest checkpoint says, whatever a running capture has appended since: a run sees one moment.
 * Threads: read-only after segments_open.
 */
#ifndef TIEOUT_IO_SOURCE_SEGMENTS_H
#define TIEOUT_IO_SOURCE_SEGMENTS_H

#include "io/source/file_set.h"

/* From `offset` of segment `file` on, events are those of the server's `name`; its offsets' upper bits are `high`. */
struct segment_origin {
    uint32_t file;
    uint64_t offset, high;
    char *name;
};

struct segments {
    struct segment_origin *origins; /* ascending */
    size_t count;
};

/* Folder of a job's capture, into `out`. ERR_USAGE when the name is too long. */
enum err segments_directory(char *out, size_t room, const struct job *job, enum side side, struct diag *diag);
struct sqlite;
/* 0: who began the capture's state was ended before its tables were there. */
enum err capture_is_made(int *is_made, struct sqlite *db, struct diag *diag);
/* ERR_INPUT when nothing was ever captured there. */
enum err segments_open(struct segments *segments, struct file_set *set, const char *directory,
                       struct diag *diag);
void segments_close(struct segments *segments);
/* The server's file and offset of the event at `offset` of segment `file`; NULL with errno when it cannot be read. */
const char *segments_place(const struct segments *segments, struct file_set *set, uint32_t file,
                           uint64_t offset, uint64_t *origin_offset);

#endif
