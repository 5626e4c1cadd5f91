/* io/format/binlog_json.c: see binlog_json.h
 *
 * A value is a type byte and, elsewhere, its bytes. Objects and arrays are small (2-byte offsets) or large
 * (4-byte ones):
 *
 *     count | size | objects: (key offset, key size 2) ... | (type, offset or the value itself) ... | keys,
 * values
 *
 * Offsets count from `count`. Nothing keeps a hostile document from pointing at one place many times, so what
 * is printed is bounded: no sound document becomes more than eight times as long as text.
 */
#include "io/format/binlog_json.h"
#include "io/format/binlog_event.h"
#include "io/format/binlog_types.h"
#include <stdio.h>

enum json_type {
    JSON_SMALL_OBJECT = 0,
    JSON_LARGE_OBJECT = 1,
    JSON_SMALL_ARRAY = 2,
    JSON_LARGE_ARRAY = 3,
    JSON_LITERAL = 4,
    JSON_INT16 = 5,
    JSON_UINT16 = 6,
    JSON_INT32 = 7,
    JSON_UINT32 = 8,
    JSON_INT64 = 9,
    JSON_UINT64 = 10,
    JSON_DOUBLE = 11,
    JSON_STRING = 12,
    JSON_OPAQUE = 15
};

enum { DEPTH_MAX = 101 };

const char binlog_out_of_memory[] = "out of memory";

struct printer {
    struct arena *arena;
    char *text;
    size_t size, room, limit;
    const char *wrong; /* the first thing that is wrong; nothing is printed after it */
};

static void wrong(struct printer *out, const char *what)
{
    if (!out->wrong)
        out->wrong = what;
}

static char *room_for(struct printer *out, size_t size)
{
    if (out->wrong)
        return NULL;
    if (size > out->limit - out->size) {
        wrong(out, "JSON that points at its own parts over and over");
        return NULL;
    }
    if (size > out->room - out->size) {
        size_t more = (out->size + size) * 2;
        char *bigger = arena_take(out->arena, more);
        if (!bigger) {
            wrong(out, binlog_out_of_memory);
            return NULL;
        }
        if (out->size)
            memcpy(bigger, out->text, out->size);
        out->text = bigger;
        out->room = more;
    }
    char *p = out->text + out->size;
    out->size += size;
    return p;
}

static void put(struct printer *out, const char *text, size_t size)
{
    char *p = size ? room_for(out, size) : NULL;
    if (p)
        memcpy(p, text, size);
}

static void put_text(struct printer *out, const char *text)
{
    put(out, text, strlen(text));
}

static void put_string(struct printer *out, const uint8_t *p, size_t size)
{
    put(out, "\"", 1);
    size_t plain = 0;
    for (size_t i = 0; i <= size && !out->wrong; i++) {
        if (i < size && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
            continue;
        put(out, (const char *)p + plain, i - plain);
        plain = i + 1;
        if (i == size)
            break;
        static const char *const words = "b\bf\fn\nr\rt\t\"\"\\\\";
        char escape[8];
        int length = 0;
        for (const char *w = words; *w; w += 2)
            if ((uint8_t)w[1] == p[i])
                length = snprintf(escape, sizeof escape, "\\%c", w[0]);
        if (!length)
            length = snprintf(escape, sizeof escape, "\\u%04x", p[i]);
        put(out, escape, (size_t)length);
    }
    put(out, "\"", 1);
}

/* Seven bits a byte, lowest first. */
static uint64_t take_varlen(struct binlog_cursor *c)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint64_t byte = cursor_le(c, 1);
        value |= (byte & 127) << shift;
        if (!(byte & 128))
            return value;
    }
    c->bad = 1;
    return 0;
}

static void put_base64(struct printer *out, const uint8_t *p, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        size_t n = size - i < 3 ? size - i : 3;
        unsigned v = (unsigned)read_be(p + i, n) << (8 * (3 - n));
        char four[4] = {digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=',
                        n > 2 ? digits[v & 63] : '='};
        put(out, four, 4);
    }
}

/* Dates and times inside of JSON: one signed number, the fraction in its low 24 bits. */
static void put_time(struct printer *out, unsigned type, int64_t packed)
{
    char text[48];
    uint64_t v = (uint64_t)(packed < 0 ? -packed : packed);
    unsigned micro = (unsigned)(v & 0xffffff);
    uint64_t whole = v >> 24;
    if (type == TYPE_TIME) {
        snprintf(text, sizeof text, "\"%s%02u:%02u:%02u.%06u\"", packed < 0 ? "-" : "",
                 (unsigned)(whole >> 12 & 1023), (unsigned)(whole >> 6 & 63), (unsigned)(whole & 63), micro);
    } else {
        unsigned date = (unsigned)(whole >> 17 & 0x3fffff), time = (unsigned)(whole & 0x1ffff);
        int n = snprintf(text, sizeof text, "\"%04u-%02u-%02u", date / 32 / 13, date / 32 % 13, date % 32);
        if (type == TYPE_DATE)
            snprintf(text + n, sizeof text - (size_t)n, "\"");
        else
            snprintf(text + n, sizeof text - (size_t)n, " %02u:%02u:%02u.%06u\"", time >> 12, time >> 6 & 63,
                     time & 63, micro);
    }
    put_text(out, text);
}

static void put_opaque(struct printer *out, unsigned type, const uint8_t *p, size_t size)
{
    char text[DECIMAL_TEXT_MAX + 8];
    if (type == TYPE_NEWDECIMAL) {
        size_t bytes = size >= 2 ? decimal_bytes(p[0], p[1]) : 0;
        int length = bytes && bytes == size - 2 ? decimal_print(text, p + 2, p[0], p[1]) : -1;
        if (length < 0)
            wrong(out, "JSON with a malformed DECIMAL");
        else
            put(out, text, (size_t)length);
    } else if (type == TYPE_TIME || type == TYPE_DATE || type == TYPE_DATETIME || type == TYPE_TIMESTAMP) {
        if (size != 8)
            wrong(out, "JSON with a malformed time");
        else
            put_time(out, type, (int64_t)read_le64(p));
    } else {
        snprintf(text, sizeof text, "\"base64:type%u:", type);
        put_text(out, text);
        put_base64(out, p, size);
        put(out, "\"", 1);
    }
}

static void put_value(struct printer *out, unsigned type, const uint8_t *p, size_t size, int depth);

static void put_container(struct printer *out, unsigned type, const uint8_t *p, size_t size, int depth)
{
    const int large = type == JSON_LARGE_OBJECT || type == JSON_LARGE_ARRAY;
    const int object = type == JSON_SMALL_OBJECT || type == JSON_LARGE_OBJECT;
    const size_t width = large ? 4 : 2, key_width = width + 2, value_width = width + 1;
    if (depth >= DEPTH_MAX) {
        wrong(out, "JSON that is nested too deeply");
        return;
    }
    if (size < 2 * width) {
        wrong(out, "JSON that is cut");
        return;
    }
    uint64_t count = read_le(p, width), bytes = read_le(p + width, width);
    uint64_t head = 2 * width + count * (value_width + (object ? key_width : 0));
    if (bytes > size || head > bytes) {
        wrong(out, "JSON that is cut");
        return;
    }
    put(out, object ? "{" : "[", 1);
    const uint8_t *keys = p + 2 * width, *values = keys + (object ? count * key_width : 0);
    for (uint64_t i = 0; i < count && !out->wrong; i++) {
        if (i)
            put(out, ", ", 2);
        if (object) {
            uint64_t at = read_le(keys + i * key_width, width),
                     key_size = read_le(keys + i * key_width + width, 2);
            if (at > bytes || key_size > bytes - at) {
                wrong(out, "JSON with a key outside of it");
                return;
            }
            put_string(out, p + at, key_size);
            put(out, ": ", 2);
        }
        const uint8_t *entry = values + i * value_width;
        unsigned entry_type = *entry;
        int here = entry_type == JSON_LITERAL || entry_type == JSON_INT16 || entry_type == JSON_UINT16 ||
                   (large && (entry_type == JSON_INT32 || entry_type == JSON_UINT32));
        if (here) {
            put_value(out, entry_type, entry + 1, width, depth + 1);
            continue;
        }
        uint64_t at = read_le(entry + 1, width);
        if (at >= bytes) {
            wrong(out, "JSON with a value outside of it");
            return;
        }
        put_value(out, entry_type, p + at, bytes - at, depth + 1);
    }
    put(out, object ? "}" : "]", 1);
}

static void put_value(struct printer *out, unsigned type, const uint8_t *p, size_t size, int depth)
{
    static const uint8_t needs[16] = {
        [JSON_LITERAL] = 1, [JSON_INT16] = 2, [JSON_UINT16] = 2, [JSON_INT32] = 4,
        [JSON_UINT32] = 4,  [JSON_INT64] = 8, [JSON_UINT64] = 8, [JSON_DOUBLE] = 8};
    char text[FLOAT_TEXT_MAX + 8];
    if (type > JSON_OPAQUE || size < needs[type]) {
        wrong(out, "JSON that is cut");
        return;
    }
    struct binlog_cursor c = {p, p + size, 0};
    text[0] = 0;
    switch (type) {
    case JSON_SMALL_OBJECT:
    case JSON_LARGE_OBJECT:
    case JSON_SMALL_ARRAY:
    case JSON_LARGE_ARRAY:
        put_container(out, type, p, size, depth);
        break;
    case JSON_LITERAL:
        if (*p > 2)
            wrong(out, "JSON with an unknown literal");
        else
            put_text(out, *p == 0 ? "null" : *p == 1 ? "true" : "false");
        break;
    case JSON_INT16:
        snprintf(text, sizeof text, "%d", (int16_t)read_le16(p));
        break;
    case JSON_UINT16:
        snprintf(text, sizeof text, "%u", read_le16(p));
        break;
    case JSON_INT32:
        snprintf(text, sizeof text, "%d", (int32_t)read_le32(p));
        break;
    case JSON_UINT32:
        snprintf(text, sizeof text, "%u", read_le32(p));
        break;
    case JSON_INT64:
        snprintf(text, sizeof text, "%lld", (long long)read_le64(p));
        break;
    case JSON_UINT64:
        snprintf(text, sizeof text, "%llu", (unsigned long long)read_le64(p));
        break;
    case JSON_DOUBLE: {
        uint64_t bits = read_le64(p);
        double value;
        memcpy(&value, &bits, sizeof value);
        int length = double_print(text, value);
        if (length < 0) {
            wrong(out, "JSON with a number that is not finite");
            return;
        }
        text[length] = 0;
        /* The server marks a double that looks like an integer. */
        if (!strpbrk(text, ".e"))
            memcpy(text + length, ".0", 3);
        break;
    }
    case JSON_STRING: {
        uint64_t length = take_varlen(&c);
        const uint8_t *string = cursor_take(&c, length);
        if (c.bad)
            wrong(out, "JSON with a string that is cut");
        else
            put_string(out, string, length);
        break;
    }
    case JSON_OPAQUE: {
        unsigned inner = (unsigned)cursor_le(&c, 1);
        uint64_t length = take_varlen(&c);
        const uint8_t *bytes = cursor_take(&c, length);
        if (c.bad)
            wrong(out, "JSON with a value that is cut");
        else
            put_opaque(out, inner, bytes, length);
        break;
    }
    default:
        wrong(out, "JSON with a value of an unknown type");
    }
    put_text(out, text);
}

const char *binlog_json_print(struct span *text, const uint8_t *bytes, size_t size, struct arena *arena)
{
    struct printer out = {.arena = arena, .limit = size * 8 + 256};
    /* The server stores an empty value where a NOT NULL column was given none; it prints as null. */
    if (size == 0)
        put_text(&out, "null");
    else
        put_value(&out, *bytes, bytes + 1, size - 1, 0);
    *text = (struct span){out.text, out.size};
    return out.wrong;
}

/* ---- partial updates ----
 *
 * They are applied to the printed text: an object's members are in the server's order there too (by length of the key, then by bytes), so
 * a new member's place is known, and what a path does not touch stays as it is.
 */

enum { CHANGE_REPLACE, CHANGE_INSERT, CHANGE_REMOVE };

static const char path_lost[] = "a partial JSON update of a path that the value before does not have";
static const char path_odd[] = "a partial JSON update with a path that is not understood";

/* The byte behind a value that begins at `at`; NULL when the text ends first. The text is our own, or nearly so. */
static const char *value_end(const char *at, const char *end)
{
    unsigned depth = 0;
    for (int in_text = 0; at < end; at++) {
        if (in_text) {
            in_text = *at != '"';
            at += *at == '\\';
            if (!in_text && depth == 0)
                return at + 1;
        } else if (*at == '"') {
            in_text = 1;
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            if (depth == 0)
                return at;
            if (--depth == 0)
                return at + 1;
        } else if (*at == ',' && depth == 0) {
            return at;
        }
    }
    return depth ? NULL : end;
}

/* A key as it stands between quotes -> its own bytes, in `out`, which has room for as many. 0: it is none. */
static int key_unescape(struct span text, char *out, size_t *size)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '\\') {
            out[n++] = text.data[i];
            continue;
        }
        static const char words[] = "b\bf\fn\nr\rt\t\"\"\\\\//";
        if (++i == text.size)
            return 0;
        if (text.data[i] == 'u') {
            unsigned code = 0;
            if (text.size - i < 5 || sscanf(text.data + i + 1, "%4x", &code) != 1 || code > 0x7f)
                return 0;
            out[n++] = (char)code;
            i += 4;
            continue;
        }
        const char *w = words;
        while (*w && *w != text.data[i])
            w += 2;
        if (!*w)
            return 0;
        out[n++] = w[1];
    }
    *size = n;
    return 1;
}

/* Where a path's last leg leads: [begin, end) is the value; of an object's member, `member` is where its key begins. */
struct found {
    size_t begin, end, member;
    int is_there;
    int is_object; /* the last leg is a member */
    int is_first, is_last;
};

/* One leg of a path. `key` lies in `room`. */
struct leg {
    int is_member;
    uint64_t index;
    struct span key;
};

/* Reads a leg; 0: there is none that is understood. */
static int leg_read(struct leg *leg, const char **path, const char *end, char *room)
{
    const char *p = *path;
    size_t size = 0;
    leg->is_member = *p == '.';
    if (*p == '.' && ++p < end && *p == '"') {
        const char *close = ++p;
        while (close < end && *close != '"')
            close += *close == '\\' ? 2 : 1;
        if (close >= end || !key_unescape((struct span){p, (size_t)(close - p)}, room, &size))
            return 0;
        p = close + 1;
    } else if (leg->is_member) {
        while (p < end && *p != '.' && *p != '[')
            room[size++] = *p++;
        if (size == 0)
            return 0;
    } else if (*p == '[') {
        leg->index = 0;
        const char *digits = ++p;
        while (p < end && *p >= '0' && *p <= '9' && p - digits < 10)
            leg->index = leg->index * 10 + (uint64_t)(*p++ - '0');
        if (p == digits || p == end || *p++ != ']')
            return 0;
    } else {
        return 0;
    }
    leg->key = (struct span){room, size};
    *path = p;
    return 1;
}

/* Server's order: by length, then by bytes. */
static int key_order(struct span a, struct span b)
{
    if (a.size != b.size)
        return a.size < b.size ? -1 : 1;
    return a.size ? memcmp(a.data, b.data, a.size) : 0;
}

/* Looks for a leg in the container at [begin, end) of the text. Not there: begin is where it would stand. NULL, or what is wrong. */
static const char *leg_find(struct found *found, struct span text, size_t begin, size_t end,
                            const struct leg *leg, char *room)
{
    const char *at = text.data + begin, *const stop = text.data + end;
    if (begin >= end || *at != (leg->is_member ? '{' : '['))
        return path_lost;
    at++;
    uint64_t index = 0;
    *found = (struct found){.is_object = leg->is_member, .is_first = 1};
    while (at < stop && *at != '}' && *at != ']') {
        const char *member = at;
        int order = 0;
        if (leg->is_member) {
            const char *key_end = value_end(at, stop);
            size_t size;
            if (!key_end || key_end - at < 2 || *at != '"' || stop - key_end < 3 ||
                memcmp(key_end, ": ", 2) != 0 ||
                !key_unescape((struct span){at + 1, (size_t)(key_end - at) - 2}, room, &size))
                return path_odd;
            order = key_order(leg->key, (struct span){room, size});
            at = key_end + 2;
        } else {
            order = index == leg->index ? 0 : 1;
        }
        const char *behind = value_end(at, stop);
        if (!behind || behind >= stop)
            return path_odd;
        if (order <= 0) {
            *found = (struct found){.begin = (size_t)((order ? member : at) - text.data),
                                    .end = (size_t)((order ? member : behind) - text.data),
                                    .member = (size_t)(member - text.data),
                                    .is_there = order == 0,
                                    .is_object = leg->is_member,
                                    .is_first = member == text.data + begin + 1,
                                    .is_last = *behind != ',' && order == 0};
            return NULL;
        }
        at = behind;
        if (*at == ',')
            at += stop - at >= 2 ? 2 : 1;
        index++;
        found->is_first = 0;
    }
    if (at >= stop)
        return path_odd;
    found->begin = found->end = found->member = (size_t)(at - text.data);
    found->is_last = 1;
    return NULL;
}

static const char *change_apply(struct span *text, unsigned what, struct span path, const uint8_t *value,
                                size_t size, struct arena *arena)
{
    const char *p = path.data, *const end = p + path.size;
    char *room = arena_take(arena, 2 * path.size + text->size + 2), *key_room = room + path.size + 1;
    struct span printed = {"", 0};
    if (!room)
        return binlog_out_of_memory;
    if (path.size == 0 || *p++ != '$')
        return path_odd;
    struct found found = {.begin = 0, .end = text->size, .is_there = 1};
    const char *why = NULL;
    struct leg leg = {0};
    while (p < end) {
        if (!found.is_there)
            return path_lost;
        if (!leg_read(&leg, &p, end, room))
            return path_odd;
        if ((why = leg_find(&found, *text, found.begin, found.end, &leg, key_room)) != NULL)
            return why;
    }
    const int is_root = path.size == 1;
    if (what != CHANGE_REMOVE && (why = binlog_json_print(&printed, value, size, arena)) != NULL)
        return why;
    struct printer out = {.arena = arena, .limit = text->size + printed.size + 8 * path.size + 256};
    size_t from = found.begin, to = found.end;
    if (what == CHANGE_INSERT) {
        if (is_root || (found.is_there && found.is_object))
            return path_lost;
        /* An array's element goes in front of the one that stands there. */
        from = to = found.is_object || !found.is_there ? found.begin : found.member;
        const int at_end = !found.is_there && found.is_last;
        put(&out, text->data, from);
        if (at_end && !found.is_first)
            put(&out, ", ", 2);
        if (found.is_object) {
            put_string(&out, (const uint8_t *)leg.key.data, leg.key.size);
            put(&out, ": ", 2);
        }
        put(&out, printed.data, printed.size);
        if (!at_end)
            put(&out, ", ", 2);
    } else if (!found.is_there) {
        return path_lost;
    } else if (what == CHANGE_REPLACE) {
        put(&out, text->data, from);
        put(&out, printed.data, printed.size);
    } else {
        if (is_root)
            return path_lost;
        from = found.member;
        if (!found.is_last)
            to += 2;
        else if (!found.is_first)
            from -= 2;
        put(&out, text->data, from);
    }
    put(&out, text->data + to, text->size - to);
    *text = (struct span){out.text ? out.text : "", out.size};
    return out.wrong;
}

const char *binlog_json_patch(struct span *out, struct span text, const uint8_t *bytes, size_t size,
                              struct arena *arena)
{
    struct binlog_cursor c = {bytes, bytes + size, 0};
    *out = text;
    while (cursor_left(&c)) {
        uint64_t what = cursor_le(&c, 1), path_size = cursor_length(&c);
        const uint8_t *path = cursor_take(&c, path_size), *value = NULL;
        uint64_t value_size = 0;
        if (what <= CHANGE_INSERT) {
            value_size = cursor_length(&c);
            value = cursor_take(&c, value_size);
        }
        if (c.bad || what > CHANGE_REMOVE)
            return "a partial JSON update that is cut";
        const char *why = change_apply(out, (unsigned)what, (struct span){(const char *)path, path_size},
                                       value, value_size, arena);
        if (why)
            return why;
    }
    return NULL;
}
