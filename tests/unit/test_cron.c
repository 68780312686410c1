// needs: proto common
// Cron: what is read, what is refused, and when it fires, against a walk over every minute.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/civil.h"
#include "proto/cron.h"

static cron_t parse(const char *text)
{
    cron_t c;
    char why[300];
    if (cron_parse(&c, text, why, sizeof why)) fail_msg("%s: %s", text, why);
    return c;
}

static zone_t *load(const char *name)
{
    const char *error;
    zone_t *z = zone_load(name, &error);
    if (!z) fail_msg("%s: %s", name, error);
    return z;
}

static int64_t at(int year, int month, int day, int hour, int minute)
{
    return civil_days(year, month, day) * CIVIL_DAY + hour * 3600 + minute * 60;
}

// The fires after `after` are these, given in minutes after it; ends with 0.
static void fires(const char *text, const char *zone, int64_t after, const int *minutes)
{
    cron_t c = parse(text);
    zone_t *z = load(zone);
    int64_t t = after;
    for (; *minutes; minutes++) {
        t = cron_next(&c, z, t);
        if (t - after != *minutes * 60)
            fail_msg("%s in %s: %lld minutes, not %d", text, zone, (long long)(t - after) / 60, *minutes);
    }
    zone_destroy(&z);
}

static void summer_time(void **state)
{
    (void)state;
    int64_t march = at(2024, 3, 31, 0, 0), october = at(2024, 10, 26, 23, 0);       // 01:00 local, both
    fires("30 2 * * *", "Europe/Berlin", march, (int[]){60, 60 + 23 * 60 + 30, 0}); // right after the gap
    fires("*/20 2 * * *", "Europe/Berlin", march, (int[]){60, 1380 + 60, 0});       // once, not three times
    fires("0 2,3 * * *", "Europe/Berlin", march, (int[]){60, 1380 + 60, 0});
    fires("*/20 * * * *", "Europe/Berlin", march, (int[]){20, 40, 60, 80, 0});   // goes on in real time
    fires("30 2 * * *", "Europe/Berlin", october, (int[]){90, 90 + 25 * 60, 0}); // once
    fires("*/30 1-3 * * *", "Europe/Berlin", october, (int[]){30, 60, 90, 180, 210, 0});
    fires("*/30 * * * *", "Europe/Berlin", october, (int[]){30, 60, 90, 120, 150, 180, 0});
    fires("0 */2 * * *", "Europe/Berlin", march, (int[]){60, 120, 0}); // 03:00 for 02:00, 04:00
    fires("15 2 * * *", "Australia/Lord_Howe", at(2024, 10, 5, 15, 0), (int[]){30, 30 + 1425, 0});
    fires("0 12 * * *", "Pacific/Apia", at(2011, 12, 29, 22, 30), (int[]){690, 690 + 720, 0});
    fires("0 0 * * *", "Asia/Tokyo", at(2024, 3, 30, 15, 0), (int[]){1440, 2880, 0});
}

static bool matches(const cron_t *c, int64_t wall)
{
    time_t t = wall;
    struct tm tm;
    gmtime_r(&t, &tm);
    if (!(c->seconds >> tm.tm_sec & 1) || !(c->minutes >> tm.tm_min & 1)) return false;
    if (!(c->hours >> tm.tm_hour & 1) || !(c->months >> (tm.tm_mon + 1) & 1)) return false;
    bool day = c->days >> tm.tm_mday & 1, weekday = c->weekdays >> tm.tm_wday & 1;
    return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

// When a clock on the wall first shows wall, or else first shows more.
static int64_t first_shown(const zone_t *z, int64_t wall)
{
    int64_t later = 0;
    for (int64_t t = wall - 15 * 3600; t <= wall + 15 * 3600; t += 60) {
        if (zone_local(z, t) == wall) return t;
        if (zone_local(z, t) > wall && !later) later = t;
    }
    return later;
}

enum { SPAN = 3 * 86400, MOST = 20000 };

static size_t walk(const cron_t *c, const zone_t *z, int64_t from, int64_t to, int64_t *out)
{
    size_t n = 0;
    if (c->hours == (1 << 24) - 1) {
        for (int64_t t = from; t <= to; t += 60)
            if (matches(c, zone_local(z, t))) out[n++] = t;
        return n;
    }
    for (int64_t w = from - 2 * 86400; w <= to + 2 * 86400; w += 60) {
        int64_t t = matches(c, w) ? first_shown(z, w) : 0;
        if (t >= from && t <= to && (!n || out[n - 1] != t)) out[n++] = t;
    }
    return n;
}

static uint64_t seed = 1;
static int64_t any(int64_t below)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (int64_t)((seed >> 33) % (uint64_t)below);
}

static void as_a_walk_over_every_minute_finds(void **state)
{
    (void)state;
    static const char *const zones[] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
                                        "Pacific/Apia", "Asia/Tokyo"};
    static const char *const texts[] = {"* * * * *",    "*/7 * * * *",          "30 2 * * *", "*/10 2 * * *",
                                        "15 1-3 * * *", "0 */2 * * *",          "0 0 * * *",  "59 23 31 * *",
                                        "0 0 13 * fri", "20,40 2,3 * * sat,sun"};
    int64_t middles[] = {at(2024, 3, 31, 1, 0),   at(2024, 10, 27, 1, 0), at(2024, 3, 10, 7, 0),
                         at(2024, 10, 5, 15, 30), at(2024, 4, 6, 15, 0),  at(2011, 12, 30, 10, 0)};
    static int64_t found[MOST];
    for (size_t i = 0; i < 5 * 10 * 6; i++) {
        zone_t *z = load(zones[i % 5]);
        cron_t c = parse(texts[i / 5 % 10]);
        int64_t from = middles[i / 50] - SPAN, to = middles[i / 50] + SPAN, t = from - 1;
        size_t n = walk(&c, z, from, to, found), k = 0;
        while ((t = cron_next(&c, z, t)) <= to) {
            assert_true(k < n);
            assert_int_equal(t, found[k++]);
        }
        assert_int_equal(k, n);
        for (int r = 0; r < 50; r++) {
            int64_t a = from + any(2 * SPAN), b = r % 3 && n ? found[any((int64_t)n)] : from + any(2 * SPAN);
            if (r % 7 == 0) a = middles[i / 50];
            uint64_t count = 0;
            int64_t last = 0;
            for (k = 0; k < n; k++) {
                count += found[k] > a && found[k] <= b;
                if (found[k] <= b) last = found[k];
            }
            assert_int_equal(cron_count(&c, z, a, b), count);
            if (last) assert_int_equal(cron_last(&c, z, b), last);
        }
        zone_destroy(&z);
    }
}

static void seconds_and_rare_ones(void **state)
{
    (void)state;
    cron_t c = parse("*/20 * * * * *");
    assert_int_equal(cron_next(&c, NULL, 1700000000), 1700000020); // 22:13:20
    assert_int_equal(cron_count(&c, NULL, 1700000000, 1700000060), 3);
    assert_int_equal(cron_mean(&c), 20);
    c = parse("5,50 59 23 31 12 *");
    assert_int_equal(cron_next(&c, NULL, at(2024, 12, 31, 23, 59) + 5), at(2024, 12, 31, 23, 59) + 50);
    assert_int_equal(cron_last(&c, NULL, at(2024, 12, 31, 23, 59) + 49), at(2024, 12, 31, 23, 59) + 5);
    assert_int_equal(cron_next(&c, NULL, at(2024, 12, 31, 23, 59) + 50), at(2025, 12, 31, 23, 59) + 5);
    c = parse("0 0 29 2 *");
    assert_int_equal(cron_next(&c, NULL, at(2096, 2, 29, 0, 0)), at(2104, 2, 29, 0, 0));
    assert_int_equal(cron_last(&c, NULL, at(2104, 2, 28, 0, 0)), at(2096, 2, 29, 0, 0));
    c = parse("@daily");
    assert_int_equal(cron_count(&c, NULL, -1, at(2024, 1, 1, 0, 0)),
                     9 * 366); // that far back, no further
}

static void other_spellings(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"@hourly", "0 * * * *"},
                                           {"@Weekly", "0 0 * * 7"},
                                           {"0 0 * JAN-mar Mon-Fri", "0 0 * 1-3 1-5"},
                                           {"  5\t4  * * ? ", "5 4 * * *"},
                                           {"10/20 * * * *", "10,30,50 * * * *"},
                                           {"0 0 * * mon-sun", "0 0 * * 0-6"},
                                           {"0 8-18/5 * * *", "0 8,13,18 * * *"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        cron_t a = parse(pairs[i][0]), b = parse(pairs[i][1]);
        assert_true(a.minutes == b.minutes && a.hours == b.hours && a.days == b.days && a.months == b.months);
        assert_int_equal(a.weekdays, b.weekdays);
    }
}

static void refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "too few"},
        {"* * * *", "too few"},
        {"* * * * * * *", "too many"},
        {"60 * * * *", "no minute"},
        {"* 24 * * *", "no hour"},
        {"* * 0 * *", "no day of the month"},
        {"* * * 13 *", "no month"},
        {"* * * * 8", "no day of the week"},
        {"0 0 30 feb *", "never fires"},
        {"0 0 31 4,6,9,11 *", "never fires"},
        {"0 0 L * *", "not known"},
        {"0 0 * * 5#2", "not known"},
        {"@reboot", "@daily"},
        {"5-1 * * * *", "rises"},
        {"*/0 * * * *", "step"},
        {"*/ * * * *", "step"},
        {"*/99 * * * *", "step"},
        {"1,,2 * * * *", "no minute"},
        {"-1 * * * *", "no minute"},
        {"1- * * * *", "no minute"},
        {"99999999999999999999 * * * *", "no minute"},
        {"*5 * * * *", "no minute"},
        {"\xff\xfe * * * *", "no minute"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cron_t c;
        char why[200] = "it was taken";
        assert_int_equal(cron_parse(&c, cases[i][0], why, sizeof why), -1);
        if (!strstr(why, cases[i][1])) fail_msg("%s: %s", cases[i][0], why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summer_time),
        cmocka_unit_test(as_a_walk_over_every_minute_finds),
        cmocka_unit_test(seconds_and_rare_ones),
        cmocka_unit_test(other_spellings),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
