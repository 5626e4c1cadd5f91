/* tests/unit/core/base/mem_test.c: the door to the allocator, and diagnostics */
#include "core/base/mem.h"
#include "tests/support/check_test.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>

/* Called by TSan's runtime, where there is one: NULL for too much, as the C library gives. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

TEST(what_is_held_goes_up_and_down)
{
    uint64_t before = mem_held();
    char *p = mem_take(1000);
    EXPECT(mem_held() >= before + 1000 && mem_held_max() >= before + 1000);
    p = mem_grow(p, 100000);
    EXPECT(mem_held() >= before + 100000);
    mem_give(p);
    EXPECT(mem_held() == before);
    mem_give(NULL);
    EXPECT(mem_held() == before);
}

TEST(nothing_of_size_zero_is_null)
{
    void *a = mem_take(0), *b = mem_take_zero(0, 8), *c = mem_grow(NULL, 0);
    EXPECT(a && b && c);
    mem_give(a);
    mem_give(b);
    mem_give(c);
}

TEST(a_size_that_overflows_is_null)
{
    volatile size_t half = SIZE_MAX / 2 + 2;
    EXPECT(mem_take_zero(half, 2) == NULL);
}

/* With no patience every huge page is slow, and small ones follow; with all of it none is. */
TEST(memory_that_is_filled_is_zero_whatever_its_pages)
{
    enum { CALLS = 40, SIZE = 4 << 20 };
    const uint64_t before = mem_held();
    for (int patient = 0; patient < 2; patient++) {
        char *all[CALLS];
        int zero = 1, there = 1;
        for (int i = 0; i < CALLS; i++) {
            all[i] = mem_map_filled(SIZE, patient ? UINT64_MAX : 0);
            there &= all[i] != NULL;
            for (size_t at = 0; all[i] && at < SIZE; at += 65521)
                zero &= all[i][at]++ == 0;
        }
        EXPECT(there && zero);
        EXPECT(mem_held() == before + (uint64_t)CALLS * SIZE);
        for (int i = 0; i < CALLS; i++)
            mem_unmap(all[i], SIZE);
        EXPECT(mem_held() == before);
    }
}

TEST(pages_are_zero_and_huge_ones_start_at_a_huge_page)
{
    uint64_t before = mem_held();
    for (int huge = 0; huge < 2; huge++) {
        size_t size = huge ? (size_t)4 << 20 : 12345;
        char *p = mem_map(size, huge);
        EXPECT(p && (uintptr_t)p % (huge ? (size_t)2 << 20 : 4096) == 0);
        int zero = 1;
        for (size_t i = 0; p && i < size; i += 511)
            zero &= p[i] == 0;
        EXPECT(zero);
        EXPECT(mem_held() >= before + size);
        mem_unmap(p, size);
        EXPECT(mem_held() == before);
    }
    mem_unmap(NULL, 100);
}

TEST(more_pages_keep_what_is_in_the_first_ones)
{
    const uint64_t before = mem_held();
    const size_t sizes[] = {4096, 12345, (size_t)1 << 20, (size_t)4 << 20, (size_t)9 << 20};
    for (int huge = 0; huge < 2; huge++) {
        unsigned char *p = mem_map(sizes[0], huge);
        size_t wrong = !p, filled = 0;
        for (unsigned i = 0; p && i + 1 < sizeof sizes / sizeof *sizes; i++) {
            for (; filled < sizes[i]; filled++)
                p[filled] = (unsigned char)(filled % 251 + 1);
            p = mem_map_more(p, sizes[i], sizes[i + 1], huge);
            EXPECT(p && (uintptr_t)p % (huge ? (size_t)2 << 20 : 4096) == 0);
            for (size_t k = 0; p && k < sizes[i + 1]; k++)
                wrong += p[k] != (k < filled ? (unsigned char)(k % 251 + 1) : 0);
            EXPECT(mem_held() >= before + sizes[i + 1] && mem_held() < before + sizes[i + 1] + 4096);
        }
        EXPECT(wrong == 0);
        mem_unmap(p, sizes[4]);
        EXPECT(mem_held() == before);
    }
}

TEST(a_list_grows_by_doubling_and_keeps_its_items)
{
    const uint64_t before = mem_held();
    struct diag diag = {0};
    struct pair {
        uint32_t a;
        uint64_t b;
    } *narrow = NULL;
    uint64_t *wide = NULL;
    uint32_t narrow_room = 0;
    size_t wide_room = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        EXPECT(mem_list_more(&narrow, i, &narrow_room, 3, "pairs", &diag) == OK);
        EXPECT(mem_list_more(&wide, i, &wide_room, 16, "numbers", NULL) == OK);
        narrow[i] = (struct pair){i, i * 7};
        wide[i] = i * 11;
    }
    EXPECT(narrow_room == 3 << 9 && wide_room == 1024);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < 1000; i++)
        wrong += narrow[i].a != i || narrow[i].b != i * 7 || wide[i] != i * 11;
    EXPECT(wrong == 0);
    mem_give(narrow);
    mem_give(wide);
    EXPECT(mem_held() == before);
}

TEST(a_list_whose_number_or_bytes_do_not_fit_stays_as_it_was)
{
    struct diag diag = {0};
    char *list = mem_take(1), *const same = list;
    uint32_t room = UINT32_MAX / 2 + 1; /* twice that is none in 32 bits */
    EXPECT(mem_list_more(&list, room, &room, 1, "rows", &diag) == ERR_MACHINE);
    EXPECT(list == same && room == UINT32_MAX / 2 + 1 && strstr(diag.what, "for rows"));
    struct {
        char bytes[1 << 20];
    } *wide = NULL;
    uint64_t many = UINT64_MAX >> 20;
    EXPECT(mem_list_more(&wide, many, &many, 1, "rows", NULL) == ERR_MACHINE);
    EXPECT(wide == NULL && many == UINT64_MAX >> 20);
    mem_give(list);
}

static void *take_and_give(void *argument)
{
    (void)argument;
    for (int i = 0; i < 20000; i++)
        mem_give(mem_take(64));
    return NULL;
}

TEST(the_count_is_right_with_two_threads)
{
    uint64_t before = mem_held();
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, take_and_give, NULL) == 0);
    take_and_give(NULL);
    pthread_join(thread, NULL);
    EXPECT(mem_held() == before);
}

TEST(the_first_diagnostic_wins)
{
    struct diag diag = {0};
    EXPECT(diag_set(&diag, ERR_INPUT, "first", "hint", "line %d", 3) == ERR_INPUT);
    EXPECT(mem_fail(&diag, 100, "rows") == ERR_INPUT);
    EXPECT(diag_set_errno(&diag, ENOSPC, "third", "x") == ERR_INPUT);
    EXPECT(strcmp(diag.what, "line 3") == 0 && strcmp(diag.code, "first") == 0 &&
           strcmp(diag.hint, "hint") == 0);
}

TEST(a_name_cannot_steer_the_terminal)
{
    struct diag diag = {0};
    diag_set(&diag, ERR_INPUT, "x", NULL, "file %s", "a\033[2Jb\nc\x7f");
    EXPECT(strcmp(diag.what, "file a?[2Jb?c?") == 0);
}

TEST(a_long_text_is_cut_and_a_full_disk_has_its_hint)
{
    struct diag diag = {0};
    char text[5000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    diag_set(&diag, ERR_INPUT, "x", text, "%s", text);
    EXPECT(strlen(diag.what) == sizeof diag.what - 1 && strlen(diag.hint) == sizeof diag.hint - 1);
    struct diag full = {0};
    EXPECT(diag_set_errno(&full, ENOSPC, "out.write", "out/match.csv") == ERR_MACHINE);
    EXPECT(strstr(full.what, "No space left") && strstr(full.hint, "make room"));
}
