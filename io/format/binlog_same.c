/* io/format/binlog_same.c: see binlog_same.h */
#include "io/format/binlog_same.h"
#include "io/format/binlog_event.h"

enum { TABLE_ID_AND_FLAGS = 8 };

/* The next event with rows: what of its body does not depend on the server's state. 0: there is none. */
static int next_rows(struct span *log, unsigned checksum_size, struct span *rows, uint8_t *type)
{
    while (log->size >= BINLOG_HEADER_SIZE) {
        const uint8_t *const event = (const uint8_t *)log->data;
        const uint32_t size = read_le32(event + 9);
        if (size > log->size || size < BINLOG_HEADER_SIZE + checksum_size)
            return 0;
        *type = event[4];
        const size_t skip =
            BINLOG_HEADER_SIZE + (*type == EVENT_TRANSACTION_PAYLOAD ? 0 : TABLE_ID_AND_FLAGS);
        const int has_rows = event_is_rows(*type) || *type == EVENT_TRANSACTION_PAYLOAD;
        *log = (struct span){log->data + size, log->size - size};
        if (has_rows && size >= skip + checksum_size) {
            *rows = (struct span){(const char *)event + skip, size - skip - checksum_size};
            return 1;
        }
    }
    return 0;
}

int binlog_same_rows(struct span a, unsigned a_checksum_size, struct span b, unsigned b_checksum_size)
{
    for (int count = 0;; count++) {
        struct span a_rows = {NULL, 0}, b_rows = a_rows;
        uint8_t a_type = 0, b_type = 0;
        const int a_more = next_rows(&a, a_checksum_size, &a_rows, &a_type),
                  b_more = next_rows(&b, b_checksum_size, &b_rows, &b_type);
        if (!a_more || !b_more) /* the end of one: of both, unless the other was cut off before it */
            return count > 0 && ((!a_more && !b_more) || (!a_more && a.size) || (!b_more && b.size));
        if (a_type != b_type || !span_equal(a_rows, b_rows))
            return 0;
    }
}
