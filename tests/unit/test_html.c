// needs: miner/read proto common
// Pages: items and their typed fields, detail pages, the prototype's dialect, and hostile markup.
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "miner/read/html.h"
#include "proto/limits.h"
#include "tests/unit/sanitized.h"

typedef struct {
    arena_t *template_arena, *arena;
    template_t *template;
    html_list_t *list;
    html_detail_t *detail;
    items_t items;
} fixture_t;

static void fixture_init(fixture_t *f, const char *json)
{
    template_error_t error;
    *f = (fixture_t){.template_arena = arena_new(1 << 20), .arena = arena_new(DOCUMENT_ARENA)};
    f->template = template_parse(f->template_arena, json, strlen(json), &error);
    if (!f->template) fail_msg("%s: %s", error.field, error.text);
    f->list = html_list_new(f->template, &error);
    if (!f->list) fail_msg("%s: %s", error.field, error.text);
    if (f->template->follow) f->detail = html_detail_new(f->template, &error);
}

static void fixture_free(fixture_t *f)
{
    html_list_destroy(&f->list);
    html_detail_destroy(&f->detail);
    arena_destroy(&f->arena);
    arena_destroy(&f->template_arena);
}

static read_status_t read_bytes(fixture_t *f, const char *bytes, size_t len)
{
    document_t document = {.bytes = bytes, .len = len, .url = "https://a.example/list/"};
    f->items = (items_t){.items = NULL};
    return html_items(f->list, f->arena, &document, &f->items);
}

static read_status_t read_page(fixture_t *f, const char *html)
{
    return read_bytes(f, html, strlen(html));
}

static char *slurp(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("no %s; run from the root of the project", path);
    char *bytes = calloc(1, 1 << 20);
    size_t n = fread(bytes, 1, (1 << 20) - 1, file);
    fclose(file);
    assert_true(n > 0);
    return bytes;
}

#define HEAD "{\"name\":\"t\",\"url\":\"https://a.example/list/\",\"items\":"

static void a_listing_with_typed_fields(void **state)
{
    (void)state;
    fixture_t f;
    fixture_init(
        &f, HEAD
        "\".story\",\"key\":\"::attr(data-id)\",\"fields\":{\"title\":\"h2 a\",\"url\":\"h2 a\","
        "\"author\":{\"select\":\".by a::text\",\"all\":true},\"published\":\"time\",\"summary\":"
        "[\".nothing\",\".text\"],\"image\":\"img\",\"points\":{\"select\":\".points\",\"type\":\"integer\"},"
        "\"tags\":{\"select\":\".tag\",\"type\":\"list\"},\"comments\":{\"select\":\"+ .comments\","
        "\"match\":\"(\\\\d+) comment\",\"type\":\"integer\",\"default\":\"0\"},\"markup\":{\"select\":"
        "\"h2\",\"type\":\"html\"}}}");
    char *page = slurp("tests/data/html/listing.html");
    assert_int_equal(read_page(&f, page), READ_OK);
    assert_int_equal(f.items.matched, 4);
    assert_int_equal(f.items.n_items, 4);
    const item_t *i = f.items.items;
    assert_string_equal(i->key, "7");
    assert_string_equal(i->title, "Seven & more");
    assert_string_equal(i->url, "https://cdn.example/news/seven");
    assert_string_equal(i->author, "Ann, Bob");
    assert_int_equal(i->published_ms, 1782892800000);
    assert_string_equal(i->summary, "First line\nsecond line");
    assert_string_equal(i->image, "https://cdn.example/news/img/7.png");
    assert_string_equal(i->fields, "{\"points\":1234,\"tags\":[\"c\",\"web\"],\"comments\":12,\"markup\":"
                                   "\"<a href=\\\"seven\\\">Seven  &amp; <b>more</b></a>\"}");
    i++;
    assert_string_equal(i->key, "8");
    assert_string_equal(i->url, "https://other.example/8#frag");
    assert_null(i->author);
    assert_int_equal(i->published_ms, TIME_NONE);
    // a date that cannot be read keeps its text
    assert_string_equal(i->fields, "{\"published\":\"not a date\",\"points\":1200,\"comments\":0,\"markup\":"
                                   "\"<a href=\\\"https://other.example/8#frag\\\">Eight</a>\"}");
    i++;
    assert_string_equal(i->key, "8|2");
    assert_null(i->url);
    assert_int_equal(f.items.selector_matches[0], 4);
    assert_int_equal(f.items.selector_matches[1], 3); // title
    free(page);
    fixture_free(&f);
}

static void content_hash_follows_tracked_fields_only(void **state)
{
    (void)state;
    fixture_t f;
    fixture_init(&f,
                 HEAD "\"li\",\"fields\":{\"title\":\"b\",\"n\":{\"select\":\"i\",\"type\":\"integer\"}}}");
    assert_int_equal(read_page(&f, "<li><b>x</b><i>1</i><li><b>x</b><i>2</i><li><b>y</b><i>1</i>"), READ_OK);
    // the second has the first one's key and hash: the same post twice
    assert_int_equal(f.items.n_items, 2);
    assert_true(f.items.items[0].content_hash != f.items.items[1].content_hash);
    fixture_free(&f);
}

static void what_gives_nothing_says_why(void **state)
{
    (void)state;
    fixture_t f;
    fixture_init(&f, HEAD "\".story\",\"fields\":{\"title\":\"h2\"}}");
    assert_int_equal(read_page(&f, "<p>Please log in"), READ_ROTTED);
    assert_non_null(strstr(f.items.detail, "`.story` matches nothing in 16 bytes"));
    assert_int_equal(read_page(&f, ""), READ_EMPTY_BODY);
    assert_int_equal(read_page(&f, " \r\n\t"), READ_EMPTY_BODY);
    assert_int_equal(read_page(&f, "{\"a\": 1}"), READ_NOT_THIS_KIND);
    // read again after a failure
    assert_int_equal(read_page(&f, "<div class=story><h2>x"), READ_OK);
    assert_string_equal(f.items.items[0].title, "x");
    fixture_free(&f);
}

static void required_fields_drop_items(void **state)
{
    (void)state;
    fixture_t f;
    fixture_init(&f,
                 HEAD "\"li\",\"fields\":{\"title\":{\"select\":\"b\",\"required\":true},\"url\":\"a\"}}");
    assert_int_equal(read_page(&f, "<li><b>x</b><li><a href=/y>y</a>"), READ_OK);
    assert_int_equal(f.items.matched, 2);
    assert_int_equal(f.items.n_items, 1);
    fixture_free(&f);
}

static void fields_made_of_other_fields(void **state)
{
    (void)state;
    fixture_t f;
    fixture_init(
        &f, HEAD
        "\"li\",\"key\":{\"format\":\"n-{id}\"},\"fields\":{\"url\":{\"format\":\"/t/{slug}/{id}\"},\"id\":"
        "\"::attr(id)\",\"slug\":{\"select\":\"b\",\"default\":\"none\"}}}");
    assert_int_equal(read_page(&f, "<li id=1><b>a b?c</b><li id=2><li><b>x</b>"), READ_OK);
    assert_int_equal(f.items.n_items, 3);
    assert_string_equal(f.items.items[0].url, "https://a.example/t/a%20b%3Fc/1");
    assert_string_equal(f.items.items[0].key, "n-1");
    assert_string_equal(f.items.items[1].url, "https://a.example/t/none/2");
    assert_null(f.items.items[2].url);
    fixture_free(&f);
}

static const char prototype[] =
    "{\"source\":\"Old Site\",\"config\":{\"uri\":\"https://a.example/list/\",\"homepageLinksPath\":[\"h2"
    " a\",\".x >"
    " a\"],\"title\":\"meta[property=\\\"og:title\\\"]\",\"description\":\"p.lead\",\"image\":\"meta["
    "property=\\\"og:image\\\"]\",\"keywords\":\"meta[name=keywords]\",\"metaAuthor\":\"meta[name=author]\","
    "\"urlFilters\":[\"/ads/\"],\"pageFilters\":[{\"path\":\".kind\",\"value\":\"Sponsored"
    " post\"}]}}";

static read_status_t read_detail(fixture_t *f, const char *html, item_t *item, bool *drop)
{
    document_t document = {.bytes = html, .len = strlen(html), .url = "https://a.example/p/1"};
    items_t page;
    read_status_t status = html_details(f->detail, f->arena, &document, &page, drop);
    *item = *page.items;
    return status;
}

static void the_prototypes_pages(void **state)
{
    (void)state;
    fixture_t f;
    item_t item;
    bool drop;
    fixture_init(&f, prototype);
    assert_int_equal(
        read_page(&f, "<h2><a href=a>A</a></h2><p class=x><a href=/b>B</a></p><h2><a href=a>again</a></h2>"),
        READ_OK);
    assert_int_equal(f.items.n_items, 2);
    assert_string_equal(f.items.items[0].url, "https://a.example/list/a");
    assert_string_equal(f.items.items[0].key, "https://a.example/list/a");
    assert_string_equal(f.items.items[1].url, "https://a.example/b");
    const char *page =
        "<meta property=og:title content='The title'><meta property=og:image content='/i.png'>"
        "<meta name=keywords content=''><meta name=author content=Ann><p class=lead>Lead <b>text</b></p>";
    assert_int_equal(read_detail(&f, page, &item, &drop), READ_OK);
    assert_false(drop);
    assert_string_equal(item.title, "The title");
    assert_string_equal(item.summary, "Lead text");
    assert_string_equal(item.image, "https://a.example/i.png");
    assert_string_equal(item.author, "Ann");
    assert_null(item.fields);
    assert_int_equal(read_detail(&f, "<title>no meta</title>", &item, &drop), READ_OK);
    assert_true(drop);
    page = "<meta property=og:title content=T><div class=kind> Sponsored\n post</div>";
    assert_int_equal(read_detail(&f, page, &item, &drop), READ_OK);
    assert_true(drop);
    fixture_free(&f);
}

static void the_templates_that_come_with_rtm(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob("templates/*.json", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        template_error_t error;
        arena_t *arena = arena_new(1 << 20);
        char *json = slurp(found.gl_pathv[i]);
        template_t *t = template_parse(arena, json, strlen(json), &error);
        reader_t *reader = t ? reader_new(t, &error) : NULL;
        if (!reader) fail_msg("%s: %s: %s", found.gl_pathv[i], error.field, error.text);
        reader_destroy(&reader);
        free(json);
        arena_destroy(&arena);
    }
    globfree(&found);
}

// -- hostile markup -------------------------------------------------------------------------------

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// MAX_DOCUMENT bytes of unit, in which %d counts, behind prefix.
// As much as a document may be; less where a sanitizer makes each allocation dear.
#ifdef SANITIZED
enum { HOSTILE_BYTES = MAX_DOCUMENT / 256 };
#else
enum { HOSTILE_BYTES = MAX_DOCUMENT };
#endif

static char *repeat(const char *prefix, const char *unit, size_t *len)
{
    char *html = malloc(HOSTILE_BYTES + 100);
    size_t n = (size_t)sprintf(html, "%s", prefix);
    const char *hole = strstr(unit, "%d");
    for (int i = 0; n < HOSTILE_BYTES - 64; i++) {
        if (hole)
            n += (size_t)sprintf(html + n, "%.*s%d%s", (int)(hole - unit), unit, i, hole + 2);
        else
            n += (size_t)sprintf(html + n, "%s", unit);
    }
    *len = n;
    return html;
}

static void hostile_markup_ends_in_time(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *unit;
    } cases[] = {
        {"", "<div>"},         {"<p ", "a%d "},
        {"", "<b id=x%d><p>"}, {"", "<b id=x%d></p>"},
        {"", "a</x>"},         {"", "<table>x"},
        {"", "<a>"},           {"", "<!---->"},
        {"", "<font>"},        {"", "<svg><title>"},
        {"", "<select><a>"},   {"", "<html a%d=1>"},
        {"", "<template>"},    {"", "<li>"},
        {"", "&amp;&notit;"},  {"<p x='", "a&amp;"},
        {"", "<li><b>%d"},     {"", "<"},
        {"<!--", "-"},         {"<script>", "<!--"},
        {"", "<x%d>"},         {"", "<ruby><rt>"},
        {"", "<math><mi>"},    {"", "</p>"},
        {"", "<form><div>"},
    };
    fixture_t f;
    fixture_init(&f, HEAD "\"li\",\"fields\":{\"title\":\":scope\",\"x\":\"~ li:has(b) b\"}}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t len;
        char *html = repeat(cases[i].prefix, cases[i].unit, &len);
        double start = cpu_seconds();
        read_status_t status = read_bytes(&f, html, len);
        double took = cpu_seconds() - start;
        if (getenv("SHOW"))
            printf("%-16s %-14s %.3f s %s\n", cases[i].unit, status == READ_OK ? "ok" : "", took,
                   f.items.detail);
        // sanitizers make everything some times slower
        if (took > 5) fail_msg("%s takes %.1f s", cases[i].unit, took);
        free(html);
        arena_reset(f.arena);
    }
    fixture_free(&f);
}

static void too_many_items_are_an_error(void **state)
{
    (void)state;
    fixture_t f;
    size_t n = 0, count = MAX_ITEMS + 1;
    char *html = malloc(count * 8 + 1);
    for (size_t i = 0; i < count; i++) n += (size_t)sprintf(html + n, "<i>x</i>");
    fixture_init(&f, HEAD "\"i\",\"fields\":{\"title\":\"::text\"}}");
    assert_int_equal(read_bytes(&f, html, n), READ_TOO_BIG);
    assert_non_null(strstr(f.items.detail, "10000 items"));
    free(html);
    fixture_free(&f);
}

static void exploding_patterns_are_an_error(void **state)
{
    (void)state;
    fixture_t f;
    char page[200] = "<li>";
    memset(page + 4, 'a', 100);
    strcpy(page + 104, "!");
    fixture_init(&f, HEAD "\"li\",\"fields\":{\"title\":{\"select\":\":scope\",\"match\":\"^(a+)+$\"}}}");
    assert_int_equal(read_page(&f, page), READ_TOO_COMPLEX);
    fixture_free(&f);
}

static void long_markup_is_cut_off(void **state)
{
    (void)state;
    fixture_t f;
    char *page = calloc(1, 3 * MAX_CONTENT);
    strcpy(page, "<p><b>start</b>");
    for (size_t n = strlen(page); n < 2 * MAX_CONTENT; n += 5) memcpy(page + n, "w\xC3\xB6rd", 5);
    fixture_init(&f, HEAD
                 "\"p\",\"fields\":{\"title\":\"b\",\"content\":{\"select\":\":scope\",\"type\":\"html\"}}}");
    assert_int_equal(read_page(&f, page), READ_OK);
    const char *content = f.items.items[0].content;
    assert_true(strlen(content) <= MAX_CONTENT && strlen(content) > MAX_CONTENT - 4);
    assert_memory_equal(content, page + 3, strlen(content));
    fixture_free(&f);
    free(page);
}

static void a_full_arena_is_an_error(void **state)
{
    (void)state;
    fixture_t f;
    fixture_init(&f, HEAD "\"li\",\"fields\":{\"title\":\":scope\"}}");
    arena_destroy(&f.arena);
    f.arena = arena_new(3000);
    char page[4000];
    size_t n = 0;
    for (int i = 0; i < 300; i++) n += (size_t)sprintf(page + n, "<li>%d", i);
    assert_int_equal(read_page(&f, page), READ_TOO_BIG);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listing_with_typed_fields),
        cmocka_unit_test(content_hash_follows_tracked_fields_only),
        cmocka_unit_test(what_gives_nothing_says_why),
        cmocka_unit_test(required_fields_drop_items),
        cmocka_unit_test(fields_made_of_other_fields),
        cmocka_unit_test(the_prototypes_pages),
        cmocka_unit_test(the_templates_that_come_with_rtm),
        cmocka_unit_test(hostile_markup_ends_in_time),
        cmocka_unit_test(too_many_items_are_an_error),
        cmocka_unit_test(exploding_patterns_are_an_error),
        cmocka_unit_test(long_markup_is_cut_off),
        cmocka_unit_test(a_full_arena_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
