// needs: miner/read proto common
// Keys and content hashes, URLs and their normal form, typed values, filters.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <xxhash.h>

#include "miner/read/filter.h"
#include "miner/read/identity.h"
#include "miner/read/url.h"
#include "miner/read/value.h"
#include "proto/limits.h"

static arena_t *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(8 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_destroy(&arena);
    return 0;
}

static void keys_are_taken_in_order(void **state)
{
    (void)state;
    identity_t id;
    identity_init(&id, arena, 0);
    item_t item = {.url = "http://a/1", .title = "t", .content_hash = 1};
    assert_int_equal(identity_assign(&id, &item, "k", "g"), 0);
    assert_string_equal(item.key, "k");
    assert_int_equal(identity_assign(&id, &item, "", "g"), 0);
    assert_string_equal(item.key, "g");
    assert_int_equal(identity_assign(&id, &item, NULL, NULL), 0);
    assert_string_equal(item.key, "http://a/1");
    item_t bare = {.title = "t", .content_hash = 1}, other = {.title = "u", .content_hash = 2};
    assert_int_equal(identity_assign(&id, &bare, NULL, NULL), 0);
    assert_int_equal(identity_assign(&id, &other, NULL, NULL), 0);
    assert_int_equal(strlen(bare.key), 16);
    assert_string_not_equal(bare.key, other.key);
    identity_free(&id);
}

static void repeats_get_keys_of_their_own(void **state)
{
    (void)state;
    identity_t id;
    identity_init(&id, arena, 0);
    item_t items[] = {{.url = "http://a/1", .content_hash = 1},
                      {.url = "http://a/2", .content_hash = 2},
                      {.url = "http://a/2", .content_hash = 3},
                      {.url = "http://a/1", .content_hash = 1}};
    const char *keys[] = {"g", "g|http://a/2", "g|2"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(identity_assign(&id, &items[i], NULL, "g"), 0);
        assert_string_equal(items[i].key, keys[i]);
    }
    // the very same item again
    assert_int_equal(identity_assign(&id, &items[3], NULL, "g"), 1);
    identity_free(&id);
}

static void long_keys_are_hashed(void **state)
{
    (void)state;
    char guid[3 * MAX_KEY];
    memset(guid, 'x', sizeof guid);
    guid[sizeof guid - 1] = '\0';
    identity_t id;
    identity_init(&id, arena, 0);
    item_t a = {.content_hash = 1}, b = {.content_hash = 2};
    assert_int_equal(identity_assign(&id, &a, guid, NULL), 0);
    assert_int_equal(strlen(a.key), 32);
    guid[MAX_KEY] = '\0';
    for (int i = 0; i < 3; i++) {
        b.content_hash++;
        assert_int_equal(identity_assign(&id, &b, guid, NULL), 0);
        assert_true(strlen(b.key) <= MAX_KEY);
    }
    identity_free(&id);
}

static void hash_is_xxh3_of_any_length(void **state)
{
    (void)state;
    char text[3000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * i >> 3);
    for (size_t len = 0; len <= sizeof text; len += len < 600 ? 1 : 97)
        assert_true(identity_hash(text, len) == XXH3_64bits(text, len));
}

static void links_are_resolved(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"http://x.example/a", "http://x.example/a"},
        {" /b ", "http://h.example/b"},
        {"c?d=1", "http://h.example/dir/c?d=1"},
        {"//o.example/", "http://o.example/"},
        {"../up", "http://h.example/up"},
        {"?q", "http://h.example/dir/page?q"},
        {"HTTP://X.example:80/%7e/../a b", "http://x.example/a%20b"},
        {"http://x.example", "http://x.example/"},
        {"http://x.example/./a", "http://x.example/a"},
        {"https://x.example/a/long/path/of-25_chars/./b", "https://x.example/a/long/path/of-25_chars/b"},
        {"https://x.example/0123456789abcde/../b", "https://x.example/b"},
        {"https://x.example/01234567 9abcdefghijklm", "https://x.example/01234567%209abcdefghijklm"},
        {"https://x.example/0123456789abcdefghij/.c", "https://x.example/0123456789abcdefghij/.c"},
        {"https://x.example/0123456789abcdefghij/.", "https://x.example/0123456789abcdefghij/"},
        {"https://x.example", "https://x.example/"},
        {"https://x.exampl/", "https://x.exampl/"},
        {"http://\xC3\xBC.example/", "http://xn--tda.example/"},
        {"javascript:alert(1)", NULL},
        {"mailto:a@b", NULL},
        {"", NULL},
        {"http://", NULL},
        {"http://1.2.3.999/", NULL},
        {"/b/c.html?d=/../e&f#g", "http://h.example/b/c.html?d=/../e&f#g"},
        {"/b/../c", "http://h.example/c"},
        {"/.", "http://h.example/"},
        {"/", "http://h.example/"},
        {"/b\\c", "http://h.example/b/c"},
        {"/\\o.example/", "http://o.example/"},
        {"/b'?'", "http://h.example/b'?%27"},
        {"/\xC3\xBC", "http://h.example/%C3%BC"},
        {"/50% off?50% off", "http://h.example/50%%20off?50%%20off"},
        {"/a%\"b%{c}", "http://h.example/a%%22b%%7Bc%7D"},
        {"/%é%4é", "http://h.example/%%C3%A9%4%C3%A9"},
        {"https://é.example//photo 1é", "https://xn--9ca.example//photo%201%C3%A9"},
        {"//h.example//é/../x", "http://h.example//x"},
        {" \x01 <x> \n", "http://h.example/dir/%3Cx%3E"},
    };
    urls_t *urls = urls_new();
    assert_int_equal(urls_set_base(urls, "http://h.example/dir/page", 25), 0);
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const char *got = urls_resolve(urls, arena, cases[i][0], strlen(cases[i][0]));
            if (cases[i][1])
                assert_string_equal(got, cases[i][1]);
            else
                assert_null(got);
        }
    }
    assert_int_equal(urls_move_base(urls, "/other/", 7), 0);
    assert_string_equal(urls_resolve(urls, arena, "x", 1), "http://h.example/other/x");
    assert_int_equal(urls_move_base(urls, "http://", 7), -1);
    assert_string_equal(urls_resolve(urls, arena, "x", 1), "http://h.example/other/x");
    assert_string_equal(urls_resolve(urls, arena, "/y", 2), "http://h.example/y");
    assert_int_equal(urls_set_base(urls, "https://u:p@O.example:8443?q", 28), 0);
    assert_string_equal(urls_resolve(urls, arena, "/y", 2), "https://u:p@o.example:8443/y");
    assert_int_equal(urls_set_base(urls, "ftp://o.example/", 16), 0);
    assert_null(urls_resolve(urls, arena, "/y", 2));
    assert_int_equal(urls_set_base(urls, NULL, 0), -1);
    assert_null(urls_resolve(urls, arena, "/y", 2));
    assert_null(urls_resolve(urls, arena, "x", 1));
    urls_destroy(&urls);
}

static void normal_forms(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"http://www.A.example/x/?utm_source=f&b=2&a=1#top", "https://a.example/x?a=1&b=2"},
        {"https://a.example", "https://a.example"},
        {"http://a.example/%7ejo/%c3%a9?q=%5b%41%2D%26", "https://a.example/~jo/%C3%A9?q=%5BA-%26"},
        {"https://a.example/100%/%zz%4", "https://a.example/100%/%zz%4"},
        {"http://www.example:81/", "https://www.example:81"},
        {"http://www./", "https://www."},
        {"http://www.a.example?x", "https://a.example?x"},
        {"https://a.example/?fbclid=1", "https://a.example"},
        {"https://a.example/p?id=7", "https://a.example/p?id=7"},
        {"ftp://a.example/", NULL},
    };
    urls_t *urls = urls_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = urls_norm(urls, arena, cases[i][0]);
        if (cases[i][1])
            assert_string_equal(got, cases[i][1]);
        else
            assert_null(got);
    }
    urls_destroy(&urls);
}

static void values_by_type(void **state)
{
    (void)state;
    static const struct {
        field_type_t type;
        const char *match, *raw, *text; // NULL: no value
    } cases[] = {
        {TYPE_TEXT, NULL, "  a\n b ", "a\nb"},
        {TYPE_TEXT, "b(.)", "abc", "c"},
        {TYPE_TEXT, "\\w+", "--abc--", "abc"},
        {TYPE_TEXT, "x", "abc", NULL},
        {TYPE_TEXT, NULL, "  ", NULL},
        {TYPE_INTEGER, NULL, "1,234 points", "1234"},
        {TYPE_INTEGER, NULL, "1.234.567", "1234567"},
        {TYPE_INTEGER, NULL, "1.2k", "1200"},
        {TYPE_INTEGER, NULL, "3M views", "3000000"},
        {TYPE_INTEGER, NULL, "5 most", "5"},
        {TYPE_INTEGER, NULL, "-7", "-7"},
        {TYPE_INTEGER, NULL,
         "\xE2\x88\x92"
         "7",
         "-7"},
        {TYPE_INTEGER, NULL, "007", "7"},
        {TYPE_INTEGER, NULL, "none", NULL},
        {TYPE_INTEGER, NULL, "12345678901234567890123", "12345678901234567890123"},
        {TYPE_INTEGER, NULL, "2026-07", "2026"},
        {TYPE_INTEGER, NULL, "1 234", "1234"},
        {TYPE_NUMBER, NULL, "3.14", "3.14"},
        {TYPE_NUMBER, NULL, "1,234.50 EUR", "1234.50"},
        {TYPE_NUMBER, NULL, "1.234,5", "1234.5"},
        {TYPE_NUMBER, NULL, "12,5", "12.5"},
        {TYPE_NUMBER, NULL, "1.234", "1.234"},
        {TYPE_NUMBER, NULL, "1e3", "1000"},
        {TYPE_NUMBER, NULL, "-0.5", "-0.5"},
        {TYPE_NUMBER, NULL, "1.2e-7", "1.2e-7"},
        {TYPE_TIME, NULL, "2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z"},
        {TYPE_TIME, NULL, "soon", NULL},
        {TYPE_URL, NULL, "/x", "http://h/x"},
        {TYPE_URL, NULL, "data:x", NULL},
        {TYPE_HTML, NULL, " <b>x</b>", " <b>x</b>"},
    };
    urls_t *urls = urls_new();
    urls_set_base(urls, "http://h/", 9);
    for (size_t k = 0; k < 2 * sizeof cases / sizeof *cases; k++) {
        size_t i = k / 2;
        template_error_t error;
        field_t field = {.name = "x", .type = cases[i].type, .match = cases[i].match};
        value_rule_t *rule = value_rule_new(&field, "fields.x", &error);
        value_t value;
        value_status_t status =
            value_read(rule, urls, arena, cases[i].raw, strlen(cases[i].raw), k % 2, false, 1000, &value);
        assert_int_equal(status, cases[i].text ? VALUE_OK : VALUE_NONE);
        if (cases[i].text) assert_string_equal(value.text, cases[i].text);
        value_rule_destroy(&rule);
    }
    template_error_t error;
    field_t bad = {.name = "x", .match = "(a"};
    assert_null(value_rule_new(&bad, "fields.x", &error));
    assert_string_equal(error.field, "fields.x.match");
    urls_destroy(&urls);
}

static bool wanted(const template_t *t, const item_t *item)
{
    template_error_t error;
    bool yes = false;
    filters_t *f = filters_new(t, false, &error);
    assert_non_null(f);
    assert_int_equal(filters_judge(f, item, &yes), READ_OK);
    filters_destroy(&f);
    return yes;
}

static void filters_judge_columns_and_fields(void **state)
{
    (void)state;
    const char *c[] = {"(?i)linux", "BSD"}, *ads[] = {"/ads/"}, *ten[] = {"^[1-9]\\d"};
    filter_t list[] = {{"title", c, 2, false}, {"url", ads, 1, true}, {"points", ten, 1, false}};
    template_t t = {.filters = list, .n_filters = 3};
    item_t item = {.title = "On LINUX", .url = "http://a/1", .fields = "{\"points\":12}"};
    assert_true(wanted(&t, &item));
    item.fields = "{\"points\":3}";
    assert_false(wanted(&t, &item));
    item.fields = NULL;
    assert_false(wanted(&t, &item));
    t.n_filters = 2;
    assert_true(wanted(&t, &item));
    item.url = "http://a/ads/1";
    assert_false(wanted(&t, &item));
    item = (item_t){.title = "Windows"};
    assert_false(wanted(&t, &item));
    t.n_filters = 0;
    t.url_drops = ads, t.n_url_drops = 1;
    item.url = "http://a/ads/1";
    assert_false(wanted(&t, &item));
    const char *bad[] = {"("};
    template_error_t error;
    filter_t broken = {"title", bad, 1, true};
    template_t u = {.filters = &broken, .n_filters = 1};
    assert_null(filters_new(&u, false, &error));
    assert_string_equal(error.field, "drop.title");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_are_taken_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(repeats_get_keys_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(long_keys_are_hashed, setup, teardown),
        cmocka_unit_test(hash_is_xxh3_of_any_length),
        cmocka_unit_test_setup_teardown(links_are_resolved, setup, teardown),
        cmocka_unit_test_setup_teardown(normal_forms, setup, teardown),
        cmocka_unit_test_setup_teardown(values_by_type, setup, teardown),
        cmocka_unit_test_setup_teardown(filters_judge_columns_and_fields, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
