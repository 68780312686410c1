// needs: proto common
// Templates, schedule: modes, cron, windows, and what is implied; refusals name the member and what would be
// right.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/template.h"

enum { MINUTE = 60000, HOUR = 60 * MINUTE, DAY = 24 * HOUR, WEEK = 7 * 1440 };

static arena_t *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(16 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_destroy(&arena);
    return 0;
}

// A feed with these members besides.
static template_t *try_parse(const char *members, template_error_t *error)
{
    char json[2000];
    snprintf(json, sizeof json, "{\"name\":\"a\",\"url\":\"https://a.example/feed\"%s%s}",
             *members ? "," : "", members);
    return template_parse(arena, json, strlen(json), error);
}

static template_t *parse(const char *members)
{
    template_error_t error;
    template_t *t = try_parse(members, &error);
    if (!t) fail_msg("%s: %s: %s", members, error.field, error.text);
    return t;
}

static void what_is_implied(void **state)
{
    (void)state;
    template_t *t = parse("");
    assert_int_equal(t->mode, MODE_SCHEDULED);
    assert_int_equal(t->every_ms, 30000);
    assert_int_equal(t->catch_up, CATCH_UP_LATEST);
    assert_string_equal(t->timezone, "UTC");
    assert_int_equal(t->n_windows, 0);
    t = parse("\"mode\":\"continuous\"");
    assert_int_equal(t->min_gap_ms, 1000);
    assert_int_equal(t->fresh_within_ms, MINUTE);
    t = parse("\"mode\":\"continuous\",\"min_gap\":\"2m\"");
    assert_int_equal(t->every_ms, 2 * MINUTE);
    assert_int_equal(t->fresh_within_ms, 4 * MINUTE);
    t = parse("\"mode\":\"triggered\"");
    assert_int_equal(t->every_ms, DAY);
    t = parse("\"cron\":\"*/10 * * * *\",\"timezone\":\"Europe/Berlin\",\"catch_up\":\"skip\"");
    assert_int_equal(t->every_ms, 10 * MINUTE);
    assert_int_equal(t->fresh_within_ms, 20 * MINUTE);
    assert_string_equal(t->cron_text, "*/10 * * * *");
    assert_int_equal(t->catch_up, CATCH_UP_SKIP);
}

static void expect_windows(const char *windows, const week_span_t *spans, size_t n)
{
    char members[500];
    snprintf(members, sizeof members, "\"windows\":%s", windows);
    const template_t *t = parse(members);
    if (t->n_windows != n) fail_msg("%s: %zu windows, not %zu", windows, t->n_windows, n);
    for (size_t i = 0; i < n; i++)
        if (t->windows[i].from != spans[i].from || t->windows[i].to != spans[i].to)
            fail_msg("%s: %zu is %d-%d", windows, i, t->windows[i].from, t->windows[i].to);
}

static void windows_of_a_week(void **state)
{
    (void)state;
    expect_windows("[{\"days\":\"mon,tue\",\"from\":\"08:00\",\"to\":\"18:00\"}]",
                   (week_span_t[]){{480, 1080}, {1440 + 480, 1440 + 1080}}, 2);
    expect_windows(
        "[{\"days\":\"sun-mon\",\"from\":\"22:00\",\"to\":\"06:00\"}]", // over midnight and the week's end
        (week_span_t[]){{1320, 1440 + 360}, {6 * 1440 + 1320, WEEK + 360}}, 2);
    expect_windows("[{\"days\":\"Mon\",\"from\":\"08:00\",\"to\":\"12:00\"},"
                   "{\"days\":\"mon\",\"from\":\"11:00\",\"to\":\"13:30\"},"
                   "{\"days\":\"mon\",\"from\":\"13:30\",\"to\":\"14:00\"}]",
                   (week_span_t[]){{480, 840}}, 1);
    expect_windows("[{\"from\":\"00:00\",\"to\":\"24:00\"}]", NULL, 0); // always
    expect_windows("[{\"from\":\"06:00\",\"to\":\"05:59\"},{\"from\":\"05:00\",\"to\":\"07:00\"}]", NULL, 0);
    expect_windows("[{\"days\":\"sun\",\"from\":\"12:00\",\"to\":\"02:00\"},"
                   "{\"days\":\"mon\",\"from\":\"01:00\",\"to\":\"03:00\"}]",
                   (week_span_t[]){{6 * 1440 + 720, WEEK + 180}}, 1);
}

static void refused(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        // members, field, a part of the text
        {"\"mode\":\"contineous\"", "mode", "did you mean \"continuous\""},
        {"\"mode\":7", "mode", "must be one of"},
        {"\"cron\":\"* * *\"", "cron", "five"},
        {"\"cron\":\"0 0 30 2 *\"", "cron", "never fires"},
        {"\"cron\":[\"* * * * *\"]", "cron", "must be a string"},
        {"\"cron\":\"* * * * *\",\"every\":\"5m\"", "every", "beside `cron`"},
        {"\"cron\":\"* * * * *\",\"mode\":\"triggered\"", "cron", "leave it out"},
        {"\"every\":\"5m\",\"mode\":\"continuous\"", "every", "leave it out"},
        {"\"fresh_within\":\"5m\",\"mode\":\"triggered\"", "fresh_within", "leave it out"},
        {"\"min_gap\":\"5s\"", "min_gap", "continuous"},
        {"\"min_gap\":\"5ms\",\"mode\":\"continuous\"", "min_gap", "1s"},
        {"\"catch_up\":\"all\"", "catch_up", "\"latest\" or \"skip\""},
        {"\"catch_up\":\"skip\",\"mode\":\"continuous\"", "catch_up", "leave it out"},
        {"\"timezone\":\"../../etc/passwd\"", "timezone", "Europe/Berlin"},
        {"\"timezone\":\"\"", "timezone", "empty"},
        {"\"windows\":{}", "windows", "must be a list"},
        {"\"windows\":[]", "windows", "0 windows"},
        {"\"windows\":[8]", "windows[0]", "must be an object"},
        {"\"windows\":[{\"from\":\"08:00\"}]", "windows[0]", "has no `to`"},
        {"\"windows\":[{\"from\":\"08:00\",\"to\":\"08:00\"}]", "windows[0]", "24:00"},
        {"\"windows\":[{\"from\":\"24:00\",\"to\":\"08:00\"}]", "windows[0]", "empty"},
        {"\"windows\":[{\"from\":\"8:00\",\"to\":\"09:00\"}]", "windows[0].from", "08:00"},
        {"\"windows\":[{\"from\":\"08:00\",\"to\":\"24:01\"}]", "windows[0].to", "08:00"},
        {"\"windows\":[{\"from\":\"08:61\",\"to\":\"09:00\"}]", "windows[0].from", "08:00"},
        {"\"windows\":[{\"days\":\"monday\",\"from\":\"08:00\",\"to\":\"09:00\"}]", "windows[0].days",
         "mon-fri"},
        {"\"windows\":[{\"days\":\"mon,,tue\",\"from\":\"08:00\",\"to\":\"09:00\"}]", "windows[0].days",
         "mon-fri"},
        {"\"windows\":[{\"until\":\"08:00\",\"from\":\"07:00\"}]", "windows[0].until", "`to`"},
        {"\"windows\":[{\"from\":\"08:00\",\"to\":\"09:00\"}],\"mode\":\"triggered\"", "windows",
         "leave it out"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        template_error_t error;
        if (try_parse(cases[i][0], &error)) fail_msg("%s was taken", cases[i][0]);
        if (strcmp(error.field, cases[i][1]) != 0 || !strstr(error.text, cases[i][2]))
            fail_msg("%s: %s: %s", cases[i][0], error.field, error.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_implied, setup, teardown),
        cmocka_unit_test_setup_teardown(windows_of_a_week, setup, teardown),
        cmocka_unit_test_setup_teardown(refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
