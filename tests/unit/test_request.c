// needs: miner miner/read proto common
// Requests: secrets from files, whom they are for, and which requests go through a proxy.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "miner/proxy.h"
#include "miner/request.h"

static char folder[] = "/tmp/rtm-secrets-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void put(const char *name, const void *bytes, size_t len)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    fclose(f);
}

static void drop(const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

static void secrets_are_one_line_of_a_file(void **state)
{
    (void)state;
    char text[MAX_SECRET + 1];
    const char *why = NULL;
    static char big[MAX_SECRET + 10];
    memset(big, 'x', sizeof big);
    struct {
        const char *bytes;
        size_t len;
        const char *secret;
    } rows[] = {{"abc", 3, "abc"}, {"abc\r\n", 5, "abc"},  {"a b \n\n", 6, "a b "},
                {"", 0, NULL},     {"\n", 1, NULL},        {"a\nb", 3, NULL},
                {"a\0b", 3, NULL}, {big, MAX_SECRET, big}, {big, MAX_SECRET + 1, NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put("s", rows[i].bytes, rows[i].len);
        assert_int_equal(secrets_read(folder, "s", text, &why), rows[i].secret ? 0 : -1);
        if (rows[i].secret) assert_memory_equal(text, rows[i].secret, strlen(text));
    }
    assert_int_equal(secrets_read(NULL, "s", text, &why), -1);
    static const char *const names[] = {"", ".", "..", "../s", "/etc/passwd", ".s", "a/b", "missing"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(secrets_read(folder, names[i], text, &why), -1);
    drop("s");
}

static void requests_have_what_their_origin_may_know(void **state)
{
    (void)state;
    request_texts_t texts;
    template_t t = {.request = {.method = "POST", .body = "x", .body_len = 1, .secret = "s", .ca = "s"}};
    static const struct {
        const char *secret, *sent;
    } rows[] = {{"me:pw", "Basic bWU6cHc="}, {"me:p", "Basic bWU6cA=="}, {"me:", "Basic bWU6"}};
    for (size_t i = 0; i < 3; i++) {
        fetch_request_t r = {0};
        put("s", rows[i].secret, strlen(rows[i].secret));
        assert_int_equal(request_fill(&r, &t, true, folder, &texts), ERR_none);
        assert_string_equal(r.authorization, rows[i].sent);
        assert_string_equal(r.method, "POST");
        assert_non_null(r.ca);
    }
    fetch_request_t foreign = {.foreign = true};
    assert_int_equal(request_fill(&foreign, &t, false, folder, &texts), ERR_none);
    assert_null(foreign.authorization);
    assert_null(foreign.ca);
    assert_null(foreign.body);
    drop("s");
    fetch_request_t r = {0};
    assert_int_equal(request_fill(&r, &t, true, folder, &texts), ERR_no_secret);
    assert_non_null(strstr(texts.why, "\"s\""));
}

static void queries_are_added_to_urls(void **state)
{
    (void)state;
    char out[MAX_URL + 1];
    template_t t = {0};
    assert_string_equal(request_url(&t, "http://a/b#c", out), "http://a/b#c");
    t.request.query = "x=1";
    assert_string_equal(request_url(&t, "http://a/b#c", out), "http://a/b?x=1");
    assert_string_equal(request_url(&t, "http://a/b?y", out), "http://a/b?y&x=1");
}

static void proxies_serve_all_but_some_hosts(void **state)
{
    (void)state;
    assert_true(proxy_serves(NULL, "http://a.example/"));
    assert_false(proxy_serves("*", "http://a.example/"));
    static const char *const list = "b.example, .c.example 10.0.0.1,::1";
    static const char *const direct[] = {
        "http://b.example/x",      "https://B.example:8443", "http://x.b.example", "http://c.example?x",
        "http://u:p@y.c.example/", "http://10.0.0.1:80/",    "http://[::1]:80/"};
    static const char *const served[] = {"http://bb.example", "http://b.example.org/", "http://110.0.0.1/",
                                         "http://x/?b.example", "http://b.example@x/"};
    for (size_t i = 0; i < sizeof direct / sizeof *direct; i++) assert_false(proxy_serves(list, direct[i]));
    for (size_t i = 0; i < sizeof served / sizeof *served; i++) assert_true(proxy_serves(list, served[i]));
}

static void special_hosts_are_known_by_their_names(void **state)
{
    (void)state;
    static const char *const special[] = {"http://localhost/",
                                          "http://x.LOCALHOST.:80/",
                                          "http://127.1/",
                                          "http://0x7f000001",
                                          "http://[::ffff:192.168.0.1]/",
                                          "http://[fe80::1]:8/",
                                          "http://169.254.169.254/latest"};
    static const char *const common[] = {"http://a.example/", "http://8.8.8.8/", "http://[2606:4700::1]/",
                                         "http://localhost.example/"};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) assert_true(proxy_is_special(special[i]));
    for (size_t i = 0; i < sizeof common / sizeof *common; i++) assert_false(proxy_is_special(common[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_one_line_of_a_file),
        cmocka_unit_test(requests_have_what_their_origin_may_know),
        cmocka_unit_test(queries_are_added_to_urls),
        cmocka_unit_test(proxies_serve_all_but_some_hosts),
        cmocka_unit_test(special_hosts_are_known_by_their_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
