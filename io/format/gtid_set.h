/* io/format/gtid_set.h: sets of transactions, as both families of servers name them.
 *
 *     struct gtid_set set = {0};
 *       gtid_set_parse, gtid_set_add, gtid_set_advance, gtid_set_decode ...
 *     gtid_set_fini
 *
 * MySQL counts per server (uuid, and tag) and tells sets as intervals: "uuid:1-5:7". MariaDB tells a position: the last
 * transaction of each domain, "0-1-100,1-2-7". A set holds one or the other; gtid_set_add keeps exact sets of both (what was
 * seen), gtid_set_advance a position for MariaDB (what is done).
 *
 * Sources of the format: MySQL's Gtid_set::encode (COM_BINLOG_DUMP_GTID and PREVIOUS_GTIDS), MariaDB's
 * @slave_connect_state. Memory: the set's own, by mem.h. Threads: one owner.
 */
#ifndef TIEOUT_IO_FORMAT_GTID_SET_H
#define TIEOUT_IO_FORMAT_GTID_SET_H

#include "io/format/binlog.h"

/* The transactions of one origin, as closed intervals in ascending order. */
struct gtid_stream {
    struct binlog_gtid
        origin; /* a position's entry: the transaction itself; else its number is that of the last one added alone */
    struct gtid_run {
        uint64_t first, last;
    } * runs;
    size_t count, room;
};

struct gtid_set {
    struct gtid_stream *streams;
    size_t count;
};

void gtid_set_fini(struct gtid_set *set);
/* Adds one. 1: it was there already; 0: it is now; -1: out of memory. One that is none, or anonymous, is never there. */
int gtid_set_add(struct gtid_set *set, const struct binlog_gtid *gtid);
/* The same for MySQL; for MariaDB `gtid` becomes the last of its domain. */
int gtid_set_advance(struct gtid_set *set, const struct binlog_gtid *gtid);
/* MariaDB's: the last one of `gtid`'s domain. 0: there is none, or it is of the other family. */
int gtid_set_last(struct gtid_set *set, const struct binlog_gtid *gtid, struct binlog_gtid *last);
/* Reads text of either family, with any white space between its parts, into an empty set. ERR_INPUT when it is neither. */
enum err gtid_set_parse(struct gtid_set *set, const char *text, struct diag *diag);
/* "uuid:1-5:7,uuid:tag:9" or "0-1-100,1-2-7", in order of origin, NUL-terminated; mem_give it. NULL: out of memory. */
char *gtid_set_print(const struct gtid_set *set);
/* MySQL's binary form; mem_give it. NULL: out of memory. */
uint8_t *gtid_set_encode(const struct gtid_set *set, size_t *size);
/* Adds what MySQL's binary form holds. 0: it is malformed or memory is out. */
int gtid_set_decode(struct gtid_set *set, const uint8_t *bytes, size_t size);
/* Adds what a GTID_LIST of MariaDB's holds: the last transaction of each domain and server. 0: as above. */
int gtid_set_decode_list(struct gtid_set *set, const uint8_t *bytes, size_t size);
/* Which transaction of `part` is not in `set`; 0: none, all are there. */
int gtid_set_lacks(const struct gtid_set *set, const struct gtid_set *part, struct binlog_gtid *which);
/* What a log file says came `before` it, held against what was `seen` of that log, which began with `base` before it.
 * -1: `*which` was seen, and the file does not know of it; 1: it knows of `*which`, which was not seen; 0: neither.
 * `is_later`: it was begun after what was seen; MariaDB may have forgotten a domain since. -2: out of memory. */
int gtid_set_follows(const struct gtid_set *before, const struct gtid_set *seen, const struct gtid_set *base,
                     int is_later, struct binlog_gtid *which);
enum binlog_gtid_kind gtid_set_kind(const struct gtid_set *set); /* NONE when it is empty */

#endif
