/* io/sink/match_inner.h: what the files of match.csv share. See match.h for what they do together.
 *
 *     match.c          opening, taking in, the stages, the file
 *     match_cut.c      samples of keys, and the cuts between ranges
 *     match_slices.c   stages 2 and 3: slices of both files are read through, each pair goes to its range
 *     match_ranges.c   stage 4: range by range, sorted, into the file
 *     match_print.c    a row as it stands in the file
 *     match_items.c    how rows are packed until then
 *     match_early.c    rows that are taken while they are read, in place of stages 2 and 3 (match_early.h)
 *     match_taps.c     by whom they are
 *     match_taps.c     by these
 *     match_join.c     and joined, in stage 4
 *     match_meet.c     or met before, so that most are no records of the index at all
 */
#ifndef TIEOUT_IO_SINK_MATCH_INNER_H
#define TIEOUT_IO_SINK_MATCH_INNER_H

#include "io/sink/cut_tree.h"
#include "io/sink/key_sort.h"
#include "io/sink/match.h"
#include "io/sink/match_items.h"
#include "io/sink/pieces.h"
#include "io/sink/stretch_file.h"
#include <pthread.h>
#include <stdatomic.h>

enum {
    AHEAD = 16,        /* items that are asked for ahead */
    SAMPLE_MAX = 8192, /* of one lane */
    CELL_SLACK = 32,   /* bytes behind items and keys that may be read */
    NAME_SHORT = 64    /* bytes of a file's name that are copied whatever its size */
};

/* Of what was put, those whose hash is lowest: a sample that does not depend on the road. */
struct sample {
    struct sampled {
        uint64_t hash;
        uint64_t place; /* of a pair's local record */
        char *key;      /* of a row */
        uint32_t key_size;
    } * items;
    uint64_t bytes; /* of keys */
    uint32_t count;
    unsigned level; /* hashes below 2^(64 - level) are taken */
};

/* Slices of a side's places, of about equal numbers of pairs: slice i holds places from cuts[i - 1] on, before
 * cuts[i]. `near` says where to begin to look. */
enum { NEAR = 4096 };
struct slices {
    uint64_t *cuts;
    uint32_t count;
    uint64_t first;
    unsigned shift;
    uint32_t near[NEAR];
};

struct match_lane {
    struct sample sample;
    uint64_t pairs, row_bytes, rows; /* rows: that were judged */
    uint8_t *item;                   /* an item being made */
    size_t item_room;
};

/* What stands in the file: of pairs the local amounts, by currency; rows that were judged were added up when they were. */
struct printed {
    struct count_and_sum pairs[CURRENCY_COUNT_MAX];
    uint64_t rows;
};

/* What goes range by range: a place in the file, and the digest. */
enum turn { TURN_PLACE, TURN_DIGEST, TURNS };

struct early;
struct early_join;
struct match {
    struct match_config config;
    struct match_plan plan;
    int is_whole;                /* the plan: keys of pairs end behind the last field (match_take_whole) */
    unsigned order[FIELD_SLOTS]; /* of canonical bytes */
    signed char compare_cells[FIELD_SLOTS]; /* of the local side, that the key does not say */
    int compare_cell_count;
    struct match_lane *lanes;
    struct tank *pairs, *channel, *rows, *ranges_tank;
    pthread_mutex_t lock; /* of what follows, and of stage 1's results while they are made */
    pthread_cond_t turn_is_over;
    int decided, same_order; /* both files are in about the same order */
    uint64_t ends[SIDES];    /* places of a side lie below it; 0: nobody knows where they do */
    struct slices slices[SIDES];
    struct span *cuts; /* range i holds keys from cuts[i - 1] on, before cuts[i] */
    uint8_t *cut_bytes;
    struct cut_tree cut_tree;
    uint32_t *shared; /* bytes that a range's keys have in common, of what keys of pairs have */
    uint32_t range_count;
    int cuts_within; /* some cuts lie within one K1: a pair's own key does not always say its range */
    size_t range_bytes_max;
    _Atomic uint32_t next[MATCH_STAGES]; /* work to claim */
    _Atomic int stop;
    uint32_t turns[TURNS]; /* the range that has it */
    struct stretch_file *file;
    struct pieces *pieces;  /* of the rows without their places: the digest */
    struct early *early;    /* rows that were told while the files were read; NULL: none, or not any more */
    struct early *dropped;  /* what taps that tell too much still point to */
    struct printed printed; /* of the workers that are done */
    int began, ended;
    enum match_road road; /* that was begun */
    const char *why;      /* it is no shorter one; NULL: there is none */
    uint64_t spilled;
};

static inline int match_stopped(const struct match *m)
{
    return atomic_load_explicit(&m->stop, memory_order_relaxed) ||
           (m->config.interrupted && *m->config.interrupted);
}

static inline uint32_t slice_of(const struct slices *s, uint64_t place)
{
    uint64_t near = place < s->first ? 0 : (place - s->first) >> s->shift;
    uint32_t at = s->near[near < NEAR ? near : NEAR - 1];
    while (at + 1 < s->count && s->cuts[at] <= place)
        at++;
    return at;
}

static inline int begins_with(struct span key, struct span start)
{
    return key.size >= start.size && memcmp(key.data, start.data, start.size) == 0;
}

/* Room for `size` bytes in the lane's item. */
uint8_t *match_item_room(struct match_lane *lane, size_t size, struct diag *diag);
enum err match_open_tank(struct match *m, struct tank **out, uint32_t partitions, uint64_t expected,
                         size_t memory, struct diag *diag);
/* A tank that is done with. */
void match_drop(struct match *m, struct tank **tank);

/* ---- match_cut.c ---- */

/* 0 when memory is out. */
int match_keep_sample(struct sample *s, uint64_t hash, uint64_t place, struct span key);
void match_forget_sample(struct sample *s);
int match_by_word(const void *a, const void *b); /* of sort entries */
int match_by_text(const void *a, const void *b); /* of spans */
/* Lean rows at sorted places, from a source that may not be able to give them itself. */
enum err match_leans(struct match *m, enum side side, struct worker_io *io, const uint64_t *places,
                     uint32_t count, struct lean_list *list, struct diag *diag);
/* The whole of what orders a pair's row: the key goes on with the fields behind K1, if it has not all of them, then side and place. */
enum err match_full_key(struct match *m, struct arena *arena, struct worker_io *io, struct span key,
                        uint64_t local_place, struct span *out, struct diag *diag);
/* The next cut behind `last`, if a sampled key gives one: where keys of pairs end; within one K1 only where it takes more
 * than one range. */
struct span match_next_cut(const struct match *m, struct span last, struct span key);
/* Whether a pair's key, which ends behind K1, does not say on which side of the cut at or behind it the pair is. */
int match_cut_within(struct span key, struct span cut);
/* Cuts ≺ into ranges of about equal size by a sample of the keys. */
enum err match_make_ranges(struct match *m, struct worker_io *io, struct diag *diag);

/* ---- match_slices.c ---- */

/* Stage 2: channel rows, by slice of the local side; stage 3: pairs and rows, by range. */
enum err match_slices(struct match *m, unsigned stage, struct worker_io *io, uint32_t number,
                      struct diag *diag);

/* ---- match_print.c ---- */

/* A file's name as it stands in places, made a cell's beginning and end. */
struct place_name {
    uint64_t begin, size; /* places that lie in it; size 0: none yet */
    char *text;           /* up to and with the colon */
    size_t text_size;
    int quoted;
};

/* The key of a row at hand, whole again. */
struct row_key {
    uint8_t *bytes;
    size_t room, size;
    uint32_t of; /* 1 + the range whose shared bytes it begins with */
};

/* Where in its row print_pair put what differs from row to row. */
struct row_marks {
    uint32_t order_no, order_no_end, number, number_end, amounts, amounts_end;
};

/* Most rows differ from the one before them in the end of the order's number, the channel's number, the amount and the places. The
 * rest is kept as it was printed, and says which rows it is good for. */
enum {
    MOULD_FIRST = 64,
    MOULD_MIDDLE = 32,
    MOULD_LAST = 128,
    MOULD_CELLS = 64,
    MOULD_LEAD = 64,
    MOULD_TOLD = 96,
    MOULD_PAUSE_MAX = 255
};
struct mould {
    uint32_t range;                /* 1 + its number; 0: there is none */
    struct count_and_sum *printed; /* where its rows are added up */
    uint32_t lead_size,
        tail_size;  /* of keys, behind what the range shares: what rows have in common, and what not */
    uint64_t fixed; /* of a pair's head: what is not the row's own */
    uint32_t cells_size, first_size, second_size, third_size, last_size;
    uint8_t lead[MOULD_LEAD];
    uint8_t cells[MOULD_CELLS]; /* of an item, behind the channel's number */
    /* What a row that was joined says of the same (match_early.h), where the mould is of one. */
    int is_joined;
    uint64_t status;
    uint8_t told[MOULD_TOLD];
    /* Before the tail, before the number, before the amounts, behind them. */
    char first[MOULD_FIRST], second[MOULD_MIDDLE], third[MOULD_MIDDLE], last[MOULD_LAST];
    uint32_t pause, wait; /* rows until the next one is made, where none was good for any */
};

struct ranging {
    struct tank_load load[2]; /* one is read while the other's rows are written */
    struct tank_load part;    /* of a range that is too large to be loaded */
    struct early_join *join;  /* NULL: no rows were told early */
    struct sort_entry *entries, *other;
    size_t entry_room;
    char *text; /* rows as they stand in the file */
    size_t text_used, text_room;
    char *hashed; /* behind a piece's room, the same without their places: what the digest holds of them */
    size_t hashed_used, hashed_room;
    struct pieces_part part_of_digest;
    uint32_t
        unlisted; /* 1 + the range whose sums part_of_digest has, which are in no list yet; 0: there are none */
    uint32_t row_size; /* of the row that print_pair printed last, without its places */
    struct stretch stretch;
    struct row_key key;
    struct row_marks marks; /* of the row that print_pair printed last */
    struct mould mould;
    struct place_name names[SIDES];
    struct printed printed;
    uint16_t day; /* the last one printed */
    uint32_t day_size;
    char day_text[DAY_TEXT_MAX];
    struct arena arena;
};

/* The key of an item of a range, whole; in `to`. */
enum err match_whole_key(struct match *m, struct row_key *to, uint32_t range, const uint8_t *item,
                         struct span *key, struct diag *diag);
/* A row of an item that is a pair; of one that was judged. */
enum err match_print_pair(struct match *m, struct ranging *r, struct worker_io *io, uint32_t range,
                          const uint8_t *item, struct diag *diag);
enum err match_print_row(struct ranging *r, const uint8_t *item, struct diag *diag);

/* ---- match_ranges.c ---- */

enum err match_write_ranges(struct match *m, struct worker_io *io, uint32_t number, struct diag *diag);

#endif
