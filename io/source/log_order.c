/* io/source/log_order.c: see log_order.h */
#include "io/source/log_order.h"
#include "core/base/mem.h"
#include "io/source/log_name.h"
#include <stdio.h>

enum { HEAD_BYTES = 64 << 10, PIECE = 1 << 20, FLAGS_AT = BINLOG_MAGIC_SIZE + 17 };

static const char *const hint_names =
    "give the files under the names that the server gave them (mysql-bin.000001, ...), in one folder or in "
    "several; only files of one log belong to one `files:`";

void log_order_fini(struct log_order *order)
{
    for (uint32_t i = 0; order->heads && i < order->count; i++)
        binlog_head_fini(&order->heads[i]);
    mem_give(order->heads);
    mem_give(order->copies);
    memset(order, 0, sizeof *order);
}

/* ---- reading ---- */

static enum err read_head(struct binlog_head *head, struct input_file *input, struct diag *diag)
{
    size_t need = HEAD_BYTES;
    for (;;) {
        const size_t size = input->size < need ? (size_t)input->size : need;
        uint8_t *bytes = mem_take(size);
        if (!bytes)
            return mem_fail(diag, size, "a log's head");
        enum err err = input_pread_all(input, bytes, size, 0, diag);
        const int done = err != OK || binlog_head_read(head, bytes, size, size == input->size, &need);
        mem_give(bytes);
        if (done || need > BINLOG_HEAD_MAX)
            return err;
    }
}

static enum err read_next_name(char *name, size_t room, const struct binlog_head *head,
                               struct input_file *input, struct diag *diag)
{
    uint8_t bytes[BINLOG_TAIL_MAX];
    const size_t size = input->size < sizeof bytes ? (size_t)input->size : sizeof bytes;
    enum err err = input_pread_all(input, bytes, size, input->size - size, diag);
    name[0] = 0;
    if (err == OK)
        binlog_tail_read(name, room, &head->format, bytes, size);
    return err;
}

/* ---- names ---- */

/* Bytes of a file's name before its number. */
static size_t stem_size(const char *name)
{
    size_t n = file_bare_length(name);
    while (n && name[n - 1] >= '0' && name[n - 1] <= '9')
        n--;
    return n;
}

static int same_stem(const char *a, const char *b)
{
    const size_t n = stem_size(a);
    return n == stem_size(b) && memcmp(a, b, n) == 0;
}

/* ---- copies ---- */

/* `*same`: the shorter one is how the longer one begins. A log that is written to says so in its first event's flags. */
static enum err compare(struct input_file *a, struct input_file *b, uint8_t *bytes, int *same,
                        struct diag *diag)
{
    const uint64_t size = a->size < b->size ? a->size : b->size;
    enum err err = OK;
    *same = 1;
    for (uint64_t at = 0; err == OK && *same && at < size;) {
        const size_t want = at == 0 && size > HEAD_BYTES ? HEAD_BYTES
                            : size - at < PIECE          ? (size_t)(size - at)
                                                         : PIECE;
        err = input_pread_all(a, bytes, want, at, diag);
        if (err == OK)
            err = input_pread_all(b, bytes + PIECE, want, at, diag);
        if (at == 0 && want > FLAGS_AT)
            bytes[FLAGS_AT] = bytes[PIECE + FLAGS_AT] = 0;
        *same = memcmp(bytes, bytes + PIECE, want) == 0;
        at += want;
    }
    return err;
}

/* A file that was only just begun is how any other of that second begins: what is longer is its copy only if it may be that file. */
static int may_be_one(const struct input_file *a, const struct input_file *b)
{
    const char *x = log_base_name(a->path), *y = log_base_name(b->path);
    return a->size == b->size || !same_stem(x, y) || log_number(x) == log_number(y);
}

/* Tells what is left out: `kept[i]` becomes the file that `i` is a copy of. */
static enum err find_copies(const struct log_order *order, struct file_set *set, uint32_t *kept,
                            struct diag *diag)
{
    uint8_t *bytes = NULL;
    enum err err = OK;
    for (uint32_t i = 0; i < set->count; i++)
        kept[i] = i;
    for (uint32_t i = 0; err == OK && i < set->count; i++)
        for (uint32_t k = 0; err == OK && k < i && kept[i] == i; k++) {
            const struct binlog_head *a = &order->heads[i], *b = &order->heads[k];
            int same;
            if (kept[k] != k || !a->known || !b->known || a->server != b->server ||
                a->begun_at != b->begun_at || !may_be_one(&set->files[i], &set->files[k]))
                continue;
            if (!bytes && !(bytes = mem_take(2 * PIECE)))
                return mem_fail(diag, 2 * PIECE, "comparing logs");
            err = compare(&set->files[i], &set->files[k], bytes, &same, diag);
            if (err != OK || !same)
                continue;
            const uint32_t longer = set->files[i].size > set->files[k].size ? i : k;
            for (uint32_t j = 0; j <= i; j++)
                if (kept[j] == i || kept[j] == k)
                    kept[j] = longer;
        }
    mem_give(bytes);
    return err;
}

/* ---- the order ---- */

/* What a file is ordered by; the first that differs decides. */
struct rank {
    uint32_t file;
    uint64_t by[3];
};

static int is_behind(const struct rank *a, const struct rank *b)
{
    for (size_t i = 0; i < sizeof a->by / sizeof a->by[0]; i++)
        if (a->by[i] != b->by[i])
            return a->by[i] > b->by[i];
    return 0;
}

/* How many transactions came before, or for MariaDB what never falls while they come. */
static uint64_t before_sum(const struct binlog_head *head)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < head->before.count; i++) {
        const struct gtid_stream *stream = &head->before.streams[i];
        if (stream->origin.kind == BINLOG_GTID_MARIADB)
            sum += stream->origin.number;
        else
            for (size_t k = 0; k < stream->count; k++)
                sum += stream->runs[k].last - stream->runs[k].first + 1;
    }
    return sum;
}

static enum err rank_files(const struct log_order *order, struct file_set *set, struct rank *ranks,
                           uint32_t count, struct diag *diag)
{
    int by_number = 1, by_before = 1, by_next = 1;
    const char *first = log_base_name(set->files[ranks[0].file].path);
    for (uint32_t i = 0; i < count; i++) {
        const char *name = log_base_name(set->files[ranks[i].file].path);
        ranks[i].by[0] = log_number(name);
        by_number = by_number && ranks[i].by[0] != UINT64_MAX && same_stem(name, first);
        for (uint32_t k = 0; k < i; k++)
            by_number = by_number && ranks[k].by[0] != ranks[i].by[0];
        by_before = by_before && order->heads[ranks[i].file].has_before;
    }
    char next_of_first[512] = "";
    for (uint32_t i = 0; !by_number && i < count; i++) {
        const struct binlog_head *head = &order->heads[ranks[i].file];
        char next[512];
        enum err err = read_next_name(next, sizeof next, head, &set->files[ranks[i].file], diag);
        if (err != OK)
            return err;
        ranks[i].by[0] = by_before ? before_sum(head) : 0;
        ranks[i].by[1] = head->begun_at;
        ranks[i].by[2] = next[0] ? log_number(next) : UINT64_MAX;
        if (next[0] && !next_of_first[0])
            snprintf(next_of_first, sizeof next_of_first, "%s", next);
        by_next = by_next && (!next[0] || same_stem(next, next_of_first));
    }
    for (uint32_t i = 0; !by_next && i < count; i++)
        ranks[i].by[2] = 0;
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t k = i; k && is_behind(&ranks[k - 1], &ranks[k]); k--) {
            const struct rank other = ranks[k];
            ranks[k] = ranks[k - 1];
            ranks[k - 1] = other;
        }
    return OK;
}

static void tell_copies(const struct file_set *set, uint32_t copy, uint32_t of, uint32_t count)
{
    const struct input_file *a = &set->files[copy], *b = &set->files[of];
    fprintf(stderr, "note: %s is %s%s once more, byte for byte", a->path,
            a->size < b->size ? "the beginning of " : "", b->path);
    if (count > 1)
        fprintf(stderr, ", and %u more files are copies like it", count - 1);
    fprintf(stderr, ": each is read once\n");
}

static enum err put_in_order(struct log_order *order, struct file_set *set, const uint32_t *kept,
                             struct rank *ranks, uint32_t *wanted, struct diag *diag)
{
    uint32_t count = 0, left_out = 0, first = 0;
    for (uint32_t i = 0; i < set->count; i++)
        if (kept[i] == i)
            ranks[count++] = (struct rank){.file = i};
    if (order->is_one_server) {
        enum err err = rank_files(order, set, ranks, count, diag);
        if (err != OK)
            return err;
    }
    for (uint32_t i = 0; i < count; i++)
        wanted[i] = ranks[i].file;
    if (count < set->count) {
        order->copies = mem_take_zero(set->count - count, sizeof *order->copies);
        if (!order->copies)
            return mem_fail(diag, set->count * sizeof *order->copies, "the list of logs");
    }
    for (uint32_t i = 0; i < set->count; i++) {
        struct log_copy *copy;
        if (kept[i] == i)
            continue;
        wanted[count + left_out++] = i;
        copy = &order->copies[order->copy_count++];
        copy->size = set->files[i].size;
        while (wanted[copy->file] != kept[i])
            copy->file++;
        if (order->copy_count == 1)
            first = i;
    }
    if (order->copy_count)
        tell_copies(set, first, kept[first], order->copy_count);
    struct binlog_head *heads = mem_take_zero(set->count, sizeof *heads);
    if (!heads)
        return mem_fail(diag, set->count * sizeof *heads, "the list of logs");
    for (uint32_t i = 0; i < set->count; i++)
        heads[i] = order->heads[wanted[i]];
    mem_give(order->heads);
    order->heads = heads;
    return file_set_arrange(set, wanted, count, diag);
}

enum err log_order_make(struct log_order *order, struct file_set *set, struct diag *diag)
{
    const uint32_t count = set->count;
    memset(order, 0, sizeof *order);
    if (count < 2)
        return OK;
    order->heads = mem_take_zero(count, sizeof *order->heads);
    uint32_t *lists = mem_take_zero(2 * (size_t)count, sizeof *lists);
    struct rank *ranks = mem_take_zero(count, sizeof *ranks);
    enum err err = order->heads && lists && ranks
                       ? OK
                       : mem_fail(diag, count * sizeof *order->heads, "the list of logs");
    order->count = count;
    order->is_one_server = 1;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        const struct binlog_head *head = &order->heads[i];
        err = read_head(&order->heads[i], &set->files[i], diag);
        order->is_one_server = order->is_one_server && head->known && head->server == order->heads[0].server;
    }
    if (err == OK)
        err = find_copies(order, set, lists, diag);
    if (err == OK)
        err = put_in_order(order, set, lists, ranks, lists + count, diag);
    mem_give(ranks);
    mem_give(lists);
    return err;
}

/* ---- does it hold? ---- */

static enum err wrong_order(const struct file_set *set, uint32_t file, const char *why, struct diag *diag)
{
    return diag_set(diag, ERR_INPUT, "binlog.order", hint_names,
                    "%s would be read behind %s, and is no later part of that log: %s", set->files[file].path,
                    set->files[file - 1].path, why);
}

static enum err gap(const struct file_set *set, uint32_t file, const char *why, struct diag *diag)
{
    return diag_set(diag, ERR_INPUT, "binlog.gap",
                    "bring the missing files; rows in them would be lost without a word",
                    "%s does not follow %s: %s", set->files[file].path, set->files[file - 1].path, why);
}

/* By the name that the file before says. `*agrees`: it is this one. */
static enum err check_name(const struct log_order *order, struct file_set *set, const struct log_place *place,
                           int *agrees, struct diag *diag)
{
    const uint32_t file = place->file;
    const char *name = log_base_name(set->files[file].path);
    const uint64_t expected = log_number(place->expected);
    uint64_t is;
    char next[512], why[1200];
    if (!place->expected[0] || expected == UINT64_MAX)
        return OK;
    if (same_stem(name, place->expected)) {
        is = log_number(name);
    } else { /* it has another name: what follows it says what it was called */
        enum err err = read_next_name(next, sizeof next, &order->heads[file], &set->files[file], diag);
        if (err != OK || !next[0] || !same_stem(next, place->expected) || log_number(next) == UINT64_MAX ||
            log_number(next) == 0)
            return err;
        is = log_number(next) - 1;
    }
    *agrees = is == expected;
    if (is == expected)
        return OK;
    snprintf(why, sizeof why, "%s is followed by %s, and this is number %llu",
             log_base_name(set->files[file - 1].path), place->expected, (unsigned long long)is);
    return is < expected ? wrong_order(set, file, why, diag) : gap(set, file, why, diag);
}

/* By the list of what came before it. */
static enum err check_before(const struct log_order *order, struct file_set *set,
                             const struct log_place *place, int *agrees, struct diag *diag)
{
    const struct binlog_head *last = &order->heads[place->file - 1], *head = &order->heads[place->file];
    const enum binlog_gtid_kind kind = gtid_set_kind(place->seen);
    struct binlog_gtid which;
    char gtid[BINLOG_GTID_TEXT_MAX], why[256];
    if (!order->is_one_server || !head->has_before || head->format.flavour != last->format.flavour ||
        (kind != BINLOG_GTID_NONE &&
         (kind == BINLOG_GTID_MARIADB) != (head->format.flavour == BINLOG_MARIADB)))
        return OK;
    const int result = gtid_set_follows(&head->before, place->seen, &order->heads[0].before,
                                        head->begun_at > last->begun_at, &which);
    if (result == -2)
        return mem_fail(diag, 0, "a set of GTIDs");
    *agrees = *agrees || (result == 0 && kind != BINLOG_GTID_NONE);
    if (result == 0)
        return OK;
    binlog_gtid_print(gtid, &which);
    if (result < 0) {
        snprintf(why, sizeof why, "it was begun before transaction %s, which was read already", gtid);
        return wrong_order(set, place->file, why, diag);
    }
    if (!order->heads[0].has_before || !place->all_told)
        return OK;
    snprintf(why, sizeof why, "it was begun after transaction %s, which is in no file before it", gtid);
    return gap(set, place->file, why, diag);
}

enum err log_order_check(const struct log_order *order, struct file_set *set, const struct log_place *place,
                         struct diag *diag)
{
    if (!order->heads)
        return OK;
    const struct binlog_head *last = &order->heads[place->file - 1], *head = &order->heads[place->file];
    if (!last->known || !head->known || last->server != head->server)
        return OK;
    int agrees = 0;
    enum err err = check_name(order, set, place, &agrees, diag);
    if (err == OK)
        err = check_before(order, set, place, &agrees, diag);
    /* A clock that was set back is none of ours where the files themselves say that they follow. */
    if (err == OK && !agrees && head->begun_at < last->begun_at && head->begun_at) {
        char why[128];
        snprintf(why, sizeof why, "it was begun %u seconds before that", last->begun_at - head->begun_at);
        err = wrong_order(set, place->file, why, diag);
    }
    return err;
}
