/* tests/oracle/oracle_diff.h: what `tieout diff` was asked, as a job for the oracle.
 *
 * `diff` holds the job and the words it points to; it must stay where it is while the job is used.
 */
#ifndef TIEOUT_TESTS_ORACLE_ORACLE_DIFF_H
#define TIEOUT_TESTS_ORACLE_ORACLE_DIFF_H

#include "tests/oracle/oracle.h"

enum { DIFF_WORDS_MAX = 64, DIFF_WORD_MAX = 96 };
struct oracle_diff {
    struct oracle_job job;
    char words[DIFF_WORDS_MAX][DIFF_WORD_MAX];
    int word_count;
};

/* Lists as on the command line: "a,b:c". `compare` may be NULL. 1, or 0 when there is no sense in them. */
int oracle_diff_init(struct oracle_diff *diff, const char *key, const char *amount, const char *compare);
/* A further key, which diff itself does not have. */
int oracle_diff_add_key(struct oracle_diff *diff, const char *key);

#endif
