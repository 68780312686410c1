// needs: miner/read proto common
// robots.txt: RFC 9309's rules, and what the web writes.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "miner/read/robots.h"

typedef struct {
    const char *robots, *agent, *path;
    bool allowed;
    int line;
} case_t;

static void check(const case_t *cases, size_t n)
{
    arena_t *arena = arena_new(4 << 20);
    for (size_t i = 0; i < n; i++) {
        const case_t *c = &cases[i];
        int line;
        arena_reset(arena);
        robots_t *robots = robots_parse(arena, c->robots, strlen(c->robots));
        assert_non_null(robots);
        bool allowed = robots_allowed(robots, c->agent, c->path, &line);
        if (allowed != c->allowed || line != c->line)
            fail_msg("case %zu: %s may%s fetch %s (line %d)", i, c->agent, allowed ? "" : " not", c->path,
                     line);
    }
    arena_destroy(&arena);
}

#define CHECK_TABLE(table) check(table, sizeof table / sizeof *table)

static void test_groups(void **state)
{
    (void)state;
    static const char both[] = "User-agent: rtm\nDisallow: /x\n\nUser-agent: *\nDisallow: /\n";
    static const char shared[] =
        "User-agent: a\nUser-agent: rtm\nDisallow: /x\nUser-agent: b\nDisallow: /y\n";
    static const char twice[] =
        "User-agent: rtm\nDisallow: /x\nUser-agent: b\nDisallow: /\nUser-agent: RTM\nDisallow: /y\n";
    static const case_t cases[] = {
        {"", "rtm", "/", true, 0},
        {"User-agent: J\xC3\xA4ger\nDisallow: /\nUser-agent: *\nDisallow: /x\n", "J", "/", true, 0},
        {"User-agent: J\xC3\xA4ger\nDisallow: /\n", "j\xC3\xA4ger/1.0", "/", false, 2},
        {"User-agent: *\nDisallow: /\n", "rtm", "/a", false, 2},
        {"User-agent: *\nDisallow:\n", "rtm", "/a", true, 0},
        {"Disallow: /\n", "rtm", "/a", true, 0},
        {"Disallow: /\nUser-agent: *\nDisallow: /x", "rtm", "/a", true, 0},
        {both, "rtm", "/x", false, 2},
        {both, "rtm", "/a", true, 0},
        {both, "other", "/a", false, 5},
        {shared, "rtm", "/x1", false, 3},
        {shared, "rtm", "/y", true, 0},
        {shared, "b", "/y", false, 5},
        {shared, "c", "/y", true, 0},
        {twice, "rtm", "/x", false, 2},
        {twice, "rtm", "/y", false, 6},
        {twice, "rtm", "/z", true, 0},
        {"User-agent: *\nDisallow: /a\nUser-agent: *\nDisallow: /b\n", "rtm", "/b", false, 4},
        {"User-agent: a\nSitemap: https://h/s\nUser-agent: rtm\nDisallow: /\n", "a", "/", false, 4},
        {"User-agent: a\nUnknown: 1\nUser-agent: rtm\nDisallow: /\n", "a", "/", false, 4},
        {"User-agent: a\nCrawl-delay: 1\nUser-agent: rtm\nDisallow: /\n", "a", "/", false, 4},
        {"User-agent: rtm\nUser-agent: *\nDisallow: /\n", "rtm", "/", false, 3},
        {"User-agent: rtm\n\n\nDisallow: /\n", "rtm", "/", false, 4},
    };
    CHECK_TABLE(cases);
}

static void test_agents(void **state)
{
    (void)state;
    static const case_t cases[] = {
        {"User-agent: RTM\nDisallow: /", "rtm", "/", false, 2},
        {"User-agent: rtm\nDisallow: /", "RTM/1.0 (+https://example.com)", "/", false, 2},
        {"User-agent: rtm/2.1\nDisallow: /", "rtm", "/", false, 2},
        {"User-agent: rtm bot\nDisallow: /", "rtm", "/", false, 2},
        {"User-agent: rtm-news\nDisallow: /", "rtm", "/", true, 0},
        {"User-agent: rtm\nDisallow: /", "rtm (contact us)", "/", false, 2},
        {"User-agent: rtm\nDisallow: /", "rtm news", "/", true, 0},
        {"User-agent: rtm\nAllow: /\nUser-agent: *\nDisallow: /", "rtm news", "/", false, 4},
        {"User-agent: rtm\nDisallow: /", "rtm-news", "/", true, 0},
        {"User-agent: * all\nDisallow: /", "rtm", "/", false, 2},
        {"User-agent: *bot\nDisallow: /", "rtm", "/", true, 0},
        {"User-agent:\nDisallow: /", "rtm", "/", true, 0},
        {"User-agent: *\nDisallow: /", "", "/", false, 2},
        {"User-agent: 360Spider\nDisallow: /", "360spider", "/", false, 2},
    };
    CHECK_TABLE(cases);
}

static void test_lines(void **state)
{
    (void)state;
    static const case_t cases[] = {
        {"user-agent: *\ndisallow: /x", "rtm", "/x", false, 2},
        {"USER-AGENT:*\nDISALLOW:/x", "rtm", "/x", false, 2},
        {"  User-agent  :  *  \n\tDisallow\t:\t/x\t", "rtm", "/x", false, 2},
        {"User-agent: * # all\nDisallow: /x # secret", "rtm", "/x", false, 2},
        {"# User-agent: a\nUser-agent: *\nDisallow: /x", "rtm", "/x", false, 3},
        {"User-agent: *\r\n\r\nDisallow: /x\r\n", "rtm", "/x", false, 3},
        {"User-agent: *\rDisallow: /x\r", "rtm", "/x", false, 2},
        {"\xEF\xBB\xBFUser-agent: *\nDisallow: /x", "rtm", "/x", false, 2},
        {"\xEF\xBBUser-agent: *\nDisallow: /x", "rtm", "/x", false, 2},
        {"User-agent *\nDisallow /x", "rtm", "/x", false, 2},
        {"Useragent: *\nDissallow: /x", "rtm", "/x", false, 2},
        {"User-agent: *\nDisallow: /x\nDisallow", "rtm", "/x", false, 2},
        {"User-agent: *\nDisallow: #/x", "rtm", "/x", true, 0},
        {"<html><head><title>404: no</title></head>\n<body>User-agent: *</body>", "rtm", "/", true, 0},
    };
    CHECK_TABLE(cases);
}

static void test_paths(void **state)
{
    (void)state;
    static const char nested[] = "User-agent: *\nDisallow: /a/\nAllow: /a/b/\nDisallow: /a/b/c\n";
    static const case_t cases[] = {
        {nested, "rtm", "/", true, 0},
        {nested, "rtm", "/a", true, 0},
        {nested, "rtm", "/a/x", false, 2},
        {nested, "rtm", "/a/b/x", true, 3},
        {nested, "rtm", "/a/b/cd", false, 4},
        {nested, "rtm", "/A/x", true, 0},
        {"User-agent: *\nDisallow: /p\nAllow: /p", "rtm", "/p", true, 3},
        {"User-agent: *\nAllow: /p\nDisallow: /p", "rtm", "/p", true, 2},
        {"User-agent: *\nAllow: /p\nDisallow: /\n", "rtm", "/page", true, 2},
        {"User-agent: *\nDisallow: /\n", "rtm", "/robots.txt", true, 0},
        {"User-agent: *\nDisallow: /\n", "rtm", "", false, 2},
        {"User-agent: *\nDisallow: /\n", "rtm", "http://h.example", false, 2},
        {"User-agent: *\nDisallow: /x\n", "rtm", "https://h.example/x?y#z", false, 2},
        {"User-agent: *\nDisallow: /x\n", "rtm", "/y?u=http://h/x", true, 0},
        {"User-agent: *\nDisallow: /?q=\n", "rtm", "https://h.example?q=1", false, 2},
        {"User-agent: *\nDisallow: /x?a=\n", "rtm", "/x?b=&a=", true, 0},
        {"User-agent: *\nDisallow: x\n", "rtm", "/x", true, 0},
    };
    CHECK_TABLE(cases);
}

static void test_wildcards(void **state)
{
    (void)state;
#define RULE(pattern) "User-agent: *\nDisallow: " pattern "\n"
    static const case_t cases[] = {
        {RULE("/*.php"), "rtm", "/index.php", false, 2},
        {RULE("/*.php"), "rtm", "/a/b.php5?x", false, 2},
        {RULE("/*.php"), "rtm", "/index.PHP", true, 0},
        {RULE("/*.php$"), "rtm", "/index.php", false, 2},
        {RULE("/*.php$"), "rtm", "/index.php?x", true, 0},
        {RULE("/*.php$"), "rtm", "/a.php/b.php", false, 2},
        {RULE("/$"), "rtm", "/", false, 2},
        {RULE("/$"), "rtm", "/a", true, 0},
        {RULE("*"), "rtm", "/a", false, 2},
        {RULE("*$"), "rtm", "/a", false, 2},
        {RULE("$"), "rtm", "/a", true, 0},
        {RULE("*/c"), "rtm", "/a/b/c", false, 2},
        {RULE("/a*/c"), "rtm", "/ab/c", false, 2},
        {RULE("/a*/c"), "rtm", "/a/c", false, 2},
        {RULE("/a***c"), "rtm", "/abc", false, 2},
        {RULE("/a*b*c$"), "rtm", "/aXbYbZc", false, 2},
        {RULE("/a*bc$"), "rtm", "/abcbc", false, 2},
        {RULE("/abc*bc$"), "rtm", "/abc", true, 0},
        {RULE("/a$b"), "rtm", "/a$b", false, 2},
        {RULE("/a$b"), "rtm", "/a", true, 0},
        {RULE("/a%2Ab"), "rtm", "/a*b", false, 2},
        {RULE("/a%2Ab"), "rtm", "/axb", true, 0},
        {RULE("/a%24"), "rtm", "/a$", false, 2},
        {RULE("/a*"), "rtm", "/a", false, 2},
    };
    CHECK_TABLE(cases);
}

static void test_encoding(void **state)
{
    (void)state;
    static const case_t cases[] = {
        {RULE("/foo/bar?baz=quz"), "rtm", "/foo/bar?baz=quz", false, 2},
        {RULE("/foo/ツ"), "rtm", "/foo/%E3%83%84", false, 2},
        {RULE("/foo/%E3%83%84"), "rtm", "/foo/ツ", false, 2},
        {RULE("/foo/%e3%83%84"), "rtm", "/foo/%E3%83%84", false, 2},
        {RULE("/foo/%62%61%7A"), "rtm", "/foo/baz", false, 2},
        {RULE("/foo/baz"), "rtm", "/foo/%62%61%7a", false, 2},
        {RULE("/a%2Fb"), "rtm", "/a/b", true, 0},
        {RULE("/a%2fb"), "rtm", "/a%2Fb", false, 2},
        {RULE("/a%3cd"), "rtm", "/a%3Cd", false, 2},
        {RULE("/find/{words}?q=\"|"), "rtm", "/find/%7Bwords%7D?q=%22%7c", false, 2},
        {RULE("/a%3c%5e"), "rtm", "/a<^", false, 2},
        {RULE("/a%zz"), "rtm", "/a%zz", false, 2},
        {RULE("/a%"), "rtm", "/a%", false, 2},
        {RULE("/~joe/"), "rtm", "/%7Ejoe/x", false, 2},
        {RULE("/%7ejoe/"), "rtm", "/~joe/x", false, 2},
        {RULE("/a b"), "rtm", "/a%20b", false, 2},
        {RULE("/go?to=https://a.example"), "rtm", "/go?to=https%3A%2F%2Fa.example", false, 2},
        {RULE("/go?to=https%3a%2f%2fa.example"), "rtm", "/go?to=https://a.example/x", false, 2},
        {RULE("/go?a=1%26b"), "rtm", "/go?a=1&b", true, 0},
        {RULE("/go/a%3Fb"), "rtm", "/go/a?b", true, 0},
    };
    CHECK_TABLE(cases);
}

static robots_t *parse(arena_t *arena, const char *text)
{
    robots_t *robots = robots_parse(arena, text, strlen(text));
    assert_non_null(robots);
    return robots;
}

static void test_crawl_delay(void **state)
{
    (void)state;
    static const struct {
        const char *robots;
        int64_t ms;
    } cases[] = {
        {"", -1},
        {"User-agent: *\nCrawl-delay: 10", 10000},
        {"User-agent: rtm\nCrawl-delay: 0.5\nUser-agent: *\nCrawl-delay: 10", 500},
        {"User-agent: rtm\nDisallow: /x\nUser-agent: *\nCrawl-delay: 10", -1},
        {"User-agent: *\ncrawl-delay : .25 # s", 250},
        {"User-agent: *\nCrawl-delay: soon", -1},
        {"User-agent: *\nCrawl-delay: -1", -1},
        {"User-agent: *\nCrawl-delay: nan", -1},
        {"User-agent: *\nCrawl-delay: 1e99", 86400000},
        {"Crawl-delay: 10", -1},
    };
    arena_t *arena = arena_new(1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(robots_crawl_delay_ms(parse(arena, cases[i].robots), "rtm"), cases[i].ms);
    arena_destroy(&arena);
}

static void test_sitemaps(void **state)
{
    (void)state;
    arena_t *arena = arena_new(1 << 20);
    const char *const *urls;
    robots_t *robots = parse(arena, "Sitemap: https://h.example/a.xml\nUser-agent: *\nDisallow: /\n"
                                    "sitemap:https://h.example/b.xml # b\nSitemap:\n");
    assert_int_equal(robots_sitemaps(robots, &urls), 2);
    assert_string_equal(urls[0], "https://h.example/a.xml");
    assert_string_equal(urls[1], "https://h.example/b.xml");
    arena_destroy(&arena);
}

static void test_bounds(void **state)
{
    (void)state;
    arena_t *arena = arena_new(32 << 20);
    size_t len = 0, max = 800 << 10;
    char *text = malloc(max + 100);
    len += (size_t)sprintf(text, "User-agent: *\n");
    while (len < max) len += (size_t)sprintf(text + len, "Disallow: /*a*a*a*a*a*a*a*b$\n");
    len += (size_t)sprintf(text + len, "Disallow: /last\n");
    robots_t *robots = robots_parse(arena, text, len);
    assert_non_null(robots);
    assert_true(robots_allowed(robots, "rtm", "/last", NULL)); // it stands behind the 500 KiB
    char path[5000] = "/";
    memset(path + 1, 'a', sizeof path - 2);
    path[sizeof path - 1] = '\0';
    assert_true(robots_allowed(robots, "rtm", path, NULL));
    arena_t *small = arena_new(1000);
    assert_null(robots_parse(small, text, len));
    arena_destroy(&small);
    arena_destroy(&arena);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),      cmocka_unit_test(test_agents),    cmocka_unit_test(test_lines),
        cmocka_unit_test(test_paths),       cmocka_unit_test(test_wildcards), cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_crawl_delay), cmocka_unit_test(test_sitemaps),  cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
