/* io/format/binlog_same.h: are two transactions of two logs one?
 *
 * What a replica or a copy writes of a transaction differs in positions, table ids and checksums, not in its rows. Pure, any thread.
 */
#ifndef TIEOUT_IO_FORMAT_BINLOG_SAME_H
#define TIEOUT_IO_FORMAT_BINLOG_SAME_H

#include "core/base/span.h"

/* 1: both hold the same row events, and at least one. Each begins with its first event and may be cut off behind many of them;
 * `checksum_size` as its file's format says. */
int binlog_same_rows(struct span a, unsigned a_checksum_size, struct span b, unsigned b_checksum_size);

#endif
