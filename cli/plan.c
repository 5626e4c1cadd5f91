/* cli/plan.c: see plan.h */
#include "cli/plan.h"
#include "core/base/arena.h"
#include "core/base/mem.h"
#include "core/model/packed.h"
#include "core/model/words.h"
#include "core/rules/normalize.h"
#include "index/shard.h"
#include "io/ring/disk.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SAMPLE_ROWS = 2000, MIB = 1 << 20 };

static double mib(uint64_t bytes)
{
    return (double)bytes / MIB;
}

/* ---- before ---- */

struct sample {
    const struct job *job;
    struct arena arena;
    uint64_t rows, last_place, key_bytes;
};

static enum err take_sample(void *context, const struct full *full, struct diag *diag)
{
    struct sample *s = context;
    struct full copy = *full;
    if (s->rows == SAMPLE_ROWS)
        return diag_set(diag, ERR_INTERRUPTED, "plan", NULL,
                        "enough rows"); /* ends the scan; told to nobody */
    if (!normalize_key(s->job, 0, &s->arena, &copy))
        return mem_fail(diag, 0, "a key");
    s->rows++;
    s->last_place = full->place;
    s->key_bytes += copy.key.size;
    return OK;
}

struct side_plan {
    uint64_t bytes, rows;
    double row_bytes, key_bytes;
    int is_guess; /* rows: more files or bytes than were looked at */
};

static enum err look_at(const struct plan *p, enum side side, struct worker_io *io, struct side_plan *out,
                        struct diag *diag)
{
    struct source *source = p->sources[side];
    struct sample sample = {.job = p->job};
    struct diag ended = {0};
    arena_init(&sample.arena);
    enum err err = source->ops->scan(source, io, take_sample, &sample, &ended);
    const int cut = err == ERR_INTERRUPTED;
    arena_fini(&sample.arena);
    if (err != OK && !cut) {
        *diag = ended;
        return err;
    }
    *out = (struct side_plan){.bytes = source->ops->size(source), .is_guess = cut};
    out->rows = sample.rows;
    if (sample.rows) {
        out->row_bytes =
            cut ? (double)sample.last_place / (double)sample.rows : (double)out->bytes / (double)sample.rows;
        out->key_bytes = (double)sample.key_bytes / (double)sample.rows;
        if (cut && out->row_bytes > 0)
            out->rows = (uint64_t)((double)out->bytes / out->row_bytes);
    }
    return OK;
}

static void say_fit(FILE *out, const char *order, uint64_t needed, uint64_t there)
{
    if (needed <= there)
        fprintf(out, "  %s: %.0f MiB; all of it stays in memory\n", order, mib(needed));
    else
        fprintf(out, "  %s: %.0f MiB; about %.0f MiB of it go to disk and come back\n", order, mib(needed),
                mib(needed - there));
}

static void say_direct(FILE *out, enum side side, const struct source *source)
{
    struct source_file file;
    unsigned files = 0, direct = 0;
    for (uint32_t i = 0; source->ops->file && source->ops->file(source, i, &file); i++, files++)
        direct += file.is_direct != 0;
    if (direct)
        fprintf(
            out,
            "  %-8s %u of %u files past the page cache (O_DIRECT): they are large and not in memory, so the\n"
            "  cache would only cost a copy and drive out what is there\n",
            side_name(side), direct, files);
    else if (files)
        fprintf(out, "  %-8s through the page cache: in memory already, below 16 MiB, or packed\n",
                side_name(side));
}

/* How match.csv will be made, and why so. A row of it has the order's and the channel's numbers once, and both places: about as many bytes as
 * both rows have. */
static void say_match(FILE *out, const struct plan *p, const struct side_plan sides[SIDES])
{
    enum { SHARE = 6, OF = 7 };
    const struct match_outlook *m = &p->match;
    const uint64_t fewer = sides[LOCAL].rows < sides[CHANNEL].rows ? sides[LOCAL].rows : sides[CHANNEL].rows;
    const double row = (sides[LOCAL].row_bytes + sides[CHANNEL].row_bytes) * SHARE / OF;
    fprintf(out, "match.csv\n  about %.0f MiB on disk if all rows match\n", (double)fewer * row / (1 << 20));
    switch (m->road) {
    case MATCH_MEETS:
        fprintf(out,
                "  what is needed of each row is kept in memory while the files are read, %.0f MiB of %.0f; "
                "then rows\n"
                "  meet range by range. The index gets those that have no partner or several; no row is read "
                "again\n",
                mib(m->shelf), mib(p->shelf_bytes));
        break;
    case MATCH_TELLS:
        fprintf(out,
                "  what is needed of each row is put aside while the files are read, %.0f MiB, in %.0f MiB "
                "of memory and\n"
                "  else on disk; no row is read again\n",
                mib(m->aside), mib(p->match_bytes));
        break;
    case MATCH_READS_AGAIN:
        fprintf(out,
                "  pairs are put aside, and both files read again in their order, through %.0f MiB of memory "
                "and the\n"
                "  disk (some 150 bytes a pair)\n",
                mib(p->match_bytes));
        break;
    }
    if (m->why)
        fprintf(out, "  %s: %s\n",
                m->road == MATCH_TELLS ? "rows do not meet without the index" : "rows are read a second time",
                m->why);
}

enum err plan_print(const struct plan *p, struct worker_io *io, FILE *out, struct diag *diag)
{
    struct side_plan sides[SIDES];
    for (int side = 0; side < SIDES; side++) {
        enum err err = look_at(p, (enum side)side, io, &sides[side], diag);
        if (err != OK)
            return err;
    }
    fprintf(out, "inputs\n");
    for (int side = 0; side < SIDES; side++)
        fprintf(out, "  %-8s %.1f MiB, %s%llu rows of %.0f bytes\n", side_name((enum side)side),
                mib(sides[side].bytes), sides[side].is_guess ? "about " : "",
                (unsigned long long)sides[side].rows, sides[side].row_bytes);
    const struct record_layout layout = p->sources[LOCAL]->ops->layout(p->sources[LOCAL]);
    const double key =
        sides[LOCAL].key_bytes > sides[CHANNEL].key_bytes ? sides[LOCAL].key_bytes : sides[CHANNEL].key_bytes;
    const uint32_t var =
        (uint32_t)key + (layout.has_fold ? RECORD_FOLD_BYTES + 2u : 0u) + (layout.has_extras ? 2u + 8u : 0u);
    const struct record_layout other = p->sources[CHANNEL]->ops->layout(p->sources[CHANNEL]);
    const int packs = !layout.has_fold && !layout.has_extras && !other.has_fold && !other.has_extras &&
                      !p->job->match.group.given && key <= PACKED_KEY_MAX;
    const int pair = SHARD_PAIR_BYTES + (layout.has_fold ? SHARD_IMAGE_BYTES : 0) +
                     (other.has_fold ? SHARD_IMAGE_BYTES : 0);
    const uint32_t record = packs ? (uint32_t)sizeof(struct packed) : record_units(var) * RECORD_UNIT;
    const uint64_t fewer = sides[LOCAL].rows < sides[CHANNEL].rows ? sides[LOCAL].rows : sides[CHANNEL].rows;
    fprintf(
        out,
        "reading\n"
        "  %u worker%s, each with %u chunk%s of %u KiB in flight (%s); a chunk is scanned and decoded by\n"
        "  the worker that read it, and each record goes to the one that owns its key\n",
        p->threads, p->threads == 1 ? "" : "s", p->depth, p->depth == 1 ? "" : "s", p->chunk >> 10,
        p->io_name);
    for (int side = 0; side < SIDES; side++)
        say_direct(out, (enum side)side, p->sources[side]);
    fprintf(out,
            "index\n"
            "  %u shard%s, each of %d partitions; a record that waits takes %u bytes and %d of table, an\n"
            "  exact pair that left %d\n",
            p->shards, p->shards == 1 ? "" : "s", HASH_PARTITIONS, record, SHARD_TABLE_BYTES, pair);
    fprintf(out,
            "memory\n"
            "  %.0f MiB: %.0f MiB for the index, %.0f MiB for sorting results, ",
            mib(p->memory), mib(p->index_bytes), mib(p->sort_bytes * p->threads));
    if (p->counts_bytes)
        fprintf(out, "%.1f MiB for the counts of aggregate.csv,\n  ", mib(p->counts_bytes));
    if (p->reject_bytes)
        fprintf(out, "%.1f MiB for lists of rejects,\n  ", mib(p->reject_bytes));
    fprintf(out, "the rest for buffers\n");
    fprintf(out, "what the index will need\n");
    const int is_log = layout.has_fold || other.has_fold;
    const uint64_t pairs = fewer * pair;
    say_fit(out, "both sides in order of time", pairs,
            packs ? shard_packs_live(p->index_bytes / p->shards, 0) * p->shards
                  : shard_pair_share(p->index_bytes));
    say_fit(out, "in no common order", fewer / 2 * (record + SHARD_TABLE_BYTES) + pairs, p->index_bytes);
    if (is_log)
        say_fit(out, "if a log often tells more of a row that has its partner",
                (sides[LOCAL].rows + sides[CHANNEL].rows) * (record + SHARD_TABLE_BYTES),
                shard_live_share(p->index_bytes));
    if (p->job->write_match)
        say_match(out, p, sides);
    fprintf(out, "  (temporary files: %s; checksummed, gone with the program)\n", p->spill_directory);
    if (disk_is_memory(p->spill_directory))
        fprintf(out,
                "  (that is a tmpfs: what goes to disk takes memory there, which --memory does not count)\n");
    return OK;
}

/* ---- after ---- */

/* Bytes per second at which the system hands one thread what it has of a file in memory; 0 when it cannot
 * tell. */
static double machine_reads(void)
{
    enum { PIECE = 256 * 1024, FILE_BYTES = 32 << 20, ROUNDS = 6 };
    int fd = memfd_create("tieout-stats", MFD_CLOEXEC);
    char *piece = mem_take_zero(1, PIECE);
    uint64_t done = 0;
    double seconds = 0;
    for (off_t at = 0; fd >= 0 && piece && at < FILE_BYTES; at += PIECE)
        if (pwrite(fd, piece, PIECE, at) != PIECE)
            break;
    for (int round = 0; fd >= 0 && piece && round < ROUNDS; round++) {
        const double began = run_seconds();
        for (off_t at = 0; at < FILE_BYTES; at += PIECE)
            done += pread(fd, piece, PIECE, at) == PIECE ? PIECE : 0;
        seconds += run_seconds() - began;
    }
    mem_give(piece);
    if (fd >= 0)
        close(fd);
    return done && seconds > 0 ? (double)done / seconds : 0;
}

static double share(double part, double all)
{
    return all > 0 ? part / all * 100 : 0;
}

void stats_print(const struct plan *p, const struct run_result *r, double seconds, FILE *out)
{
    const uint64_t rows = r->counts[LOCAL].rows + r->counts[CHANNEL].rows,
                   bytes = r->counts[LOCAL].bytes + r->counts[CHANNEL].bytes;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double scan = 0, decode = 0, apply = 0, wait = 0, settle = 0, resolve = 0, meet = 0, match = 0;
    uint64_t entries = 0, table = 0, pairs = 0, waiting = 0, written = 0, spilled = 0;
    fprintf(out, "stats\n");
    fprintf(out,
            "  worker  core   scan  decode  index   wait%s  settle  resolve%s   records    most waiting\n",
            p->job->write_match ? "   meet" : "", p->job->write_match ? "   match" : "");
    for (uint32_t i = 0; i < r->workers; i++) {
        const struct worker_times *w = &r->worker[i];
        fprintf(out, "  %6u  %4d %5.2fs %6.2fs %5.2fs %5.2fs", i, w->core, w->scan_seconds, w->decode_seconds,
                w->apply_seconds, w->wait_seconds);
        if (p->job->write_match)
            fprintf(out, " %5.2fs", w->join_seconds);
        fprintf(out, " %6.2fs %7.2fs", w->settle_seconds, w->resolve_seconds - w->match_seconds);
        if (p->job->write_match)
            fprintf(out, " %6.2fs", w->match_seconds);
        fprintf(out, " %9llu %11llu\n", (unsigned long long)w->index.records,
                (unsigned long long)w->index.waiting_max);
        meet += w->join_seconds, match += w->match_seconds;
        scan += w->scan_seconds, decode += w->decode_seconds, apply += w->apply_seconds;
        wait += w->wait_seconds, settle += w->settle_seconds,
            resolve += w->resolve_seconds - w->match_seconds;
        entries += w->index.entry_bytes, table += w->index.table_bytes, pairs += w->index.pair_bytes;
        waiting += w->index.waiting_max, written += w->spill_written, spilled += w->index.spilled;
    }
    const double busy = scan + decode + apply + wait + settle + resolve + meet + match;
    fprintf(out,
            "  time    %.2f s (user %.2f, system %.2f): scan %.0f %%, decode %.0f %%, index %.0f %%, wait "
            "%.0f %%, resolve %.0f %%",
            seconds, (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
            (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6, share(scan, busy),
            share(decode, busy), share(apply, busy), share(wait, busy), share(settle + resolve, busy));
    if (p->job->write_match)
        fprintf(out, ", rows meet %.0f %%, match.csv %.0f %%", share(meet, busy), share(match, busy));
    fprintf(out, "\n");
    fprintf(out,
            "  memory  %.0f MiB at most, of %.0f MiB allowed: entries %.0f MiB, tables %.0f MiB, pairs %.0f "
            "MiB; to disk %.0f MiB (%llu records)\n",
            (double)usage.ru_maxrss / 1024, mib(p->memory), mib(entries), mib(table), mib(pairs),
            mib(written), (unsigned long long)spilled);
    const double reads = machine_reads();
    if (reads > 0) {
        const double least = (double)bytes / reads / p->threads;
        fprintf(out,
                "  limit   %.1f million rows and %.0f MB a second; this machine hands %.1f GB a second of "
                "file to one thread, so %.2f s would be the least for %u: this run took %.1f times that\n",
                (double)rows / seconds / 1e6, (double)bytes / seconds / 1e6, reads / 1e9, least, p->threads,
                least > 0 ? seconds / least : 0);
    }
    fprintf(out, "  faster  ");
    if (written > 0 && waiting > 0)
        fprintf(out, "with more --memory: %.0f MiB went to disk and came back\n", mib(written));
    else if (share(wait, busy) > 30)
        fprintf(out,
                "wherever the files lie: workers waited for them (or for each other) %.0f %% of the time\n",
                share(wait, busy));
    else if (share(match, busy) > 35)
        fprintf(out, "without --write-match, or with a faster disk: match.csv took %.0f %% of the time\n",
                share(match, busy));
    else if (share(settle + resolve, busy) > 35)
        fprintf(out, "with fewer breaks: their rows were read again and judged one by one\n");
    else if (waiting > rows / 8)
        fprintf(out,
                "with both files in the same order: %.1f million records waited for their partner at "
                "once, and each is a cache miss\n",
                (double)waiting / 1e6);
    else
        fprintf(out, "with more cores: scanning, decoding and the index share the work evenly\n");
}
