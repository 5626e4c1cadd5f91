/* io/format/binlog_lane.h: usual rows of a row event, bytes -> what a record is made of (core/rules/image.h).
 *
 * A lane is made for a table's version and a set of NULLs: where the lengths stand in a row, with the fixed bytes between them,
 * and where the wanted values lie, counted from those lengths. Reading a row is a hop from length to length and one load or two
 * for each value. Anything unusual (a set of NULLs for which there is no lane, a value of a kind that no lane knows, a row that
 * is cut) is left to binlog_rows_step, which has the last word.
 *
 *     binlog_rows_next           the next event with rows (or binlog_rows_step was called, and there are more in its event)
 *       binlog_lanes_open          0: these rows are not for lanes
 *         binlog_lanes_read        any number of times, image after image; in line
 *       binlog_lanes_close         how many rows were taken, and where the next begins
 *       binlog_rows_step         one row by the other way
 *
 * Memory   Lanes are from the table's arena. Threads  One owner.
 */
#ifndef TIEOUT_IO_FORMAT_BINLOG_LANE_H
#define TIEOUT_IO_FORMAT_BINLOG_LANE_H

#include "core/base/check.h"
#include "core/rules/image.h"
#include "core/rules/shortened.h"
#include "io/format/binlog.h"
#include "io/format/binlog_decimal.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* The rows that are left of a row event. */
struct binlog_lanes {
    const uint8_t *at, *end;      /* end: what was taken ends at or before it */
    const struct binlog_row *row; /* op, table, timestamp and offsets; nothing else of it */
    uint32_t row_index;           /* of the row at `at` */
    uint64_t offset;              /* of `at`, in the file */
    /* Private. */
    const struct image_plan *plan;
    struct table_version *version;
    const struct binlog_lane *lane; /* the one used last */
    /* What rows of UPDATE are has other shapes than rows of INSERT and DELETE; before_shapes: what they were. */
    struct binlog_shapes *shapes, *before_shapes;
    const uint8_t *readable;
};

/* 1: there are rows, whole ones, at their place in the file. `plan` is the same for each version of a table. */
int binlog_lanes_open(struct binlog_lanes *run, struct binlog_rows *rows, const struct image_plan *plan);
/* `count` rows before `at` were taken. 1: there are no more in the event. */
int binlog_lanes_close(const struct binlog_lanes *run, struct binlog_rows *rows, const uint8_t *at,
                       uint32_t count);

/* ---- private: here so that reading is in line ---- */

enum {
    LANE_LENGTHS_MAX = 31, /* columns with a length before them */
    LANE_SHORT_MAX = 12,   /* of them in a row that lane_hop goes over */
    LANE_READ_MAX = 40     /* bytes that a load may reach behind a row */
};

enum lane_kind {
    LANE_NOTHING, /* no column, or NULL where that is fine */
    LANE_TEXT,    /* bytes as they are */
    LANE_ASCII,   /* the same, where they are ASCII */
    LANE_NUMBER,
    LANE_DECIMAL,
    LANE_DATETIME,
    LANE_TIMESTAMP,
    LANE_FIXED /* up to eight bytes of any kind */
};

struct lane_value {
    uint8_t kind;         /* enum lane_kind */
    uint8_t from;         /* index into at[] */
    uint8_t shift;        /* number, fixed: 64 less its bits; of a fraction of seconds: 24 less its bits */
    int8_t is_unsigned;   /* number; -1: not known */
    uint32_t back, limit; /* limit: of a fraction of seconds */
    struct decimal_groups decimal;
    int8_t scale; /* -1: no DECIMAL */
};

struct lane_length {
    uint32_t gap;  /* fixed bytes before it */
    uint32_t mask; /* of a load of four bytes */
    uint32_t size; /* of the length itself */
};

struct binlog_lane {
    uint64_t nulls, null_mask;
    uint32_t null_bytes, length_count, tail; /* tail: fixed bytes behind the last length's */
    int is_possible;                         /* 0: rows with these NULLs are not for lanes */
    int is_short;                            /* all lengths are one byte */
    int is_common;                           /* of the kinds that LANE_COMMON says */
    uint32_t reach;                          /* more bytes than a row of one-byte lengths has */
    uint32_t text_count;
    struct lane_value key, occurrence, amount, fee, status, direction, time, currency;
    struct lane_value
        texts[KEYS_MAX * KEY_PARTS_MAX]; /* besides the key: that a spreadsheet may have shortened */
    struct lane_length lengths[LANE_LENGTHS_MAX];
};

struct table_version;
/* The lane of the row at run->at, for bytes that can be read up to `readable`. 0: none. */
int binlog_lane_begin(struct binlog_lanes *run, struct table_version *version, const struct image_plan *plan,
                      const uint8_t *readable);
/* NULL: there is none for rows with these NULLs. */
const struct binlog_lane *binlog_lane_find(struct table_version *version, const struct image_plan *plan,
                                           uint64_t nulls);

#define LANE_INLINE static inline __attribute__((always_inline))

/* Where the lengths of a row of one-byte lengths stand, and behind them its end; at most LANE_SHORT_MAX, and all of the row can be read. */
LANE_INLINE const uint8_t *lane_hop(const struct binlog_lane *lane, const uint8_t **lengths, const uint8_t *p)
{
    const struct lane_length *const gaps = lane->lengths + lane->length_count;
    const uint8_t **const ends = lengths + lane->length_count;
    p += lane->null_bytes;
    /* Counted from the last one, so that each step has its places fixed. */
#define LANE_HOP(i)                                                                                          \
    case i:                                                                                                  \
        p += gaps[-(i)].gap;                                                                                 \
        ends[-(i)] = p;                                                                                      \
        p += (size_t)*p + 1;                                                                                 \
        __attribute__((fallthrough));
    switch (lane->length_count) {
        LANE_HOP(12)
        LANE_HOP(11)
        LANE_HOP(10)
        LANE_HOP(9)
        LANE_HOP(8)
        LANE_HOP(7)
        LANE_HOP(6)
        LANE_HOP(5)
        LANE_HOP(4)
        LANE_HOP(3)
        LANE_HOP(2)
        LANE_HOP(1)
    default:
        break;
    }
#undef LANE_HOP
    p += lane->tail;
    *ends = p;
    return p;
}

/* 32 bytes can be read from any text on. */
LANE_INLINE int lane_is_ascii(const char *text, size_t size)
{
#if defined(__SSE2__)
    if (LIKELY(size < 32)) {
        const unsigned low =
                           (unsigned)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)text)),
                       high = (unsigned)_mm_movemask_epi8(
                           _mm_loadu_si128((const __m128i *)(const void *)(text + 16)));
        return ((low | high << 16) & ((1u << size) - 1)) == 0;
    }
#endif
    uint8_t all = 0;
    for (size_t i = 0; i < size; i++)
        all |= (uint8_t)text[i];
    return all < 0x80;
}

LANE_INLINE int lane_text(struct span *text, const struct binlog_lane *lane, const struct lane_value *value,
                          const uint8_t *const *at)
{
    const struct lane_length *length = &lane->lengths[value->from];
    const uint8_t *p = at[value->from];
    text->data = (const char *)p + length->size;
    text->size = read_le32(p) & length->mask;
    return value->kind == LANE_TEXT || lane_is_ascii(text->data, text->size);
}

/* A number of either sign, below 2^63. */
LANE_INLINE int lane_number(int64_t *number, const struct lane_value *value, const uint8_t *const *at)
{
    const uint64_t high = read_le64(at[value->from] - value->back) << value->shift;
    if (value->is_unsigned == 1) {
        *number = (int64_t)(high >> value->shift);
        return *number >= 0;
    }
    *number = (int64_t)high >> value->shift;
    return value->is_unsigned == 0 || *number >= 0;
}

LANE_INLINE int lane_money(int64_t *amount, int8_t *scale, const struct lane_value *value,
                           const uint8_t *const *at, int is_decimal)
{
    *scale = value->scale;
    return is_decimal || LIKELY(value->kind == LANE_DECIMAL)
               ? decimal_sum(amount, &value->decimal, at[value->from] - value->back)
               : lane_number(amount, value, at);
}

LANE_INLINE int lane_name(struct span *text, uint64_t *number, const struct binlog_lane *lane,
                          const struct lane_value *value, const uint8_t *const *at, int is_text,
                          int is_number)
{
    if (is_text || (!is_number && value->kind != LANE_NUMBER))
        return lane_text(text, lane, value, at);
    int64_t found;
    text->data = NULL;
    text->size = 0;
    const int known = lane_number(&found, value, at);
    *number = (uint64_t)found;
    return known && found >= 0;
}

LANE_INLINE int lane_word(uint64_t *word, const struct lane_value *value, const uint8_t *const *at,
                          int is_fixed)
{
    const uint64_t bytes = read_le64(at[value->from] - value->back);
    is_fixed |= value->kind == LANE_FIXED;
    const unsigned shift = is_fixed ? value->shift : 56 - 8 * (unsigned)(bytes & 7);
    *word = bytes << shift >> shift;
    return is_fixed || (bytes & 0xFF) <= 7;
}

LANE_INLINE int lane_time(uint64_t *time, const struct lane_value *value, const uint8_t *const *at,
                          int is_datetime)
{
    if (!is_datetime && value->kind == LANE_NOTHING) {
        *time = 0;
        return 1;
    }
    const uint64_t all = read_be64(at[value->from] - value->back);
    if (is_datetime || value->kind == LANE_DATETIME) {
        const uint64_t v = all >> 24;
        *time = v >> 12;
        return ((v & 63) < 60) & ((v >> 6 & 63) < 60) &
               ((((uint32_t)all & 0xFFFFFF) >> value->shift) < value->limit);
    }
    *time = (all >> 32) / 900 | (uint64_t)1 << 40;
    return all >> 32 != 0 && (((uint32_t)all >> 8) >> value->shift) < value->limit;
}

/* Reads the image at `p`; the byte behind it, or NULL. What is common is asked once per row. */
LANE_INLINE const uint8_t *lane_read(const struct binlog_lanes *run, const struct binlog_lane *lane,
                                     const uint8_t *p, struct image_raw *raw, int is_common)
{
    const uint8_t *const end = run->end, *at[LANE_LENGTHS_MAX + 1];
    const uint32_t count = lane->length_count;
    const struct lane_length *length = lane->lengths;
    if (is_common && LIKELY((size_t)(run->readable - p) > lane->reach + LANE_READ_MAX)) {
        p += lane->null_bytes;
        for (uint32_t i = 0; i < count; i++) {
            p += length[i].gap;
            at[i] = p;
            p += (size_t)*p + 1;
        }
    } else {
        p += lane->null_bytes;
        for (uint32_t i = 0; i < count; i++) {
            p += length[i].gap;
            if (UNLIKELY(p + length[i].size > end))
                return NULL;
            at[i] = p;
            p += length[i].size + (size_t)(read_le32(p) & length[i].mask);
        }
    }
    p += lane->tail;
    if (UNLIKELY(p > end))
        return NULL;
    at[count] = p;
    if (UNLIKELY(!lane_name(&raw->key, &raw->key_number, lane, &lane->key, at, is_common, 0) ||
                 !lane_name(&raw->occurrence, &raw->occurrence_number, lane, &lane->occurrence, at, 0,
                            is_common) ||
                 !lane_money(&raw->amount, &raw->amount_scale, &lane->amount, at, is_common) ||
                 !lane_time(&raw->time, &lane->time, at, is_common)))
        return NULL;
    if (raw->key.data && UNLIKELY(text_is_shortened(raw->key)))
        return NULL;
    raw->currency = 0;
    if (is_common || lane->currency.kind != LANE_NOTHING) {
        const uint32_t letters = read_le32(at[lane->currency.from]);
        if (UNLIKELY((letters & 0xFF) != 3))
            return NULL;
        raw->currency = letters >> 8;
    }
    raw->has_fee = !is_common && lane->fee.kind != LANE_NOTHING;
    if (raw->has_fee && UNLIKELY(!lane_money(&raw->fee, &raw->fee_scale, &lane->fee, at, 0)))
        return NULL;
    if ((is_common || lane->status.kind != LANE_NOTHING) &&
        UNLIKELY(!lane_word(&raw->status, &lane->status, at, is_common)))
        return NULL;
    if (!is_common && lane->direction.kind != LANE_NOTHING &&
        UNLIKELY(!lane_word(&raw->direction, &lane->direction, at, 0)))
        return NULL;
    for (uint32_t i = 0; !is_common && i < lane->text_count; i++) {
        struct span text;
        if (UNLIKELY(!lane_text(&text, lane, &lane->texts[i], at) || text_is_shortened(text)))
            return NULL;
    }
    return p;
}

/* Reads the image at `p`; the byte behind it, or NULL: it is not usual. `raw` is filled in as far as it goes. */
LANE_INLINE const uint8_t *binlog_lanes_read(struct binlog_lanes *run, const uint8_t *p,
                                             struct image_raw *raw)
{
    const struct binlog_lane *lane = run->lane;
    if (UNLIKELY((size_t)(run->end - p) < lane->null_bytes))
        return NULL;
    const uint64_t nulls = read_le64(p) & lane->null_mask;
    /* A lane may have been made anew where this one lay. */
    if (UNLIKELY(nulls != lane->nulls || !lane->is_possible)) {
        lane = binlog_lane_find(run->version, run->plan, nulls);
        if (!lane)
            return NULL;
        run->lane = lane;
    }
    return LIKELY(lane->is_common) ? lane_read(run, lane, p, raw, 1) : lane_read(run, lane, p, raw, 0);
}

#endif
