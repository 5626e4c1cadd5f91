/* io/format/binlog_words.h: a statement's words (binlog_statement.c). Private to io/format.
 *
 * No SQL: words, quoted words, signs. Comments are passed over, but for those that the server runs.
 */
#ifndef TIEOUT_IO_FORMAT_BINLOG_WORDS_H
#define TIEOUT_IO_FORMAT_BINLOG_WORDS_H

#include "core/base/span.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_NAME /* in backticks or double quotes */,
    TOKEN_TEXT,
    TOKEN_SIGN
};

struct token {
    enum token_kind kind;
    struct span text; /* without its quotes; doubled quotes inside are left doubled */
};

struct scanner {
    const char *at, *end;
    int no_escapes; /* sql_mode NO_BACKSLASH_ESCAPES */
};

struct token statement_scan(struct scanner *s);
/* An unquoted word, whatever its case. */
int statement_is(struct token token, const char *word);

#endif
