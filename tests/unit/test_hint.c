// needs: miner/read proto common
// Hints for selectors that match nothing.

#include "miner/read/hint.h"
#include "tests/unit/reading.h"

// A table of stories as one large site has it, with made-up words.
static char *stories(void)
{
    char *html = calloc(1, 1 << 20);
    size_t n = (size_t)sprintf(
        html, "<!doctype html><body><table><tr><td class=pagetop><a href=a>new</a> <a href=b>past</a> "
              "<a href=c>comments</a></table><table>");
    for (int i = 1; i <= 30; i++)
        n += (size_t)sprintf(
            html + n,
            "<tr class='athing submission' id=%d><td class=title><span class=rank>%d.</span><td class=title>"
            "<span class=titleline><a href='https://a.example/%d'>A quite long title, number %d of thirty</a>"
            "<span class='sitebit comhead'> (<a href=from><span "
            "class=sitestr>a.example</span></a>)</span></span>"
            "<tr><td><td class=subtext><span class=subline><span class=score>%d points</span> by <a href=u "
            "class=hnuser>ann</a> <span class=age title='2026-07-24'><a href=i>1 hour ago</a></span> | "
            "<a href=h>hide</a> | <a href=i>%d comments</a></span><tr class=spacer style='height:5px'>",
            i, i, i, i, i, i);
    return html;
}

static char seen[2000];

// "items: `a` -> `b` 30; ..." of a template's items and fields.
static const char *hints(const char *html, const char *items, const char *fields)
{
    char members[2000];
    reading_t r;
    hint_t found[4];
    snprintf(members, sizeof members, "\"kind\":\"html\",\"items\":%s,\"fields\":{%s}", items, fields);
    reading_open(&r, members);
    (void)reading_text(&r, html);
    document_t document = {.bytes = html, .len = strlen(html), .url = r.url};
    size_t n = hint_html(r.template, r.arena, &document, r.items.selector_matches, found, 4);
    *seen = 0;
    for (size_t i = 0, at = 0; i < n; i++)
        at += (size_t)snprintf(seen + at, sizeof seen - at, "%s%s: `%s` -> `%s` %zu", at ? "; " : "",
                               found[i].field, found[i].selector,
                               found[i].instead ? found[i].instead : found[i].why, found[i].matches);
    reading_close(&r);
    return seen;
}

static void items_that_match_nothing(void **state)
{
    (void)state;
    char *html = stories();
    assert_string_equal(hints(html, "\"a.storylink\"", "\"title\":\"::text\""),
                        "items: `a.storylink` -> `span.titleline > a` 30");
    assert_string_equal(hints(html, "\"table.list > tr.thing\"", "\"title\":\"a\""),
                        "items: `table.list > tr.thing` -> `tr.athing` 30");
    assert_string_equal(hints(html, "[\"article.x\",\"article.y\"]", "\"title\":\"a\""),
                        "items: `article.x` -> `tr.athing` 30");
    assert_string_equal(hints(html, "\"xpath://article\"", "\"title\":\"a\""), "");
    free(html);
}

static void fields_that_match_nothing(void **state)
{
    (void)state;
    char *html = stories();
    assert_string_equal(hints(html, "\"tr.athing\"",
                              "\"title\":\"a.storylink::text\",\"url\":\"a.storylink::attr(href)\","
                              "\"rank\":\".rank\",\"gone\":[\"i.x\",\"span.rankings::text\"]"),
                        "title: `a.storylink::text` -> `span.titleline > a::text` 30; "
                        "url: `a.storylink::attr(href)` -> `span.titleline > a::attr(href)` 30; "
                        "gone: `i.x` -> `span.titleline` 30");
    assert_string_equal(hints(html, "\"tr.athing\"", "\"title\":[\".nothing\",\".titleline\"]"), "");
    free(html);
}

static void fields_that_get_no_value(void **state)
{
    (void)state;
    char *html = stories();
    assert_string_equal(hints(html, "\"tr:has(.subline)\"",
                              "\"title\":\".hnuser\",\"date\":\".age::text\","
                              "\"n\":{\"select\":\".score\",\"match\":\"x(\\\\d+)\"}"),
                        "date: `.age::text` -> `a relative date, which `\"dates\": {\"relative\": true}`"
                        " reads,` 30; n: `.score` -> `no match of `match`, or nothing of the field's type,`"
                        " 30");
    assert_string_equal(
        hints(html, "\"tr:has(.subline)\"", "\"date\":\".age\"},\"dates\":{\"relative\":true"), "");
    assert_string_equal(hints(html, "\"tr:has(.subline)\"", "\"date\":\".hnuser\""),
                        "date: `.hnuser` -> `no date` 30");
    assert_string_equal(hints("<p><a href='javascript:x()'>A</a><p><a href=#>B</a>", "\"p\"",
                              "\"title\":\"a\",\"url\":{\"select\":\"a\",\"match\":\"^j.*\"}"),
                        "url: `a` -> `no match of `match`, or nothing of the field's type,` 2");
    assert_string_equal(hints("<p><a href='javascript:x()'>A</a>", "\"p\"", "\"title\":\"a\",\"url\":\"a\""),
                        "url: `a` -> `no http link` 1");
    free(html);
}

static void nothing_to_say(void **state)
{
    (void)state;
    assert_string_equal(hints("<p>plain", "\"a.x\"", "\"title\":\"b\""), "");
    assert_string_equal(hints("", "\"a.x\"", "\"title\":\"b\""), "");
    assert_string_equal(hints("<i class='a b'>1</i><i class='12ab'>2", "\"i.x\"", "\"title\":\"b\""), "");
}

static void hostile_pages(void **state)
{
    (void)state;
    size_t size = 4 << 20, n = 0;
    char *html = malloc(size);
    for (int i = 0; i < 3000; i++)
        n += (size_t)sprintf(html + n, "<div class='c%c%c x y z'>", 'a' + i % 26, 'a' + i / 26 % 26);
    for (int i = 0; i < 60000; i++) n += (size_t)sprintf(html + n, "<b class='k%x'>x</b>", i % 4096);
    hints(html, "\"a.x\"", "\"title\":\"b\"");
    hints(html, "\"div\"", "\"title\":\"i.x\"");
    free(html);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_that_match_nothing),
        cmocka_unit_test(fields_that_match_nothing),
        cmocka_unit_test(fields_that_get_no_value),
        cmocka_unit_test(nothing_to_say),
        cmocka_unit_test(hostile_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
