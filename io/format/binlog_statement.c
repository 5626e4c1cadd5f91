/* io/format/binlog_statement.c: what a statement in the log does, as far as rows go (binlog_event.h).
 *
 * No SQL parser: words, quoted words and dots. Where it cannot tell, it says that the text may change rows,
 * and that a watched table is named, since a stop is better than a change that nobody saw.
 */
#include "io/format/binlog_event.h"
#include "io/format/binlog_words.h"
#include <strings.h>

static int is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

static struct token scan_quoted(struct scanner *s, char quote)
{
    const char *begin = s->at;
    while (s->at < s->end) {
        if (*s->at == '\\' && quote != '`' && !s->no_escapes && s->at + 1 < s->end) {
            s->at += 2;
        } else if (*s->at != quote) {
            s->at++;
        } else if (s->at + 1 < s->end && s->at[1] == quote) {
            s->at += 2;
        } else {
            break;
        }
    }
    struct token token = {quote == '\'' ? TOKEN_TEXT : TOKEN_NAME, {begin, (size_t)(s->at - begin)}};
    if (s->at < s->end)
        s->at++;
    return token;
}

struct token statement_scan(struct scanner *s)
{
    for (;;) {
        while (s->at < s->end && (unsigned char)*s->at <= ' ')
            s->at++;
        size_t left = (size_t)(s->end - s->at);
        if (left == 0)
            return (struct token){TOKEN_END, {s->at, 0}};
        if (*s->at == '#' ||
            (left >= 2 && s->at[0] == '-' && s->at[1] == '-' && (left == 2 || s->at[2] <= ' '))) {
            while (s->at < s->end && *s->at != '\n')
                s->at++;
        } else if (left >= 2 && s->at[0] == '/' && s->at[1] == '*') {
            /* What stands in a comment with `!` is run by the server, so it is read like the rest. */
            if (left >= 3 && (s->at[2] == '!' || (s->at[2] == 'M' && left >= 4 && s->at[3] == '!'))) {
                s->at += s->at[2] == '!' ? 3 : 4;
                while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
                    s->at++;
                continue;
            }
            const char *close = memmem(s->at + 2, left - 2, "*/", 2);
            s->at = close ? close + 2 : s->end;
        } else if (left >= 2 && s->at[0] == '*' && s->at[1] == '/') {
            s->at += 2;
        } else {
            break;
        }
    }
    char c = *s->at;
    if (c == '\'' || c == '"' || c == '`') {
        s->at++;
        return scan_quoted(s, c);
    }
    const char *begin = s->at++;
    if (!is_word(c))
        return (struct token){TOKEN_SIGN, {begin, 1}};
    while (s->at < s->end && is_word(*s->at))
        s->at++;
    return (struct token){TOKEN_WORD, {begin, (size_t)(s->at - begin)}};
}

static int same(struct span a, const char *b)
{
    return a.size == strlen(b) && strncasecmp(a.data, b, a.size) == 0;
}

int statement_is(struct token token, const char *word)
{
    return token.kind == TOKEN_WORD && same(token.text, word);
}

static int names_table(struct scanner s, struct span database, const struct binlog_watch *watch)
{
    struct token before = {TOKEN_END, {NULL, 0}}, qualifier = before;
    for (struct token t = statement_scan(&s); t.kind != TOKEN_END; t = statement_scan(&s)) {
        int dotted = before.kind == TOKEN_SIGN && *before.text.data == '.';
        if ((t.kind == TOKEN_WORD || t.kind == TOKEN_NAME) && same(t.text, watch->table)) {
            if (dotted ? same(qualifier.text, watch->database)
                       : database.size == 0 || same(database, watch->database))
                return 1;
        }
        if (t.kind != TOKEN_SIGN || *t.text.data != '.')
            qualifier = t;
        before = t;
    }
    return 0;
}

/* Which watched table does the text name? Case does not count here, since on some servers it does not. Where
 * it depends on the session's sql_mode what is quoted, the text is read both ways. */
static int find_watched(struct span database, struct span text, const struct binlog_options *options)
{
    int backslash = memchr(text.data, '\\', text.size) != NULL;
    for (int i = 0; i < options->watch_count; i++) {
        for (int no_escapes = 0; no_escapes <= backslash; no_escapes++) {
            struct scanner s = {text.data, text.data + text.size, no_escapes};
            if (names_table(s, database, &options->watch[i]))
                return i;
        }
    }
    return -1;
}

static int names_word(struct span text, const char *word)
{
    struct scanner s = {text.data, text.data + text.size, 0};
    for (struct token t = statement_scan(&s); t.kind != TOKEN_END; t = statement_scan(&s))
        if (statement_is(t, word))
            return 1;
    return 0;
}

/* The renames of gh-ost and pt-online-schema-change put a copy with the same rows in the table's place; they
 * are told by the copy's name: _TABLE_gho, _TABLE_new. */
static int renames_a_copy(struct span text, const char *table)
{
    struct scanner s = {text.data, text.data + text.size, 0};
    size_t size = strlen(table);
    for (struct token t = statement_scan(&s); t.kind != TOKEN_END; t = statement_scan(&s)) {
        if ((t.kind != TOKEN_WORD && t.kind != TOKEN_NAME) || t.text.size != size + 5 ||
            *t.text.data != '_' || strncasecmp(t.text.data + 1, table, size) != 0)
            continue;
        if (strncasecmp(t.text.data + 1 + size, "_gho", 4) == 0 ||
            strncasecmp(t.text.data + 1 + size, "_new", 4) == 0)
            return 1;
    }
    return 0;
}

static enum statement_kind kind_of_xa(struct token second)
{
    if (statement_is(second, "START") || statement_is(second, "BEGIN"))
        return STATEMENT_XA_START;
    if (statement_is(second, "END"))
        return STATEMENT_XA_END;
    if (statement_is(second, "PREPARE"))
        return STATEMENT_XA_PREPARE;
    if (statement_is(second, "COMMIT"))
        return STATEMENT_XA_COMMIT;
    if (statement_is(second, "ROLLBACK"))
        return STATEMENT_XA_ROLLBACK;
    return STATEMENT_CHANGES;
}

/* ALTER IGNORE: rows that a new unique key would refuse go away, and none is logged. */
static int drops_repeats(struct span text)
{
    struct scanner s = {text.data, text.data + text.size, 0};
    int ignores = 0;
    for (struct token t = statement_scan(&s); t.kind != TOKEN_END && !statement_is(t, "TABLE");
         t = statement_scan(&s))
        ignores |= statement_is(t, "IGNORE");
    return ignores && (names_word(text, "UNIQUE") || names_word(text, "PRIMARY"));
}

static enum statement_kind kind_of_alter(struct span text)
{
    if (drops_repeats(text))
        return STATEMENT_ERASES;
    static const char *const erasing[] = {"RENAME", "TRUNCATE", "EXCHANGE", "DISCARD", "IMPORT"};
    /* RENAME COLUMN and RENAME INDEX keep the rows; DROP erases only with PARTITION behind it. */
    struct scanner s = {text.data, text.data + text.size, 0};
    for (struct token t = statement_scan(&s); t.kind != TOKEN_END; t = statement_scan(&s)) {
        if (t.kind != TOKEN_WORD)
            continue;
        struct scanner ahead = s;
        struct token next = statement_scan(&ahead);
        if (statement_is(t, "DROP") && statement_is(next, "PARTITION"))
            return STATEMENT_ERASES;
        for (size_t i = 0; i < sizeof erasing / sizeof *erasing; i++)
            if (statement_is(t, erasing[i]) && !statement_is(next, "COLUMN") &&
                !statement_is(next, "INDEX") && !statement_is(next, "KEY"))
                return STATEMENT_ERASES;
    }
    return STATEMENT_DDL;
}

void binlog_statement_read(struct statement *statement, struct span database, struct span text,
                           const struct binlog_options *options)
{
    statement->kind = STATEMENT_OTHER;
    statement->watch_index = -1;
    statement->starts_transaction = 0;
    statement->savepoint = (struct span){NULL, 0};
    /* By far the most statements of a row-based log are these two. */
    if (text.size == 5 && memcmp(text.data, "BEGIN", 5) == 0) {
        statement->kind = STATEMENT_BEGIN;
        return;
    }
    if (text.size == 6 && memcmp(text.data, "COMMIT", 6) == 0) {
        statement->kind = STATEMENT_COMMIT;
        return;
    }
    struct scanner s = {text.data, text.data + text.size, 0};
    struct token first = statement_scan(&s);
    while (first.kind == TOKEN_SIGN && (*first.text.data == '(' || *first.text.data == ';'))
        first = statement_scan(&s);
    struct token second = statement_scan(&s), third = second;
    if (second.kind != TOKEN_END)
        third = statement_scan(&s);
    enum statement_kind kind;
    if (first.kind == TOKEN_END)
        kind = STATEMENT_OTHER;
    else if (statement_is(first, "BEGIN") ||
             (statement_is(first, "START") && statement_is(second, "TRANSACTION")))
        kind = STATEMENT_BEGIN;
    else if (statement_is(first, "COMMIT"))
        kind = STATEMENT_COMMIT;
    else if (statement_is(first, "ROLLBACK"))
        kind = statement_is(second, "TO") || (statement_is(second, "WORK") && statement_is(third, "TO"))
                   ? STATEMENT_ROLLBACK_TO
                   : STATEMENT_ROLLBACK;
    else if (statement_is(first, "SAVEPOINT"))
        kind = STATEMENT_SAVEPOINT;
    else if (statement_is(first, "RELEASE"))
        kind = STATEMENT_RELEASE;
    else if (statement_is(first, "SET") && statement_is(second, "STATEMENT"))
        /* MariaDB: SET STATEMENT variable = value FOR any statement. */
        kind = STATEMENT_CHANGES;
    else if (statement_is(first, "SET") || statement_is(first, "GRANT") || statement_is(first, "REVOKE") ||
             statement_is(first, "FLUSH") || statement_is(first, "ANALYZE") ||
             statement_is(first, "OPTIMIZE") || statement_is(first, "REPAIR") ||
             statement_is(first, "INSTALL") || statement_is(first, "UNINSTALL") ||
             statement_is(first, "USE") || statement_is(first, "KILL"))
        kind = STATEMENT_OTHER;
    else if (statement_is(first, "XA"))
        kind = kind_of_xa(second);
    else if (statement_is(first, "TRUNCATE") || statement_is(first, "RENAME"))
        kind = STATEMENT_ERASES;
    else if (statement_is(first, "ALTER"))
        kind = statement_is(second, "TABLE") || statement_is(second, "ONLINE") ||
                       statement_is(second, "IGNORE") || statement_is(second, "OFFLINE")
                   ? kind_of_alter(text)
                   : STATEMENT_OTHER;
    else if (statement_is(first, "DROP"))
        kind = statement_is(second, "TABLE") || statement_is(second, "TABLES") ||
                       statement_is(second, "DATABASE") || statement_is(second, "SCHEMA")
                   ? STATEMENT_ERASES
                   : STATEMENT_OTHER;
    else if (statement_is(first, "CREATE")) {
        int replaces = statement_is(second, "OR");
        struct token what = replaces ? statement_scan(&s) : second;
        if (statement_is(what, "TABLE"))
            kind = names_word(text, "SELECT") ? STATEMENT_CHANGES
                   : replaces                 ? STATEMENT_ERASES
                                              : STATEMENT_DDL;
        else
            kind = STATEMENT_OTHER;
    } else
        kind = STATEMENT_CHANGES;
    statement->kind = kind;
    if (kind == STATEMENT_SAVEPOINT || kind == STATEMENT_ROLLBACK_TO || kind == STATEMENT_RELEASE) {
        /* The name is the last word of all three. */
        struct scanner t = {text.data, text.data + text.size, 0};
        for (struct token word = statement_scan(&t); word.kind != TOKEN_END; word = statement_scan(&t))
            if (word.kind == TOKEN_WORD || word.kind == TOKEN_NAME)
                statement->savepoint = word.text;
    }
    if (kind == STATEMENT_DDL && statement_is(first, "CREATE") && text.size > 17) {
        struct span tail = {text.data + text.size - 17, 17};
        statement->starts_transaction = same(tail, "START TRANSACTION");
    }
    if (kind == STATEMENT_DDL || kind == STATEMENT_CHANGES || kind == STATEMENT_ERASES)
        statement->watch_index = find_watched(database, text, options);
    if (kind == STATEMENT_ERASES && statement->watch_index >= 0 && statement_is(first, "RENAME") &&
        renames_a_copy(text, options->watch[statement->watch_index].table))
        statement->kind = STATEMENT_DDL;
    if (kind == STATEMENT_ERASES && statement_is(first, "DROP") &&
        (statement_is(second, "DATABASE") || statement_is(second, "SCHEMA"))) {
        for (int i = 0; i < options->watch_count; i++) {
            struct scanner t = {text.data, text.data + text.size, 0};
            for (struct token name = statement_scan(&t); name.kind != TOKEN_END; name = statement_scan(&t))
                if (same(name.text, options->watch[i].database))
                    statement->watch_index = i;
        }
    }
}

size_t binlog_xid_make(uint8_t out[XID_BYTES_MAX], uint32_t format, const uint8_t *global, size_t global_size,
                       const uint8_t *branch, size_t branch_size)
{
    if (global_size > 64 || branch_size > 64)
        return 0;
    memcpy(out, &format, 4);
    out[4] = (uint8_t)global_size;
    out[5] = (uint8_t)branch_size;
    memcpy(out + 6, global, global_size);
    memcpy(out + 6 + global_size, branch, branch_size);
    return 6 + global_size + branch_size;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* One part of the name: X'6162' as servers write it, or 'ab'. Returns its size, -1 when it is neither. */
static int xid_part(struct scanner *s, uint8_t out[64])
{
    struct token t = statement_scan(s);
    int hex = statement_is(t, "X");
    if (hex)
        t = statement_scan(s);
    if (t.kind != TOKEN_TEXT || t.text.size > (hex ? 128 : 64))
        return -1;
    if (!hex) {
        memcpy(out, t.text.data, t.text.size);
        return (int)t.text.size;
    }
    if (t.text.size % 2)
        return -1;
    for (size_t i = 0; i < t.text.size; i += 2) {
        int high = hex_digit(t.text.data[i]), low = hex_digit(t.text.data[i + 1]);
        if (high < 0 || low < 0)
            return -1;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return (int)t.text.size / 2;
}

size_t binlog_xid_read_text(uint8_t out[XID_BYTES_MAX], struct span text)
{
    uint8_t global[64], branch[64];
    int branch_size = 0;
    uint32_t format = 1;
    struct scanner s = {text.data, text.data + text.size, 0};
    statement_scan(&s), statement_scan(&s);
    int global_size = xid_part(&s, global);
    if (global_size < 0)
        return 0;
    struct token t = statement_scan(&s);
    if (t.kind == TOKEN_SIGN && *t.text.data == ',') {
        branch_size = xid_part(&s, branch);
        if (branch_size < 0)
            return 0;
        t = statement_scan(&s);
        if (t.kind == TOKEN_SIGN && *t.text.data == ',') {
            t = statement_scan(&s);
            if (t.kind != TOKEN_WORD || t.text.size > 10)
                return 0;
            uint64_t number = 0;
            for (size_t i = 0; i < t.text.size; i++) {
                if (t.text.data[i] < '0' || t.text.data[i] > '9')
                    return 0;
                number = number * 10 + (uint64_t)(t.text.data[i] - '0');
            }
            format = (uint32_t)number;
        }
    }
    return binlog_xid_make(out, format, global, (size_t)global_size, branch, (size_t)branch_size);
}
