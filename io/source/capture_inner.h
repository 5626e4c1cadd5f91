/* io/source/capture_inner.h: what the rooms of a capture share. Nobody else includes it.
 *
 *     capture.c          opened and closed, its folder and what was kept before; status
 *     capture_save.c     checkpoints, and the segments that they cover
 *     capture_stream.c   events as the server sends them
 */
#ifndef TIEOUT_IO_SOURCE_CAPTURE_INNER_H
#define TIEOUT_IO_SOURCE_CAPTURE_INNER_H

#include "core/base/mem.h"
#include "io/format/binlog_event.h"
#include "io/format/gtid_set.h"
#include "io/source/capture.h"
#include "io/source/log_columns.h"
#include "io/store/sqlite.h"

enum { CAPTURE_FORMAT = 1, CAPTURE_BUFFER = 1 << 20, EVENT_FLAG_ARTIFICIAL = 0x20 };

struct origin {
    uint32_t segment;
    uint64_t offset, high;
    char file[256];
};

struct bytes {
    uint8_t *data;
    size_t size, room;
};

struct capture {
    const struct job *job;
    char directory[3800];
    int lock, folder; /* descriptors */
    struct sqlite *db;
    struct sqlite_statement *put_capture, *put_segment, *put_origin, *put_status;
    struct zone *zone;
    struct log_columns columns;
    struct binlog_walk *walk;
    struct binlog_rows *rows;

    /* The stream. */
    char name[256]; /* file of the server; what the walk's messages call it */
    uint32_t file_index, file_time;
    uint64_t position;
    int have_format, connected;
    struct binlog_gtid gtid; /* of the transaction at hand */
    uint32_t group_time;
    int has_wanted;      /* the transaction at hand has bytes in the segment */
    size_t prepared;     /* before it */
    struct bytes format; /* the FORMAT_DESCRIPTION as segments hold it */

    /* The segment that is written. */
    int fd; /* -1: none */
    uint32_t number;
    uint16_t day;
    char segment_name[32];
    struct bytes segment_format; /* its FORMAT_DESCRIPTION */
    struct binlog_format read_format;
    uint64_t written; /* bytes in the file; the buffer's lie behind */
    uint64_t group_begin, checked, group_rows;
    struct bytes buffer, head;
    struct origin *origins; /* of no checkpoint yet */
    size_t origin_count, origin_room;
    char origin_file[256];
    uint64_t origin_high;

    /* What is done: the next checkpoint. */
    struct capture_position done;
    char *gtids_text;
    struct gtid_set gtids;
    uint32_t xa_segment; /* the oldest that holds an undecided XA transaction; 0: none */
    struct capture_counts counts;
    int64_t complete_us;
    int due;
};

static inline enum err put_file_error(struct capture *c, int error, const char *what, struct diag *diag)
{
    return diag_set_errno(diag, -error, "capture.io", "%s/%s: %s", c->directory, c->segment_name, what);
}

static inline int bytes_room(struct bytes *b, size_t more)
{
    if (b->size + more <= b->room)
        return 1;
    size_t room = b->room ? b->room : 4096;
    while (room < b->size + more)
        room *= 2;
    uint8_t *grown = mem_grow(b->data, room);
    if (!grown)
        return 0;
    b->data = grown;
    b->room = room;
    return 1;
}

static inline int group_is_open(const struct capture *c)
{
    return c->have_format && binlog_walk_pending_begin(c->walk) != c->position;
}

static inline void le32_put(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

/* capture.c */
enum err capture_segment_path(const struct capture *c, const char *name, char out[4096], struct diag *diag);

/* capture_save.c */
enum err capture_append(struct capture *c, const struct binlog_event *event, struct diag *diag);
enum err capture_begin_wanted(struct capture *c, struct diag *diag);
enum err capture_drop_wanted(struct capture *c, struct diag *diag);
enum err capture_check_rows(struct capture *c, struct diag *diag);

#endif
