// needs: miner/read proto common
// JSON documents by template: items, typed fields, numbers, and what is broken. Templates are parsed as users
// write them.

#include "tests/unit/reading.h"

static reading_t doc;

static int teardown(void **state)
{
    (void)state;
    reading_close(&doc);
    return 0;
}

// members: what stands in the template beside name, kind and url.
static read_status_t read_bytes(const char *members, const char *json, size_t len)
{
    char all[2000];
    snprintf(all, sizeof all, "\"kind\":\"json\",%s", members);
    reading_close(&doc);
    reading_open(&doc, all);
    doc.url = "http://h.example/api/";
    return reading_bytes(&doc, json, len);
}

static read_status_t read_text(const char *members, const char *json)
{
    return read_bytes(members, json, strlen(json));
}

static const item_t *one(const char *members, const char *json)
{
    read_status_t status = read_text(members, json);
    if (status != READ_OK || doc.items.n_items != 1)
        fail_msg("%s: %s, %zu items, %s", json, read_status_name(status), doc.items.n_items,
                 doc.items.detail);
    return &doc.items.items[0];
}

static void test_items(void **state)
{
    (void)state;
    static const char json[] =
        "{\"hits\":[{\"id\":7,\"t\":\"One\",\"u\":\"../a\",\"at\":1700000000,\"n\":{\"v\":[1,2]}},"
        "{\"id\":8,\"t\":\"Two\",\"u\":\"http://o.example/b\"}],\"page\":1}";
    assert_int_equal(
        read_text("\"items\":\"$.hits[*]\",\"key\":\"$.id\",\"fields\":{\"title\":\"$.t\",\"url\":\"$.u\","
                  "\"published\":\"$.at\",\"n\":\"$.n\"}",
                  json),
        READ_OK);
    assert_int_equal(doc.items.n_items, 2);
    assert_int_equal(doc.items.matched, 2);
    assert_string_equal(doc.items.items[0].key, "7");
    assert_string_equal(doc.items.items[0].title, "One");
    assert_string_equal(doc.items.items[0].url, "http://h.example/a");
    assert_int_equal(doc.items.items[0].published_ms, INT64_C(1700000000000));
    assert_string_equal(doc.items.items[0].fields, "{\"n\":{\"v\":[1,2]}}");
    assert_string_equal(doc.items.items[1].url, "http://o.example/b");
    assert_int_equal(doc.items.selector_matches[0], 2);
    assert_int_equal(doc.items.selector_matches[1], 2);
}

static void test_ways_to_name_items(void **state)
{
    (void)state;
    static const char *const same[] = {"\"$.a.b[*]\"",    "\"$.a.b\"",  "\"a.b\"",
                                       "\".a.b\"",        "\"@.a.b\"",  "[\"$.nope[*]\",\"$.a.b[*]\"]",
                                       "\"$.a.b[?@.t]\"", "\"$..b[*]\""};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        char members[200];
        snprintf(members, sizeof members, "\"items\":%s,\"fields\":{\"title\":\"t\"}", same[i]);
        assert_int_equal(read_text(members, "{\"a\":{\"b\":[{\"t\":\"x\"},{\"t\":\"y\"}]}}"), READ_OK);
        assert_int_equal(doc.items.n_items, 2);
        assert_string_equal(doc.items.items[1].title, "y");
    }
}

// A row that is an array is an item, also where it is the only one.
static void test_rows(void **state)
{
    (void)state;
    static const char *const ways[] = {"$.rows[*]", "$.rows[?@[0]]", "$.rows[0:9]"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char members[200];
        snprintf(members, sizeof members, "\"items\":\"%s\",\"fields\":{\"title\":\"$[1]\"}", ways[i]);
        assert_int_equal(read_text(members, "{\"rows\":[[1,\"a\"],[2,\"b\"]]}"), READ_OK);
        assert_int_equal(doc.items.n_items, 2);
        assert_string_equal(one(members, "{\"rows\":[[1,\"a\"]]}")->title, "a");
    }
    assert_string_equal(
        one("\"items\":\"$['a*']\",\"fields\":{\"title\":\"$.t\"}", "{\"a*\":[{\"t\":\"x\"}]}")->title, "x");
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *field, *json, *fields;
    } cases[] = {
        {"\"$.x\"", "12345678901234567890123", "{\"x\":12345678901234567890123}"},
        {"\"$.x\"", "0.10", "{\"x\":0.10}"},
        {"\"$.x\"", "1e400", "{\"x\":1e400}"},
        {"\"$.x\"", "true", "{\"x\":true}"},
        {"\"$.x\"", "[1,\"a\"]", "{\"x\":[1,\"a\"]}"},
        {"\"$.x\"", "\"a\\u0000b\\\"\"", NULL},
        {"{\"select\":\"$.x\",\"type\":\"integer\"}", "\"1,234\"", "{\"x\":1234}"},
        {"{\"select\":\"$.x\",\"type\":\"number\"}", "0.1234567890123456789",
         "{\"x\":0.1234567890123456789}"},
        {"{\"select\":\"$.x\",\"match\":\"(\\\\d+)\",\"type\":\"integer\"}", "\"n 42\"", "{\"x\":42}"},
        {"{\"select\":\"$.x[*]\",\"type\":\"list\"}", "[\"a\",\"b\"]", "{\"x\":[\"a\",\"b\"]}"},
        {"{\"select\":\"$.x\",\"type\":\"list\"}", "[\"a\",\"b\"]", "{\"x\":[\"a\",\"b\"]}"},
        {"{\"select\":\"$.x\",\"type\":\"url\"}", "\"/p\"", "{\"x\":\"http://h.example/p\"}"},
        {"{\"select\":\"$.x\",\"type\":\"time\"}", "\"5 Jan 2024\"", "{\"x\":\"2024-01-05T00:00:00Z\"}"},
        {"[\"$.nope\",\"$.x\"]", "1", "{\"x\":1}"},
        {"{\"select\":\"$.x\",\"markup\":true}", "\"It&#8217;s <b>&lt;new&gt;</b>\"",
         "{\"x\":\"It\xE2\x80\x99s <new>\"}"},
        {"{\"select\":\"$.x\",\"markup\":true,\"match\":\"& (.+)\"}", "\"<p>a &amp; b</p>\"",
         "{\"x\":\"b\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char members[300], json[300];
        snprintf(members, sizeof members, "\"items\":\"$[*]\",\"fields\":{\"title\":\"$.t\",\"x\":%s}",
                 cases[i].field);
        snprintf(json, sizeof json, "[{\"t\":\"t\",\"x\":%s}]", cases[i].json);
        const item_t *item = one(members, json);
        if (!cases[i].fields) continue;
        if (!item->fields || strcmp(item->fields, cases[i].fields) != 0)
            fail_msg("%s of %s: %s, not %s", cases[i].field, cases[i].json, item->fields, cases[i].fields);
    }
    assert_null(
        one("\"items\":\"$[*]\",\"fields\":{\"title\":\"$.t\",\"x\":\"$.x\"}", "[{\"t\":\"t\",\"x\":null}]")
            ->fields);
    assert_string_equal(
        one("\"items\":\"$[*]\",\"fields\":{\"title\":[\"$.x\",\"$.t\"]}", "[{\"x\":null,\"t\":\"t\"}]")
            ->title,
        "t");
    assert_string_equal(
        one("\"items\":\"$[*]\",\"fields\":{\"title\":\"$.x\"}", "[{\"x\":[\"a\",\"b\"]}]")->title, "a");
    assert_string_equal(one("\"items\":\"$[*]\",\"fields\":{\"title\":\"$.x\"}", "[{\"x\":5}]")->title, "5");
}

static void test_paths_from_the_root(void **state)
{
    (void)state;
    const item_t *item =
        one("\"items\":\"$.posts[*]\",\"fields\":{\"title\":\"t\",\"author\":\"$$.channel.name\","
            "\"tags\":{\"select\":\"$$..tag\",\"all\":true}}",
            "{\"channel\":{\"name\":\"News\",\"tag\":\"a\"},\"posts\":[{\"t\":\"x\",\"tag\":\"b\"}]}");
    assert_string_equal(item->author, "News");
    assert_string_equal(item->fields, "{\"tags\":\"a\\nb\"}");
}

static void test_tolerates(void **state)
{
    (void)state;
    static const char members[] = "\"items\":\"$[*]\",\"fields\":{\"title\":\"$.t\"}";
    assert_string_equal(one(members, "\xEF\xBB\xBF[{\"t\":\"x\"}]")->title, "x");
    assert_string_equal(one(members, ")]}',\n[{\"t\":\"x\"}]")->title, "x");
    assert_string_equal(one(members, "while(1);[{\"t\":\"x\"}]")->title, "x");
    assert_string_equal(one(members, "[{\"t\":\"a\nb\"}]")->title, "a b");
    assert_string_equal(one(members, "[{\"t\":\"a\\ud83d b\"}]")->title, "a\xEF\xBF\xBD b");
    assert_string_equal(one(members, "[{\"t\":\"\\ud83d\\ude00\"}]")->title, "\xF0\x9F\x98\x80");
    assert_string_equal(one(members, "[{\"t\":\"\\ud83d\\ude00\\udc00\"}]")->title,
                        "\xF0\x9F\x98\x80\xEF\xBF\xBD");
    assert_string_equal(one(members, "/**/ typeof f === 'function' && f.g([{\"t\":\"(x)\"}]);\n")->title,
                        "(x)");
    assert_string_equal(one(members, "var data =\n[{\"t\":\"x\"}] ;")->title, "x");
    assert_int_equal(read_text(members, "data [{\"t\":\"x\"}]"), READ_PARSE);
    assert_int_equal(read_text(members, "f("), READ_PARSE);
    assert_int_equal(read_text(members, "f({);"), READ_PARSE);
    static const char utf16[] = "[\0{\0\"\0t\0\"\0:\0\"\0\xE9\0\"\0}\0]\0";
    assert_int_equal(read_bytes(members, utf16, sizeof utf16 - 1), READ_OK);
    assert_string_equal(doc.items.items[0].title, "\xC3\xA9");
}

static void test_refuses(void **state)
{
    (void)state;
    static const char members[] = "\"items\":\"$.a[*]\",\"fields\":{\"title\":\"$.t\"}";
    assert_int_equal(read_text(members, ""), READ_EMPTY_BODY);
    assert_int_equal(read_text(members, "  \n"), READ_EMPTY_BODY);
    assert_int_equal(read_text(members, "<html>"), READ_NOT_THIS_KIND);
    assert_int_equal(read_text(members, "{\"a\":[{\"t\":\"x\"}"), READ_PARSE);
    assert_string_not_equal(doc.items.detail, "");
    assert_int_equal(read_text(members, "{\"a\":1,}"), READ_PARSE);
    assert_int_equal(read_text(members, "{\"a\":[]}"), READ_OK); // a list that is there, and empty
    assert_int_equal(doc.items.n_items, 0);
    assert_int_equal(read_text(members, "{\"a\":{}}"), READ_ROTTED);
    assert_int_equal(read_text(members, "{}"), READ_ROTTED);
    static const char array[] = "\"items\":\"$.a\",\"fields\":{\"title\":\"$.t\"}";
    assert_int_equal(read_text(array, "{\"a\":[]}"), READ_OK);
    assert_int_equal(read_text(array, "{\"b\":[]}"), READ_ROTTED);
    static const char root[] = "\"fields\":{\"title\":\"$.t\"}";
    assert_int_equal(read_text(root, "[]"), READ_OK);
    static const char some[] = "\"items\":\"$.a[?@.t]\",\"fields\":{\"title\":\"$.t\"}";
    assert_int_equal(read_text(some, "{\"a\":[]}"), READ_ROTTED); // nobody knows what that means
    assert_int_equal(read_text(members, "{\"b\":[{}]}"), READ_ROTTED);
}

static char *repeat(const char *head, const char *unit, size_t times, const char *tail)
{
    char *text = malloc(strlen(head) + strlen(unit) * times + strlen(tail) + 1);
    char *p = stpcpy(text, head);
    for (size_t i = 0; i < times; i++) p = stpcpy(p, unit);
    strcpy(p, tail);
    return text;
}

static void test_bounds(void **state)
{
    (void)state;
    char *many = repeat("[{}", ",{\"t\":1}", 10000, "]"), *open = repeat("", "[", 10000, "");
    char *deep = repeat(open, "]", 10000, "");
    assert_int_equal(read_text("\"items\":\"$[*]\",\"fields\":{\"title\":\"$.t\"}", many), READ_TOO_BIG);
    assert_int_equal(read_text("\"items\":\"$..x\",\"fields\":{\"title\":\"$.t\"}", deep), READ_TOO_COMPLEX);
    assert_int_equal(
        read_text("\"items\":\"$[?count($[?count($.*) > 1]) > 1]\",\"fields\":{\"title\":\"$.t\"}", many),
        READ_TOO_COMPLEX);
    free(many), free(open), free(deep);
}

static void test_errors_name_the_field(void **state)
{
    (void)state;
    static const struct {
        const char *members, *field;
    } cases[] = {
        {"\"items\":\"$.a[\",\"fields\":{\"title\":\"$.t\"}", "items"},
        {"\"items\":\"$.a\",\"fields\":{\"title\":\"$.t[01]\"}", "fields.title"},
        {"\"items\":\"$.a\",\"key\":\"$.\",\"fields\":{\"title\":\"$.t\"}", "key"},
        {"\"items\":\"$.a\",\"key\":\"$.a-b\",\"fields\":{\"title\":\"$.t\"}", "key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char members[300];
        snprintf(members, sizeof members, "\"kind\":\"json\",%s", cases[i].members);
        reading_refused(members, cases[i].field, "JSONPath");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items),
        cmocka_unit_test(test_ways_to_name_items),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_paths_from_the_root),
        cmocka_unit_test(test_tolerates),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_errors_name_the_field),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
