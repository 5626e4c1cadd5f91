/* io/source/log_tail.c: see log_tail.h */
#include "io/source/log_tail.h"
#include "core/base/mem.h"
#include "io/format/binlog_event.h"

enum { PIECE = 1 << 20, SIZE_AT = 9, END_AT = 13 };

static enum err cut(const struct input_file *input, uint64_t at, const char *why, uint64_t where,
                    struct diag *diag)
{
    return diag_set(
        diag, ERR_INPUT, "binlog.cut", "the file is damaged: copy it again from the server",
        "%s@%llu: an event goes past the file's end (%llu bytes are left), and although the server had the "
        "file open this is none that it was about to write: %s %llu",
        input->path, (unsigned long long)at, (unsigned long long)(input->size - at), why,
        (unsigned long long)where);
}

/* `*whole`: a whole event, that says itself where it ends, lies at `offset`. */
static enum err look_at(struct input_file *input, const uint8_t *head, uint64_t offset,
                        const struct binlog_format *format, int *whole, struct diag *diag)
{
    const uint32_t size = read_le32(head + SIZE_AT);
    *whole = 0;
    if (size < BINLOG_HEADER_SIZE + (uint32_t)format->checksum_size || size > input->size - offset ||
        read_le32(head + END_AT) != (uint32_t)(offset + size))
        return OK;
    *whole = 1;
    if (format->checksum_size == 0)
        return OK;
    uint8_t *bytes = mem_take(size);
    if (!bytes)
        return mem_fail(diag, size, "an event");
    const enum err err = input_pread_all(input, bytes, size, offset, diag);
    *whole = err == OK && binlog_sum_right(bytes, size);
    mem_give(bytes);
    return err;
}

enum err log_tail_check(struct input_file *input, uint64_t at, const struct binlog_format *format,
                        struct diag *diag)
{
    if (input->size - at < BINLOG_HEADER_SIZE)
        return OK;
    uint8_t *bytes = mem_take(PIECE);
    if (!bytes)
        return mem_fail(diag, PIECE, "the end of a log");
    enum err err = OK;
    for (uint64_t from = at; err == OK && input->size - from >= BINLOG_HEADER_SIZE;) {
        const size_t size = input->size - from < PIECE ? (size_t)(input->size - from) : PIECE;
        const size_t heads = size - BINLOG_HEADER_SIZE + 1;
        err = input_pread_all(input, bytes, size, from, diag);
        /* MariaDB 11 says 0 where a transaction's events end. */
        if (err == OK && from == at) {
            const uint32_t end = read_le32(bytes + END_AT);
            if (end != 0 && end != (uint32_t)(at + read_le32(bytes + SIZE_AT)))
                err = cut(input, at, "it says that it ends at byte", end, diag);
        }
        for (size_t i = from == at; err == OK && i < heads; i++) {
            int whole;
            err = look_at(input, bytes + i, from + i, format, &whole, diag);
            if (err == OK && whole)
                err = cut(input, at, "a whole event lies behind it, at byte", from + i, diag);
        }
        from += heads;
    }
    mem_give(bytes);
    return err;
}
