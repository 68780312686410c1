// needs: miner/read proto common
// XPath selectors: what they give from a document and from an item, what is refused, and that they always
// end.
#include <time.h>

#include "proto/limits.h"
#include "tests/unit/page.h"
#include "tests/unit/sanitized.h" // realloc always copies there, and nothing is as fast

static const char page[] =
    "<!doctype html><html><head><title>T</title></head><body id=top><!-- note -->"
    "<div class='item' id=i1><h2>One <small>small</small></h2><a href='/1'>link1</a><p>p1</p></div>"
    "<div class='item' id=i2><h2>Two</h2><a href='/2'>link2</a><ul><li>1<li>2<li>3</ul></div>"
    "<p id=n lang=it-CH>price: 12.50 EUR</p><svg id=v viewBox='0 0 1 1'><linearGradient id=g /></svg></body></html>";

// "i1 i2": ids of elements, text of all else.
static bool list_match(void *ctx, lxb_dom_node_t *node)
{
    listing_t *l = ctx;
    raw_t raw = {NULL, 0};
    size_t n = 0;
    const char *id = node->type == LXB_DOM_NODE_TYPE_ELEMENT ? page_id(node, &n) : NULL;
    if (!id) {
        assert_int_equal(select_take(l->selector, node, TYPE_TEXT, true, l->arena, &raw), READ_OK);
        id = raw.text, n = raw.len;
    }
    page_add(l, id, n);
    return true;
}

static void expect(page_t *p, lxb_dom_node_t *scope, const char *selector, const char *matches)
{
    page_expect(p, scope, selector, matches, list_match);
}

static void from_a_document(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"xpath://div", "i1 i2"},
        {"xpath: //div[@class='item'] ", "i1 i2"},
        {"xpath://div[contains(concat(' ', @class, ' '), ' item ')][2]", "i2"},
        {"xpath://a/@href", "/1 /2"},
        {"xpath://a/@href/..", "link1 link2"},
        {"xpath://h2/text()", "One  Two"},
        {"xpath:string(//h2)", "One small"},
        {"xpath:count(//li)", "3"},
        {"xpath:1 div 2", "0.5"},
        {"xpath:number('x')", ""},
        {"xpath:''", ""},
        {"xpath:count(//a) = 2", "true"},
        {"xpath:normalize-space(substring-before(substring-after(//p[@id='n'], 'price:'), 'EUR'))", "12.50"},
        {"xpath:translate('bar','abc','AB')", "BAr"},
        {"xpath://li[last()] | //h2[1]", "One small Two 3"},
        {"xpath://comment()", " note "},
        {"xpath://lineargradient", "g"},
        {"xpath:id('x')", ""},
        {"xpath:id(' i2  top ')", "top i2"},
        {"xpath:id('i2')/h2", "Two"},
        {"xpath:id(//small | //div/@id)", "i1 i2"},
        {"xpath://p[id('i1') and lang('it')]", "n"},
        {"xpath://small[lang('it-ch')] | //a[lang('it')]", ""},
        {"xpath://LI[last()-position()=1]", "2"},
        {"xpath://Div[substring(@ID, string-length(@ID)-string-length('2')+1) = '2']", "i2"},
        {"xpath:position()=last()", "true"},
        {"xpath:translate('Bar','B','C')", "Car"},
        {"xpath://div[2]/preceding-sibling::div", "i1"},
        {"xpath://*[@id='i2']/ancestor::body", "top"},
        {"xpath://p[. = 'p1']/../@id", "i1"},
        {"xpath://div[h2 = 'Two']", "i2"},
        {"xpath://nothing", ""},
        {"xpath://p[@id='n']/text() | //h2//text() | //h2//small | //@href",
         "One  small small /1 Two /2 price: 12.50 EUR"},
    };
    page_t f;
    page_open(&f, page);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) expect(&f, f.root, cases[i][0], cases[i][1]);
    page_close(&f);
}

static void from_an_item(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"xpath:.", "i2"},
        {"xpath:@id", "i2"},
        {"xpath:./h2", "Two"},
        {"xpath:.//li", "1 2 3"},
        {"xpath:li", ""},
        {"xpath:preceding-sibling::div/a/@href", "/1"},
        {"xpath:string(h2)", "Two"},
        {"xpath:count(.//li) + 1", "4"},
        {"xpath:/html/body/@id", "top"},
    };
    page_t f;
    page_open(&f, page);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(&f, page_element(&f, "i2"), cases[i][0], cases[i][1]);
    page_close(&f);
}

static void results_come_in_the_order_of_the_page(void **state)
{
    (void)state;
    page_t f;
    page_open(&f, "<!doctype html><body><p id=p>a<b id=b>b<i id=i>c</i>d</b>e</p><p id=q><b id=b>f</b>g</p>");
    expect(&f, f.root, "xpath://p//node()", "a b b i c d e b f g");
    expect(&f, f.root, "xpath://p[1]/text() | //i | //i/@id", "a i i e");
    expect(&f, f.root, "xpath:id('b q')", "b q");
    page_close(&f);
}

static void bad_expressions_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"xpath:", "no valid XPath"},
        {"xpath://a[", "no valid XPath"},
        {"xpath://a]", "no valid XPath"},
        {"xpath:'a", "no valid XPath"},
        {"xpath:count('x')", "no valid XPath"},
        {"xpath://a[ends-with(@href, 'x')]", "no function ends-with()"},
        {"xpath://a[matches(., 'x')]", "no function matches()"},
        {"xpath://a[Contains(., 'x')]", "no function Contains()"},
        {"xpath://a[$x]", "variables"},
        {"xpath://svg:rect", "prefixes"},
        {"xpath://a/text()::text", "no valid XPath"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        template_error_t error = {.line = 7};
        selector_t *sel = selector_new(cases[i][0], "fields.x", &error);
        if (sel) fail_msg("`%s` was taken", cases[i][0]);
        assert_string_equal(error.field, "fields.x");
        if (!strstr(error.text, cases[i][1])) fail_msg("`%s`: %s", cases[i][0], error.text);
    }
}

static bool count(void *ctx, lxb_dom_node_t *node)
{
    (void)node;
    ++*(size_t *)ctx;
    return true;
}

static double cpu_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void explosive(const char *html, const char *const *selectors, size_t n_selectors)
{
    page_t f;
    page_open(&f, html);
    for (size_t i = 0; i < n_selectors; i++) {
        template_error_t error;
        selector_t *sel = selector_new(selectors[i], "items", &error);
        if (!sel) fail_msg("%s: %s", selectors[i], error.text);
        int64_t steps = 40000000;
        size_t found = 0;
        double start = cpu_s();
        read_status_t status = select_each(sel, f.root, &steps, count, &found);
        double took = cpu_s() - start;
        if (getenv("SHOW"))
            fprintf(stderr, "%.2f s, %zu, %s: %s\n", took, found, read_status_name(status), selectors[i]);
        assert_true(status == READ_OK || status == READ_TOO_COMPLEX);
#ifndef SANITIZED
        if (took > 3.0) fail_msg("%s took %.2f s", selectors[i], took);
#endif
        selector_destroy(&sel);
    }
    page_close(&f);
}

static void explosive_expressions_end_at_the_budget(void **state)
{
    (void)state;
    static const char *const flat[] = {
        "xpath://div[//div[//div]]",
        "xpath://div[count(//div) > count(preceding::div)]",
        "xpath://div = //p",
        "xpath://div | //p",
        "xpath:(//div | //p)[last()]",
        "xpath://div//following::p",
        "xpath://*[string-length(string(/)) > 3]",
        "xpath://p[. < 5]",
        "xpath://*[id(//p)]",
        "xpath:id(//p)",
    };
    size_t n = 0, size = 4 << 20;
    char *html = malloc(size);
    for (int i = 0; i < 14000; i++) n += (size_t)sprintf(html + n, "<div>d%d</div><p>p%d</p>", i, i);
    explosive(html, flat, sizeof flat / sizeof *flat);
    static const char *const deep[] = {
        "xpath://*[contains(., 'zz')]",
        "xpath://*[contains(., string(/))]",
        "xpath://*[. = 'aaaa']",
        "xpath://*[. < 5]",
        "xpath://*[normalize-space() = 'x']",
        "xpath://div[.//div[.//div]]",
#ifndef SANITIZED
        "xpath:translate(string(/), string(/), 'b')",
#endif
    };
    n = 0;
    for (int i = 0; i < 3500; i++) n += (size_t)sprintf(html + n, "<div>");
    memset(html + n, 'a', 2 << 20);
    html[n + (2 << 20)] = 0;
    explosive(html, deep, sizeof deep / sizeof *deep);
    free(html);
}

static void items_and_fields_by_xpath(void **state)
{
    (void)state;
    static const char json[] =
        "{\"name\":\"x\",\"url\":\"https://a.example/l/\",\"items\":\"xpath://"
        "div[@class='item']\",\"key\":\"xpath:@id\",\"fields\":{\"title\":[\"xpath:h3\",\"xpath:h2\"],"
        "\"url\":\"xpath:a/@href\",\"n\":{\"select\":\"xpath:count(.//"
        "li)\",\"type\":\"integer\"},\"long\":\"xpath:string-length(h2)"
        " > 3\",\"markup\":{\"select\":\"xpath:concat('<',"
        " h2)\",\"type\":\"html\"},\"points\":{\"select\":\"xpath:.//li\",\"all\":true,\"type\":\"list\"}}}";
    arena_t *arena = arena_new(1 << 20), *results = arena_new(DOCUMENT_ARENA);
    template_error_t error;
    template_t *t = template_parse(arena, json, strlen(json), &error);
    if (!t) fail_msg("%s: %s", error.field, error.text);
    assert_int_equal(t->kind, KIND_HTML);
    reader_t *reader = reader_new(t, &error);
    if (!reader) fail_msg("%s: %s", error.field, error.text);
    for (int i = 0; i < 3; i++) {
        items_t items;
        document_t document = {.bytes = page, .len = strlen(page), .url = "https://a.example/l/"};
        arena_reset(results);
        assert_int_equal(reader_items(reader, results, &document, &items), READ_OK);
        assert_int_equal(items.n_items, 2);
        assert_string_equal(items.items[0].title, "One small");
        assert_string_equal(items.items[1].key, "i2");
        assert_string_equal(items.items[1].url, "https://a.example/2");
        assert_string_equal(items.items[1].fields, "{\"n\":3,\"long\":\"false\",\"markup\":\"&lt;Two\","
                                                   "\"points\":[\"1\",\"2\",\"3\"]}");
    }
    reader_destroy(&reader);
    arena_destroy(&arena);
    arena_destroy(&results);
}

// Values that are no elements cannot be items.
static void items_are_elements(void **state)
{
    (void)state;
    static const char json[] =
        "{\"name\":\"x\",\"url\":\"https://a.example/l/\",\"items\":\"xpath:string(//h2)\","
        "\"fields\":{\"title\":\"h2\"}}";
    arena_t *arena = arena_new(1 << 20), *results = arena_new(DOCUMENT_ARENA);
    template_error_t error;
    template_t *t = template_parse(arena, json, strlen(json), &error);
    reader_t *reader = reader_new(t, &error);
    items_t items;
    document_t document = {.bytes = page, .len = strlen(page), .url = "https://a.example/l/"};
    assert_int_equal(reader_items(reader, results, &document, &items), READ_ROTTED);
    reader_destroy(&reader);
    arena_destroy(&arena);
    arena_destroy(&results);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_a_document),
        cmocka_unit_test(from_an_item),
        cmocka_unit_test(results_come_in_the_order_of_the_page),
        cmocka_unit_test(bad_expressions_are_refused_with_a_reason),
        cmocka_unit_test(explosive_expressions_end_at_the_budget),
        cmocka_unit_test(items_and_fields_by_xpath),
        cmocka_unit_test(items_are_elements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
