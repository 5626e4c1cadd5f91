/* io/format/binlog_head.c: see binlog_head.h */
#include "io/format/binlog_head.h"
#include "io/format/binlog_event.h"
#include <stdio.h>

void binlog_head_fini(struct binlog_head *head)
{
    gtid_set_fini(&head->before);
    memset(head, 0, sizeof *head);
}

/* The event at `at`. 1: it is there; 0: `*need` more bytes; -1: there is none. */
static int event_at(struct binlog_event *event, const uint8_t *bytes, size_t size, size_t at, int is_all,
                    unsigned checksum_size, size_t *need)
{
    *need = at + BINLOG_HEADER_SIZE;
    if (size < *need)
        return is_all ? -1 : 0;
    const uint32_t event_size = read_le32(bytes + at + 9);
    if (event_size < BINLOG_HEADER_SIZE + checksum_size || event_size > BINLOG_HEAD_MAX)
        return -1;
    *need = at + event_size;
    if (size < *need)
        return is_all ? -1 : 0;
    event_read(event, bytes + at, at, checksum_size);
    return 1;
}

int binlog_head_read(struct binlog_head *head, const uint8_t *bytes, size_t size, int is_all, size_t *need)
{
    struct binlog_event event;
    struct diag ignored = {0};
    const char *hint;
    binlog_head_fini(head);
    *need = BINLOG_MAGIC_SIZE;
    if (size < BINLOG_MAGIC_SIZE)
        return is_all;
    if (binlog_magic_wrong(bytes, size, &hint))
        return 1;
    int there = event_at(&event, bytes, size, BINLOG_MAGIC_SIZE, is_all, 0, need);
    if (there <= 0)
        return there < 0;
    if (event.type != EVENT_FORMAT_DESCRIPTION ||
        binlog_format_read(&head->format, &event, "", &ignored) == STEP_FAILED)
        return 1;
    head->server = read_le32(event.bytes + 5);
    head->begun_at = event.timestamp;
    /* The list stands next, or behind what says how the file is encrypted. */
    for (int i = 0; i < 3; i++) {
        const size_t at = (size_t)event.offset + event.size;
        there = event_at(&event, bytes, size, at, is_all, head->format.checksum_size, need);
        if (there == 0)
            return 0;
        if (there < 0)
            break;
        if (event.type != EVENT_PREVIOUS_GTIDS && event.type != EVENT_GTID_LIST)
            continue;
        head->has_before =
            binlog_checksum_right(&event, &head->format) &&
            (event.type == EVENT_GTID_LIST ? gtid_set_decode_list(&head->before, event.body, event.body_size)
                                           : gtid_set_decode(&head->before, event.body, event.body_size));
        break;
    }
    head->known = 1;
    return 1;
}

void binlog_tail_read(char *name, size_t room, const struct binlog_format *format, const uint8_t *bytes,
                      size_t size)
{
    const size_t around = BINLOG_HEADER_SIZE + 8 + (size_t)format->checksum_size;
    name[0] = 0;
    for (size_t event_size = around + 1; event_size <= size; event_size++) {
        struct binlog_event event;
        const uint8_t *const at = bytes + size - event_size;
        if (at[4] != EVENT_ROTATE || read_le32(at + 9) != event_size)
            continue;
        event_read(&event, at, 0, format->checksum_size);
        if (read_le64(event.body) == BINLOG_MAGIC_SIZE && binlog_checksum_right(&event, format)) {
            snprintf(name, room, "%.*s", (int)(event.body_size - 8), (const char *)event.body + 8);
            return;
        }
    }
}
