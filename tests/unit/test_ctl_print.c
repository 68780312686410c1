// needs: ctl common
// What reaches a terminal: nothing that drives it, columns that stand straight, JSON that is the same JSON.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/print.h"

enum { NOW = 1000 };

// What print does with json, as a string to be freed.
static char *printed(const char *json, size_t columns, bool as_json)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    assert_non_null(doc);
    print_t print;
    print_begin(&print, out, as_json, 1700000000000 + NOW);
    print.term = (term_t){.columns = columns};
    assert_int_equal(print_page(&print, yyjson_doc_get_root(doc)), 0);
    print_end(&print, NULL);
    yyjson_doc_free(doc);
    fclose(out);
    return text;
}

static void expect(const char *json, size_t columns, bool as_json, const char *expected)
{
    char *text = printed(json, columns, as_json);
    assert_string_equal(text, expected);
    free(text);
}

static void lays_out_cells_by_name_and_type(void **state)
{
    (void)state;
    expect("[{\"name\":\"a\",\"sources\":12,\"last_polled_ms\":1699999989000,\"every_ms\":30000,\"rss_kib\":"
           "2048},"
           "{\"name\":\"long\",\"sources\":3,\"last_polled_ms\":0,\"every_ms\":500,\"rss_kib\":null}]",
           0, false,
           "NAME  SOURCES  LAST POLLED   EVERY      RSS\n"
           "a          12     12 s ago    30 s  2.0 MiB\n"
           "long        3            -  500 ms        -\n");
}

static void escapes_what_drives_a_terminal(void **state)
{
    (void)state;
    expect("[{\"t\":\"\\u001b]0;x\\u0007 \\u202eabc\\u009b \\n\"}]", 0, false,
           "T\n\\x1b]0;x\\x07 \\u202eabc\\u009b \\n\n");
    buf_t out;
    buf_init(&out, 100);
    assert_int_equal(term_append(&out, "a\xff\xc0\x80\xed\xa0\x80z", 8), 0);
    assert_string_equal(buf_cstr(&out), "a\\xff\\xc0\\x80\\xed\\xa0\\x80z");
    buf_free(&out);
}

static void json_stays_the_same_json(void **state)
{
    (void)state;
    expect("[{\"t\":\"\\u009b\\u202e\xf3\xa0\x80\x81 \xe2\x82\xac\"},{\"t\":1.5}]", 0, true,
           "[{\"t\":\"\\u009b\\u202e\\udb40\\udc01 \xe2\x82\xac\"},\n {\"t\":1.5}]\n");
    expect("[]", 0, true, "[]\n");
}

static void wide_characters_keep_columns_straight(void **state)
{
    (void)state;
    expect("[{\"a\":\"日本\",\"b\":1},{\"a\":\"xy\",\"b\":2},{\"a\":\"e\xcc\x81\",\"b\":3}]", 0, false,
           "A     B\n日本  1\nxy    2\ne\xcc\x81     3\n");
}

static void fits_into_the_terminal(void **state)
{
    (void)state;
    const char *json = "[{\"name\":\"a\",\"url\":\"https://example.org/0123456789/0123456789\",\"n\":7}]";
    expect(json, 30, false, "NAME  URL                    N\na     https://example.org/…  7\n");
    expect(json, 20, false, "NAME  URL          N\na     https://ex…  7\n");
    // three columns always stay, however narrow
    char *text = printed(json, 5, false);
    assert_non_null(strstr(text, "https:/…"));
    free(text);
    // of many columns those on the right go
    expect("[{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7}]", 14, false,
           "A  B  C  D  E\n1  2  3  4  5\n");
    // a wide character is not halved
    expect("[{\"u\":\"日本日本日本日本日本日本\",\"n\":1}]", 22, false,
           "U                    N\n日本日本日本日本日…  1\n");
}

static void refuses_what_is_no_table(void **state)
{
    (void)state;
    static const char *const bad[] = {"{}", "[1]", "[{}]", "\"x\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        yyjson_doc *doc = yyjson_read(bad[i], strlen(bad[i]), 0);
        print_t print;
        print_begin(&print, stdout, false, 0);
        assert_int_equal(print_page(&print, yyjson_doc_get_root(doc)), -1);
        yyjson_doc_free(doc);
    }
    assert_int_equal(print_page(&(print_t){0}, NULL), -1);
}

static void tells_times(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "0 ms"},      {999, "999 ms"},    {1000, "1 s"},     {1530, "1.5 s"},
                 {12345, "12 s"},  {119999, "119 s"},  {120000, "2 min"}, {7199999, "119 min"},
                 {7200000, "2 h"}, {172800000, "2 d"}, {-5, "-5 ms"}};
    char text[TERM_SPAN_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(term_span(cases[i].ms, text), cases[i].text);
    int64_t now = 1700000000000;
    assert_string_equal(term_when(now - 400, now, text), "now");
    assert_string_equal(term_when(now - 5000, now, text), "5 s ago");
    assert_string_equal(term_when(now + 65000, now, text), "in 65 s");
    assert_string_equal(term_when(now - 90LL * 86400000, now, text), "2023-08-16");
    assert_non_null(term_when(INT64_MAX, now, text));
    assert_non_null(term_when(INT64_MIN, now, text));
    assert_string_equal(term_size(0, text), "0 B");
    assert_string_equal(term_size(1536, text), "1.5 KiB");
    assert_string_equal(term_size(UINT64_MAX, text), "16 EiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lays_out_cells_by_name_and_type),
        cmocka_unit_test(escapes_what_drives_a_terminal),
        cmocka_unit_test(json_stays_the_same_json),
        cmocka_unit_test(wide_characters_keep_columns_straight),
        cmocka_unit_test(fits_into_the_terminal),
        cmocka_unit_test(refuses_what_is_no_table),
        cmocka_unit_test(tells_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
