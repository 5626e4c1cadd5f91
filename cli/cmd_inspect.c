/* cli/cmd_inspect.c: what a file is, and its rows.
 *
 * With --job, rows are shown as the records that `run` would make of them. Without, as they stand: a CSV's
 * cells by header name, a binlog's row changes by column name. What the file is goes to stderr, rows to
 * stdout.
 */
#include "cli/cmd.h"
#include "cli/registry.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/config/profile.h"
#include "core/model/currency.h"
#include "io/filter/utf16.h"
#include "io/format/binlog.h"
#include "io/format/csv.h"
#include "io/ring/sys.h"
#include "io/source/file_set.h"
#include "io/source/worker_io.h"
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

struct shown {
    int json;
    uint64_t limit, count;
    const struct job *job;
    struct source *source;
    struct worker_io *io;
};

/* Into a file or a pipe all bytes as they are; a terminal gets none that steer it. */
static void put_bytes(struct span text)
{
    struct text plain = {0};
    if (isatty(STDOUT_FILENO)) {
        text_plain(&plain, text);
        text = (struct span){plain.data, plain.size};
    }
    if (text.size)
        fwrite(text.data, 1, text.size, stdout);
    text_fini(&plain);
}

static void put_csv_cell(struct span text)
{
    int quote = 0;
    for (size_t i = 0; i < text.size; i++)
        quote |= text.data[i] == ',' || text.data[i] == '"' || text.data[i] == '\n' || text.data[i] == '\r';
    if (!quote) {
        put_bytes(text);
        return;
    }
    putchar('"');
    for (size_t i = 0, n; i < text.size;
         i += n) { /* a quote inside is doubled: once as the end of its piece, once as the next one's start */
        const char *mark = memchr(text.data + i, '"', text.size - i);
        n = mark ? (size_t)(mark - text.data) - i + 1 : text.size - i;
        put_bytes((struct span){text.data + i, n});
        if (mark)
            putchar('"');
    }
    putchar('"');
}

/* JSON is UTF-8: bytes that are not are shown as the replacement character of their Latin-1 reading would
 * mislead, so they go as \u00XX. */
static void put_json_text(struct span text)
{
    json_t *value = json_stringn(text.data, text.size);
    if (value) {
        json_dumpf(value, stdout, JSON_ENCODE_ANY);
        json_decref(value);
        return;
    }
    putchar('"');
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < 0x20 || c == '"' || c == '\\' || c >= 0x7f)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void put_pair(int first, struct span name, struct span value, int is_null)
{
    if (!first)
        putchar(',');
    put_json_text(name);
    putchar(':');
    if (is_null)
        fputs("null", stdout);
    else
        put_json_text(value);
}

static int looks_like_binlog(const char *path)
{
    uint8_t head[4] = {0};
    int fd = sys_open(path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return 0;
    if (sys_pread_full(fd, head, sizeof head, 0) < 0)
        memset(head, 0, sizeof head);
    sys_close(fd);
    return memcmp(head + 1, "bin", 3) == 0;
}

/* ---- with a job ---- */

static enum err show_record(void *context, const struct full *row, struct diag *diag)
{
    struct shown *s = context;
    if (s->limit && s->count >= s->limit)
        return OK;
    unsigned slots = FIELDS + (unsigned)s->job->attr_count;
    char place[4400];
    size_t n = s->source->ops->place_text(s->source, s->io, row, place, sizeof place);
    if (n == 0)
        return diag_set_errno(diag, errno, "read", "%s: cannot count its lines", place);
    if (s->json) {
        putchar('{');
        for (unsigned f = 0; f < slots; f++)
            put_pair(f == 0, span_of(job_field_name(s->job, f)), row->text[f], 0);
        put_pair(0, span_of("occurrence_id"), row->occurrence, 0);
        put_pair(0, span_of("place"), (struct span){place, n}, 0);
        fputs("}\n", stdout);
    } else {
        for (unsigned f = 0; s->count == 0 && f < slots; f++)
            printf("%s,", job_field_name(s->job, f));
        if (s->count == 0)
            fputs("occurrence_id,place\n", stdout);
        for (unsigned f = 0; f < slots; f++) {
            put_csv_cell(row->text[f]);
            putchar(',');
        }
        put_csv_cell(row->occurrence);
        putchar(',');
        put_csv_cell((struct span){place, n});
        putchar('\n');
    }
    s->count++;
    return OK;
}

/* Whether a pattern of a part names `path`, which is absolute, on whatever day. Its folder is looked up where its name is plain. */
static int names_file(const struct job *job, const char *pattern, const char *path)
{
    char whole[4096], folder[2 * 4096];
    size_t n = pattern[0] == '/' ? 0 : (size_t)snprintf(whole, sizeof whole, "%s/", job->directory);
    for (const char *p = pattern; *p && n < sizeof whole - 16; p++) {
        const int is_date = strncmp(p, "{date}", 6) == 0;
        if (*p == '!' && p > pattern && p[-1] != '[') /* entries of an archive follow */
            break;
        n += (size_t)snprintf(whole + n, sizeof whole - n, is_date ? "*" : "%c", *p);
        p += is_date ? 5 : 0;
    }
    whole[n < sizeof whole ? n : sizeof whole - 1] = 0;
    char *slash = strrchr(whole, '/');
    *slash = 0;
    char *real = strpbrk(whole, "*?[") ? NULL : realpath(*whole ? whole : "/", NULL);
    snprintf(folder, sizeof folder, "%s/%s", real ? real : whole, slash + 1);
    free(real);
    return fnmatch(folder, path, FNM_PATHNAME) == 0;
}

/* Of a side in parts, those that read the file: whose patterns name it, or, where none does, one for each table (the first, of bills).
 * They read nothing else. */
static void take_parts(struct job *job, enum side side, const char *path, const char **patterns)
{
    struct source_spec *const parts = job->parts[side];
    const int count = job->part_count[side];
    int named[PARTS_MAX], any = 0, taken = 0;
    for (int i = 0; i < count; i++) {
        named[i] = 0;
        for (int k = 0; k < parts[i].pattern_count; k++)
            named[i] |= names_file(job, parts[i].patterns[k], path);
        any |= named[i];
    }
    if (!any)
        fprintf(stderr, "%s: no part of the %s side names this file; read %s\n", path, side_name(side),
                parts[0].kind == SOURCE_BINLOG ? "for each table" : "by the rules of the first");
    for (int i = 0; i < count; i++) {
        int is_read = any ? named[i] : parts[i].kind == SOURCE_BINLOG || i == 0;
        /* Of tables of one name on several servers it can be one's only. */
        for (int k = 0; !any && parts[i].log_name && k < taken; k++)
            is_read &= strcmp(parts[k].database, parts[i].database) != 0 ||
                       strcmp(parts[k].table, parts[i].table) != 0 ||
                       strcmp(parts[k].log_name, parts[i].log_name) == 0;
        if (!is_read)
            continue;
        parts[taken] = parts[i];
        struct field_rule *currency = &parts[taken].fields[FIELD_CURRENCY];
        if (currency->of_order && !(any ? named[0] : 1)) {
            fprintf(stderr,
                    "note: currencies of part %d are those of their orders, which are in other files: shown "
                    "as the job's\n",
                    i + 1);
            *currency = (struct field_rule){0};
        }
        parts[taken].patterns = patterns;
        parts[taken++].pattern_count = 1;
    }
    job->part_count[side] = taken;
    if (taken == 1)
        job->sources[side] = parts[0];
}

static enum err inspect_with_job(const struct options *options, int was_found, struct diag *diag)
{
    struct job *job = NULL;
    enum err err = options->profile
                       ? job_from_profile(&job, options->profile, options->currency, options->timezone, diag)
                       : job_load(&job, options->job, diag);
    if (err != OK)
        return err;
    /* The side: as asked, else the one whose kind fits the file's first bytes, else the channel's. */
    char *path = options->profile ? NULL : realpath(options->arguments[0], NULL);
    const char *name = path ? path : options->arguments[0];
    enum source_kind kind = looks_like_binlog(name) ? SOURCE_BINLOG : SOURCE_FILES;
    enum side side = job->sources[CHANNEL].kind != kind && job->sources[LOCAL].kind == kind ? LOCAL : CHANNEL;
    if (options->side)
        side = strcmp(options->side, "local") == 0 ? LOCAL : CHANNEL;
    const char *patterns[1] = {name};
    if (job->part_count[side] > 1)
        take_parts(job, side, name, patterns);
    job->sources[side].patterns = patterns;
    job->sources[side].pattern_count = 1;
    struct norm_shared shared;
    struct shown shown = {.json = options->json_lines, .limit = options->limit, .job = job};
    struct worker_io_config config = {RING_POSIX, 256 * 1024, 1};
    err = norm_shared_open(&shared, job, 1, DAY_NONE, diag);
    struct source_config source = {.shared = &shared, .side = side, .chunk = config.chunk, .workers = 1};
    if (err == OK)
        err = registry_source(&shown.source, &source, diag);
    if (err == OK && shown.source->ops->begin) {
        const char *folder = getenv("TMPDIR");
        err = shown.source->ops->begin(shown.source, folder && *folder ? folder : "/var/tmp", diag);
    }
    if (err == OK)
        err = worker_io_open(&shown.io, &config, NULL, diag);
    if (err == OK) {
        if (options->profile)
            fprintf(stderr, "%s: read as %s%s\n", options->arguments[0], job->sources[side].bill->title,
                    was_found ? " (--format=csv shows its cells as they stand)" : "");
        else
            fprintf(stderr, "%s: %s, read as the %s side of %s\n", options->arguments[0],
                    job->sources[side].kind == SOURCE_BINLOG ? "a binlog" : "CSV", side_name(side),
                    options->job);
        err = shown.source->ops->scan(shown.source, shown.io, show_record, &shown, diag);
        fprintf(stderr, "%llu records shown\n", (unsigned long long)shown.count);
    }
    worker_io_close(shown.io);
    if (shown.source)
        shown.source->ops->close(shown.source);
    norm_shared_close(&shared);
    job_close(job);
    free(path);
    return err;
}

/* ---- without ---- */

struct whole_file {
    uint8_t *bytes;
    uint64_t size;
};

static enum err read_whole(struct whole_file *file, const char *path, struct diag *diag)
{
    struct stat st;
    int error = stat(path, &st) ? -errno : 0;
    if (error == -ENOENT || error == -ENOTDIR)
        return diag_set(diag, ERR_INPUT, "file.missing", "check the path", "%s: there is no such file", path);
    if (error)
        return diag_set(diag, ERR_INPUT, "file.open", NULL, "%s: cannot look at it: %s", path,
                        strerror(-error));
    if (!S_ISREG(st.st_mode))
        return diag_set(diag, ERR_INPUT, "file.kind", "name a file", "%s is %s", path,
                        S_ISDIR(st.st_mode) ? "a directory, not a file" : "not a regular file");
    if (st.st_size == 0)
        return diag_set(diag, ERR_INPUT, "file.empty", "was it delivered?", "%s is empty (0 bytes)", path);
    int fd = sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return diag_set(diag, ERR_INPUT, "file.open", "check who may read it", "%s: cannot open it: %s", path,
                        strerror(-fd));
    file->size = (uint64_t)st.st_size;
    file->bytes = mem_take(file->size + IO_SLACK);
    ssize_t n = file->bytes ? sys_pread_full(fd, file->bytes, file->size, 0) : -ENOMEM;
    sys_close(fd);
    if (n < 0)
        return diag_set_errno(diag, (int)-n, "read", "%s: cannot read it", path);
    file->size = (uint64_t)n;
    return OK;
}

/* What a packed file holds, or an entry of an archive (ARCHIVE!PATTERN), or UTF-16 text as UTF-8. */
static enum err read_unpacked(struct whole_file *file, const char *path, struct diag *diag)
{
    struct job *job = mem_take_zero(1, sizeof *job);
    if (!job)
        return mem_fail(diag, sizeof *job, "a file");
    const char *patterns[1] = {path}, *folder = getenv("TMPDIR");
    job->directory = ".";
    job->is_diff = 1; /* the path is a name, not a pattern */
    job->sources[CHANNEL].patterns = patterns;
    job->sources[CHANNEL].pattern_count = 1;
    struct file_set set;
    enum err err = file_set_open(&set, job, CHANNEL, DAY_NONE, NULL, diag);
    if (err == OK && set.count != 1)
        err = diag_set(diag, ERR_USAGE, "options.value", "inspect them one by one", "%s: %u entries match",
                       path, set.count);
    if (err == OK)
        err = file_set_begin(&set, folder && *folder ? folder : "/var/tmp", 1, diag);
    if (err == OK)
        err = file_set_settle(&set, diag);
    if (err == OK) {
        struct input_file *input = &set.files[0];
        file->size = input->size;
        file->bytes = mem_take(file->size + IO_SLACK);
        err = !file->bytes                                              ? mem_fail(diag, file->size, "a file")
              : input_read(input, file->bytes, file->size, 0, diag) < 0 ? diag->err
                                                                        : OK;
        if (err == OK && strcmp(input->path, path) != 0)
            fprintf(stderr, "%s: reading %s\n", path, input->path);
    }
    file_set_close(&set);
    mem_give(job);
    return err;
}

/* Whether it must be unpacked or converted before anybody can look at it. */
static int is_packed(const char *path)
{
    uint8_t head[4] = {0};
    int fd = sys_open(path, O_RDONLY | O_NONBLOCK, 0);
    ssize_t n = fd < 0 ? 0 : sys_pread_full(fd, head, sizeof head, 0);
    if (fd < 0)
        return fd == -ENOENT && strchr(path, '!');
    sys_close(fd);
    return n > 0 && (packing_of(head, (size_t)n) != PACKING_NONE || utf16_has_mark(head, (size_t)n));
}

static enum err inspect_binlog(const struct options *options, struct whole_file *file, struct diag *diag)
{
    const char *path = options->arguments[0];
    struct binlog_watch watch = {0};
    struct binlog_options binlog = {.unnamed_ok = 1};
    char *dot = NULL, *table = NULL;
    if (options->table) {
        table = mem_copy_text(options->table, strlen(options->table));
        dot = table ? strchr(table, '.') : NULL;
        if (!dot) {
            mem_give(table);
            return diag_set(diag, ERR_USAGE, "options.value", "e.g. --table=shop.payment_order",
                            "--table: \"%s\" is not DATABASE.TABLE", options->table);
        }
        *dot = 0;
        watch = (struct binlog_watch){.database = table, .table = dot + 1};
        binlog.watch = &watch;
        binlog.watch_count = 1;
    }
    struct binlog_walk *walk = NULL;
    struct binlog_rows *rows = NULL;
    enum err err = binlog_walk_open(&walk, &binlog, diag);
    if (err == OK)
        err = binlog_rows_open(&rows, &binlog, diag);
    uint64_t shown = 0;
    uint64_t walked = 0;
    struct binlog_group *groups = NULL;
    size_t group_count = 0;
    if (err == OK)
        binlog_walk_file(walk, path, 0, file->size);
    enum step step = STEP_MORE;
    while (err == OK && (step == STEP_MORE)) {
        size_t taken = 0, count;
        step = binlog_walk_step(walk, file->bytes + walked, (size_t)(file->size - walked), walked, SIZE_MAX,
                                &taken, diag);
        walked += taken;
        if (step == STEP_FAILED)
            break;
        const struct binlog_group *ended = binlog_walk_groups(walk, &count);
        struct binlog_group *grown = mem_grow(groups, (group_count + count + 1) * sizeof *grown);
        if (!grown) {
            err = mem_fail(diag, (group_count + count) * sizeof *grown, "transactions");
            break;
        }
        groups = grown;
        memcpy(groups + group_count, ended, count * sizeof *ended);
        group_count += count;
    }
    err = diag->err;
    if (walked > BINLOG_MAGIC_SIZE) {
        const struct binlog_format *format = binlog_walk_format(walk);
        fprintf(stderr, "%s: a binlog of %s %s, checksum %s, %llu transactions\n", path,
                format->flavour == BINLOG_MARIADB ? "MariaDB" : "MySQL", format->server_version,
                format->checksum ? "CRC32" : "none", (unsigned long long)group_count);
        struct binlog_piece piece = {.file_name = path,
                                     .bytes = file->bytes,
                                     .size = (size_t)walked,
                                     .format = format,
                                     .groups = groups,
                                     .group_count = group_count};
        const struct binlog_row *row;
        struct diag row_diag = {0};
        binlog_rows_begin(rows, &piece);
        while ((!options->limit || shown < options->limit) &&
               (step = binlog_rows_step(rows, &row, &row_diag)) == STEP_MORE) {
            static const char *const names[] = {"insert", "update", "delete"};
            char gtid[BINLOG_GTID_TEXT_MAX];
            size_t n = row->group ? binlog_gtid_print(gtid, &row->group->gtid) : 0;
            printf("{\"place\":\"%llu#%u\",\"gtid\":\"%.*s\",\"op\":\"%s\",\"table\":",
                   (unsigned long long)row->event_offset, row->row_index, (int)n, gtid, names[row->op]);
            char full_name[300];
            snprintf(full_name, sizeof full_name, "%s.%s", row->table->database, row->table->name);
            put_json_text(span_of(full_name));
            for (int image = 0; image < 2; image++) {
                const struct cell *cells = image ? row->after : row->before;
                if (!cells)
                    continue;
                printf(",\"%s\":{", image ? "after" : "before");
                int first = 1;
                for (uint32_t i = 0; i < row->column_count; i++) {
                    char number[64];
                    if (cells[i].kind == CELL_ABSENT)
                        continue;
                    put_pair(first, span_of(row->table->columns[i].name),
                             binlog_cell_print(number, &cells[i], &row->table->columns[i]),
                             cells[i].kind == CELL_NULL);
                    first = 0;
                }
                putchar('}');
            }
            fputs("}\n", stdout);
            shown++;
        }
        if (err == OK && row_diag.err != OK) {
            *diag = row_diag;
            err = row_diag.err;
        }
    }
    if (err == OK)
        err = binlog_walk_end(walk, 1, (size_t)(file->size - walked), diag);
    fprintf(stderr, "%llu row changes shown\n", (unsigned long long)shown);
    mem_give(groups);
    mem_give(table);
    binlog_rows_close(rows);
    binlog_walk_close(walk);
    return err;
}

static enum err inspect_csv(const struct options *options, struct whole_file *file, struct diag *diag)
{
    const char *path = options->arguments[0];
    struct csv_dialect dialect = {',', '"'};
    uint32_t at = file->size >= 3 && memcmp(file->bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    if (file->size > UINT32_MAX - IO_SLACK)
        return diag_set(diag, ERR_INPUT, "file.size", "inspect it with --job, or a part of it",
                        "%s is larger than 4 GiB", path);
    const char *kind = file_looks_like(file->bytes, file->size);
    if (kind)
        return diag_set(diag, ERR_INPUT, "file.kind", "unpack or convert it first",
                        "%s is not CSV: it looks like %s", path, kind);
    struct cell *cells = mem_take((CSV_COLUMNS_MAX + 1) * sizeof *cells),
                *head = mem_take((CSV_COLUMNS_MAX + 1) * sizeof *head);
    uint8_t *scratch = mem_take(file->size + 1), *head_scratch = mem_take(CSV_ROW_MAX + 1);
    struct csv_row row = {0};
    uint64_t line = 1, shown = 0, rejects = 0;
    enum err err = cells && head && scratch && head_scratch ? OK : mem_fail(diag, file->size, "rows");
    uint32_t size = (uint32_t)file->size;
    if (err == OK &&
        (csv_row_read(&dialect, file->bytes, size < at + CSV_ROW_MAX ? size : at + CSV_ROW_MAX, at,
                      size <= at + CSV_ROW_MAX, head, CSV_COLUMNS_MAX, head_scratch, &row) != CSV_ROW_WHOLE))
        err = diag_set(diag, ERR_INPUT, "csv.header", "is this a CSV file?", "%s: line 1 is no header", path);
    uint32_t columns = row.cells;
    if (err == OK) {
        fprintf(stderr, "%s: CSV, %llu bytes, %u columns\n", path, (unsigned long long)file->size, columns);
        if (!options->json_lines) {
            put_bytes((struct span){(const char *)file->bytes + at, row.size});
            putchar('\n');
        }
    }
    while (err == OK && row.next < size && (!options->limit || shown < options->limit)) {
        for (uint32_t i = at; i < row.next; i++)
            line += file->bytes[i] == '\n';
        at = row.next;
        enum csv_row_end end =
            csv_row_read(&dialect, file->bytes, size, at, 1, cells, CSV_COLUMNS_MAX, scratch, &row);
        if (end == CSV_ROW_UNFINISHED) {
            err =
                diag_set(diag, ERR_INPUT, "csv.cut", "the file was cut off, or a quote is never closed",
                         "%s: line %llu: the file ends inside a quoted cell", path, (unsigned long long)line);
        } else if (end == CSV_ROW_SPOILED || (end == CSV_ROW_WHOLE && row.cells != columns)) {
            fprintf(stderr, "reject %s: %s:%llu@%u\n",
                    reject_name(end == CSV_ROW_SPOILED ? row.code : REJECT_COLUMNS), path,
                    (unsigned long long)line, at);
            rejects++;
        } else if (end == CSV_ROW_WHOLE) {
            if (options->json_lines)
                putchar('{');
            for (uint32_t i = 0; i < columns; i++) {
                if (options->json_lines) {
                    put_pair(i == 0, cell_span(&head[i]), cell_span(&cells[i]), 0);
                    continue;
                }
                if (i)
                    putchar(',');
                put_csv_cell(cell_span(&cells[i]));
            }
            fputs(options->json_lines ? "}\n" : "\n", stdout);
            shown++;
        }
    }
    fprintf(stderr, "%llu rows shown, %llu rejected\n", (unsigned long long)shown,
            (unsigned long long)rejects);
    mem_give(cells);
    mem_give(head);
    mem_give(scratch);
    mem_give(head_scratch);
    return err;
}

/* --format names what the file is, or its profile; without it, a bill of one of the channels is known by its contents. */
static enum err find_format(struct options *options, int *was_found, struct diag *diag)
{
    const char *format = options->input_format;
    if (format && strcmp(format, "csv") != 0 && strcmp(format, "binlog") != 0) {
        if (!profile_find(format))
            return diag_set(diag, ERR_USAGE, "options.value", "tieout profiles lists the profiles",
                            "--format: \"%s\": expected csv, binlog or the name of a profile", format);
        options->profile = format;
    }
    if (format || looks_like_binlog(options->arguments[0]))
        return OK;
    enum err err = profiles_find(&options->profile, options->arguments[0], diag);
    *was_found = options->profile != NULL;
    return err;
}

int cmd_inspect(const struct options *options)
{
    struct diag diag = {0};
    enum err err = OK;
    struct options own = *options;
    int was_found = 0;
    if (!options->explain && !options->job && !options->profile)
        err = find_format(&own, &was_found, &diag);
    options = &own;
    if (err != OK) {
        ;
    } else if (options->explain) {
        err = profiles_explain(options->arguments[0], &diag);
    } else if (options->job || options->profile) {
        err = inspect_with_job(options, was_found, &diag);
    } else {
        struct whole_file file = {0};
        err = is_packed(options->arguments[0]) ? read_unpacked(&file, options->arguments[0], &diag)
                                               : read_whole(&file, options->arguments[0], &diag);
        int binlog = err == OK && file.size >= 4 && memcmp(file.bytes + 1, "bin", 3) == 0;
        if (options->input_format)
            binlog = strcmp(options->input_format, "binlog") == 0;
        if (err == OK)
            err = binlog ? inspect_binlog(options, &file, &diag) : inspect_csv(options, &file, &diag);
        mem_give(file.bytes);
    }
    if (err != OK)
        diag_print(&diag, stderr);
    return (int)err;
}
