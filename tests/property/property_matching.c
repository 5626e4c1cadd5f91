/* tests/property/property_matching.c: seeded days through tieout, by every road, against the oracle.
 *
 *     property_matching --tieout=PATH --first=1 --seeds=300 [--roads=4] [--rules | --open] [--big] [--rows=N] [--skip=N,N] [--shrink]
 * [--keep-going] [--write=DIR]
 *
 * For each seed: a day (day.h), what the oracle says of it, and what the program makes of it with other
 * numbers of threads and shards, chunk sizes, I/O backends, orders of rows and files. Every class file is
 * compared row by row and in order, the counts and sums of summary.json too, and the digest over the roads
 * that read the same rows. The sides are swapped (I14), every file given twice, the same command run twice
 * (I9), and the reject limit is tried at its edge.
 *
 * --self needs no tieout: the oracle is held against itself, with rows shuffled and sides swapped, and what
 * the days consist of is counted.
 *
 * A failure prints the seed, the command, the first row that differs, and where the files are. --write=DIR
 * only writes the day.
 */
#include "core/base/prng.h"
#include "tests/property/day.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct road {
    const char *name;
    struct day_road files;
    char options[9][32]; /* of the engine; empty: not given */
    int runs;            /* how often the same command is run; 0 is once */
};

struct driver {
    const char *tieout;
    char directory[256];
    int road_count, is_big, rows, does_shrink, does_keep_going;
    enum day_kind kind;
    const char *skip; /* "100,120": seeds that are left out, each because of a finding that is open */
    long checks, spawns;
    char report[8192]; /* of the last failure */
};

static int complain(struct driver *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int complain(struct driver *d, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(d->report, sizeof d->report, format, ap);
    va_end(ap);
    return 0;
}

/* ---- files ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int read_whole(const char *path, struct text *out)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return 0;
    char block[1 << 16];
    *out = (struct text){0};
    text_append(out, "", 0);
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;)
        text_append(out, block, n);
    fclose(f);
    return 1;
}

/* ---- tables against tables ---- */

static int is_place(struct text name)
{
    return text_is(name, "place") || text_is(name, "local_place") || text_is(name, "channel_place");
}

static struct table *project(const struct table *t, const int *columns, int width)
{
    const char **names = must_take((size_t)width * sizeof *names);
    for (int i = 0; i < width; i++)
        names[i] = t->names[columns[i]].data;
    struct table *out = table_open(names, width);
    free(names);
    for (int r = 0; r < t->count; r++) {
        struct text *row = must_take((size_t)width * sizeof *row);
        for (int i = 0; i < width; i++)
            row[i] = text_copy(t->rows[r][columns[i]].data, t->rows[r][columns[i]].size);
        table_add(out, row);
    }
    return out;
}

static struct table *without_places(const struct table *t)
{
    int *columns = must_take((size_t)t->width * sizeof *columns), width = 0;
    for (int i = 0; i < t->width; i++)
        if (!is_place(t->names[i]))
            columns[width++] = i;
    struct table *out = project(t, columns, width);
    free(columns);
    return out;
}

static struct table *whole(const struct table *t)
{
    int *columns = must_take((size_t)t->width * sizeof *columns);
    for (int i = 0; i < t->width; i++)
        columns[i] = i;
    struct table *out = project(t, columns, t->width);
    free(columns);
    return out;
}

static int sorting_width;

static int by_cells(const void *a, const void *b)
{
    const struct text *x = *(struct text *const *)a, *y = *(struct text *const *)b;
    int c = 0;
    for (int i = 0; i < sorting_width && !c; i++)
        c = text_compare(x[i], y[i]);
    return c;
}

static void sort_rows(struct table *t)
{
    sorting_width = t->width;
    if (t->count > 1)
        qsort(t->rows, (size_t)t->count, sizeof *t->rows, by_cells);
}

struct labelled {
    struct text label;
    int row;
};

static int by_label(const void *a, const void *b)
{
    const struct labelled *x = a, *y = b;
    int c = text_compare(x->label, y->label);
    return c ? c : (x->row > y->row) - (x->row < y->row);
}

/* A set's number means nothing but which rows have the same one: each becomes the row on which it is seen
 * first. */
static void rename_sets(struct table *t)
{
    int column = table_column(t, "set_id");
    if (column < 0 || t->count == 0)
        return;
    struct labelled *list = must_take((size_t)t->count * sizeof *list);
    for (int r = 0; r < t->count; r++)
        list[r] = (struct labelled){t->rows[r][column], r};
    qsort(list, (size_t)t->count, sizeof *list, by_label);
    int first = 0;
    for (int i = 0; i < t->count; i++) {
        char text[32];
        if (i && text_compare(list[i].label, list[i - 1].label) != 0)
            first = i;
        int n = snprintf(text, sizeof text, "first on row %d", list[first].row);
        t->rows[list[i].row][column] = text_copy(text, (size_t)n);
    }
    for (int i = 0; i < t->count; i++)
        free(list[i].label.data);
    free(list);
}

static void row_text(const struct table *t, int row, char out[1500])
{
    struct text line = {0};
    text_append(&line, "", 0);
    for (int i = 0; row < t->count && i < t->width; i++) {
        csv_append_cell(&line, t->rows[row][i]);
        text_append(&line, ",", 1);
    }
    snprintf(out, 1500, "%s", row < t->count ? line.data : "(no such row)");
    free(line.data);
}

static int first_difference(const struct table *a, const struct table *b)
{
    sorting_width = a->width;
    int n = a->count < b->count ? a->count : b->count;
    for (int r = 0; r < n; r++)
        if (by_cells(&a->rows[r], &b->rows[r]) != 0)
            return r;
    return a->count == b->count ? -1 : n;
}

static int same_tables(struct driver *d, const char *word, struct table *want, struct table *got,
                       int is_ordered)
{
    char want_row[1500], got_row[1500], names[2][1500] = {"", ""};
    const struct table *both[2] = {want, got};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < both[k]->width; i++)
            snprintf(names[k] + strlen(names[k]), sizeof names[k] - strlen(names[k]), "%s,",
                     both[k]->names[i].data);
    if (strcmp(names[0], names[1]) != 0)
        return complain(d, "%s.csv: header\n   want %s\n    got %s", word, names[0], names[1]);
    if (is_ordered) {
        rename_sets(want);
        rename_sets(got);
        if (first_difference(want, got) < 0)
            return 1;
    }
    int row = is_ordered ? first_difference(want, got) : -1;
    char want_at[1500] = "", got_at[1500] = "";
    if (row >= 0) {
        row_text(want, row, want_at);
        row_text(got, row, got_at);
    }
    sort_rows(want);
    sort_rows(got);
    int sorted = first_difference(want, got);
    if (sorted < 0)
        return row < 0 ? 1
                       : complain(d,
                                  "%s.csv: the rows are right, their order (or sets) is not; row %d\n  names "
                                  "%s\n   want %s\n    got %s",
                                  word, row, names[0], want_at, got_at);
    row_text(want, sorted, want_row);
    row_text(got, sorted, got_row);
    return complain(d,
                    "%s.csv: %d rows wanted, %d are there; the first that differ, sorted:\n  names %s\n   "
                    "want %s\n    got %s",
                    word, want->count, got->count, names[0], want_row, got_row);
}

/* Of rejects, side, raw bytes and place are compared, in any order. */
static struct table *reject_part(const struct table *t)
{
    int columns[3] = {table_column(t, "side"), table_column(t, "raw"), table_column(t, "place")};
    return columns[0] < 0 || columns[1] < 0 || columns[2] < 0 ? NULL : project(t, columns, 3);
}

enum { AGGREGATE = O_CLASSES, PROPOSAL };

static int check_class(struct driver *d, const struct oracle *oracle, const char *out, int class_id)
{
    const char *word = class_id == AGGREGATE  ? "aggregate"
                       : class_id == PROPOSAL ? "proposal"
                                              : oracle_class_word(class_id);
    const struct table *judged = class_id == AGGREGATE  ? oracle_aggregate(oracle)
                                 : class_id == PROPOSAL ? oracle_proposals(oracle)
                                                        : oracle_table(oracle, class_id);
    char path[1024], why[200];
    struct text text;
    snprintf(path, sizeof path, "%s/%s.csv", out, word);
    if (!judged)
        return access(path, F_OK) == 0 ? complain(d, "%s is there, and the job has none", path) : 1;
    if (!read_whole(path, &text))
        return complain(d, "%s is not there", path);
    struct table *all = table_parse(text.data, text.size, why);
    free(text.data);
    if (!all)
        return complain(d, "%s: %s", path, why);
    struct table *got = class_id == O_REJECT ? reject_part(all) : whole(all);
    struct table *want = class_id == O_REJECT ? reject_part(judged) : whole(judged);
    int ok = got ? same_tables(d, word, want, got, class_id != O_REJECT)
                 : complain(d, "%s: no side or raw column", path);
    table_close(all);
    table_close(got);
    table_close(want);
    return ok;
}

/* ---- summary.json ---- */

static int is_zero(const char *text)
{
    return strspn(text, "-0.") == strlen(text);
}

static int check_summary(struct driver *d, const struct oracle *oracle, const char *out, char digest[128])
{
    char path[1024];
    struct text text;
    json_error_t error;
    snprintf(path, sizeof path, "%s/summary.json", out);
    if (!read_whole(path, &text))
        return complain(d, "%s is not there", path);
    json_t *root = json_loadb(text.data, text.size, 0, &error);
    free(text.data);
    if (!root)
        return complain(d, "%s: %s", path, error.text);
    int ok = 1;
    const char *value = json_string_value(json_object_get(root, "digest"));
    snprintf(digest, 128, "%s", value ? value : "");
    if (!value || strncmp(value, "sha256:", 7) != 0)
        ok = complain(d, "%s: no digest", path);
    for (int c = 0; ok && c < O_REJECT; c++)
        for (int side = 0; ok && side < ORACLE_SIDES; side++) {
            const json_t *one =
                json_object_get(json_object_get(json_object_get(root, "classes"), oracle_class_word(c)),
                                side ? "channel" : "local");
            long count = (long)json_integer_value(json_object_get(one, "count"));
            /* A class of one side may leave the other out. */
            if (count != oracle_count(oracle, c, side))
                ok = complain(d, "%s: %s %s count %ld, want %ld", path, oracle_class_word(c),
                              side ? "channel" : "local", count, oracle_count(oracle, c, side));
            for (const char *const *code = oracle_currencies(oracle); ok && *code; code++) {
                struct text want = oracle_sum(oracle, c, side, *code);
                const char *got = json_string_value(json_object_get(json_object_get(one, "sums"), *code));
                if (!(got ? text_is(want, got) || (want.size == 0 && is_zero(got)) : want.size == 0))
                    ok = complain(d, "%s: %s %s sum %s is %s, want %s", path, oracle_class_word(c),
                                  side ? "channel" : "local", *code, got ? got : "missing", want.data);
                free(want.data);
            }
        }
    for (int side = 0; ok && side < ORACLE_SIDES; side++) {
        long count = (long)json_integer_value(
            json_object_get(json_object_get(root, "rejects"), side ? "channel" : "local"));
        if (count != oracle_count(oracle, O_REJECT, side))
            ok = complain(d, "%s: %ld rejects on the %s side, want %ld", path, count,
                          side ? "channel" : "local", oracle_count(oracle, O_REJECT, side));
    }
    const json_t *unexplained = json_object_get(json_object_get(root, "bridge"), "unexplained");
    const char *code;
    json_t *amount;
    if (ok && !json_is_object(unexplained))
        ok = complain(d, "%s: no bridge.unexplained", path);
    json_object_foreach((json_t *)unexplained, code,
                        amount) if (ok &&
                                    !is_zero(json_string_value(amount) ? json_string_value(amount) : "?"))
        ok = complain(d, "%s: unexplained %s", path, code);
    json_decref(root);
    return ok;
}

/* ---- one run ---- */

struct command {
    char words[20][512];
    char *argv[21];
    int count;
};

__attribute__((format(printf, 2, 3))) static void add_word(struct command *c, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(c->words[c->count], sizeof c->words[0], format, ap);
    va_end(ap);
    c->argv[c->count] = c->words[c->count];
    c->argv[++c->count] = NULL;
}

static void command_text(const struct command *c, char out[4096])
{
    out[0] = 0;
    for (int i = 0; i < c->count; i++)
        snprintf(out + strlen(out), 4096 - strlen(out), "%s%s", i ? " " : "", c->words[i]);
}

static void make_command(const struct driver *d, const struct day *day, const struct road *road,
                         struct command *c)
{
    *c = (struct command){.count = 0};
    add_word(c, "%s", d->tieout);
    if (day->is_diff) {
        add_word(c, "diff");
        add_word(c, "%s/local-0.csv", d->directory);
        add_word(c, "%s/channel-0.csv", d->directory);
        add_word(c, "--key=%s", day->key);
        add_word(c, "--amount=%s", day->amount);
        if (day->compare[0])
            add_word(c, "--compare=%s", day->compare);
        if (day->currency)
            add_word(c, "--currency=%s", day->currency);
        if (day->timezone)
            add_word(c, "--timezone=%s", day->timezone);
        if (day->job.max_rejects[0])
            add_word(c, "--max-rejects=%ld", day->job.max_rejects[0]);
        add_word(c, "--write-match");
    } else {
        add_word(c, "run");
        add_word(c, "%s/job.yaml", d->directory);
        add_word(c, "--date=%s", day->date);
    }
    add_word(c, "--out=%s/out", d->directory);
    for (int i = 0; i < 9; i++)
        if (road->options[i][0])
            add_word(c, "%s", road->options[i]);
}

/* The exit code, or 1000 + the signal; the program's talk goes to DIR/log. */
static int spawn(struct driver *d, const struct command *c)
{
    char log[300];
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = 0;
    snprintf(log, sizeof log, "%s/log", d->directory);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    int failed = posix_spawn(&pid, c->words[0], &actions, NULL, c->argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    d->spawns++;
    if (failed) {
        fprintf(stderr, "cannot start %s: %s\n", c->words[0], strerror(failed));
        exit(2);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static struct oracle *judge(const char *directory, const struct day *day, const struct day_road *files,
                            struct text **data, int *count)
{
    struct oracle *oracle = oracle_open(&day->job);
    int total = day_file_count(files, 0) + day_file_count(files, 1), ok = 1;
    *data = must_take((size_t)total * sizeof **data);
    *count = 0;
    for (int side = 0; side < ORACLE_SIDES; side++)
        for (int part = 0; part < day_file_count(files, side); part++) {
            struct text *file = &(*data)[(*count)++];
            char name[400];
            *file = day_file(day, side, files, part);
            /* A diff's places name the files as they were given; a job's, below the job's folder. */
            snprintf(name, sizeof name, "%s%s%s-%d.csv", day->is_diff ? directory : "",
                     day->is_diff ? "/" : "", side ? "channel" : "local", part);
            if (ok && oracle_read(oracle, side, name, file->data, file->size) != 0)
                ok = 0;
        }
    if (ok)
        oracle_match(oracle);
    return oracle;
}

static void judge_close(struct oracle *oracle, struct text *data, int count)
{
    oracle_close(oracle);
    for (int i = 0; i < count; i++)
        free(data[i].data);
    free(data);
}

static void add_log(struct driver *d)
{
    char path[300];
    struct text log;
    snprintf(path, sizeof path, "%s/log", d->directory);
    if (!read_whole(path, &log))
        return;
    size_t used = strlen(d->report);
    snprintf(d->report + used, sizeof d->report - used, "\n  it said: %.1200s", log.data);
    free(log.data);
}

/* One road of a day. 1, or 0 with the report filled. */
static int check_road(struct driver *d, const struct day *day, const struct road *road, char digest[128])
{
    struct command command;
    struct text *data;
    int count, ok = 1;
    char out[512], path[600];
    d->checks++;
    remove_tree(d->directory);
    if (mkdir(d->directory, 0777) != 0 || day_write(day, &road->files, d->directory) != 0) {
        fprintf(stderr, "cannot write below %s: %s\n", d->directory, strerror(errno));
        exit(2);
    }
    struct oracle *oracle = judge(d->directory, day, &road->files, &data, &count);
    make_command(d, day, road, &command);
    digest[0] = 0;
    snprintf(out, sizeof out, day->is_diff ? "%s/out" : "%s/out/day/%s", d->directory, day->date);
    for (int run = 0; ok && run < (road->runs ? road->runs : 1); run++) {
        int want = oracle_refusal(oracle)[0] ? 3 : oracle_exit_code(oracle), got = spawn(d, &command);
        if (got != want) {
            ok = complain(d, "exit code %d, want %d%s%s", got, want, want == 3 ? ": " : "",
                          want == 3 ? oracle_refusal(oracle) : "");
            add_log(d);
        } else if (want == 3) {
            snprintf(path, sizeof path, "%s/summary.json", out);
            if (access(path, F_OK) == 0)
                ok = complain(d, "refused, and yet %s is there", path);
        } else {
            char first[128];
            snprintf(first, sizeof first, "%s", digest);
            for (int c = 0; ok && c <= PROPOSAL; c++)
                ok = check_class(d, oracle, out, c);
            ok = ok && check_summary(d, oracle, out, digest);
            if (ok && first[0] && strcmp(first, digest) != 0)
                ok = complain(d, "the same command a second time has another digest");
        }
    }
    judge_close(oracle, data, count);
    return ok;
}

/* ---- the oracle against itself: sides swapped ---- */

/* Rows of pairs with the sides changed back: amounts swapped, the delta negated. */
static struct table *pair_part(const struct table *t, int is_swapped)
{
    const char *const names[2][5] = {{"local_amount", "channel_amount", "delta", "reasons", "key_no"},
                                     {"channel_amount", "local_amount", "delta", "reasons", "key_no"}};
    int columns[5];
    for (int i = 0; i < 5; i++)
        columns[i] = table_column(t, names[is_swapped][i]);
    struct table *out = project(t, columns, 5);
    for (int i = 0; i < 2; i++) {
        free(out->names[i].data);
        out->names[i] = text_copy(names[0][i], strlen(names[0][i]));
    }
    for (int r = 0; is_swapped && r < out->count; r++) {
        struct text *delta = &out->rows[r][2], old = *delta;
        if (old.size == 0 || is_zero(old.data))
            continue;
        *delta = (struct text){0};
        if (old.data[0] != '-')
            text_append(delta, "-", 1);
        text_append(delta, old.data + (old.data[0] == '-'), old.size - (old.data[0] == '-'));
        free(old.data);
    }
    return out;
}

static struct table *single_part(const struct table *t)
{
    int *columns = must_take((size_t)t->width * sizeof *columns), width = 0;
    for (int i = 1; i < t->width; i++)
        if (!text_is(t->names[i], "occurrence_id") && !text_is(t->names[i], "set_id") &&
            !is_place(t->names[i]))
            columns[width++] = i;
    struct table *out = project(t, columns, width);
    free(columns);
    return out;
}

static int check_mirror(struct driver *d, const struct day *day, const struct day *swapped)
{
    static const int mirror[] = {O_MATCH,    O_MISMATCH,  O_EXTRA,     O_MISSING,
                                 O_SUSPENSE, O_DUPLICATE, O_AMBIGUOUS, O_EXCLUDED};
    const struct day_road plain = {0};
    struct text *data[2];
    int count[2], ok = 1;
    struct oracle *a = judge(d->directory, day, &plain, &data[0], &count[0]),
                  *b = judge(d->directory, swapped, &plain, &data[1], &count[1]);
    for (int c = 0; ok && c < O_REJECT && !oracle_refusal(a)[0]; c++) {
        const struct table *ta = oracle_table(a, c), *tb = oracle_table(b, mirror[c]);
        int is_pair = c == O_MATCH || c == O_MISMATCH;
        struct table *want = is_pair ? pair_part(ta, 0) : single_part(ta),
                     *got = is_pair ? pair_part(tb, 1) : single_part(tb);
        char word[64];
        snprintf(word, sizeof word, "the oracle with sides swapped, %s", oracle_class_word(c));
        ok = same_tables(d, word, want, got, 0);
        table_close(want);
        table_close(got);
    }
    judge_close(a, data[0], count[0]);
    judge_close(b, data[1], count[1]);
    return ok;
}

/* ---- one seed ---- */

static void make_road(struct prng *prng, const struct day *day, int is_big, struct road *road)
{
    static const int chunks[] = {64, 65, 97, 128, 256, 1000, 4096};
    *road = (struct road){.name = "random"};
    snprintf(road->options[0], 32, "--threads=%d", 1 + (int)prng_below(prng, 5));
    if (prng_below(prng, 10) < 7)
        snprintf(road->options[1], 32, "--chunk=%d",
                 is_big ? 4096 << prng_below(prng, 6)
                        : chunks[prng_below(prng, sizeof chunks / sizeof *chunks)]);
    if (prng_below(prng, 10) < 6)
        snprintf(road->options[2], 32, "--io=%s", prng_below(prng, 2) ? "posix" : "uring");
    if (prng_below(prng, 10) < 6)
        snprintf(road->options[3], 32, "--shards=%d", 1 + (int)prng_below(prng, 9));
    if (prng_below(prng, 10) < 4)
        snprintf(road->options[4], 32, "--batch=%d",
                 1 + (int)prng_below(prng, prng_below(prng, 2) ? 4 : 200));
    if (prng_below(prng, 10) < 3)
        snprintf(road->options[5], 32, "--memory=%dMiB", 42 + (int)prng_below(prng, 40));
    else if (prng_below(prng, 10) < 5) /* far too little, so that most goes through the spill */
        snprintf(road->options[5], 32, "--index-memory=%dKiB", 1 << prng_below(prng, 12));
    if (prng_below(prng, 10) < 5) /* so that match.csv is sorted through files, and its ranges in parts */
        snprintf(road->options[6], 32, "--match-memory=%dKiB", 4 << prng_below(prng, 10));
    if (prng_below(prng, 10) < 5) /* so few that nearly every key is judged in parts */
        snprintf(road->options[7], 32, "--group-rows=%d",
                 2 + (int)prng_below(prng, prng_below(prng, 2) ? 2 : 12));
    if (prng_below(prng, 10) < 3)
        snprintf(road->options[8], 32, "--direct=always");
    if (prng_below(prng, 2))
        road->files.shuffle = 1 + prng_next(prng) % 1000000;
    for (int side = 0; !day->is_diff && side < ORACLE_SIDES; side++)
        if (prng_below(prng, 10) < 4)
            road->files.parts[side] = 1 + (int)prng_below(prng, 4);
}

static void drop_rows(struct day_side *side, int from, int count)
{
    memmove(side->rows + from, side->rows + from + count,
            (size_t)(side->count - from - count) * sizeof *side->rows);
    side->count -= count;
}

/* What kind of failure a report tells: its beginning, up to the first colon. */
static int same_kind(const char *a, const char *b)
{
    size_t n = strcspn(a, ":\n");
    return n == strcspn(b, ":\n") && memcmp(a, b, n) == 0;
}

/* Takes rows out as long as the day still fails on this road in the same way. The report is that of the
 * smallest day. */
static void shrink(struct driver *d, struct day *day, const struct road *road)
{
    char digest[128], report[sizeof d->report];
    memcpy(report, d->report, sizeof report);
    for (int size = 1 << 16; size > 0; size /= 2)
        for (int side = 0; side < ORACLE_SIDES; side++) {
            struct day_side *s = &day->sides[side];
            for (int from = s->count - size; from >= 0; from -= size) {
                struct text *rows = must_take((size_t)s->count * sizeof *rows);
                int count = s->count;
                memcpy(rows, s->rows, (size_t)count * sizeof *rows);
                drop_rows(s, from, size);
                if (!check_road(d, day, road, digest) && same_kind(report, d->report)) {
                    memcpy(report, d->report, sizeof report);
                } else {
                    memcpy(s->rows, rows, (size_t)count * sizeof *rows);
                    s->count = count;
                }
                free(rows);
            }
        }
    check_road(d, day, road, digest);
    memcpy(d->report, report, sizeof report);
}

static void tell(struct driver *d, const struct day *day, const struct road *road)
{
    struct command command;
    char text[4096], kept[400];
    make_command(d, day, road, &command);
    command_text(&command, text);
    snprintf(kept, sizeof kept, "%s-seed-%llu", d->directory, (unsigned long long)day->seed);
    remove_tree(kept);
    if (rename(d->directory, kept) != 0)
        snprintf(kept, sizeof kept, "%s", d->directory);
    printf("FAILED seed %llu, road %s (shuffle %llu, parts %d %d%s)\n  %s\n  %s\n  kept: %s\n",
           (unsigned long long)day->seed, road->name, (unsigned long long)road->files.shuffle,
           road->files.parts[0], road->files.parts[1], road->files.is_doubled ? ", doubled" : "", text,
           d->report, kept);
    fflush(stdout);
}

static int check(struct driver *d, struct day *day, const struct road *road, char digest[128])
{
    if (check_road(d, day, road, digest))
        return 1;
    if (d->does_shrink)
        shrink(d, day, road);
    tell(d, day, road);
    return 0;
}

static int check_seed(struct driver *d, uint64_t seed)
{
    struct day *day = day_open(seed, d->is_big ? d->rows : 0, d->kind);
    struct prng prng = {seed ^ 0x5eed};
    struct road road = {.name = "plain", .options = {"--threads=1"}};
    char first[128], digest[128];
    int ok = check(d, day, &road, first);
    for (int i = 0; ok && i < d->road_count; i++) {
        make_road(&prng, day, d->is_big, &road);
        ok = check(d, day, &road, digest);
        if (ok && first[0] && digest[0] && strcmp(first, digest) != 0) {
            complain(d, "the digest is %s, and on the plain road %s", digest, first);
            tell(d, day, &road);
            ok = 0;
        }
    }
    /* Once in a few seeds each, so that most of the time goes to new days. */
    if (ok && seed % 4 == 0) {
        struct day *swapped = day_swap(day);
        road = (struct road){.name = "sides swapped", .options = {"--threads=2"}};
        if (swapped && first[0]) {
            ok = check_mirror(d, day, swapped);
            if (!ok)
                tell(d, day, &road);
            ok = ok && check(d, swapped, &road, digest);
        }
        day_close(swapped);
    }
    if (ok && seed % 4 == 1) {
        road = (struct road){.name = "the same command twice", .runs = 2};
        ok = check(d, day, &road, digest);
    }
    if (ok && seed % 4 == 2 && !day->is_diff) {
        road = (struct road){.name = "every file twice", .files = {.is_doubled = 1}};
        ok = check(d, day, &road, digest);
    }
    if (ok && seed % 2 == 1 && day->job.max_rejects[0]) {
        const struct day_road plain = {0};
        struct text *data;
        int count;
        struct oracle *oracle = judge(d->directory, day, &plain, &data, &count);
        long most = 0;
        for (int side = 0; side < ORACLE_SIDES; side++)
            if (oracle_count(oracle, O_REJECT, side) > most)
                most = oracle_count(oracle, O_REJECT, side);
        judge_close(oracle, data, count);
        road = (struct road){.name = "just enough rejects allowed"};
        for (int less = 0; ok && less < 2 && most - less >= 0; less++) {
            day->job.max_rejects[0] = day->job.max_rejects[1] = most - less;
            ok = check(d, day, &road, digest);
            road.name = "one reject too many";
        }
    }
    day_close(day);
    return ok;
}

/* ---- without tieout ---- */

enum { WORDS_MAX = 400 };
struct tally {
    char words[WORDS_MAX][64];
    long counts[WORDS_MAX];
    int count;
};

static void tally_add(struct tally *t, const char *class_word, struct text reasons)
{
    char word[64];
    snprintf(word, sizeof word, "%s %.48s", class_word, reasons.size ? reasons.data : "-");
    int i = 0;
    while (i < t->count && strcmp(t->words[i], word) != 0)
        i++;
    if (i == WORDS_MAX)
        return;
    if (i == t->count)
        snprintf(t->words[t->count++], sizeof word, "%s", word);
    t->counts[i]++;
}

static int check_self(struct driver *d, uint64_t seed, struct tally *tally)
{
    struct day *day = day_open(seed, d->is_big ? d->rows : 0, d->kind), *swapped = day_swap(day);
    const struct day_road roads[2] = {{.shuffle = 0},
                                      {.shuffle = seed + 1, .parts = {day->is_diff ? 1 : 2, 1}}};
    struct text *data[2];
    struct oracle *oracles[2];
    int count[2], ok = 1;
    for (int i = 0; i < 2; i++)
        oracles[i] = judge(d->directory, day, &roads[i], &data[i], &count[i]);
    /* A day without rows or header is refused, and of a split one perhaps another part. */
    int is_refused = oracle_refusal(oracles[0])[0] || oracle_refusal(oracles[1])[0];
    for (int c = 0; ok && !is_refused && c < O_CLASSES; c++) {
        struct table *want = without_places(oracle_table(oracles[0], c)),
                     *got = without_places(oracle_table(oracles[1], c));
        int column = c == O_REJECT ? table_column(want, "column") : table_column(want, "reasons");
        for (int r = 0; r < want->count; r++)
            tally_add(tally, oracle_class_word(c), want->rows[r][column]);
        ok = same_tables(d, oracle_class_word(c), want, got, c != O_REJECT);
        table_close(want);
        table_close(got);
    }
    for (int i = 0; i < 2; i++)
        judge_close(oracles[i], data[i], count[i]);
    if (ok && swapped && !is_refused)
        ok = check_mirror(d, day, swapped);
    if (!ok)
        printf("FAILED seed %llu, the oracle against itself\n  %s\n", (unsigned long long)seed, d->report);
    day_close(swapped);
    day_close(day);
    return ok;
}

static void tally_print(const struct tally *t)
{
    for (int i = 0; i < t->count; i++)
        printf("%8ld %s\n", t->counts[i], t->words[i]);
}

static int is_option(const char *arg, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncmp(arg, name, n) != 0 || (arg[n] != '=' && arg[n] != 0))
        return 0;
    *value = arg[n] ? arg + n + 1 : "";
    return 1;
}

static int is_skipped(const struct driver *d, uint64_t seed)
{
    for (const char *p = d->skip; p && *p; p += strcspn(p, ","), p += *p == ',')
        if (strtoull(p, NULL, 10) == seed)
            return 1;
    return 0;
}

static int write_day(const struct driver *d, uint64_t seed, const char *directory)
{
    struct day *day = day_open(seed, d->is_big ? d->rows : 0, d->kind);
    const struct day_road plain = {0};
    struct driver here = *d;
    struct command command;
    char text[4096];
    const struct road road = {.name = "plain"};
    snprintf(here.directory, sizeof here.directory, "%s", directory);
    mkdir(directory, 0777);
    int failed = day_write(day, &plain, directory);
    make_command(&here, day, &road, &command);
    command_text(&command, text);
    printf("%s\n", text);
    day_close(day);
    return failed != 0;
}

int main(int argc, char **argv)
{
    static struct driver d = {.road_count = 3, .rows = 20000};
    uint64_t first = 1, seeds = 100;
    const char *value, *write = NULL;
    int is_self = 0;
    static struct tally tally;
    d.tieout = getenv("TIEOUT");
    for (int i = 1; i < argc; i++) {
        if (is_option(argv[i], "--tieout", &value))
            d.tieout = value;
        else if (is_option(argv[i], "--first", &value))
            first = strtoull(value, NULL, 10);
        else if (is_option(argv[i], "--seeds", &value))
            seeds = strtoull(value, NULL, 10);
        else if (is_option(argv[i], "--roads", &value))
            d.road_count = atoi(value);
        else if (is_option(argv[i], "--rows", &value))
            d.rows = atoi(value);
        else if (is_option(argv[i], "--big", &value))
            d.is_big = 1;
        else if (is_option(argv[i], "--rules", &value))
            d.kind = DAY_RULES;
        else if (is_option(argv[i], "--skip", &value))
            d.skip = value;
        else if (is_option(argv[i], "--open", &value))
            d.kind = DAY_OPEN;
        else if (is_option(argv[i], "--shrink", &value))
            d.does_shrink = 1;
        else if (is_option(argv[i], "--keep-going", &value))
            d.does_keep_going = 1;
        else if (is_option(argv[i], "--self", &value))
            is_self = 1;
        else if (is_option(argv[i], "--write", &value))
            write = value;
        else
            return fprintf(stderr, "property_matching: what is %s?\n", argv[i]), 2;
    }
    if (!d.tieout && !is_self)
        return fprintf(stderr,
                       "property_matching: where is tieout? --tieout=PATH, or TIEOUT in the environment\n"),
               2;
    if (write && d.tieout)
        return write_day(&d, first, write);
    /* Every run syncs its outputs, so a folder in memory is twice as fast. */
    const char *tmp = getenv("TMPDIR");
    if (!tmp)
        tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(d.directory, sizeof d.directory, "%.200s/tieout-property-%d", tmp, (int)getpid());
    long passed = 0, failed = 0;
    for (uint64_t seed = first; seed < first + seeds && (failed == 0 || d.does_keep_going); seed++) {
        if (is_skipped(&d, seed)) {
            printf("seed %llu left out: an open finding\n", (unsigned long long)seed);
            continue;
        }
        if (is_self ? check_self(&d, seed, &tally) : check_seed(&d, seed))
            passed++;
        else
            failed++;
    }
    remove_tree(d.directory);
    if (is_self)
        tally_print(&tally);
    printf("%ld passed, %ld failed; %ld days checked on all roads, %ld runs of the program\n", passed, failed,
           d.checks, d.spawns);
    return failed != 0;
}
