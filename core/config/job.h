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
#include "core/model/day.h"
#include "core/model/words.h"
#include <stdint.h>

enum {
    KEYS_MAX = 8,
    KEY_PARTS_MAX = 6,
    STATUS_WORDS_MAX = 64,
    OCCURRENCE_PARTS_MAX = 4,
    LAYOUT_COLUMNS_MAX = 1024
};

enum source_kind {
    SOURCE_FILES,
    SOURCE_BINLOG, /* log files */
    SOURCE_REPLICA /* what `tieout capture` wrote of a server's log */
};
/* 1: rows are images of a table's rows, of all days, told by a log. */
static inline int source_tells_images(enum source_kind kind)
{
    return kind != SOURCE_FILES;
}
enum format_kind { FORMAT_CSV, FORMAT_FIXED };
enum amount_unit { UNIT_MAJOR, UNIT_MINOR };

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
    enum amount_unit unit;
    /* Characters taken out of the cell before it is read, e.g. "," or "\t`"; NULL for none. */
    const char *strip;
    struct map_entry *map;
    int map_count;
    const char *map_other; /* the map's `other` word; NULL: a word outside the map is a reject */
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

struct reject_limit {
    uint64_t max_rows; /* used when ppm is 0 */
    uint32_t max_ppm;  /* share of the file's rows, in millionths: 0.5% = 5000 */
};

enum replica_start {
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
};

struct source_spec {
    enum source_kind kind;
    const char *
        *patterns; /* globs, with {date} still in them, relative to `directory`; diff: one path, literally */
    int pattern_count;
    struct layout layout;         /* SOURCE_FILES */
    const char *database, *table; /* SOURCE_BINLOG, SOURCE_REPLICA: shop.payment_order */
    struct replica_spec replica;  /* SOURCE_REPLICA */
    const char *
        *columns; /* SOURCE_BINLOG: names, in order, for logs without names in their metadata; may be NULL */
    int column_count;
    const char *timezone; /* of naive times; defaults to the job's */
    struct field_rule fields[FIELD_SLOTS];
    /* The occurrence id: column names of this source; a tuple. Empty: for binlog the primary key, for the
     * channel's files the channel_order_no field if there is one, else none. */
    const char *occurrence[OCCURRENCE_PARTS_MAX];
    int occurrence_count;
    struct reject_limit rejects;
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

struct match_rules {
    struct key_spec keys[KEYS_MAX];
    int key_count;
    /* Compared fields besides amount, currency and direction, which always are. compare_count entries of enum
     * field / attr slots, in canonical order, each once. Never FIELD_AMOUNT, FIELD_CURRENCY, FIELD_DIRECTION.
     */
    unsigned compare[FIELD_SLOTS];
    int compare_count;
    struct tolerance amount_tolerance, fee_tolerance;
    /* Days that the channel's bill date may lie before / after the local one. -1: no limit. */
    int window_before, window_after;
};

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
    int is_diff;
    struct source_spec sources[SIDES];
    struct match_rules match;
    const char *attrs[ATTRS_MAX]; /* names */
    int attr_count;
    /* Status words that stand for money that moved. Default SUCCESS, REFUNDED; diff: every word but
     * PROCESSING, FAILED, CLOSED. */
    const char *monetary[STATUS_WORDS_MAX];
    int monetary_count;
    const char *non_monetary[STATUS_WORDS_MAX]; /* default PROCESSING, FAILED, CLOSED */
    int non_monetary_count;
    int suspense_threshold[SIDES];
    const char *out_dir; /* default "out"; relative to `directory`; diff: as it was asked */
    int write_match;
};

/* Reads and checks a job file. Everything `tieout check` can know without reading data is checked here. The
 * job is NULL unless OK is returned. */
enum err job_load(struct job **out, const char *path, struct diag *diag);
void job_close(struct job *job);

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

#endif
