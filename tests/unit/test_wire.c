// needs: proto common
// The codec: round trips, absent and surplus members, and frames that lie.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/wire.h"

static void *decode_ok(arena_t *arena, const buf_t *b, wire_type_t expected)
{
    wire_type_t type;
    void *message = NULL;
    const char *why;
    assert_int_equal(wire_decode(arena, b->data, b->len, &type, &message, &why), 0);
    assert_int_equal(type, expected);
    return message;
}

static void round_trip_keeps_every_kind_of_member(void **state)
{
    (void)state;
    arena_t *arena = arena_new(1 << 20);
    buf_t out;
    buf_init(&out, MAX_CONTROL_MESSAGE);
    wire_due_t dues[] = {{.source = UINT64_MAX, .offset = -250, .step = 30000, .count = 2}, {.source = 7}};
    wire_source_t sources[] = {{.id = 7, .url = "http://a/", .etag = "W/\"x\"", .last_ok = 5}};
    wire_assign_t in = {.epoch = 2, .slot = 29, .slot_start = 1700000000000, .starts_in = -3};
    in.dues.v = dues, in.dues.n = 2, in.sources.v = sources, in.sources.n = 1;
    assert_int_equal(wire_encode(&out, WIRE_TYPE_ASSIGN, &in), 0);
    wire_assign_t *got = decode_ok(arena, &out, WIRE_TYPE_ASSIGN);
    assert_int_equal(got->epoch, 2);
    assert_int_equal(got->starts_in, -3);
    assert_int_equal(got->dues.n, 2);
    assert_int_equal(got->dues.v[0].source, UINT64_MAX);
    assert_int_equal(got->dues.v[0].offset, -250);
    assert_int_equal(got->dues.v[1].source, 7);
    assert_int_equal(got->dues.v[1].count, 0);
    assert_string_equal(got->sources.v[0].etag, "W/\"x\"");
    assert_string_equal(got->sources.v[0].fetch_url, "");
    assert_int_equal(got->templates.n, 0);

    uint64_t ids[] = {1, 2, 1ULL << 40};
    wire_goodbye_t bye = {.done = true, .running = {ids, 3}};
    buf_reset(&out);
    assert_int_equal(wire_encode(&out, WIRE_TYPE_GOODBYE, &bye), 0);
    wire_goodbye_t *bye_got = decode_ok(arena, &out, WIRE_TYPE_GOODBYE);
    assert_true(bye_got->done);
    assert_int_equal(bye_got->running.v[2], 1ULL << 40);
    assert_string_equal(bye_got->reason, "");

    wire_verdicts_t verdicts = {.seq = 9, .items = {"\1\0\2", 3}};
    wire_ack_t ack = {.seq = 9, .credit = 1 << 20};
    ack.verdicts.v = &verdicts, ack.verdicts.n = 1;
    buf_reset(&out);
    assert_int_equal(wire_encode(&out, WIRE_TYPE_ACK, &ack), 0);
    wire_ack_t *ack_got = decode_ok(arena, &out, WIRE_TYPE_ACK);
    assert_memory_equal(ack_got->verdicts.v[0].items.data, "\1\0\2", 3);
    buf_free(&out);
    arena_destroy(&arena);
}

static void unknown_members_and_surplus_cells_are_ignored(void **state)
{
    (void)state;
    arena_t *arena = arena_new(1 << 20);
    // ["REVOKED", {"news": [1, {"x": 2}], "sources": [5]}]
    static const char revoked[] = "\x92\xa7REVOKED\x82\xa4news\x92\x01\x81\xa1x\x02\xa7sources\x91\x05";
    // ["OUTCOMES", {"outcomes": [[1, 2, ... 30 cells]]}]
    static const char outcomes[] = "\x92\xa8OUTCOMES\x81\xa8outcomes\x91\x93\x01\x02\x03";
    buf_t b = {.data = (char *)(uintptr_t)revoked, .len = sizeof revoked - 1};
    wire_revoked_t *r = decode_ok(arena, &b, WIRE_TYPE_REVOKED);
    assert_int_equal(r->sources.n, 1);
    assert_int_equal(r->sources.v[0], 5);
    b = (buf_t){.data = (char *)(uintptr_t)outcomes, .len = sizeof outcomes - 1};
    wire_outcomes_t *o = decode_ok(arena, &b, WIRE_TYPE_OUTCOMES);
    assert_int_equal(o->outcomes.v[0].source, 3);
    assert_string_equal(o->outcomes.v[0].etag, "");
    arena_destroy(&arena);
}

static void refuse(const char *bytes, size_t len, int code)
{
    arena_t *arena = arena_new(1 << 16);
    wire_type_t type;
    void *message;
    const char *why;
    assert_int_equal(wire_decode(arena, bytes, len, &type, &message, &why), code);
    assert_true(why[0] != '\0');
    arena_destroy(&arena);
}
#define REFUSE(literal, code) refuse(literal, sizeof(literal) - 1, code)

static void frames_that_lie_are_refused(void **state)
{
    (void)state;
    REFUSE("", 400);
    REFUSE("\xc1", 400);
    REFUSE("GET / HTTP/1.1", 400);
    REFUSE("\x92\xa4NOPE\x80", 400);
    REFUSE("\x92\xa5READY\x80\x00", 400);          // bytes behind the value
    REFUSE("\x92\xa5READY\x81\xa5miner\x05", 400); // wrong type
    REFUSE("\x92\xa5READY\x81\xa5miner\xa3"
           "a\0b",
           400);                                                       // NUL
    REFUSE("\x92\xa7REVOKED\x81\xa7sources\xdd\xff\xff\xff\xff", 400); // a count that only claims
    REFUSE("\x92\xa7REVOKED\x81\xa7sources\xdb\xff\xff\xff\xff", 400); // a length that only claims
    REFUSE("\x92\xa7REVOKED\x81\xa7sources\x91\xff", 400);             // negative id
    REFUSE("\x92\xa5READY\x81\xa5miner\xda\x00", 400);                 // cut off
    char deep[64];
    memset(deep, 0x91, sizeof deep);
    refuse(deep, sizeof deep, 400);
    static const char head[] = "\x92\xa7REVOKED\x81\xa7sources\xdd\x00\x01\x00\x00";
    size_t len = sizeof head - 1 + 0x10000;
    char *many = calloc(1, len); // 65,536 ids, more than this arena holds
    memcpy(many, head, sizeof head - 1);
    refuse(many, len, 413);
    free(many);
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
    (void)state;
    buf_t out;
    buf_init(&out, 16);
    assert_int_equal(buf_puts(&out, "before"), 0);
    wire_error_t e = {.code = 400, .text = "longer than the sixteen bytes that there are"};
    assert_int_equal(wire_encode(&out, WIRE_TYPE_ERROR, &e), -1);
    assert_int_equal(out.len, 6);
    buf_free(&out);
}

static void random_damage_never_crashes(void **state)
{
    (void)state;
    buf_t out;
    buf_init(&out, MAX_CONTROL_MESSAGE);
    wire_outcome_t rows[3] = {
        {.seq = 1, .etag = "\"a\"", .has_state = true}, {.seq = 2, .due = -5}, {.seq = 3, .fetch_url = "x"}};
    wire_outcomes_t in = {0};
    in.outcomes.v = rows, in.outcomes.n = 3;
    assert_int_equal(wire_encode(&out, WIRE_TYPE_OUTCOMES, &in), 0);
    arena_t *arena = arena_new(1 << 20);
    srandom(1);
    for (int i = 0; i < 20000; i++) {
        char copy[512];
        memcpy(copy, out.data, out.len);
        for (int k = 0; k < 3; k++) copy[(size_t)random() % out.len] = (char)random();
        wire_type_t type;
        void *message;
        const char *why;
        arena_reset(arena);
        int code = wire_decode(arena, copy, out.len - (size_t)(random() % 3), &type, &message, &why);
        assert_true(code == 0 || code == 400 || code == 413);
    }
    arena_destroy(&arena);
    buf_free(&out);
}

typedef struct {
    char *text;
    int missing;
} protocol_t;

static void look_up(void *context, const char *owner, const char *member_name)
{
    protocol_t *p = context;
    char quoted[160];
    snprintf(quoted, sizeof quoted, "`%s`", member_name);
    bool message = owner[0] >= 'A' && owner[0] <= 'Z'; // rows are named by the member that holds them
    if (strstr(p->text, quoted) && (!message || strstr(p->text, owner))) return;
    fprintf(stderr, "proto/PROTOCOL.md does not say what %s.%s is\n", owner, member_name);
    p->missing++;
}

static void protocol_text_names_every_member(void **state)
{
    (void)state;
    FILE *f = fopen("proto/PROTOCOL.md", "r");
    assert_non_null(f);
    protocol_t p = {.text = calloc(1, 1 << 20)};
    assert_true(fread(p.text, 1, (1 << 20) - 1, f) > 0);
    fclose(f);
    wire_visit_members(look_up, &p);
    assert_int_equal(p.missing, 0);
    free(p.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip_keeps_every_kind_of_member),
        cmocka_unit_test(unknown_members_and_surplus_cells_are_ignored),
        cmocka_unit_test(frames_that_lie_are_refused),
        cmocka_unit_test(a_full_buffer_is_left_as_it_was),
        cmocka_unit_test(random_damage_never_crashes),
        cmocka_unit_test(protocol_text_names_every_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
