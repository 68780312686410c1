// needs: miner/read proto common
// XML that is no feed, read by kind html.
#include "miner/read/dom_xml.h"
#include "tests/unit/reading.h"

#define MEMBERS                                                                                                  \
    "\"kind\":\"html\",\"items\":\"product\",\"key\":\"::attr(id)\",\"fields\":{\"title\":\"name\",\"url\":"     \
    "\"link::text\",\"image\":\"image\",\"content\":{\"select\":\"desc\",\"markup\":true},\"when\":\"pubdate\"," \
    "\"kind\":\"x\\\\:type\",\"after\":\"xpath:following-sibling::product[1]/@id\"}"

static reading_t r;

static read_status_t read_xml(const char *text, const char *type)
{
    document_t document = {.bytes = text, .len = strlen(text), .url = READING_URL, .content_type = type};
    arena_reset(r.arena);
    return reader_items(r.reader, r.arena, &document, &r.items);
}

static int setup(void **state)
{
    (void)state;
    reading_open(&r, MEMBERS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    reading_close(&r);
    return 0;
}

static void what_html_would_lose(void **state)
{
    (void)state;
    static const char text[] =
        "<?xml version='1.0'?><!-- c --><Catalog xmlns:x='urn:x'><empty/><Product ID='p1'><Name>One &amp; <![CDATA[<two>]]>"
        "</Name><link>https://b.example/1</link><image href='/i.png'/><desc><![CDATA[<p>Hi <b>there</b></p>]]></desc>"
        "<pubDate>today</pubDate><x:Type>T</x:Type></Product><product id='p2'><name>Two</name></product></Catalog>";
    assert_int_equal(read_xml(text, NULL), READ_OK);
    assert_int_equal(r.items.n_items, 2);
    const item_t *one = &r.items.items[0];
    assert_string_equal(one->key, "p1");
    assert_string_equal(one->title, "One & <two>");
    assert_string_equal(one->url, "https://b.example/1");
    assert_string_equal(one->image, "https://a.example/i.png");
    assert_string_equal(one->content, "Hi there");
    assert_string_equal(one->fields, "{\"when\":\"today\",\"kind\":\"T\",\"after\":\"p2\"}");
    assert_string_equal(r.items.items[1].title, "Two");
    // the server's word, and a declared encoding
    assert_int_equal(
        read_xml("<c><product id='a'><name>N</name><link>/x</link></product></c>", "application/xml"),
        READ_OK);
    assert_string_equal(r.items.items[0].url, "https://a.example/x");
    assert_int_equal(
        read_xml(
            "<?xml version='1.0' encoding='iso-8859-1'?><c><product id='a'><name>\xE9</name></product></c>",
            NULL),
        READ_OK);
    assert_string_equal(r.items.items[0].title, "\xC3\xA9");
}

static void what_is_broken(void **state)
{
    (void)state;
    assert_int_equal(
        read_xml("<?xml version='1.0'?><c><product id=a><name>A & B&nbsp;C</name><product id=b><name>D</c>",
                 NULL),
        READ_OK);
    assert_int_equal(r.items.n_items, 2);
    assert_string_equal(r.items.items[0].title, "A & B C");
    static const char bomb[] =
        "<?xml version='1.0'?><!DOCTYPE c [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>]>"
        "<c><product id='x'><name>&b;</name></product></c>";
    assert_int_equal(read_xml(bomb, NULL), READ_OK);
    assert_true(strlen(r.items.items[0].title) < 100);
    assert_int_equal(read_xml("<?xml version='1.0'?>", NULL), READ_ROTTED);
    assert_int_equal(read_xml("<?xml version='1.0'?><c/>", NULL), READ_ROTTED);
}

static void what_is_html_all_the_same(void **state)
{
    (void)state;
    static const document_t documents[] = {
        {.bytes = "<?xml version='1.0'?><!DOCTYPE html PUBLIC 'x'><html/>", .len = 53},
        {.bytes = "<?xml version='1.0'?>\n<HTML>", .len = 28},
        {.bytes = "<p>", .len = 3, .content_type = "application/xhtml+xml"},
        {.bytes = "<p>", .len = 3, .content_type = "text/html"},
        {.bytes = "<p>", .len = 3}};
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) assert_false(dom_is_xml(&documents[i]));
    // a tree of XML leaves nothing behind for the next page
    assert_int_equal(read_xml("<?xml version='1.0'?><c><product id='a'><name>N</name></product></c>", NULL),
                     READ_OK);
    assert_int_equal(read_xml("<product id=b><name>M</name></product>", "text/html"), READ_OK);
    assert_int_equal(r.items.n_items, 1);
    assert_string_equal(r.items.items[0].title, "M");
}

static void large_and_deep(void **state)
{
    (void)state;
    size_t size = 7 << 20, n = 0;
    char *text = malloc(size + 100);
    n = (size_t)sprintf(text, "<?xml version='1.0'?><c>");
    while (n < size) n += (size_t)sprintf(text + n, "<a/>");
    sprintf(text + n, "</c>");
    read_status_t status = read_xml(text, NULL);
    assert_true(status == READ_TOO_BIG || status == READ_TOO_COMPLEX);
    n = (size_t)sprintf(text, "<?xml version='1.0'?>");
    for (int i = 0; i < 100000; i++) n += (size_t)sprintf(text + n, "<a>");
    sprintf(text + n, "<product id='x'><name>deep</name></product>");
    (void)read_xml(text, NULL);
    assert_int_equal(read_xml("<?xml version='1.0'?><c><product id='a'><name>N</name></product></c>", NULL),
                     READ_OK);
    assert_int_equal(r.items.n_items, 1);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_html_would_lose),
        cmocka_unit_test(what_is_broken),
        cmocka_unit_test(what_is_html_all_the_same),
        cmocka_unit_test(large_and_deep),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
