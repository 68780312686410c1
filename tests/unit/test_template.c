// needs: proto common
// Templates: what is taken, what is implied, and the one clear message where something is wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "proto/template.h"
#include "proto/wire.h"

static arena_t *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(64 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_destroy(&arena);
    return 0;
}

static template_t *parse(const char *json)
{
    template_error_t error;
    template_t *t = template_parse(arena, json, strlen(json), &error);
    if (!t) fail_msg("%s: %s: %s", json, error.field, error.text);
    return t;
}

static void the_whole_language(void **state)
{
    (void)state;
    template_t *t =
        parse("{\"name\":\"hacker-news\",\"comment\":\"front"
              " page\",\"kind\":\"html\",\"urls\":[\"https://a.example/\",\"https://a.example/"
              "new\"],\"items\":[\"tr.a\",\"tr.b\"],\"key\":\"::attr(id)\",\"fields\":{\"title\":\"a\","
              "\"url\":[\"a\",\"b\"],\"points\":{\"select\":\"+"
              " tr"
              " .s::text\",\"match\":\"(\\\\d+)\",\"type\":\"integer\",\"default\":\"0\",\"all\":true,"
              "\"required\":true}},\"keep\":{\"title\":\"C\"},\"drop\":{\"url\":[\"/ads/"
              "\",\"x\"]},\"detail\":{\"follow\":\"url\",\"fields\":{\"description\":\"meta\"},\"drop\":{"
              "\"description\":\"n\"}},\"order\":\"ranked\",\"track\":[\"title\"],\"every\":\"30s\",\"fresh_"
              "within\":\"2m\",\"timeout\":\"5s\",\"priority\":\"high\",\"politeness\":{\"concurrency\":1,"
              "\"gap\":\"500ms\",\"robots\":false},\"headers\":{\"Accept\":\"text/"
              "html\"},\"disabled\":true,\"retention\":{\"age\":\"90d\",\"items\":100000}}");
    assert_string_equal(t->name, "hacker-news");
    assert_int_equal(t->kind, KIND_HTML);
    assert_int_equal(t->n_urls, 2);
    assert_int_equal(t->n_items, 2);
    assert_string_equal(t->key->selectors[0], "::attr(id)");
    assert_int_equal(t->n_fields, 3);
    assert_int_equal(t->fields[1].type, TYPE_URL);
    assert_int_equal(t->fields[1].n_selectors, 2);
    const field_t *points = &t->fields[2];
    assert_string_equal(points->match, "(\\d+)");
    assert_int_equal(points->type, TYPE_INTEGER);
    assert_true(points->typed && points->all && points->required && !points->tracked);
    assert_true(t->fields[0].tracked);
    assert_false(t->fields[1].tracked);
    assert_int_equal(t->n_filters, 2);
    assert_true(t->filters[1].drop);
    assert_string_equal(t->detail_filters[0].field, "summary");
    assert_string_equal(t->follow, "url");
    assert_true(t->hold);
    assert_int_equal(t->order, ORDER_RANKED);
    assert_int_equal(t->every_ms, 30000);
    assert_int_equal(t->fresh_within_ms, 120000);
    assert_int_equal(t->timeout_ms, 5000);
    assert_int_equal(t->priority, PRIORITY_HIGH);
    assert_int_equal(t->host_concurrency, 1);
    assert_int_equal(t->host_gap_ms, 500);
    assert_true(t->ignore_robots && t->disabled);
    assert_int_equal(t->keep_age_ms, INT64_C(90) * 86400000);
    assert_int_equal(t->keep_items, 100000);
    assert_string_equal(t->headers[0], "Accept: text/html");
}

static void what_is_implied(void **state)
{
    (void)state;
    template_t *t = parse("{\"name\":\"a\",\"url\":\"https://a.example/feed\"}");
    assert_int_equal(t->kind, KIND_AUTO);
    assert_int_equal(t->order, ORDER_NEWEST);
    assert_int_equal(t->every_ms, 30000);
    assert_int_equal(t->fresh_within_ms, 60000);
    assert_int_equal(t->timeout_ms, 20000);
    assert_int_equal(t->host_concurrency, 2);
    assert_int_equal(t->host_gap_ms, 200);
    assert_int_equal(t->priority, PRIORITY_NORMAL);
    t = parse("{\"name\":\"a\",\"url\":\"https://"
              "a.example\",\"items\":\"li\",\"fields\":{\"title\":\"a\",\"published\":"
              "\"time\",\"n\":{\"select\":\"b\",\"type\":\"number\"}}}");
    assert_int_equal(t->kind, KIND_HTML);
    assert_int_equal(t->order, ORDER_NONE);
    assert_true(t->fields[0].tracked);
    assert_int_equal(t->fields[1].type, TYPE_TIME);
    assert_false(t->fields[1].tracked || t->fields[2].tracked || t->hold);
    t = parse(
        "{\"name\":\"a\",\"url\":\"https://a.example\",\"items\":\"$.a\",\"fields\":{\"title\":\"$.t\"}}");
    assert_int_equal(t->kind, KIND_JSON);
    t = parse("{\"name\":\"a\",\"url\":\"https://a.example\",\"fresh_within\":\"1s\"}");
    assert_int_equal(t->every_ms, 1000);
    t = parse("{\"name\":\"a\",\"url\":\"https://a.example\",\"every\":\"5m\"}");
    assert_int_equal(t->fresh_within_ms, 600000);
}

static const struct {
    const char *json, *field, *words;
} wrong[] = {
    {"{\"name\":\"a\",\"url\":\"https://a.example/\",\"retention\":{}}", "retention",
     "neither `age` nor `items`"},
    {"{\"name\":\"a\",\"url\":\"https://a.example/\",\"retention\":{\"items\":0}}", "retention.items",
     "from 1"},
    {"{\"name\":\"a\",\"url\":\"https://a.example/\",\"retention\":{\"age\":\"5s\"}}", "retention.age",
     "too short"},
    {"{\"name\":\"a\",\"url\":\"https://a.example/\",\"retention\":\"90d\"}", "retention", ""},
    {"", "", "empty"},
    {"[]", "", "JSON object"},
    {"{\"name\":\"a\"}", "url", "missing"},
    {"{\"url\":\"https://a/\"}", "name", "missing"},
    {"{\"name\":\"a b\",\"url\":\"https://a/\"}", "name", "letters"},
    {"{\"name\":7,\"url\":\"https://a/\"}", "name", "string"},
    {"{\"name\":\"a\",\"feilds\":{}}", "feilds", "did you mean `fields`"},
    {"{\"name\":\"a\",\"qqqqqqqq\":{}}", "qqqqqqqq", "known here"},
    {"{\"name\":\"a\",\"qqqqqqqq\":{}}", "qqqqqqqq", "\", ..."},
    {"{\"name\":\"a\",\"interval\":\"30s\"}", "interval", "did you mean `every`"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"items\":\"li\",\"fields\":{\"x\":{\"regex\":\"b\"}}}",
     "fields.x.regex", "did you mean `match`"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"items\":\"li\",\"fields\":{\"date\":{\"select\":\"b\",\"format\":\"%d.%m.\"}}}",
     "fields.date.format", "dates need no format"},
    {"{\"name\":\"a\",\"name\":\"b\"}", "name", "twice"},
    {"{\"name\":\"a\",\"url\":\"ftp://a/\"}", "url", "http"},
    {"{\"name\":\"a\",\"url\":\"a.example/x\"}", "url", "must start with http"},
    {"{\"name\":\"a\",\"url\":\"https://u:p@a/\"}", "url", "password"},
    {"{\"name\":\"a\",\"url\":\"https://a/ b\"}", "url", "space"},
    {"{\"name\":\"a\",\"url\":\"https:///\"}", "url", ""},
    {"{\"name\":\"a\",\"url\":\"https://a:99999/\"}", "url", "valid"},
    {"{\"name\":\"a\",\"urls\":[]}", "urls", "empty list"},
    {"{\"name\":\"a\",\"urls\":[\"https://a/\",3]}", "urls[1]", "string"},
    {"{\"name\":\"a\",\"urls\":[\"https://a.example\",\"https://A.example/\"]}", "urls[1]", "also urls[0]"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"urls\":[\"https://b/\"]}", "urls", "either"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"kind\":\"htlm\"}", "kind", "did you mean \"html\""},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"kind\":\"html\"}", "items", "missing"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"kind\":\"feed\",\"items\":\"x\"}", "items", "leave it out"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"kind\":\"feed\",\"key\":\"link\"}", "key", "\"url\""},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"items\":\"li\"}", "fields", "missing"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"items\":\"li\",\"fields\":{}}", "fields", "empty"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"items\":\"li\",\"fields\":{\"x\":{\"selct\":\"b\"}}}",
     "fields.x.selct", "did you mean `select`"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"items\":\"li\",\"fields\":{\"x\":{\"type\":\"text\"}}}",
     "fields.x", "none of"},
    {"{\"name\":\"a\",\"url\":\"https://a/"
     "\",\"items\":\"li\",\"fields\":{\"x\":{\"select\":\"b\",\"type\":\"int\"}}}",
     "fields.x.type", "\"int\" is not known"},
    {"{\"name\":\"x\",\"url\":\"http://a.example/\",\"kind\":\"json\",\"fields\":{\"x\":{\"select\":\"$.x\","
     "\"type\":\"html\",\"markup\":true}}}",
     "fields.x", "say one"},
    {"{\"name\":\"x\",\"url\":\"http://a.example/\",\"kind\":\"html\",\"script\":\"#x\",\"items\":\"li\","
     "\"fields\":{\"title\":\"a\"}}",
     "script", "kind \"json\""},
    {"{\"name\":\"a\",\"url\":\"https://a/"
     "\",\"items\":\"li\",\"fields\":{\"url\":{\"select\":\"b\",\"type\":\"text\"}}}",
     "fields.url.type", "always"},
    {"{\"name\":\"a\",\"url\":\"https://a/"
     "\",\"items\":\"li\",\"fields\":{\"summary\":\"a\",\"description\":\"b\"}}",
     "fields.description", "same as `summary`"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"items\":\"li\",\"fields\":{\"t\":\"a\",\"t\":\"b\"}}",
     "fields.t", "twice"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"items\":\"li\",\"fields\":{\"key\":\"a\"}}", "fields.key",
     "beside"},
    {"{\"name\":\"a\",\"url\":\"https://a/"
     "\",\"items\":\"li\",\"fields\":{\"t\":\"a\"},\"detail\":{\"fields\":{\"x\":\"b\"}}}",
     "detail.follow", "no field `url`"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"items\":\"li\",\"fields\":{\"t\":\"a\"},\"track\":\"x\"}",
     "track[0]", "no field"},
    {"{\"name\":\"a\",\"url\":\"https://a/"
     "\",\"items\":\"li\",\"fields\":{\"t\":\"a\"},\"keep\":{\"title\":\"x\"}}",
     "keep.title", "no field"},
    {"{\"name\":\"a\",\"url\":\"https://a/"
     "\",\"detail\":{\"fields\":{\"content\":\"p\"},\"drop\":{\"title\":\"x\"}}}",
     "detail.drop.title", "no field"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"items\":\"li\",\"fields\":{\"t\":{\"format\":\"{x}\"}}}",
     "fields.t.format", "no field `x`"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"every\":\"500ms\"}", "every", "too short"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"every\":30}", "every", "duration"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"depends_on\":\"a\"}", "depends_on", "itself"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"blocks\":[\"b\",\"b\"]}", "blocks", "twice"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"max_concurrent\":0}", "max_concurrent", "whole number"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"retry\":{\"max_attempts\":0}}", "retry.max_attempts",
     "1 to 20"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"retry\":{\"backoff_coefficient\":0.5}}",
     "retry.backoff_coefficient", "from 1"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"retry\":{\"non_retryable\":[\"prase\"]}}",
     "retry.non_retryable[0]", "did you mean parse"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"every\":\"-3s\"}", "every", "duration"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"every\":\"5 s\"}", "every", "duration"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"timeout\":\"1h\"}", "timeout", "at most \"5m\""},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"politeness\":{\"concurrency\":0}}", "politeness.concurrency",
     "1 to 64"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"headers\":{\"Host\":\"x\"}}", "headers.Host", "miner"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"headers\":{\"A\":\"x\\r\\nB: y\"}}", "headers.A", "control"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"headers\":{\"A:\":\"x\"}}", "headers.A:", "header name"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"headers\":{\"A\":\"x\",\"a\":\"y\"}}", "headers.a", "twice"},
    {"{\"name\":\"a\\u0000b\",\"url\":\"https://a/\"}", "name", "NUL"},
    {"{\"name\":\"a\",\"url\":\"https://a/\",\"disabled\":\"no\"}", "disabled", "true or false"},
    {"{\"uri\":\"https://a/\",\"homepageLinksPath\":[\"a\"]}", "title", "missing"},
    {"{\"uri\":\"https://a/\",\"title\":\"h1\"}", "homepageLinksPath", "missing"},
    {"{\"source\":\"x\",\"config\":{\"uri\":\"https://a/\",\"title\":\"h1\",\"homepagelinkspath\":[\"a\"]}}",
     "config.homepagelinkspath", "did you mean `homepageLinksPath`"},
    {"{\"source\":\"\xE2\x82\xAC\",\"config\":{}}", "source", "ASCII"},
};

static void each_fault_has_its_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        template_error_t error = {.text = ""};
        if (template_parse(arena, wrong[i].json, strlen(wrong[i].json), &error))
            fail_msg("taken: %s", wrong[i].json);
        if (strcmp(error.field, wrong[i].field) != 0 || !strstr(error.text, wrong[i].words))
            fail_msg("%s\ngives %s: %s", wrong[i].json, error.field, error.text);
    }
}

static void a_syntax_error_names_its_line(void **state)
{
    (void)state;
    const char *json = "{\n  \"name\": \"a\",\n  \"url\": oops\n}";
    template_error_t error;
    assert_null(template_parse(arena, json, strlen(json), &error));
    assert_int_equal(error.line, 3);
    assert_non_null(strstr(error.text, "line 3"));
}

static void bounds_are_kept(void **state)
{
    (void)state;
    template_error_t error;
    char *big = malloc(MAX_TEMPLATE + 2);
    memset(big, ' ', MAX_TEMPLATE + 2);
    assert_null(template_parse(arena, big, MAX_TEMPLATE + 1, &error));
    assert_non_null(strstr(error.text, "at most"));
    size_t n = (size_t)sprintf(big, "{\"name\":\"a\",\"urls\":[");
    for (int i = 0; i <= MAX_TEMPLATE_URLS; i++)
        n += (size_t)sprintf(big + n, "%s\"http://h/%d\"", i ? "," : "", i);
    n += (size_t)sprintf(big + n, "]}");
    assert_null(template_parse(arena, big, n, &error));
    assert_string_equal(error.field, "urls");
    arena_t *small = arena_new(200);
    const char *json = "{\"name\":\"a\",\"url\":\"https://a.example/feed\"}";
    assert_null(template_parse(small, json, strlen(json), &error));
    arena_destroy(&small);
    free(big);
}

static const char prototype[] =
    "{\"source\":\"Hacker"
    " News\",\"config\":{\"uri\":\"https://news.ycombinator.com\",\"homepageLinksPath\":[\"table.itemlist tr"
    " > td >"
    " a.storylink\",\"a.x\"],\"image\":\"meta[property=\\\"og:image\\\"]\",\"title\":\"meta[property=\\\"og:"
    "title\\\"]\",\"description\":\"meta[property=\\\"og:description\\\"]\",\"keywords\":\"meta[name="
    "\\\"keywords\\\"]\",\"metaAuthor\":\"meta[name=\\\"author\\\"]\",\"urlFilters\":[\"/ads/"
    "\"],\"pageFilters\":[{\"path\":\".type\",\"value\":\"Sponsored\"}]},\"disabled\":false}";

static void the_prototypes_dialect(void **state)
{
    (void)state;
    template_t *t = parse(prototype);
    assert_string_equal(t->name, "hacker-news");
    assert_string_equal(t->source_label, "Hacker News");
    assert_int_equal(t->kind, KIND_HTML);
    assert_string_equal(t->urls[0], "https://news.ycombinator.com");
    assert_string_equal(t->items[0], "table.itemlist tr > td > a.storylink, a.x");
    assert_string_equal(t->follow, "url");
    assert_string_equal(t->fields[0].selectors[0], "::attr(href)");
    assert_int_equal(t->n_detail_fields, 5);
    assert_string_equal(t->detail_fields[1].name, "title");
    assert_true(t->detail_fields[1].required);
    assert_string_equal(t->detail_fields[1].selectors[0], "meta[property=\"og:title\"]::content");
    assert_string_equal(t->detail_fields[0].selectors[0], "meta[property=\"og:image\"]::attr(content)");
    assert_string_equal(t->url_drops[0], "/ads/");
    assert_string_equal(t->page_filters[0].value, "Sponsored");
    assert_true(t->hold);
    assert_null(t->key);
    t = parse("{\"uri\":\"https://News.example:8080/"
              "x\",\"homepageLinksPath\":\"a\",\"title\":\"h1\",\"image\":\"\"}");
    assert_string_equal(t->name, "news.example-8080");
    assert_null(t->source_label);
    assert_int_equal(t->n_detail_fields, 1);
}

static void policies(void **state)
{
    (void)state;
    const template_t *t = parse("{\"name\":\"a\",\"url\":\"https://a/\",\"depends_on\":[\"b\",\"c\"],"
                                "\"blocks\":\"d\",\"max_concurrent\":3,\"deadline\":\"2m\","
                                "\"max_consecutive_failures\":0,\"retry\":{\"max_attempts\":2,"
                                "\"initial_interval\":\"5s\",\"non_retryable\":[\"dns\",\"rotted\"]}}");
    assert_int_equal(t->n_depends_on, 2);
    assert_string_equal(t->depends_on[1], "c");
    assert_string_equal(t->blocks[0], "d");
    assert_int_equal(t->max_concurrent, 3);
    assert_int_equal(t->deadline_ms, 120000);
    assert_int_equal(t->max_consecutive_failures, 0);
    assert_int_equal(t->retry.max_attempts, 2);
    assert_int_equal(t->retry.initial_ms, 5000);
    assert_int_equal(t->retry.max_ms, 60000);
    assert_true(t->retry.non_retryable == (1ULL << ERR_dns | 1ULL << ERR_rotted));
    t = parse("{\"name\":\"a\",\"url\":\"https://a/\"}");
    assert_int_equal(t->max_consecutive_failures, 5);
    assert_true(t->retry.non_retryable >> ERR_parse & 1);
    assert_false(t->retry.non_retryable >> ERR_timeout & 1);
}

static void ids_depend_on_name_and_url_alone(void **state)
{
    (void)state;
    assert_true(template_id("a") != template_id("b"));
    assert_true(source_id("a", "https://x/") != source_id("b", "https://x/"));
    assert_true(source_id("a", "https://x/") == source_id("a", "https://x/"));
    assert_true(source_id("a", "") != template_id("a"));
}

static void requests(void **state)
{
    (void)state;
    template_t *t = parse(
        "{\"name\":\"x\",\"url\":\"http://a.example/\",\"query\":{\"q\":\"a b&=\\u00e4\",\"n\":-3,\"f\":1.5,"
        "\"t\":false,\"l\":[1,\"2\"]},\"body\":{\"a\":[1]},\"auth\":{\"bearer\":\"token\"},"
        "\"cookies\":true,\"tls\":{\"ca\":\"own-ca\",\"min_version\":\"1.3\"}}");
    const template_request_t *r = &t->request;
    assert_string_equal(r->query, "q=a%20b%26%3D%C3%A4&n=-3&f=1.5&t=false&l=1&l=2");
    assert_string_equal(r->method, "POST");
    assert_string_equal(r->body, "{\"a\":[1]}");
    assert_int_equal(r->body_len, 9);
    assert_string_equal(r->body_type, "application/json");
    assert_true(r->bearer && r->cookies && r->tls13 && !r->insecure);
    assert_string_equal(r->secret, "token");
    assert_string_equal(r->ca, "own-ca");
    t = parse(
        "{\"name\":\"x\",\"url\":\"http://a.example/\",\"method\":\"PUT\",\"body\":\"a=1\",\"query\":{},"
        "\"headers\":{\"content-type\":\"text/plain\"},\"auth\":{\"basic\":\"login\"}}");
    assert_string_equal(t->request.method, "PUT");
    assert_null(t->request.body_type);
    assert_null(t->request.query);
    assert_false(t->request.bearer);
    assert_null(parse("{\"name\":\"x\",\"url\":\"http://a.example/\",\"method\":\"GET\"}")->request.method);
}

static void requests_that_are_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"\"method\":\"DELETE\"", "method"},
        {"\"method\":\"GET\",\"body\":\"x\"", "body"},
        {"\"body\":3", "body"},
        {"\"query\":[1]", "query"},
        {"\"query\":{\"a\":{\"b\":1}}", "query.a"},
        {"\"query\":{\"a\":\"x\\u0000y\"}", "query.a"},
        {"\"auth\":{}", "auth"},
        {"\"auth\":{\"basic\":\"a\",\"bearer\":\"b\"}", "auth"},
        {"\"auth\":{\"basic\":\"me:secret\"}", "auth.basic"},
        {"\"auth\":{\"bearer\":\"../token\"}", "auth.bearer"},
        {"\"auth\":{\"bearer\":\".hidden\"}", "auth.bearer"},
        {"\"auth\":{\"bearer\":\"t\"},\"headers\":{\"authorization\":\"x\"}", "auth"},
        {"\"cookies\":\"yes\"", "cookies"},
        {"\"tls\":{\"ca\":\"a\",\"insecure\":true}", "tls"},
        {"\"tls\":{\"min_version\":\"1.0\"}", "tls.min_version"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char json[512];
        template_error_t error = {.field = ""};
        snprintf(json, sizeof json, "{\"name\":\"x\",\"url\":\"http://a.example/\",%s}", rows[i][0]);
        assert_null(template_parse(arena, json, strlen(json), &error));
        assert_string_equal(error.field, rows[i][1]);
    }
}

static void what_dates_mean(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"\"dates\":{}", "dates", "Europe/Berlin"},
        {"\"dates\":\"dmy\"", "dates", "must be an object"},
        {"\"dates\":{\"timezone\":\"Europe/Atlantis\"}", "dates.timezone", "no such time zone"},
        {"\"dates\":{\"timezone\":\"../../etc/passwd\"}", "dates.timezone", "right would be"},
        {"\"dates\":{\"timezone\":\"Europe\"}", "dates.timezone", "right would be"}, // a folder
        {"\"dates\":{\"timezone\":\"\"}", "dates.timezone", "empty"},
        {"\"dates\":{\"timezone\":\"UTC\\u0000\"}", "dates.timezone", ""},
        {"\"dates\":{\"timezone\":2}", "dates.timezone", ""},
        {"\"dates\":{\"order\":\"dym\"}", "dates.order", "dmy"},
        {"\"dates\":{\"zone\":\"UTC\"}", "dates.zone", "timezone"},
    };
    char json[512];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        template_error_t error = {.field = ""};
        snprintf(json, sizeof json, "{\"name\":\"x\",\"url\":\"http://a.example/\",%s}", rows[i][0]);
        assert_null(template_parse(arena, json, strlen(json), &error));
        if (strcmp(error.field, rows[i][1]) != 0 || !strstr(error.text, rows[i][2]))
            fail_msg("%s: %s: %s", rows[i][0], error.field, error.text);
    }
    const char *plain = "{\"name\":\"x\",\"url\":\"http://a.example/\"}";
    const char *berlin =
        "{\"name\":\"x\",\"url\":\"http://a.example/\",\"dates\":{\"timezone\":\"Europe/Berlin\"}}";
    const template_t *t = parse(plain), *u = parse(berlin);
    assert_false(t->dates.zoned || t->dates.zone || t->dates.order);
    assert_true(u->dates.zoned && u->dates.order == DATE_ORDER_USUAL);
    assert_int_equal(zone_instant(u->dates.zone, 0), -3600);
    assert_ptr_equal(u->dates.zone, parse(berlin)->dates.zone); // read once
    assert_string_equal(u->timezone, "UTC");                    // of the schedule: another matter
    assert_false(template_reads_alike(plain, berlin));
}

static void what_two_versions_find(void **state)
{
    (void)state;
    const char *a = "{\"name\":\"a\",\"url\":\"https://a.example/\",\"items\":\"li\",\"every\":\"30s\"}";
    assert_true(template_reads_alike(a, a));
    assert_true(template_reads_alike(a, "{\"url\":\"https://a.example/\", \"items\":\"li\", \"name\":\"a\","
                                        "\"retention\":{\"age\":\"1d\"}, // longer\n \"comment\":\"x\"}"));
    assert_false(template_reads_alike(a, "{\"name\":\"a\",\"url\":\"https://a.example/\",\"items\":\"p\"}"));
    assert_false(template_reads_alike(
        a, "{\"name\":\"a\",\"url\":\"https://a.example/\",\"items\":\"li\",\"drop\":{\"title\":\"x\"}}"));
    assert_false(template_reads_alike(a, "no JSON"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_whole_language, setup, teardown),
        cmocka_unit_test_setup_teardown(requests, setup, teardown),
        cmocka_unit_test_setup_teardown(requests_that_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_implied, setup, teardown),
        cmocka_unit_test_setup_teardown(what_dates_mean, setup, teardown),
        cmocka_unit_test_setup_teardown(each_fault_has_its_message, setup, teardown),
        cmocka_unit_test_setup_teardown(a_syntax_error_names_its_line, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(the_prototypes_dialect, setup, teardown),
        cmocka_unit_test_setup_teardown(policies, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_depend_on_name_and_url_alone, setup, teardown),
        cmocka_unit_test(what_two_versions_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
