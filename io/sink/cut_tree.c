/* io/sink/cut_tree.c: see cut_tree.h. A hot file. */
#include "io/sink/cut_tree.h"
#include "core/base/mem.h"

enum {
    WORD = 8,
    DEPTH_MAX = 512, /* bytes; cuts that share more are compared whole */
    WIDE = 8,        /* branches from which a node has a part of `nears` */
    NEAR_MAX = 4096,
    DOOR_WORDS_MAX = 4
};

/* The eight bytes at `depth`, first byte highest; zeros behind the key's end. */
static inline uint64_t word_at(struct span key, size_t depth)
{
    uint64_t word = 0;
    if (depth + WORD <= key.size)
        memcpy(&word, key.data + depth, WORD);
    else if (depth < key.size)
        memcpy(&word, key.data + depth, key.size - depth);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return word;
#else
    return __builtin_bswap64(word);
#endif
}

static int add_branch(struct cut_tree *t, uint64_t word)
{
    if (t->branch_count == t->branch_room) {
        const uint32_t room = t->branch_room ? 2 * t->branch_room : 256;
        uint64_t *words = mem_grow(t->words, room * sizeof *words);
        t->words = words ? words : t->words;
        struct cut_branch *branches = words ? mem_grow(t->branches, room * sizeof *branches) : NULL;
        if (!branches)
            return 0;
        t->branches = branches;
        t->branch_room = room;
    }
    t->words[t->branch_count] = word;
    t->branches[t->branch_count++] = (struct cut_branch){0, 0};
    return 1;
}

/* A node for the cuts from `begin` up to `end`. */
static int add_node(struct cut_tree *t, uint32_t begin, uint32_t end, uint32_t depth)
{
    if (mem_list_more(&t->nodes, t->node_count, &t->node_room, 64, "ranges of keys", NULL) != OK)
        return 0;
    struct cut_node node = {.first = t->branch_count, .begin = begin, .depth = depth};
    for (uint32_t i = begin; i < end; i++) {
        const uint64_t word = word_at(t->cuts[i], depth);
        if (t->branch_count == node.first || t->words[t->branch_count - 1] != word)
            if (!add_branch(t, word))
                return 0;
        t->branches[t->branch_count - 1].end = i + 1;
    }
    node.count = t->branch_count - node.first;
    t->nodes[t->node_count++] = node;
    return 1;
}

static inline uint32_t door_of(const char *key, uint32_t words)
{
    uint64_t mix = 0, word;
    for (uint32_t i = 0; i < words; i++) {
        memcpy(&word, key + WORD * i, WORD);
        mix = (mix ^ word) * 0x9E3779B97F4A7C15;
        mix ^= mix >> 32;
    }
    return (uint32_t)(mix % CUT_DOORS);
}

/* Tables of wide nodes, and doors to them. */
static int widen(struct cut_tree *t)
{
    size_t room = 0;
    t->door_words = DOOR_WORDS_MAX;
    for (uint32_t n = 0; n < t->node_count; n++) {
        struct cut_node *const node = &t->nodes[n];
        if (node->count < WIDE)
            continue;
        node->near_count = 4 * WIDE;
        while (node->near_count < 4 * node->count && node->near_count < NEAR_MAX)
            node->near_count *= 2;
        room += node->near_count;
        if (node->depth / WORD < t->door_words)
            t->door_words = node->depth / WORD;
    }
    if (room == 0) {
        t->door_words = 0;
        return 1;
    }
    t->nears = mem_take(room * sizeof *t->nears);
    if (!t->nears)
        return 0;
    for (uint32_t n = 0; n < t->node_count; n++) {
        struct cut_node *const node = &t->nodes[n];
        if (node->near_count == 0)
            continue;
        const uint64_t *const words = t->words + node->first;
        while ((words[node->count - 1] - words[0]) >> node->shift >= node->near_count)
            node->shift++;
        node->near = t->near_count;
        for (uint32_t i = 0, at = 0; i < node->near_count; i++) {
            while (at < node->count && (words[at] - words[0]) >> node->shift < i)
                at++;
            t->nears[t->near_count++] = at;
        }
        uint32_t *const door = &t->doors[door_of(t->cuts[node->begin].data, t->door_words)];
        if (t->door_words && !*door)
            *door = n;
    }
    return 1;
}

int cut_tree_make(struct cut_tree *t, const struct span *cuts, uint32_t count)
{
    *t = (struct cut_tree){.cuts = cuts, .cut_count = count};
    if (count && !add_node(t, 0, count, 0))
        return 0;
    for (uint32_t n = 0; n < t->node_count; n++) { /* nodes are added behind while it goes on */
        const struct cut_node node = t->nodes[n];
        uint32_t begin = node.begin;
        for (uint32_t i = node.first; i < node.first + node.count; i++) {
            const uint32_t end = t->branches[i].end;
            int goes_on = end - begin > 1 && node.depth + WORD < DEPTH_MAX;
            for (uint32_t k = begin; k < end; k++)
                goes_on &= cuts[k].size > node.depth + WORD;
            if (goes_on) {
                t->branches[i].node = t->node_count;
                if (!add_node(t, begin, end, node.depth + WORD))
                    return 0;
            }
            begin = end;
        }
    }
    return widen(t);
}

/* How many of the words are at or before `word`: no branch that could be guessed wrong. */
static inline uint32_t at_or_before(const uint64_t *words, uint32_t count, uint64_t word)
{
    uint32_t at = 0;
    while (count > 1) {
        const uint32_t half = count / 2;
        at += half & (0 - (uint32_t)(words[at + half - 1] <= word));
        count -= half;
    }
    return at + (words[at] <= word);
}

/* The same of a wide node. */
static inline uint32_t wide_at_or_before(const struct cut_tree *t, const struct cut_node *node,
                                         const uint64_t *words, uint64_t word)
{
    if (word < words[0])
        return 0;
    const uint64_t near = (word - words[0]) >> node->shift;
    uint32_t n = near < node->near_count ? t->nears[node->near + near] : node->count;
    while (n < node->count && words[n] <= word)
        n++;
    return n;
}

/* Where to begin to look. */
static inline const struct cut_node *enter(const struct cut_tree *t, struct span key)
{
    if (t->door_words == 0 || key.size < WORD * t->door_words)
        return t->nodes;
    const struct cut_node *const node = &t->nodes[t->doors[door_of(key.data, t->door_words)]];
    if (key.size < node->depth)
        return t->nodes;
    uint64_t a, b, differ = 0;
    const char *const shared = t->cuts[node->begin].data;
    for (uint32_t at = 0; at < node->depth; at += WORD) {
        memcpy(&a, key.data + at, WORD);
        memcpy(&b, shared + at, WORD);
        differ |= a ^ b;
    }
    return differ ? t->nodes : node;
}

uint32_t cut_tree_find(const struct cut_tree *t, struct span key)
{
    if (t->cut_count == 0)
        return 0;
    for (const struct cut_node *node = enter(t, key);;) {
        const uint64_t word = word_at(key, node->depth), *const words = t->words + node->first;
        const uint32_t n = node->near_count ? wide_at_or_before(t, node, words, word)
                                            : at_or_before(words, node->count, word);
        if (n == 0)
            return node->begin;
        const struct cut_branch *branch = &t->branches[node->first + n - 1];
        if (words[n - 1] != word)
            return branch->end;
        if (branch->node) {
            node = &t->nodes[branch->node];
            continue;
        }
        uint32_t low = n > 1 ? branch[-1].end : node->begin, high = branch->end;
        while (low < high) {
            const uint32_t mid = (low + high) / 2;
            if (span_compare(t->cuts[mid], key) <= 0)
                low = mid + 1;
            else
                high = mid;
        }
        return low;
    }
}

void cut_tree_fini(struct cut_tree *t)
{
    mem_give(t->words);
    mem_give(t->branches);
    mem_give(t->nodes);
    mem_give(t->nears);
    *t = (struct cut_tree){0};
}
