// needs: common
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/line.h"

static void texts_become_lines(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } rows[] = {
        {NULL, ""},
        {"", ""},
        {"HTTP 503", "HTTP 503"},
        {"  two\n\tlines \x01 here\r\n", "two lines here"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"a\xff"
         "b\xc3",
         "a?b?"},
        {"\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80", "?????????"}, // overlong, a surrogate, too high
        {"\xe2\x82", "??"},
    };
    char out[64];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(line_copy(out, sizeof out, rows[i].from), rows[i].to);
}

static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    char out[8];
    assert_string_equal(line_copy(out, 8, "12345678"), "1234567");
    assert_string_equal(line_copy(out, 8, "123456\xc3\xa9"), "123456");
    assert_string_equal(line_copy(out, 8, "12345\xc3\xa9"), "12345\xc3\xa9");
    assert_string_equal(line_copy(out, 8, "123456 7"), "123456");
    assert_string_equal(line_copy(out, 1, "1"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_become_lines),
                                       cmocka_unit_test(long_texts_are_cut_between_characters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
