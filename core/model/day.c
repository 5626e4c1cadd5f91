/* core/model/day.c: see day.h */
#include "core/model/day.h"
#include "core/base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define US_PER_S 1000000LL
#define S_PER_DAY 86400LL
/* Changes of a zone's offset are looked for in this range; times outside take the offset at its edge. */
#define ZONE_FROM_S (-2208988800LL) /* 1900-01-01 */
#define ZONE_TO_S 3471292800LL      /* 2080-01-01 */

struct change {
    int64_t from_s; /* UTC second from which the offset holds */
    int32_t offset_s;
};
struct zone {
    char name[64];
    int count;
    struct change changes[]; /* the first one holds from the beginning of time */
};

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q - (a % b < 0);
}

static int32_t offset_at(int64_t s)
{
    time_t t = (time_t)s;
    struct tm tm;
    localtime_r(&t, &tm);
    return (int32_t)tm.tm_gmtoff;
}

static int zone_name_fits(const char *name)
{
    if (!*name || *name == '/' || strstr(name, "..") || strlen(name) >= sizeof((struct zone *)0)->name)
        return 0;
    for (const char *p = name; *p; p++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/", *p))
            return 0;
    return 1;
}

enum { CHANGES_MAX = 700, ZONE_FILE_MAX = 64 * 1024 };

/* What a zone's file says: where to ask localtime_r, which alone says what the offset is, and whether that has read the file as well. */
struct hints {
    int count; /* of times at which the offset may change; -1: the file does not tell */
    int64_t at[2 * CHANGES_MAX];
    int32_t offset[2 * CHANGES_MAX]; /* from then on */
    int has_rule;                    /* it may change behind the last of them too */
};

static uint64_t big_endian(const uint8_t *p, int size)
{
    uint64_t v = 0;
    for (int i = 0; i < size; i++)
        v = v << 8 | p[i];
    return v;
}

/* A file of RFC 8536: a head for 32-bit times and one for 64-bit times, each of six counts and what they
 * count; behind the second the rule for later times, in a line. 0: it is none, or not whole. */
static int read_hints(const uint8_t *bytes, int64_t size, struct hints *hints)
{
    enum { HEAD = 44, TYPE = 6 };
    hints->count = -1;
    int64_t at = 0;
    for (int head = 0, heads = 2; head < heads; head++) {
        const int width = head ? 8 : 4;
        if (size < at + HEAD || memcmp(bytes + at, "TZif", 4) != 0)
            return 0;
        if (bytes[at + 4] < '2')
            heads = 1;
        int64_t n[6]; /* UT flags, standard flags, leap seconds, times, types, letters */
        for (int i = 0; i < 6; i++)
            n[i] = (int64_t)big_endian(bytes + at + 20 + 4 * i, 4);
        at += HEAD;
        const uint8_t *const times = bytes + at, *const which = times + n[3] * width,
                             *const types = which + n[3];
        at += n[3] * (width + 1) + n[4] * TYPE + n[5] + n[2] * (width + 4) + n[1] + n[0];
        if (at > size || n[4] == 0)
            return 0;
        if (head == 0 || n[2] != 0 || n[3] > 2 * CHANGES_MAX)
            continue;
        for (int64_t i = 0; i < n[3]; i++) {
            if (which[i] >= n[4])
                return 0;
            hints->at[i] = (int64_t)big_endian(times + 8 * i, 8);
            hints->offset[i] = (int32_t)big_endian(types + TYPE * which[i], 4);
        }
        hints->count = (int)n[3];
        hints->has_rule = memchr(bytes + at, ',', (size_t)(size - at)) != NULL;
    }
    return bytes[4] < '2' || (size - at >= 2 && bytes[at] == '\n' && bytes[size - 1] == '\n');
}

/* The C library takes a zone that it cannot read for UTC without a word. 0: so it did, or the file is not whole. */
static int is_read(const struct hints *hints)
{
    for (int i = 0; i + 1 < hints->count; i++)
        if (offset_at(hints->at[i]) != hints->offset[i])
            return 0;
    return 1;
}

/* The file of a zone. */
static enum err read_file(const char *path, uint8_t *bytes, int64_t *size, struct diag *diag)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, bytes, ZONE_FILE_MAX);
    const int error = errno;
    if (fd >= 0)
        close(fd);
    *size = n;
    return n < 0 ? diag_set_errno(diag, error, "zone", "%s: cannot read this time zone", path) : OK;
}

/* The zone that was opened last: a job and its two sides mostly have the same one, and walking localtime_r
 * takes time: 13 million instructions for 180 years of weeks, where no file says where to look. */
static struct {
    char name[sizeof((struct zone *)0)->name];
    int count;
    struct change changes[CHANGES_MAX];
} recent;

static enum err not_whole(const char *path, struct diag *diag)
{
    return diag_set(diag, ERR_MACHINE, "zone", "install the package tzdata again",
                    "%s: this time zone's file is damaged, so times in it would be those of another", path);
}

enum err day_zone_open(struct zone **out, const char *name, struct diag *diag)
{
    *out = NULL;
    static uint8_t bytes[ZONE_FILE_MAX];
    static struct hints hints;
    char path[PATH_MAX];
    struct stat st;
    int64_t size = 0;
    int is_utc = strcmp(name, "UTC") == 0;
    const char *folder = getenv("TZDIR"); /* as the C library looks for it */
    if (snprintf(path, sizeof path, "%s/%s", folder && *folder ? folder : "/usr/share/zoneinfo", name) >=
        (int)sizeof path)
        path[0] = 0;
    /* The C library takes an unknown zone for UTC without a word, so look for the file first. */
    if (!is_utc && (!zone_name_fits(name) || stat(path, &st) != 0 || !S_ISREG(st.st_mode)))
        return diag_set(diag, ERR_USAGE, "zone",
                        "use an IANA name such as Asia/Shanghai; the package tzdata has the list",
                        "there is no time zone \"%s\" on this machine", name);
    const int is_known = strcmp(recent.name, name) == 0;
    hints.count = -1;
    if (!is_utc && !is_known && read_file(path, bytes, &size, diag) != OK)
        return diag->err;
    if (!is_utc && !is_known && !read_hints(bytes, size, &hints))
        return not_whole(path, diag);
    struct zone *zone = mem_take(sizeof *zone + CHANGES_MAX * sizeof zone->changes[0]);
    if (!zone)
        return mem_fail(diag, sizeof *zone, "a time zone");
    snprintf(zone->name, sizeof zone->name, "%s", name);
    if (is_known) {
        zone->count = recent.count;
        memcpy(zone->changes, recent.changes, (size_t)recent.count * sizeof recent.changes[0]);
        *out = zone;
        return OK;
    }

    const char *old = getenv("TZ");
    char *old_copy = old ? mem_copy_text(old, strlen(old)) : NULL;
    setenv("TZ", is_utc ? "UTC0" : name, 1);
    tzset();
    zone->count = 1;
    int32_t offset = offset_at(ZONE_FROM_S);
    zone->changes[0] = (struct change){INT64_MIN / 4, offset};
    const int was_read = is_read(&hints);
    int64_t walk_from = ZONE_FROM_S;
    for (int i = 0; i < hints.count && zone->count < CHANGES_MAX; i++) {
        const int64_t s = hints.at[i];
        if (s <= ZONE_FROM_S || s > ZONE_TO_S)
            continue;
        const int32_t next = offset_at(s);
        if (next != offset)
            zone->changes[zone->count++] = (struct change){s, next};
        offset = next;
        walk_from = s;
    }
    if (hints.count >= 0 && !hints.has_rule)
        walk_from = ZONE_TO_S;
    for (int64_t s = walk_from; s < ZONE_TO_S && zone->count < CHANGES_MAX; s += 7 * S_PER_DAY) {
        int32_t next = offset_at(s + 7 * S_PER_DAY);
        if (next == offset)
            continue;
        int64_t low = s, high = s + 7 * S_PER_DAY; /* offset at low is `offset`, at high it is not */
        while (high - low > 1) {
            int64_t mid = low + (high - low) / 2;
            if (offset_at(mid) == offset)
                low = mid;
            else
                high = mid;
        }
        offset = offset_at(high);
        zone->changes[zone->count++] = (struct change){high, offset};
        s = high - 7 * S_PER_DAY; /* a second change in the same week is found too */
    }
    if (old)
        setenv("TZ", old_copy ? old_copy : "UTC0", 1);
    else
        unsetenv("TZ");
    tzset();
    mem_give(old_copy);
    if (!was_read) {
        day_zone_close(zone);
        return not_whole(path, diag);
    }
    snprintf(recent.name, sizeof recent.name, "%s", name);
    recent.count = zone->count;
    memcpy(recent.changes, zone->changes, (size_t)zone->count * sizeof recent.changes[0]);
    *out = zone;
    return OK;
}

void day_zone_close(struct zone *zone)
{
    mem_give(zone);
}

const char *day_zone_name(const struct zone *zone)
{
    return zone->name;
}

static int32_t zone_offset_utc(const struct zone *zone, int64_t s)
{
    int low = 0, high = zone->count; /* the last change with from_s <= s */
    while (high - low > 1) {
        int mid = (low + high) / 2;
        if (zone->changes[mid].from_s <= s)
            low = mid;
        else
            high = mid;
    }
    return zone->changes[low].offset_s;
}

int64_t day_wall_to_epoch(const struct zone *zone, int64_t wall_us)
{
    int64_t wall_s = floor_div(wall_us, US_PER_S);
    /* Of the offsets around, the first under which the wall time exists wins: the earlier of two, or, in a
     * gap, the one from before it. Offsets change by less than a day. */
    int32_t before = zone_offset_utc(zone, wall_s - S_PER_DAY);
    if (zone_offset_utc(zone, wall_s - before) == before)
        return wall_us - before * US_PER_S;
    int32_t after = zone_offset_utc(zone, wall_s + S_PER_DAY);
    if (zone_offset_utc(zone, wall_s - after) == after)
        return wall_us - after * US_PER_S;
    return wall_us - before * US_PER_S;
}

int64_t day_epoch_to_wall(const struct zone *zone, int64_t epoch_us)
{
    return epoch_us + zone_offset_utc(zone, floor_div(epoch_us, US_PER_S)) * US_PER_S;
}

/* Days since 1970-01-01, by 400-year eras that begin on 1 March, so that leap days come last. */
int64_t day_count_civil(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

int day_civil_valid(int year, int month, int day)
{
    static const uint8_t days[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1)
        return 0;
    int leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return day <= days[month] + leap;
}

static uint16_t day_from_count(int64_t count)
{
    int64_t day = count + DAY_BASE;
    return day > 0 && day <= UINT16_MAX ? (uint16_t)day : DAY_NONE;
}

uint16_t day_from_civil(int year, int month, int day)
{
    return day_civil_valid(year, month, day) ? day_from_count(day_count_civil(year, month, day)) : DAY_NONE;
}

static void civil_from_count(int64_t count, int *year, int *month, int *mday)
{
    int64_t z = count + 719468;
    int64_t era = floor_div(z, 146097);
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *mday = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

void day_to_civil(uint16_t day, int *year, int *month, int *mday)
{
    civil_from_count((int64_t)day - DAY_BASE, year, month, mday);
}

uint16_t day_of_wall(int64_t wall_us, int cut_minutes)
{
    int shift = cut_minutes >= 720 ? 1440 - cut_minutes : -cut_minutes;
    return day_from_count(floor_div(wall_us + shift * 60 * US_PER_S, S_PER_DAY * US_PER_S));
}

static int digits(const char *p, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        unsigned d = (unsigned char)p[i] - '0';
        if (d > 9)
            return -1;
        value = value * 10 + (int)d;
    }
    return value;
}

/* The date at the start of the text; its length, or 0. */
static int date_parse(const char *p, size_t size, int *year, int *month, int *day)
{
    int used;
    if (size >= 10 && (p[4] == '-' || p[4] == '/') && p[7] == p[4]) {
        *year = digits(p, 4);
        *month = digits(p + 5, 2);
        *day = digits(p + 8, 2);
        used = 10;
    } else if (size >= 8) {
        *year = digits(p, 4);
        *month = digits(p + 4, 2);
        *day = digits(p + 6, 2);
        used = 8;
    } else {
        return 0;
    }
    return *year < 0 || *month < 0 || *day < 0 || !day_civil_valid(*year, *month, *day) ? 0 : used;
}

uint16_t day_parse(const char *text, size_t size)
{
    int y, m, d;
    int used = date_parse(text, size, &y, &m, &d);
    return used && (size_t)used == size ? day_from_civil(y, m, d) : DAY_NONE;
}

/* The last `width` decimal digits; the place behind them. Every open row has its dates printed: snprintf is slow. */
static char *put_digits(char *out, unsigned width, unsigned value)
{
    for (unsigned i = width; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + width;
}

static char *put_date(char *out, int y, int m, int d)
{
    out = put_digits(out, 4, (unsigned)y);
    *out++ = '-';
    out = put_digits(out, 2, (unsigned)m);
    *out++ = '-';
    return put_digits(out, 2, (unsigned)d);
}

size_t day_print(char out[DAY_TEXT_MAX], uint16_t day)
{
    if (day == DAY_NONE) {
        out[0] = 0;
        return 0;
    }
    int y, m, d;
    day_to_civil(day, &y, &m, &d);
    char *end = put_date(out, y, m, d);
    *end = 0;
    return (size_t)(end - out);
}

size_t clock_print(char out[TIME_TEXT_MAX], int64_t wall_us)
{
    const int64_t s = floor_div(wall_us, US_PER_S), count = floor_div(s, S_PER_DAY);
    const unsigned of_day = (unsigned)(s - count * S_PER_DAY), us = (unsigned)(wall_us - s * US_PER_S);
    int y, m, d;
    civil_from_count(count, &y, &m, &d);
    char *end = put_date(out, y, m, d);
    *end++ = ' ';
    end = put_digits(end, 2, of_day / 3600);
    *end++ = ':';
    end = put_digits(end, 2, of_day / 60 % 60);
    *end++ = ':';
    end = put_digits(end, 2, of_day % 60);
    if (us) {
        *end++ = '.';
        end = put_digits(end, 6, us);
    }
    *end = 0;
    return (size_t)(end - out);
}

int time_parse(const char *text, size_t size, int64_t *us)
{
    int year, month, day, hour = 0, minute = 0, second = 0;
    int64_t fraction = 0;
    int used = date_parse(text, size, &year, &month, &day);
    if (!used)
        return 0;
    const char *p = text + used, *end = text + size;
    int has_offset = 0;
    int64_t offset_s = 0;
    if (p < end) {
        if (*p == ' ' || *p == 'T')
            p++;
        else if (used != 8)
            return 0;
        if (end - p >= 6 && (p[2] != ':')) { /* HHMMSS, as in 20261119235958 */
            hour = digits(p, 2);
            minute = digits(p + 2, 2);
            second = digits(p + 4, 2);
            p += 6;
        } else if (end - p >= 5 && p[2] == ':') {
            hour = digits(p, 2);
            minute = digits(p + 3, 2);
            p += 5;
            if (end - p >= 3 && *p == ':') {
                second = digits(p + 1, 2);
                p += 3;
            }
        } else {
            return 0;
        }
        if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
            return 0;
        if (p < end && *p == '.') {
            int64_t scale = 100000;
            const char *first = ++p;
            for (; p < end && (unsigned char)(*p - '0') <= 9; p++, scale /= 10) {
                if (p - first >= 9)
                    return 0;
                fraction += scale * (*p - '0'); /* what is below a microsecond is cut off */
            }
            if (p == first)
                return 0;
        }
        if (p < end && *p == ' ' && end - p > 1 && (p[1] == '+' || p[1] == '-'))
            p++;
        if (p < end && (*p == 'Z' || *p == 'z')) {
            has_offset = 1;
            p++;
        } else if (p < end && (*p == '+' || *p == '-')) {
            int sign = *p++ == '-' ? -1 : 1;
            int oh = end - p >= 2 ? digits(p, 2) : -1, om = 0;
            p += 2;
            if (oh >= 0 && p < end) {
                p += *p == ':';
                om = end - p == 2 ? digits(p, 2) : -1;
                p += 2;
            }
            if (oh < 0 || oh > 15 || om < 0 || om > 59)
                return 0;
            offset_s = sign * (oh * 3600 + om * 60);
            has_offset = 1;
        }
        if (p != end)
            return 0;
    }
    int64_t s = day_count_civil(year, month, day) * S_PER_DAY + hour * 3600 + minute * 60 + second;
    *us = (s - offset_s) * US_PER_S + fraction;
    return has_offset ? 2 : 1;
}

size_t time_print(char out[TIME_TEXT_MAX], const struct zone *zone, int64_t epoch_us)
{
    if (epoch_us == TIME_NONE) {
        out[0] = 0;
        return 0;
    }
    int64_t wall = day_epoch_to_wall(zone, epoch_us);
    int offset = (int)((wall - epoch_us) / US_PER_S);
    int64_t s = floor_div(wall, US_PER_S), us = wall - s * US_PER_S;
    int64_t count = floor_div(s, S_PER_DAY), of_day = s - count * S_PER_DAY;
    int y, m, d;
    civil_from_count(count, &y, &m, &d);
    char *p = put_date(out, y, m, d);
    *p++ = 'T';
    p = put_digits(p, 2, (unsigned)(of_day / 3600));
    *p++ = ':';
    p = put_digits(p, 2, (unsigned)(of_day / 60 % 60));
    *p++ = ':';
    p = put_digits(p, 2, (unsigned)(of_day % 60));
    if (us) {
        *p++ = '.';
        p = put_digits(p, 6, (unsigned)us);
    }
    const unsigned away = (unsigned)(offset < 0 ? -offset : offset);
    *p++ = offset < 0 ? '-' : '+';
    p = put_digits(p, 2, away / 3600);
    *p++ = ':';
    p = put_digits(p, 2, away / 60 % 60);
    *p = 0;
    return (size_t)(p - out);
}
