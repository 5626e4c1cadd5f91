/* core/engine/crowd_bag.h: what the parts of crowd.c hold, and how it moves: items in spools, and rows at hand.
 *
 * A spool is never written while it is read, and no spool is read inside the reading of another one: readings share a worker's
 * buffers. So what a stream gives out goes to spools of its own. Threads: each worker has a struct crowd of its own; spools of a
 * stage are read by all once they are sealed.
 */
#ifndef TIEOUT_CORE_ENGINE_CROWD_BAG_H
#define TIEOUT_CORE_ENGINE_CROWD_BAG_H

#include "core/engine/crowd.h"

enum {

    PARTITION_BITS_MAX = 7,
    PARTITIONS_MAX = 1 << PARTITION_BITS_MAX, /* of a stage */
    NAME_MASK = (1 << 24) - 1,                /* of struct crowd_item */
};

/* A record of a crowd: what tells it apart, so that its row is fetched only where more of it matters. */
struct crowd_item {
    struct row_ref ref;
    uint64_t hash;  /* of what the next stage brings together; in a list of pairs, the pair's number */
    uint64_t sigma; /* of key and sigma */
    int64_t amount_micro;
    uint32_t name : 24;  /* of key and sigma without the amount, exactly; 0: only the row can tell */
    uint32_t weight : 8; /* what its row takes at hand: crowd_bytes_of_weight */
    uint16_t day;
    uint8_t currency;
    uint8_t flags; /* enum item_flag */
};
enum item_flag {
    ITEM_MATCHED = 1, /* its sigma was matched under its key */
    ITEM_APART = 2,   /* P1 has to look at the row, whatever its hash */
    ITEM_HAS_ID =
        4, /* an occurrence id that no other record of its side has under the key, since P1 looks at it */
    ITEM_HAS_ORDER = 8 /* ref.order says where its row stands in the order (core/rules/plain_order.h) */
};
_Static_assert((int)CROWD_SHARES <= (int)PARTITIONS_MAX, "all partitions are taken");
_Static_assert(sizeof(struct crowd_item) == 64, "an item is one cache line");

/* How much some records are. */
struct crowd_size {
    uint64_t count;
    uint64_t bytes; /* of their rows, were they at hand */
};

/* Records in a spool. */
struct crowd_bag {
    struct spool *spool;
    uint32_t first, end; /* partitions */
    struct crowd_size size;
};

/* A row that stays at hand while others come and go. */
struct kept_row {
    struct arena arena;
    struct full row;
    struct crowd_item item;
    int is_there;
};

struct crowd {
    struct worker *w;
    const struct job *job;
    int pass;
    uint32_t rows_max;    /* rows at hand, at most */
    uint64_t row_bytes;   /* and what they may take */
    uint64_t whole_bytes; /* the same of records that must be held together, whatever it takes */
    uint32_t items_max;   /* items of a partition at hand */
    uint32_t stream_room;
    /* rows at hand */
    struct row_ref *refs;
    struct full *rows, **order;
    uint32_t row_room;
    uint64_t fields; /* of rows that are laid, a bit each: see judge_fetch_some; 0: all */
    /* of a partition */
    struct crowd_item *items;
    uint32_t count, room;
    struct crowd_placed *placed; /* pairs on their way to match.csv (crowd_places.c); NULL: none */
    /* stream: at most one at a time */
    struct crowd_item *stream;
    uint32_t streamed;
};

typedef enum err crowd_slice_fn(struct crowd *c, void *context, struct crowd_item *items, uint32_t count);
typedef enum err crowd_bag_fn(struct crowd *c, const struct crowd_bag *bag);

/* memory.group: so many records of one key must be held together, and that is more than a worker has. */
enum err crowd_too_many_here(struct crowd *c, const struct row_ref *ref, struct crowd_size size);

/* How many partitions of a bag go to disk in pieces of some size; at most `wanted`. */
uint32_t crowd_bag_partitions(const struct crowd *c, uint64_t wanted);
enum err crowd_bag_open(struct crowd *c, struct spool **spool, uint32_t partitions);
void crowd_bag_close(struct spool *spool); /* NULL is fine */
enum err crowd_bag_put(struct crowd *c, struct spool *spool, uint32_t partition,
                       const struct crowd_item *item);
/* Gives all records of a bag in slices, in the order in which they were put. `take` may put records in other spools. */
enum err crowd_bag_each(struct crowd *c, const struct crowd_bag *bag, crowd_slice_fn *take, void *context);
/* The same for who looks at each row by itself: c->rows[i] is that of items[i]. Few at a time are at hand, near each other in
 * their files, in no order. */
enum err crowd_bag_rows(struct crowd *c, const struct crowd_bag *bag, crowd_slice_fn *take, void *context);
/* A stage has as many partitions: the same for all workers. */
int crowd_partition_bits(const struct worker *w);
/* Puts a record where stage `stage` (CROWD_OCCURRENCE and on) of any worker finds it. */
enum err crowd_to_stage(struct crowd *c, int stage, struct crowd_item *item);
/* The same for what P1 is done with. */
enum err crowd_behind_occurrence(struct crowd *c, struct crowd_item *item);

/* A row's weight, from its bytes, and back: rounded up, by an eighth at most. */
uint8_t crowd_weight(uint64_t bytes);
uint64_t crowd_bytes_of_weight(uint32_t weight);
/* Bytes that a row takes at hand, with all that goes with it. */
uint64_t crowd_row_bytes(const struct full *row);
static inline void crowd_count(struct crowd_size *size, const struct crowd_item *item)
{
    size->count++;
    size->bytes += crowd_bytes_of_weight(item->weight);
}

/* 1: these are not held at once. */
static inline int crowd_is_more(const struct crowd *c, struct crowd_size size)
{
    return size.count > c->rows_max || size.bytes > c->row_bytes;
}

/* Room for so many rows at hand: c->refs, c->rows, c->order. */
enum err crowd_need_rows(struct crowd *c, uint32_t count);
/* Sorts items by side and place and fetches their rows: c->rows[i] is that of items[i], c->order has them all. */
enum err crowd_lay(struct crowd *c, struct crowd_item *items, uint32_t count);
/* What judge_fetch does not know of rows: their keys, and what their items say. */
enum err crowd_fill(struct crowd *c, const struct crowd_item *items, struct full *rows, uint32_t count,
                    struct arena *arena);
/* Fetches one row into `kept`, whose arena is open. */
enum err crowd_keep(struct crowd *c, struct kept_row *kept, const struct crowd_item *item);

/* What the key of the pass is made of, a bit for each field. */
uint64_t crowd_key_fields(const struct crowd *c);

void crowd_sort_by_hash(struct crowd_item *items, uint32_t count);
/* qsort, which may not be given no array, though there be nothing in it; what is in order already is only looked at. */
void crowd_sort(void *items, size_t count, size_t size, int (*compare)(const void *, const void *));
int crowd_by_place(const void *a, const void *b); /* struct crowd_item */
int crowd_by_key(const void *a, const void *b);   /* struct full * */
/* The end of the items from `from` on that have one hash. */
uint32_t crowd_same_hash(const struct crowd_item *items, uint32_t count, uint32_t from);

#endif
