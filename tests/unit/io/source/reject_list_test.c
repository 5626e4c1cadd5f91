/* tests/unit/io/source/reject_list_test.c: rejects in memory and behind it, and which are the first ones */
#include "io/source/reject_list.h"
#include "tests/support/check_test.h"
#include <stdlib.h>
#include <string.h>

/* Places in an order that is none: each number below COUNT once. */
enum { COUNT = 1000, STEP = 389, SMALL = 64 * (int)sizeof(struct reject) };

static const char *folder(void)
{
    const char *named = getenv("TMPDIR");
    return named ? named : "/tmp";
}

static struct reject at(uint64_t place)
{
    return (struct reject){.place = place, .size = (uint32_t)place + 1, .column = (uint16_t)(place % 7)};
}

static enum err add(struct reject_list *list, uint64_t count, uint64_t limit)
{
    struct diag diag = {0};
    uint64_t in_file = 0;
    enum err err = OK;
    for (uint64_t i = 0; err == OK && i < count; i++) {
        const struct reject reject = at(i * STEP % COUNT);
        err = reject_list_add(list, &reject, &in_file, limit, &diag);
    }
    return err;
}

struct seen {
    uint8_t times[COUNT];
    uint32_t wrong;
};

static enum err see(void *taker, const struct reject *reject, struct diag *diag)
{
    struct seen *const seen = taker;
    (void)diag;
    const struct reject want = at(reject->place);
    seen->wrong += reject->place >= COUNT || memcmp(&want, reject, sizeof want) != 0;
    if (reject->place < COUNT)
        seen->times[reject->place]++;
    return OK;
}

static void holds_all(struct reject_list *list)
{
    static struct seen seen;
    struct diag diag = {0};
    memset(&seen, 0, sizeof seen);
    EXPECT(reject_list_each(list, see, &seen, &diag) == OK && seen.wrong == 0);
    for (int i = 0; i < COUNT; i++)
        seen.wrong += seen.times[i] != 1;
    EXPECT(seen.wrong == 0);
    EXPECT(reject_list_check(list, &diag) == OK);
}

static void first_are(struct reject_list *list, uint64_t begin, uint64_t end, uint64_t first, uint32_t count)
{
    struct reject_firsts out;
    struct diag diag = {0};
    EXPECT(reject_list_first(list, begin, end, &out, &diag) == OK && out.count == count);
    for (uint32_t i = 0; i < out.count; i++)
        EXPECT(out.items[i].place == first + i);
}

TEST(what_does_not_fit_goes_to_a_file_and_comes_back)
{
    for (int bounded = 0; bounded < 2; bounded++) {
        struct reject_list list;
        reject_list_init(&list);
        reject_list_bound(&list, bounded ? SMALL : 0, folder());
        EXPECT(add(&list, COUNT, UINT64_MAX) == OK);
        EXPECT((list.fd >= 0) == bounded && (!bounded || list.room * sizeof *list.items <= SMALL));
        holds_all(&list);
        holds_all(&list); /* as often as it is asked for */
        first_are(&list, 0, UINT64_MAX, 0, REJECTS_SHOWN);
        first_are(&list, 500, 600, 500, REJECTS_SHOWN);
        first_are(&list, COUNT - 3, UINT64_MAX, COUNT - 3, 3);
        first_are(&list, COUNT, UINT64_MAX, 0, 0);
        reject_list_fini(&list);
    }
}

TEST(of_a_file_that_is_refused_the_first_ones_are_known_and_not_all_are_kept)
{
    for (uint64_t limit = 0; limit < COUNT; limit += 300) {
        struct reject_list list;
        struct diag diag = {0};
        reject_list_init(&list);
        reject_list_bound(&list, SMALL, folder());
        EXPECT(add(&list, COUNT, limit) == OK);
        EXPECT(list.total == COUNT && list.set_aside + list.count == limit);
        first_are(&list, 0, COUNT, 0, REJECTS_SHOWN);
        EXPECT(reject_list_check(&list, &diag) == ERR_BUG);
        reject_list_fini(&list);
    }
}

/* Another file's rejects that are allowed stand before them, and are more than the first ones. */
TEST(a_refused_file_shows_its_own_rejects)
{
    struct reject_list list;
    struct diag diag = {0};
    uint64_t in_file = 0;
    reject_list_init(&list);
    reject_list_bound(&list, SMALL, folder());
    EXPECT(add(&list, COUNT, COUNT) == OK);
    for (uint64_t place = 3 * COUNT; place > 2 * COUNT; place--) {
        const struct reject reject = at(place);
        EXPECT(reject_list_add(&list, &reject, &in_file, 20, &diag) == OK);
    }
    first_are(&list, 2 * COUNT, 4 * COUNT, 2 * COUNT + 1, REJECTS_SHOWN);
    reject_list_fini(&list);
}

TEST(a_file_that_cannot_be_made_is_told_with_its_folder)
{
    struct reject_list list;
    struct diag diag = {0};
    uint64_t in_file = 0;
    enum err err = OK;
    reject_list_init(&list);
    reject_list_bound(&list, 1, "/nowhere/at/all");
    for (int i = 0; err == OK && i < 1000; i++) {
        const struct reject reject = at((uint64_t)i);
        err = reject_list_add(&list, &reject, &in_file, UINT64_MAX, &diag);
    }
    EXPECT(err == ERR_MACHINE && strcmp(diag.code, "rejects.open") == 0 &&
           strstr(diag.what, "/nowhere/at/all"));
    reject_list_fini(&list);
}
