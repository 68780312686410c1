// needs: miner/read proto common
// Charsets: the order of evidence, each encoding family, and bytes that are none.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <lexbor/encoding/encoding.h>

#include "miner/read/charset.h"

typedef struct {
    const char *what, *bytes;
    size_t len;
    const char *header;
    charset_kind_t kind;
    const char *text, *name;
} case_t;

#define BYTES(s) s, sizeof(s) - 1

static const case_t cases[] = {
    {"mark beats header", BYTES("\xEF\xBB\xBF\xC3\xA9"), "text/html; charset=koi8-r", CHARSET_HTML,
     "\xC3\xA9", "UTF-8"},
    {"utf-16 mark", BYTES("\xFF\xFE<\0\xE9\0"), NULL, CHARSET_XML, "<\xC3\xA9", "UTF-16LE"},
    {"utf-16 mark, big", BYTES("\xFE\xFF\0<\0\xE9"), NULL, CHARSET_XML, "<\xC3\xA9", "UTF-16BE"},
    {"utf-32 mark", BYTES("\xFF\xFE\0\0<\0\0\0\xE9\0\0\0"), NULL, CHARSET_XML, "<\xC3\xA9", "UTF-32LE"},
    {"utf-16 by NULs", BYTES("{\0\"\0\xE9\0\"\0}\0"), NULL, CHARSET_JSON, "{\"\xC3\xA9\"}", "UTF-16LE"},
    {"utf-16 by NULs, big", BYTES("\0<\0?\0x"), NULL, CHARSET_XML, "<?x", "UTF-16BE"},
    {"utf-32 by NULs", BYTES("\0\0\0<\0\0\0a"), NULL, CHARSET_XML, "<a", "UTF-32BE"},
    {"valid UTF-8 beats header", BYTES("<p>\xC3\xA9"), "text/html; charset=iso-8859-1", CHARSET_HTML,
     "<p>\xC3\xA9", "UTF-8"},
    {"valid UTF-8 beats meta", BYTES("<meta charset=windows-1251>\xC3\xA9"), NULL, CHARSET_HTML,
     "<meta charset=windows-1251>\xC3\xA9", "UTF-8"},
    {"header beats meta", BYTES("<meta charset=koi8-r>\xC0"), "text/html; charset=\"windows-1251\"",
     CHARSET_HTML, "<meta charset=koi8-r>\xD0\x90", "windows-1251"},
    {"meta", BYTES("<meta charset=koi8-r>\xC0"), "text/html", CHARSET_HTML, "<meta charset=koi8-r>\xD1\x8E",
     "KOI8-R"},
    {"meta http-equiv",
     BYTES("<META HTTP-EQUIV=Content-Type CONTENT='text/html; charset=shift_jis'>\x82\xA0"), NULL,
     CHARSET_HTML, "<META HTTP-EQUIV=Content-Type CONTENT='text/html; charset=shift_jis'>\xE3\x81\x82",
     "Shift_JIS"},
    {"shift_jis with kanji of the second level, of IBM, private ones and katakana",
     BYTES("\xE1\x40\xE4\x63\xEA\x9F\xFA\x5C\xFC\x4B\xF0\x40\xB1\x5C\x80"), "text/html; charset=x-sjis",
     CHARSET_HTML,
     "\xE7\x93\xA0\xE8\x87\x98\xE5\xA0\xAF\xE7\xBA\x8A\xE9\xBB\x91\xEE\x80\x80\xEF\xBD\xB1\\\xC2\x80",
     "Shift_JIS"},
    {"broken shift_jis", BYTES("\xE1<\xE1\x7F\xEF\x80\xA0\xFF\xE1"), "text/html; charset=shift_jis",
     CHARSET_HTML, "\xEF\xBF\xBD<\xEF\xBF\xBD\x7F\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD",
     "Shift_JIS"},
    {"nothing declared", BYTES("caf\xE9 \x80"), NULL, CHARSET_HTML, "caf\xC3\xA9 \xE2\x82\xAC",
     "windows-1252"},
    {"latin1 means windows-1252", BYTES("\x93q\x94"), "text/html; charset=ISO-8859-1", CHARSET_HTML,
     "\xE2\x80\x9Cq\xE2\x80\x9D", "windows-1252"},
    {"iso-2022-jp looks like ASCII", BYTES("\x1B$B$\"\x1B(B"), "text/html; charset=iso-2022-jp", CHARSET_HTML,
     "\xE3\x81\x82", "ISO-2022-JP"},
    {"xml declaration", BYTES("<?xml version='1.0' encoding='windows-1251'?>\xC0"), "application/xml",
     CHARSET_XML, "<?xml version='1.0' encoding='windows-1251'?>\xD0\x90", "windows-1251"},
    {"xml says utf-16 in ASCII", BYTES("<?xml version=\"1.0\" encoding=\"utf-16\"?><a/>"), NULL, CHARSET_XML,
     "<?xml version=\"1.0\" encoding=\"utf-16\"?><a/>", "UTF-8"},
    {"header says utf-16, markup is not", BYTES("<a>\xE9"), "text/html; charset=utf-16", CHARSET_HTML,
     "<a>\xC3\xA9", "windows-1252"},
    {"declared UTF-8 with bad bytes", BYTES("a\xFF\xE2\x82z\xC3"), "text/html; charset=utf-8", CHARSET_HTML,
     "a\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD", "UTF-8"},
    {"json without declaration", BYTES("{\"a\":\"\xFF\"}"), NULL, CHARSET_JSON, "{\"a\":\"\xEF\xBF\xBD\"}",
     "UTF-8"},
    {"gb2312 is gbk", BYTES("\xC4\xE3"), "text/xml; charset=gb2312", CHARSET_XML, "\xE4\xBD\xA0", "GBK"},
    {"big5", BYTES("\xA7\x41"), "text/html;charset=big5", CHARSET_HTML, "\xE4\xBD\xA0", "Big5"},
    {"euc-kr", BYTES("\xB0\xA1"), "text/html;charset=ks_c_5601-1987", CHARSET_HTML, "\xEA\xB0\x80", "EUC-KR"},
    {"unknown name", BYTES("\xE9"), "text/html; charset=klingon", CHARSET_HTML, "\xC3\xA9", "windows-1252"},
    {"replacement is no answer", BYTES("\xE9"), "text/html; charset=hz-gb-2312", CHARSET_HTML, "\xC3\xA9",
     "windows-1252"},
    {"empty", BYTES(""), NULL, CHARSET_HTML, "", "UTF-8"},
};

static void each_case_decodes_as_it_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const case_t *c = &cases[i];
        arena_t *arena = arena_new(1 << 20);
        const char *out, *name;
        size_t len;
        assert_int_equal(charset_to_utf8(arena, c->bytes, c->len, c->header, c->kind, &out, &len, &name), 0);
        if (len != strlen(c->text) || memcmp(out, c->text, len) != 0 || strcmp(name, c->name) != 0)
            fail_msg("%s: got \"%.*s\" as %s", c->what, (int)len, out, name);
        arena_destroy(&arena);
    }
}

// The first of these that an encoding can write.
static const lxb_codepoint_t letters[][3] = {
    {0x65E5, 0x672C, 0}, // CJK
    {0x0416, 0x0443, 0}, // Cyrillic
    {0x05D0, 0x05D1, 0}, // Hebrew
    {0x0627, 0x0628, 0}, // Arabic
    {0x0E01, 0x0E02, 0}, // Thai
    {0x03B1, 0x03B2, 0}, // Greek
    {0x0119, 0x0142, 0}, // Polish
    {0x0123, 0x0137, 0}, // Latvian
    {0x0125, 0x016D, 0}, // Esperanto
    {0x1E81, 0x0177, 0}, // Welsh
    {0x011F, 0x0131, 0}, // Turkish
    {0x0103, 0x0111, 0}, // Vietnamese
    {0x00E9, 0x00E8, 0},
};

// Writes <p>, the letters and </p> as bytes; 0: the encoding has not got them.
static size_t write_letters(const lxb_encoding_data_t *data, const lxb_codepoint_t *text, char *out,
                            size_t size)
{
    lxb_encoding_encode_t encode;
    lxb_char_t *at = (lxb_char_t *)out;
    const lxb_char_t *end = at + size;
    lxb_encoding_encode_init_single(&encode, data);
    for (const char *c = "<p>"; *c; c++)
        if (data->encode_single(&encode, &at, end, (lxb_codepoint_t)*c) < 0) return 0;
    for (; *text; text++)
        if (data->encode_single(&encode, &at, end, *text) < 0) return 0;
    int8_t rest = lxb_encoding_encode_finish_single(&encode, &at, end);
    return rest < 0 ? 0 : (size_t)(at - (lxb_char_t *)out);
}

static void every_encoding_of_the_web_is_read(void **state)
{
    (void)state;
    arena_t *arena = arena_new(1 << 20);
    int n = 0;
    for (int e = LXB_ENCODING_BIG5; e < LXB_ENCODING_LAST_ENTRY; e++) {
        if (e == LXB_ENCODING_REPLACEMENT || e == LXB_ENCODING_X_USER_DEFINED) continue;
        const lxb_encoding_data_t *data = lxb_encoding_data((lxb_encoding_t)e);
        char bytes[40], header[100], wanted[40] = "<p>";
        const char *out;
        size_t len = 0, which = 0, found;
        for (; which < sizeof letters / sizeof *letters && !len; which++)
            len = write_letters(data, letters[which], bytes, sizeof bytes);
        if (!len) fail_msg("%s: no letters", (const char *)data->name);
        lxb_char_t *at = (lxb_char_t *)wanted + 3;
        lxb_encoding_encode_t utf8;
        lxb_encoding_encode_init_single(&utf8, lxb_encoding_data(LXB_ENCODING_UTF_8));
        for (const lxb_codepoint_t *c = letters[which - 1]; *c; c++)
            lxb_encoding_encode_utf_8_single(&utf8, &at, at + 5, *c);
        snprintf(header, sizeof header, "text/html; charset=%s", (const char *)data->name);
        assert_int_equal(charset_to_utf8(arena, bytes, len, header, CHARSET_HTML, &out, &found, NULL), 0);
        if (found != strlen(wanted) || memcmp(out, wanted, found) != 0)
            fail_msg("%s: \"%.*s\", not \"%s\"", (const char *)data->name, (int)found, out, wanted);
        n++;
    }
    assert_true(n >= 38);
    arena_destroy(&arena);
}

static void a_late_meta_is_found(void **state)
{
    (void)state;
    static char page[8000];
    memset(page, ' ', sizeof page);
    memcpy(page, "<html><!--", 10);
    memcpy(page + 4000, "--><meta charset=koi8-r>\xC0", 25);
    arena_t *arena = arena_new(1 << 20);
    const char *out, *name;
    size_t len;
    assert_int_equal(charset_to_utf8(arena, page, sizeof page, NULL, CHARSET_HTML, &out, &len, &name), 0);
    assert_string_equal(name, "KOI8-R");
    arena_destroy(&arena);
}

static void valid_bytes_are_not_copied(void **state)
{
    (void)state;
    arena_t *arena = arena_new(1 << 20);
    const char *page = "<p>gr\xC3\xBC\xC3\x9F", *out;
    size_t len;
    assert_int_equal(charset_to_utf8(arena, page, strlen(page), NULL, CHARSET_HTML, &out, &len, NULL), 0);
    assert_ptr_equal(out, page);
    assert_int_equal(arena_used(arena), 0);
    arena_destroy(&arena);
}

static void a_full_arena_is_an_error(void **state)
{
    (void)state;
    static char page[100000];
    memset(page, 0xE9, sizeof page);
    arena_t *arena = arena_new(1000);
    const char *out;
    size_t len;
    assert_int_equal(charset_to_utf8(arena, page, sizeof page, NULL, CHARSET_HTML, &out, &len, NULL), -1);
    arena_destroy(&arena);
}

static void valid_prefix_knows_the_forms(void **state)
{
    (void)state;
    assert_int_equal(charset_valid_prefix("abcdefghi\xC3\xA9z", 12), 12);
    assert_int_equal(charset_valid_prefix("a\xC0\x80", 3), 1);         // overlong
    assert_int_equal(charset_valid_prefix("a\xED\xA0\x80", 4), 1);     // surrogate
    assert_int_equal(charset_valid_prefix("a\xF4\x90\x80\x80", 5), 1); // beyond U+10FFFF
    assert_int_equal(charset_valid_prefix("\xF0\x9F\x98\x80", 4), 4);
    assert_int_equal(charset_valid_prefix("\xF0\x9F\x98", 3), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case_decodes_as_it_should), cmocka_unit_test(every_encoding_of_the_web_is_read),
        cmocka_unit_test(a_late_meta_is_found),           cmocka_unit_test(valid_bytes_are_not_copied),
        cmocka_unit_test(a_full_arena_is_an_error),       cmocka_unit_test(valid_prefix_knows_the_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
