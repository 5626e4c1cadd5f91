/* core/config/job.h: a job, as the operator wrote it, checked and with every default filled in.
 *
 *     job_load (from YAML)  or  job_from_diff (from diff's options)
 *       job_close
 *
 * Nothing here knows how it is run: core/engine/plan.h makes counts and buffers of it. All text is
 * NUL-terminated and owned by the job; it never changes after loading, so any thread may read it.
 */
#ifndef TIEOUT_CORE_CONFIG_JOB_H
#define TIEOUT_CORE_CONFIG_JOB_H

#include "core/base/arena.h"
#include "core/base/diag.h"
#include "core/model/aggregate.h"
#include "core/model/day.h"
#include "core/model/money.h"
#include "core/model/words.h"
#include <stdint.h>

enum {
    KEYS_MAX = 8,
    KEY_PARTS_MAX = 6,
    STATUS_WORDS_MAX = 64,
    OCCURRENCE_PARTS_MAX = 4,
    LAYOUT_COLUMNS_MAX = 1024,
    ACCEPT_MAX = 64,
    ROW_TYPES_MAX = 12, /* kinds of rows a bill tells apart */
    PARTS_MAX = 4,      /* sources that make up one side */
    CONDITIONS_MAX = 4,
    PLUS_MAX = 6,   /* columns that are added to a fee */
    TOTALS_MAX = 24 /* counts and sums that a bill's trailer states */
};

enum source_kind {
    SOURCE_FILES,
    SOURCE_BINLOG,  /* log files */
    SOURCE_REPLICA, /* what `tieout capture` wrote of a server's log */
    SOURCE_QUERY    /* a server's table as it is when the run begins */
};
/* 1: rows are images of a table's rows, of all days, told by a log. */
static inline int source_tells_images(enum source_kind kind)
{
    return kind != SOURCE_FILES;
}
/* Its rows lie in events that say when they were written. A query's rows are all written when it is asked. */
static inline int source_logs_events(enum source_kind kind)
{
    return kind == SOURCE_BINLOG || kind == SOURCE_REPLICA;
}
enum format_kind { FORMAT_CSV, FORMAT_FIXED };
/* Hundredths: two decimals are implied whatever the currency, as in PayPal's reports. */
enum amount_unit { UNIT_MAJOR, UNIT_MINOR, UNIT_HUNDREDTHS };
/* What the sign of a number says. Positive and negative: any other sign is a reject. Cost: a fee, where what
 * we pay is written without a sign; it is negative here. */
enum number_sign { SIGN_UNSAID, SIGN_SIGNED, SIGN_POSITIVE, SIGN_NEGATIVE, SIGN_COST };
/* MMDDhhmmss has no year: it is that of the day nearest to the file's date. */
enum time_format { TIME_ANY, TIME_MMDDHHMMSS };

/* One `from: to` of a map; `from` is compared by its bytes after the profile's strip rules. */
struct map_entry {
    const char *from, *to;
};

/* Where a canonical field comes from. A field with neither column nor constant is absent on that side. */
struct field_rule {
    const char *column; /* header name, or binlog column name; NULL when there is none */
    const char *debit;  /* amount and fee only: a debit and a credit column instead of `column` */
    const char *credit;
    const char *constant; /* a fixed value, e.g. currency: CNY */
    /* currency: that of the record of the side's first part whose biz_order_no stands in `column`. */
    int of_order;
    enum amount_unit unit;
    /* Characters taken out of the cell before it is read, e.g. "," or "\t`"; NULL for none. */
    const char *strip;
    char
        decimal; /* amount and fee: ',' where decimals stand behind a comma; else they stand behind a point */
    struct map_entry *map;
    int map_count;
    const char *map_other; /* the map's `other` word; NULL: a word outside the map is a reject */
    const char **aliases;  /* other names of `column`, tried in this order; NULL at the end; may be NULL */
    const char *none;      /* a cell with this word is empty; NULL: no such word */
    enum number_sign sign;
    int unit_said; /* a profile must say unit and sign; a job's plain CSV is in major units unless it says so */
    /* fee: columns that are added to `column`, where the file has them; NULL at the end. And two columns that must
     * hold the same word (currencies), or there is no fee; NULL: none. */
    const char **plus;
    const char *same[2];
    /* amount and fee: a letter that says debit or credit, in a column of its own, or before the digits
     * (mark_column NULL). NULL: none. */
    const char *mark_column, *mark_debit, *mark_credit;
    enum time_format time_format;
    /* trade_time: a column that says the offset of the zone, through a map of names to "+HH:MM". */
    const char *zone_column;
    struct map_entry *zones;
    int zone_count;
    int optional; /* 1: the column may be missing from the file's header; then the field is absent (diff) */
    int line, column_no; /* place in the job file; 0 for diff */
};

struct layout { /* csv */
    enum format_kind format;
    char delimiter; /* one byte, default ',' */
    char quote;     /* '"'; 0 for none */
    int has_header; /* 1: columns by header name; 0: `columns` below names them */
    const char **columns;
    int column_count;
    int skip_lines;      /* preamble lines before the header */
    const char *comment; /* lines that start with this are comments; NULL for none */
};

struct yaml_node;
/* ---- bills: what a profile says (core/config/profiles/README.md) ---- */

/* One kind of row: which rows are of it, and what their columns mean. */
struct row_type {
    const char *name;  /* payment, refund, ... */
    const char **when; /* words of the type column, UTF-8; when_count 0: every row */
    int when_count;
    int is_excluded; /* rows of this kind are records that meet nobody: class excluded */
    struct field_rule fields[FIELD_SLOTS];
    const char *occurrence[OCCURRENCE_PARTS_MAX];
    int occurrence_count;
};

/* A count or sum over rows of one file, that its trailer states too. */
struct total {
    const char *column;                    /* what is added up; NULL: rows are counted */
    int type;                              /* index of the row type that counts; -1: all of them */
    const char *where_column, *where_word; /* only rows with this word there; NULL: all */
    int non_zero;                          /* only rows where `where_column` is not zero */
    int is_absolute;                       /* the trailer states it without a sign */
};

enum trailer_kind {
    TRAILER_NONE,
    TRAILER_LINES, /* comment lines with numbers in them (Alipay) */
    TRAILER_TABLE, /* a row of titles and a row of values (WeChat Pay) */
    TRAILER_ROWS   /* rows of their own type, by the first cell (PayPal) */
};

/* A line of a trailer and the numbers in it; of a table, one column of it. */
struct trailer_line {
    const char *word;  /* the text that the line begins with; a title; a row's first cell */
    const char **text; /* TRAILER_LINES: count + 1 pieces, the first is `word` */
    int *totals;       /* indices into totals; -1: not looked at */
    int *cells;        /* TRAILER_ROWS: where the number stands, from 0; -1: in the last cell */
    int count;
    int by_report;  /* TRAILER_ROWS: the sums are of all files of the report */
    int group_cell; /* TRAILER_ROWS: the cell that names the group, or -1 */
};

/* Statements that are no lines of cells are made rows of first (io/format/statement.h). */
enum flatten_kind { FLATTEN_NONE, FLATTEN_CAMT, FLATTEN_MT940, FLATTEN_BAI2 };

struct bill_spec {
    const char *name, *title, *path; /* of the profile; path as messages show it */
    const char *charset;             /* iconv's name; NULL: UTF-8 */
    enum format_kind format;
    enum flatten_kind flatten;
    char delimiter, quote;
    char prefix;         /* each cell of a row begins with it; 0: none */
    char decimal;        /* ',': of amounts, fees and the trailer's numbers, unless a field says otherwise */
    const char *trim;    /* characters taken off both ends of a cell that is used; NULL: none */
    const char *comment; /* lines that begin so are no rows; NULL: none */
    const char **header; /* columns by which the header is found; header_count 0: there is none (fixed) */
    int header_count;
    const char *free_text; /* the column whose text may hold delimiters; NULL: none may */
    char guard;            /* ... if the cells of `guarded` then end with this byte, as they always do */
    const char **guarded;
    int guarded_count;
    /* Of a file without rows: text in the first lines of the summary that comes beside a bill; a member's value in the
     * channel's answer that there is no bill (io/format/answer.h). */
    const char **companion, **empty;
    int companion_count, empty_count;
    const char **columns; /* fixed: names and widths, in bytes */
    int *widths;
    int column_count;
    int gap;           /* fixed: bytes between two columns */
    int is_endless;    /* fixed: no line ends; a record begins where the one before ends */
    const char *entry; /* the bill's name in an archive that holds more, as a pattern; NULL: none is known */
    const char *name_date; /* the file's date is yymmdd behind this text in its name; NULL: none */
    const char *type_column;
    /* PayPal: the first cell says what a row is. The header has `header_mark` there, rows that are records
     * `row_mark`; all others are of the trailer or in `skip`. NULL: no such cell. */
    const char *header_mark, *row_mark;
    const char **skip;
    int skip_count;
    struct row_type types[ROW_TYPES_MAX];
    int type_count;
    enum trailer_kind trailer;
    struct total totals[TOTALS_MAX];
    int total_count;
    const char *group_column; /* sums are kept by the words of this column (currencies); NULL: one sum */
    struct trailer_line *lines;
    int line_count;
    const struct yaml_node *root; /* borrowed by the loader */
    const char *end_marker;       /* text of the comment line that ends the rows; NULL: none */
    const char *report_begin;     /* TRAILER_ROWS: the row that begins a report of several files */
};

struct reject_limit {
    uint64_t max_rows; /* used when ppm is 0 */
    uint32_t max_ppm;  /* share of the file's rows, in millionths: 0.5% = 5000 */
};

enum replica_start {
    START_SNAPSHOT, /* the table's rows as they are, and what is committed from then on */
    START_NOW,      /* what is committed from now on */
    START_OLDEST,   /* the oldest log that the server still has */
    START_POSITION, /* `start_text` is FILE:OFFSET */
    START_GTID      /* `start_text` is a set of GTIDs that are done */
};
enum replica_tls { REPLICA_TLS_OFF, REPLICA_TLS_REQUIRED, REPLICA_TLS_VERIFY };

/* A server to read from. */
struct replica_spec {
    const char *host; /* a path that begins with / is a socket's */
    uint16_t port;
    const char *user;
    const char *password; /* `env:NAME` or `file:PATH`; never the password itself */
    uint32_t server_id;   /* ours, as the server sees us */
    enum replica_tls tls;
    const char *ca;  /* file; NULL: the system's certificates */
    const char *dir; /* of the capture, relative to the job file */
    enum replica_start start;
    const char *start_text;
    uint64_t segment_bytes;
    uint64_t rate;     /* rows a second that a snapshot or query reads at most; 0: no limit */
    const char *where; /* SOURCE_QUERY: a condition in SQL, with {date} still in it; NULL: all rows */
};

/* Where a side's files come from (`tieout fetch`), and where they go. Secrets are never here: only where they are. */
enum { FETCH_ENV_MAX = 16 };
struct fetch_env {
    const char *name, *source; /* source: env:NAME, file:PATH or a plain text */
};
struct fetch_spec {
    int given;
    const char *
        *from; /* URLs or paths, with {date} and {yyyymmdd} still in them; NULL: the command brings them */
    int from_count;
    const char **command;
    int command_count;
    struct fetch_env env[FETCH_ENV_MAX]; /* for the command */
    int env_count;
    const char *to;                     /* the spool; relative to the job's directory */
    const char *user;                   /* may be NULL, as all that follow */
    const char *password, *token;       /* env:NAME or file:PATH */
    const char *key;                    /* SFTP: path of a private key; `password` is its passphrase */
    const char *host_key, *known_hosts; /* SFTP: SHA256:..., or a file in OpenSSH's format */
    const char *ca;                     /* TLS: certificates to trust instead of the system's */
    const char *checksum;   /* what is put behind the URL to get the file's checksum, e.g. .sha256 */
    int not_before_minutes; /* of the day after the bill date, in the job's zone; -1: at once */
    int deadline_s, stall_s, retry_first_s, retry_max_s;
    int trust_without_identity; /* trust_server_without_checking_identity */
    int line;
};

/* `column` holds one of the words; one that ends in * stands for all that begin so. */
struct condition {
    const char *column;
    const char **words;
    int word_count;
};

/* Whether a source's records were open before this task (core/config/carry.h). */
enum carried { CARRIED_NOT, CARRIED_OPEN, CARRIED_LATE };

struct source_spec {
    enum source_kind kind;
    enum carried carried;
    int dates_by_time; /* carried: the side's rows have no bill date of their own but by their time */
    int carried_fold;  /* the side is told by a log: carried records have room for what images have */
    const char *
        *patterns; /* globs, with {date} still in them, relative to `directory`; diff: one path, literally */
    int pattern_count;
    struct layout layout;         /* SOURCE_FILES */
    const char *database, *table; /* SOURCE_BINLOG, SOURCE_REPLICA: shop.payment_order */
    struct replica_spec
        replica; /* SOURCE_REPLICA, SOURCE_QUERY; a log's `server`: host NULL when there is none */
    const char *
        *columns; /* SOURCE_BINLOG: names, in order, for logs without names in their metadata; may be NULL */
    int column_count;
    const char *timezone; /* of naive times; defaults to the job's */
    struct field_rule fields[FIELD_SLOTS];
    /* The occurrence id: column names of this source; a tuple. Empty: for binlog the primary key, for the
     * channel's files the channel_order_no field if there is one, else none. */
    const char *occurrence[OCCURRENCE_PARTS_MAX];
    int occurrence_count;
    const char *
        *accept; /* a log: FILE@POSITION where the table may differ from what carried records were told as */
    int accept_count;
    const char *log_name;   /* one of several logs of a side: what its ids begin with; else NULL */
    struct bill_spec *bill; /* SOURCE_FILES: as a profile says; NULL: a plain CSV, as `layout` says */
    /* Rows of which not all of `where` holds are not this source's; those of which one of `exclude` holds are
     * records that meet nobody. */
    struct condition where[CONDITIONS_MAX], exclude[CONDITIONS_MAX];
    int where_count, exclude_count;
    struct reject_limit rejects;
    struct fetch_spec fetch;
    int line;                     /* of the section in the job file */
    int files_line, files_column; /* of the patterns in the job file; 0 for diff */
};

struct key_spec {
    unsigned parts[KEY_PARTS_MAX]; /* enum field, or FIELD_ATTR0 + i */
    int part_count;
};

struct tolerance {
    int64_t absolute_micro;
    int64_t ppm;
};

/* What the fees of the two sides have to do with each other (core/README.md, decision 28). */
enum fee_mode {
    FEES_IGNORE,
    FEES_COMPARE,
    FEES_NET,         /* the channel's amount is what its fee left of the local one */
    FEES_SCHEDULE,    /* compared; the local side's are computed */
    FEES_SCHEDULE_DAY /* sums of a day are held against what is computed of the day's amounts */
};
struct fee_schedule {
    int64_t rate_ppm;
    enum rounding rounding;
    int64_t min_micro, max_micro; /* max: INT64_MAX, no limit */
    int refunds_kept;             /* 1: of money that goes back no fee is returned */
};

/* Sets of records (decisions 29 to 33). */
struct partial_rules {
    int given;
    int key_index; /* of the parent's key */
    enum side whole;
    int over_refund_ignored;
};
struct group_rules {
    int given;            /* then keys[0] is the batch, and the only key */
    int gross;            /* the side whose fees are taken off; -1: none */
    unsigned count_field; /* of the other side: how many rows the gross side has; FIELD_SLOTS: not said */
};
struct subset_rules {
    int given;
    struct key_spec by;
    uint32_t parts, pool;
    uint64_t work;
};
/* A month that is exported once more at its end, and some days of leave. */
enum { IDS_KEEP_DAYS = 40 };
enum { SUBSET_PARTS_MAX = 32, SUBSET_POOL_MAX = 1000 };

struct rates;
struct fx_rules {
    const char *path; /* with {date} still in it, relative to the job's directory; NULL: no FX */
    enum rounding rounding;
    const struct rates *rates; /* borrowed, of the run that opened them; NULL before */
};

struct match_rules {
    struct key_spec keys[KEYS_MAX];
    int key_count;
    /* Compared fields besides amount, currency and direction, which always are. compare_count entries of enum
     * field / attr slots, in canonical order, each once. Never FIELD_AMOUNT, FIELD_CURRENCY, FIELD_DIRECTION.
     */
    unsigned compare[FIELD_SLOTS];
    int compare_count;
    struct tolerance amount_tolerance, fee_tolerance;
    int64_t budget_micro; /* of tolerance, per channel, currency and bill date; with has_budget */
    int has_budget;
    enum fee_mode fees;
    struct fee_schedule schedule;
    int splits, reversals;
    struct partial_rules partials;
    struct group_rules group;
    struct subset_rules subset;
    struct fx_rules fx;
    /* Days that the channel's bill date may lie before / after the local one. -1: no limit. */
    int window_before, window_after;
};

/* P0, of both sides, by normalized texts (core/README.md, decision 34). */
struct field_words {
    unsigned field;
    const char **words; /* one that ends in * stands for all that begin so */
    int word_count;
};
struct aside_rules {
    struct field_words test[CONDITIONS_MAX]; /* a record with one of these is test data */
    int test_count;
    const char **merchants; /* ours, sorted; others are alien */
    int merchant_count;
    struct key_spec sample_by;
    uint32_t sample_ppm; /* what is kept; with sampled */
    int sampled;
};

/* What tells the cells of aggregate.csv apart besides date, currency and direction (decision 37). */
struct aggregate_rules {
    int on; /* 0: nothing more is counted (diff) */
    int hour, dims[AGGREGATE_DIMS];
};

/* Rows whose id is all they have (interest, fees) often have the same one each month. */
enum ids_date { IDS_SAME_DATE, IDS_ANY_WITH_KEY, IDS_ANY_DATE };

struct job {
    struct arena arena;
    const char *path;      /* of the job file; NULL for diff */
    const char *directory; /* paths in the job are relative to it; "." for diff */
    const char *name;
    const char *channel_code; /* "" for diff, and where both sides have a column; else also the constant of
                                 sides without one */
    const char *biz_type;     /* may be NULL */
    const char *timezone;
    int cut_minutes;  /* 0..1439 */
    uint8_t currency; /* default currency; CURRENCY_NONE: a row without one is a reject */
    int is_trial;     /* a profile is tried on a file: notes of no interest then are left out */
    int is_diff;
    /* A side is one source or several parts (two tables of one database). sources: the first part, with the
     * fields and patterns of all, which is what the rules of matching look at. */
    struct source_spec sources[SIDES];
    struct source_spec *parts[SIDES];
    int part_count[SIDES];
    struct match_rules match;
    struct aside_rules aside;
    struct aggregate_rules aggregate;
    const char *attrs[ATTRS_MAX]; /* names */
    int attr_count;
    /* Status words that stand for money that moved. Default SUCCESS, REFUNDED; diff: every word but
     * PROCESSING, FAILED, CLOSED. */
    const char *monetary[STATUS_WORDS_MAX];
    int monetary_count;
    const char *non_monetary[STATUS_WORDS_MAX]; /* default PROCESSING, FAILED, CLOSED */
    int non_monetary_count;
    int suspense_threshold[SIDES];
    enum ids_date ids_date; /* a book: which bill dates a row that comes again may state */
    int ids_keep; /* a book: days for which occurrence ids are looked up again; 0: they are not kept. Default IDS_KEEP_DAYS */
    const char *out_dir; /* default "out"; relative to `directory`; diff: as it was asked */
    int write_match;
    const char *manifest; /* which files were admitted; relative to `directory`; NULL: nothing is kept */
};

/* Reads and checks a job file. Everything `tieout check` can know without reading data is checked here. The
 * job is NULL unless OK is returned. */
enum err job_load(struct job **out, const char *path, struct diag *diag);
/* The same of a text at hand; `path` is what messages call it, and paths in it are relative to the current folder. */
enum err job_load_text(struct job **out, const char *path, struct span text, struct diag *diag);
/* A job of which only the channel's side is meant, read as `profile` (a name, or the path of a .yaml file) says: for
 * looking at a bill without a job. */
enum err job_from_profile(struct job **out, const char *profile, const char *currency, const char *timezone,
                          struct diag *diag);
void job_close(struct job *job);

/* The field of a dimension of aggregates. */
enum field job_aggregate_field(int dim);
/* 1 when a side's rows are counted apart from their records: they are final as they are read, and some of what tells cells apart,
 * or a fee, stands in a column. */
int job_counts(const struct job *job, enum side side);
/* 1 when a side says fees, or they are computed. */
int job_has_fees(const struct job *job, enum side side);

/* 1 when records may end in sets: outputs then have a column for them. */
static inline int job_makes_sets(const struct job *job)
{
    const struct match_rules *m = &job->match;
    return m->splits || m->reversals || m->partials.given || m->group.given;
}
/* 1 when amount plus cost of the channel's record is what is matched. */
static inline int job_matches_gross(const struct job *job)
{
    return job->match.fees == FEES_NET;
}
/* 1 when deltas of matches may be fees. */
static inline int job_books_fees(const struct job *job)
{
    return job_matches_gross(job) || job->match.group.given;
}
/* 1 when a pair's row in match.csv says more than its two records have in common. */
static inline int job_match_is_odd(const struct job *job)
{
    return job_makes_sets(job) || job_matches_gross(job);
}
/* 1 when the fee of a source says money to the merchant, so that a cost is negative. */
static inline int fee_is_income(const struct field_rule *fee)
{
    return fee->sign != SIGN_UNSAID || fee->mark_debit || fee->debit;
}
/* The same of a side's normalized fees, by its own fields or by those of its bill's rows. */
int job_fee_is_income(const struct job *job, enum side side);

/* 1 when a record with this status word moved money: every word but those in `non_monetary`, so that a word
 * nobody declared is shown rather than set aside. The loader takes care that a job file's words are declared.
 * Empty counts as monetary. */
int job_status_is_monetary(const struct job *job, struct span status);

/* Outputs among the inputs would be read as inputs tomorrow. The pattern, and its side, that looks into
 * `out_dir` (relative to `base`) or into a folder above it; NULL when there is none. The folder of the job
 * file, and those above, may hold both the inputs and the output folder. Loading checks the job's own
 * out_dir; an --out is for its command. */
const char *job_out_dir_clash(const struct job *job, const char *base, const char *out_dir, enum side *side);

/* What `diff` was asked, before job_from_diff makes a job of it. All text is borrowed from argv. */
struct diff_request {
    const char *local_path, *channel_path;
    const char *key, *amount, *compare; /* "a,b:c" lists; LOCALNAME:CHANNELNAME where the names differ */
    const char *currency, *timezone, *out_dir;
    const char *max_rejects; /* NULL for none */
    int write_match;
};
/* The same checks as a job file gets, in words about options; ERR_USAGE. Neither file is opened. */
enum err job_from_diff(struct job **out, const struct diff_request *request, struct diag *diag);

/* Reads "50" or "0.5%" (at most four decimals). 0 when it is neither. */
int job_reject_limit_parse(const char *text, struct reject_limit *limit);

/* Name of a field slot in this job: "status", or the attr's own name. */
const char *job_field_name(const struct job *job, unsigned slot);
/* Where `tieout fetch` brings a side's files of a bill date ("2026-11-19"), and where it notes that the channel itself said that there is no
 * bill for that date: only then is a day without files an empty day. 0: the path is too long. */
#define JOB_NO_BILL ".no-bill"
int job_spool_path(const struct job *job, const struct fetch_spec *fetch, const char *date, char *out,
                   size_t room);
int job_no_bill_path(const struct job *job, const struct fetch_spec *fetch, const char *date, char *out,
                     size_t room);

#endif
