/* tests/unit/core/model/day_test.c: dates, times, zones and the cut (SPEC.md section 1, Time and Bill date)
 */
#include "core/base/prng.h"
#include "core/model/day.h"
#include "tests/support/check_test.h"
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static struct zone *open_zone(const char *name)
{
    struct zone *zone;
    struct diag diag = {0};
    if (day_zone_open(&zone, name, &diag) != OK) {
        diag_print(&diag, stderr);
        exit(4);
    }
    return zone;
}

/* "2" offset, "1" naive, "0" none; in a block of its own, so that a sanitizer sees a read behind the text. */
static int reads(const char *text, int64_t *us)
{
    size_t size = strlen(text);
    char *exact = malloc(size ? size : 1);
    memcpy(exact, text, size);
    int how = time_parse(exact, size, us);
    free(exact);
    return how;
}

static int64_t seconds(int year, int month, int day, int hour, int minute, int second)
{
    return day_count_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
}

TEST(what_is_a_time)
{
    const int64_t noon = seconds(2026, 11, 19, 12, 0, 0) * 1000000;
    static const struct {
        const char *text;
        int how;
        int64_t add_us;
    } table[] = {{"2026-11-19 12:00:00", 1, 0},
                 {"2026-11-19T12:00:00", 1, 0},
                 {"2026/11/19 12:00:00", 1, 0},
                 {"2026-11-19 12:00", 1, 0},
                 {"20261119120000", 1, 0},
                 {"20261119 12:00:00", 1, 0},
                 {"2026-11-19 12:00:00.5", 1, 500000},
                 {"2026-11-19 12:00:00.123456", 1, 123456},
                 {"2026-11-19 12:00:00.123456789", 1, 123456},
                 {"2026-11-19", 1, -43200000000},
                 {"2026-11-19T12:00:00Z", 2, 0},
                 {"2026-11-19T12:00:00+00:00", 2, 0},
                 {"2026-11-19T20:00:00+08:00", 2, 0},
                 {"2026-11-19T20:00:00+0800", 2, 0},
                 {"2026-11-19T20:00:00+08", 2, 0},
                 {"2026-11-19T06:30:00-05:30", 2, 0},
                 {"2026-11-19 20:00:00 +0800", 2, 0},
                 {"2026-11-19T12:00:00.000001Z", 2, 1}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int64_t us = 0;
        int how = reads(table[i].text, &us);
        if (how != table[i].how || us != noon + table[i].add_us)
            fprintf(stderr, "%s: %d, off by %lld us\n", table[i].text, how,
                    (long long)(us - noon - table[i].add_us));
        EXPECT(how == table[i].how && us == noon + table[i].add_us);
    }
}

TEST(what_is_none)
{
    static const char *const table[] = {"",
                                        "2",
                                        "2026",
                                        "2026-11",
                                        "2026-11-1",
                                        "2026-11-19 ",
                                        "2026-11-19T",
                                        "2026-11-19 1",
                                        "2026-11-19 12",
                                        "2026-11-19 12:",
                                        "2026-11-19 12:0",
                                        "2026-11-19 24:00:00",
                                        "2026-11-19 23:59:60",
                                        "2026-11-19 23:60:00",
                                        "2026-11-19 -1:00:00",
                                        "2023-02-29 00:00:00",
                                        "2024-13-01 00:00:00",
                                        "2026-00-10 00:00:00",
                                        "2026-11-31 00:00:00",
                                        "0000-00-00 00:00:00",
                                        "2026-11/19 12:00:00",
                                        "2026.11.19 12:00:00",
                                        "19/11/2026 12:00:00",
                                        "2026-11-19 12:00:00.",
                                        "2026-11-19 12:00:00.1234567890",
                                        "2026-11-19 12:00:00x",
                                        "2026-11-19 12:00:00 ",
                                        "2026-11-19T12:00:00+",
                                        "2026-11-19T12:00:00+1",
                                        "2026-11-19T12:00:00+16:00",
                                        "2026-11-19T12:00:00+08:60",
                                        "2026-11-19T12:00:00+08:0",
                                        "2026-11-19T12:00:00ZZ",
                                        "2026-11-19  12:00:00",
                                        " 2026-11-19",
                                        "2026-11-19_12:00:00",
                                        "1763524800",
                                        "12:00:00",
                                        "2026-11-19 12:00:0",
                                        "2026-11-19 12.00.00",
                                        "2026-1\xef\xbc\x91-19"};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int64_t us;
        int how = reads(table[i], &us);
        if (how)
            fprintf(stderr, "%s: read\n", table[i]);
        EXPECT(how == 0);
    }
}

TEST(what_is_a_date)
{
    EXPECT(day_parse("2026-11-19", 10) == day_from_civil(2026, 11, 19) &&
           day_parse("20261119", 8) == day_from_civil(2026, 11, 19) &&
           day_parse("2026/11/19", 10) == day_from_civil(2026, 11, 19));
    EXPECT(day_parse("2024-02-29", 10) != DAY_NONE && day_parse("2000-02-29", 10) != DAY_NONE &&
           day_parse("2023-02-29", 10) == DAY_NONE && day_parse("1900-02-29", 10) == DAY_NONE &&
           day_parse("2024-13-01", 10) == DAY_NONE && day_parse("2024-12-32", 10) == DAY_NONE);
    EXPECT(day_parse("0001-01-01", 10) == DAY_NONE && day_parse("9999-12-31", 10) == DAY_NONE &&
           day_parse("1899-12-31", 10) == DAY_NONE);
    EXPECT(day_parse("1900-01-01", 10) == 1 && day_parse("2078-12-31", 10) != DAY_NONE);
    EXPECT(day_parse("2026-11-19 12:00:00", 19) == DAY_NONE && day_parse("", 0) == DAY_NONE &&
           day_parse("2026-11-1", 9) == DAY_NONE && day_parse("2026-1-19", 9) == DAY_NONE &&
           day_parse("19-11-2026", 10) == DAY_NONE);
}

TEST(every_day_is_printed_and_read_again_and_follows_the_one_before)
{
    int64_t before = day_count_civil(1899, 12, 31);
    for (int day = 1; day <= 65379; day++) {
        int y, m, d;
        char text[DAY_TEXT_MAX];
        day_to_civil((uint16_t)day, &y, &m, &d);
        size_t n = day_print(text, (uint16_t)day);
        int good = n == 10 && day_parse(text, n) == day && day_civil_valid(y, m, d) &&
                   day_count_civil(y, m, d) == before + 1;
        if (!good) {
            fprintf(stderr, "day %d is printed as %s\n", day, text);
            EXPECT(good);
            return;
        }
        before++;
    }
}

TEST(the_cut_shifts_the_day)
{
    const int64_t us = 1000000;
    uint16_t today = day_from_civil(2026, 11, 19), tomorrow = (uint16_t)(today + 1),
             yesterday = (uint16_t)(today - 1);
    static const int cut_23 = 23 * 60, cut_4 = 4 * 60, cut_12 = 12 * 60;
    EXPECT(day_of_wall(seconds(2026, 11, 19, 0, 0, 0) * us, 0) == today);
    EXPECT(day_of_wall(seconds(2026, 11, 19, 23, 59, 59) * us + 999999, 0) == today);
    EXPECT(day_of_wall(seconds(2026, 11, 19, 22, 59, 59) * us + 999999, cut_23) == today);
    EXPECT(day_of_wall(seconds(2026, 11, 19, 23, 0, 0) * us, cut_23) == tomorrow);
    EXPECT(day_of_wall(seconds(2026, 11, 19, 3, 59, 59) * us, cut_4) == yesterday);
    EXPECT(day_of_wall(seconds(2026, 11, 19, 4, 0, 0) * us, cut_4) == today);
    EXPECT(day_of_wall(seconds(2026, 11, 19, 11, 59, 59) * us, cut_12) == today);
    EXPECT(day_of_wall(seconds(2026, 11, 19, 12, 0, 0) * us, cut_12) == tomorrow);
    EXPECT(day_of_wall(-1, 0) == day_from_civil(1969, 12, 31));
    EXPECT(day_of_wall(seconds(1800, 1, 1, 0, 0, 0) * us, 0) == DAY_NONE &&
           day_of_wall(seconds(3000, 1, 1, 0, 0, 0) * us, 0) == DAY_NONE);
}

static int prints_as(const struct zone *zone, int64_t epoch_s, const char *want)
{
    char text[TIME_TEXT_MAX];
    size_t n = time_print(text, zone, epoch_s * 1000000);
    if (strcmp(text, want) != 0)
        fprintf(stderr, "%s, want %s\n", text, want);
    return n == strlen(want) && strcmp(text, want) == 0;
}

TEST(clocks_set_forward_and_back_in_new_york)
{
    struct zone *zone = open_zone("America/New_York");
    /* 2026-03-08 02:00 EST is 03:00 EDT; 07:00 UTC. */
    int64_t spring = seconds(2026, 3, 8, 7, 0, 0);
    EXPECT(prints_as(zone, spring - 1, "2026-03-08T01:59:59-05:00") &&
           prints_as(zone, spring, "2026-03-08T03:00:00-04:00"));
    EXPECT(day_wall_to_epoch(zone, seconds(2026, 3, 8, 1, 59, 59) * 1000000) == (spring - 1) * 1000000);
    EXPECT(day_wall_to_epoch(zone, seconds(2026, 3, 8, 3, 0, 0) * 1000000) == spring * 1000000);
    /* 02:30 never happens: the offset from before the gap, so that it stands behind 01:59. */
    EXPECT(day_wall_to_epoch(zone, seconds(2026, 3, 8, 2, 30, 0) * 1000000) == (spring + 1800) * 1000000);
    /* 2026-11-01 02:00 EDT is 01:00 EST; 06:00 UTC. 01:30 happens twice: the first one. */
    int64_t autumn = seconds(2026, 11, 1, 6, 0, 0);
    EXPECT(prints_as(zone, autumn - 1, "2026-11-01T01:59:59-04:00") &&
           prints_as(zone, autumn, "2026-11-01T01:00:00-05:00"));
    EXPECT(day_wall_to_epoch(zone, seconds(2026, 11, 1, 1, 30, 0) * 1000000) == (autumn - 1800) * 1000000);
    EXPECT(day_wall_to_epoch(zone, seconds(2026, 11, 1, 2, 0, 0) * 1000000) == (autumn + 3600) * 1000000);
    day_zone_close(zone);
}

TEST(clocks_set_forward_and_back_in_berlin)
{
    struct zone *zone = open_zone("Europe/Berlin");
    int64_t spring = seconds(2026, 3, 29, 1, 0, 0), autumn = seconds(2026, 10, 25, 1, 0, 0);
    EXPECT(prints_as(zone, spring - 1, "2026-03-29T01:59:59+01:00") &&
           prints_as(zone, spring, "2026-03-29T03:00:00+02:00"));
    EXPECT(prints_as(zone, autumn - 1, "2026-10-25T02:59:59+02:00") &&
           prints_as(zone, autumn, "2026-10-25T02:00:00+01:00"));
    EXPECT(day_wall_to_epoch(zone, seconds(2026, 10, 25, 2, 30, 0) * 1000000) == (autumn - 1800) * 1000000);
    EXPECT(day_wall_to_epoch(zone, seconds(2026, 10, 25, 3, 0, 0) * 1000000) == (autumn + 3600) * 1000000);
    EXPECT(day_wall_to_epoch(zone, seconds(2026, 3, 29, 2, 30, 0) * 1000000) == (spring + 1800) * 1000000);
    day_zone_close(zone);
}

TEST(a_zone_is_what_the_c_library_says)
{
    static const char *const names[] = {
        "Asia/Shanghai",     "Europe/London", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns",
        "Africa/Casablanca", "UTC",           "Pacific/Apia"};
    struct prng prng = {11};
    for (size_t z = 0; z < sizeof names / sizeof *names; z++) {
        struct zone *zone = open_zone(names[z]);
        setenv("TZ", strcmp(names[z], "UTC") == 0 ? "UTC0" : names[z], 1);
        tzset();
        for (int i = 0; i < 3000; i++) {
            time_t at = (time_t)(seconds(1970, 1, 1, 0, 0, 0) + (int64_t)prng_below(&prng, 3400000000u));
            struct tm tm;
            localtime_r(&at, &tm);
            int64_t wall = day_epoch_to_wall(zone, (int64_t)at * 1000000);
            if (wall != ((int64_t)at + tm.tm_gmtoff) * 1000000) {
                fprintf(stderr, "%s at %lld\n", names[z], (long long)at);
                EXPECT(wall == ((int64_t)at + tm.tm_gmtoff) * 1000000);
                break;
            }
            /* Back again: the same, or the earlier of two with one name. */
            int64_t back = day_wall_to_epoch(zone, wall);
            EXPECT(back == (int64_t)at * 1000000 || day_epoch_to_wall(zone, back) == wall);
            EXPECT(back <= (int64_t)at * 1000000);
        }
        unsetenv("TZ");
        tzset();
        day_zone_close(zone);
    }
}

TEST(a_zone_that_is_not_there)
{
    static const char *const names[] = {"Asia/Shangai", "",     "/etc/passwd",      "../../etc/passwd",
                                        "CST6\n",       "Asia", "Asia/Shanghai\x01"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct diag diag = {0};
        struct zone *zone = (struct zone *)&diag;
        EXPECT(day_zone_open(&zone, names[i], &diag) == ERR_USAGE && zone == NULL &&
               strcmp(diag.code, "zone") == 0);
    }
}

static void put_file(const char *path, const char *bytes, size_t size)
{
    FILE *const file = fopen(path, "w");
    EXPECT(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

/* How a zone opens whose file holds the first `size` of these bytes. Each has a name of its own, since the last one is known. */
static enum err opens_as(const char *folder, const char *bytes, size_t size)
{
    static int number;
    char name[32], path[256];
    struct diag diag = {0};
    struct zone *zone = NULL;
    snprintf(name, sizeof name, "Cut%d", number++);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    put_file(path, bytes, size);
    const enum err err = day_zone_open(&zone, name, &diag);
    EXPECT((zone != NULL) == (err == OK) &&
           (err == OK || (strcmp(diag.code, "zone") == 0 && strstr(diag.what, path))));
    day_zone_close(zone);
    unlink(path);
    return err;
}

TEST(a_zone_whose_file_is_not_whole_is_refused)
{
    static const char *const names[] = {"Asia/Shanghai", "America/New_York", "Etc/GMT+5"};
    char folder[] = "/tmp/tieout-zones-XXXXXX", path[256], bytes[16384];
    EXPECT(mkdtemp(folder) != NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", names[i]);
        FILE *const file = fopen(path, "r");
        const size_t size = file ? fread(bytes, 1, sizeof bytes, file) : 0;
        EXPECT(size > 44 && size < sizeof bytes);
        fclose(file);
        setenv("TZDIR", folder, 1);
        EXPECT(opens_as(folder, bytes, size) == OK);
        for (size_t cut = 0; cut < size; cut++)
            EXPECT(opens_as(folder, bytes, cut) == ERR_MACHINE);
        bytes[0] = 'X';
        EXPECT(opens_as(folder, bytes, size) == ERR_MACHINE);
        unsetenv("TZDIR");
    }
    rmdir(folder);
}

TEST(opening_a_zone_leaves_the_process_as_it_was)
{
    setenv("TZ", "Asia/Tokyo", 1);
    day_zone_close(open_zone("Europe/Berlin"));
    EXPECT(strcmp(getenv("TZ"), "Asia/Tokyo") == 0);
    unsetenv("TZ");
    day_zone_close(open_zone("Europe/Berlin"));
    EXPECT(getenv("TZ") == NULL);
}

TEST(times_print_with_microseconds_when_there_are_some)
{
    struct zone *zone = open_zone("Asia/Shanghai");
    char text[TIME_TEXT_MAX];
    time_print(text, zone, seconds(2026, 1, 5, 15, 59, 58) * 1000000);
    EXPECT(strcmp(text, "2026-01-05T23:59:58+08:00") == 0);
    time_print(text, zone, seconds(2026, 1, 5, 15, 59, 58) * 1000000 + 1200);
    EXPECT(strcmp(text, "2026-01-05T23:59:58.001200+08:00") == 0);
    time_print(text, zone, -1);
    EXPECT(strcmp(text, "1970-01-01T07:59:59.999999+08:00") == 0);
    EXPECT(time_print(text, zone, TIME_NONE) == 0 && text[0] == 0);
    day_zone_close(zone);
}
