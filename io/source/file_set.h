/* io/source/file_set.h: the files of one side: found by pattern, opened, watched for change, laid end to end.
 *
 *     file_set_open -> file_set_check at the end -> file_set_close
 *
 * A place is an offset in the files laid end to end, in order of their names. Threads: opened and closed by
 * one thread; read-only between.
 */
#ifndef TIEOUT_IO_SOURCE_FILE_SET_H
#define TIEOUT_IO_SOURCE_FILE_SET_H

#include "core/config/job.h"
#include <sys/stat.h>

struct input_file {
    char *path;  /* as opened */
    char *shown; /* as messages and places show it: relative to the job's directory where it lies below it */
    int fd;
    uint64_t size, base;
    uint64_t serial;  /* of all files that this process opened, from 1: what caches go by */
    struct stat stat; /* when it was opened */
};

struct file_set {
    struct input_file *files;
    uint32_t count;
    uint64_t size;
};

enum { PLACE_BITS = 40 }; /* a side has at most 1 TiB */

/* Expands the patterns ({date} is the unit's date as YYYY-MM-DD), sorts by name,
 * opens. No file, a directory, an empty file, a file that cannot be read: ERR_INPUT. A file that is named
 * twice is taken once. */
enum err file_set_open(struct file_set *set, const struct job *job, enum side side, uint16_t date,
                       int sort_numeric, struct diag *diag);
/* ERR_INPUT when a file is not what it was when it was opened. */
enum err file_set_check(const struct file_set *set, struct diag *diag);
void file_set_close(struct file_set *set);
/* The file that holds a place. */
uint32_t file_set_find(const struct file_set *set, uint64_t place);
/* "looks like a zip archive" and the like, or NULL for what may be text. */
const char *file_looks_like(const uint8_t *head, size_t size);

#endif
