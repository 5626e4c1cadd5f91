/* core/config/nearest.h: the known name that a mistyped one is closest to.
 *
 * Used by everything that reads names from people: job files, command lines. No allocation. Threads: any.
 */
#ifndef TIEOUT_CORE_CONFIG_NEAREST_H
#define TIEOUT_CORE_CONFIG_NEAREST_H

/* Index of the name that `word` was probably meant to be, by edit distance (a swap of neighbours is one edit;
 * letter case, and '-' for '_', cost nothing). -1 when none is near enough to be worth saying. The first of
 * equally near ones wins. */
int nearest_index(const char *word, const char *const *names, int count);

#endif
