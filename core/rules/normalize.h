/* core/rules/normalize.h: cells -> records. What the columns of one source mean.
 *
 *     normalizer_open     once per source and header layout, before workers start
 *       normalize_hot     for every row: what decides an exact match, into a struct record
 *       normalize_full    for rows that broke, and for inspect: every field, into a struct full
 *     normalizer_close
 *
 * Both read a cell by the same functions, so a row that one takes the other takes, and what one rejects the
 * other rejects with the same code. The decoder hands over only the columns of normalizer_columns, in that
 * order. Threads: a normalizer is immutable; a struct norm_scratch has one owner.
 */
#ifndef TIEOUT_CORE_RULES_NORMALIZE_H
#define TIEOUT_CORE_RULES_NORMALIZE_H

#include "core/base/arena.h"
#include "core/base/to_utf8.h"
#include "core/config/job.h"
#include "core/model/aggregate.h"
#include "core/model/cell.h"
#include "core/model/dict.h"
#include "core/model/full.h"
#include "core/model/id_print.h"
#include "core/model/record.h"
#include "core/rules/image.h"
#include "core/rules/lean.h"
#include "core/rules/order_currency.h"

/* Why a row could not become a record. The words are those of reject.csv. */
enum reject_code {
    REJECT_NONE,
    REJECT_COLUMNS,  /* more or fewer cells than the header */
    REJECT_QUOTE,    /* a quote where none may stand, or text after a closing one */
    REJECT_CR,       /* a carriage return that ends no line */
    REJECT_TOO_LONG, /* row, key or compared fields over the limit */
    REJECT_KEY,      /* an order number that a spreadsheet shortened to 1.23457E+17 */
    REJECT_AMOUNT,
    REJECT_FEE,
    REJECT_CURRENCY,
    REJECT_DIRECTION,
    REJECT_STATUS,
    REJECT_DATE,
    REJECT_TIME,
    REJECT_WORDS,    /* more different words than the dictionary holds */
    REJECT_TYPE,     /* a kind of row that the profile does not know */
    REJECT_NOT_OURS, /* not a reject: the job's `where` leaves the row to others */
    REJECT_CHARSET,  /* bytes that are no text in the declared charset */
    REJECTS
};
const char *reject_name(enum reject_code code); /* "amount" */

/* What all normalizers of a run share. */
struct norm_shared {
    const struct job *job;
    struct dict *words; /* status and channel codes */
    struct zone *job_zone;
    struct zone *zones[SIDES]; /* of naive times */
    uint64_t hash_seed;
    uint16_t unit_day;                     /* --date, or DAY_NONE */
    struct order_bases *bases;             /* plain_order.h; NULL: nobody asks */
    const struct order_currencies *orders; /* for `of_order`; NULL: nobody asks */
    int keeps_ids;                         /* 1: a book remembers occurrence ids of rows of files */
    int cut_by_date[SIDES];                /* 1: an endless source; records of other days are marked */
};
/* `job` outlives it. After a failure, and on zeroes, norm_shared_close is right too. */
enum err norm_shared_open(struct norm_shared *shared, const struct job *job, uint64_t hash_seed,
                          uint16_t date, struct diag *diag);
void norm_shared_close(struct norm_shared *shared);

/* What a short cell of a word (a status, a direction) was found to mean. */
struct word_memo {
    uint64_t low, high; /* the text, or the number */
    uint32_t kind, size;
    int32_t meaning; /* 0: free */
};
enum { WORD_MEMOS = 8 };

/* What a row's time, with direction and currency if they stand beside it, looked like (plain.h): a byte may be `low` to `low +
 * range`. */
enum { PLAIN_SHAPE = 64 };
struct plain_shape {
    _Alignas(16) uint8_t low[PLAIN_SHAPE];
    _Alignas(16) uint8_t range[PLAIN_SHAPE];
    int64_t date_count; /* the day, as date_memo_count */
    uint32_t size;      /* with the separator behind it; 0: there is none */
    uint32_t hour_at;
    uint16_t day;
    uint8_t currency, is_out;
};

/* Words of a column that came lately, for plain_block_wide: up to sixteen bytes, with what ends the cell, and their numbers. */
enum { PLAIN_WORDS = 8 };
struct plain_words {
    uint64_t low[PLAIN_WORDS], high[PLAIN_WORDS];
    uint16_t number[PLAIN_WORDS];
    uint32_t count, next;
};

struct norm_scratch {
    struct dict_cache words;
    char number[TIME_TEXT_MAX]; /* a number or time cell as text */
    char *strip;                /* NORM_STRIP_MAX bytes */
    char *wide;                 /* NORM_STRIP_MAX bytes: a cell converted to UTF-8; taken when one is met */
    struct to_utf8 charset;     /* what it was converted with */
    int bad_charset;            /* a cell of the row at hand could not be */
    uint32_t currency_memo;     /* the last currency's three bytes, and its index */
    uint8_t currency_memo_index;
    uint64_t date_memo; /* the last date text seen, and its day */
    uint32_t date_memo_rest;
    int64_t date_memo_count;
    struct { /* the last MMDD, of files whose date was `near`, and its day */
        char date[4];
        uint16_t near;
        int64_t count;
    } yearless;
    uint8_t time_memo[16];   /* that text and what stands behind it, for plain_time; zero: there is none */
    uint16_t time_memo_day;  /* a cut at midnight's bill date */
    uint8_t status_memo[16]; /* the last status, what stands behind it, and its number, for plain_block */
    uint32_t status_memo_size;
    uint16_t status_memo_number;
    uint64_t shape_owner; /* number of the plan whose they are */
    struct plain_shape shapes[2];
    uint64_t words_owner; /* the same of these */
    struct plain_words status_words, channel_words;
    struct { /* of normalize_image; begins anew with another normalizer */
        uint64_t owner;
        struct word_memo status[WORD_MEMOS], direction[WORD_MEMOS];
        int64_t day_begin_us; /* the day that the last time fell on */
        uint16_t day;
        uint16_t channel; /* 0: not asked for yet */
        struct image_memo memo;
    } image;
    struct { /* of normalize_event */
        uint64_t owner;
        uint32_t minute; /* of the epoch, in which the event at hand lies */
        uint16_t day;
        uint8_t
            gave_date; /* to the row that normalize_hot or normalize_full took last: it states no date of its own */
    } event;
    int64_t note_day; /* the day that note_day_is_even was asked of last */
    uint8_t note_day_known, note_day_even;
    struct id_print id;      /* the same, where ids are kept (keeps_ids) */
    uint64_t id_status_hash; /* of the status with this number */
    uint16_t id_status;
    struct row_note note; /* of the row that normalize_hot took last, where the job counts (job_counts) */
};
enum { NORM_STRIP_MAX = 65536 };
enum err norm_scratch_init(struct norm_scratch *scratch, struct diag *diag);
void norm_scratch_fini(struct norm_scratch *scratch);

struct normalizer;

/* Finds a column of the source by name: its number, or -1. */
typedef int column_find_fn(void *context, const char *name);

/* Compiles the side's field rules against a header. ERR_INPUT with the file's name when a wanted column is
 * not there. */
/* `occurrence`: the id's columns where the job names none (a table's primary key); NULL at the end, may be
 * NULL. */
enum err normalizer_open(struct normalizer **out, const struct norm_shared *shared, enum side side,
                         const char *file, const char *const *occurrence, column_find_fn *find, void *context,
                         struct diag *diag);
/* The same for one kind of a bill's rows; `charset` is iconv's name of the file's, NULL for UTF-8; `date` is
 * the file's own, for times without a year, or DAY_NONE. */
struct norm_rows {
    const struct row_type *type;
    const char *charset;
    uint16_t date;
};
enum err normalizer_open_rows(struct normalizer **out, const struct norm_shared *shared, enum side side,
                              const struct norm_rows *rows, const char *file, column_find_fn *find,
                              void *context, struct diag *diag);
void normalizer_close(struct normalizer *normalizer);
/* The source columns that normalize_* wants as cells[0..count). */
const int *normalizer_columns(const struct normalizer *normalizer, int *count);
struct record_layout normalizer_layout(const struct normalizer *normalizer);
/* 1 when no row has a text field: there is neither a column nor a constant. */
int normalizer_lacks(const struct normalizer *normalizer, unsigned field);
/* That of every normalizer of a side. */
struct record_layout normalizer_layout_of(const struct job *job, enum side side);

/* Fills `record` (RECORD_VAR_MAX + 64 bytes of room) except hash of images' fold bytes and place, which the
 * caller sets. `*bad_cell` is the index of the cell that is to blame, or -1. */
enum reject_code normalize_hot(const struct normalizer *normalizer, struct norm_scratch *scratch,
                               const struct cell *cells, struct record *record, int *bad_cell);
/* Before the rows of a log's event: its time, epoch seconds (0: it has none). Where the job maps a time or a bill date and a row states
 * neither, its bill date is the event's. Given back: the bill date of such rows. */
uint16_t normalize_event(const struct normalizer *normalizer, struct norm_scratch *scratch, uint32_t seconds);
/* The same for a usual row of a plain source that lies between separators: column c is bytes[seps[c - 1] + 1,
 * seps[c]). 0 when it is anything else: then normalize_hot says what it is. */
int normalize_plain(const struct normalizer *normalizer, struct norm_scratch *scratch, const uint8_t *bytes,
                    const uint32_t *seps, struct record *record);
/* A log's usual row: what normalize_hot would make of it, not yet in a record. */
struct image_row {
    uint64_t hash;
    int64_t amount_micro;
    struct span key, occurrence; /* in the cells, or in the texts below */
    uint16_t day, status, channel, flags;
    uint8_t currency;
    char key_text[CELL_NUMBER_MAX], occurrence_text[CELL_NUMBER_MAX];
};
enum { IMAGE_KEY_MAX = 1024 };
/* The same for an image whose columns are all there: `columns` are the source's, not those wanted. 0 when anything about
 * it is unusual: then normalize_hot has the last word. */
int normalize_image(const struct normalizer *normalizer, struct norm_scratch *scratch,
                    const struct cell *columns, struct image_row *row);
/* 1 when the images before and after a change are surely of the same row, under the same key. 0: it takes a look
 * (normalize_same_identity). */
int normalize_image_stays(const struct normalizer *normalizer, const struct cell *before,
                          const struct cell *after);
/* `record` has room for image_row_units(row). `fold`: see record.h; place is the caller's. */
static inline uint32_t image_row_units(const struct image_row *row)
{
    return record_units((uint32_t)(RECORD_FOLD_BYTES + row->key.size + 2 + row->occurrence.size));
}
static inline void image_row_put(const struct image_row *row, const uint32_t fold[3], struct record *record)
{
    record->hash_lo = (uint32_t)row->hash;
    record->hash_hi = (uint32_t)(row->hash >> 32);
    record->amount_micro = row->amount_micro;
    record->day = row->day;
    record->key_size = (uint16_t)row->key.size;
    record->status = row->status;
    record->channel = row->channel;
    record->flags = row->flags;
    record->currency = row->currency;
    memcpy(record->var, fold, RECORD_FOLD_BYTES);
    uint8_t *to = record->var + RECORD_FOLD_BYTES;
    short_copy(to, row->key.data, row->key.size);
    to += row->key.size;
    const uint16_t size = (uint16_t)row->occurrence.size;
    memcpy(to, &size, 2);
    short_copy(to + 2, row->occurrence.data, size);
}
/* The hash of the first key that normalize_hot gives a record, made of its whole fields: the same in every run with the same seed.
 * 0: it cannot be told (another channel's, or a key of dates and amounts); UINT64_MAX: it has no first key. */
uint64_t normalize_key_print(const struct norm_shared *shared, const struct full *full);
/* The same of a later key (from 0): made of whole fields only. 0: a part of it is empty. */
uint64_t normalize_later_print(const struct job *job, uint64_t seed, const struct full *full, int key_index);
/* Whether the job's `where` lets a row in; 1 always where there is none (normalizer_filters 0). normalize_hot and
 * normalize_full answer REJECT_NOT_OURS to the others. */
int normalizer_filters(const struct normalizer *normalizer);
int normalizer_wants(const struct normalizer *normalizer, struct norm_scratch *scratch,
                     const struct cell *cells);
/* Of an image: key, hash and occurrence id only, which say what row it is. `record` gets no amount, no date,
 * no currency. */
enum reject_code normalize_identity(const struct normalizer *normalizer, struct norm_scratch *scratch,
                                    const struct cell *cells, struct record *record);
/* 1 when two images stand under the same key and occurrence id. */
int normalize_same_identity(const struct normalizer *normalizer, const struct record *a,
                            const struct record *b);
/* Fills `full` except place, record_flags, key; memory from `arena`. REJECT_WORDS with an arena out of memory
 * cannot be told apart by code:
 * `*no_memory` is set then. */
enum reject_code normalize_full(const struct normalizer *normalizer, struct norm_scratch *scratch,
                                const struct cell *cells, struct arena *arena, struct full *full,
                                int *bad_cell, int *no_memory);
/* The same of some fields: those that `fields` has a bit for (1 << field), status, occurrence id and sigma's. Other texts are empty, and so are the
 * canonical bytes; full->text_size says how many bytes the row's cells have. For rows that are only looked at: it has no verdict to be
 * given. */
enum reject_code normalize_some(const struct normalizer *normalizer, struct norm_scratch *scratch,
                                const struct cell *cells, uint64_t fields, struct arena *arena,
                                struct full *full, int *bad_cell, int *no_memory);
/* Appends what `plan` wants of a row to `list`, except place and line, without making all of it. 1: done; 0: the
 * row is not usual (or no record), and nothing is appended: normalize_full has the last word; -1: memory is out.
 * With `all_there` 0 only those cells are there that normalize_lean_wants names; after a 0 it wants all of them. */
enum { LEAN_CELLS = 2 * FIELD_SLOTS + 8 };
int normalize_lean(const struct normalizer *normalizer, struct norm_scratch *scratch,
                   const struct cell *cells, int all_there, const struct lean_plan *plan,
                   struct lean_list *list);
/* The cells of a usual row that normalize_lean looks at. 0: all. */
unsigned normalize_lean_wants(const struct normalizer *normalizer, const struct lean_plan *plan,
                              int wanted[LEAN_CELLS]);
/* The same of a row that lies between separators, as normalize_plain takes one, whose texts are shown as they stand there: a
 * column's number, or a constant, for each of them. 0 where some field wants more: then normalize_lean does it.
 * `columns`: where the cells of normalizer_columns lie. */
enum { LEAN_SLACK = 32 /* bytes behind a row that may be read */ };
struct lean_columns {
    int time, currency, amount, direction, occurrence; /* -1: none */
    unsigned count, order_count;
    size_t constant_size; /* of all of them */
    struct lean_column {
        int column; /* -1: the constant */
        struct span constant;
    } texts[LEAN_CELLS];
};
int normalize_lean_columns(const struct normalizer *normalizer, const struct lean_plan *plan,
                           const int *columns, struct lean_columns *out);
/* As normalize_lean. */
int normalize_lean_plain(const struct normalizer *normalizer, struct norm_scratch *scratch,
                         const uint8_t *bytes, const uint32_t *seps, size_t row_size,
                         const struct lean_columns *columns, struct lean_list *list);
/* 1 when clocks were not changed on a day (since 1970) of a zone. */
int note_day_is_even(struct norm_scratch *scratch, const struct zone *zone, int64_t day);
/* The note of a whole record, as normalize_hot made it of its row. */
void normalize_note(const struct job *job, const struct full *full, struct row_note *note);
/* Sets full->key to the tuple of key `key_index` (from 0); data NULL when a part is empty. 0 when memory is
 * out. */
int normalize_key(const struct job *job, int key_index, struct arena *arena, struct full *full);
/* The same for the first key that is not empty, with its number before it; sets full->key_no too. */
int normalize_first_key(const struct job *job, struct arena *arena, struct full *full);
/* The same for what the records of a pool of subset_sum share; never NULL. */
int normalize_pool(const struct job *job, struct arena *arena, struct full *full);

#endif
