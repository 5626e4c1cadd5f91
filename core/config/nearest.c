/* core/config/nearest.c: see nearest.h */
#include "core/config/nearest.h"
#include <string.h>

enum { WORD_MAX = 48 };

static char plain(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c == '-' ? '_' : c;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* Optimal string alignment; both words are at most WORD_MAX long. */
static int distance(const char *a, int a_size, const char *b, int b_size)
{
    int rows[3][WORD_MAX + 1];
    int *before = rows[0], *last = rows[1], *now = rows[2];
    for (int j = 0; j <= b_size; j++)
        last[j] = before[j] = j;
    for (int i = 1; i <= a_size; i++) {
        now[0] = i;
        for (int j = 1; j <= b_size; j++) {
            int cost = plain(a[i - 1]) != plain(b[j - 1]);
            int best = smaller(smaller(last[j] + 1, now[j - 1] + 1), last[j - 1] + cost);
            if (i > 1 && j > 1 && plain(a[i - 1]) == plain(b[j - 2]) && plain(a[i - 2]) == plain(b[j - 1]))
                best = smaller(best, before[j - 2] + 1);
            now[j] = best;
        }
        int *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[b_size];
}

int nearest_index(const char *word, const char *const *names, int count)
{
    size_t word_size = strlen(word);
    if (word_size == 0 || word_size > WORD_MAX)
        return -1;
    int found = -1, found_distance = 0;
    for (int i = 0; i < count; i++) {
        size_t size = strlen(names[i]);
        if (size > WORD_MAX)
            continue;
        int d = distance(word, (int)word_size, names[i], (int)size);
        int longest = (int)(size > word_size ? size : word_size);
        /* A third of the letters may be wrong: "amuont" is amount, "colour" is not column. */
        if (d > (longest < 3 ? 0 : longest / 3))
            continue;
        if (found < 0 || d < found_distance) {
            found = i;
            found_distance = d;
        }
    }
    return found;
}
