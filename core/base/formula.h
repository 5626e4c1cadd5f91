/* core/base/formula.h: text that a spreadsheet would run.
 *
 * A cell that begins with = + - @, a tab or a line end, or with one of the signs in full width (some locales take these for the narrow ones), gets
 * an apostrophe in front in every CSV file we write. So does text that reads like one which got it: '=1 is written ''=1, and who takes one
 * apostrophe off where formula_is_marked says so has the text back, whatever it was. Amounts and dates are never asked about.
 */
#ifndef TIEOUT_CORE_BASE_FORMULA_H
#define TIEOUT_CORE_BASE_FORMULA_H

#include "core/base/span.h"

/* 0: no text that begins so is one. Hot: a cell each. */
static inline int formula_may_begin(char first)
{
    static const uint8_t begins[256] = {['='] = 1,  ['+'] = 1,  ['-'] = 1,  ['@'] = 1, ['\t'] = 1,
                                        ['\r'] = 1, ['\n'] = 1, ['\''] = 1, [0xef] = 1};
    return begins[(uint8_t)first];
}

/* 1: it gets an apostrophe. */
static inline int formula_is(struct span text)
{
    size_t i = 0;
    if (text.size == 0 || __builtin_expect(!formula_may_begin(text.data[0]), 1))
        return 0;
    while (i < text.size && text.data[i] == '\'')
        i++;
    if (i == text.size)
        return 0;
    if ((uint8_t)text.data[i] != 0xef)
        return formula_may_begin(text.data[i]);
    /* U+FF0B, U+FF0D, U+FF1D, U+FF20 */
    const uint8_t *p = (const uint8_t *)text.data + i;
    return text.size - i >= 3 && p[1] == 0xbc &&
           (p[2] == 0x8b || p[2] == 0x8d || p[2] == 0x9d || p[2] == 0xa0);
}

/* 1: the cell's first byte is such an apostrophe and no part of the text. */
static inline int formula_is_marked(struct span cell)
{
    return cell.size > 1 && cell.data[0] == '\'' && formula_is(cell);
}

#endif
