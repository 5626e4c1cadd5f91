/* io/format/csv.c: see csv.h */
#include "io/format/csv.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* The first byte from `i` on that ends a cell without quotes, or may not be in one; `size` where there is none. `quote` 0: there is none. */
static inline uint32_t cell_end(const uint8_t *bytes, uint32_t i, uint32_t size, uint8_t delimiter,
                                uint8_t quote)
{
#if defined(__SSE2__)
    const __m128i delimiters = _mm_set1_epi8((char)delimiter), newlines = _mm_set1_epi8('\n'),
                  returns = _mm_set1_epi8('\r'), quotes = _mm_set1_epi8((char)(quote ? quote : delimiter));
    for (; size - i >= 16; i += 16) {
        const __m128i at = _mm_loadu_si128((const __m128i *)(bytes + i));
        const __m128i ends =
            _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(at, delimiters), _mm_cmpeq_epi8(at, newlines)),
                         _mm_or_si128(_mm_cmpeq_epi8(at, returns), _mm_cmpeq_epi8(at, quotes)));
        const unsigned bits = (unsigned)_mm_movemask_epi8(ends);
        if (bits)
            return i + (uint32_t)__builtin_ctz(bits);
    }
#endif
    while (i < size && bytes[i] != delimiter && bytes[i] != '\n' && bytes[i] != '\r' &&
           !(quote && bytes[i] == quote))
        i++;
    return i;
}

enum csv_row_end csv_row_read(const struct csv_dialect *dialect, const uint8_t *bytes, uint32_t size,
                              uint32_t at, int at_end, struct cell *cells, uint32_t room, uint8_t *scratch,
                              struct csv_row *row)
{
    const uint8_t delimiter = dialect->delimiter, quote = dialect->quote;
    uint32_t i = at, count = 0, used = 0;
    *row = (struct csv_row){.bad_cell = UINT32_MAX};
    for (;;) { /* one cell */
        struct cell cell = {.data = (const char *)bytes + i, .size = 0, .kind = CELL_TEXT};
        if (quote && i < size && bytes[i] == quote) {
            uint32_t first = ++i, doubled = 0;
            for (;; i++) {
                if (i >= size) {
                    row->ends_in_quote = 1;
                    return CSV_ROW_UNFINISHED;
                }
                if (bytes[i] != quote)
                    continue;
                if (i + 1 < size && bytes[i + 1] == quote) {
                    doubled = 1;
                    i++;
                    continue;
                }
                break;
            }
            if (i + 1 >= size && !at_end) { /* the next byte decides whether this quote closes */
                row->ends_in_quote = 1;
                return CSV_ROW_UNFINISHED;
            }
            cell.data = (const char *)bytes + first;
            cell.size = i - first;
            if (doubled && scratch) {
                uint8_t *to = scratch + used, *start = to;
                for (uint32_t k = first; k < i; k++) {
                    *to++ = bytes[k];
                    k += bytes[k] == quote;
                }
                cell.data = (const char *)start;
                cell.size = (uint32_t)(to - start);
                used += cell.size;
            }
            i++;
            if (i < size && bytes[i] != delimiter && bytes[i] != '\n' && bytes[i] != '\r') {
                row->code = REJECT_QUOTE;
                row->bad_cell = count;
                goto spoiled;
            }
        } else {
            uint32_t first = i;
            i = cell_end(bytes, i, size, delimiter, quote);
            if (quote && i < size && bytes[i] == quote && quote != delimiter) {
                row->code = REJECT_QUOTE;
                row->bad_cell = count;
                goto spoiled;
            }
            cell.size = i - first;
        }
        if (count < room)
            cells[count] = cell;
        count++;
        row->cells = count;
        if (i >= size) {
            if (!at_end)
                return CSV_ROW_UNFINISHED;
            row->next = size;
            row->size = size - at;
            return row->size == 0 ? CSV_ROW_BLANK : CSV_ROW_WHOLE;
        }
        if (bytes[i] == delimiter) {
            i++;
            continue;
        }
        uint32_t end = i;
        if (bytes[i] == '\r') {
            if (i + 1 >= size && !at_end)
                return CSV_ROW_UNFINISHED;
            if (i + 1 >= size || bytes[i + 1] != '\n') {
                row->code = REJECT_CR;
                row->bad_cell = count - 1;
                goto spoiled;
            }
            i++;
        }
        row->next = i + 1;
        row->size = end - at;
        return row->size == 0 ? CSV_ROW_BLANK : CSV_ROW_WHOLE;
    }
spoiled:
    while (i < size && bytes[i] != '\n')
        i++;
    if (i >= size && !at_end)
        return CSV_ROW_UNFINISHED;
    row->next = i < size ? i + 1 : size;
    row->size = i - at;
    if (i < size && row->size && bytes[i - 1] == '\r')
        row->size--;
    return CSV_ROW_SPOILED;
}

uint32_t csv_row_rest(const struct csv_dialect *dialect, const uint8_t *bytes, uint32_t size, uint32_t at,
                      int at_end)
{
    const uint8_t quote = dialect->quote;
    uint32_t i = at;
    for (;; i++) {
        if (i >= size)
            return UINT32_MAX;
        if (bytes[i] != quote)
            continue;
        if (i + 1 >= size)
            return at_end ? size : UINT32_MAX;
        if (bytes[i + 1] != quote)
            break;
        i++;
    }
    /* Behind the closing quote the row goes on like any other: hand its rest to the row reader, whose first
     * cell is what follows. */
    i++;
    if (bytes[i] != dialect->delimiter && bytes[i] != '\n' && bytes[i] != '\r') {
        while (i < size && bytes[i] != '\n')
            i++;
        return i < size ? i + 1 : at_end ? size : UINT32_MAX;
    }
    if (bytes[i] == dialect->delimiter)
        i++;
    struct csv_row row;
    enum csv_row_end end = csv_row_read(dialect, bytes, size, i, at_end, NULL, 0, NULL, &row);
    return end == CSV_ROW_UNFINISHED ? UINT32_MAX : row.next;
}

void csv_unquote(const struct csv_dialect *dialect, struct cell *cell, uint8_t *scratch)
{
    const uint8_t quote = dialect->quote;
    cell->data++;
    cell->size -= 2;
    const uint8_t *p = memchr(cell->data, quote, cell->size);
    if (!p)
        return;
    uint8_t *to = scratch;
    const uint8_t *from = (const uint8_t *)cell->data;
    for (uint32_t k = 0; k < cell->size; k++) {
        *to++ = from[k];
        k += from[k] == quote;
    }
    cell->data = (const char *)scratch;
    cell->size = (uint32_t)(to - scratch);
}
