/* core/engine/crowd_parts.h: what the parts of crowd.c want of each other: one section a file. */
#ifndef TIEOUT_CORE_ENGINE_CROWD_PARTS_H
#define TIEOUT_CORE_ENGINE_CROWD_PARTS_H

#include "core/engine/crowd_bag.h"
#include "core/rules/sums.h"

/* ---- crowd_in.c: references of a partition of IN become items ---- */

enum err crowd_stage_in(struct crowd *c, uint32_t partition);

/* What rows have in common that agree in key, side and sigma but for the amount. */
struct crowd_kind {
    uint64_t kind, owner; /* hashes of key and sigma, of key and side */
    uint32_t name;        /* of struct crowd_item */
};
/* That of a row. */
enum err crowd_kind_of(struct crowd *c, const struct row_ref *ref, struct crowd_kind *kind);
uint64_t crowd_sigma_hash(uint64_t kind, int64_t gross, int64_t fee, int has_fee);
uint64_t crowd_id_hash(const struct run *run, struct span id);
/* What P1 brings together: rows of one key, side and id. */
static inline uint64_t crowd_owner_and_id(uint64_t owner, uint64_t id_hash)
{
    return owner ^ id_hash;
}
/* One worker, when all are done with a pass. */
void crowd_forget_names(struct run *run);

/* ---- crowd_told.c: rows that were taken while they were read, which IN makes items of as well ---- */

enum err crowd_told_open(struct worker *w); /* crowd_bag.c */
enum err crowd_told_begin(struct crowd *c); /* by each worker, before any is given out */
enum err crowd_told_each(struct crowd *c, uint32_t partition);

/* ---- crowd_wake.c: final records of a task ---- */

/* A final record that is to be looked at: does anybody wake it? */
int crowd_sleeps_here(const struct crowd *c, const struct full *row);
enum err crowd_note_fresh(struct crowd *c, const struct full *row);
enum err crowd_note_pair(struct crowd *c, const struct full *row);
/* Behind IN, when all that may wake it was noted. */
enum err crowd_is_awake(struct crowd *c, const struct full *row, int *awake);
enum err crowd_wake_up(struct crowd *c, struct full *row, struct crowd_item *item);
enum err crowd_sleep_on(struct crowd *c, const struct full *row);
/* One worker, when all are done with a pass. */
void crowd_forget_fresh(struct run *run);

/* ---- crowd_occurrence.c: P1; slices hold whole hashes, a bag is one hash that is more than is held ---- */

enum err crowd_occurrence_slice(struct crowd *c, void *context, struct crowd_item *items, uint32_t count);
enum err crowd_occurrence_bag(struct crowd *c, const struct crowd_bag *bag);

/* ---- crowd_sigma.c: P2, the same ---- */

enum err crowd_sigma_slice(struct crowd *c, void *context, struct crowd_item *items, uint32_t count);
enum err crowd_sigma_bag(struct crowd *c, const struct crowd_bag *bag);

/* ---- crowd_named.c: P2 of records whose key and sigma are known by an exact name ---- */

struct crowd_named {
    struct crowd_item first;
    uint64_t count[SIDES];
    int is_any, is_not; /* is_not: these are not all of one name */
};

/* Lists of which some are left: of those whose ids order them, and of those that all of their fields do. */
struct crowd_picks {
    struct crowd_picked {
        struct crowd_item *items; /* hash: the number of their list */
        uint32_t count, room;
    } of[2];
    struct crowd_pick {
        uint32_t paired, count, filled;
    } * lists;
    uint32_t count, room;
    uint64_t *orders; /* of one list */
    uint32_t order_room;
};

void crowd_named_add(struct crowd_named *named, const struct crowd_item *item);
static inline int crowd_is_named(const struct crowd_named *named)
{
    return !named->is_not && named->count[LOCAL] && named->count[CHANNEL];
}
/* Judges items of one name; the order of `items` changes. Which of a date are left crowd_picks_tell says, for all slices since. */
enum err crowd_named_slice(struct crowd *c, struct crowd_picks *picks, const struct crowd_named *named,
                           struct crowd_item *items, uint32_t count);
enum err crowd_picks_tell(struct crowd *c, struct crowd_picks *picks);
void crowd_picks_close(struct crowd_picks *picks);
/* *told is 0 when it cannot (too many dates), and then nothing was judged. */
enum err crowd_named_bag(struct crowd *c, const struct crowd_bag *bag, const struct crowd_named *named,
                         int *told);
/* What has no partner goes on. `is_matched`: others of its sigma have one. */
enum err crowd_named_rest(struct crowd *c, const struct crowd_item *item, int is_matched);

/* ---- crowd_places.c: the same where match.csv wants to know who is whose partner, and finds the rows by their places ---- */

/* Items of sigmas in which rows must be read to put them in order. */
struct crowd_places {
    struct crowd_item *items; /* hash: the number of their sigma */
    uint32_t count, room;
    uint32_t *ends; /* of the sigmas */
    uint32_t end_count, end_room;
};

/* run->crowd_places: whether pairs go so. By one worker of a pass of the first key, while the others wait. */
enum err crowd_places_decide(struct worker *w);
/* Judges items of one name that all say where they stand; those of some sigmas wait for crowd_places_tell. Their order changes. */
enum err crowd_places_slice(struct crowd *c, struct crowd_places *places, struct crowd_item *items,
                            uint32_t count);
enum err crowd_places_tell(struct crowd *c, struct crowd_places *places);
void crowd_places_close(struct crowd_places *places);
/* Counts a pair, and puts it to match.csv, with others; behind the last one they are flushed. */
enum err crowd_place_pair(struct crowd *c, const struct crowd_item *local, const struct crowd_item *channel);
enum err crowd_places_flush(struct crowd *c);

/* ---- crowd_order.c ---- */

typedef int crowd_compare_fn(const void *a, const void *b,
                             void *job); /* qsort_r's, of struct full *; never 0 */
typedef enum err crowd_ordered_fn(struct crowd *c, void *context, struct crowd_item *item,
                                  const struct full *row);

int crowd_in_order(const void *a, const void *b, void *job);
int crowd_by_sigma_in_order(const void *a, const void *b, void *job);
/* All of a bag's items, or one of every so many; the caller frees them. */
enum err crowd_gather(struct crowd *c, const struct crowd_bag *bag, uint32_t every, struct crowd_item **items,
                      uint32_t *count);
/* Gives the records of a bag in order. `take` may put them elsewhere. */
enum err crowd_each_in_order(struct crowd *c, const struct crowd_bag *bag, crowd_compare_fn *compare,
                             crowd_ordered_fn *take, void *context);
/* qsort's, of items of one sigma: by side and date, then by the number that says where the row stands in ≺. */
int crowd_by_number(const void *a, const void *b);
/* The same of records of one key, sigma and side that all have ITEM_HAS_ORDER: rows are read only where several have one number, and `take`
 * may get none. */
enum err crowd_each_by_number(struct crowd *c, const struct crowd_bag *bag, crowd_ordered_fn *take,
                              void *context);

/* Gives the records of a bag that have `below` others before them in the order, and all behind these; in no order. */
typedef enum err crowd_left_fn(struct crowd *c, const struct crowd_item *item);
enum err crowd_each_above(struct crowd *c, const struct crowd_bag *bag, uint64_t below, crowd_left_fn *take);

/* ---- crowd_pairs.c ---- */

/* Local records [local, local + count) in order are paired with channel records [channel, channel + count). */
struct paired_run {
    uint64_t from[SIDES], count, first; /* first: pairs before it */
};

struct crowd_pairing {
    struct paired_run *runs;
    uint32_t run_count, run_room;
    uint64_t total;
    int has_order[SIDES]; /* all of a side's records say where they stand (crowd_each_by_number) */
    struct crowd_buckets *buckets;
    /* of the side at hand */
    int side;
    uint64_t rank;
    uint32_t run;
};

enum err crowd_add_run(struct crowd *c, struct crowd_pairing *p, const uint64_t from[SIDES], uint64_t count);
enum pairs_are {
    PAIRS_UNLIKE,
    PAIRS_ALIKE,
    PAIRS_PLACED /* alike, and of one name: crowd_places.c */
};
/* Pairs the records of both sides by their ranks in the order of the records, as the runs say, and judges them. */
enum err crowd_pair_by_rank(struct crowd *c, struct crowd_pairing *p, const struct crowd_bag bags[SIDES],
                            enum pairs_are are);

/* ---- crowd_rest.c: P3 to P3d, P6 ---- */

/* What is left of one key: more than is held. */
struct crowd_rest {
    struct kept_row first, of_side[SIDES];
    struct spool *parts; /* by side; last, what only has the same hash */
    struct crowd_size sizes[SIDES + 1];
    int several_sigmas[SIDES];
    uint8_t currencies[SIDES][CURRENCY_COUNT_MAX];
    struct set_sums sums;
    struct group_sums group;
    /* the verdict, where it is one for all */
    struct set_verdict verdict;
    enum { REST_UNCLEAR, REST_OPEN, REST_SET, REST_GROUP } is;
};

enum err crowd_rest_slice(struct crowd *c, void *context, struct crowd_item *items, uint32_t count);
enum err crowd_rest_bag(struct crowd *c, const struct crowd_bag *bag);
/* Adds a record to what is left of a key. */
enum err crowd_rest_add(struct crowd *c, struct crowd_rest *r, const struct crowd_item *item,
                        const struct full *row);
struct crowd_bag crowd_rest_part(const struct crowd_rest *r, uint32_t first, uint32_t end); /* by side */

/* ---- crowd_runs.c ---- */

/* P3: `before` is what P2 left, `after` what is still left behind P3. */
enum err crowd_tolerate(struct crowd *c, const struct crowd_rest *before, struct crowd_rest *after);

#endif
