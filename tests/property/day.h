/* tests/property/day.h: a seeded day on which everything goes wrong.
 *
 *     day_open, day_write any number of times, day_close
 *
 * A small key space makes duplicates, conflicts, tolerance chains, ambiguous sets, day cuts and second keys
 * meet in one day. The rows are spelled once, as bytes, so that however they are shuffled and split over
 * files each row stays the same.
 *
 * Memory: the day owns all of it; `job` points into the day. The same seed makes the same day on every
 * machine.
 */
#ifndef TIEOUT_TESTS_PROPERTY_DAY_H
#define TIEOUT_TESTS_PROPERTY_DAY_H

#include "tests/oracle/oracle_diff.h"

struct day_side {
    struct text preamble, header;
    int has_no_header;
    struct text *rows; /* without line ends; a few are blank */
    int count;
    int has_crlf, has_bom, has_no_last_newline;
};

struct day {
    uint64_t seed;
    int is_diff; /* a diff's day, else a job's */
    struct oracle_diff diff;
    struct oracle_job job;                    /* what the oracle is to do */
    char key[256], amount[128], compare[512]; /* diff's options; compare may be "" */
    const char *currency, *timezone;          /* diff's options; NULL: not given */
    const char *date;                         /* of run */
    struct day_side sides[ORACLE_SIDES];
    int is_rules, is_open; /* see enum day_kind */
    char rates[8192];      /* the table of rates; empty: none */
    char words[200][48];   /* what `job` points to */
    int word_count;
};

struct day_road {
    uint64_t shuffle;        /* 0: as generated */
    int parts[ORACLE_SIDES]; /* files per side; 0 and 1: one */
    int is_doubled;          /* every file once more, under another name */
};

enum day_kind {
    DAY_PLAIN,
    DAY_RULES, /* a job's, with fees, currencies, sets, settlements, budgets, proposals and what is set aside */
    DAY_OPEN   /* the same with what tieout is known to do otherwise */
};
/* `payments`: 0 for a small day of the seed's own size. */
struct day *day_open(uint64_t seed, int payments, enum day_kind kind);
/* The same day with the sides changed; NULL where a job cannot say so, or its rules know the sides apart. */
struct day *day_swap(const struct day *day);
void day_close(struct day *day);

int day_file_count(const struct day_road *road, int side);
/* The bytes of part `part` of a side's rows, as the road has them. */
struct text day_file(const struct day *day, int side, const struct day_road *road, int part);
/* Writes DIR/local-0.csv ..., DIR/channel-0.csv ... and, for a job's day, DIR/job.yaml. 0, or -1 with errno.
 */
int day_write(const struct day *day, const struct day_road *road, const char *directory);
/* The job file, for a job's day. */
struct text day_yaml(const struct day *day);

#endif
