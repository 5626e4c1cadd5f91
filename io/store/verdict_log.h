/* io/store/verdict_log.h: segments of the verdict log: files that are written once, and read from their beginning.
 *
 *     verdict_log_create -> verdict_log_put ... -> verdict_log_seal       writes NAME.new; its publisher makes it durable
 *     verdict_log_open -> verdict_log_next until STEP_DONE -> verdict_log_close
 *
 * A segment is one revision of one task: all its verdicts but those of plain exact pairs, in the order of entry_compare, and the
 * reversals of what it takes back. Its bytes are in frames with a checksum each; the last frame says how many entries there were, so
 * a cut file is damage. The SHA-256 of a segment and of the chain before it make the chain, which state.db and certificate.json hold:
 *
 *     chain(n) = SHA-256(chain(n - 1) + "\n" + sha(n) + "\n")       texts of 64 hex digits; chain(0) is empty
 *
 * Memory: a frame. Threads: one owner.
 */
#ifndef TIEOUT_IO_STORE_VERDICT_LOG_H
#define TIEOUT_IO_STORE_VERDICT_LOG_H

#include "core/base/diag.h"
#include "core/model/entry.h"

enum { VERDICT_SHA_TEXT = 65 };

/* Kinds and classes of entries. */
struct verdict_wish {
    uint32_t classes[ENTRY_KINDS]; /* bits, by kind */
};
/* What a segment says as a whole. */
struct verdict_head {
    uint64_t print;           /* of all its frames */
    struct verdict_wish seen; /* what stands in it */
};
struct verdict_log; /* being written */
enum err verdict_log_create(struct verdict_log **out, const char *path, struct diag *diag);
enum err verdict_log_put(struct verdict_log *log, const void *entry, size_t size, struct diag *diag);
/* The last frame. `sha` is that of the file; `head` may be NULL. */
enum err verdict_log_seal(struct verdict_log *log, uint64_t *entries, char sha[VERDICT_SHA_TEXT],
                          struct verdict_head *head, struct diag *diag);
void verdict_log_drop(struct verdict_log *log);

struct verdict_reader;
enum err verdict_log_open(struct verdict_reader **out, const char *path, struct diag *diag);
/* The next entry; its texts, and `*bytes` if it is asked for, are valid until the next call. STEP_DONE: the segment was whole.
 * ERR_STATE: it is damaged, and where. */
enum step verdict_log_next(struct verdict_reader *reader, struct entry *entry, struct span *bytes,
                           struct diag *diag);
/* Of which kinds and classes entries are wanted: the others pass by unread, but frames are checked all the same. What stood there goes
 * into `seen`, unless it is NULL. Before the first verdict_log_next; both are borrowed. */
void verdict_log_only(struct verdict_reader *reader, const struct verdict_wish *wish,
                      struct verdict_wish *seen);
/* Of the frames read so far: at the end, of all entries. */
uint64_t verdict_log_print(const struct verdict_reader *reader);
void verdict_log_close(struct verdict_reader *reader);

void verdict_chain(char out[VERDICT_SHA_TEXT], const char *before, const char *sha);

#endif
