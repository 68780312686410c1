// needs: miner/read proto common
// Events: server-sent events and JSON lines, whole and in pieces of every size.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "miner/read/events.h"

static char out[8192];

static void note(const event_t *e)
{
    size_t n = strlen(out);
    if (e->too_big)
        snprintf(out + n, sizeof out - n, "[%s|%s|TOO BIG]", e->type, e->id);
    else if (!e->data)
        snprintf(out + n, sizeof out - n, "[%s|%s]", e->type, e->id);
    else
        snprintf(out + n, sizeof out - n, "[%s|%s|%.*s]", e->type, e->id, (int)e->len, e->data);
}

static int64_t feed(events_format_t format, const char *bytes, size_t len, size_t piece)
{
    events_t *e = events_new(format);
    event_t event;
    out[0] = 0;
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        char *copy = malloc(n + 1); // exactly as long as it says, for the sanitizer
        memcpy(copy, bytes + at, n);
        const char *p = copy;
        while (events_next(e, &p, &n, &event)) note(&event);
        assert_int_equal(n, 0);
        free(copy);
    }
    if (events_end(e, &event)) note(&event);
    int64_t retry = events_retry_ms(e);
    events_destroy(&e);
    assert_null(e);
    return retry;
}

static void check(events_format_t format, const char *bytes, size_t len, const char *expected)
{
    static const size_t pieces[] = {1, 2, 3, 5, 7, 64, 1 << 20};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        feed(format, bytes, len, pieces[i]);
        if (strcmp(out, expected) != 0) fail_msg("pieces of %zu: %s, not %s", pieces[i], out, expected);
    }
}

static void sse(const char *bytes, const char *expected)
{
    check(EVENTS_SSE, bytes, strlen(bytes), expected);
}

static void lines(const char *bytes, const char *expected)
{
    check(EVENTS_LINES, bytes, strlen(bytes), expected);
}

// The examples of the specification.
static void test_sse_examples(void **state)
{
    (void)state;
    sse("data: YHOO\ndata: +2\ndata: 10\n\n", "[message||YHOO\n+2\n10]");
    sse(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        "[message|1|first event][message||second event][message|| third event]");
    sse("data\n\ndata\ndata\n\ndata:", "[message||][message||\n]");
    sse("data:test\n\ndata: test\n\n", "[message||test][message||test]");
    sse("event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n",
        "[add||73857293][remove||2153][add||113411]");
}

static void test_sse_lines(void **state)
{
    (void)state;
    sse("data: a\r\ndata: b\r\n\r\ndata: c\r\rdata: d\n\n", "[message||a\nb][message||c][message||d]");
    sse("\xEF\xBB\xBF"
        "data: a\n\n",
        "[message||a]");
    sse("\xEF\xBBxdata: a\n\ndata: b\n\n", "[message||b]");
    sse("data: a\n\n\xEF\xBB\xBF"
        "data: b\n\n",
        "[message||a]");
    sse("data: a\r\n\n\ndata: b\r\n\r\n", "[message||a][message||b]");
    sse("data: half", "");
    sse("data: half\n", "");
    sse("nothing: x\nDATA: x\ndata : x\n\n", "");
    sse("event: x\n\ndata: y\n\n", "[message||y]"); // an event without data is none, and its type goes
}

static void test_sse_ids(void **state)
{
    (void)state;
    sse("id: 1\ndata: a\n\ndata: b\n\nid: 2\n\nid\ndata: c\n\n",
        "[message|1|a][message|1|b][message|2][message||c]");
    check(EVENTS_SSE, "id: 1\ndata: a\n\nid: 2\0003\ndata: b\n\n", 33, "[message|1|a][message|1|b]");
    char text[3000], expected[64] = "[message||a]";
    snprintf(text, sizeof text, "id: %01200d\ndata: a\n\n", 1); // longer than what is kept
    sse(text, expected);
}

static void test_retry(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t retry;
    } cases[] = {{"retry: 2500\n", 2500},   {"retry:10\n", 10},
                 {"retry: 2s\n", -1},       {"retry\n", -1},
                 {"retry: -1\n", -1},       {"retry: 99999999999999999999999\n", 86400000},
                 {"retry: 1\nretry: x", 1}, {"data: 1\n\n", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(feed(EVENTS_SSE, cases[i].text, strlen(cases[i].text), 3), cases[i].retry);
}

static void test_lines(void **state)
{
    (void)state;
    lines("{\"a\":1}\n\n  \r\n{\"a\":2}\r\n{\"a\":3}", "[||{\"a\":1}][||{\"a\":2}][||{\"a\":3}]");
    lines("\x1E{\"a\":1}\n\x1E[2]\n", "[||{\"a\":1}][||[2]]");
    lines("\xEF\xBB\xBF{}\n", "[||{}]");
    lines("\n\n", "");
}

// An event that is too big is told as such, and the next one is read as ever.
static void test_too_big(void **state)
{
    (void)state;
    size_t len = MAX_EVENT + (MAX_EVENT >> 3);
    char *text = malloc(len + 64);
    memset(text, 'x', len + 64);
    memcpy(text, "data: ", 6);
    memcpy(text + len, "\nid: 7\n\ndata: a\n\n", 17);
    feed(EVENTS_SSE, text, len + 17, 10000);
    assert_string_equal(out, "[message|7|TOO BIG][message|7|a]");
    // many short lines: what they are in all is what counts
    for (size_t i = 100; i + 106 < len; i += 100) memcpy(text + i, "\ndata:", 6);
    feed(EVENTS_SSE, text, len + 17, 10000);
    assert_string_equal(out, "[message|7|TOO BIG][message|7|a]");
    free(text);
}

static void test_formats(void **state)
{
    (void)state;
    events_format_t format;
    assert_true(events_format("text/event-stream", &format));
    assert_int_equal(format, EVENTS_SSE);
    assert_true(events_format("Text/Event-Stream; charset=utf-8", &format));
    assert_int_equal(format, EVENTS_SSE);
    assert_true(events_format("application/x-ndjson", &format));
    assert_int_equal(format, EVENTS_LINES);
    assert_true(events_format(NULL, &format));
    assert_false(events_format("text/html; charset=utf-8", &format));
    assert_false(events_format("text/event-streams", &format));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sse_examples), cmocka_unit_test(test_sse_lines), cmocka_unit_test(test_sse_ids),
        cmocka_unit_test(test_retry),        cmocka_unit_test(test_lines),     cmocka_unit_test(test_too_big),
        cmocka_unit_test(test_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
