// needs: miner/read proto common
// Reading by kind, as the miner does: what kind auto makes of a document, watched pages, and the next page.

#include <zlib.h>

#include "tests/unit/reading.h"

#define URL READING_URL

static void auto_looks_at_the_document(void **state)
{
    (void)state;
    reading_t f;
    reading_open(&f, "{\"name\":\"a\",\"url\":\"" URL "\",\"kind\":\"auto\"}");
    assert_int_equal(
        reading_text(&f, "<rss><channel><item><title>R</title><guid>1</guid></item></channel></rss>"),
        READ_OK);
    assert_string_equal(f.items.items[0].title, "R");
    assert_int_equal(
        reading_text(&f, "{\"version\":\"https://jsonfeed.org/version/1\",\"items\":[{\"id\":\"j\"}]}"),
        READ_OK);
    assert_string_equal(f.items.items[0].key, "j");
    assert_int_equal(
        reading_text(&f, "<?xml version='1.0'?><urlset><url><loc>https://a.example/s</loc></url></urlset>"),
        READ_OK);
    assert_string_equal(f.items.items[0].url, "https://a.example/s");
    assert_int_equal(
        reading_text(&f, "<sitemapindex><sitemap><loc>https://a.example/s2</loc></sitemap></sitemapindex>"),
        READ_OK);
    assert_int_equal(f.items.n_items, 1);
    assert_int_equal(
        reading_text(&f, "<!-- an urlset --><s:urlset xmlns:s='http://www.sitemaps.org/schemas/sitemap/0.9'>"
                         "<s:url><s:loc>https://a.example/s3</s:loc></s:url></s:urlset>"),
        READ_OK);
    assert_string_equal(f.items.items[0].url, "https://a.example/s3");
    assert_int_equal(reading_text(&f,
                                  "<!doctype html><html><head><LINK rel=alternate type='application/rss+xml' "
                                  "href='/feed?a=1&amp;b=2'></head></html>"),
                     READ_NOT_THIS_KIND);
    assert_string_equal(f.items.next_url, "https://a.example/feed?a=1&b=2");
    assert_non_null(strstr(f.items.detail, "https://a.example/feed?a=1&b=2"));
    assert_int_equal(reading_text(&f, "<!doctype html><html><body>x"), READ_NOT_THIS_KIND);
    assert_null(f.items.next_url);
    assert_int_equal(reading_text(&f, ""), READ_EMPTY_BODY);
    reading_close(&f);
}

static void pages_name_their_feeds(void **state)
{
    (void)state;
#define FEED_LINK "<link rel=alternate type=application/rss+xml href=f>"
    static const char *const cases[][2] = {
        {FEED_LINK, "https://a.example/f"},
        {"<LINK REL='Alternate Home' TYPE='Application/Atom+XML; charset=utf-8' HREF=' f?a&amp;b=&#49; '>",
         "https://a.example/f?a&b=1"},
        {"<base href='//b.example/x/'>" FEED_LINK, "https://b.example/x/f"},
        {"<!-- <link rel=alternate type=application/rss+xml href=c> -->" FEED_LINK, "https://a.example/f"},
        {"<script>'<link rel=alternate type=application/rss+xml href=c>'</script>" FEED_LINK,
         "https://a.example/f"},
        {"<link rel=feed href=f>", "https://a.example/f"},
        {"<link rel=alternate type=application/feed+json href=feed://a.example/f>", "http://a.example/f"},
        {"<link rel=alternate type=application/rss+xml href=feed:https://a.example/f>",
         "https://a.example/f"},
        {"<link rel=alternate type=text/xml href=x>" FEED_LINK, "https://a.example/f"},
        {"<link rel=alternate type=text/xml href=x>", "https://a.example/x"},
        {"<body><p>" FEED_LINK, "https://a.example/f"},
        {"<link rel=alternate type=application/json href=/wp-json/>", NULL},
        {"<link rel=alternate type=application/json href=/feed.json>", "https://a.example/feed.json"},
        {"<link rel=alternate type=application/json href=/data>" FEED_LINK, "https://a.example/f"},
        {"<link rel=alternate type=text/xml+oembed href=/oembed>", NULL},
        {"<link rel=alternate hreflang=de href=/de>", NULL},
        {"<link rel='alternate stylesheet' type=application/rss+xml href=/s>", NULL},
        {"<link rel=alternate type=application/rss+xml>", NULL},
    };
    reading_t f;
    reading_open(&f, "{\"name\":\"a\",\"url\":\"" URL "\",\"kind\":\"feed\"}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[600];
        snprintf(text, sizeof text, "<!doctype html><html><head><title>t</title>%s", cases[i][0]);
        assert_int_equal(reading_text(&f, text), READ_NOT_THIS_KIND);
        const char *got = f.items.next_url, *wanted = cases[i][1];
        if (wanted ? !got || strcmp(got, wanted) != 0 : got != NULL)
            fail_msg("%s: %s", cases[i][0], got ? got : "none");
    }
    reading_close(&f);
}

static void a_feed_is_no_sitemap(void **state)
{
    (void)state;
    reading_t f;
    reading_open(&f, "{\"name\":\"a\",\"url\":\"" URL "\",\"kind\":\"feed\"}");
    assert_int_equal(reading_text(&f, "<urlset><url><loc>https://a.example/s</loc></url></urlset>"),
                     READ_NOT_THIS_KIND);
    reading_close(&f);
}

#define PAGE "{\"name\":\"a\",\"url\":\"" URL "\",\"kind\":\"page\""

static void a_watched_page_is_one_item(void **state)
{
    (void)state;
    reading_t f;
    reading_open(
        &f, PAGE
        ",\"items\":[\"#gone\",\".price\"],\"fields\":{\"stock\":{\"select\":\"b\",\"type\":\"integer\"}}}");
    assert_int_equal(
        reading_text(&f, "<title>(1) Shop</title><p class=price>10 EUR<p class=price>9 USD<b>7</b>"),
        READ_OK);
    assert_int_equal(f.items.n_items, 1);
    assert_string_equal(f.items.items[0].key, URL);
    assert_string_equal(f.items.items[0].url, URL);
    assert_string_equal(f.items.items[0].title, "(1) Shop");
    assert_string_equal(f.items.items[0].content, "10 EUR\n9 USD7");
    assert_string_equal(f.items.items[0].fields, "{\"stock\":7}");
    uint64_t hash = f.items.items[0].content_hash;
    reading_text(&f, "<title>(2) Shop</title><i>new</i><p class=price>10 EUR<p class=price>9 USD<b>7</b>");
    assert_int_equal(f.items.items[0].content_hash, hash);
    reading_text(&f, "<title>(2) Shop</title><p class=price>11 EUR<p class=price>9 USD<b>7</b>");
    assert_int_not_equal(f.items.items[0].content_hash, hash);
    assert_int_equal(reading_text(&f, "<title>Shop</title><p>sold out"), READ_ROTTED);
    assert_int_equal(reading_text(&f, "<p class=price> <p>sold out"), READ_ROTTED);
    reading_close(&f);
}

static void a_text_is_a_page(void **state)
{
    (void)state;
    reading_t f;
    reading_open(&f, PAGE "}");
    assert_int_equal(reading_text(&f, "Version 1.2 & \xC3\xA9\n\n  released &amp; signed\n"), READ_OK);
    assert_string_equal(f.items.items[0].content, "Version 1.2 & \xC3\xA9\n\nreleased &amp; signed");
    assert_null(f.items.items[0].title);
    static const char text[] = "a <b>c</b>\nd";
    document_t document = {
        .bytes = text, .len = sizeof text - 1, .content_type = "Text/plain; charset=utf-8", .url = URL};
    assert_int_equal(reader_items(f.reader, f.arena, &document, &f.items), READ_OK);
    assert_string_equal(f.items.items[0].content, "a <b>c</b>\nd");
    assert_int_equal(reading_text(&f, ""), READ_EMPTY_BODY);
    assert_int_equal(reading_text(&f, "  \n"), READ_EMPTY_BODY);
    reading_close(&f);
}

static void a_whole_page_or_its_markup(void **state)
{
    (void)state;
    reading_t f;
    reading_open(&f, PAGE "}");
    assert_int_equal(reading_text(&f, "<title>T</title><script>x()</script><p>One<p>Two"), READ_OK);
    assert_string_equal(f.items.items[0].content, "One\n\nTwo");
    reading_close(&f);
    reading_open(&f, PAGE
                 ",\"fields\":{\"content\":{\"select\":\"xpath://p[2]\",\"type\":\"html\"},\"title\":\"h1\"},"
                 "\"track\":[\"title\"]}");
    assert_int_equal(reading_text(&f, "<h1>H</h1><p>One<p><b>Two</b>"), READ_OK);
    assert_string_equal(f.items.items[0].content, "<b>Two</b>");
    assert_string_equal(f.items.items[0].title, "H");
    reading_close(&f);
    reading_refused(PAGE ",\"key\":\"b\"}", "key", "URL");
    reading_refused(PAGE ",\"fields\":{\"url\":\"a\"}}", "fields.url", "own");
    reading_refused(PAGE ",\"items\":\"p\",\"fields\":{\"content\":\"a\"}}", "fields.content", "keep one");
    reading_refused(PAGE ",\"items\":\"p[\"}", "fields.content", "CSS");
    reading_refused(PAGE ",\"pages\":2}", "pages", "no further pages");
}

#define HTML "{\"name\":\"a\",\"url\":\"" URL "\",\"items\":\"li\",\"fields\":{\"title\":\"b\"},"

static const char *next_of(const char *json, const char *text)
{
    static char out[300];
    reading_t f;
    reading_open(&f, json);
    assert_int_equal(reading_text(&f, text), READ_OK);
    snprintf(out, sizeof out, "%s", f.items.next_url ? f.items.next_url : "none");
    reading_close(&f);
    return out;
}

static void the_next_page_of_html(void **state)
{
    (void)state;
#define LIST "<li><b>x</b></li>"
    static const char plain[] = HTML "\"pages\":3,\"next\":[\"a.newer\",\".pager a:last-child\"]}";
    assert_string_equal(
        next_of(plain, LIST "<div class=pager><a href='?page=1'>1</a><a href='?page=2'>></a>"),
        "https://a.example/list?page=2");
    assert_string_equal(next_of(plain, "<base href='https://b.example/'>" LIST "<a class=newer href=x>"),
                        "https://b.example/x");
    assert_string_equal(next_of(plain,
                                "<base target=_top><body>" LIST "<a class=newer href=x><p><base href=/b/>"
                                "<base href=/c/>"),
                        "https://a.example/b/x");
    assert_string_equal(next_of(plain, LIST "<a class=newer href='" URL "'>self</a>"), "none");
    assert_string_equal(next_of(plain, LIST "<a class=newer href='javascript:x()'>"), "none");
    assert_string_equal(next_of(plain, LIST), "none");
    assert_string_equal(next_of(HTML "\"pages\":2}", LIST "<link rel='x next' href=/p2>"),
                        "https://a.example/p2");
    assert_string_equal(next_of(HTML "\"pages\":1}", LIST "<link rel=next href=/p2>"), "none");
    assert_string_equal(
        next_of(HTML "\"next\":\"xpath://a[contains(., 'More')]/@href\"}", LIST "<a href=/m>More"),
        "https://a.example/m");
    assert_string_equal(
        next_of(HTML "\"next\":{\"select\":\"#more::attr(data-last)\",\"match\":\"t_(.+)\",\"format\":"
                     "\"/list?after={}&n=2\"}}",
                LIST "<p id=more data-last='t_a&amp;b'>"),
        "https://a.example/list?after=a%26b&n=2");
}

static void the_next_page_of_json(void **state)
{
    (void)state;
#define JSON                         \
    "{\"name\":\"a\",\"url\":\"" URL \
    "\",\"kind\":\"json\",\"items\":\"$.d[*]\",\"fields\":{\"title\":\"$.t\"},\"pages\":5,"
    static const char url[] = JSON "\"next\":\"$.links.next\"}";
    assert_string_equal(next_of(url, "{\"d\":[{\"t\":1}],\"links\":{\"next\":\"/list?page=2\"}}"),
                        "https://a.example/list?page=2");
    assert_string_equal(next_of(url, "{\"d\":[{\"t\":1}],\"links\":{\"next\":null}}"), "none");
    assert_string_equal(next_of(url, "{\"d\":[{\"t\":1}],\"links\":{\"next\":false}}"), "none");
    assert_string_equal(next_of(url, "{\"d\":[{\"t\":1}]}"), "none");
    static const char token[] = JSON "\"next\":{\"select\":\"$.after\",\"format\":\"?after={}\"}}";
    assert_string_equal(next_of(token, "{\"d\":[{\"t\":1}],\"after\":\"a=/b\"}"),
                        "https://a.example/list?after=a%3D%2Fb");
    assert_string_equal(next_of(token, "{\"d\":[{\"t\":1}],\"after\":12345678901234567890}"),
                        "https://a.example/list?after=12345678901234567890");
    assert_string_equal(next_of(token, "{\"d\":[{\"t\":1}],\"after\":\"\"}"), "none");
    static const char asked[] =
        JSON "\"query\":{\"after\":0,\"n\":9},\"next\":{\"select\":\"$.after\",\"format\":\"?after={}\"}}";
    assert_string_equal(next_of(asked, "{\"d\":[{\"t\":1}],\"after\":5}"),
                        "https://a.example/list?after=5&n=9");
    // a link is the server's own
    static const char linked[] = JSON "\"query\":{\"n\":9},\"next\":\"$.next\"}";
    assert_string_equal(next_of(linked, "{\"d\":[{\"t\":1}],\"next\":\"?c=1\"}"),
                        "https://a.example/list?c=1");
}

static void the_next_page_of_a_feed(void **state)
{
    (void)state;
    assert_string_equal(
        next_of("{\"name\":\"a\",\"url\":\"" URL "\",\"pages\":9}",
                "<feed xmlns='http://www.w3.org/2005/Atom'><link rel='next' href='/f?2'/><entry><id>1</id>"
                "</entry></feed>"),
        "https://a.example/f?2");
}

static void pages_that_are_counted(void **state)
{
    (void)state;
    reading_t f;
    reading_open(&f, "{\"name\":\"a\",\"url\":\"" URL
                     "\",\"kind\":\"feed\",\"pages\":9,\"next\":{\"format\":\"?paged={page}\"}}");
    assert_int_equal(reading_text(&f, "<rss><channel><item><title>R</title></item></channel></rss>"),
                     READ_OK);
    assert_string_equal(f.items.next_url, "https://a.example/list?paged=2");
    assert_string_equal(reader_page_url(f.reader, f.arena, URL, 9, 40), "https://a.example/list?paged=9");
    reading_close(&f);
    reading_open(&f, HTML "\"next\":{\"format\":\"/from/{offset}.html\"}}");
    assert_string_equal(reader_page_url(f.reader, f.arena, URL, 9, 40), "https://a.example/from/40.html");
    reading_close(&f);
    reading_open(&f, HTML "\"next\":{\"format\":\"?p={page}\",\"first\":0}}");
    assert_string_equal(reader_page_url(f.reader, f.arena, URL, 2, 40), "https://a.example/list?p=1");
    reading_close(&f);
    // what the template asks with goes on; what the format says itself, counts
    reading_open(&f, HTML
                 "\"query\":{\"key\":\"a b\",\"p\":1,\"pp\":[2,3]},\"next\":{\"format\":\"?p={page}#x\"}}");
    assert_string_equal(reader_page_url(f.reader, f.arena, URL, 2, 40),
                        "https://a.example/list?p=2&key=a%20b&pp=2&pp=3");
    reading_close(&f);
    reading_open(&f, HTML "\"query\":{\"key\":1},\"next\":{\"format\":\"/p/{page}\"}}");
    assert_string_equal(reader_page_url(f.reader, f.arena, URL, 2, 40), "https://a.example/p/2?key=1");
    reading_close(&f);
    reading_open(&f, HTML "\"next\":\"a\"}");
    assert_null(reader_page_url(f.reader, f.arena, URL, 9, 40));
    reading_close(&f);
}

static void bad_paging_is_refused(void **state)
{
    (void)state;
    reading_refused(HTML "\"pages\":0}", "pages", "1 to 1000");
    reading_refused(HTML "\"pages\":\"2\"}", "pages", "1 to 1000");
    reading_refused(HTML "\"next\":\"a[\"}", "next", "CSS");
    reading_refused(HTML "\"next\":{\"format\":\"?p={page}\",\"first\":-1}}", "next.first", "whole number");
    reading_refused(HTML "\"next\":{\"match\":\"x\"}}", "next", "select");
    reading_refused(HTML "\"next\":{\"format\":\"/{}\"}}", "next.format", "{page}");
    reading_refused(HTML "\"next\":{\"format\":\"/{page}{offset}\"}}", "next.format", "{page}");
    reading_refused(HTML "\"next\":{\"format\":\"?p={page}\",\"match\":\"x\"}}", "next.match", "select");
    reading_refused(HTML "\"next\":{\"select\":\"a\",\"format\":\"/{id}\"}}", "next.format", "{}");
    reading_refused(HTML "\"next\":{\"select\":\"a\",\"match\":\"(\"}}", "next.match", "");
    reading_refused(JSON "\"next\":\"$.a[\"}", "next", "JSONPath");
    reading_refused("{\"name\":\"a\",\"url\":\"" URL
                    "\",\"kind\":\"json\",\"fields\":{\"title\":\"$.t\"},\"pages\":5}",
                    "next", "missing");
    reading_refused("{\"name\":\"a\",\"url\":\"" URL "\",\"kind\":\"feed\",\"next\":\"a\"}", "next",
                    "leave it out");
    reading_refused("{\"name\":\"a\",\"url\":\"" URL "\",\"kind\":\"sitemap\",\"pages\":2}", "pages",
                    "leave it out");
}

#define DATES             "\"dates\":{\"timezone\":\"Europe/Berlin\",\"order\":\"dmy\"}"
#define TEMPLATE(members) "{\"name\":\"a\",\"url\":\"" URL "\"," members "}"

// 3 April 2026, 14:30 in Berlin; with a zone of its own it is 14:30 in UTC.
static void what_dates_mean_in_each_kind(void **state)
{
    (void)state;
    static const struct {
        const char *template, *document; // %s: the date
    } cases[] = {
        {TEMPLATE("\"kind\":\"html\",\"items\":\"p\"," DATES
                  ",\"fields\":{\"title\":\"b\",\"published\":\"i\"}"),
         "<p><b>t</b><i>%s</i>"},
        {TEMPLATE("\"items\":\"p\"," DATES
                  ",\"fields\":{\"title\":\"b\",\"d\":\"i::text\",\"date\":{\"format\":\"{d}\"}}"),
         "<p><b>t</b><i>%s</i>"},
        {TEMPLATE("\"items\":\"p\"," DATES
                  ",\"fields\":{\"title\":\"b\",\"published_at\":{\"select\":\"i\",\"match\":\"on (.*)\"}}"),
         "<p><b>t</b><i>on %s</i>"},
        {TEMPLATE("\"fields\":{\"title\":\"$.t\",\"published\":\"$.d\"}," DATES),
         "[{\"t\":\"x\",\"d\":\"%s\"}]"},
        {TEMPLATE("\"kind\":\"page\",\"items\":\"b\"," DATES ",\"fields\":{\"published\":\"i\"}"),
         "<p><b>t</b><i>%s</i>"},
        {TEMPLATE("\"kind\":\"feed\"," DATES),
         "<rss><channel><item><title>R</title><pubDate>%s</pubDate></item></channel></rss>"},
        {TEMPLATE(DATES), "{\"version\":\"https://jsonfeed.org/version/1\",\"items\":[{\"id\":\"j\","
                          "\"date_published\":\"%s\"}]}"},
        {TEMPLATE("\"kind\":\"sitemap\"," DATES),
         "<urlset><url><loc>https://a.example/s</loc><lastmod>%s</lastmod></url></urlset>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int zoned = 0; zoned < 2; zoned++) {
            reading_t f;
            char text[600];
            const char *date = zoned ? "03/04/2026 14:30 GMT" : "03/04/2026 14:30";
            const char *in = strstr(cases[i].document, "%s");
            snprintf(text, sizeof text, "%.*s%s%s", (int)(in - cases[i].document), cases[i].document, date,
                     in + 2);
            reading_open(&f, cases[i].template);
            assert_int_equal(reading_text(&f, text), READ_OK);
            assert_int_equal(f.items.n_items, 1);
            int64_t ms = f.items.items[0].published_ms, want = INT64_C(1775226600000);
            if (ms != (zoned ? want : want - 2 * 3600000)) fail_msg("%s: %lld", text, (long long)ms);
            reading_close(&f);
        }
    }
}

static void what_dates_mean_in_details_and_own_fields(void **state)
{
    (void)state;
    reading_t f;
    item_t item = {.title = NULL};
    bool drop;
    reading_open(&f, TEMPLATE("\"kind\":\"feed\"," DATES ",\"detail\":{\"fields\":{\"published\":\"i\","
                              "\"edited\":{\"select\":\"b\",\"type\":\"time\"}}}"));
    const char text[] = "<i>03/04/2026 14:30</i><b>04.04.2026</b>";
    document_t document = {.bytes = text, .len = strlen(text), .url = URL};
    assert_int_equal(reader_detail(f.reader, f.arena, &document, &item, &drop), READ_OK);
    assert_int_equal(item.published_ms, INT64_C(1775219400000));
    assert_string_equal(item.fields, "{\"edited\":\"2026-04-03T22:00:00Z\"}");
    reading_close(&f);
}

// data as gzip puts it into a file.
static size_t packed(const void *data, size_t len, unsigned char *out, size_t size)
{
    z_stream z = {.next_in = (unsigned char *)data,
                  .avail_in = (unsigned)len,
                  .next_out = out,
                  .avail_out = (unsigned)size};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return size - z.avail_out;
}

static void packed_files(void **state)
{
    (void)state;
    static const char head[] = "<?xml version='1.0'?><urlset><url><loc>https://a.example/1</loc></url>",
                      rest[] = "<url><loc>https://a.example/2</loc></url></urlset>";
    static unsigned char file[100000];
    reading_t f;
    reading_open(&f, "\"kind\":\"auto\"");
    size_t first = packed(head, sizeof head - 1, file, sizeof file);
    size_t n = first + packed(rest, sizeof rest - 1, file + first, sizeof file - first);
    assert_int_equal(reading_bytes(&f, (char *)file, n), READ_OK);
    assert_int_equal(f.items.n_items, 2);
    assert_true(f.items.unordered);
    assert_string_equal(f.items.items[1].url, "https://a.example/2");
    assert_int_equal(reading_bytes(&f, (char *)file, n - 9), READ_PARSE); // cut off
    assert_string_equal(f.items.detail, "the file is damaged: it cannot be unpacked");
    file[14] ^= 0x55;
    assert_int_equal(reading_bytes(&f, (char *)file, n), READ_PARSE);
    assert_int_equal(reading_bytes(&f, "\x1F\x8B", 2), READ_NOT_THIS_KIND);
    reading_close(&f);
}

static void packed_bombs(void **state)
{
    (void)state;
    static unsigned char file[1 << 20];
    reading_t f;
    reading_open(&f, "\"kind\":\"sitemap\"");
    void *zeros = calloc(1, 64 << 20);
    size_t n = packed(zeros, 64 << 20, file, sizeof file);
    free(zeros);
    assert_int_equal(reading_bytes(&f, (char *)file, n), READ_TOO_BIG);
    assert_string_equal(f.items.detail, "unpacked it is larger than 8 MiB");
    n = packed("", 0, file, sizeof file);
    for (size_t i = n; i + n <= sizeof file; i++) file[i] = file[i - n]; // nothing, again and again
    read_status_t status = reading_bytes(&f, (char *)file, sizeof file / n * n);
    assert_true(status == READ_EMPTY_BODY || status == READ_TOO_COMPLEX);
    reading_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_files),
        cmocka_unit_test(packed_bombs),
        cmocka_unit_test(auto_looks_at_the_document),
        cmocka_unit_test(pages_name_their_feeds),
        cmocka_unit_test(a_feed_is_no_sitemap),
        cmocka_unit_test(a_watched_page_is_one_item),
        cmocka_unit_test(a_text_is_a_page),
        cmocka_unit_test(a_whole_page_or_its_markup),
        cmocka_unit_test(the_next_page_of_html),
        cmocka_unit_test(the_next_page_of_json),
        cmocka_unit_test(the_next_page_of_a_feed),
        cmocka_unit_test(bad_paging_is_refused),
        cmocka_unit_test(what_dates_mean_in_each_kind),
        cmocka_unit_test(what_dates_mean_in_details_and_own_fields),
        cmocka_unit_test(pages_that_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
