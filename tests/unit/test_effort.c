// needs: miner/read proto common
// Effort: whatever a template does with a page that was made for it, reading ends when its time is up, and
// the next page is read as ever.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/clock.h"
#include "miner/read/effort.h"
#include "miner/read/read.h"
#include "proto/limits.h"

static arena_t *arena, *templates;

static char *repeat(const char *head, const char *format, int n)
{
    buf_t buf;
    buf_init(&buf, MAX_DOCUMENT);
    assert_int_equal(buf_puts(&buf, head), 0);
    for (int i = 0; i < n; i++) assert_int_equal(buf_printf(&buf, "%s", format), 0);
    char *copy = strdup(buf_cstr(&buf));
    buf_free(&buf);
    return copy;
}

static read_status_t read_page(const char *members, const char *page, int64_t *cpu_ms)
{
    template_error_t error;
    items_t items;
    const char *text = arena_printf(
        templates, "{\"name\":\"t\",\"kind\":\"html\",\"url\":\"http://h.example/\",%s}", members);
    const template_t *t = template_parse(templates, text, strlen(text), &error);
    if (!t) fail_msg("%s: %s", error.field, error.text);
    reader_t *r = reader_new(t, &error);
    if (!r) fail_msg("%s: %s", error.field, error.text);
    const document_t document = {.bytes = page, .len = strlen(page), .url = "http://h.example/"};
    arena_reset(arena);
    int64_t start = clock_thread_cpu_us();
    read_status_t status = reader_items(r, arena, &document, &items);
    *cpu_ms = (clock_thread_cpu_us() - start) / 1000;
    reader_destroy(&r);
    return status;
}

static void test_it_ends(void **state)
{
    (void)state;
    static const struct {
        const char *what, *members, *unit;
        int n;
    } cases[] = {
        {"dir", "\"items\":\"i:dir(rtl)\",\"fields\":{\"title\":\"a\"}", "<i>1</i>", 40000},
        {"nth",
         "\"items\":\":nth-last-child(2n+1 of :nth-last-child(3n of *))\",\"fields\":{\"title\":\"a\"}",
         "<p><a></a></p>", 100000},
        {"patterns", "\"items\":\"p\",\"fields\":{\"title\":{\"select\":\":scope\",\"match\":\"(a+)+$\"}}",
         "<p>aaaaaaaaaaaaaaa!", 9000},
        {"a merge of two large sets in one loop",
         "\"items\":\"xpath://*/..//*/..//*/..//*\",\"fields\":{\"title\":\"a\"}", "<p>x<a>y</a>", 9000},
        {"sets against sets", "\"items\":\"xpath:/*[//p = //a]\",\"fields\":{\"title\":\"a\"}",
         "<p>xx1</p><a>xx2</a>", 14000},
        {"texts of all that is in all",
         "\"items\":\"body\",\"fields\":{\"x\":{\"select\":\"* *\",\"all\":true}}",
         "<div><div><div><div><div><div><div><div><div><div>x", 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ms;
        char *page = repeat("<!DOCTYPE html><body dir=auto>", cases[i].unit, cases[i].n);
        read_status_t status = read_page(cases[i].members, page, &ms);
        free(page);
        print_message("%s: %s after %lld ms\n", cases[i].what, read_status_name(status), (long long)ms);
        assert_true(status == READ_TOO_COMPLEX || status == READ_TOO_BIG || status == READ_ROTTED);
        assert_in_range(ms, 0, 2 * READ_BUDGET_MS); // parsing is not broken off, and sanitizers are slow
        // nothing of it is left
        assert_int_equal(read_page("\"items\":\"xpath://li[a]\",\"fields\":{\"title\":\"xpath:a[1]\"}",
                                   "<ul><li><a>one</a><li><a>two</a></ul>", &ms),
                         READ_OK);
    }
}

static void test_over_is_over_until_the_end(void **state)
{
    (void)state;
    assert_false(effort_over()); // outside of a document there is no end
    effort_begin();
    assert_false(effort_over());
    volatile unsigned n = 0;
    while (!effort_over()) n++;
    assert_true(effort_over());
    effort_begin();
    assert_false(effort_over());
    effort_end();
    assert_true(n > 1000);
}

static int setup(void **state)
{
    (void)state;
    arena = arena_new(DOCUMENT_ARENA);
    templates = arena_new(4 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_destroy(&arena);
    arena_destroy(&templates);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_it_ends),
                                       cmocka_unit_test(test_over_is_over_until_the_end)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
