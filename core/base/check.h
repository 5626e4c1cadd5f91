/* core/base/check.h: a bug is a CHECK.
 *
 * CHECK stays on in production and stops the program with exit code 70 and the state it saw; CHECK_SLOW is
 * for debug builds. One condition each. Bad input and failing machines are never a CHECK.
 */
#ifndef TIEOUT_CORE_BASE_CHECK_H
#define TIEOUT_CORE_BASE_CHECK_H

void check_failed(const char *file, int line, const char *condition, unsigned long long a,
                  unsigned long long b) __attribute__((noreturn, cold));

#define CHECK(condition) CHECK2(condition, 0, 0)
/* The same, showing two numbers of the state. */
#define CHECK2(condition, a, b)                                                                              \
    do {                                                                                                     \
        if (__builtin_expect(!(condition), 0))                                                               \
            check_failed(__FILE__, __LINE__, #condition, (unsigned long long)(a), (unsigned long long)(b));  \
    } while (0)

#ifdef NDEBUG
#define CHECK_SLOW(condition) ((void)0)
#else
#define CHECK_SLOW(condition) CHECK(condition)
#endif

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#endif
