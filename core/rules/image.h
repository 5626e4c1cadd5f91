/* core/rules/image.h: a log's usual row on its way to a record, without cells between.
 *
 * Nearly all rows of a log are alike: the same columns are NULL, few words are used, an hour is followed by the same hour. So
 * a decoder takes from a row's bytes only what a record is made of (struct image_raw), and what words and hours mean is
 * remembered by those bytes, once the way over cells (normalize_image) has said it.
 *
 *     normalize_quick     0: the row goes the way over cells (image_quick.h); then
 *     normalize_learn     remembers what its words and its hour meant
 *
 * Threads: as normalize.h.
 */
#ifndef TIEOUT_CORE_RULES_IMAGE_H
#define TIEOUT_CORE_RULES_IMAGE_H

#include "core/config/job.h"
#include "core/model/cell.h"

/* Where a record's parts stand: columns of the source, -1 for those that are not there. */
struct image_plan {
    uint64_t number; /* of its normalizer, in this process; from 1 */
    int is_usual;    /* normalize_image may take its rows: maps are fine there, and minor units */
    int key, occurrence, currency, amount, direction, fee, status, time;
    int key_column_count, key_columns[KEYS_MAX * KEY_PARTS_MAX]; /* texts of all keys */
};

/* One image's bytes that a record is made of; borrowed from the row. */
struct image_raw {
    struct span key, occurrence; /* without data: the number */
    uint64_t key_number, occurrence_number;
    int64_t amount, fee;        /* a DECIMAL's digits, or a whole number */
    uint64_t status, direction; /* the value as it stands in the row, a text with its length */
    uint64_t time;     /* all of it down to the hour, or the quarter of an hour; 0: NULL, or no column */
    uint32_t currency; /* three letters, the first lowest; 0: no column */
    uint8_t has_fee;   /* it is not NULL */
    int8_t amount_scale, fee_scale; /* digits behind the point; -1: no DECIMAL */
};

enum { IMAGE_DAYS = 128, IMAGE_WORDS = 16 };
/* What was learned; in a norm_scratch. */
struct image_memo {
    struct image_word {
        uint64_t raw;
        int32_t meaning; /* 0: free */
    } status[IMAGE_WORDS], direction[IMAGE_WORDS];
    struct image_day {
        uint64_t time; /* 0: free */
        uint16_t day;
    } days[IMAGE_DAYS];
};

/* Where a word or a time is remembered: one place each. */
static inline unsigned image_word_slot(uint64_t raw)
{
    return (unsigned)(raw * 0x9E3779B97F4A7C15ull >> 60);
}
static inline unsigned image_day_slot(uint64_t time)
{
    return (unsigned)time & (IMAGE_DAYS - 1);
}
/* An hour of the clock was a time when it came first; of others that is not known. */
static inline int image_hour_is_known(const struct image_memo *memo, uint64_t time)
{
    return memo->days[image_day_slot(time)].time == time;
}

/* What is the same for the rows of a run: made of a normalizer and its scratch. */
struct image_quick {
    uint64_t hash_seed;
    int64_t amount_power[11], fee_power[11]; /* millionths in a unit by amount_scale + 1; 0: not so simple */
    uint16_t channel, flags, unit_day;
    uint16_t undated_day;            /* of rows that state no time */
    uint8_t currency, memo_currency; /* of rows without one; the one remembered, for which the powers are */
    uint8_t has_currency, has_direction, has_fee, has_status;
    uint8_t by_date;  /* rows of other days than unit_day are marked */
    uint8_t is_minor; /* the powers are other ones for another currency */
    uint32_t memo_letters;
};

struct normalizer;
struct norm_scratch;

/* Another currency than that of the row before becomes the one remembered; 0: the row goes the way over cells. */
int image_new_currency(struct image_quick *quick, uint32_t letters);
/* NULL: its rows are never usual. */
const struct image_plan *normalizer_image(const struct normalizer *normalizer);
/* Remembers what an image's words and hour meant. `columns` are the cells of the image that `raw` is of, which normalize_image took.
 * 0: nothing can be made of `quick`. */
int normalize_learn(const struct normalizer *normalizer, struct norm_scratch *scratch,
                    const struct cell *columns, const struct image_raw *raw, struct image_quick *quick);

#endif
