/* core/rules/plain_wide.h: plain_block with AVX-512: eight rows' amounts, words and signs at once, one row's key or time in one go.
 *
 * The same answer as plain_block (tests/unit/core/rules/plain_test.c holds one against the other), in a third of the
 * instructions. Each column is read for all rows first and reckoned eight at a time then; rows that have something else (amounts
 * without two decimals or of more than eight bytes, words that did not come lately or are longer than sixteen, keys that are
 * not 15 to 28 digits) are a bit each, and are read one by one as plain_block does.
 *
 * Not in line, so that what it may use stays here: whoever calls it has asked the machine (csv_scan_kernel). Threads: as plain.h.
 */
#ifndef TIEOUT_CORE_RULES_PLAIN_WIDE_H
#define TIEOUT_CORE_RULES_PLAIN_WIDE_H

#include "core/rules/plain.h"

#if defined(__x86_64__) && defined(__SSE4_1__)
#define HAS_WIDE 1
#else
#define HAS_WIDE 0
#endif

#if HAS_WIDE

/* What functions may use whose callers found CSV_KERNEL_AVX512. */
#define PLAIN_WIDE                                                                                           \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi,bmi2,popcnt,lzcnt,prfchw")))

PLAIN_WIDE uint32_t plain_block_wide(const struct plain_plan *plan, struct norm_scratch *s,
                                     const uint8_t *bytes, const uint32_t *seps, uint32_t columns, int has_cr,
                                     const struct plain_packs packs, uint32_t count, struct plain_block *b);

#endif

#endif
