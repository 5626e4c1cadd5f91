/* io/sink/cell_text.h: a cell of an output file: RFC 4180 quoting, and text that a spreadsheet would run as a formula
 * gets an apostrophe in front. */
#ifndef TIEOUT_IO_SINK_CELL_TEXT_H
#define TIEOUT_IO_SINK_CELL_TEXT_H

#include "core/base/formula.h"
#include "core/base/short.h"
#include "core/base/span.h"

/* Bytes that a cell may need. */
#define CELL_ROOM(size) (2 * (size) + 3)

/* 1 when a byte of the text asks for quotes. Sixteen at a time: nearly all cells are plain. */
static inline int cell_wants_quotes(struct span text)
{
    typedef uint8_t bytes16 __attribute__((vector_size(16)));
    bytes16 found = {0};
    for (size_t i = 0; i < text.size; i += 16) {
        bytes16 v;
        size_t n = text.size - i;
        if (n >= 16) {
            memcpy(&v, text.data + i, 16);
        } else {
            struct short_text rest = short_load(text.data + i, n);
            memcpy(&v, &rest, 16);
        }
        found |= (bytes16)((v == ',') | (v == '"') | (v == '\n') | (v == '\r'));
    }
    uint64_t half[2];
    memcpy(half, &found, 16);
    return (half[0] | half[1]) != 0;
}

static inline char *cell_quoted(char *at, struct span text, int formula)
{
    *at++ = '"';
    if (formula)
        *at++ = '\'';
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"')
            *at++ = '"';
        *at++ = text.data[i];
    }
    *at++ = '"';
    return at;
}

/* Writes the cell; the byte behind. `is_number`: amounts and dates stay what they are. */
static inline char *cell_write(char *at, struct span text, int is_number)
{
    const int formula = !is_number && formula_is(text);
    if (__builtin_expect(cell_wants_quotes(text), 0))
        return cell_quoted(at, text, formula);
    if (formula)
        *at++ = '\'';
    short_copy((uint8_t *)at, text.data, text.size);
    return at + text.size;
}

#endif
