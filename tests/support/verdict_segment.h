/* tests/support/verdict_segment.h: a segment of the verdict log with errors that a test makes up. */
#ifndef TIEOUT_TESTS_SUPPORT_VERDICT_SEGMENT_H
#define TIEOUT_TESTS_SUPPORT_VERDICT_SEGMENT_H

#include "core/model/currency.h"
#include "core/model/day.h"
#include "core/model/money.h"
#include "io/store/task.h"
#include "io/store/verdict_log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One line: a record of `order` with its amounts in fen; 0: that side is not there. */
struct made_verdict {
    const char *order;
    int64_t local_fen, channel_fen;
    enum class_id class_id;
    const char *reasons;
    unsigned revision;
    int is_reversal;
    const char *task; /* NULL: that of the segment */
    const char *occurrence;
};

static inline void made_side(struct entry_side *side, const struct made_verdict *v, int64_t fen,
                             char room[2][64])
{
    snprintf(room[0], 64, "%s%lld.%02lld", fen < 0 ? "-" : "", (long long)(llabs(fen) / 100),
             (long long)(llabs(fen) % 100));
    side->present = 1;
    side->currency = currency_find("CNY", 3);
    side->day = day_parse("2026-11-19", 10);
    side->since = side->day;
    side->amount_micro = fen * 10000;
    side->text[FIELD_CHANNEL_CODE] = span_of("ALIPAY");
    side->text[FIELD_BIZ_ORDER_NO] = span_of(v->order);
    side->text[FIELD_BILL_DATE] = span_of("2026-11-19");
    side->text[FIELD_DIRECTION] = span_of(fen < 0 ? "OUT" : "IN");
    side->text[FIELD_CURRENCY] = span_of("CNY");
    side->text[FIELD_AMOUNT] = span_of(room[0]);
    side->text[FIELD_STATUS] = span_of("SUCCESS");
    side->occurrence = span_of(v->occurrence ? v->occurrence : "");
    side->place = span_of("bill.csv:2@10");
}

/* `count` of them, in this order, into `path`. 1: done. */
static inline int made_segment(const char *path, const char *task, const struct made_verdict *verdicts,
                               size_t count)
{
    struct diag diag = {0};
    struct verdict_log *log = NULL;
    uint64_t entries;
    char sha[VERDICT_SHA_TEXT], fresh[4200];
    if (verdict_log_create(&log, path, &diag) != OK)
        return 0;
    for (size_t i = 0; i < count; i++) {
        const struct made_verdict *v = &verdicts[i];
        char rooms[SIDES][2][64], key[200];
        size_t size = strlen(v->order);
        key[0] = key[1] = 0;
        key[2] = (char)(size >> 8);
        key[3] = (char)size;
        memcpy(key + 4, v->order, size);
        struct entry e = {.kind = v->is_reversal ? ENTRY_REVERSAL : ENTRY_VERDICT,
                          .class_id = (uint8_t)v->class_id,
                          .key_no = 1,
                          .field_count = FIELDS,
                          .revision = v->revision,
                          .task = span_of(v->task ? v->task : task),
                          .reasons = span_of(v->reasons),
                          .key = {key, size + 4}};
        if (v->local_fen)
            made_side(&e.side[LOCAL], v, v->local_fen, rooms[LOCAL]);
        if (v->channel_fen)
            made_side(&e.side[CHANNEL], v, v->channel_fen, rooms[CHANNEL]);
        uint8_t *bytes = malloc(entry_size(&e));
        entry_encode(&e, bytes);
        int ok = verdict_log_put(log, bytes, entry_size(&e), &diag) == OK;
        free(bytes);
        if (!ok)
            return 0;
    }
    int sealed = verdict_log_seal(log, &entries, sha, NULL, &diag) == OK;
    snprintf(fresh, sizeof fresh, "%s.new", path);
    if (sealed)
        rename(fresh, path); /* as state_file_publish does */
    verdict_log_drop(log);
    return sealed;
}

static inline struct task made_task(const char *name, const char *day)
{
    return (struct task){.id = 1,
                         .name = name,
                         .channel_code = "ALIPAY",
                         .biz_type = "pay",
                         .day = day_parse(day, 10),
                         .batch_no = 1,
                         .phase = PHASE_PUSH,
                         .wanted = 1};
}

#endif
