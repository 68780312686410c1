// needs: bench/site common
// The simulated web's world and pages: deterministic, complete, and true to each other.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/site/pages.h"
#include "bench/site/world.h"

#define START 1700000000000LL

typedef struct {
    unsigned n;
    int64_t last_ms;
    uint64_t sum; // of all that was told
    unsigned updates;
} told_t;

static void hear(void *arg, const world_item_t *item)
{
    told_t *told = arg;
    assert_true(item->changed_ms >= told->last_ms);
    told->last_ms = item->changed_ms;
    told->n++;
    if (item->revision > 1) told->updates++;
    for (const char *c = item->title; *c; c++) told->sum = told->sum * 31 + (unsigned char)*c;
    told->sum = told->sum * 31 + (uint64_t)item->changed_ms;
}

static world_options_t options(void)
{
    return (world_options_t){.seed = 7,
                             .sources = 8,
                             .hosts = 2,
                             .kinds = {SITE_HTML, SITE_RSS, SITE_ATOM, SITE_JSON},
                             .n_kinds = 4,
                             .rate = 10,
                             .updates = 0.5,
                             .update_after_ms = 1000,
                             .pinned = 1,
                             .backlog = 3,
                             .window = 10,
                             .min_stay_ms = 5000,
                             .start_ms = START,
                             .port = 8080};
}

static void is_deterministic_however_time_is_cut(void **state)
{
    (void)state;
    world_options_t opt = options();
    told_t once = {0}, often = {0};
    world_t *a = world_new(&opt, hear, &once), *b = world_new(&opt, hear, &often);
    world_advance(a, START + 60000);
    for (int64_t t = 0; t <= 60000; t += 7) world_advance(b, START + t);
    world_advance(b, START + 60000);
    assert_int_equal(once.n, often.n);
    assert_int_equal(once.sum, often.sum);
    assert_in_range(world_counts(a).posts, 450, 750);
    assert_in_range(once.updates, world_counts(a).posts / 3, world_counts(a).posts * 2 / 3);
    assert_int_equal(once.n, world_counts(a).posts + world_counts(a).updates);
    world_destroy(&a);
    world_destroy(&b);
}

static void another_seed_is_another_world(void **state)
{
    (void)state;
    world_options_t opt = options();
    told_t one = {0}, two = {0};
    world_t *a = world_new(&opt, hear, &one);
    opt.seed = 8;
    world_t *b = world_new(&opt, hear, &two);
    world_advance(a, START + 10000);
    world_advance(b, START + 10000);
    assert_true(one.sum != two.sum);
    world_destroy(&a);
    world_destroy(&b);
}

static void exact_posts_come_by_turns(void **state)
{
    (void)state;
    world_options_t opt = options();
    opt.exact = true;
    opt.updates = 0;
    told_t told = {0};
    world_t *world = world_new(&opt, hear, &told);
    world_advance(world, START + 99);
    assert_int_equal(told.n, 0);
    world_advance(world, START + 100);
    assert_int_equal(told.n, 1);
    world_advance(world, START + 8000);
    assert_int_equal(told.n, 80);
    world_item_t item;
    for (uint32_t s = 0; s < opt.sources; s++) {
        assert_int_equal(world_item(world, s, 13, &item), 0); // 1 pinned, 3 there, 10 new
        assert_int_equal(world_item(world, s, 14, &item), -1);
    }
    world_destroy(&world);
}

static void nothing_happens_while_stopped(void **state)
{
    (void)state;
    world_options_t opt = options();
    told_t told = {0};
    world_t *world = world_new(&opt, hear, &told);
    world_set_posting(world, START + 3000, false);
    unsigned n = told.n;
    assert_true(n > 0);
    world_advance(world, START + 60000);
    assert_int_equal(told.n, n);
    assert_int_equal(world_post(world, START + 60000, 3), 0);
    assert_int_equal(world_post(world, START + 60000, 8), -1);
    assert_int_equal(told.n, n + 1);
    world_set_posting(world, START + 61000, true);
    world_advance(world, START + 61000);
    assert_int_equal(told.n, n + 1);
    world_advance(world, START + 65000);
    assert_true(told.n > n + 1);
    world_destroy(&world);
}

static unsigned rows_of(const world_t *world, uint32_t source, uint32_t rows[WORLD_ROWS_MAX])
{
    unsigned n = world_rows(world, source, rows);
    assert_true(n >= 1 && rows[0] == 0); // the pinned one
    for (unsigned i = 2; i < n; i++) assert_int_equal(rows[i], rows[i - 1] - 1);
    return n;
}

// Polled every min_stay, every post is seen, and each at its last revision before it goes.
static void a_post_stays_long_enough(void **state)
{
    (void)state;
    world_options_t opt = options();
    opt.rate = 40; // 5 a second in each source: more than the window holds in 5 s
    told_t told = {0};
    world_t *world = world_new(&opt, hear, &told);
    uint32_t *rows = malloc(WORLD_ROWS_MAX * sizeof *rows), next[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    unsigned most = 0;
    for (int64_t t = 0; t <= 60000; t += opt.min_stay_ms - 1) {
        world_advance(world, START + t);
        for (uint32_t s = 0; s < opt.sources; s++) {
            unsigned n = rows_of(world, s, rows);
            assert_true(rows[n - 1] <= next[s]); // nothing between the last poll and this one is gone
            next[s] = rows[1] + 1;
            if (n > most) most = n;
        }
    }
    assert_in_range(most, opt.window + 2, 100);
    free(rows);
    world_destroy(&world);
}

static void a_full_source_puts_posts_off(void **state)
{
    (void)state;
    world_options_t opt = options();
    opt.rate = 0;
    world_t *world = world_new(&opt, NULL, NULL);
    uint32_t *rows = malloc(WORLD_ROWS_MAX * sizeof *rows);
    for (int i = 0; i < 2 * WORLD_ROWS_MAX; i++) (void)world_post(world, START + 1, 0);
    assert_int_equal(world_rows(world, 0, rows), WORLD_ROWS_MAX);
    assert_true(world_counts(world).put_off > 0);
    assert_int_equal(world_counts(world).posts + world_counts(world).put_off, 2 * WORLD_ROWS_MAX);
    assert_int_equal(world_post(world, START + 10000, 0), 0);
    assert_int_equal(world_rows(world, 0, rows), opt.window + 1);
    free(rows);
    world_destroy(&world);
}

static void hosts_and_kinds_are_spread(void **state)
{
    (void)state;
    world_options_t opt = options();
    opt.sources = 500;
    opt.hosts = 50;
    world_t *world = world_new(&opt, NULL, NULL);
    unsigned per_host[50] = {0}, per_kind[SITE_KINDS] = {0};
    for (uint32_t s = 0; s < opt.sources; s++) {
        per_host[world_host(world, s)]++;
        per_kind[world_kind(world, s)]++;
    }
    for (int i = 0; i < 50; i++) assert_int_equal(per_host[i], 10);
    for (int i = 0; i < SITE_KINDS; i++) assert_in_range(per_kind[i], 115, 135);
    assert_int_not_equal(world_kind(world, 0), world_kind(world, 50)); // the same host
    world_destroy(&world);
}

static void hosts_are_found_by_their_names(void **state)
{
    (void)state;
    world_options_t opt = options();
    opt.hosts = WORLD_HOSTS_MAX;
    world_t *world = world_new(&opt, NULL, NULL);
    char url[128];
    for (uint32_t host = 0; host < opt.hosts; host += 997) {
        world_base_url(world, host, url, sizeof url);
        assert_int_equal(world_host_named(world, url + strlen("http://")), host);
    }
    assert_int_equal(world_host_named(world, "127.1.0.1"), 0);
    assert_int_equal(world_host_named(world, "127.1.249.250:1"), 62499);
    const char *const bad[] = {"127.0.0.1",  "127.1.0.0", "127.1.0.251", "127.1.250.1",
                               "127.1.0.1x", "",          "localhost"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(world_host_named(world, bad[i]), -1);
    world_destroy(&world);

    opt.hosts = 12;
    opt.host_names = "site-%d.test";
    opt.port = 80;
    world = world_new(&opt, NULL, NULL);
    world_base_url(world, 11, url, sizeof url);
    assert_string_equal(url, "http://site-11.test");
    assert_int_equal(world_host_named(world, "site-11.test"), 11);
    assert_int_equal(world_host_named(world, "site-11.test:8080"), 11);
    assert_int_equal(world_host_named(world, "site-12.test"), -1);
    assert_int_equal(world_host_named(world, "site-1.tes"), -1);
    assert_int_equal(world_host_named(world, "site-.test"), -1);
    world_destroy(&world);
}

static void wrong_options_are_named(void **state)
{
    (void)state;
    world_options_t opt = options();
    assert_null(world_check(&opt));
    opt.hosts = 0;
    assert_non_null(world_check(&opt));
    opt = options();
    opt.window = 0;
    assert_non_null(world_check(&opt));
    opt = options();
    opt.host_names = "no-number";
    assert_non_null(world_check(&opt));
    opt = options();
    opt.rate = -1;
    assert_non_null(world_check(&opt));
}

static unsigned count(const char *text, size_t len, const char *what)
{
    unsigned n = 0;
    const char *end = text + len;
    while ((text = memmem(text, (size_t)(end - text), what, strlen(what)))) {
        n++;
        text++;
    }
    return n;
}

static void a_page_shows_each_row_once(void **state)
{
    (void)state;
    world_options_t opt = options();
    world_t *world = world_new(&opt, NULL, NULL);
    world_advance(world, START + 30000);
    static const char *const keys[SITE_KINDS] = {"id=\"%s\">", ">%s</guid>", "<id>%s</id>", "{\"id\":\"%s\""};
    static const char *const rows_begin[SITE_KINDS] = {"<tr class=\"athing", "<item>", "<entry>", "{\"id\":"};
    uint32_t *rows = malloc(WORLD_ROWS_MAX * sizeof *rows);
    for (uint32_t s = 0; s < opt.sources; s++) {
        page_t page;
        assert_int_equal(page_list(&page, world, s, true), 0);
        unsigned n = world_rows(world, s, rows);
        site_kind_t kind = world_kind(world, s);
        unsigned decoys = kind == SITE_HTML ? 1 : 0; // in a script
        assert_int_equal(count(page.bytes, page.len, rows_begin[kind]), n + decoys);
        if (kind == SITE_HTML) assert_in_range(page.len, PAGE_PADDED, PAGE_PADDED + 5000);
        for (unsigned i = 0; i < n; i++) {
            world_item_t item;
            assert_int_equal(world_item(world, s, rows[i], &item), 0);
            char key[80];
            const char *mark = strstr(keys[kind], "%s");
            snprintf(key, sizeof key, "%.*s%s%s", (int)(mark - keys[kind]), keys[kind], item.key, mark + 2);
            assert_int_equal(count(page.bytes, page.len, key), 1);
        }
        page_free(&page);
    }
    free(rows);
    world_destroy(&world);
}

static void shuffling_changes_numbers_alone(void **state)
{
    (void)state;
    world_options_t opt = options();
    world_t *world = world_new(&opt, NULL, NULL);
    for (uint32_t s = 0; s < opt.sources; s++) {
        page_t page;
        assert_int_equal(page_list(&page, world, s, false), 0);
        char *copy = malloc(page.len);
        memcpy(copy, page.bytes, page.len);
        page_shuffle(&page, copy, 99);
        assert_int_equal(page.n_points, 4);
        size_t differ = 0;
        for (size_t i = 0; i < page.len; i++) {
            if (copy[i] == page.bytes[i]) continue;
            differ++;
            assert_in_range(copy[i], '0', '9');
            assert_in_range(page.bytes[i], '0', '9');
        }
        assert_in_range(differ, 1, 16);
        free(copy);
        page_free(&page);
    }
    world_destroy(&world);
}

static void truth_and_detail_tell_the_post(void **state)
{
    (void)state;
    world_options_t opt = options();
    world_t *world = world_new(&opt, NULL, NULL);
    world_item_t item;
    assert_int_equal(world_item(world, 3, 1, &item), 0);
    assert_true(item.backlog && !item.pinned && item.revision == 1);
    assert_int_equal(item.changed_ms, START);
    assert_true(item.posted_ms < START);
    buf_t out;
    buf_init(&out, PAGE_MAX);
    assert_int_equal(page_truth(&out, world, &item), 0);
    assert_non_null(strstr(buf_cstr(&out), "\"key\":\"urn:post:3-1\""));
    assert_non_null(strstr(buf_cstr(&out), "\"item_url\":\"http://127.1.0.2:8080/s/3/p/1\""));
    assert_non_null(strstr(buf_cstr(&out), "\"event\":\"post\""));
    assert_null(strchr(buf_cstr(&out), '\n'));
    buf_reset(&out);
    snprintf(item.title, sizeof item.title, "<b> & \"c\"");
    assert_int_equal(page_detail(&out, &item), 0);
    assert_non_null(strstr(buf_cstr(&out), "<h1>&lt;b&gt; &amp; &quot;c&quot;</h1>"));
    assert_non_null(strstr(buf_cstr(&out), item.body));
    buf_free(&out);
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_deterministic_however_time_is_cut),
        cmocka_unit_test(another_seed_is_another_world),
        cmocka_unit_test(exact_posts_come_by_turns),
        cmocka_unit_test(nothing_happens_while_stopped),
        cmocka_unit_test(a_post_stays_long_enough),
        cmocka_unit_test(a_full_source_puts_posts_off),
        cmocka_unit_test(hosts_and_kinds_are_spread),
        cmocka_unit_test(hosts_are_found_by_their_names),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(a_page_shows_each_row_once),
        cmocka_unit_test(shuffling_changes_numbers_alone),
        cmocka_unit_test(truth_and_detail_tell_the_post),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
