/* core/rules/shortened.h: order numbers that a spreadsheet made 1.23457E+17 */
#ifndef TIEOUT_CORE_RULES_SHORTENED_H
#define TIEOUT_CORE_RULES_SHORTENED_H

#include "core/base/check.h"
#include "core/base/span.h"

/* 1.23457E+17: what a spreadsheet makes of a long number. Other numbers shorten to the same, so it must never
 * match. */
int text_looks_shortened(struct span text);
static inline int text_is_shortened(struct span text)
{
    /* No branch of its own for the second letter: an E may stand there in half of a bill's words. */
    return text.size >= 5 && text.size <= 24 &&
           UNLIKELY(((text.data[1] == '.') | (text.data[1] == 'E')) & (text.data[0] >= '.') &
                    (text.data[0] <= '9')) &&
           text_looks_shortened(text);
}

#endif
