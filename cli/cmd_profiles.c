/* cli/cmd_profiles.c: the built-in profiles: listed, shown, tried on a file; and a draft of a new one. */
#include "cli/cmd.h"
#include "cli/registry.h"
#include "core/base/mem.h"
#include "core/base/to_utf8.h"
#include "core/config/profile.h"
#include "io/format/csv.h"
#include "io/ring/sys.h"
#include "io/source/file_set.h"
#include "io/source/worker_io.h"
#include <fcntl.h>
#include <stdlib.h>

enum { SAMPLE_MAX = 64 * 1024, SAMPLE_LINES = 200, COLUMNS_SHOWN = 400, CALM_CHUNK = 256 * 1024 };

static int fail(const struct diag *diag)
{
    if (diag->err != OK)
        diag_print(diag, stderr);
    return (int)diag->err;
}

/* ---- list and show ---- */

int cmd_profiles(const struct options *options)
{
    struct diag diag = {0};
    if (options->argument_count == 0) {
        for (const struct profile_text *p = profile_texts; p->name; p++) {
            struct job *job = NULL;
            if (job_from_profile(&job, p->name, NULL, NULL, &diag) != OK)
                return fail(&diag);
            printf("%-18s %s\n", p->name, job->sources[CHANNEL].bill->title);
            job_close(job);
        }
        return OK;
    }
    const struct profile_text *text =
        strcmp(options->arguments[0], "show") == 0 ? profile_find(options->arguments[1]) : NULL;
    if (!text) {
        diag_set(&diag, ERR_USAGE, "profile", "tieout profiles lists them",
                 strcmp(options->arguments[0], "show") == 0 ? "there is no profile \"%s\""
                                                            : "profiles: \"%s\": expected show NAME",
                 options->arguments[strcmp(options->arguments[0], "show") == 0]);
        return fail(&diag);
    }
    fwrite(text->bytes, 1, text->size, stdout);
    return OK;
}

/* ---- which one fits ---- */

enum fit { FIT_YES, FIT_PART, FIT_NO };

/* A profile that was tried on a file, and what came of it. */
struct tried {
    const char *name;
    enum fit fit;
    uint64_t records, rejects;
    struct diag why; /* where something was wrong */
};

static enum err count_record(void *context, const struct full *row, struct diag *diag)
{
    struct tried *tried = context;
    (void)row;
    (void)diag;
    tried->records++;
    return OK;
}

/* Reads the whole file as a profile says. What went wrong is in `why`, and is no failure of the command. */
static enum err try_profile(const char *path, struct tried *tried, struct diag *diag)
{
    struct job *job = NULL;
    struct source_counts counts = {0};
    enum err err = job_from_profile(&job, tried->name, NULL, NULL, diag);
    if (err != OK)
        return err;
    struct span pattern = arena_copy(&job->arena, span_of(path));
    const char *patterns[1] = {pattern.data};
    job->sources[CHANNEL].patterns = patterns;
    job->sources[CHANNEL].pattern_count = 1;
    job->is_diff = 1; /* the path is a name, not a pattern */
    job->is_trial = 1;
    struct norm_shared shared;
    struct worker_io_config config = {.backend = RING_POSIX, .chunk = CALM_CHUNK, .depth = 1};
    struct worker_io *io = NULL;
    struct source *source = NULL;
    err = norm_shared_open(&shared, job, 1, DAY_NONE, diag);
    if (err == OK)
        err = worker_io_open(&io, &config, NULL, diag);
    if (err == OK) {
        struct source_config of_file = {
            .shared = &shared, .side = CHANNEL, .chunk = config.chunk, .workers = 1, .quiet = 1};
        const char *folder = getenv("TMPDIR");
        enum err tried_err = registry_source(&source, &of_file, &tried->why);
        if (tried_err == OK && source->ops->begin)
            tried_err = source->ops->begin(source, folder && *folder ? folder : "/var/tmp", &tried->why);
        if (tried_err == OK)
            tried_err = source->ops->scan(source, io, count_record, tried, &tried->why);
        if (source)
            source->ops->counts(source, &counts);
        tried->rejects = counts.rejects;
        /* Statements are read whole before their first row is made. */
        const int is_like =
            tried->records || strncmp(tried->why.code, "mt940.sum", 9) == 0 ||
            strncmp(tried->why.code, "mt940.cut", 9) == 0 || strncmp(tried->why.code, "camt.sum", 8) == 0 ||
            strncmp(tried->why.code, "bai2.sum", 8) == 0 || strncmp(tried->why.code, "bai2.cut", 8) == 0;
        tried->fit = tried_err != OK                   ? (is_like ? FIT_PART : FIT_NO)
                     : tried->rejects > tried->records ? FIT_NO
                                                       : FIT_YES;
        if (tried_err == ERR_MACHINE) {
            *diag = tried->why;
            err = tried_err;
        }
    }
    if (source)
        source->ops->close(source);
    worker_io_close(io);
    norm_shared_close(&shared);
    job_close(job);
    return err;
}

/* All of them, in their order. `*out` is taken with mem_take. */
static enum err try_all(const char *path, struct tried **out, int *count, struct diag *diag)
{
    *out = NULL;
    for (*count = 0; profile_texts[*count].name;)
        ++*count;
    struct stat st;
    if (stat(path, &st) != 0 && !strchr(path, '!'))
        return diag_set(diag, ERR_INPUT, "file.missing", "check the path", "%s: there is no such file", path);
    struct tried *all = *out = mem_take_zero((size_t)*count, sizeof *all);
    enum err err = all ? OK : mem_fail(diag, (size_t)*count * sizeof *all, "profiles");
    for (int i = 0; err == OK && i < *count; i++) {
        all[i].name = profile_texts[i].name;
        err = try_profile(path, &all[i], diag);
    }
    return err;
}

/* A reason without the name that every line would repeat. */
static const char *reason(const struct tried *tried, const char *path)
{
    const char *what = tried->why.what;
    size_t size = strlen(path);
    return strncmp(what, path, size) == 0 && strncmp(what + size, ": ", 2) == 0 ? what + size + 2 : what;
}

static void tell(const struct tried *tried, const char *path)
{
    static const char *const words[] = {"fits", "part", "no"};
    printf("%-4s %-18s ", words[tried->fit], tried->name);
    if (tried->fit == FIT_YES)
        printf("%llu records, %llu rows that cannot be read%s\n", (unsigned long long)tried->records,
               (unsigned long long)tried->rejects,
               tried->rejects ? "" : "; its trailer, if it has one, agrees");
    else if (tried->why.err == OK)
        printf("%llu of %llu rows cannot be read as records\n", (unsigned long long)tried->rejects,
               (unsigned long long)(tried->rejects + tried->records));
    else if (tried->fit == FIT_PART)
        printf("%llu records; %s\n", (unsigned long long)tried->records, reason(tried, path));
    else
        printf("%s\n", reason(tried, path));
}

enum err profiles_explain(const char *path, struct diag *diag)
{
    struct tried *all;
    int count, fitting = 0;
    enum err err = try_all(path, &all, &count, diag);
    for (int fit = FIT_YES; err == OK && fit <= FIT_NO; fit++)
        for (int i = 0; i < count; i++)
            if ((int)all[i].fit == fit) {
                tell(&all[i], path);
                fitting += fit == FIT_YES;
            }
    if (err == OK && !fitting)
        fprintf(stderr, "no profile fits: tieout profile new %s drafts one\n", path);
    mem_give(all);
    return err;
}

enum err profiles_find(const char **name, const char *path, struct diag *diag)
{
    struct tried *all;
    int count, fitting = 0, parts = 0;
    const char *part = NULL;
    *name = NULL;
    enum err err = try_all(path, &all, &count, diag);
    for (int i = 0; err == OK && i < count; i++) {
        if (all[i].fit == FIT_PART && ++parts)
            part = all[i].name;
        if (all[i].fit != FIT_YES)
            continue;
        if (++fitting > 1)
            fprintf(stderr, "note: it is a bill by %s and by %s: say which, --profile=%s\n", *name,
                    all[i].name, all[i].name);
        *name = all[i].name;
    }
    if (fitting != 1) /* one that begins well is read as far as it goes, and the reason is told then */
        *name = !fitting && parts == 1 ? part : NULL;
    mem_give(all);
    return err;
}

/* ---- a draft ---- */

struct hint {
    const char *field;
    const char *words[12];
};

/* Names that such columns have had. */
static const struct hint hints[] = {
    {"biz_order_no",
     {"商户订单号", "merchant_order_no", "out_trade_no", "order_no", "order_id", "merchant reference",
      "order", "invoice id", NULL}},
    {"channel_order_no",
     {"支付宝交易号", "微信订单号", "transaction_id", "transaction id", "trade_no", "psp reference",
      "payment id", "交易号", NULL}},
    {"merchant_no", {"商户号", "merchant_no", "mch_id", "merchant account", NULL}},
    {"trade_time",
     {"交易时间", "完成时间", "created_utc", "trade_time", "transaction date", "date", "time", "created",
      NULL}},
    {"currency", {"货币种类", "currency", "币种", NULL}},
    {"amount", {"订单金额", "金额", "gross", "amount", "total", NULL}},
    {"fee", {"手续费", "服务费", "fee", "commission", NULL}},
    {"status", {"交易状态", "status", "状态", NULL}},
};

static void put_yaml(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('"');
}

static const char *charset_of(const uint8_t *bytes, size_t size)
{
    static const char *const names[] = {"UTF-8", "GB18030"};
    /* Up to the last whole line, so that no character is cut. */
    while (size && bytes[size - 1] != '\n')
        size--;
    char *wide = mem_take(size * 4 + 1);
    const char *found = "LATIN1";
    for (int i = 0; wide && i < 2; i++) {
        struct to_utf8 conversion;
        to_utf8_open(&conversion);
        size_t n =
            to_utf8_convert(&conversion, names[i], (struct span){(const char *)bytes, size}, wide, size * 4);
        to_utf8_close(&conversion);
        if (n != SIZE_MAX) {
            found = names[i];
            break;
        }
    }
    mem_give(wide);
    return found;
}

/* The delimiter that gives most lines the same number of cells. Of those lines the header is the first that fills most of its cells: what
 * a bank or an acquirer writes above it fills a few, whatever its delimiters. */
static uint32_t find_header(const uint8_t *bytes, uint32_t size, struct csv_dialect *dialect,
                            struct cell *cells, uint8_t *scratch, uint32_t *columns)
{
    static const char delimiters[] = {',', '\t', ';', '|'};
    uint32_t best_lines = 0, best_at = 0;
    *columns = 0;
    for (size_t d = 0; d < sizeof delimiters; d++) {
        struct csv_dialect now = {(uint8_t)delimiters[d], '"'};
        uint32_t widths[SAMPLE_LINES], places[SAMPLE_LINES], filled[SAMPLE_LINES], count = 0;
        for (uint32_t at = 0; at < size && count < SAMPLE_LINES;) {
            struct csv_row row;
            enum csv_row_end end =
                csv_row_read(&now, bytes, size, at, 1, cells, COLUMNS_SHOWN, scratch, &row);
            widths[count] = end == CSV_ROW_WHOLE ? row.cells : 0;
            filled[count] = 0;
            for (uint32_t i = 0; i < widths[count] && i < COLUMNS_SHOWN; i++)
                filled[count] += cells[i].size != 0;
            places[count++] = at;
            at = row.next ? row.next : size;
        }
        for (uint32_t i = 0; i < count; i++) {
            uint32_t same = 0;
            for (uint32_t k = i; k < count; k++)
                same += widths[k] == widths[i];
            if (widths[i] > 1 && widths[i] <= COLUMNS_SHOWN &&
                (same > best_lines || (same == best_lines && widths[i] > *columns))) {
                best_lines = same;
                uint32_t header = i;
                for (uint32_t k = i; k < count; k++)
                    if (widths[k] == widths[i] && filled[k] > filled[header])
                        header = k;
                best_at = places[header];
                *columns = widths[i];
                *dialect = now;
            }
        }
    }
    return best_at;
}

static enum err draft(const char *path, const uint8_t *bytes, uint32_t size, struct diag *diag)
{
    struct cell *cells = mem_take((COLUMNS_SHOWN + 1) * sizeof *cells);
    uint8_t *scratch = mem_take(size + 1);
    if (!cells || !scratch) {
        mem_give(cells);
        mem_give(scratch);
        return mem_fail(diag, size, "a sample");
    }
    const char *charset = charset_of(bytes, size);
    uint32_t bom = size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0, columns;
    struct csv_dialect dialect = {',', '"'};
    uint32_t at = bom + find_header(bytes + bom, size - bom, &dialect, cells, scratch, &columns);
    if (columns == 0) {
        mem_give(cells);
        mem_give(scratch);
        return diag_set(diag, ERR_INPUT, "profile.sample",
                        "fixed widths and XML are described by hand: see "
                        "core/config/profiles/README.md",
                        "%s: no line has several cells by , tab ; or |", path);
    }
    struct csv_row row;
    csv_row_read(&dialect, bytes, size, at, 1, cells, COLUMNS_SHOWN, scratch, &row);
    char *names[COLUMNS_SHOWN] = {0};
    for (uint32_t i = 0; i < columns; i++) {
        char *wide = mem_take((size_t)cells[i].size * 4 + 1);
        struct to_utf8 conversion;
        to_utf8_open(&conversion);
        size_t n = wide
                       ? to_utf8_convert(&conversion, strcmp(charset, "LATIN1") == 0 ? "ISO-8859-1" : charset,
                                         cell_span(&cells[i]), wide, (size_t)cells[i].size * 4)
                       : SIZE_MAX;
        to_utf8_close(&conversion);
        while (n != SIZE_MAX && n && (wide[n - 1] == '\t' || wide[n - 1] == ' '))
            n--;
        names[i] = n == SIZE_MAX ? mem_copy_text("", 0) : mem_copy_text(wide, n);
        mem_give(wide);
    }
    int prefix = row.next < size && bytes[row.next] == '`';
    char delimiter[8];
    snprintf(delimiter, sizeof delimiter, "%s%s", dialect.delimiter == '\t' ? "\\t" : "", "");
    if (dialect.delimiter != '\t')
        snprintf(delimiter, sizeof delimiter, "%c%s", dialect.delimiter, prefix ? "`" : "");
    printf(
        "# Drafted from %s. CHOOSE stands where only somebody who knows the channel can say what is right;\n"
        "# it is refused until it is replaced. core/config/profiles/README.md tells what else can be said.\n"
        "version: 1\nprofile: mine\ntitle: A bill\ntimezone: CHOOSE                  # of its times, e.g. "
        "Asia/Shanghai\nlayout:\n"
        "  charset: %s\n  delimiter: \"%s\"\n  quote: %s\n  trim: \"\\t \"\n  header: [",
        path, charset, delimiter, prefix ? "none" : "'\"'");
    for (uint32_t i = 0, shown = 0; i < columns && shown < 4; i++)
        if (names[i] && names[i][0]) {
            printf(shown++ ? ", " : "");
            put_yaml(names[i]);
        }
    printf("]\n# All columns:");
    for (uint32_t i = 0; i < columns; i++)
        printf("%s %s", i ? "," : "", names[i] ? names[i] : "");
    printf("\nfields:\n");
    for (size_t h = 0; h < sizeof hints / sizeof hints[0]; h++) {
        /* A column of just that name; else the only one whose name holds it; else nobody can tell. */
        const char *found = NULL;
        for (int w = 0; hints[h].words[w] && !found; w++)
            for (uint32_t i = 0; i < columns && !found; i++)
                if (names[i] && strcasecmp(names[i], hints[h].words[w]) == 0)
                    found = names[i];
        for (int w = 0; hints[h].words[w] && !found; w++) {
            uint32_t holding = 0;
            for (uint32_t i = 0; i < columns; i++)
                if (names[i] && strcasestr(names[i], hints[h].words[w])) {
                    found = names[i];
                    holding++;
                }
            if (holding > 1)
                found = "CHOOSE";
        }
        int is_amount = strcmp(hints[h].field, "amount") == 0, is_fee = strcmp(hints[h].field, "fee") == 0,
            is_status = strcmp(hints[h].field, "status") == 0;
        if (!found && !is_amount)
            continue;
        printf("  %s: ", hints[h].field);
        if (!is_amount && !is_fee && !is_status) {
            put_yaml(found);
            putchar('\n');
            continue;
        }
        printf("{column: ");
        put_yaml(found ? found : "CHOOSE");
        if (is_status)
            printf(", map: {CHOOSE: SUCCESS}}\n");
        else
            printf(", unit: CHOOSE, sign: CHOOSE}    # unit: major, minor or hundredths; sign: signed, "
                   "positive, negative%s\n",
                   is_fee ? ", cost" : "");
    }
    printf("# A column that tells payments from refunds, if there is one:\n"
           "# type: COLUMN\n# rows:\n"
           "#   payment: {when: [WORD], fields: {direction: {constant: IN}}}\n"
           "#   refund: {when: [WORD], fields: {direction: {constant: OUT}, biz_order_no: COLUMN}}\n");
    for (uint32_t i = 0; i < columns; i++)
        mem_give(names[i]);
    mem_give(cells);
    mem_give(scratch);
    return OK;
}

int cmd_profile(const struct options *options)
{
    struct diag diag = {0};
    const char *path = options->arguments[1];
    if (strcmp(options->arguments[0], "new") != 0) {
        diag_set(&diag, ERR_USAGE, "options.value", "see: tieout profile --help",
                 "profile: \"%s\": expected new SAMPLE.csv", options->arguments[0]);
        return fail(&diag);
    }
    uint8_t *bytes = mem_take(SAMPLE_MAX + IO_SLACK);
    int fd = bytes ? sys_open(path, O_RDONLY | O_NONBLOCK, 0) : -1;
    if (!bytes)
        return (int)mem_fail(&diag, SAMPLE_MAX, "a sample");
    ssize_t n = fd < 0 ? fd : sys_pread_full(fd, bytes, SAMPLE_MAX, 0);
    if (fd >= 0)
        sys_close(fd);
    const char *kind = n > 0 ? file_looks_like(bytes, (size_t)n) : NULL;
    if (n < 0)
        diag_set(&diag, ERR_INPUT, "file.open", "check the path", "%s: cannot read it: %s", path,
                 strerror((int)-n));
    else if (n == 0)
        diag_set(&diag, ERR_INPUT, "file.empty", "take a bill with rows", "%s is empty (0 bytes)", path);
    else if (kind)
        diag_set(&diag, ERR_INPUT, "file.kind", "unpack it first", "%s is no text: it looks like %s", path,
                 kind);
    else
        draft(path, bytes, (uint32_t)n, &diag);
    mem_give(bytes);
    return fail(&diag);
}
