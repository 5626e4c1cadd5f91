/* io/format/binlog_image.c: see binlog_image.h */
#include "io/format/binlog_image.h"
#include "core/base/check.h"
#include "io/format/binlog_decimal.h"
#include "io/format/binlog_event.h"
#include "io/format/binlog_json.h"
#include "io/format/binlog_payload.h"
#include "io/format/binlog_types.h"
#include <stdio.h>

const char image_sign_unknown[] = "its top bit is set, and nobody says whether the column is UNSIGNED";
const char image_json_partial[] =
    "a partial JSON update, and the image before does not hold the value that it changes";
static const char row_cut[] = "the row is cut";

/* ---- values ---- */

static inline void cell_integer(struct cell *cell, const struct column_plan *plan, uint64_t value,
                                unsigned bits)
{
    cell->size = 0;
    if (plan->is_unsigned == 1) {
        cell->kind = CELL_UINT;
        cell->u64 = value;
    } else {
        cell->kind = CELL_INT;
        cell->i64 = (int64_t)(value << (64 - bits)) >> (64 - bits);
    }
}

static inline void cell_text(struct cell *cell, const void *data, size_t size)
{
    cell->kind = CELL_TEXT;
    cell->data = data;
    cell->size = (uint32_t)size;
}

/* The text of a SET: the labels whose bits are set, with commas. */
static int set_print(struct image_reader *reader, struct cell *cell, const struct column_plan *plan,
                     uint64_t bits, char *scratch)
{
    if (plan->label_count == 0 || (plan->label_count < 64 && bits >> plan->label_count)) {
        cell_text(cell, scratch,
                  (size_t)snprintf(scratch, TIME_VALUE_TEXT_MAX, "#%llu", (unsigned long long)bits));
        return 1;
    }
    if (bits == 0) {
        cell_text(cell, "", 0);
        return 1;
    }
    size_t size = 0;
    for (unsigned i = 0; i < plan->label_count; i++)
        if (bits >> i & 1)
            size += plan->labels[i].size + 1;
    char *out = arena_take(&reader->row, size + 1);
    if (!out)
        return 0;
    char *to = out;
    for (unsigned i = 0; i < plan->label_count; i++) {
        if (!(bits >> i & 1))
            continue;
        if (to != out)
            *to++ = ',';
        memcpy(to, plan->labels[i].data, plan->labels[i].size);
        to += plan->labels[i].size;
    }
    cell_text(cell, out, (size_t)(to - out));
    return 1;
}

static int text_convert(struct image_reader *reader, struct cell *cell, const struct column_plan *plan,
                        const char *data, size_t size)
{
    if (!plan->charset || (plan->charset->ascii_is_same && text_is_ascii(data, size))) {
        cell_text(cell, data, size);
        return 1;
    }
    struct span text = charset_convert(plan->charset, (struct span){data, size}, &reader->row);
    cell_text(cell, text.data, text.size);
    return text.data != NULL;
}

/* MariaDB's compressed columns: a byte that says how (high half 0: not compressed, 8: zlib; bit 3: a bare
 * stream, without zlib's head and checksum; low 3 bits: size of the length), the length, most significant
 * first, then the stream. Returns NULL, or what is wrong. */
static const char *column_inflate(struct image_reader *reader, struct cell *cell,
                                  const struct column_plan *plan, const uint8_t *p, size_t size)
{
    if (size == 0) {
        cell_text(cell, "", 0);
        return NULL;
    }
    unsigned method = *p >> 4, length_size = *p & 7;
    if (method == 0)
        return text_convert(reader, cell, plan, (const char *)p + 1, size - 1) ? NULL : binlog_out_of_memory;
    if (method != 8 || length_size == 0 || length_size > 4 || size < 1 + length_size)
        return "not a compressed column";
    uint64_t want = read_be(p + 1, length_size);
    if (want > size * 1100 + 64)
        return "a compressed value that claims more than its bytes can hold";
    uint8_t *out = arena_take(&reader->row, want + 1);
    if (!out)
        return binlog_out_of_memory;
    size_t stream_size = size - 1 - length_size;
    if (!binlog_inflate_column(p + 1 + length_size, stream_size, (*p & 8) != 0, out, want))
        return "a compressed value that does not inflate";
    return text_convert(reader, cell, plan, (const char *)out, want) ? NULL : binlog_out_of_memory;
}

/* Everything that is not a plain number or plain bytes. Returns NULL, or what is wrong. */
static const char *value_read_rare(struct image_reader *reader, struct cell *cell,
                                   const struct column_plan *plan, const uint8_t *p, size_t size,
                                   char *scratch)
{
    int length = 0;
    switch (plan->kind) {
    case PLAN_FLOAT: {
        uint32_t bits = read_le32(p);
        float value;
        memcpy(&value, &bits, sizeof value);
        length = float_print(scratch, value);
        break;
    }
    case PLAN_DOUBLE: {
        uint64_t bits = read_le64(p);
        double value;
        memcpy(&value, &bits, sizeof value);
        length = double_print(scratch, value);
        break;
    }
    case PLAN_YEAR:
        return year_read(cell, scratch, p) ? NULL : "not a YEAR";
    case PLAN_DATE:
        return date_read(cell, scratch, p) ? NULL : "not a DATE";
    case PLAN_TIME:
        return time_read(cell, scratch, p) ? NULL : "not a TIME";
    case PLAN_DATETIME:
        return datetime_read(cell, scratch, p) ? NULL : "not a DATETIME";
    case PLAN_TIMESTAMP:
        return timestamp_read(cell, scratch, p) ? NULL : "not a TIMESTAMP";
    case PLAN_TIME2:
        return time2_read(cell, scratch, p, plan->decimals) ? NULL : "not a TIME";
    case PLAN_OLD_TIME:
        return old_time_read(cell, scratch, p, plan->decimals) ? NULL : "not a TIME";
    case PLAN_OLD_DATETIME:
        return old_datetime_read(cell, scratch, p, plan->decimals) ? NULL : "not a DATETIME";
    case PLAN_OLD_TIMESTAMP:
        return old_timestamp_read(cell, scratch, p, plan->decimals) ? NULL : "not a TIMESTAMP";
    case PLAN_SET:
        return set_print(reader, cell, plan, read_le(p, size), scratch) ? NULL : binlog_out_of_memory;
    case PLAN_PADDED:
        if (size >= plan->width) {
            cell_text(cell, p, size);
        } else {
            char *out = arena_take(&reader->row, plan->width);
            if (!out)
                return binlog_out_of_memory;
            memcpy(out, p, size);
            memset(out + size, 0, plan->width - size);
            cell_text(cell, out, plan->width);
        }
        return NULL;
    case PLAN_TEXT:
        return text_convert(reader, cell, plan, (const char *)p, size) ? NULL : binlog_out_of_memory;
    case PLAN_COLUMN_COMPRESSED:
        return column_inflate(reader, cell, plan, p, size);
    case PLAN_JSON: {
        struct span text;
        const char *wrong = binlog_json_print(&text, p, size, &reader->row);
        cell_text(cell, text.data, text.size);
        return wrong;
    }
    default:
        return "a type without values";
    }
    cell_text(cell, scratch, (size_t)length);
    return length < 0 ? "not a finite number" : NULL;
}

static inline const char *value_read(struct image_reader *reader, struct cell *cell,
                                     const struct column_plan *plan, const uint8_t *p, size_t size,
                                     char *scratch)
{
    switch (plan->kind) {
    case PLAN_INT8:
        cell_integer(cell, plan, *p, 8);
        break;
    case PLAN_INT16:
        cell_integer(cell, plan, read_le16(p), 16);
        break;
    case PLAN_INT24:
        cell_integer(cell, plan, read_le24(p), 24);
        break;
    case PLAN_INT32:
        cell_integer(cell, plan, read_le32(p), 32);
        break;
    case PLAN_INT64:
        cell_integer(cell, plan, read_le64(p), 64);
        break;
    case PLAN_DECIMAL_SHORT:
        return decimal_read(cell, p, plan->precision, plan->decimals) ? NULL : "not a DECIMAL";
    case PLAN_DECIMAL: {
        int length = decimal_print(scratch, p, plan->precision, plan->decimals);
        if (UNLIKELY(length < 0))
            return "not a DECIMAL";
        cell_text(cell, scratch, (size_t)length);
        return NULL;
    }
    case PLAN_BYTES:
        cell_text(cell, p, size);
        return NULL;
    case PLAN_DATETIME2:
        return datetime2_read(cell, scratch, p, plan->decimals) ? NULL : "not a DATETIME";
    case PLAN_TIMESTAMP2:
        return timestamp2_read(cell, scratch, p, plan->decimals) ? NULL : "not a TIMESTAMP";
    case PLAN_ENUM: {
        uint64_t index = read_le(p, size);
        if (LIKELY(index > 0 && index <= plan->label_count))
            cell_text(cell, plan->labels[index - 1].data, plan->labels[index - 1].size);
        else if (index == 0 &&
                 plan->labels) /* what the server stores for a value that is none of the labels */
            cell_text(cell, "", 0);
        else
            cell_text(cell, scratch, (size_t)snprintf(scratch, TIME_VALUE_TEXT_MAX, "#%u", (unsigned)index));
        return NULL;
    }
    case PLAN_BIT:
        cell->kind = CELL_UINT;
        cell->size = 0;
        cell->u64 = read_be(p, size);
        return NULL;
    default:
        return value_read_rare(reader, cell, plan, p, size, scratch);
    }
    /* Plain integers end up here. Without a sign known, one reading only is possible while the top bit is
     * clear. */
    if (UNLIKELY(plan->is_unsigned < 0) && cell->i64 < 0 && !reader->sign_free)
        return image_sign_unknown;
    return NULL;
}

/* ---- column by column ---- */

static const uint8_t *fail(struct image_reader *reader, uint32_t column, const char *wrong)
{
    reader->column = column;
    reader->wrong = wrong;
    return NULL;
}

/* Passes over the length in front of a value; 0 when the row ends before it. */
static inline int prefix_pass(const uint8_t **p, const uint8_t *end, size_t *size)
{
    const uint8_t *prefix = *p;
    const size_t prefix_size = *size;
    if (UNLIKELY((size_t)(end - prefix) < prefix_size))
        return 0;
    *p = prefix + prefix_size;
    *size = LIKELY(prefix_size == 1) ? *prefix
            : prefix_size == 2       ? read_le16(prefix)
                                     : (size_t)read_le(prefix, prefix_size);
    return 1;
}

/* A JSON column that is told by what changed: over its value in the image before. */
static const char *json_change(struct image_reader *reader, const struct table_version *version,
                               uint32_t column, struct cell *cell, const uint8_t *p, size_t size)
{
    const struct cell *before = &version->cells[0][column];
    struct span text;
    if (before->kind != CELL_TEXT)
        return image_json_partial;
    const char *wrong = binlog_json_patch(&text, cell_span(before), p, size, &reader->row);
    cell_text(cell, text.data, text.size);
    return wrong;
}

static const uint8_t *image_walk(struct image_reader *reader, struct table_version *version, int which,
                                 const struct image_shape *shape, const uint8_t *nulls, const uint8_t *end,
                                 const uint8_t *partial)
{
    struct column_plan *plan = version->plans;
    struct cell *cell = version->cells[which];
    char *scratch = version->scratch[which];
    const uint8_t *present = shape->present;
    const uint8_t *p = nulls + (shape->count + 7) / 8;
    uint32_t k = 0;
    for (uint32_t i = 0; i < version->table.column_count; i++, plan++, cell++) {
        if (present && !(present[i / 8] >> (i % 8) & 1)) {
            cell->kind = CELL_ABSENT;
            continue;
        }
        uint32_t null_index = k++;
        if (nulls[null_index / 8] >> (null_index % 8) & 1) {
            if (plan->needed)
                cell->kind = CELL_NULL;
            continue;
        }
        size_t size = plan->size;
        if (plan->skip == SKIP_PREFIX && !prefix_pass(&p, end, &size))
            return fail(reader, i, row_cut);
        if (UNLIKELY((size_t)(end - p) < size))
            return fail(reader, i, row_cut);
        if (plan->needed) {
            const char *wrong;
            if (UNLIKELY(partial && plan->kind == PLAN_JSON &&
                         (partial[plan->json_index / 8] >> (plan->json_index % 8) & 1)))
                wrong = json_change(reader, version, i, cell, p, size);
            else
                wrong = value_read(reader, cell, plan, p, size, scratch + plan->scratch);
            if (UNLIKELY(wrong != NULL))
                return fail(reader, i, wrong);
        }
        p += size;
    }
    return p;
}

/* ---- by program ---- */

enum step_op {
    OP_END,       /* nothing but the bytes before it */
    OP_PREFIX_1,  /* nobody needs it */
    OP_PREFIX_11, /* two such, with nothing between them */
    OP_PREFIX_2,
    OP_PREFIX_N,
    OP_NULL,
    OP_TEXT_1, /* bytes as they are, behind a length of one byte, or ASCII where that is the same in the charset */
    OP_TEXT_2,
    OP_DECIMAL,
    OP_DATETIME2,
    OP_INT8, /* with a known sign */
    OP_INT32,
    OP_INT64,
    OP_FIXED, /* any other value of fixed size */
    OP_FREE   /* any other value with a length before it */
};

struct image_step {
    uint8_t op;   /* enum step_op */
    uint8_t flag; /* text: must be ASCII to be taken as it is; integers: unsigned */
    uint16_t column;
    uint32_t before; /* fixed bytes to pass over first */
    uint32_t cell;   /* where the column's cell is, in bytes */
    uint32_t size;   /* of a value of fixed size */
    union {
        struct {
            uint32_t
                behind; /* fixed bytes that must be there behind a value whose length stands in the row */
            uint32_t second; /* the same of the second of two */
        };
        struct decimal_shape decimal; /* DECIMAL of 4 bytes and more */
    };
};

struct image_program {
    uint64_t nulls;
    uint32_t first; /* fixed bytes that must be there at the row's begin, behind the NULL bits */
    uint32_t step_count;
    struct image_step steps[];
};

enum { PROGRAM_COLUMNS_MAX = 64, PROGRAMS_FREE = 256 };

static void program_make(struct image_program *program, const struct table_version *version, uint64_t nulls)
{
    uint32_t before = 0, count = 0, *must = &program->first;
    program->nulls = nulls;
    program->first = 0;
    for (uint32_t i = 0; i < version->table.column_count; i++) {
        const struct column_plan *plan = &version->plans[i];
        const int is_null = (int)(nulls >> i & 1);
        if (is_null && !plan->needed)
            continue;
        if (!is_null)
            *must += plan->size;
        if (!is_null && !plan->needed && plan->skip == SKIP_FIXED) {
            before += plan->size;
            continue;
        }
        struct image_step *step = &program->steps[count];
        if (!is_null && !plan->needed && before == 0 && plan->size == 1 && count > 0 &&
            step[-1].op == OP_PREFIX_1) {
            /* Its length is among the bytes that must be there behind the first. */
            step[-1].op = OP_PREFIX_11;
            must = &step[-1].second;
            continue;
        }
        count++;
        *step = (struct image_step){
            .column = (uint16_t)i, .before = before, .cell = (uint32_t)(i * sizeof(struct cell))};
        before = 0;
        if (is_null) {
            step->op = OP_NULL;
            continue;
        }
        if (plan->skip == SKIP_FIXED) {
            const int has_sign = plan->is_unsigned >= 0;
            step->op = plan->kind == PLAN_DECIMAL_SHORT && plan->size >= 4 ? OP_DECIMAL
                       : plan->kind == PLAN_DATETIME2                      ? OP_DATETIME2
                       : plan->kind == PLAN_INT8 && has_sign               ? OP_INT8
                       : plan->kind == PLAN_INT32 && has_sign              ? OP_INT32
                       : plan->kind == PLAN_INT64 && has_sign              ? OP_INT64
                                                                           : OP_FIXED;
            step->size = plan->size;
            step->flag = plan->is_unsigned == 1;
            if (step->op == OP_DECIMAL)
                step->decimal = decimal_shape(plan->precision, plan->decimals, plan->size);
            continue;
        }
        must = &step->behind;
        const int plain =
            plan->kind == PLAN_BYTES || (plan->kind == PLAN_TEXT && plan->charset->ascii_is_same);
        step->flag = plan->kind == PLAN_TEXT;
        if (!plan->needed)
            step->op = plan->size == 1 ? OP_PREFIX_1 : plan->size == 2 ? OP_PREFIX_2 : OP_PREFIX_N;
        else
            step->op = !plain || plan->size > 2 ? OP_FREE : plan->size == 1 ? OP_TEXT_1 : OP_TEXT_2;
    }
    program->steps[count++] = (struct image_step){.op = OP_END, .before = before};
    program->step_count = count;
}

static inline void cell_whole(struct cell *cell, const struct image_step *step, uint64_t value, unsigned bits)
{
    cell->size = 0;
    cell->kind = step->flag ? CELL_UINT : CELL_INT;
    cell->i64 = step->flag ? (int64_t)value : (int64_t)(value << (64 - bits)) >> (64 - bits);
}

/* The program for a set of NULLs. NULL: read it column by column. */
static inline const struct image_program *program_find(struct table_version *version, uint64_t nulls)
{
    struct image_program **slot = &version->programs[nulls * 0x9e3779b97f4a7c15u >> 59];
    struct image_program *program = *slot;
    if (LIKELY(program && program->nulls == nulls)) {
        version->program_hits++;
        return program;
    }
    /* Compiling costs as much as reading some rows the other way. */
    if (version->program_misses > PROGRAMS_FREE && version->program_misses > version->program_hits / 16)
        return NULL;
    version->program_misses++;
    if (!program) {
        program = arena_take(version->arena,
                             sizeof *program + (version->table.column_count + 1) * sizeof *program->steps);
        if (!program)
            return NULL;
        *slot = program;
    }
    program_make(program, version, nulls);
    return program;
}

/* DATETIME: the day is mostly that of the row before. 8 bytes can be read. */
static inline int datetime2_quick(struct cell *cell, const struct column_plan *plan, const uint8_t *p)
{
    static const uint32_t unit[4] = {0, 10000, 100, 1};
    const uint64_t all = (uint64_t)read_be32(p) << 32 | read_be32(p + 4), v = all >> 24;
    const uint32_t hour = (uint32_t)(v >> 12 & 31), minute = (uint32_t)(v >> 6 & 63),
                   second = (uint32_t)(v & 63);
    const unsigned bytes = (plan->decimals + 1u) / 2;
    const uint32_t micro = (((uint32_t)all & 0xFFFFFF) >> (24 - 8 * bytes)) * unit[bytes];
    if (UNLIKELY(v >> 17 != plan->day_memo || hour > 23 || minute > 59 || second > 59 || micro > 999999))
        return 0;
    cell->kind = CELL_WALL;
    cell->size = 0;
    cell->i64 = plan->day_memo_us + (int64_t)(hour * 3600 + minute * 60 + second) * 1000000 + micro;
    return 1;
}

static const char *datetime2_take(struct cell *cell, struct column_plan *plan, const uint8_t *p,
                                  char *scratch)
{
    if (!datetime2_read(cell, scratch, p, plan->decimals))
        return "not a DATETIME";
    if (cell->kind == CELL_WALL) {
        const int64_t day = 86400000000;
        plan->day_memo = ((uint64_t)read_be32(p) << 8 | p[4]) >> 17;
        plan->day_memo_us = cell->i64 - (cell->i64 % day + day) % day;
    }
    return NULL;
}

static const uint8_t *program_run(struct image_reader *reader, struct table_version *version, int which,
                                  const struct image_program *program, const uint8_t *p, const uint8_t *end)
{
    static const void *const ops[] = {[OP_END] = &&op_end,
                                      [OP_PREFIX_1] = &&op_prefix_1,
                                      [OP_PREFIX_11] = &&op_prefix_11,
                                      [OP_PREFIX_2] = &&op_prefix_2,
                                      [OP_PREFIX_N] = &&op_free,
                                      [OP_NULL] = &&op_null,
                                      [OP_TEXT_1] = &&op_text_1,
                                      [OP_TEXT_2] = &&op_text_2,
                                      [OP_DECIMAL] = &&op_decimal,
                                      [OP_DATETIME2] = &&op_datetime2,
                                      [OP_INT8] = &&op_int8,
                                      [OP_INT32] = &&op_int32,
                                      [OP_INT64] = &&op_int64,
                                      [OP_FIXED] = &&op_fixed,
                                      [OP_FREE] = &&op_free};
    const struct image_step *step = program->steps;
    char *const cells = (char *)version->cells[which];
    struct cell *cell;
    struct column_plan *plan;
    const char *wrong;
    size_t size;
    if (UNLIKELY((size_t)(end - p) < program->first))
        return fail(reader, 0, row_cut);
/* A jump of its own behind each kind of step is guessed better than one for all. */
#define CELL() ((struct cell *)(void *)(cells + step->cell))
#define STEP()                                                                                               \
    do {                                                                                                     \
        p += step->before;                                                                                   \
        goto *ops[step->op];                                                                                 \
    } while (0)
#define NEXT()                                                                                               \
    do {                                                                                                     \
        step++;                                                                                              \
        STEP();                                                                                              \
    } while (0)
    STEP();
op_prefix_11:
    size = *p;
    p += 1;
    if (UNLIKELY((size_t)(end - p) < size + step->behind))
        return fail(reader, step->column, row_cut);
    p += size;
    size = *p;
    p += 1;
    if (UNLIKELY((size_t)(end - p) < size + step->second))
        return fail(reader, step->column, row_cut);
    p += size;
    NEXT();
op_prefix_1:
    size = *p;
    p += 1;
    goto passed;
op_prefix_2:
    size = read_le16(p);
    p += 2;
    goto passed;
op_text_1:
    size = *p;
    p += 1;
    goto text;
op_text_2:
    size = read_le16(p);
    p += 2;
text:
    if (UNLIKELY((size_t)(end - p) < size))
        return fail(reader, step->column, row_cut);
    cell = CELL();
    if (UNLIKELY(step->flag && !text_is_ascii((const char *)p, size))) {
        if (!text_convert(reader, cell, &version->plans[step->column], (const char *)p, size))
            return fail(reader, step->column, binlog_out_of_memory);
    } else {
        cell_text(cell, p, size);
    }
    goto passed;
op_free:
    plan = &version->plans[step->column];
    size = plan->size;
    if (UNLIKELY(!prefix_pass(&p, end, &size) || (size_t)(end - p) < size))
        return fail(reader, step->column, row_cut);
    if (step->op == OP_FREE &&
        UNLIKELY((wrong = value_read(reader, CELL(), plan, p, size,
                                     version->scratch[which] + plan->scratch)) != NULL))
        return fail(reader, step->column, wrong);
passed:
    /* A length was read: its bytes must be there, and the fixed ones up to the next length. Neither is more than 2^32. */
    if (UNLIKELY((size_t)(end - p) < size + step->behind))
        return fail(reader, step->column, row_cut);
    p += size;
    NEXT();
op_null:
    CELL()->kind = CELL_NULL;
    NEXT();
op_int8:
    cell_whole(CELL(), step, *p, 8);
    p += 1;
    NEXT();
op_int32:
    cell_whole(CELL(), step, read_le32(p), 32);
    p += 4;
    NEXT();
op_int64:
    cell_whole(CELL(), step, read_le64(p), 64);
    p += 8;
    NEXT();
op_decimal:
    if (UNLIKELY(!decimal_take(CELL(), &step->decimal, p)))
        return fail(reader, step->column, "not a DECIMAL");
    p += step->size;
    NEXT();
op_datetime2:
    plan = &version->plans[step->column];
    if (UNLIKELY((size_t)(end - p) < 8 || !datetime2_quick(CELL(), plan, p)) &&
        (wrong = datetime2_take(CELL(), plan, p, version->scratch[which] + plan->scratch)) != NULL)
        return fail(reader, step->column, wrong);
    p += step->size;
    NEXT();
op_fixed:
    plan = &version->plans[step->column];
    wrong = value_read(reader, CELL(), plan, p, step->size, version->scratch[which] + plan->scratch);
    if (UNLIKELY(wrong != NULL))
        return fail(reader, step->column, wrong);
    p += step->size;
    NEXT();
op_end:
    return p;
#undef CELL
#undef STEP
#undef NEXT
}

const uint8_t *image_read(struct image_reader *reader, struct table_version *version, int which,
                          const struct image_shape *shape, const uint8_t *at, const uint8_t *end,
                          const uint8_t *partial)
{
    size_t null_bytes = (shape->count + 7) / 8;
    if (UNLIKELY((size_t)(end - at) < null_bytes))
        return fail(reader, 0, row_cut);
    if (LIKELY(!shape->present && !partial && shape->count <= PROGRAM_COLUMNS_MAX)) {
        uint64_t nulls = 0;
        if (LIKELY(end - at >= 8))
            nulls = read_le64(at);
        else
            for (size_t i = 0; i < null_bytes; i++)
                nulls |= (uint64_t)at[i] << (8 * i);
        if (shape->count < 64)
            nulls &= ((uint64_t)1 << shape->count) - 1;
        const struct image_program *program = program_find(version, nulls);
        if (LIKELY(program != NULL))
            return program_run(reader, version, which, program, at + null_bytes, end);
    }
    return image_walk(reader, version, which, shape, at, end, partial);
}
