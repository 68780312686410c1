// needs: miner miner/read proto common
// Fetch and address: what can be said without a server; the rest is in tests/system/test_miner.py.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "miner/address.h"
#include "miner/detail.h"
#include "miner/fetch.h"

static bool special(const char *text)
{
    struct sockaddr_storage storage;
    memset(&storage, 0, sizeof storage);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
    if (strchr(text, ':')) {
        v6->sin6_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
    } else {
        v4->sin_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, text, &v4->sin_addr), 1);
    }
    return address_is_special((struct sockaddr *)&storage);
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const refused[] = {"0.0.0.0",
                                          "10.1.2.3",
                                          "100.64.0.1",
                                          "127.0.0.1",
                                          "127.255.0.1",
                                          "169.254.169.254",
                                          "172.16.0.1",
                                          "172.31.9.9",
                                          "192.168.0.1",
                                          "198.18.0.1",
                                          "224.0.0.1",
                                          "255.255.255.255",
                                          "::",
                                          "::1",
                                          "fe80::1",
                                          "fc00::1",
                                          "fd12:3456::1",
                                          "ff02::1",
                                          "::ffff:10.0.0.1",
                                          "64:ff9b::7f00:1",
                                          "2002:7f00:1::",
                                          "2001:db8::1",
                                          "2001::1"};
    static const char *const allowed[] = {"1.1.1.1",        "100.63.255.255",   "100.128.0.1",
                                          "172.15.0.1",     "172.32.0.1",       "192.167.1.1",
                                          "223.255.255.1",  "198.20.0.1",       "2606:4700::1111",
                                          "::ffff:1.1.1.1", "64:ff9b::101:101", "2a00::1"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (!special(refused[i])) fail_msg("%s is allowed", refused[i]);
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (special(allowed[i])) fail_msg("%s is refused", allowed[i]);
    assert_true(address_is_special(&(struct sockaddr){.sa_family = AF_UNIX}));
}

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        long status;
        bool retry_after, challenge;
        error_class_t error;
    } rows[] = {{200, false, false, ERR_none},         {304, false, false, ERR_none},
                {404, false, false, ERR_not_found},    {410, false, false, ERR_gone},
                {403, false, false, ERR_http_4xx},     {403, false, true, ERR_challenge},
                {429, false, false, ERR_rate_limited}, {503, true, false, ERR_rate_limited},
                {503, false, false, ERR_http_5xx},     {500, true, false, ERR_http_5xx},
                {451, true, false, ERR_http_4xx},      {503, true, true, ERR_challenge},
                {300, false, false, ERR_redirects}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(fetch_status_error(rows[i].status, rows[i].retry_after, rows[i].challenge),
                         rows[i].error);
}

static void test_retry_after(void **state)
{
    (void)state;
    assert_int_equal(fetch_retry_after("17", 0), 17);
    assert_int_equal(fetch_retry_after("17 ", 0), 17);
    assert_int_equal(fetch_retry_after("9999999", 0), 86400);
    assert_int_equal(fetch_retry_after("-5", 0), 0);
    assert_int_equal(fetch_retry_after("soon", 0), 0);
    assert_int_equal(fetch_retry_after("", 0), 0);
    assert_int_equal(fetch_retry_after("Thu, 01 Jan 1970 00:02:00 GMT", 100), 20);
    assert_int_equal(fetch_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 100), 0);
    assert_int_equal(fetch_retry_after("99999999999999999999999", 0), 86400);
}

static void test_details(void **state)
{
    (void)state;
    arena_t *arena = arena_new(1 << 20);
    item_t item = {
        .key = "k", .url = "https://a.example/", .fields = "{\"more\":\"http://b.example/\",\"n\":1}"};
    assert_string_equal(detail_url(arena, "url", &item), "https://a.example/");
    assert_string_equal(detail_url(arena, "more", &item), "http://b.example/");
    assert_null(detail_url(arena, "n", &item));
    assert_null(detail_url(arena, "none", &item));
    item.url = "javascript:x()";
    assert_null(detail_url(arena, "url", &item));

    item_t page = {.title = "page", .fields = "{\"n\":2}", .published_ms = TIME_NONE}, whole;
    item.title = "list", item.summary = "list", item.published_ms = 5;
    detail_merge(arena, &item, &page, &whole);
    assert_string_equal(whole.title, "page");
    assert_string_equal(whole.summary, "list");
    assert_string_equal(whole.fields, "{\"more\":\"http://b.example/\",\"n\":1,\"n\":2}");
    assert_int_equal(whole.published_ms, 5);
    page.fields = "{}";
    detail_merge(arena, &item, &page, &whole);
    assert_string_equal(whole.fields, item.fields);
    assert_true(detail_is_permanent(ERR_not_found));
    assert_false(detail_is_permanent(ERR_http_5xx));

    arena_t *tiny = arena_new(sizeof(item_t) + 8);
    assert_null(detail_keep(tiny, &item));
    const item_t *copy = detail_keep(arena, &item);
    assert_ptr_not_equal(copy->title, item.title);
    assert_string_equal(copy->title, item.title);
    assert_null(copy->content);
    arena_destroy(&tiny);
    arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_details),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
