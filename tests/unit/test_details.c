// needs: miner/read proto common
// Detail pages that are JSON, or have it in them. Those of HTML: test_html.
#include "tests/unit/reading.h"

#define LIST "\"kind\":\"json\",\"fields\":{\"title\":\"$.t\",\"url\":\"$.u\"},\"detail\":"
#define STORY                                                                                         \
    "\"fields\":{\"title\":\"$.title\",\"url\":\"$.url\",\"author\":\"by\",\"published\":\"$.time\"," \
    "\"n\":\"$.n\"}"

static char seen[1000];

static const char *text_of(const char *text)
{
    return text ? text : "-";
}

// "status: title url author published fields" of a page by the members of `detail`; behind it "!" if it is
// not wanted.
static const char *found(const char *detail, const char *page)
{
    reading_t r;
    item_t item;
    bool drop;
    char members[1000];
    snprintf(members, sizeof members, LIST "{%s}", detail);
    reading_open(&r, members);
    read_status_t status = reading_detail(&r, page, &item, &drop);
    assert_null(item.key);
    snprintf(seen, sizeof seen, "%s: %s %s %s %lld %s%s", read_status_name(status), text_of(item.title),
             text_of(item.url), text_of(item.author),
             item.published_ms == TIME_NONE ? 0 : (long long)item.published_ms, text_of(item.fields),
             drop ? " !" : "");
    reading_close(&r);
    return seen;
}

static void a_document_of_its_own(void **state)
{
    (void)state;
    assert_string_equal(found(STORY, "{\"title\":\"A\",\"url\":\"../b\",\"by\":\"ann\",\"time\":1784885400,"
                                     "\"n\":9007199254740993}"),
                        "ok: A https://a.example/b ann 1784885400000 {\"n\":9007199254740993}");
    assert_string_equal(found("\"kind\":\"json\",\"fields\":{\"author\":\"by\"}", "{\"by\":\"ann\"}"),
                        "ok: - - ann 0 -");
    assert_string_equal(found("\"fields\":{\"published\":\"$.time\"}", "{\"time\":1784885400}"),
                        "ok: - - - 1784885400000 -");
    assert_string_equal(found("\"fields\":{\"published\":\"$.time\"}", "{}"), "ok: - - - 0 -");
}

static void a_part_of_a_document(void **state)
{
    (void)state;
    static const char *page = "{\"error\":null,\"v\":2,\"data\":[{\"k\":\"x\",\"title\":\"X\"},{\"k\":\"y\","
                              "\"title\":\"Y\"},{\"k\":\"y\",\"title\":\"Z\"}]}";
    assert_string_equal(
        found("\"items\":\"$.data[?@.k=='y']\",\"fields\":{\"title\":\"title\",\"v\":\"$$.v\"}", page),
        "ok: Y - - 0 {\"v\":2}");
    assert_string_equal(found("\"items\":[\"$.nothing\",\"$.data\"],\"fields\":{\"title\":\"title\"}", page),
                        "ok: X - - 0 -");
    assert_string_equal(found("\"items\":\"$.nothing[*]\",\"fields\":{\"title\":\"title\"}", page),
                        "ok: - - - 0 - !");
}

static void within_a_page(void **state)
{
    (void)state;
    static const char news[] =
        "<h1>B</h1><script type='application/ld+json'>{\"@type\":\"WebPage\"}</script><script "
        "type='application/ld+json'>{\"@graph\":[{\"@type\":\"NewsArticle\",\"headline\":\"B\"}]}</script>";
    static const char detail[] =
        "\"script\":\"script[type='application/ld+json']\",\"items\":\"$['@graph'][?@['@type']=="
        "'NewsArticle']\",\"fields\":{\"title\":\"headline\"}";
    assert_string_equal(found(detail, news), "ok: B - - 0 -");
    assert_string_equal(found(detail, "<h1>B</h1>"), "ok: - - - 0 - !");
    static const char dated[] =
        "\"script\":\"script:contains('dateP')\",\"items\":[\"$['@graph'][?@.dateP]\",\"$[?@.dateP]\",\"$\"],"
        "\"fields\":{\"published\":\"dateP\"}";
    static const char first[] = "<script>{\"a\":1}</script>";
    static const char *const ways[] = {"{\"dateP\":1784885400}", "[{\"a\":1},{\"dateP\":1784885400}]",
                                       "{\"@graph\":[{\"a\":1},{\"dateP\":1784885400}]}"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char page[300];
        snprintf(page, sizeof page, "%s<script>%s</script>", first, ways[i]);
        assert_string_equal(found(dated, page), "ok: - - - 1784885400000 -");
    }
}

static void not_wanted(void **state)
{
    (void)state;
    static const char required[] = "\"fields\":{\"title\":{\"select\":\"$.title\",\"required\":true},\"n\":"
                                   "\"$.n\"},\"drop\":{\"n\":\"^0$\"}";
    assert_string_equal(found(required, "{\"title\":\"A\",\"n\":1}"), "ok: A - - 0 {\"n\":1}");
    assert_string_equal(found(required, "{\"title\":\"A\",\"n\":0}"), "ok: A - - 0 {\"n\":0} !");
    assert_string_equal(found(required, "{\"deleted\":true}"), "ok: - - - 0 - !");
}

static void not_there(void **state)
{
    (void)state;
    assert_string_equal(found(STORY, " null\n"), "empty_body: - - - 0 -");
    assert_string_equal(found(STORY, "\n"), "empty_body: - - - 0 -");
    assert_string_equal(found(STORY, "<p>sorry"), "not_this_kind: - - - 0 -");
    assert_string_equal(found(STORY, "{\"title\""), "parse: - - - 0 -");
    assert_string_equal(found(STORY, "[]"), "ok: - - - 0 - !");
}

static void what_is_refused(void **state)
{
    (void)state;
    reading_refused(LIST "{\"kind\":\"feed\",\"fields\":{\"title\":\"$.t\"}}", "detail.kind", "json");
    reading_refused(LIST "{\"fields\":{\"title\":\"$.[\"}}", "detail.fields.title", "JSONPath");
    reading_refused(LIST "{\"items\":\"$.[\",\"fields\":{\"title\":\"$.t\"}}", "detail.items", "JSONPath");
    reading_refused(LIST "{\"script\":\"p[\",\"fields\":{\"title\":\"$.t\"}}", "detail.script", "");
    reading_refused(LIST "{\"items\":\"li\",\"fields\":{\"title\":\"h1\"}}", "detail", "items");
    reading_refused(LIST "{\"kind\":\"html\",\"script\":\"#s\",\"fields\":{\"title\":\"h1\"}}", "detail",
                    "script");
    reading_refused(
        "\"kind\":\"json\",\"fields\":{\"title\":\"$.t\"},\"detail\":{\"follow\":\"title\",\"fields\":{"
        "\"author\":\"$.a\"}}",
        "detail.follow", "\"type\": \"url\"");
}

static void another_field_is_followed(void **state)
{
    (void)state;
    reading_t r;
    reading_open(
        &r, "\"kind\":\"json\",\"key\":\"$\",\"fields\":{\"n\":\"$\",\"api\":{\"format\":\"/item/{n}.json\","
            "\"type\":\"url\"}},\"detail\":{\"follow\":\"api\",\"fields\":{\"title\":\"$.t\"}}");
    assert_int_equal(reading_text(&r, "[7]"), READ_OK);
    assert_string_equal(r.items.items[0].key, "7");
    assert_string_equal(r.items.items[0].fields, "{\"n\":7,\"api\":\"https://a.example/item/7.json\"}");
    reading_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_of_its_own),
        cmocka_unit_test(a_part_of_a_document),
        cmocka_unit_test(within_a_page),
        cmocka_unit_test(not_wanted),
        cmocka_unit_test(not_there),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(another_field_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
