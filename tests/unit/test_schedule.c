// needs: broker proto common
// Schedule and grid: dues with active hours and cron, against a list that is made the slow way.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/grid.h"
#include "common/civil.h"

static arena_t *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(64 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_destroy(&arena);
    return 0;
}

static int64_t at(int year, int month, int day, int hour, int minute)
{
    return (civil_days(year, month, day) * CIVIL_DAY + hour * 3600 + minute * 60) * 1000;
}

static schedule_t parse(const char *members)
{
    char json[2000];
    template_error_t error;
    snprintf(json, sizeof json, "{\"name\":\"a\",\"url\":\"https://a.example/feed\",%s}", members);
    schedule_t s = {.template = template_parse(arena, json, strlen(json), &error)};
    if (!s.template) fail_msg("%s: %s: %s", members, error.field, error.text);
    if (template_zone(s.template, &s.zone, &error) != 0) fail_msg("%s: %s", members, error.text);
    return s;
}

static uint64_t seed = 1;
static int64_t any(int64_t below)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (int64_t)((seed >> 33) % (uint64_t)below);
}

// -- the slow way ---------------------------------------------------------------------------------------

enum { WEEKS = 4, MOST = 200000 };

static window_t windows[2000];
static size_t n_windows;
static int64_t dues[MOST];
static size_t n_dues;

// All windows of the weeks around the middle.
static void lay_out(const schedule_t *s, int64_t middle)
{
    int64_t day = civil_floor(middle / 1000, CIVIL_DAY), monday = day - (civil_weekday(day) + 6) % 7;
    n_windows = 0;
    for (int week = -WEEKS; week <= WEEKS; week++)
        for (size_t k = 0; k < s->template->n_windows; k++) {
            int64_t wall = (monday + 7 * week) * CIVIL_DAY;
            window_t w = {zone_instant(s->zone, wall + s->template->windows[k].from * 60) * 1000,
                          zone_instant(s->zone, wall + s->template->windows[k].to * 60) * 1000};
            if (w.end > w.start) windows[n_windows++] = w;
        }
}

static bool active(int64_t t)
{
    for (size_t i = 0; i < n_windows; i++)
        if (windows[i].start <= t && t < windows[i].end) return true;
    return n_windows == 0;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// Dues of the period that are active, and those made up.
static void list_period(int64_t phase, int64_t every, int64_t from, int64_t to)
{
    n_dues = 0;
    int64_t first = (from / every - 1) * every + phase;
    for (int64_t t = first; t <= to; t += every)
        if (active(t)) dues[n_dues++] = t;
    for (size_t i = 1; i < n_windows; i++) {
        bool dropped = false, early = false;
        int64_t span = windows[i].end - windows[i].start < 60000 ? windows[i].end - windows[i].start : 60000;
        if (windows[i].start < from || windows[i].end > to) continue;
        for (int64_t t = first; t <= to; t += every) {
            dropped |= t >= windows[i - 1].end && t < windows[i].start;
            early |= t >= windows[i].start && t < windows[i].start + span;
        }
        if (dropped && !early) dues[n_dues++] = windows[i].start + phase % span;
    }
    qsort(dues, n_dues, sizeof *dues, by_value);
}

static void list_cron(const schedule_t *s, int64_t from, int64_t to)
{
    n_dues = 0;
    for (int64_t t = from / 1000; (t = cron_next(s->template->cron, s->zone, t)) * 1000 <= to;)
        if (active(t * 1000)) dues[n_dues++] = t * 1000;
}

// The grid says the same as the list, at random and at every due between from and to.
static void compare(grid_t g, const char *what, int64_t from, int64_t to)
{
    size_t low = 0, high = n_dues;
    while (low < n_dues && dues[low] <= from) low++;
    while (high > low && dues[high - 1] >= to) high--;
    assert_true(high > low);
    for (int i = 0; i < 300; i++) {
        int64_t t = i % 2 ? dues[low + (size_t)any((int64_t)(high - low))] - i % 3 : from + any(to - from);
        size_t k = low;
        while (k < n_dues && dues[k] <= t) k++;
        if (k < n_dues && dues[k] < to && grid_next(g, t) != dues[k])
            fail_msg("%s: after %lld comes %lld, not %lld", what, (long long)t, (long long)grid_next(g, t),
                     (long long)dues[k]);
        if (k > low && grid_last(g, t) != dues[k - 1])
            fail_msg("%s: up to %lld is %lld, not %lld", what, (long long)t, (long long)grid_last(g, t),
                     (long long)dues[k - 1]);
        int64_t u = from + any(to - from);
        uint64_t n = 0;
        for (size_t j = low; j < high; j++) n += dues[j] > t && dues[j] <= u;
        if (t >= from && grid_count(g, t, u) != n)
            fail_msg("%s: (%lld, %lld] has %llu, not %llu", what, (long long)t, (long long)u,
                     (unsigned long long)grid_count(g, t, u), (unsigned long long)n);
    }
}

static const char *const hours[] = {
    "{\"days\":\"mon-fri\",\"from\":\"08:00\",\"to\":\"18:00\"}",
    "{\"from\":\"22:00\",\"to\":\"06:00\"}",
    "{\"days\":\"sun\",\"from\":\"02:00\",\"to\":\"03:00\"},{\"days\":\"tue\",\"from\":\"00:00\",\"to\":\"24:"
    "00\"}",
    "{\"days\":\"fri-mon\",\"from\":\"20:00\",\"to\":\"02:30\"},{\"days\":\"sun\",\"from\":\"02:40\",\"to\":"
    "\"04:00\"}",
    "{\"from\":\"00:00\",\"to\":\"00:01\"},{\"from\":\"12:00\",\"to\":\"12:01\"}",
};
static const char *const names[] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC",
                                    "Pacific/Apia"};

static void periods_in_active_hours(void **state)
{
    (void)state;
    static const int64_t every[] = {20000, 61000, 3600000, 5 * 3600000LL, 86400000, 7 * 86400000LL};
    int64_t middles[] = {at(2024, 3, 31, 1, 0), at(2024, 10, 27, 1, 0), at(2024, 10, 5, 15, 30),
                         at(2011, 12, 30, 10, 0)};
    for (int i = 0; i < 5 * 6 * 4 * 2; i++) {
        char members[600];
        const char *zone = names[any(5)];
        int64_t period = every[i / 5 % 6], middle = middles[i / 30 % 4], week = 7 * 86400000LL;
        snprintf(members, sizeof members, "\"every\":\"%llds\",\"timezone\":\"%s\",\"windows\":[%s]",
                 (long long)period / 1000, zone, hours[i % 5]);
        schedule_t s = parse(members);
        grid_t g = {.phase = any(period), .every = period, .schedule = &s};
        lay_out(&s, middle);
        // a due that is made up is known from the window before it on
        list_period(g.phase, period, middle - 3 * week, middle + 3 * week);
        compare(g, members, middle - 2 * week, middle + 2 * week);
    }
}

static void cron_in_active_hours(void **state)
{
    (void)state;
    static const char *const texts[] = {"*/13 * * * *",    "30 2 * * *",  "0 */3 * * *",
                                        "*/10 0 12 * * *", "59 23 * * *", "0 0 * * *"};
    int64_t middles[] = {at(2024, 3, 31, 1, 0), at(2024, 10, 27, 1, 0), at(2024, 10, 5, 15, 30),
                         at(2011, 12, 30, 10, 0)};
    for (int i = 0; i < 6 * 6 * 4; i++) {
        char members[600];
        template_error_t error;
        int64_t middle = middles[i / 36], week = 7 * 86400000LL;
        snprintf(members, sizeof members, "\"cron\":\"%s\",\"timezone\":\"%s\"%s%s%s", texts[i % 6],
                 names[any(5)], i / 6 % 6 < 5 ? ",\"windows\":[" : "", i / 6 % 6 < 5 ? hours[i / 6 % 6] : "",
                 i / 6 % 6 < 5 ? "]" : "");
        schedule_t s = parse(members);
        lay_out(&s, middle);
        list_cron(&s, middle - 3 * week, middle + 3 * week);
        assert_int_equal(schedule_check(&s, middle, &error), n_dues ? 0 : -1);
        grid_t g = {.phase = 0, .every = s.template->every_ms, .schedule = &s};
        if (n_dues) compare(g, members, middle - 2 * week, middle + 2 * week);
    }
}

static void other_modes(void **state)
{
    (void)state;
    schedule_t s = parse("\"mode\":\"triggered\"");
    grid_t g = {.every = 1, .schedule = &s};
    assert_true(grid_next(g, 5) == GRID_NEVER && grid_last(g, 5) == GRID_NONE && grid_count(g, 0, 5) == 0);
    s = parse("\"mode\":\"continuous\"");
    g = (grid_t){.every = 1, .schedule = &s, .turn = 7};
    assert_true(grid_next(g, 6) == 7 && grid_next(g, 7) == GRID_NEVER && grid_last(g, 6) == GRID_NONE);
    assert_true(grid_last(g, 7) == 7 && grid_count(g, 6, 7) == 1 && grid_count(g, 7, 9) == 0);
}

static void what_never_fires_is_refused(void **state)
{
    (void)state;
    template_error_t error;
    schedule_t s = parse("\"cron\":\"0 3 * * *\",\"windows\":[{\"from\":\"08:00\",\"to\":\"18:00\"}]");
    assert_int_equal(schedule_check(&s, at(2026, 1, 1, 0, 0), &error), -1);
    assert_string_equal(error.field, "windows");
    s = parse("\"cron\":\"0 12 29 2 *\",\"windows\":[{\"from\":\"08:00\",\"to\":\"18:00\"}]");
    assert_int_equal(schedule_check(&s, at(2096, 3, 1, 0, 0), &error), 0);
}

static void words(void **state)
{
    (void)state;
    char text[200];
    int64_t monday = at(2026, 11, 23, 12, 0), sunday = at(2026, 11, 22, 12, 0);
    static const char *const work =
        "\"windows\":[{\"days\":\"mon-fri\",\"from\":\"08:00\",\"to\":\"18:00\"}],"
        "\"timezone\":\"Europe/Berlin\",\"every\":\"90s\"";
    schedule_t s = parse(work);
    assert_string_equal(schedule_words(&s, monday, text, sizeof text), "every 90 s in its active hours");
    assert_string_equal(schedule_words(&s, sunday, text, sizeof text),
                        "outside of its active hours until 2026-11-23 08:00 (Europe/Berlin)");
    s = parse("\"cron\":\"0 3 * * *\",\"timezone\":\"Asia/Tokyo\"");
    assert_string_equal(schedule_words(&s, monday, text, sizeof text), "cron \"0 3 * * *\" (Asia/Tokyo)");
    s = parse("\"mode\":\"continuous\",\"min_gap\":\"2m\"");
    assert_string_equal(schedule_words(&s, monday, text, sizeof text),
                        "again 2 min after its last poll has ended");
    s = parse("\"mode\":\"triggered\"");
    assert_string_equal(schedule_words(&s, monday, text, sizeof text), "polled only when it is triggered");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(periods_in_active_hours, setup, teardown),
        cmocka_unit_test_setup_teardown(cron_in_active_hours, setup, teardown),
        cmocka_unit_test_setup_teardown(other_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(what_never_fires_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(words, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
