/* io/format/binlog.c: row events -> row images (binlog.h). The hot loop is in binlog_image.c.
 *
 * A row event:
 *
 *     table id | flags | v2: extra | column count | bits: columns present (twice for UPDATE) | rows ...
 *     row:  bits: NULLs, one per column present | values of those not NULL
 *
 * An UPDATE has two images per row. PARTIAL_UPDATE_ROWS puts options in front of the second.
 */
#include "io/format/binlog.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "io/format/binlog_event.h"
#include "io/format/binlog_image.h"
#include "io/format/binlog_json.h"
#include "io/format/binlog_lane.h"
#include "io/format/binlog_payload.h"
#include "io/format/binlog_types.h"
#include <stdio.h>

static const char *const hint_copy = "the file is cut or damaged: copy it again from the server";

/* The tables that a transaction's TABLE_MAPs named, by table id. Entries of older transactions stay, so that
 * the same TABLE_MAP met again costs one comparison, but count only when it was met again. */
struct map_slot {
    uint64_t id;
    uint64_t generation;           /* of the group that named it last; 0: free slot */
    struct table_version *version; /* NULL: not watched */
    uint64_t offset;               /* of the TABLE_MAP event */
};

enum { HEAD_MAX = 32 };

struct binlog_rows {
    const struct binlog_options *options;
    struct arena tables; /* table versions, for good */
    struct image_reader reader;
    struct charsets charsets;
    struct table_version *versions;
    uint32_t version_count;
    struct map_slot *slots;
    size_t slot_mask, slot_count;
    uint64_t generation;
    uint64_t group_begin; /* of the group that `generation` stands for */
    uint32_t group_file;
    int group_known;
    uint64_t group_until; /* in front of it no other group begins, and the one at hand does not end */

    struct binlog_piece piece;
    struct binlog_format format;
    const uint8_t *at, *end; /* the next event of the piece */
    size_t group_index;
    int first_in_piece;
    const struct binlog_group *group; /* the one that the current event is in, if it is to be decoded */

    /* Inside of a TRANSACTION_PAYLOAD. */
    const uint8_t *inner_at, *inner_end;
    uint64_t outer_offset;
    uint32_t outer_size;
    struct binlog_payload payload;

    /* The row event that is being read. */
    const uint8_t *row_at, *row_end;
    struct table_version *version;
    uint32_t op;
    int image_count, is_partial;
    struct image_shape shape[2];
    int is_packed; /* the rows are not at their place in the file */
    uint64_t event_offset;
    uint32_t event_size, rows_in_event;
    uint8_t *inflated;
    size_t inflated_room;
    /* What stood before the rows of the event opened last, if they were whole images at their place: the next one with the same bytes is
     * opened by little more than a comparison. Of changes apart, which may take turns with rows that came. */
    struct rows_head {
        uint8_t bytes[HEAD_MAX], mask[HEAD_MAX]; /* mask: 0 behind its end */
        size_t size;                             /* 0: none */
        unsigned type;
        uint64_t id;
        const struct map_slot *slot;
        struct table_version *version;
        int image_count;
        struct binlog_row out; /* but for what each event has of its own */
    } heads[2];
    const struct rows_head *head; /* of the event that is being read; NULL: it has none */

    /* The TABLE_MAP of the piece's last usual transaction; number 0: of none. */
    struct {
        uint32_t number;
        uint64_t id;
        struct map_slot *slot;
        const struct table_version *version;
    } usual;

    struct binlog_row out;
    struct binlog_rows_counts counts;
    struct binlog_group again;
    /* The event that a known row was read of last: in which file, where, and where its rows end, from where it begins. */
    const char *open_file; /* NULL: none */
    uint64_t open_event, open_end;
};

enum err binlog_rows_open(struct binlog_rows **out, const struct binlog_options *options, struct diag *diag)
{
    enum { SLOTS = 256 };
    *out = NULL;
    struct binlog_rows *rows = mem_take_zero(1, sizeof *rows);
    if (!rows)
        return mem_fail(diag, sizeof *rows, "the binlog decoder");
    rows->slots = mem_take_zero(SLOTS, sizeof *rows->slots);
    if (!rows->slots) {
        mem_give(rows);
        return mem_fail(diag, SLOTS * sizeof *rows->slots, "the binlog decoder");
    }
    rows->slot_mask = SLOTS - 1;
    rows->options = options;
    arena_init(&rows->tables);
    arena_init(&rows->reader.row);
    rows->reader.sign_free = options->unnamed_ok;
    charsets_init(&rows->charsets, &rows->tables);
    *out = rows;
    return OK;
}

void binlog_rows_close(struct binlog_rows *rows)
{
    if (!rows)
        return;
    charsets_fini(&rows->charsets);
    binlog_payload_fini(&rows->payload);
    arena_fini(&rows->tables);
    arena_fini(&rows->reader.row);
    mem_give(rows->slots);
    mem_give(rows->inflated);
    mem_give(rows);
}

void binlog_rows_begin(struct binlog_rows *rows, const struct binlog_piece *piece)
{
    rows->piece = *piece;
    rows->format = *piece->format;
    rows->at = piece->bytes;
    rows->end = piece->bytes + piece->size;
    if (piece->file_offset == 0 && piece->size >= BINLOG_MAGIC_SIZE)
        rows->at += BINLOG_MAGIC_SIZE;
    rows->group_index = 0;
    rows->group_until = 0;
    rows->first_in_piece = 1;
    rows->group = NULL;
    rows->inner_at = rows->inner_end = NULL;
    rows->row_at = rows->row_end = NULL;
    rows->usual.number = 0;
    rows->open_file = NULL;
}

size_t binlog_rows_taken(const struct binlog_rows *rows)
{
    return (size_t)(rows->at - rows->piece.bytes);
}

const struct binlog_rows_counts *binlog_rows_counts(const struct binlog_rows *rows)
{
    return &rows->counts;
}

static enum step malformed(const struct binlog_rows *rows, const struct binlog_event *event, const char *what,
                           struct diag *diag)
{
    return binlog_fail(diag, rows->piece.file_name, event->offset, "binlog.event", hint_copy,
                       "%s event is malformed: %s", binlog_event_name(event->type), what);
}

/* ---- tables ---- */

static struct map_slot *slot_find(const struct binlog_rows *rows, uint64_t id)
{
    size_t i = (size_t)(id * 0x9e3779b97f4a7c15u >> 32) & rows->slot_mask;
    while (rows->slots[i].generation != 0 && rows->slots[i].id != id)
        i = (i + 1) & rows->slot_mask;
    return &rows->slots[i];
}

/* Makes room for one more table id: forgets those of older groups, and doubles when that does not help. */
static enum step slots_make_room(struct binlog_rows *rows, struct diag *diag)
{
    if (rows->slot_count * 4 < (rows->slot_mask + 1) * 3)
        return STEP_MORE;
    size_t current = 0;
    for (size_t i = 0; i <= rows->slot_mask; i++)
        current += rows->slots[i].generation == rows->generation;
    size_t old_size = rows->slot_mask + 1, size = current * 2 > old_size ? old_size * 2 : old_size;
    struct map_slot *old = rows->slots, *slots = mem_take_zero(size, sizeof *slots);
    if (!slots) {
        mem_fail(diag, size * sizeof *slots, "table ids of the binlog");
        return STEP_FAILED;
    }
    rows->slots = slots;
    rows->heads[0].size = rows->heads[1].size = 0;
    rows->head = NULL;
    rows->usual.number = 0;
    rows->slot_mask = size - 1;
    rows->slot_count = current;
    for (size_t i = 0; i < old_size; i++)
        if (old[i].generation == rows->generation)
            *slot_find(rows, old[i].id) = old[i];
    mem_give(old);
    return STEP_MORE;
}

static struct table_version *version_find(struct binlog_rows *rows, const uint8_t *raw, size_t raw_size)
{
    for (struct table_version *v = rows->versions; v; v = v->next)
        if (v->raw_size == raw_size && memcmp(v->raw, raw, raw_size) == 0)
            return v;
    return NULL;
}

static enum step table_map_read(struct binlog_rows *rows, const struct binlog_event *event, struct diag *diag)
{
    uint64_t id = 0;
    size_t id_size = event_table_id(event, &rows->format, &id);
    if (!id_size)
        return malformed(rows, event, "too short", diag);
    const uint8_t *raw = event->body + id_size;
    size_t raw_size = event->body_size - id_size;
    struct map_slot *slot = slot_find(rows, id);
    if (slot->generation == 0 || !slot->version || slot->version->raw_size != raw_size ||
        memcmp(slot->version->raw, raw, raw_size) != 0) {
        struct table_version *version = NULL;
        int watch_index = table_watch_index(rows->options, raw, raw_size);
        if (watch_index == -2)
            return malformed(rows, event, "names", diag);
        if (watch_index >= 0)
            version = version_find(rows, raw, raw_size);
        if (watch_index >= 0 && !version) {
            struct table_maker maker = {
                .options = rows->options,
                .format = &rows->format,
                .file = rows->piece.file_name,
                .offset = event->offset,
                .arena = &rows->tables,
                .charsets = &rows->charsets,
                .diag = diag,
            };
            version = table_version_make(&maker, raw, raw_size, watch_index);
            if (!version)
                return STEP_FAILED;
            version->table.number = rows->version_count++;
            version->next = rows->versions;
            rows->versions = version;
        }
        if (slot->generation == 0) {
            if (slots_make_room(rows, diag) == STEP_FAILED)
                return STEP_FAILED;
            slot = slot_find(rows, id);
            rows->slot_count++;
        }
        slot->id = id;
        slot->version = version;
    }
    slot->generation = rows->generation;
    slot->offset = event->offset;
    if (rows->group && rows->group->map_number && event->offset == rows->group->begin + rows->group->map_at) {
        rows->usual.number = rows->group->map_number;
        rows->usual.id = id;
        rows->usual.slot = slot;
        rows->usual.version = slot->version;
    }
    return STEP_MORE;
}

/* ---- values ---- */

static const char rows_crowded[] =
    "the compressed event holds more rows than bytes, so they cannot be told apart by place";

static enum step value_fail(const struct binlog_rows *rows, uint32_t column, const char *what,
                            struct diag *diag)
{
    const struct binlog_table *table = &rows->version->table;
    const char *hint = hint_copy;
    if (what == binlog_out_of_memory) {
        mem_fail(diag, 0, "a row of the binlog");
        return STEP_FAILED;
    }
    if (what == image_sign_unknown)
        hint = "write `name unsigned` or `name signed` in `columns:`; SET GLOBAL binlog_row_metadata=FULL "
               "for later logs";
    else if (what == image_json_partial)
        hint = "SET GLOBAL binlog_row_image=FULL, or binlog_row_value_options='', and start from a later "
               "file; or leave "
               "this column out";
    else if (what == rows_crowded)
        hint = "switch compression of the binlog off and start from a later file";
    return binlog_fail(diag, rows->piece.file_name, rows->event_offset, "binlog.value", hint,
                       "row %u, column %s of %s.%s: %s", rows->rows_in_event, table->columns[column].name,
                       table->database, table->name, what);
}

/* ---- events ---- */

static uint32_t bits_count(const uint8_t *bits, uint32_t count)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count / 8; i++)
        n += (uint32_t)__builtin_popcount(bits[i]);
    return count % 8 ? n + (uint32_t)__builtin_popcount(bits[count / 8] & ((1u << count % 8) - 1)) : n;
}

/* What a row event does, and whether its rows are compressed. 0: not supported. */
static int rows_kind(unsigned type, uint32_t *op, int *version, int *compressed)
{
    *version = type >= EVENT_WRITE_ROWS ? 2 : 1;
    *compressed = 0;
    switch (type) {
    case EVENT_WRITE_ROWS_COMPRESSED_V1:
    case EVENT_UPDATE_ROWS_COMPRESSED_V1:
    case EVENT_DELETE_ROWS_COMPRESSED_V1:
        *version = 1;
        *compressed = 1;
        *op = type - EVENT_WRITE_ROWS_COMPRESSED_V1;
        return 1;
    case EVENT_WRITE_ROWS_COMPRESSED:
    case EVENT_UPDATE_ROWS_COMPRESSED:
    case EVENT_DELETE_ROWS_COMPRESSED:
        *compressed = 1;
        *op = type - EVENT_WRITE_ROWS_COMPRESSED;
        return 1;
    case EVENT_WRITE_ROWS_V1:
    case EVENT_UPDATE_ROWS_V1:
    case EVENT_DELETE_ROWS_V1:
        *op = type - EVENT_WRITE_ROWS_V1;
        return 1;
    case EVENT_WRITE_ROWS:
    case EVENT_UPDATE_ROWS:
    case EVENT_DELETE_ROWS:
        *op = type - EVENT_WRITE_ROWS;
        return 1;
    case EVENT_PARTIAL_UPDATE_ROWS:
        *op = BINLOG_UPDATE;
        return 1;
    default:
        return 0;
    }
}

static enum step rows_inflate(struct binlog_rows *rows, const struct binlog_event *event,
                              struct binlog_cursor *c, struct diag *diag)
{
    size_t stream_offset, size = cursor_left(c);
    uint64_t want = binlog_compressed_size(c->at, size, &stream_offset);
    /* zlib shrinks to a thousandth at most; a larger claim is a lie that would only cost memory. */
    if (!stream_offset || want > (uint64_t)size * 1100 + 64)
        return malformed(rows, event, "head of the compressed rows", diag);
    if (want > rows->inflated_room) {
        mem_give(rows->inflated);
        rows->inflated_room = 0;
        rows->inflated = mem_take(want);
        if (!rows->inflated) {
            mem_fail(diag, want, "compressed rows");
            return STEP_FAILED;
        }
        rows->inflated_room = want;
    }
    if (!binlog_inflate(c->at + stream_offset, size - stream_offset, rows->inflated, want))
        return malformed(rows, event, "the compressed rows do not inflate to the size they claim", diag);
    c->at = rows->inflated;
    c->end = rows->inflated + want;
    return STEP_MORE;
}

static inline int is_change(unsigned type)
{
    return type == EVENT_UPDATE_ROWS_V1 || type == EVENT_UPDATE_ROWS;
}

/* 1: the event is open, as one before it was. */
static inline int rows_open_again(struct binlog_rows *rows, const struct binlog_event *event)
{
    const struct rows_head *const head = &rows->heads[is_change(event->type)];
    const size_t size = head->size;
    if (size == 0 || event->type != head->type || event->body_size < HEAD_MAX || rows->inner_at)
        return 0;
    uint64_t other = 0;
    for (size_t i = 0; i < HEAD_MAX; i += 8)
        other |= (read_le64(event->body + i) ^ read_le64(head->bytes + i)) & read_le64(head->mask + i);
    if (other)
        return 0;
    const struct map_slot *const slot = head->slot;
    if (slot->id != head->id || slot->generation != rows->generation || slot->version != head->version)
        return 0;
    if (UNLIKELY(head != rows->head)) {
        rows->head = head;
        rows->version = head->version;
        rows->op = head->out.op;
        rows->image_count = head->image_count;
        rows->is_packed = rows->is_partial = 0;
        rows->out = head->out;
        for (int which = 0; which < 2; which++)
            rows->shape[which] = (struct image_shape){.count = head->out.column_count};
    }
    rows->row_at = event->body + size;
    rows->row_end = event->body + event->body_size;
    rows->event_offset = event->offset;
    rows->event_size = event->size;
    rows->rows_in_event = 0;
    rows->out.timestamp = event->timestamp;
    rows->out.event_offset = event->offset;
    rows->out.table_map_offset = slot->offset;
    rows->out.group = rows->group;
    return 1;
}

/* Gets ready to read the rows of an event of a group that is to be decoded. */
static enum step rows_open(struct binlog_rows *rows, const struct binlog_event *event, struct diag *diag)
{
    if (LIKELY(rows_open_again(rows, event)))
        return STEP_MORE;
    uint64_t id = 0;
    size_t id_size = event_table_id(event, &rows->format, &id);
    if (!id_size)
        return malformed(rows, event, "too short", diag);
    if (id == 0xffffff || id == 0xffffffffffff)
        return STEP_MORE;
    struct map_slot *slot = slot_find(rows, id);
    if (slot->generation != rows->generation)
        return binlog_fail(diag, rows->piece.file_name, event->offset, "binlog.table_map", hint_copy,
                           "%s for table id %llu, which no TABLE_MAP of its transaction names",
                           binlog_event_name(event->type), (unsigned long long)id);
    struct table_version *version = slot->version;
    if (!version)
        return STEP_MORE;
    uint32_t op = 0;
    int event_version, compressed;
    if (!rows_kind(event->type, &op, &event_version, &compressed))
        return binlog_fail(diag, rows->piece.file_name, event->offset, "binlog.version",
                           "row events of MySQL 5.1.16 and later can be read", "%s is not supported",
                           binlog_event_name(event->type));
    struct binlog_cursor c = {event->body + id_size, event->body + event->body_size, 0};
    cursor_take(&c, 2);
    if (event_version == 2) {
        uint64_t extra = cursor_le(&c, 2);
        if (extra < 2)
            return malformed(rows, event, "extra data", diag);
        cursor_take(&c, extra - 2);
    }
    uint64_t count = cursor_length(&c);
    if (c.bad || count != version->table.column_count)
        return malformed(rows, event, "it has another number of columns than its TABLE_MAP", diag);
    rows->image_count = op == BINLOG_UPDATE ? 2 : 1;
    /* An INSERT has one image, the after; a DELETE one, the before. */
    for (int i = 0; i < rows->image_count; i++) {
        const uint8_t *bits = cursor_take(&c, (count + 7) / 8);
        if (!bits)
            return malformed(rows, event, "column bits", diag);
        int which = op == BINLOG_INSERT ? 1 : i;
        rows->shape[which].count = bits_count(bits, (uint32_t)count);
        rows->shape[which].present = rows->shape[which].count == count ? NULL : bits;
        /* A copy, since the event's bytes may go before the row does. */
        memcpy(version->present[which], bits, (count + 7) / 8);
    }
    rows->is_packed = compressed || rows->inner_at != NULL;
    const size_t head_size = (size_t)(c.at - event->body);
    rows->head = NULL;
    if (compressed && rows_inflate(rows, event, &c, diag) == STEP_FAILED)
        return STEP_FAILED;
    rows->row_at = c.at;
    rows->row_end = c.end;
    rows->version = version;
    rows->op = op;
    rows->is_partial = event->type == EVENT_PARTIAL_UPDATE_ROWS;
    rows->event_offset = event->offset;
    rows->event_size = rows->inner_at ? rows->outer_size : event->size;
    if (!rows->inner_at)
        rows->rows_in_event = 0;
    rows->out.op = op;
    rows->out.column_count = (uint32_t)count;
    rows->out.timestamp = event->timestamp;
    rows->out.table = &version->table;
    rows->out.event_offset = event->offset;
    rows->out.table_map_offset = rows->inner_at ? event->offset : slot->offset;
    rows->out.group = rows->group;
    int has_before = op != BINLOG_INSERT, has_after = op != BINLOG_DELETE;
    rows->out.is_whole = (!has_before || !rows->shape[0].present) && (!has_after || !rows->shape[1].present);
    rows->out.before = has_before ? version->cells[0] : NULL;
    rows->out.after = has_after ? version->cells[1] : NULL;
    rows->out.before_present = has_before ? version->present[0] : NULL;
    rows->out.after_present = has_after ? version->present[1] : NULL;
    if (rows->out.is_whole && !rows->is_packed && !rows->is_partial && head_size <= HEAD_MAX) {
        struct rows_head *const head = &rows->heads[is_change(event->type)];
        memcpy(head->bytes, event->body, head_size);
        memset(head->mask, 0, sizeof head->mask);
        memset(head->mask, 0xFF, head_size);
        head->size = head_size;
        head->type = event->type;
        head->id = id;
        head->slot = slot;
        head->version = version;
        head->image_count = rows->image_count;
        head->out = rows->out;
        rows->head = head;
    } else {
        /* What columns it holds stands where the others' stood, which hold all. */
        rows->heads[0].size = rows->heads[1].size = 0;
    }
    return STEP_MORE;
}

/* PARTIAL_UPDATE_ROWS: options, and with option 1 a bit per JSON column, in front of the after-image. */
static enum step partial_open(struct binlog_rows *rows, const uint8_t **partial, struct diag *diag)
{
    struct binlog_cursor c = {rows->row_at, rows->row_end, 0};
    *partial = NULL;
    uint64_t options = cursor_length(&c);
    if (options & ~(uint64_t)1)
        return value_fail(rows, 0, "the partial update has options that are not supported", diag);
    if (options & 1)
        *partial = cursor_take(&c, (rows->version->json_count + 7) / 8);
    if (c.bad)
        return value_fail(rows, 0, "the row is cut", diag);
    rows->row_at = c.at;
    return STEP_MORE;
}

static inline enum step image_take(struct binlog_rows *rows, int which, const uint8_t *partial,
                                   struct diag *diag)
{
    const uint8_t *behind = image_read(&rows->reader, rows->version, which, &rows->shape[which], rows->row_at,
                                       rows->row_end, partial);
    if (UNLIKELY(!behind))
        return value_fail(rows, rows->reader.column, rows->reader.wrong, diag);
    rows->row_at = behind;
    return STEP_MORE;
}

static enum step row_read(struct binlog_rows *rows, struct diag *diag)
{
    const uint8_t *begin = rows->row_at;
    const uint8_t *partial = NULL;
    if (rows->reader.row.blocks) {
        /* Texts of the row before this one. */
        arena_reset(&rows->reader.row);
    }
    if (rows->op != BINLOG_INSERT && image_take(rows, 0, NULL, diag) == STEP_FAILED)
        return STEP_FAILED;
    if (rows->is_partial && partial_open(rows, &partial, diag) == STEP_FAILED)
        return STEP_FAILED;
    if (rows->op != BINLOG_DELETE && image_take(rows, 1, partial, diag) == STEP_FAILED)
        return STEP_FAILED;
    if (UNLIKELY(rows->row_at == begin))
        return value_fail(rows, 0, "rows without a single byte", diag);
    rows->out.row_index = rows->rows_in_event++;
    if (!rows->is_packed) {
        rows->out.image_offset = rows->piece.file_offset + (uint64_t)(begin - rows->piece.bytes);
    } else if (rows->out.row_index < rows->event_size) {
        rows->out.image_offset = rows->event_offset + rows->out.row_index;
    } else {
        return value_fail(rows, 0, rows_crowded, diag);
    }
    rows->counts.rows++;
    return STEP_MORE;
}

/* An event inside of a payload: no checksum, and positions that say nothing. */
static enum step inner_step(struct binlog_rows *rows, struct diag *diag)
{
    struct binlog_event event;
    const char *file = rows->piece.file_name;
    size_t left = (size_t)(rows->inner_end - rows->inner_at);
    if (left < BINLOG_HEADER_SIZE || read_le32(rows->inner_at + 9) < BINLOG_HEADER_SIZE ||
        read_le32(rows->inner_at + 9) > left)
        return binlog_fail(diag, file, rows->outer_offset, "binlog.payload", hint_copy,
                           "the TRANSACTION_PAYLOAD holds an event that is cut");
    event_read(&event, rows->inner_at, rows->outer_offset, 0);
    rows->inner_at += event.size;
    rows->counts.events++;
    if (event.type == EVENT_TABLE_MAP)
        return table_map_read(rows, &event, diag);
    if (event_is_rows(event.type))
        return rows_open(rows, &event, diag);
    return STEP_MORE;
}

/* A payload must be a whole transaction that commits: its last event says so. Statements in it are judged as
 * the walk does. */
static enum step payload_check(struct binlog_rows *rows, struct diag *diag)
{
    const char *file = rows->piece.file_name;
    const uint8_t *at = rows->inner_at;
    struct binlog_event event;
    int committed = 0, is_xa = 0, is_first = 1;
    while (at < rows->inner_end) {
        size_t left = (size_t)(rows->inner_end - at);
        if (left < BINLOG_HEADER_SIZE || read_le32(at + 9) < BINLOG_HEADER_SIZE || read_le32(at + 9) > left)
            return binlog_fail(diag, file, rows->outer_offset, "binlog.payload", hint_copy,
                               "the TRANSACTION_PAYLOAD holds an event that is cut");
        event_read(&event, at, rows->outer_offset, 0);
        at += event.size;
        committed = event.type == EVENT_XID;
        if (event.type == EVENT_QUERY) {
            struct span database, text;
            uint8_t *inflated;
            struct statement statement;
            if (binlog_query_read(&event, &rows->format, &database, &text, &inflated, file, diag) ==
                STEP_FAILED)
                return STEP_FAILED;
            binlog_statement_read(&statement, database, text, rows->options);
            committed = statement.kind == STATEMENT_COMMIT;
            is_xa |= is_first && statement.kind == STATEMENT_XA_START;
            if (statement.kind == STATEMENT_ROLLBACK_TO || statement.kind == STATEMENT_ROLLBACK ||
                ((statement.kind == STATEMENT_CHANGES || statement.kind == STATEMENT_ERASES) &&
                 statement.watch_index >= 0))
                return binlog_fail(diag, file, rows->outer_offset, "binlog.statement",
                                   "SET GLOBAL binlog_format=ROW, and binlog_transaction_compression=OFF",
                                   "a statement inside of a TRANSACTION_PAYLOAD is not supported: \"%.*s\"",
                                   (int)(text.size < 160 ? text.size : 160), text.data);
        } else if (is_xa && event.type == EVENT_XA_PREPARE && at == rows->inner_end) {
            committed = 1; /* by the XA COMMIT that the walk has met */
        } else if (event.type != EVENT_XID && event.type != EVENT_TABLE_MAP && !event_is_rows(event.type) &&
                   event.type != EVENT_ROWS_QUERY && !(event.flags & EVENT_FLAG_IGNORABLE)) {
            return binlog_fail(diag, file, rows->outer_offset, "binlog.payload",
                               "SET GLOBAL binlog_transaction_compression=OFF for such transactions",
                               "%s inside of a TRANSACTION_PAYLOAD is not supported",
                               binlog_event_name(event.type));
        }
        is_first = 0;
    }
    if (!committed)
        return binlog_fail(diag, file, rows->outer_offset, "binlog.payload",
                           "SET GLOBAL binlog_transaction_compression=OFF for such transactions",
                           "a TRANSACTION_PAYLOAD that does not end in a commit is not supported");
    return STEP_MORE;
}

static enum step payload_open(struct binlog_rows *rows, const struct binlog_event *event, struct diag *diag)
{
    struct span inside;
    if (binlog_payload_read(&rows->payload, &inside, event, rows->options->event_bytes_max,
                            rows->piece.file_name, diag) == STEP_FAILED)
        return STEP_FAILED;
    rows->inner_at = (const uint8_t *)inside.data;
    rows->inner_end = rows->inner_at + inside.size;
    rows->outer_offset = event->offset;
    rows->outer_size = event->size;
    rows->rows_in_event = 0;
    return payload_check(rows, diag);
}

/* Finds the group that an event lies in; forgets the table maps where a new one begins. */
static void group_find(struct binlog_rows *rows, uint64_t offset)
{
    const struct binlog_piece *piece = &rows->piece;
    while (rows->group_index < piece->group_count && piece->groups[rows->group_index].end <= offset)
        rows->group_index++;
    const struct binlog_group *group = NULL;
    if (rows->group_index < piece->group_count && piece->groups[rows->group_index].begin <= offset)
        group = &piece->groups[rows->group_index];
    if (group && (!rows->group_known || rows->group_begin != group->begin ||
                  rows->group_file != group->file_index || offset == group->begin)) {
        rows->generation++;
        rows->group_known = 1;
        rows->group_begin = group->begin;
        rows->group_file = group->file_index;
    }
    rows->group_until = group                                    ? group->end
                        : rows->group_index < piece->group_count ? piece->groups[rows->group_index].begin
                                                                 : UINT64_MAX;
    if (group && (!group->committed || !group->touches_watched))
        group = NULL;
    rows->group = group;
}

/* 1: an event of which nothing is read here but its checksum. */
static inline int is_passed(unsigned type)
{
    return type != EVENT_TABLE_MAP && type != EVENT_TRANSACTION_PAYLOAD && !event_is_rows(type);
}

/* The usual transaction that begins at rows->at goes up to its row event in one go: the walk went over these very bytes and said where its
 * events stand, and its TABLE_MAP is that of the one before. 0: it is not so, or something is wrong with it: event by event it will turn out. */
static inline int usual_step(struct binlog_rows *rows, struct binlog_event *event)
{
    const struct binlog_group *const group = rows->group;
    const struct binlog_piece *const piece = &rows->piece;
    if (!group || group->map_number == 0 || group->map_number != rows->usual.number)
        return 0;
    const uint8_t *const bytes = rows->at, *const row_event = bytes + group->rows_at;
    const size_t at = (size_t)(bytes - piece->bytes), left = (size_t)(rows->end - bytes);
    const uint64_t size = group->end - group->begin;
    struct map_slot *const slot = rows->usual.slot;
    if (piece->file_offset + at != group->begin || at < piece->walked_from || size > left ||
        at + size > piece->walked_to || slot->id != rows->usual.id || slot->version != rows->usual.version)
        return 0;
    const unsigned checksum_size = rows->format.checksum_size;
    if (checksum_size) {
        const uint8_t *const note = bytes + group->note_at;
        const int is_note_right = group->note_at == 0 || binlog_sum_right(note, read_le32(note + 9));
        if (!(is_note_right & binlog_sum_right(row_event, read_le32(row_event + 9))))
            return 0;
    }
    event_read(event, row_event, group->begin + group->rows_at, checksum_size);
    slot->generation = rows->generation;
    slot->offset = group->begin + group->map_at;
    size_t end = group->rows_at + (size_t)event->size;
    /* In front of the row event: the GTID, MySQL's BEGIN, the note and the TABLE_MAP. */
    rows->counts.events += 3 + (bytes[4] == EVENT_GTID) + (group->note_at != 0);
    if (bytes[end + 4] == EVENT_XID && end + read_le32(bytes + end + 9) == size) {
        rows->counts.events++;
        end = (size_t)size;
    }
    rows->counts.bytes += end;
    rows->counts.usual++;
    rows->at = bytes + end;
    return 1;
}

/* Goes to the next event of which more is read than its checksum. STEP_MORE: maybe there are rows to read now. */
static enum step event_step(struct binlog_rows *rows, struct diag *diag)
{
    const struct binlog_piece *const piece = &rows->piece;
    const unsigned checksum_size = rows->format.checksum_size;
    for (;;) {
        const size_t left = (size_t)(rows->end - rows->at), at = (size_t)(rows->at - piece->bytes);
        if (left < BINLOG_HEADER_SIZE)
            return STEP_DONE;
        const uint8_t *const bytes = rows->at;
        const uint64_t offset = piece->file_offset + at;
        struct binlog_event event;
        if (offset >= rows->group_until) {
            group_find(rows, offset);
            if (usual_step(rows, &event))
                return rows_open(rows, &event, diag);
        }
        const uint32_t size = read_le32(bytes + 9);
        const unsigned type = bytes[4];
        if (size < BINLOG_HEADER_SIZE + checksum_size)
            return binlog_fail(diag, piece->file_name, offset, "binlog.event", hint_copy,
                               "an event that claims %u bytes, less than its header", size);
        if (left < size)
            return STEP_DONE;
        const int is_verified =
            at >= piece->walked_from && at + size <= piece->walked_to && event_is_verified_by_walk(type);
        /* The FORMAT_DESCRIPTION has a checksum of its own rules, which the walk verified. */
        if (!is_verified && checksum_size && type != EVENT_FORMAT_DESCRIPTION &&
            !binlog_sum_right(bytes, size))
            return binlog_fail(diag, piece->file_name, offset, "binlog.checksum", hint_copy,
                               "checksum of the %s event is wrong", binlog_event_name(type));
        rows->at += size;
        rows->counts.events++;
        rows->counts.bytes += size;
        if (is_passed(type) || !rows->group)
            continue;
        event_read(&event, bytes, offset, checksum_size);
        return type == EVENT_TABLE_MAP             ? table_map_read(rows, &event, diag)
               : type == EVENT_TRANSACTION_PAYLOAD ? payload_open(rows, &event, diag)
                                                   : rows_open(rows, &event, diag);
    }
}

enum step binlog_rows_next(struct binlog_rows *rows, struct diag *diag)
{
    while (rows->row_at == rows->row_end) {
        enum step step;
        if (rows->inner_at) {
            if (rows->inner_at == rows->inner_end) {
                rows->inner_at = rows->inner_end = NULL;
                continue;
            }
            step = inner_step(rows, diag);
        } else {
            step = event_step(rows, diag);
        }
        if (step != STEP_MORE)
            return step;
    }
    return STEP_MORE;
}

enum step binlog_rows_step(struct binlog_rows *rows, const struct binlog_row **row, struct diag *diag)
{
    enum step step = binlog_rows_next(rows, diag);
    if (step != STEP_MORE)
        return step;
    *row = &rows->out;
    return row_read(rows, diag);
}

const struct binlog_table *binlog_rows_table(const struct binlog_rows *rows)
{
    return &rows->version->table;
}

uint64_t binlog_rows_offset(const struct binlog_rows *rows)
{
    return rows->out.event_offset;
}

int binlog_lanes_open(struct binlog_lanes *run, struct binlog_rows *rows, const struct image_plan *plan)
{
    if (!rows->out.is_whole || rows->is_packed || rows->is_partial)
        return 0;
    run->at = rows->row_at;
    run->end = rows->row_end;
    run->row = &rows->out;
    run->row_index = rows->rows_in_event;
    run->offset = rows->piece.file_offset + (uint64_t)(rows->row_at - rows->piece.bytes);
    return binlog_lane_begin(run, rows->version, plan, rows->end);
}

int binlog_lanes_close(const struct binlog_lanes *run, struct binlog_rows *rows, const uint8_t *at,
                       uint32_t count)
{
    CHECK2(at >= run->at && at <= rows->row_end, at - run->at, rows->row_end - run->at);
    rows->row_at = at;
    rows->rows_in_event += count;
    rows->counts.rows += count;
    rows->version->lane_hits += count;
    return at == rows->row_end;
}

/* Rows of this event may be asked for further. */
static void note_open(struct binlog_rows *rows, const struct binlog_place *place)
{
    rows->open_file = place->file_name;
    rows->open_event = place->event_offset;
    rows->open_end = read_le32(place->event + 9) - place->format->checksum_size;
}

enum step binlog_rows_again(struct binlog_rows *rows, const struct binlog_place *place,
                            const struct binlog_row **row, struct diag *diag)
{
    static const char *const hint = "the file changed since it was read; run again";
    unsigned checksum_size = place->format->checksum_size;
    const uint8_t *parts[2] = {place->event, place->table_map};
    size_t sizes[2] = {place->event_size, place->table_map_size};
    uint64_t offsets[2] = {place->event_offset, place->table_map_offset};
    for (int i = 0; i < 2; i++) {
        if (i == 1 && place->event[4] == EVENT_TRANSACTION_PAYLOAD)
            break;
        if (sizes[i] < BINLOG_HEADER_SIZE || read_le32(parts[i] + 9) > sizes[i] ||
            read_le32(parts[i] + 9) < BINLOG_HEADER_SIZE + checksum_size)
            return binlog_fail(diag, place->file_name, offsets[i], "binlog.event", hint,
                               "no whole event is here any more");
    }
    rows->again = (struct binlog_group){.begin = place->event_offset,
                                        .end = UINT64_MAX,
                                        .file_index = UINT32_MAX,
                                        .committed = 1,
                                        .touches_watched = 1};
    struct binlog_piece piece = {.file_name = place->file_name,
                                 .bytes = place->event,
                                 .size = read_le32(place->event + 9),
                                 .file_offset = place->event_offset,
                                 .format = place->format,
                                 .groups = &rows->again,
                                 .group_count = 1};
    binlog_rows_begin(rows, &piece);
    rows->generation++;
    if (place->event[4] != EVENT_TRANSACTION_PAYLOAD) {
        struct binlog_event map;
        event_read(&map, place->table_map, place->table_map_offset, checksum_size);
        if (map.type != EVENT_TABLE_MAP || !binlog_checksum_right(&map, place->format))
            return binlog_fail(diag, place->file_name, place->table_map_offset, "binlog.event", hint,
                               "no whole TABLE_MAP event is here any more");
        if (table_map_read(rows, &map, diag) == STEP_FAILED)
            return STEP_FAILED;
        /* So that the event's own group does not count as a new one. */
        rows->again.begin = place->table_map_offset;
    }
    rows->group_known = 1;
    rows->group_begin = rows->again.begin;
    rows->group_file = UINT32_MAX;
    enum step step = binlog_rows_next(rows, diag);
    if (step == STEP_FAILED)
        return step;
    /* A row that lies at its place in the file is read without those before it. */
    if (step == STEP_MORE && !rows->is_packed) {
        const size_t first = (size_t)(rows->row_at - piece.bytes),
                     end = (size_t)(rows->row_end - piece.bytes);
        const uint64_t at = place->image_offset - place->event_offset;
        if (at < first || at >= end)
            step = STEP_DONE;
        else
            rows->row_at = piece.bytes + at;
        rows->rows_in_event = place->row_index;
    }
    for (;;) {
        if (step != STEP_DONE)
            step = binlog_rows_step(rows, row, diag);
        if (step == STEP_DONE)
            return binlog_fail(diag, place->file_name, place->event_offset, "binlog.event", hint,
                               "there is no row %u here any more", place->row_index);
        if (step == STEP_FAILED)
            return step;
        if ((*row)->row_index == place->row_index) {
            note_open(rows, place);
            return step;
        }
    }
}

enum step binlog_rows_part(struct binlog_rows *rows, const struct binlog_place *place, const uint8_t *bytes,
                           size_t size, const struct binlog_row **row)
{
    const unsigned checksum_size = place->format->checksum_size;
    const uint64_t back = place->image_offset - place->event_offset;
    struct diag quiet = {0};
    struct binlog_event map, event;
    uint32_t op;
    int version, compressed;
    if (place->event_size < BINLOG_HEADER_SIZE || place->table_map_size < BINLOG_HEADER_SIZE ||
        read_le32(place->table_map + 9) > place->table_map_size ||
        read_le32(place->table_map + 9) < BINLOG_HEADER_SIZE + checksum_size)
        return STEP_IDLE;
    const uint32_t event_size = read_le32(place->event + 9);
    if (!rows_kind(place->event[4], &op, &version, &compressed) || compressed ||
        event_size < BINLOG_HEADER_SIZE + checksum_size + back)
        return STEP_IDLE;
    event_read(&map, place->table_map, place->table_map_offset, checksum_size);
    event_read(&event, place->event, place->event_offset, checksum_size);
    if (map.type != EVENT_TABLE_MAP || !binlog_checksum_right(&map, place->format))
        return STEP_IDLE;
    if (event.body_size > place->event_size - BINLOG_HEADER_SIZE)
        event.body_size = place->event_size - BINLOG_HEADER_SIZE;
    const struct binlog_piece piece = {.file_name = place->file_name,
                                       .bytes = bytes,
                                       .size = size,
                                       .file_offset = place->image_offset,
                                       .format = place->format};
    binlog_rows_begin(rows, &piece);
    rows->again = (struct binlog_group){.begin = place->table_map_offset,
                                        .end = UINT64_MAX,
                                        .file_index = UINT32_MAX,
                                        .committed = 1,
                                        .touches_watched = 1};
    rows->group = &rows->again;
    rows->generation++;
    rows->group_known = 0;
    if (table_map_read(rows, &map, &quiet) != STEP_MORE || rows_open(rows, &event, &quiet) != STEP_MORE ||
        !rows->row_at || rows->is_packed || rows->is_partial)
        return STEP_IDLE;
    const uint64_t left = event_size - checksum_size - back;
    rows->row_at = bytes;
    rows->row_end = bytes + (left < size ? (size_t)left : size);
    rows->rows_in_event = place->row_index;
    if (rows->row_at == rows->row_end || row_read(rows, &quiet) != STEP_MORE)
        return STEP_IDLE;
    note_open(rows, place);
    *row = &rows->out;
    return STEP_MORE;
}

int binlog_rows_is_packed(const struct binlog_rows *rows)
{
    return rows->is_packed;
}

enum step binlog_rows_further(struct binlog_rows *rows, const struct binlog_place *place,
                              const uint8_t *bytes, size_t size, const struct binlog_row **row)
{
    struct diag quiet = {0};
    if (rows->open_file != place->file_name || rows->open_event != place->event_offset)
        return STEP_IDLE;
    enum step step = STEP_MORE;
    if (rows->is_packed) {
        if (place->row_index < rows->rows_in_event)
            return STEP_IDLE;
        while (step == STEP_MORE && rows->rows_in_event <= place->row_index)
            step = binlog_rows_step(rows, row, &quiet);
    } else {
        const uint64_t back = place->image_offset - place->event_offset;
        if (back >= rows->open_end || size == 0)
            return STEP_IDLE;
        const uint64_t left = rows->open_end - back;
        rows->piece.bytes = rows->row_at = bytes;
        rows->piece.file_offset = place->image_offset;
        rows->row_end = bytes + (left < size ? (size_t)left : size);
        rows->rows_in_event = place->row_index;
        step = row_read(rows, &quiet);
    }
    if (step != STEP_MORE) {
        rows->open_file = NULL;
        return STEP_IDLE;
    }
    *row = &rows->out;
    return STEP_MORE;
}

struct span binlog_cell_print(char out[64], const struct cell *cell, const struct binlog_column *column)
{
    int size = 0;
    switch (cell->kind) {
    case CELL_TEXT:
        return cell_span(cell);
    case CELL_INT:
        size = snprintf(out, 64, "%lld", (long long)cell->i64);
        break;
    case CELL_UINT:
        size = snprintf(out, 64, "%llu", (unsigned long long)cell->u64);
        break;
    case CELL_WALL: {
        int decimals = column->type == TYPE_DATE || column->type == TYPE_NEWDATE         ? -1
                       : column->type == TYPE_DATETIME2 || column->type == TYPE_DATETIME ? column->metadata
                                                                                         : 0;
        size = wall_print(out, cell->i64, decimals);
        break;
    }
    case CELL_EPOCH: {
        int decimals =
            column->type == TYPE_TIMESTAMP2 || column->type == TYPE_TIMESTAMP ? column->metadata : 0;
        size = snprintf(out, 64, "%lld", (long long)(cell->i64 / 1000000));
        if (decimals > 0 && decimals <= 6) {
            char digits[8];
            snprintf(digits, sizeof digits, "%06d", (int)(cell->i64 % 1000000));
            size += snprintf(out + size, 64 - (size_t)size, ".%.*s", decimals, digits);
        }
        break;
    }
    case CELL_DECIMAL:
        return cell_decimal_print(out, cell);
    default:
        break;
    }
    return (struct span){out, (size_t)size};
}
