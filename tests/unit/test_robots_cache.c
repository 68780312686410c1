// needs: miner miner/read proto common
// Robots cache: how long a file counts, and what counts while it cannot be had, in a time that the test
// makes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "miner/robots_cache.h"

enum { MINUTE = 60000, HOUR = 60 * MINUTE };
static const char *const url = "https://a.example/x";

static robots_answer_t ask(robots_cache_t *c, int64_t now)
{
    return robots_cache_ask(c, robots_cache_origin(url), url, now).answer;
}

static void put(robots_cache_t *c, error_class_t error, long status, const char *body, int64_t now)
{
    robots_cache_put(c, robots_cache_origin(url), error, status, body, strlen(body), 0, now);
}

static void a_file_counts_for_a_day(void **state)
{
    (void)state;
    robots_cache_t *c = robots_cache_new();
    assert_int_equal(ask(c, 0), ROBOTS_UNKNOWN);
    put(c, ERR_none, 200, "User-agent: *\nDisallow: /x\nCrawl-delay: 7000", 0);
    robots_verdict_t v = robots_cache_ask(c, robots_cache_origin(url), url, 23 * HOUR - 1);
    assert_int_equal(v.answer, ROBOTS_FORBIDDEN);
    assert_int_equal(v.gap_ms, MINUTE);
    assert_false(v.renew);
    v = robots_cache_ask(c, robots_cache_origin(url), url, 23 * HOUR);
    assert_true(v.answer == ROBOTS_FORBIDDEN && v.renew);
    put(c, ERR_timeout, 0, "", 23 * HOUR); // the old one counts on, and it is not tried at once
    v = robots_cache_ask(c, robots_cache_origin(url), url, 23 * HOUR + 1);
    assert_true(v.answer == ROBOTS_FORBIDDEN && !v.renew);
    assert_int_equal(ask(c, 24 * HOUR), ROBOTS_UNKNOWN);
    put(c, ERR_not_found, 404, "", 24 * HOUR);
    assert_int_equal(ask(c, 24 * HOUR), ROBOTS_ALLOWED);
    assert_int_equal(robots_cache_bytes(c), 0);
    robots_cache_destroy(&c);
}

static void a_429_is_unavailable_for_an_hour_and_voids_no_rules(void **state)
{
    (void)state;
    robots_cache_t *c = robots_cache_new();
    put(c, ERR_rate_limited, 429, "", 0);
    robots_verdict_t v = robots_cache_ask(c, robots_cache_origin(url), url, HOUR - 1);
    assert_true(v.answer == ROBOTS_ALLOWED && !v.renew);
    v = robots_cache_ask(c, robots_cache_origin(url), url, HOUR);
    assert_true(v.answer == ROBOTS_ALLOWED && v.renew);
    put(c, ERR_none, 200, "User-agent: *\nDisallow: /x", HOUR);
    put(c, ERR_rate_limited, 429, "", 24 * HOUR + 1);
    assert_int_equal(ask(c, 24 * HOUR + 2), ROBOTS_FORBIDDEN);
    robots_cache_destroy(&c);
}

static void what_cannot_be_had_forbids_and_is_tried_again(void **state)
{
    (void)state;
    robots_cache_t *c = robots_cache_new();
    int64_t now = 1000;
    put(c, ERR_http_5xx, 500, "", now);
    robots_verdict_t v = robots_cache_ask(c, robots_cache_origin(url), url, now + 4999);
    assert_true(v.answer == ROBOTS_UNREACHABLE && v.error == ERR_http_5xx && v.status == 500);
    assert_int_equal(ask(c, now + 5000), ROBOTS_UNKNOWN);
    int64_t waited = 0;
    for (int i = 0; i < 10; i++, now += waited) {
        put(c, ERR_connect, 0, "", now);
        for (waited = 1000; ask(c, now + waited) != ROBOTS_UNKNOWN; waited += 1000) {
        }
    }
    assert_int_equal(waited, MINUTE); // and never longer
    now = 1000 + 30LL * 24 * HOUR;
    put(c, ERR_connect, 0, "", now);
    assert_int_equal(ask(c, now + 1), ROBOTS_ALLOWED);
    robots_cache_destroy(&c);
}

static void files_belong_to_scheme_host_and_port(void **state)
{
    (void)state;
    char at[MAX_URL];
    assert_true(robots_cache_origin("http://a/x") == robots_cache_origin("http://A:80/y?z"));
    assert_true(robots_cache_origin("http://a/x") != robots_cache_origin("https://a/x"));
    assert_true(robots_cache_origin("http://a:443/x") != robots_cache_origin("https://a/x"));
    assert_int_equal(robots_cache_url("https://a.example:8443?x", at), 0);
    assert_string_equal(at, "https://a.example:8443/robots.txt");
    assert_int_equal(robots_cache_url("ftp://a/x", at), -1);
}

static void it_is_bounded(void **state)
{
    (void)state;
    robots_cache_t *c = robots_cache_new();
    static char big[400 << 10];
    memset(big, 'x', sizeof big);
    memcpy(big, "User-agent: *\n", 14);
    for (size_t i = 14; i + 16 < sizeof big; i += 16) memcpy(big + i, "\nDisallow: /long", 16);
    char name[64];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "http://h%d/", i);
        robots_cache_put(c, robots_cache_origin(name), ERR_none, 200, big, sizeof big, 0, i);
        assert_true(robots_cache_bytes(c) <= 32 << 20);
    }
    assert_true(robots_cache_hosts(c) < 100);
    assert_int_equal(robots_cache_ask(c, robots_cache_origin("http://h99/"), "http://h99/", 200).answer,
                     ROBOTS_ALLOWED);
    assert_int_equal(robots_cache_ask(c, robots_cache_origin("http://h0/"), "http://h0/", 200).answer,
                     ROBOTS_UNKNOWN);
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "http://n%d/", i);
        robots_cache_put(c, robots_cache_origin(name), ERR_not_found, 404, "", 0, 0, 1000 + i);
    }
    assert_int_equal(robots_cache_hosts(c), 16384);
    robots_cache_destroy(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_counts_for_a_day),
        cmocka_unit_test(a_429_is_unavailable_for_an_hour_and_voids_no_rules),
        cmocka_unit_test(what_cannot_be_had_forbids_and_is_tried_again),
        cmocka_unit_test(files_belong_to_scheme_host_and_port),
        cmocka_unit_test(it_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
