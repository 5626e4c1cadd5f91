/* io/source/log_mixed.h: usual rows that do not lie alike, made records many at once. A part of log_run.h.
 *
 * Rows whose lengths or words differ from row to row, and changes (UPDATE), are read one by one. What is read is checked at once, so that
 * nothing of a row can turn out to be odd later, and waits; hashing keys, printing ids and putting records are loops of their own, which
 * hold nothing else in registers. Rows of several events, of any operation, wait together. The order of records is the log's.
 *
 * Memory: keys are borrowed from the piece. Threads: one owner.
 */
#ifndef TIEOUT_IO_SOURCE_LOG_MIXED_H
#define TIEOUT_IO_SOURCE_LOG_MIXED_H

#include "core/base/diag.h"
#include <stdint.h>

enum { LOG_MIXED = 32, LOG_MIXED_KEY_MAX = 255 };
struct log_mixed {
    uint32_t count;
    uint32_t key_size[LOG_MIXED];
    const uint8_t *key[LOG_MIXED];
    uint64_t number[LOG_MIXED]; /* the occurrence id */
    uint64_t place[LOG_MIXED];
    int64_t amount[LOG_MIXED];
    uint64_t words[LOG_MIXED], flags[LOG_MIXED], tail[LOG_MIXED]; /* as a record has them from `day` on */
};

struct log_run;
/* What waits becomes records: before anything else does, and before its bytes go. */
enum err log_mixed_end(struct log_run *run, struct diag *diag);

#endif
