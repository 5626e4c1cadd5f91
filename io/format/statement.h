/* io/format/statement.h: bank statements as rows.
 *
 * A decoder takes the bytes of a statement file as they come and writes each entry as a CSV row, STATEMENT_HEADER's
 * columns, into `text`, from where the caller takes them. What a statement says of itself is held against its entries:
 * opening + entries = closing, or the file is refused; so is one that ends before its closing balance.
 *
 *     mt940_open, camt_open or bai2_open -> statement_feed any number of times, the last with at_end -> statement_close
 *
 * Formats: SWIFT MT940 (User Handbook, category 9), ISO 20022 camt.052/053/054, BAI2 (whose trailers state sums and numbers of
 * lines instead of balances). Opens nothing, waits for nothing.
 * Threads: one owner.
 */
#ifndef TIEOUT_IO_FORMAT_STATEMENT_H
#define TIEOUT_IO_FORMAT_STATEMENT_H

#include "core/base/diag.h"
#include <stddef.h>
#include <stdint.h>

#define STATEMENT_HEADER                                                                                     \
    "offset,line,statement,account,currency,amount,mark,reversal,status,booking_date,value_date,reference,"  \
    "bank_reference,end_to_end,type,text,entry\n"

/* One entry; texts may be NULL. Column `entry` tells it from the others of its account wherever the bank sends its statement again (in another file, behind
 * another statement): page, opening balance and number within them. A reference alone does not: some banks write the same one on each day. */
struct statement_entry {
    uint64_t offset, line; /* in the file, where a person looks for it */
    const char *page, *opening;
    const char *statement, *account, *currency;
    const char *amount; /* without sign, with a point */
    int is_debit, is_reversal;
    const char *status, *booking_date, *value_date, *reference, *bank_reference, *end_to_end, *type, *text;
};

struct statement;
struct statement_ops {
    enum err (*feed)(struct statement *statement, const uint8_t *bytes, size_t size, int at_end,
                     struct diag *diag);
    void (*close)(struct statement *statement);
};
struct statement {
    const struct statement_ops *ops;
    const char *path; /* borrowed */
    char *text;       /* rows written and not taken yet */
    size_t size, room;
    uint64_t entries; /* rows of the statement at hand; its decoder begins it with 0 */
    int no_memory;
};

enum err mt940_open(struct statement **out, const char *path, struct diag *diag);
enum err camt_open(struct statement **out, const char *path, struct diag *diag);
enum err bai2_open(struct statement **out, const char *path, struct diag *diag);

static inline enum err statement_feed(struct statement *statement, const uint8_t *bytes, size_t size,
                                      int at_end, struct diag *diag)
{
    return statement->ops->feed(statement, bytes, size, at_end, diag);
}
static inline void statement_close(struct statement *statement)
{
    if (statement)
        statement->ops->close(statement);
}

/* For the decoders: writes a row. no_memory is set when it could not. */
void statement_write(struct statement *statement, const struct statement_entry *entry);
void statement_write_text(struct statement *statement, const char *text, size_t size);

#endif
