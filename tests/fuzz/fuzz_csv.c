/* tests/fuzz/fuzz_csv.c: any bytes as CSV: every kernel, every chunk size and the row reader find the same
 * rows.
 *
 * The first byte chooses the dialect, the second how often the rest is repeated, so that small inputs fill
 * many blocks.
 *
 *     kernels   csv_scan and csv_scan_quoted of every kernel agree, and with csv_row_read where the chunk is
 * regular source    the whole of io/source/csv_*.c, over several chunk sizes and with chunks done out of
 * order: records, places, rejects and refusals are those of a plain walk with csv_row_read; rows fetched
 * again are what they were
 *
 * With libFuzzer (TIEOUT_FUZZ) main is libFuzzer's; without, main() replays the files and folders given.
 */
#include "core/base/mem.h"
#include "core/model/money.h"
#include "io/format/csv.h"
#include "io/format/csv_scan.h"
#include "io/source/sources.h"
#include "io/source/worker_io.h"
#include "tests/fuzz/replay.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TEXT_MAX = 200000, RECORD_ROOM = 1024, DEPTH = 3 };

#define MUST(condition, ...)                                                                                 \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not so: %s: ", __FILE__, __LINE__, #condition);                          \
            fprintf(stderr, __VA_ARGS__);                                                                    \
            fputc('\n', stderr);                                                                             \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static const struct csv_dialect dialects[] = {{',', '"'},   {',', 0},   {';', '"'},
                                              {'\t', '\''}, {'|', '"'}, {'a', '"'}};

static void *need(void *block)
{
    if (!block)
        abort();
    return block;
}

/* ---- kernels ---- */

struct scanned {
    struct csv_scan_result result;
    uint32_t *seps, *rows;
    uint16_t marks[TEXT_MAX / CSV_MARK_BYTES + 2];
};

static void scan_into(struct scanned *out, struct csv_scan_job job, int quoted)
{
    out->seps = (uint32_t *)need(malloc((job.size + CSV_SCAN_SLACK + 16) * 4)) + 16;
    out->rows = need(malloc((job.size + CSV_SCAN_SLACK) * 4));
    memset(out->marks, 0, sizeof out->marks);
    job.seps = out->seps;
    job.rows = out->rows;
    job.marks = quoted ? NULL : out->marks;
    out->result = quoted ? csv_scan_quoted(&job) : csv_scan(&job);
}

static void scan_free(struct scanned *scanned)
{
    free(scanned->seps - 16);
    free(scanned->rows);
}

/* A regular scan of a whole text against the row reader. */
static void scan_against_reader(const struct csv_dialect *dialect, const uint8_t *bytes, uint32_t size,
                                const struct scanned *scanned)
{
    uint32_t at = 0, sep = 0;
    for (uint32_t r = 0; r < scanned->result.row_count; r++) {
        struct csv_row row;
        enum csv_row_end end = csv_row_read(dialect, bytes, size, at, 1, NULL, 0, NULL, &row);
        uint32_t newline = scanned->seps[scanned->rows[r] - 1];
        MUST(end == CSV_ROW_WHOLE || end == CSV_ROW_BLANK, "row %u at %u ends as %d", r, at, (int)end);
        MUST(row.next == newline + 1, "row %u at %u: reader %u, scan %u", r, at, row.next, newline + 1);
        MUST(row.cells == scanned->rows[r] - sep, "row %u: reader %u cells, scan %u", r, row.cells,
             scanned->rows[r] - sep);
        sep = scanned->rows[r];
        at = row.next;
    }
    MUST(scanned->result.stop == at, "stop %u, the reader is at %u", scanned->result.stop, at);
}

static void try_kernels(const struct csv_dialect *dialect, const uint8_t *bytes, uint32_t size,
                        uint32_t start, uint32_t end, int in_quote)
{
    struct csv_scan_job job = {.bytes = bytes,
                               .size = size,
                               .start = start,
                               .end = end,
                               .mark_end = end - 1 < size ? end - 1 : size,
                               .delimiter = dialect->delimiter,
                               .quote = dialect->quote};
    for (int quoted = 0; quoted < (dialect->quote ? 2 : 1); quoted++) {
        struct scanned first, other;
        csv_scan_choose(CSV_KERNEL_SCALAR);
        job.in_quote = (uint8_t)(quoted && in_quote);
        scan_into(&first, job, quoted);
        for (int kernel = CSV_KERNEL_SCALAR + 1; kernel < CSV_KERNELS; kernel++) {
            if (!csv_scan_choose((enum csv_kernel)kernel))
                continue;
            scan_into(&other, job, quoted);
            const struct csv_scan_result *a = &first.result, *b = &other.result;
            MUST(a->flags == b->flags, "%s: flags %x, scalar %x", csv_scan_kernel_name(), b->flags, a->flags);
            if (quoted || !dialect->quote || !(a->flags & CSV_SAW_QUOTE)) {
                MUST(a->sep_count == b->sep_count && a->row_count == b->row_count && a->stop == b->stop &&
                         a->first_row == b->first_row,
                     "%s", csv_scan_kernel_name());
                MUST(memcmp(first.seps, other.seps, a->sep_count * 4) == 0 &&
                         memcmp(first.rows, other.rows, a->row_count * 4) == 0,
                     "%s", csv_scan_kernel_name());
                MUST(a->line_end == b->line_end, "%s: line end %u, scalar %u", csv_scan_kernel_name(),
                     b->line_end, a->line_end);
            }
            MUST(memcmp(first.marks, other.marks, sizeof first.marks) == 0, "%s: newline counts",
                 csv_scan_kernel_name());
            scan_free(&other);
        }
        int regular = !(first.result.flags & (CSV_IRREGULAR | CSV_SAW_STRAY_CR)) &&
                      (quoted || !dialect->quote || !(first.result.flags & CSV_SAW_QUOTE));
        if (regular && start == 0 && end > size && !job.in_quote)
            scan_against_reader(dialect, bytes, size, &first);
        scan_free(&first);
    }
}

/* ---- what the rows are, by the row reader alone ---- */

struct row_seen {
    uint64_t place;
    uint32_t size, key_size; /* size: rejects */
    const uint8_t *key;      /* NULL: a reject */
    int64_t amount;
    uint32_t column;
    enum reject_code code;
};

struct rows_seen {
    struct row_seen *rows;
    size_t count, room;
    int refused;
};

static struct row_seen *row_add(struct rows_seen *seen)
{
    if (seen->count == seen->room) {
        seen->room = seen->room ? seen->room * 2 : 256;
        seen->rows = need(realloc(seen->rows, seen->room * sizeof *seen->rows));
    }
    struct row_seen *row = &seen->rows[seen->count++];
    *row = (struct row_seen){.column = 0xFFFF};
    return row;
}

static void rows_free(struct rows_seen *seen)
{
    for (size_t i = 0; i < seen->count; i++)
        free((void *)seen->rows[i].key);
    free(seen->rows);
    *seen = (struct rows_seen){0};
}

static const uint8_t *copy(const void *bytes, size_t size)
{
    uint8_t *p = need(malloc(size + 1));
    if (size)
        memcpy(p, bytes, size);
    return p;
}

/* Whether the last bytes begin a UTF-8 character that is longer than what is there. */
static int ends_in_character(const uint8_t *bytes, uint32_t size)
{
    for (uint32_t there = 1; there <= 3 && there <= size; there++) {
        uint8_t byte = bytes[size - there];
        uint32_t length = byte >= 0xF8   ? 1
                          : byte >= 0xF0 ? 4
                          : byte >= 0xE0 ? 3
                          : byte >= 0xC2 ? 2
                          : byte >= 0x80 ? 0
                                         : 1;
        if (length)
            return length > there;
    }
    return 0;
}

static void read_plainly(struct rows_seen *seen, const struct csv_dialect *dialect, const uint8_t *bytes,
                         uint32_t size, uint32_t at)
{
    uint8_t *scratch = need(malloc(size + 1));
    *seen = (struct rows_seen){0};
    while (at < size) {
        struct csv_row row;
        struct cell cells[3];
        enum csv_row_end end = csv_row_read(dialect, bytes, size, at, 1, cells, 3, scratch, &row);
        if (end == CSV_ROW_UNFINISHED) {
            MUST(row.ends_in_quote, "unfinished at %u of %u, though at the end", at, size);
            seen->refused = 1;
            break;
        }
        MUST(row.next > at && row.next <= size, "next %u behind %u", row.next, at);
        enum reject_code code = row.code;
        uint32_t column = row.bad_cell == UINT32_MAX ? 0xFFFF : row.bad_cell;
        if (end == CSV_ROW_WHOLE && row.cells != 3) {
            code = REJECT_COLUMNS;
        } else if (end == CSV_ROW_WHOLE) {
            int64_t amount;
            if (!money_parse(cells[1].data, cells[1].size, &amount)) {
                code = REJECT_AMOUNT;
                column = 1;
            } else if (cells[0].size > RECORD_VAR_MAX) {
                code = REJECT_TOO_LONG;
            } else {
                struct row_seen *record = row_add(seen);
                record->place = at;
                record->amount = amount;
                record->key_size = cells[0].size;
                record->key = copy(cells[0].data, cells[0].size);
            }
        }
        if (code != REJECT_NONE) {
            struct row_seen *reject = row_add(seen);
            reject->place = at;
            reject->size = row.size;
            reject->code = code;
            reject->column = column > 0xFFFF ? 0xFFFF : column;
        }
        at = row.next;
    }
    if (size && (bytes[size - 1] == '\r' || ends_in_character(bytes, size)))
        seen->refused = 1;
    free(scratch);
}

/* ---- the source ---- */

struct collector {
    struct outbox outbox; /* first */
    struct batch *open;
    struct rows_seen *seen;
};

static enum err collect(struct outbox *outbox, uint32_t shard, struct diag *diag)
{
    struct collector *c = (struct collector *)outbox;
    struct batch *batch = c->open;
    (void)shard;
    (void)diag;
    const struct record *r = batch->units;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct row_seen *row = row_add(c->seen);
        row->place = r->place;
        row->amount = r->amount_micro;
        row->key_size = r->key_size;
        row->key = copy(record_key(r, 0), r->key_size);
        r += record_units(record_var_size(r, (struct record_layout){0}));
    }
    batch->used = batch->count = 0;
    return OK;
}

static int by_place(const void *a, const void *b)
{
    uint64_t x = ((const struct row_seen *)a)->place, y = ((const struct row_seen *)b)->place;
    return (x > y) - (x < y);
}

/* Claims DEPTH chunks and does the newest first, as far as the source lets it. */
static enum err stream(struct source *source, struct worker_io *io, struct collector *c, struct diag *diag)
{
    struct ticket tickets[DEPTH];
    int in_use[DEPTH] = {0}, more = 1, open = 0;
    for (long idle = 0; more || open;) {
        for (uint32_t i = 0; i < DEPTH && more; i++) {
            if (in_use[i])
                continue;
            tickets[i] = (struct ticket){.buffer = i};
            enum step step = source->ops->claim(source, io, &tickets[i], diag);
            if (step == STEP_FAILED)
                return diag->err;
            if (step == STEP_DONE) {
                more = 0;
                break;
            }
            in_use[i] = 1;
            open++;
            if (source->ops->start(source, io, &tickets[i], diag) != OK)
                return diag->err;
        }
        int done = 0;
        for (int pass = 0; pass < 2 && !done; pass++)
            for (int i = DEPTH - 1; i >= 0; i--) {
                if (!in_use[i])
                    continue;
                enum step step = source->ops->process(source, io, &tickets[i], &c->outbox, diag);
                if (step == STEP_FAILED)
                    return diag->err;
                if (step == STEP_DONE) {
                    in_use[i] = 0;
                    open--;
                    done = 1;
                }
            }
        idle = done ? 0 : idle + 1;
        MUST(idle < 10000, "nobody moves");
    }
    return OK;
}

static struct job *job_of(const struct csv_dialect *dialect, const char *path)
{
    struct diag diag = {0};
    struct job *job;
    const struct diff_request request = {.local_path = path,
                                         .channel_path = path,
                                         .key = "k",
                                         .amount = "m",
                                         .currency = "CNY",
                                         .timezone = "UTC",
                                         .out_dir = "out",
                                         .max_rejects = "1000000000"};
    if (job_from_diff(&job, &request, &diag) != OK) {
        diag_print(&diag, stderr);
        abort();
    }
    for (int side = 0; side < SIDES; side++) {
        job->sources[side].layout.delimiter = (char)dialect->delimiter;
        job->sources[side].layout.quote = (char)dialect->quote;
    }
    return job;
}

/* All records in one call, as rows that lie close together are read: what they say, and in which lines. */
static void fetch_run(struct source *source, struct worker_io *io, const struct rows_seen *seen,
                      const uint8_t *bytes, uint32_t chunk)
{
    struct row_ref *refs = need(calloc(seen->count + 1, sizeof *refs));
    struct full *rows = need(calloc(seen->count + 1, sizeof *rows));
    struct diag diag = {0};
    struct arena arena;
    uint32_t count = 0;
    uint64_t line = 1, from = 0;
    for (size_t i = 0; i < seen->count; i++)
        if (seen->rows[i].key)
            refs[count++].place = seen->rows[i].place;
    arena_init(&arena);
    enum err err = count ? source->ops->fetch(source, io, refs, rows, count, &arena, &diag) : OK;
    MUST(err == OK, "chunk %u: %s", chunk, diag.what);
    count = 0;
    for (size_t i = 0; i < seen->count; i++) {
        const struct row_seen *const row = &seen->rows[i];
        if (!row->key)
            continue;
        const struct full *const full = &rows[count++];
        for (; from < row->place; from++)
            line += bytes[from] == '\n';
        MUST(full->place == row->place && full->amount_micro == row->amount &&
                 (full->line == 0 || full->line == line),
             "chunk %u: the row at %llu, in line %llu, not %llu", chunk, (unsigned long long)row->place,
             (unsigned long long)full->line, (unsigned long long)line);
    }
    arena_fini(&arena);
    free(refs);
    free(rows);
}

static enum err see_reject(void *taker, const struct reject *reject, struct diag *diag)
{
    struct row_seen *row = row_add(taker);
    (void)diag;
    row->place = reject->place;
    row->size = reject->size;
    row->column = reject->column;
    row->code = (enum reject_code)reject->code;
    return OK;
}

static void try_source(const struct csv_dialect *dialect, const uint8_t *bytes, const struct rows_seen *want,
                       const char *path, uint32_t chunk, struct worker_io *io)
{
    static struct dict *words;
    static struct zone *zone;
    static struct batch *batch;
    struct diag diag = {0};
    if (!words && (dict_open(&words, &diag) != OK || day_zone_open(&zone, "UTC", &diag) != OK))
        abort();
    if (!batch) {
        batch = need(mem_map(sizeof *batch + RECORD_ROOM * RECORD_UNIT, 0));
        batch->room = RECORD_ROOM;
    }
    struct job *job = job_of(dialect, path);
    struct norm_shared shared = {
        .job = job, .words = words, .job_zone = zone, .zones = {zone, zone}, .hash_seed = 7};
    struct source_config config = {.shared = &shared, .side = LOCAL, .chunk = chunk, .workers = 1};
    struct source *source;
    struct rows_seen seen = {0};
    struct collector c = {.outbox = {.shard_count = 1, .flush = collect}, .open = batch, .seen = &seen};
    c.outbox.open = &c.open;
    batch->used = batch->count = 0;
    if (tally_init(&c.outbox.tally, &diag) != OK)
        abort();
    enum err err = csv_source_open(&source, &config, &diag);
    if (err != OK) {
        MUST(strcmp(diag.code, "file.kind") == 0, "%s",
             diag.what); /* a NUL near the beginning, or a word like PK */
        tally_fini(&c.outbox.tally);
        job_close(job);
        return;
    }
    err = stream(source, io, &c, &diag);
    if (err == OK)
        collect(&c.outbox, 0, &diag);
    if (err == OK)
        err = source->ops->finish(source, io, &diag);
    MUST((err == ERR_INPUT) == want->refused, "chunk %u: err %d (%s), the plain walk says %s", chunk,
         (int)err, diag.what, want->refused ? "refused" : "fine");
    if (err == OK) {
        size_t record_count = seen.count;
        err = source->ops->rejects(source, see_reject, &seen, &diag);
        MUST(err == OK, "chunk %u: err %d (%s)", chunk, (int)err, diag.what);
        const size_t reject_count = seen.count - record_count;
        qsort(seen.rows, seen.count, sizeof *seen.rows, by_place);
        struct source_counts counts;
        source->ops->counts(source, &counts);
        MUST(counts.records == record_count && counts.rejects == reject_count, "chunk %u: counts", chunk);
        uint64_t line = 1, from = 0;
        for (size_t i = 0; i < seen.count || i < want->count; i++) {
            MUST(i < seen.count && i < want->count, "chunk %u: %zu rows, the plain walk has %zu", chunk,
                 seen.count, want->count);
            const struct row_seen *a = &seen.rows[i], *b = &want->rows[i];
            MUST(a->place == b->place && a->code == b->code,
                 "chunk %u, row %zu: at %llu code %d, want %llu code %d", chunk, i,
                 (unsigned long long)a->place, (int)a->code, (unsigned long long)b->place, (int)b->code);
            MUST(a->size == b->size && a->column == b->column,
                 "chunk %u, row %zu: size %u column %u, want %u %u", chunk, i, a->size, a->column, b->size,
                 b->column);
            MUST(a->amount == b->amount && a->key_size == b->key_size &&
                     (!a->key || memcmp(a->key, b->key, a->key_size) == 0),
                 "chunk %u, row %zu: not the same record", chunk, i);
            if (i % 16 != 0 && i > 40)
                continue;
            for (; from < a->place; from++)
                line += bytes[from] == '\n';
            struct full place_only = {.place = a->place};
            char text[4400], where[64];
            size_t n = source->ops->place_text(source, io, &place_only, text, sizeof text);
            snprintf(where, sizeof where, ":%llu@%llu", (unsigned long long)line,
                     (unsigned long long)a->place);
            MUST(n > strlen(where) && strcmp(text + n - strlen(where), where) == 0, "chunk %u: %s, want %s",
                 chunk, text, where);
            struct arena arena;
            arena_init(&arena);
            if (a->key) {
                struct row_ref ref = {.place = a->place};
                struct full full;
                err = source->ops->fetch(source, io, &ref, &full, 1, &arena, &diag);
                MUST(err == OK && full.amount_micro == a->amount, "chunk %u: %s", chunk, diag.what);
            } else {
                const struct reject reject = {.place = a->place,
                                              .size = a->size,
                                              .column = (uint16_t)a->column,
                                              .code = (uint8_t)a->code};
                struct span raw, place, column, value;
                err = source->ops->reject_text(source, io, &reject, &arena, &raw, &place, &column, &value,
                                               &diag);
                MUST(err == OK && raw.size == a->size && memcmp(raw.data, bytes + a->place, raw.size) == 0,
                     "chunk %u: %s", chunk, diag.what);
            }
            arena_fini(&arena);
        }
    }
    if (err == OK)
        fetch_run(source, io, &seen, bytes, chunk);
    /* A refused file may leave reads under way. */
    struct ring_done done;
    while (ring_next(io->ring, 1, &done))
        ;
    memset(io->in_buffer, 0, DEPTH * sizeof *io->in_buffer);
    source->ops->close(source);
    tally_fini(&c.outbox.tally);
    job_close(job);
    rows_free(&seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct csv_dialect *dialect = &dialects[data[0] % (sizeof dialects / sizeof *dialects)];
    static const uint8_t repeats[] = {1, 2, 3, 40};
    size_t repeat = repeats[data[1] >> 6], body = size - 2;
    while (repeat > 1 && body * repeat > TEXT_MAX / 2)
        repeat--;
    if (body > TEXT_MAX / 2)
        return 0;
    uint8_t *bytes = need(calloc(1, 16 + body * repeat + CSV_SCAN_SLACK + 64));
    uint32_t used = (uint32_t)sprintf((char *)bytes, "k%cm%cs\n", dialect->delimiter, dialect->delimiter);
    const uint32_t header_size = used;
    for (size_t i = 0; i < repeat; i++, used += (uint32_t)body)
        if (body)
            memcpy(bytes + used, data + 2, body);

    try_kernels(dialect, bytes, used, 0, used + 1, 0);
    uint32_t cut = used ? data[1] % used : 0;
    try_kernels(dialect, bytes, used, cut, used + 1, data[1] & 1);
    try_kernels(dialect, bytes, used, cut / 2, cut + 1, data[1] & 1);
    while (csv_scan_choose((enum csv_kernel)(CSV_KERNELS - 1 - data[1] % CSV_KERNELS)) == 0 &&
           !csv_scan_choose(CSV_KERNEL_SCALAR)) {
    }

    struct rows_seen want;
    read_plainly(&want, dialect, bytes, used, header_size);
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("fuzz.csv", MFD_CLOEXEC);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, bytes, used, 0) != (ssize_t)used)
        abort();
    /* Kept from input to input, as a worker keeps its own from file to file. */
    static const uint32_t chunks[] = {1u << 16, 200, 64, 1000, CSV_MARK_BYTES};
    static struct worker_io *io[sizeof chunks / sizeof *chunks];
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        struct diag diag = {0};
        struct worker_io_config config = {RING_POSIX, chunks[i], DEPTH};
        if (!io[i] && worker_io_open(&io[i], &config, NULL, &diag) != OK)
            abort();
        io[i]->window_of = 0;
        uint32_t chunk = i == 1 ? 1u + data[1] % 200u : chunks[i];
        if (used / chunk < 600)
            try_source(dialect, bytes, &want, path, chunk, io[i]);
    }
    rows_free(&want);
    free(bytes);
    return 0;
}

#ifndef TIEOUT_FUZZ
int main(int count, char **paths)
{
    return replay(count, paths, LLVMFuzzerTestOneInput, 0);
}
#endif
