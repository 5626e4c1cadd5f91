/* tests/support/check_test.h: the few words that a test needs.
 *
 *     TEST(what_holds) { EXPECT(1 + 1 == 2); }
 *
 * Each TEST finds its own way into the list, in the order of the file; main() is here and runs them all, so a
 * program has one file that includes this. A failed EXPECT is told with its place, and the test goes on. The
 * last line is `N passed, N failed`.
 */
#ifndef TIEOUT_TESTS_SUPPORT_CHECK_TEST_H
#define TIEOUT_TESTS_SUPPORT_CHECK_TEST_H

#include <stdio.h>

/* 1 where a sanitizer watches every access: of very many cases that are alike a test may take fewer there, since a plain build takes all. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CHECK_WATCHED = 1 };
#else
enum { CHECK_WATCHED = 0 };
#endif

struct check_test {
    const char *name;
    void (*run)(void);
    struct check_test *next;
};
static struct check_test *check_first, **check_last = &check_first;
static int check_test_failed;

#define TEST(test_name)                                                                                      \
    static void test_name(void);                                                                             \
    static struct check_test check_entry_##test_name = {#test_name, test_name, NULL};                        \
    __attribute__((constructor)) static void check_add_##test_name(void)                                     \
    {                                                                                                        \
        *check_last = &check_entry_##test_name;                                                              \
        check_last = &check_entry_##test_name.next;                                                          \
    }                                                                                                        \
    static void test_name(void)

#define EXPECT(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s: not so: %s\n", __FILE__, __LINE__, __func__, #condition);            \
            check_test_failed = 1;                                                                           \
        }                                                                                                    \
    } while (0)

int main(void)
{
    int passed = 0, failed = 0;
    for (const struct check_test *t = check_first; t; t = t->next) {
        check_test_failed = 0;
        t->run();
        passed += !check_test_failed;
        failed += check_test_failed;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

#endif
