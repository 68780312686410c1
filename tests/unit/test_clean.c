// needs: sink proto common
// What Postgres would refuse is mended, and nothing else is touched.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sink/clean.h"

static arena_t *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_destroy(&arena);
    return 0;
}

static void assert_text(const char *in, const char *expected)
{
    size_t len = strlen(in);
    const char *out = clean_text(arena, in, &len);
    assert_string_equal(out, expected);
    assert_int_equal(len, strlen(expected));
    if (!strcmp(in, expected)) assert_ptr_equal(out, in);
}

static void valid_text_is_untouched(void **state)
{
    (void)state;
    assert_text("", "");
    assert_text("plain ASCII that is longer than eight bytes", "plain ASCII that is longer than eight bytes");
    assert_text("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf",
                "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf");
}

static void invalid_bytes_are_replaced(void **state)
{
    (void)state;
    assert_text("a\xff"
                "b",
                "a\xef\xbf\xbd"
                "b");
    assert_text("\xc3", "\xef\xbf\xbd");                                                 // cut off
    assert_text("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd");                                 // overlong
    assert_text("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");                 // a surrogate
    assert_text("\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); // beyond U+10FFFF
}

static void assert_fields(const char *in, const int64_t *far, const char *expected, bool expect_lost)
{
    size_t len = strlen(in);
    bool lost;
    const char *out = clean_fields(arena, in, &len, far, &lost);
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(out, expected, len);
    assert_int_equal(lost, expect_lost);
}

static void fields_are_an_object(void **state)
{
    (void)state;
    assert_fields("", NULL, "{}", false);
    assert_fields("{\"a\": [1, \"\\n\\\\\"]}", NULL, "{\"a\": [1, \"\\n\\\\\"]}", false);
    assert_fields("[1]", NULL, "{}", true);
    assert_fields("{\"a\": 1", NULL, "{}", true);
    assert_fields("{\"a\": 1} x", NULL, "{}", true);
    assert_fields("null", NULL, "{}", true);
    assert_fields("{\"a\":\"\\", NULL, "{}", true);
    assert_fields("{\"a\":\"\\u12", NULL, "{}", true);
}

static void bad_escapes_are_replaced(void **state)
{
    (void)state;
    assert_fields("{\"a\":\"\\u0000\"}", NULL, "{\"a\":\"\\ufffd\"}", false);
    assert_fields("{\"a\":\"\\ud800\"}", NULL, "{\"a\":\"\\ufffd\"}", false);
    assert_fields("{\"a\":\"\\uDC00\\ud800\"}", NULL, "{\"a\":\"\\ufffd\\ufffd\"}", false);
    assert_fields("{\"a\":\"\\ud83d\\ude00\"}", NULL, "{\"a\":\"\\ud83d\\ude00\"}", false);
    assert_fields("{\"a\":\"\\ud83d\\ud83d\\ude00\"}", NULL, "{\"a\":\"\\ufffd\\ud83d\\ude00\"}", false);
    assert_fields("{\"a\":\"\\\\u0000\"}", NULL, "{\"a\":\"\\\\u0000\"}", false);
}

static void a_far_date_is_kept_in_fields(void **state)
{
    (void)state;
    int64_t far = INT64_MAX;
    assert_fields("", &far, "{\"published_ms\":9223372036854775807}", false);
    assert_fields("{ }", &far, "{\"published_ms\":9223372036854775807}", false);
    assert_fields("{\"a\": 1 } ", &far, "{\"a\": 1,\"published_ms\":9223372036854775807}", false);
}

static void a_full_arena_is_no_crash(void **state)
{
    (void)state;
    arena_t *small = arena_new(16);
    char text[100];
    size_t len = sizeof text - 1;
    bool lost;
    memset(text, 0xff, sizeof text);
    text[sizeof text - 1] = '\0';
    assert_null(clean_text(small, text, &len));
    assert_null(clean_fields(small, text, &len, NULL, &lost));
    arena_destroy(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(valid_text_is_untouched, setup, teardown),
        cmocka_unit_test_setup_teardown(invalid_bytes_are_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(fields_are_an_object, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_escapes_are_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(a_far_date_is_kept_in_fields, setup, teardown),
        cmocka_unit_test(a_full_arena_is_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
