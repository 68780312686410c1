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

static void note(const hint_t *hints, size_t n)
{
    *seen = 0;
    for (size_t i = 0, at = 0; i < n; i++)
        at += (size_t)snprintf(seen + at, sizeof seen - at, "%s%s: `%s` -> `%s` %zu", at ? "; " : "",
                               hints[i].field, hints[i].selector,
                               hints[i].instead ? hints[i].instead : hints[i].why, hints[i].matches);
}

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
    note(found, hint_all(r.template, false, r.arena, &document, r.items.selector_matches, found, 4));
    reading_close(&r);
    return seen;
}

// The same of a detail page's fields.
static const char *hints_of_detail(const char *page, const char *detail)
{
    char members[2000];
    reading_t r;
    items_t items;
    bool drop;
    hint_t found[4];
    snprintf(members, sizeof members, "\"items\":\"li\",\"fields\":{\"url\":\"a\"},\"detail\":{%s}", detail);
    reading_open(&r, members);
    document_t document = {.bytes = page, .len = strlen(page), .url = r.url};
    assert_int_equal(reader_detail_page(r.reader, r.arena, &document, &items, &drop), READ_OK);
    note(found, hint_all(r.template, true, r.arena, &document, items.selector_matches, found, 4));
    reading_close(&r);
    return seen;
}

// A JSON document's, each with the value or the names that are there.
static const char *hints_of_json(const char *document, const char *members)
{
    reading_t r;
    hint_t found[8];
    reading_open(&r, members);
    (void)reading_text(&r, document);
    document_t again = {.bytes = document, .len = strlen(document), .url = r.url};
    size_t n = hint_all(r.template, false, r.arena, &again, r.items.selector_matches, found, 8);
    *seen = 0;
    for (size_t i = 0, at = 0; i < n; i++)
        at += (size_t)snprintf(seen + at, sizeof seen - at, "%s%s: %s %s", at ? "; " : "", found[i].field,
                               found[i].why, found[i].value);
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
                        " reads, in` 30; n: `.score` -> `no match of `match`, or nothing of the field's type,"
                        " in` 30");
    assert_string_equal(
        hints(html, "\"tr:has(.subline)\"", "\"date\":\".age\"},\"dates\":{\"relative\":true"), "");
    assert_string_equal(hints(html, "\"tr:has(.subline)\"", "\"date\":\".hnuser\""),
                        "date: `.hnuser` -> `no date in` 30");
    assert_string_equal(hints("<p><a href='javascript:x()'>A</a><p><a href=#>B</a>", "\"p\"",
                              "\"title\":\"a\",\"url\":{\"select\":\"a\",\"match\":\"^j.*\"}"),
                        "url: `a` -> `no match of `match`, or nothing of the field's type, in` 2");
    assert_string_equal(hints("<p><a href='javascript:x()'>A</a>", "\"p\"", "\"title\":\"a\",\"url\":\"a\""),
                        "url: `a` -> `no http link in` 1");
    free(html);
}

static void fields_that_are_empty(void **state)
{
    (void)state;
    static const char page[] = "<li class=p><b class=n></b><i class=when data-at=5>x</i>"
                               "<li class=p><b class=n> </b><i class=when data-at=6>y</i>";
    assert_string_equal(hints(page, "\"li.p\"", "\"n\":\".n\",\"t\":\"i\""),
                        "n: `.n` -> `what it matches is empty` 2");
    // an attribute that the item itself has not
    assert_string_equal(hints(page, "\"li.p\"", "\"n\":\"::attr(data-at)\",\"t\":\"i\""),
                        "n: `::attr(data-at)` -> `i.when::attr(data-at)` 2");
    assert_string_equal(hints(page, "\"li.p\"", "\"n\":\"::attr(data-no)\",\"t\":\"i\""), "");
}

// XPath and the hints keep notes at the same place of a page's nodes.
static void beside_xpath(void **state)
{
    (void)state;
    char *html = stories();
    assert_string_equal(
        hints(html, "\"xpath://tr[@id]\"",
              "\"x\":\"xpath:.//b\",\"title\":\"a.storylink::text\",\"date\":\"xpath:.//a\",\"rank\":"
              "\"i.rank\""),
        "title: `a.storylink::text` -> `span.titleline > a::text` 30; date: `xpath:.//a` -> `no date in` 30; "
        "rank: `i.rank` -> `span.titleline` 30");
    free(html);
}

static void details(void **state)
{
    (void)state;
    static const char page[] = "<body class=x><div class=post-text>A long text</div><time>soon</time>";
    assert_string_equal(hints_of_detail(page, "\"fields\":{\"content\":\".posttext\",\"date\":\"time\"}"),
                        "content: `.posttext` -> `div.post-text` 1; date: `time` -> `no date in` 1");
    assert_string_equal(hints_of_detail(page, "\"fields\":{\"x\":\".other\",\"y\":\".post-text\"}"), "");
    assert_string_equal(hints_of_detail("{\"titel\":1}", "\"fields\":{\"title\":\"$.title\"}"),
                        "title: `$.title` -> `an item has` 0");
}

static void of_json(void **state)
{
    (void)state;
    static const char document[] =
        "{\"meta\":{},\"posts\":[{\"id\":1,\"title\":\"T\",\"by\":{\"name\":\"ann\"},\"tags\":[{\"t\":1}],"
        "\"when\":\"soon\",\"none\":null},{\"id\":2}]}";
    assert_string_equal(
        hints_of_json(document,
                      "\"items\":\"$.posts\",\"fields\":{\"id\":\"$.id\",\"title\":\"$.titel\",\"author\":"
                      "\"$.by\",\"x\":\"by.nick\",\"summary\":\"$.tags\",\"date\":[\"$.when\",\"$.id2\"],"
                      "\"m\":\"$$.mata\",\"z\":\"$.none\"}"),
        "title: an item has id, title, by{}, tags[], when, none; author: `$.by` has name; x: `by` has name; "
        "summary: `$.tags[*]` has t; date: no date in soon; m: the document has meta{}, posts[]");
    assert_string_equal(
        hints_of_json("[{\"a\":1}]", "\"kind\":\"json\",\"fields\":{\"t\":\"$['b']\",\"a\":\"$.a\"}"),
        "t: an item has a");
    assert_string_equal(
        hints_of_json("{\"data\":{\"posts\":[]}}", "\"items\":\"$.data.post[*]\",\"fields\":{\"t\":\"$.b\"}"),
        "items: `$.data` has posts[]");
    assert_string_equal(hints_of_json("{\"data\":{}}", "\"items\":\"$.dat\",\"fields\":{\"t\":\"$.b\"}"),
                        "items: the document has data{}");
    assert_string_equal(hints_of_json("[{\"a\":1}]",
                                      "\"kind\":\"json\",\"fields\":{\"t\":\"$..b\",\"u\":\"$[?@.x].b\","
                                      "\"a\":\"$.a\"}"),
                        "");
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
        cmocka_unit_test(fields_that_are_empty),
        cmocka_unit_test(beside_xpath),
        cmocka_unit_test(details),
        cmocka_unit_test(of_json),
        cmocka_unit_test(nothing_to_say),
        cmocka_unit_test(hostile_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
