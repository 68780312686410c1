// needs: miner/read proto common
// Text as a browser shows it, from a tree and from raw markup; clean-up of plain text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lexbor/html/html.h>

#include "miner/read/dom.h"
#include "miner/read/text.h"

static const struct {
    const char *html, *lines, *line;
} shown[] = {
    {"  a \n b\t c ", "a b c", "a b c"},
    {"a<br>b", "a\nb", "a b"},
    {"a<br><br><br>b", "a\n\nb", "a b"},
    {"<p>one<p>two", "one\n\ntwo", "one two"},
    {"<div>a<div>b</div></div>c", "a\nb\nc", "a b c"},
    {"<ul><li>a</li> <li>b</li></ul>", "a\nb", "a b"},
    {"<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc", "a b c"},
    {"x<script>alert(1)</script>y<style>p{}</style>z", "xyz", "xyz"},
    {"a<noscript>turn it on</noscript>b", "ab", "ab"},
    {"<b>a</b><i>b</i> <u>c</u>", "ab c", "ab c"},
    {"fish &amp; chips &lt;3 &eacute;&#233;&#xE9; &copy &notanything; &",
     "fish & chips <3 \xC3\xA9\xC3\xA9\xC3\xA9 \xC2\xA9 \xC2\xAC"
     "anything; &",
     "fish & chips <3 \xC3\xA9\xC3\xA9\xC3\xA9 \xC2\xA9 \xC2\xAC"
     "anything; &"},
    {"a&nbsp;&nbsp; b", "a b", "a b"},
    {"&#128;&#x0;", "\xE2\x82\xAC\xEF\xBF\xBD", "\xE2\x82\xAC\xEF\xBF\xBD"},
    {"<pre>a\n  b\n</pre>c", "a\nb\n\nc", "a b c"},
    {"a<!-- not <b>this</b> -->b", "ab", "ab"},
    {"<svg><title>icon</title></svg>a", "a", "a"},
    {"<a title='x > y'>b</a>", "b", "b"},
    {"1 < 2 > 0", "1 < 2 > 0", "1 < 2 > 0"},
    {"", "", ""},
    {"<p></p>", "", ""},
};

static void from_raw_markup(void **state)
{
    (void)state;
    arena_t *arena = arena_new(1 << 20);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        const char *html = shown[i].html;
        assert_string_equal(text_from_html(arena, html, strlen(html), TEXT_LINES, 1000), shown[i].lines);
        assert_string_equal(text_from_html(arena, html, strlen(html), TEXT_LINE, 1000), shown[i].line);
    }
    arena_destroy(&arena);
}

static const char *of_page(dom_t *dom, arena_t *arena, const char *html, text_mode_t mode)
{
    lxb_dom_node_t *root;
    char detail[200], *page = arena_printf(arena, "<!doctype html><title>t</title><body>%s", html);
    assert_int_equal(dom_parse(dom, page, strlen(page), &root, detail), READ_OK);
    lxb_dom_node_t *body = lxb_dom_interface_node(((lxb_html_document_t *)root)->body);
    const char *text = text_of_node(arena, body, mode, 1000);
    dom_clean(dom);
    return text;
}

static void from_a_tree(void **state)
{
    (void)state;
    arena_t *arena = arena_new(1 << 20);
    dom_t *dom = dom_new();
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        assert_string_equal(of_page(dom, arena, shown[i].html, TEXT_LINES), shown[i].lines);
        assert_string_equal(of_page(dom, arena, shown[i].html, TEXT_LINE), shown[i].line);
    }
    dom_destroy(&dom);
    arena_destroy(&arena);
}

static void hidden_parts_of_a_tree(void **state)
{
    (void)state;
    arena_t *arena = arena_new(1 << 20);
    dom_t *dom = dom_new();
    assert_string_equal(
        of_page(dom, arena, "a<span hidden>b</span><i style='color:red; DISPLAY : none'>c</i>d", TEXT_LINE),
        "ad");
    assert_string_equal(
        of_page(dom, arena, "a<template>b</template><dialog>c</dialog><iframe>d</iframe>", TEXT_LINE), "a");
    dom_destroy(&dom);
    arena_destroy(&arena);
}

static void plain_text_is_cleaned(void **state)
{
    (void)state;
    arena_t *arena = arena_new(1 << 20);
    assert_string_equal(text_clean(arena, "\x01 a\0b\x7F \xC2\x85 c\n\n\n d ", 16, TEXT_LINES, 100),
                        "ab … c\n\nd");
    assert_string_equal(text_clean(arena, "it\xC2\x92s\xC2\x97\xC2\x81", 9, TEXT_LINE, 100), "it’s—");
    assert_string_equal(text_clean(arena, "a <b> &amp;", 11, TEXT_LINE, 100), "a <b> &amp;");
    assert_string_equal(text_clean(arena, "bad \xFF\xC3", 6, TEXT_LINE, 100), "bad \xEF\xBF\xBD\xEF\xBF\xBD");
    assert_string_equal(text_verbatim(arena, " a\r\n b\0c\rd", 10, 100), " a\n bc\nd");
    arena_destroy(&arena);
}

static void cuts_fall_between_code_points(void **state)
{
    (void)state;
    arena_t *arena = arena_new(1 << 20);
    assert_string_equal(text_clean(arena, "ab\xC3\xA9", 4, TEXT_LINE, 3), "ab");
    assert_string_equal(text_from_html(arena, "ab<b>\xE2\x82\xAC", 8, TEXT_LINE, 4), "ab");
    assert_string_equal(text_verbatim(arena, "\xF0\x9F\x98\x80", 4, 3), "");
    assert_int_equal(text_cut("abc", 3, 10), 3);
    arena_destroy(&arena);
}

// Markup made to cost the square of its length takes no longer than its length.
static void unclosed_hidden_elements_cost_no_square(void **state)
{
    (void)state;
    size_t n = 1 << 20;
    char *html = malloc(n + 1);
    for (size_t i = 0; i + 8 <= n; i += 8) memcpy(html + i, "<video>x", 8);
    arena_t *arena = arena_new(8 << 20);
    const char *text = text_from_html(arena, html, n, TEXT_LINE, n);
    assert_int_equal(strlen(text), n / 8);
    free(html);
    arena_destroy(&arena);
}

// What need not be cleaned is used as it is; the result must be the same.
static void kept_text_equals_its_copy(void **state)
{
    (void)state;
    static const char *const letters[] = {"a",    "b",        " ",        "\n",       "\t", "\r",
                                          "\x7F", "\xC3\xA9", "\xC2\xA0", "\xC2\xB7", "c",  "d"};
    arena_t *arena = arena_new(1 << 20);
    unsigned seed = 7;
    for (int round = 0; round < 40000; round++) {
        char text[128] = "";
        int n = rand_r(&seed) % 40, kinds = 2 + rand_r(&seed) % 11;
        for (int i = 0; i < n; i++) strcat(text, letters[rand_r(&seed) % kinds % 12]);
        size_t len = strlen(text), max = 5 + (size_t)rand_r(&seed) % 100;
        for (int mode = TEXT_LINE; mode <= TEXT_LINES; mode++)
            assert_string_equal(text_clean_kept(arena, text, len, (text_mode_t)mode, max),
                                text_clean(arena, text, len, (text_mode_t)mode, max));
        assert_string_equal(text_verbatim_kept(arena, text, len, max), text_verbatim(arena, text, len, max));
        arena_reset(arena);
    }
    static const char plain[] = "some words, as they mostly come";
    assert_ptr_equal(text_clean_kept(arena, plain, sizeof plain - 1, TEXT_LINE, 100), plain);
    arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_raw_markup),
        cmocka_unit_test(from_a_tree),
        cmocka_unit_test(hidden_parts_of_a_tree),
        cmocka_unit_test(plain_text_is_cleaned),
        cmocka_unit_test(kept_text_equals_its_copy),
        cmocka_unit_test(cuts_fall_between_code_points),
        cmocka_unit_test(unclosed_hidden_elements_cost_no_square),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
