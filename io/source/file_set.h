/* io/source/file_set.h: the files of one side: found by pattern, opened, unpacked, watched for change, laid end
 * to end.
 *
 *     file_set_open
 *       input_read          headers; unpacked as far as asked
 *     file_set_begin        packed files are unpacked in the background from here on
 *       input_ready, input_read, input_pread, input_take ... input_give
 *     file_set_settle       every size is known; waits where it is not
 *     file_set_check        when all was read once
 *     file_set_look_again   when nothing will be read again
 *     file_set_close
 *
 * An input is a file, or what a packed file holds: the bytes of a gzip or zstd file, an entry of a zip archive.
 * Which it is say its first bytes, not its name. A pattern `bill.zip!*detail*.csv` takes the one entry that
 * matches, `bill.zip!!*.csv` all that match; without one an archive must have a single entry, or one that the profile's own
 * pattern matches.
 *
 * Files that are read as they are stay open while this process may well have that many; those beyond are opened in
 * turn, and looked at each time, so that it is one file that is read from beginning to end.
 *
 * A place is an offset in the inputs laid end to end (those of text from the next multiple of PLACE_ALIGN on), in order of their
 * names; a packed one has as much room as it may at most unpack to. Threads: opened, begun, settled and closed by one thread; input_* by any.
 */
#ifndef TIEOUT_IO_SOURCE_FILE_SET_H
#define TIEOUT_IO_SOURCE_FILE_SET_H

#include "core/config/job.h"
#include "io/filter/filters.h"
#include "io/filter/unpack.h"
#include <sys/stat.h>

struct input_file {
    char *path;               /* as messages show it: of an archive's entry, ARCHIVE!ENTRY */
    char *shown;              /* as places show it: relative to the job's directory where it lies below it */
    char *file;               /* as opened */
    int fd;                   /* of the bytes that rows are read from, through input_pread or input_take */
    int own_fd;               /* of the file; -1 between two uses when in_turn */
    int is_direct, direct_fd; /* chunks are read past the page cache (direct.h) */
    int is_warm;              /* it was found in the page cache, or is small */
    int in_turn, users;       /* more files than descriptors: it is open only while somebody reads */
    uint64_t size, base;      /* size: until it is settled, what a packed file may have at most */
    uint64_t serial;          /* of all files that this process opened, from 1: what caches go by */
    struct stat stat;         /* when it was opened */
    int may_grow; /* behind `size` something is still appended to it: a segment, a log that its server has open */
    enum packing packing;
    enum flatten_kind flatten; /* a statement of which rows are made */
    int is_text;               /* rows of text, which may be UTF-16; else bytes that are taken as they are */
    int is_utf16;              /* known of a file that is not packed */
    const char *charset;       /* as the profile says; NULL: UTF-8 */
    uint64_t entry;            /* zip: its index */
    struct unpack *unpack;     /* NULL: the file is as it is read */
};

struct file_set {
    struct input_file *files;
    uint32_t count;
    uint32_t left_out;         /* so many more stand behind them, which are only closed */
    uint64_t size;             /* of all; of packed files not settled yet, a guess */
    enum flatten_kind flatten; /* of all, as are the next three */
    const char *charset, *entry;
    int is_text;
    struct unpack **packed;
    uint32_t packed_count;
    struct unpack_crew *crew;
};

enum {
    PLACE_BITS = 40,   /* a side has at most 1 TiB */
    PLACE_ALIGN = 2048 /* where places of a file of text begin: no block of so many is two files' */
};

/* Expands the patterns ({date} is the unit's date as YYYY-MM-DD), sorts by name, logs by number,
 * opens. `is_open_log`, of logs, else NULL: whoever writes it has it open, and appends; it is asked before the size is taken, behind which
 * nothing of this run lies. No file, a directory, an empty file, a file that cannot be read: ERR_INPUT. A file that is named
 * twice is taken once. */
enum err file_set_open(struct file_set *set, const struct job *job, enum side side, uint16_t date,
                       int (*is_open_log)(int fd), struct diag *diag);
/* The same of logs, and of `count` days more, if each of these still has files: how many of them. -1 with `diag` filled. */
int file_set_open_days(struct file_set *set, const struct job *job, enum side side, uint16_t date,
                       const uint16_t *days, int count, int (*is_open_log)(int fd), struct diag *diag);
/* Adds a plain file to a set, of which the first `size` bytes count; it may grow. Files are added in order. */
enum err file_set_add(struct file_set *set, const char *path, uint64_t size, struct diag *diag);
/* As file_set.size, by what was unpacked meanwhile. Any thread. */
uint64_t file_set_guess(const struct file_set *set);
/* Moves all places up, before any is used. */
void file_set_shift(struct file_set *set, uint64_t base);
/* Starts unpacking, on at most `threads` threads, into unnamed files in `folder`. */
enum err file_set_begin(struct file_set *set, const char *folder, uint32_t threads, struct diag *diag);
enum err file_set_settle(struct file_set *set, struct diag *diag);
/* Another order, of a set that is settled: `files` names each once, and those from `count` on are left out. Places change. */
enum err file_set_arrange(struct file_set *set, const uint32_t *files, uint32_t count, struct diag *diag);
/* ERR_INPUT when a file is not what it was when it was opened. */
enum err file_set_check(struct file_set *set, struct diag *diag);
/* The same when nothing will be read any more: a file may have lost its name since, or its name to another. */
enum err file_set_look_again(struct file_set *set, struct diag *diag);
/* file_set_check of one file. Any thread. */
enum err input_check(const struct input_file *input, struct diag *diag);
void file_set_close(struct file_set *set);
/* The file that holds a place. */
uint32_t file_set_find(const struct file_set *set, uint64_t place);

/* The size; of a packed input not yet known, the most it can be. */
static inline uint64_t input_size(const struct input_file *input)
{
    return input->unpack ? unpack_size(input->unpack) : input->size;
}
/* 1 when the bytes up to `end` are there, or all there are; 0 when they are not yet; -1 when unpacking failed. */
int input_ready(struct input_file *input, uint64_t end, struct diag *diag);
/* Reads at `offset`, waiting for what is not unpacked yet. Less than `size` only at the end, which input_size then
 * knows. -1 with `diag` filled. */
ssize_t input_read(struct input_file *input, void *buffer, size_t size, uint64_t offset, struct diag *diag);
/* A descriptor of what may be read as far as input_ready says, for reads under way; or -errno, -ESTALE when the file
 * is not what it was when the set was opened. input_give when they are done: then it may be closed until it is
 * wanted again. */
int input_take(struct input_file *input);
void input_give(struct input_file *input);
/* What input_take's error means; ERR_INPUT when the file changed. */
enum err input_open_failed(const struct input_file *input, int error, struct diag *diag);
/* sys_pread_full on it; -errno. */
ssize_t input_pread(struct input_file *input, void *buffer, size_t size, uint64_t offset);
/* The same of bytes that must be there. */
enum err input_pread_all(struct input_file *input, void *bytes, size_t size, uint64_t offset,
                         struct diag *diag);

/* Of a name, without the .gz, .zst or .zip that packers append. */
size_t file_bare_length(const char *path);
/* "looks like a zip archive" and the like, or NULL for what may be text. */
const char *file_looks_like(const uint8_t *head, size_t size);

#endif
