// needs: sink proto common
// Positions as texts, their order, and the ring of events that clients of the stream share.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sink/ring.h"

static ring_t ring;

static int setup(void **state)
{
    position_t start = position_of_tx(100);
    (void)state;
    memset(&ring, 0, sizeof ring);
    ring_restart(&ring, &start);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ring_free(&ring);
    return 0;
}

static position_t position(uint64_t tx, int64_t source, const char *key)
{
    position_t p = {.tx = tx, .source = source, .key_len = strlen(key)};
    memcpy(p.key, key, p.key_len);
    return p;
}

static void push(uint64_t tx, int64_t source, const char *key, const char *template_name, const char *json)
{
    page_row_t row = {.position = position(tx, source, key),
                      .template_name = template_name,
                      .source_url = "http://x/",
                      .source = (uint64_t)source,
                      .json = json,
                      .json_len = strlen(json)};
    ring_push(&ring, &row);
}

// -- positions ----------------------------------------------------------------------------------------

static void positions_are_what_they_print(void **state)
{
    static const char *const keys[] = {"a", "ab", "abc", "abcd", "\xff\xfe", "ü/\n.-_"};
    char text[POSITION_TEXT], longest[POSITION_KEY + 1];
    position_t back;
    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        position_t p = position(UINT64_C(1) << 60, INT64_MIN + (int64_t)i, keys[i]);
        position_print(&p, text);
        assert_int_equal(strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_."),
                         strlen(text));
        assert_int_equal(position_parse(&back, text), 0);
        assert_int_equal(position_compare(&p, &back), 0);
    }
    memset(longest, 'x', POSITION_KEY);
    longest[POSITION_KEY] = '\0';
    position_t p = position(1, 2, longest);
    position_print(&p, text);
    assert_int_equal(position_parse(&back, text), 0);
    assert_int_equal(position_compare(&p, &back), 0);
    p = position_of_tx(7);
    position_print(&p, text);
    assert_string_equal(text, "7");
}

static void what_is_no_position_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "-1",
                                      "1.",
                                      "1.0",
                                      "1.0000000000000001",
                                      "1.0000000000000001.",
                                      "1.0000000000000001.A",
                                      "1.0000000000000001.AAA=",
                                      "1.000000000000000G.YQ",
                                      "1.0000000000000001.YQ YQ",
                                      "1.0000000000000001.AAAA",
                                      "99999999999999999999",
                                      "1 "};
    position_t p;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(position_parse(&p, bad[i]), -1);
    char text[POSITION_TEXT + 8] = "1.0000000000000001.";
    memset(text + 19, 'a', POSITION_TEXT - 12);
    assert_int_equal(position_parse(&p, text), -1);
}

static void positions_are_ordered_as_in_postgres(void **state)
{
    const position_t ordered[] = {position_of_tx(1),       position(1, -5, "b"), position(1, -5, "ba"),
                                  position(1, 5, "a"),     position_of_tx(2),    position(2, -9, "\x7f"),
                                  position(2, -9, "\x80"), position(10, 0, "a")};
    (void)state;
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < 8; k++)
            assert_int_equal(position_compare(&ordered[i], &ordered[k]), (i > k) - (i < k));
}

// -- the ring -----------------------------------------------------------------------------------------

static void an_event_is_an_id_and_a_line(void **state)
{
    (void)state;
    push(101, 1, "a", "t", "{\"x\":1}");
    const ring_event_t *e = ring_get(&ring, 0);
    static const char want[] =
        "id: 101.0000000000000001.YQ\ndata: {\"cursor\":\"101.0000000000000001.YQ\",\"x\":1}\n\n";
    assert_int_equal(e->len, strlen(want));
    assert_memory_equal(e->text, want, e->len);
}

static void a_position_is_found_in_it(void **state)
{
    uint64_t n;
    (void)state;
    push(101, 1, "a", "t", "{}");
    push(101, 2, "a", "t", "{}");
    push(105, 1, "a", "t", "{}");
    const struct {
        position_t at;
        uint64_t n;
    } cases[] = {{position_of_tx(100), 0},   {position_of_tx(101), 0},   {position(101, 1, "a"), 1},
                 {position(101, 1, "b"), 1}, {position(101, 2, "a"), 2}, {position_of_tx(105), 2},
                 {position(105, 1, "a"), 3}, {position(200, 1, "a"), 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(ring_find(&ring, &cases[i].at, &n));
        assert_int_equal(n, cases[i].n);
    }
    position_t before = position(99, 1, "z");
    assert_false(ring_find(&ring, &before, &n));
}

static void the_oldest_leave(void **state)
{
    static char big[RING_BYTES / 4];
    uint64_t n;
    (void)state;
    memset(big, ' ', sizeof big - 1);
    big[0] = '{', big[sizeof big - 2] = '}';
    for (uint64_t tx = 101; tx < 111; tx++) push(tx, 1, "a", "t", big);
    assert_true(ring.bytes <= RING_BYTES);
    assert_int_equal(ring.head, 10);
    assert_int_equal(ring.head - ring.tail, 3);
    position_t left = position(106, 1, "a"), there = position(107, 1, "a");
    assert_false(ring_find(&ring, &left, &n)); // the event behind it has left
    assert_true(ring_find(&ring, &there, &n));
    assert_int_equal(n, ring.tail);
    for (int i = 0; i < RING_EVENTS + 5; i++) push(200 + (uint64_t)i, 1, "a", "t", "{}");
    assert_int_equal(ring.head - ring.tail, RING_EVENTS);
    position_t start = position_of_tx(9999);
    ring_restart(&ring, &start);
    assert_int_equal(ring.bytes, 0);
    assert_false(ring_find(&ring, &there, &n));
}

static void one_event_may_be_larger_than_the_ring(void **state)
{
    char *huge = malloc(RING_BYTES + 100);
    (void)state;
    memset(huge, ' ', RING_BYTES + 99);
    huge[0] = '{', huge[RING_BYTES + 98] = '}', huge[RING_BYTES + 99] = '\0';
    push(101, 1, "a", "t", "{}");
    push(102, 1, "a", "t", huge);
    assert_int_equal(ring.head - ring.tail, 1);
    push(103, 1, "a", "t", "{}");
    assert_int_equal(ring.head - ring.tail, 1);
    free(huge);
}

static void where_a_client_stands(void **state)
{
    char text[POSITION_TEXT];
    position_t p, read = position_of_tx(120);
    (void)state;
    p = ring_position(&ring, 0);
    assert_int_equal(p.tx, 100);
    push(101, 1, "a", "t", "{}");
    push(102, 1, "a", "t", "{}");
    ring_reached(&ring, &read);
    p = ring_position(&ring, 1);
    position_print(&p, text);
    assert_string_equal(text, "101.0000000000000001.YQ");
    p = ring_position(&ring, 2); // it has all, also what nobody wanted
    assert_int_equal(position_compare(&p, &read), 0);
}

static void filters_pass_what_they_name(void **state)
{
    (void)state;
    push(101, 1, "a", "one", "{}");
    push(102, 2, "a", "two", "{}");
    push(103, 1, "a", "two", "{}");
    assert_int_equal(ring_skip(&ring, ring_filter(NULL, NULL), 0), 0);
    assert_int_equal(ring_skip(&ring, ring_filter("two", NULL), 0), 1);
    assert_int_equal(ring_skip(&ring, ring_filter("two", "0000000000000001"), 0), 2);
    assert_int_equal(ring_skip(&ring, ring_filter("one", NULL), 1), 3);
    assert_int_equal(ring_skip(&ring, ring_filter(NULL, "http://x/"), 1), 1);
    assert_int_equal(ring_skip(&ring, ring_filter(NULL, "http://y/"), 0), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_are_what_they_print),
        cmocka_unit_test(what_is_no_position_is_refused),
        cmocka_unit_test(positions_are_ordered_as_in_postgres),
        cmocka_unit_test_setup_teardown(an_event_is_an_id_and_a_line, setup, teardown),
        cmocka_unit_test_setup_teardown(a_position_is_found_in_it, setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_leave, setup, teardown),
        cmocka_unit_test_setup_teardown(one_event_may_be_larger_than_the_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(where_a_client_stands, setup, teardown),
        cmocka_unit_test_setup_teardown(filters_pass_what_they_name, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
