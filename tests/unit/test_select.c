// needs: miner/read proto common
// Selectors: what they match from a document and from an item, what is refused, and that they always end.

#include <malloc.h>

#include "proto/limits.h"
#include "tests/unit/page.h"

static const char page[] =
    "<!doctype html><html lang=en><head><title>T</title><meta name=d content='from meta'></head><body"
    " id=top><div class='item first' id=i1><h2 class=Title>One <small>small</small></h2><a href='/1' data-X=Y"
    " rel='nofollow external' hreflang=en-US>link1</a><p>p1</p><p class=x>p2</p></div><div class=item"
    " id=i2><h2>Two</h2><a href='/2.PDF' type=TEXT>link2</a><ul><li>1<li>2<li"
    " class=x>3<li>4<li>5</ul></div><div id=s1 class=sub><b>sub2</b></div><div id=s2>after</div><form><input"
    " id=f1 disabled checked><input id=f2 checked type=checkbox><select id=f3 required><option id=o1"
    " selected></select></form><p id=e></p><p id=e2><!-- c --></p><my-tag id=m>custom</my-tag></body></html>";

// "i1 i2": ids, or names where there is none; behind a selector with `::...` what it takes.
static bool list_match(void *ctx, lxb_dom_node_t *node)
{
    listing_t *l = ctx;
    raw_t raw = {NULL, 0};
    size_t n = 0;
    if (!selector_is_plain(l->selector)) {
        assert_int_equal(select_take(l->selector, node, TYPE_TEXT, true, l->arena, &raw), READ_OK);
        page_add(l, raw.text ? raw.text : "-", raw.text ? raw.len : 1);
        return true;
    }
    const char *id = page_id(node, &n);
    if (!id) id = (const char *)lxb_dom_element_local_name(lxb_dom_interface_element(node), &n);
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
        {"div.item", "i1 i2"},
        {"::attr(id)", "-"},
        {"DIV.item", "i1 i2"},
        {".item.first", "i1"},
        {"#i2", "i2"},
        {"div.item, #top", "top i1 i2"},
        {"body > div", "i1 i2 s1 s2"},
        {"#i1 + div", "i2"},
        {"#i1 ~ div", "i2 s1 s2"},
        {"div:not(.item)", "s1 s2"},
        {"div:has(li)", "i2"},
        {"div:has(> ul > li.x)", "i2"},
        {"div:has(+ #s1)", "i2"},
        {"div:has(> li)", ""},
        {"[data-x=Y]", "a"},
        {"[data-x=y]", ""},
        {"[data-x=y i]", "a"},
        {"a[rel~=external]", "a"},
        {"a[hreflang|=en]", "a"},
        {"a[href^='/1']", "a"},
        {"a[href$='.pdf' i]", "a"},
        {"a[href*=PDF]", "a"},
        {"a[href^='']", ""},
        {"[type=text]", "a"},
        {"[class]", "i1 h2 p i2 li s1"},
        {"[id='']", ""},
        {":is(#i1, #s2)", "i1 s2"},
        {":where(h2).Title", "h2"},
        {"h2.title", ""},
        {":root", "html"},
        {":disabled", "f1"},
        {"input:enabled", "f2"},
        {":checked", "f2 o1"},
        {":required", "f3"},
        {"input:optional", "f1 f2"},
        {"p:empty", "e e2"},
        {":link", "a a"},
        {"my-tag", "m"},
        {"*|div.sub", "s1"},
        {"|div, |*, #i1 > |h2", ""},
        {"div:not(|div).sub", "s1"},
        {"div:first-of-type", "i1"},
        {"div:last-of-type", "s2"},
        {"h2:only-of-type", "h2 h2"},
        {"b:only-child", "b"},
        {"a[type=text I], a[data-x=\"y\" /* of any */ i /* case */ ]", "a a"},
        {"[*|hreflang]", "a"},
        {":is()", ""},
        {"div:not(:where()).sub", "s1"},
        {"div:is(:nonsense, .sub)", "s1"},
        {"div:is(:has(:is(:has(li))), .sub)", "s1"},
        {"a:hover, a:visited, :target, p:focus-within", ""},
        {"a:not(:visited)", "a a"},
        {":scope > body", "top"},
        {":is(html):scope", "html"},
        {"body:lang(en)", "top"},
        {"body:lang('*', fr)", "top"},
        {"body:lang(\"e\")", ""},
        {"#i1:dir(ltr)", "i1"},
        {"li:contains('4')::text", "4"},
        {"li:nth-last-child( -2n + 3 of :not(.x) )::text", "2 5"},
        {"li::text", "1 2 3 4 5"},
        {"li:nth-child(2n+1)::text", "1 3 5"},
        {"li:nth-child(-n+2)::text", "1 2"},
        {"li:nth-last-child(1)::text", "5"},
        {"li:nth-child(1 of .x)::text", "3"},
        {"li:nth-of-type(even)::text", "2 4"},
        {"li:nth-last-of-type(2)::text", "4"},
        {"li:first-child::text", "1"},
        {"li:last-child ::text", "5"},
        {"a::attr(href)", "/1 /2.PDF"},
        {"a::attr( HREF )", "/1 /2.PDF"},
        {"a::attr(data-x)", "Y -"},
        {"h2::text", "One small Two"},
        {"meta::content", "from meta"},
        {"b::content", "sub2"},
        {"p:lexbor-contains('p2')::text", "p2"},
        {"html div b::text", "sub2"},
        {"div div b", ""},
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
        {"a::attr(href)", "/2.PDF"},
        {"> a::attr(href)", "/2.PDF"},
        {"> li", ""},
        {"> ul > li.x::text", "3"},
        {"+ div", "s1"},
        {"+ div b::text", "sub2"},
        {"+ .nothere", ""},
        {"~ div", "s1 s2"},
        {"+ div + div::text", "after"},
        {"~ div b::text", "sub2"},
        {"::attr(id)", "i2"},
        {"::attr(nothing)", "-"},
        {":scope::attr(id)", "i2"},
        {":scope > h2::text", "Two"},
        {"div.item > a::attr(href)", "/2.PDF"},
        {"div", "i2"},
        {"body a", ""},
        {"div + div", "s1"},
        {"#i1 + div", ""},
        {"li + li::text", "2 3 4 5"},
        {"> h2 + a::attr(href)", "/2.PDF"},
        {"h2::text", "Two"},
        {"h2, li.x", "h2 li"},
        {"> h2, + div", "h2 s1"},
    };
    page_t f;
    page_open(&f, page);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(&f, page_element(&f, "i2"), cases[i][0], cases[i][1]);
    page_close(&f);
}

static void what_can_be_edited_is_read_write(void **state)
{
    (void)state;
    page_t f;
    page_open(
        &f,
        "<!doctype html><body id=b><div id=d contenteditable><p id=p><i id=i contenteditable=False><u id=u>"
        "</u></i><s id=s contenteditable=maybe></s></p></div><input id=i1 type=Checkbox><input id=i2 "
        "readonly><input id=i3 type=nonsense><textarea id=t></textarea>");
    expect(&f, f.root, "[id]:read-write", "d p s i3 t");
    expect(&f, f.root, "[id]:read-only", "b i u i1 i2");
    page_close(&f);
}

static void direction_is_said_or_found(void **state)
{
    (void)state;
    page_t f;
    page_open(
        &f,
        "<!doctype html><body id=b><p id=p1 dir=RTL><i id=i1></i><i id=i2 dir=wrong></i><b id=b1 dir=ltr>א</b>"
        "</p><p id=p2 dir=auto>1. <!-- a --><bdi id=d1>a</bdi><i id=i3>אב a</i></p><p id=p3 dir=auto>, É א</p>"
        "<p id=p4 dir=auto><script>a</script>...</p><bdi id=d2>שלום</bdi><input id=t1 dir=auto value=ש>"
        "<input id=t2 dir=auto type=checkbox value=ש><div id=d3 dir=rtl><input id=t3 type=tel></div>");
    expect(&f, f.root, "[id]:dir(rtl)", "p1 i1 i2 p2 i3 d2 t1 d3");
    expect(&f, f.root, "[id]:dir(LTR)", "b b1 d1 p3 p4 t2 t3");
    expect(&f, f.root, ":dir(auto)", "");
    page_close(&f);
}

static void bad_selectors_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a[", "no valid CSS"},
        {"", "empty"},
        {"a,,b", "no valid CSS"},
        {"a:in-range", "in-range"},
        {"a:has(b, 1)", "no valid CSS"},
        {"a:has(b,)", "comma"},
        {"a:has(b:has(c))", "does not stand in"},
        {"[a=b ii]", "i or s"},
        {"[a=1]", "no valid CSS"},
        {"[a=;]", "a name or stands in quotes"},
        {"[a=]", "missing"},
        {"p:lang()", "asks for"},
        {"p:lang(1)", "a language"},
        {"p:lang(en fr)", "commas"},
        {"p:nth-child(1 n)", "an+b"},
        {"p:nth-child(n + )", "an+b"},
        {"p:nth-of-type(1 of p)", "an+b"},
        {"//a[@href]", "XPath starts with `xpath:`"},
        {"$.posts[*]", "kind `json`"},
        {"a@href", "`::attr(name)` at the end"},
        {"a::before", "no valid"},
        {"svg|a", "namespace"},
        {"a || b", "||"},
        {"div[id)", "no valid CSS selector"},
        {"div:is(a]", "not closed"},
        {"a >", "no valid CSS"},
        {"#1a", "an id that starts with a digit"},
        {"p #-1", "an id that starts with a digit"},
        {":scopes", "no valid CSS"},
        {"a::attr()", "attribute"},
        {"a::text, b::text", "for alternatives use a list"},
        {":has(:is(:not(:is(:not(:is(:not(:is(:not(a)))))))))", "nests"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        template_error_t error = {.line = 7};
        selector_t *sel = selector_new(cases[i][0], "fields.x", &error);
        if (sel) fail_msg("`%s` was taken", cases[i][0]);
        assert_string_equal(error.field, "fields.x");
        if (!strstr(error.text, cases[i][1])) fail_msg("`%s`: %s", cases[i][0], error.text);
    }
}

static void names_beyond_ascii(void **state)
{
    (void)state;
    static const char html[] =
        "<!doctype html><p id=a class='\xC3\xA9t\xC3\xA9'><p id=b class='\xD0\xBD\xD0\xBE\xD0\xB2'"
        " title=\xC3\xBC><p id=c lang=de-Latn-CH-1996>";
    static const char *const cases[][2] = {
        {".\xC3\xA9t\xC3\xA9", "a"}, {"p.\xD0\xBD\xD0\xBE\xD0\xB2:not(.\xC3\xA9)", "b"},
        {".\\e9 t\\e9", "a"},        {"[title=\xC3\xBC]", "b"},
        {"[title='\xC3\xBC']", "b"}, {"p:lang(de-CH)", "c"},
        {"p:lang(\\*-1996)", "c"},   {"p:lang(de-1)", ""},
    };
    page_t f;
    page_open(&f, html);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) expect(&f, f.root, cases[i][0], cases[i][1]);
    page_close(&f);
}

static void a_page_says_its_language(void **state)
{
    (void)state;
    page_t f;
    page_open(&f,
              "<!doctype html><meta http-equiv=Content-Language content=' pt-BR x'><p id=a><p id=b lang=de>");
    expect(&f, f.root, "p:lang(pt)", "a");
    expect(&f, f.root, "p:lang(pt-BR)", "a");
    expect(&f, f.root, "p:lang(x)", "");
    page_close(&f);
    page_open(&f,
              "<!doctype html><meta http-equiv=Content-Language content='pt, de'><p id=a><p id=b lang=de>");
    expect(&f, f.root, "p:lang(pt)", "");
    expect(&f, f.root, "p:lang('')", "a");
    page_close(&f);
}

static bool count(void *ctx, lxb_dom_node_t *node)
{
    (void)node;
    ++*(size_t *)ctx;
    return true;
}

static void explosive_selectors_end_at_the_budget(void **state)
{
    (void)state;
    static const char *const selectors[] = {"div div div div div div div div p",
                                            "div:not(:has(div div div p))", "div ~ div ~ div ~ div ~ p",
                                            ":nth-child(2n of :nth-child(3n of div))"};
    size_t n = 0, size = 600000;
    char *html = malloc(size);
    for (int i = 0; i < 400; i++) n += (size_t)sprintf(html + n, "<div>");
    for (int i = 0; i < 3000; i++) n += (size_t)sprintf(html + n, "<div></div>");
    page_t f;
    page_open(&f, html);
    for (size_t i = 0; i < sizeof selectors / sizeof *selectors; i++) {
        template_error_t error;
        selector_t *sel = selector_new(selectors[i], "items", &error);
        assert_non_null(sel);
        int64_t steps = 1000000;
        size_t found = 0;
        read_status_t status = select_each(sel, f.root, &steps, count, &found);
        assert_true(status == READ_OK || status == READ_TOO_COMPLEX);
        assert_true(steps > -1000000);
        selector_destroy(&sel);
    }
    page_close(&f);
    free(html);
}

// What a selector takes grows with its length, not with its square.
static void long_selectors_take_little_memory(void **state)
{
    (void)state;
    char text[MAX_SELECTOR + 1] = "";
    template_error_t error;
    for (size_t n = 0; n + 10 < sizeof text; n += 6) memcpy(text + n, "a.b > ", 7);
    strcat(text, "a");
    size_t before = mallinfo2().uordblks;
    selector_t *s = selector_new(text, "items", &error);
    assert_non_null(s);
    size_t bytes = mallinfo2().uordblks - before;
    selector_destroy(&s);
    if (bytes > 256 << 10) fail_msg("%zu bytes", bytes); // it was 4 MB: of a template of 900 KiB 3 GB
}

static void quirks_ignore_the_case_of_classes(void **state)
{
    (void)state;
    page_t f;
    page_open(&f, "<p class=Big id=ONE>x");
    expect(&f, f.root, ".big", "ONE");
    expect(&f, f.root, "#one", "ONE");
    page_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_a_document),
        cmocka_unit_test(from_an_item),
        cmocka_unit_test(names_beyond_ascii),
        cmocka_unit_test(a_page_says_its_language),
        cmocka_unit_test(what_can_be_edited_is_read_write),
        cmocka_unit_test(direction_is_said_or_found),
        cmocka_unit_test(bad_selectors_are_refused_with_a_reason),
        cmocka_unit_test(explosive_selectors_end_at_the_budget),
        cmocka_unit_test(long_selectors_take_little_memory),
        cmocka_unit_test(quirks_ignore_the_case_of_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
