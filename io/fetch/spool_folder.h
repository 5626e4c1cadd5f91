/* io/fetch/spool_folder.h: the folder that one channel's files of one bill date are brought into.
 *
 *     spool_folder_open                 makes it, and locks it: one fetch at a time
 *       spool_folder_has, spool_folder_begin -> (bytes are written to part.fd) -> spool_folder_keep
 *     spool_folder_close
 *
 * What is under way lies under names that begin with a dot, `.NAME.part` and, with what its server said of it,
 * `.NAME.mark`, and stays there for the next try. A file gets its own name when it was checked, fsynced and
 * renamed; the folder is fsynced after it. Names come from outside and are never used as paths: one that is
 * more than a name is refused. Threads: one owner.
 *
 * What a server said of a file that is there is noted in `../.fetched/<date>/NAME`, by which a restatement is seen: other
 * bytes under the same name are never put in its place, but beside it, as `<date>.restated/N-NAME`, where no pattern of a
 * job finds them.
 */
#ifndef TIEOUT_IO_FETCH_SPOOL_FOLDER_H
#define TIEOUT_IO_FETCH_SPOOL_FOLDER_H

#include "io/fetch/transfer.h"

enum { SPOOL_NAME_MAX = 200, CHECKSUM_MAX = 128 };

struct spool_folder;
/* `path`: DATA/<channel>/<date>. */
enum err spool_folder_open(struct spool_folder **out, const char *path, struct diag *diag);
void spool_folder_close(struct spool_folder *spool);
const char *spool_folder_path(const struct spool_folder *spool);

/* ERR_INPUT when it is not the name of a file. */
enum err spool_folder_check_name(const char *name, struct diag *diag);
/* 1 when a file of that name is there. */
int spool_folder_has(const struct spool_folder *spool, const char *name);

struct spool_folder_part {
    char name[SPOOL_NAME_MAX + 1];
    int fd;
    uint64_t done; /* bytes there are already */
    struct transfer_mark mark;
};
enum err spool_folder_begin(struct spool_folder *spool, const char *name, struct spool_folder_part *part,
                            struct diag *diag);
/* Notes how far it is, and closes it. `keep`: for the next try; else it is taken away. */
enum err spool_folder_end(struct spool_folder *spool, struct spool_folder_part *part, int keep,
                          struct diag *diag);
/* Checks it and gives it its name: not empty, no message in place of a bill, packed data whole to its last byte, and
 * the checksum, if there is one ("" or hex digits of SHA-256, SHA-1 or MD5). What fails is taken away. Fills `digest`
 * (DIGEST_TEXT bytes). */
enum err spool_folder_keep(struct spool_folder *spool, struct spool_folder_part *part, const char *checksum,
                           char *digest, struct diag *diag);

/* What was said of a file that is there when it was brought. Where nothing was noted only its size is known. */
void spool_folder_noted(const struct spool_folder *spool, const char *name, struct transfer_mark *mark);
/* Notes it. One that cannot be written is no error: the next look knows less. */
void spool_folder_note(struct spool_folder *spool, const char *name, const struct transfer_mark *mark);
/* Notes that the channel said that there is no bill (JOB_NO_BILL), or, with 0, takes that back. */
enum err spool_folder_no_bill(struct spool_folder *spool, int is_none, struct diag *diag);
enum beside { BESIDE_SAME /* it holds the bytes of the file that is there */, BESIDE_KNOWN, BESIDE_NEW };
/* Checks as spool_folder_keep does, a file whose name is taken, and keeps it beside unless its bytes are there already.
 * `kept`: its path (4096 bytes). */
enum err spool_folder_keep_beside(struct spool_folder *spool, struct spool_folder_part *part,
                                  const char *checksum, char *digest, enum beside *beside, char *kept,
                                  struct diag *diag);
/* The folder where restatements of a file lie, NULL when it has none. */
const char *spool_folder_restated(struct spool_folder *spool, const char *name);

#endif
