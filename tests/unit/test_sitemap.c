// needs: miner/read proto common
// Sitemaps: plain, news, images, index, lists of URLs, and what is none.

#include "tests/unit/reading.h"

static reading_t sitemap;

static int setup(void **state)
{
    (void)state;
    reading_open(&sitemap, "\"kind\":\"sitemap\"");
    sitemap.url = "http://h.example/sitemap.xml";
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    reading_close(&sitemap);
    return 0;
}

static read_status_t read_text(const char *text)
{
    return reading_text(&sitemap, text);
}

#define URLSET                                                     \
    "<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9' " \
    "xmlns:n='http://www.google.com/schemas/sitemap-news/0.9' "    \
    "xmlns:image='http://www.google.com/schemas/sitemap-image/1.1'>"

static void test_plain(void **state)
{
    (void)state;
    assert_int_equal(
        read_text(
            "<?xml version='1.0'?>" URLSET
            "<url><loc> http://h.example/a?b&amp;c </loc><lastmod>2024-01-05</lastmod>"
            "<changefreq>daily</changefreq><priority>0.5</priority></url>"
            "<url><loc>/relative</loc></url><url></url><url><lastmod>2024-01-05</lastmod></url></urlset>"),
        READ_OK);
    assert_int_equal(sitemap.items.n_items, 2);
    assert_string_equal(sitemap.items.items[0].url, "http://h.example/a?b&c");
    assert_string_equal(sitemap.items.items[0].key, "http://h.example/a?b&c");
    assert_int_equal(sitemap.items.items[0].published_ms, INT64_C(1704412800000));
    assert_string_equal(sitemap.items.items[0].fields,
                        "{\"lastmod\":\"2024-01-05\",\"changefreq\":\"daily\",\"priority\":\"0.5\"}");
    assert_string_equal(sitemap.items.items[1].url, "http://h.example/relative");
}

static void test_news_and_images(void **state)
{
    (void)state;
    assert_int_equal(
        read_text(URLSET "<url><loc>http://h.example/a</loc><lastmod>2024-02-05</lastmod><n:news>"
                         "<n:publication><n:name>Times</n:name><n:language>en</n:language></n:publication>"
                         "<n:publication_date>2024-01-05T10:00:00+01:00</n:publication_date>"
                         "<n:title>A &amp; B</n:title></n:news>"
                         "<image:image><image:loc>http://h.example/i.jpg</image:loc></image:image>"
                         "<image:image><image:loc>http://h.example/j.jpg</image:loc></image:image>"
                         "</url></urlset>"),
        READ_OK);
    assert_int_equal(sitemap.items.n_items, 1);
    assert_string_equal(sitemap.items.items[0].title, "A & B");
    assert_string_equal(sitemap.items.items[0].image, "http://h.example/i.jpg");
    assert_int_equal(sitemap.items.items[0].published_ms, INT64_C(1704445200000));
    assert_string_equal(sitemap.items.items[0].fields,
                        "{\"lastmod\":\"2024-02-05\",\"news:name\":\"Times\",\"news:language\":\"en\","
                        "\"image:loc\":\"http://h.example/j.jpg\"}");
}

static void test_videos(void **state)
{
    (void)state;
    assert_int_equal(read_text("<urlset xmlns:video='http://www.google.com/schemas/sitemap-video/1.1'><url>"
                               "<loc>http://h.example/v</loc><lastmod>2024-02-05</lastmod><video:video>"
                               "<video:title>V</video:title><video:publication_date>2024-01-05"
                               "</video:publication_date></video:video></url></urlset>"),
                     READ_OK);
    assert_string_equal(sitemap.items.items[0].title, "V");
    assert_int_equal(sitemap.items.items[0].published_ms, INT64_C(1704412800000));
}

static void test_index(void **state)
{
    (void)state;
    assert_int_equal(read_text("<sitemapindex><sitemap><loc>http://h.example/1.xml.gz</loc></sitemap>"
                               "<sitemap><loc>http://h.example/2.xml.gz</loc></sitemap></sitemapindex>"),
                     READ_OK);
    assert_int_equal(sitemap.items.n_items, 2);
    assert_string_equal(sitemap.items.items[1].url, "http://h.example/2.xml.gz");
    assert_string_equal(sitemap.items.items[1].fields, "{\"sitemap\":true}");
}

static void test_lines(void **state)
{
    (void)state;
    assert_int_equal(read_text("http://h.example/1\r\n\t https://h.example/2 \n\nno url\n"), READ_OK);
    assert_int_equal(sitemap.items.n_items, 2);
    assert_string_equal(sitemap.items.items[1].url, "https://h.example/2");
}

static void test_broken(void **state)
{
    (void)state;
    assert_int_equal(read_text("\n<?xml version='1.0'?><urlset><url><loc>http://h.example/?a&b</loc></url>"
                               "<url><loc>http://h.example/2</loc>"),
                     READ_OK);
    assert_int_equal(sitemap.items.n_items, 2);
    assert_string_equal(sitemap.items.items[0].url, "http://h.example/?a&b");
    assert_int_equal(read_text("<html><body>404</body></html>"), READ_NOT_THIS_KIND);
    assert_non_null(strstr(sitemap.items.detail, "html"));
    assert_int_equal(read_text("words"), READ_NOT_THIS_KIND);
    assert_int_equal(read_text(" "), READ_EMPTY_BODY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain), cmocka_unit_test(test_news_and_images), cmocka_unit_test(test_videos),
        cmocka_unit_test(test_index), cmocka_unit_test(test_lines),           cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
