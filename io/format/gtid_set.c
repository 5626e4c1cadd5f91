/* io/format/gtid_set.c: see gtid_set.h */
#include "io/format/gtid_set.h"
#include "core/base/mem.h"
#include "io/format/binlog_event.h"
#include <stdlib.h>

void gtid_set_fini(struct gtid_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        mem_give(set->streams[i].runs);
    mem_give(set->streams);
    memset(set, 0, sizeof *set);
}

static int is_set_kind(const struct binlog_gtid *gtid)
{
    return gtid->kind == BINLOG_GTID_MYSQL || gtid->kind == BINLOG_GTID_MARIADB;
}

/* Order of origins: MariaDB's by domain, then server unless a position is meant; MySQL's by uuid, then tag. */
static int origin_compare(const struct binlog_gtid *a, const struct binlog_gtid *b, int by_domain)
{
    if (a->kind == BINLOG_GTID_MARIADB) {
        if (a->domain != b->domain)
            return a->domain < b->domain ? -1 : 1;
        return by_domain || a->server == b->server ? 0 : a->server < b->server ? -1 : 1;
    }
    int order = memcmp(a->uuid, b->uuid, sizeof a->uuid);
    if (order)
        return order;
    size_t least = a->tag_size < b->tag_size ? a->tag_size : b->tag_size;
    order = memcmp(a->tag, b->tag, least < BINLOG_GTID_TAG_MAX ? least : BINLOG_GTID_TAG_MAX);
    return order ? order : (int)a->tag_size - (int)b->tag_size;
}

/* The stream of an origin; made when it is not there. NULL: out of memory. */
static struct gtid_stream *stream_of(struct gtid_set *set, const struct binlog_gtid *gtid, int by_domain)
{
    const struct binlog_gtid *const first = set->count ? &set->streams[0].origin : NULL;
    /* MariaDB's are mostly of one server. */
    if (first && first->kind == BINLOG_GTID_MARIADB && first->domain == gtid->domain &&
        (by_domain || first->server == gtid->server))
        return &set->streams[0];
    size_t at = 0;
    int order = 1;
    while (at < set->count && (order = origin_compare(&set->streams[at].origin, gtid, by_domain)) < 0)
        at++;
    if (at < set->count && order == 0)
        return &set->streams[at];
    struct gtid_stream *grown = mem_grow(set->streams, (set->count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    set->streams = grown;
    memmove(grown + at + 1, grown + at, (set->count - at) * sizeof *grown);
    set->count++;
    grown[at] = (struct gtid_stream){.origin = *gtid};
    return &grown[at];
}

/* Puts [first, last] into the stream, joined with what it touches. 1: all of it was there. */
static int run_add(struct gtid_stream *stream, uint64_t first, uint64_t last)
{
    /* Mostly the one behind the last. */
    if (stream->count && first - 1 == stream->runs[stream->count - 1].last) {
        stream->runs[stream->count - 1].last = last;
        return 0;
    }
    size_t low = 0, high = stream->count; /* the first run that ends at or behind first - 1 */
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (stream->runs[mid].last + 1 < first)
            low = mid + 1;
        else
            high = mid;
    }
    size_t end = low;
    while (end < stream->count && stream->runs[end].first <= (last == UINT64_MAX ? last : last + 1))
        end++;
    if (end > low) {
        struct gtid_run *run = &stream->runs[low];
        if (end == low + 1 && run->first <= first && last <= run->last)
            return 1;
        run->first = run->first < first ? run->first : first;
        uint64_t old_last = stream->runs[end - 1].last;
        run->last = old_last > last ? old_last : last;
        memmove(run + 1, stream->runs + end, (stream->count - end) * sizeof *run);
        stream->count -= end - low - 1;
        return 0;
    }
    if (mem_list_more(&stream->runs, stream->count, &stream->room, 8, "a set of GTIDs", NULL) != OK)
        return -1;
    memmove(stream->runs + low + 1, stream->runs + low, (stream->count - low) * sizeof *stream->runs);
    stream->runs[low] = (struct gtid_run){first, last};
    stream->count++;
    return 0;
}

int gtid_set_add(struct gtid_set *set, const struct binlog_gtid *gtid)
{
    if (!is_set_kind(gtid))
        return 0;
    struct gtid_stream *stream = stream_of(set, gtid, 0);
    if (!stream)
        return -1;
    stream->origin.number = gtid->number;
    return run_add(stream, gtid->number, gtid->number);
}

int gtid_set_advance(struct gtid_set *set, const struct binlog_gtid *gtid)
{
    if (gtid->kind != BINLOG_GTID_MARIADB)
        return gtid_set_add(set, gtid);
    struct gtid_stream *stream = stream_of(set, gtid, 1);
    if (!stream)
        return -1;
    stream->origin = *gtid;
    return 0;
}

int gtid_set_last(struct gtid_set *set, const struct binlog_gtid *gtid, struct binlog_gtid *last)
{
    const struct gtid_stream *stream = gtid->kind == BINLOG_GTID_MARIADB ? stream_of(set, gtid, 0) : NULL;
    if (stream)
        *last = stream->origin;
    return stream != NULL;
}

enum binlog_gtid_kind gtid_set_kind(const struct gtid_set *set)
{
    return set->count ? (enum binlog_gtid_kind)set->streams[0].origin.kind : BINLOG_GTID_NONE;
}

/* ---- text ---- */

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* A decimal number of 64 bits; NULL when there is none. */
static const char *number_read(const char *p, uint64_t *out)
{
    const char *begin = p;
    for (*out = 0; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(*out, (uint64_t)10, out) ||
            __builtin_add_overflow(*out, (uint64_t)(*p - '0'), out))
            return NULL;
    return p == begin ? NULL : p;
}

static const char *uuid_read(const char *p, uint8_t out[16])
{
    for (int i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
            return NULL;
        int high = hex_digit(p[0]), low = high < 0 ? -1 : hex_digit(p[1]);
        if (low < 0)
            return NULL;
        out[i] = (uint8_t)(high << 4 | low);
        p += 2;
    }
    return p;
}

static int is_tag(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
}

/* One origin of MySQL's: uuid, then intervals and tags in any order, a tag holding for the intervals behind it. */
static const char *mysql_read(struct gtid_set *set, const char *p, int *no_memory)
{
    struct binlog_gtid gtid = {.kind = BINLOG_GTID_MYSQL};
    int count = 0;
    if (!(p = uuid_read(p, gtid.uuid)))
        return NULL;
    for (;;) {
        while (is_blank(*p))
            p++;
        if (*p != ':')
            return count ? p : NULL;
        do
            p++;
        while (is_blank(*p));
        if (is_tag(*p) && !(*p >= '0' && *p <= '9')) {
            gtid.tag_size = 0;
            for (; is_tag(*p); p++) {
                if (gtid.tag_size == BINLOG_GTID_TAG_MAX)
                    return NULL;
                gtid.tag[gtid.tag_size++] = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
            }
            continue;
        }
        uint64_t first, last;
        if (!(p = number_read(p, &first)))
            return NULL;
        last = first;
        if (*p == '-' && !(p = number_read(p + 1, &last)))
            return NULL;
        if (first == 0 || last < first)
            return NULL;
        struct gtid_stream *stream = stream_of(set, &gtid, 0);
        if (!stream || run_add(stream, first, last) < 0) {
            *no_memory = 1;
            return NULL;
        }
        count++;
    }
}

static const char *mariadb_read(struct gtid_set *set, const char *p, int *no_memory)
{
    uint64_t parts[3];
    for (int i = 0; i < 3; i++) {
        if ((i && *p++ != '-') || !(p = number_read(p, &parts[i])))
            return NULL;
    }
    if (parts[0] > UINT32_MAX || parts[1] > UINT32_MAX)
        return NULL;
    struct binlog_gtid gtid = {.kind = BINLOG_GTID_MARIADB,
                               .domain = (uint32_t)parts[0],
                               .server = (uint32_t)parts[1],
                               .number = parts[2]};
    if (gtid_set_advance(set, &gtid) < 0) {
        *no_memory = 1;
        return NULL;
    }
    return p;
}

enum err gtid_set_parse(struct gtid_set *set, const char *text, struct diag *diag)
{
    int no_memory = 0;
    for (const char *p = text; p;) {
        while (is_blank(*p))
            p++;
        if (!*p && (set->count == 0 || p[-1] != ','))
            return OK;
        /* MariaDB's begins with a domain of up to ten digits, MySQL's with eight hex digits of a uuid: the dashes tell. */
        uint8_t uuid[16];
        int is_mysql = uuid_read(p, uuid) != NULL;
        if (set->count && (gtid_set_kind(set) == BINLOG_GTID_MYSQL) != is_mysql)
            break;
        p = is_mysql ? mysql_read(set, p, &no_memory) : mariadb_read(set, p, &no_memory);
        if (!p)
            break;
        while (is_blank(*p))
            p++;
        if (!*p)
            return OK;
        if (*p++ != ',')
            break;
    }
    if (no_memory)
        return mem_fail(diag, 0, "a set of GTIDs");
    return diag_set(diag, ERR_INPUT, "gtid",
                    "e.g. 0-1-100 (MariaDB) or 3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5 (MySQL)",
                    "\"%.200s\" is no set of GTIDs", text);
}

char *gtid_set_print(const struct gtid_set *set)
{
    size_t room = 1;
    for (size_t i = 0; i < set->count; i++)
        room += BINLOG_GTID_TEXT_MAX + 42 * set->streams[i].count;
    char *out = mem_take(room);
    if (!out)
        return NULL;
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct gtid_stream *stream = &set->streams[i];
        if (i)
            out[n++] = ',';
        struct binlog_gtid first = stream->origin;
        if (stream->count)
            first.number = stream->runs[0].first;
        n += binlog_gtid_print(out + n, &first);
        for (size_t k = 0; k < stream->count; k++) {
            const struct gtid_run *run = &stream->runs[k];
            if (k)
                n += (size_t)snprintf(out + n, room - n, ":%llu", (unsigned long long)run->first);
            if (run->last != run->first)
                n += (size_t)snprintf(out + n, room - n, "-%llu", (unsigned long long)run->last);
        }
    }
    return out;
}

/* ---- MySQL's binary form ---- */

/* Since 8.3 a set that holds tags has a 1 in the first and in the last byte of its head, the count between them, and
 * behind each uuid the tag: its length, shifted once to the left, and its bytes. */
static int has_tags(const struct gtid_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->streams[i].origin.tag_size)
            return 1;
    return 0;
}

static uint8_t *put_le64(uint8_t *p, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        *p++ = (uint8_t)(value >> (8 * i));
    return p;
}

uint8_t *gtid_set_encode(const struct gtid_set *set, size_t *size)
{
    size_t room = 8;
    int tagged = has_tags(set);
    for (size_t i = 0; i < set->count; i++)
        room += 16 + 1 + BINLOG_GTID_TAG_MAX + 8 + 16 * set->streams[i].count;
    uint8_t *out = mem_take(room), *p = out;
    if (!out)
        return NULL;
    p = put_le64(p, tagged ? 1 | (uint64_t)set->count << 8 | (uint64_t)1 << 56 : set->count);
    for (size_t i = 0; i < set->count; i++) {
        const struct gtid_stream *stream = &set->streams[i];
        memcpy(p, stream->origin.uuid, 16);
        p += 16;
        if (tagged) {
            *p++ = (uint8_t)(stream->origin.tag_size << 1);
            memcpy(p, stream->origin.tag, stream->origin.tag_size);
            p += stream->origin.tag_size;
        }
        p = put_le64(p, stream->count);
        for (size_t k = 0; k < stream->count; k++) {
            p = put_le64(p, stream->runs[k].first);
            p = put_le64(p, stream->runs[k].last + 1);
        }
    }
    *size = (size_t)(p - out);
    return out;
}

int gtid_set_decode(struct gtid_set *set, const uint8_t *bytes, size_t size)
{
    struct binlog_cursor c = {bytes, bytes + size, 0};
    uint64_t head = cursor_le(&c, 8);
    int tagged = head >> 56 == 1 && (head & 0xff) == 1;
    uint64_t count = tagged ? head >> 8 & 0xffffffffffff : head;
    for (uint64_t i = 0; i < count; i++) {
        struct binlog_gtid gtid = {.kind = BINLOG_GTID_MYSQL};
        const uint8_t *uuid = cursor_take(&c, 16);
        if (!uuid)
            return 0;
        memcpy(gtid.uuid, uuid, 16);
        if (tagged) {
            uint64_t length = cursor_le(&c, 1);
            const uint8_t *tag = cursor_take(&c, length >> 1);
            if (!tag || length & 1 || length >> 1 > BINLOG_GTID_TAG_MAX)
                return 0;
            memcpy(gtid.tag, tag, length >> 1);
            gtid.tag_size = (uint8_t)(length >> 1);
        }
        uint64_t runs = cursor_le(&c, 8);
        for (uint64_t k = 0; k < runs; k++) {
            uint64_t first = cursor_le(&c, 8), end = cursor_le(&c, 8);
            if (c.bad || first == 0 || end <= first)
                return 0;
            struct gtid_stream *stream = stream_of(set, &gtid, 0);
            if (!stream || run_add(stream, first, end - 1) < 0)
                return 0;
        }
        if (c.bad)
            return 0;
    }
    return !c.bad && cursor_left(&c) == 0;
}

/* ---- what came before a file ---- */

int gtid_set_decode_list(struct gtid_set *set, const uint8_t *bytes, size_t size)
{
    struct binlog_cursor c = {bytes, bytes + size, 0};
    const uint64_t count = cursor_le(&c, 4) & 0x0fffffff; /* the rest are flags */
    for (uint64_t i = 0; i < count && !c.bad; i++) {
        struct binlog_gtid gtid = {.kind = BINLOG_GTID_MARIADB};
        gtid.domain = (uint32_t)cursor_le(&c, 4);
        gtid.server = (uint32_t)cursor_le(&c, 4);
        gtid.number = cursor_le(&c, 8);
        if (!c.bad && gtid_set_add(set, &gtid) < 0)
            return 0;
    }
    return !c.bad;
}

static const struct gtid_stream *stream_find(const struct gtid_set *set, const struct binlog_gtid *gtid)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->streams[i].origin.kind == gtid->kind &&
            origin_compare(&set->streams[i].origin, gtid, 0) == 0)
            return &set->streams[i];
    return NULL;
}

int gtid_set_lacks(const struct gtid_set *set, const struct gtid_set *part, struct binlog_gtid *which)
{
    for (size_t i = 0; i < part->count; i++) {
        const struct gtid_stream *of = &part->streams[i], *in = stream_find(set, &of->origin);
        for (size_t k = 0, at = 0; k < of->count; k++) {
            while (in && at < in->count && in->runs[at].last < of->runs[k].first)
                at++;
            *which = of->origin;
            which->number = of->runs[k].first;
            if (!in || at == in->count || in->runs[at].first > which->number)
                return 1;
            which->number = in->runs[at].last + 1;
            if (which->number <= of->runs[k].last)
                return 1;
        }
    }
    return 0;
}

static int add_all(struct gtid_set *set, const struct gtid_set *part)
{
    for (size_t i = 0; i < part->count; i++) {
        struct gtid_stream *stream = stream_of(set, &part->streams[i].origin, 0);
        for (size_t k = 0; stream && k < part->streams[i].count; k++)
            if (run_add(stream, part->streams[i].runs[k].first, part->streams[i].runs[k].last) < 0)
                stream = NULL;
        if (!stream)
            return 0;
    }
    return 1;
}

static int has_domain(const struct gtid_set *set, uint32_t domain)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->streams[i].origin.domain == domain)
            return 1;
    return 0;
}

/* MariaDB tells the last of each domain and server. Numbers fall where somebody set them, so it is the last in the log that counts. */
static int follows_last(const struct gtid_set *before, const struct gtid_set *seen,
                        const struct gtid_set *base, int is_later, struct binlog_gtid *which)
{
    for (size_t i = 0; i < seen->count; i++) {
        const struct gtid_stream *said = stream_find(before, &seen->streams[i].origin);
        *which = seen->streams[i].origin;
        if (said ? said->origin.number < which->number
                 : !is_later || before->count == 0 || has_domain(before, which->domain))
            return -1;
    }
    for (size_t i = 0; i < before->count; i++) {
        const struct gtid_stream *last = stream_find(seen, &before->streams[i].origin);
        if (!last)
            last = stream_find(base, &before->streams[i].origin);
        *which = before->streams[i].origin;
        if (last && last->origin.number > which->number)
            return -1;
        if (!last || last->origin.number < which->number)
            return 1;
    }
    return 0;
}

int gtid_set_follows(const struct gtid_set *before, const struct gtid_set *seen, const struct gtid_set *base,
                     int is_later, struct binlog_gtid *which)
{
    if (gtid_set_kind(before) == BINLOG_GTID_MARIADB || gtid_set_kind(seen) == BINLOG_GTID_MARIADB)
        return follows_last(before, seen, base, is_later, which);
    if (gtid_set_lacks(before, seen, which))
        return -1;
    struct gtid_set known = {0};
    int result = -2;
    if (add_all(&known, base) && add_all(&known, seen))
        result = gtid_set_lacks(&known, before, which);
    gtid_set_fini(&known);
    return result;
}
