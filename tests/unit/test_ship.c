// needs: miner miner/read proto common
// Ship: what a batch holds, when it is closed, and whose verdicts are whose.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "miner/ship.h"

enum { MAX_FRAMES = 64 };

typedef struct {
    uint64_t tokens[MAX_FRAMES];
    char *frames[MAX_FRAMES];
    size_t lens[MAX_FRAMES], n;
} outbox_t;

static void on_send(void *context, uint64_t token, char *frame, size_t len)
{
    outbox_t *o = context;
    assert_true(o->n < MAX_FRAMES);
    o->tokens[o->n] = token;
    o->lens[o->n] = len;
    o->frames[o->n++] = frame;
}

static void clear(outbox_t *o)
{
    while (o->n) free(o->frames[--o->n]);
}

static const wire_sink_template_t template = {
    .id = 5, .name = "t", .has_detail = true, .fresh_within = 60000};

static void add(ship_t *s, int64_t now, uint64_t source, int64_t due, const char *key, const char *title,
                void *owner, uint32_t index)
{
    wire_sink_source_t src = {source, 5, "http://a.example/"};
    wire_poll_t poll = {.source = source, .due = due, .started = 1, .fetched = 2};
    wire_item_t item = {.key = key, .title = title, .published = TIME_NONE, .poll = 99};
    ship_add(s, now, &template, &src, &poll, &item, owner, index);
}

static wire_batch_t *decode(arena_t *arena, outbox_t *o, size_t i)
{
    wire_type_t type;
    void *message;
    const char *why;
    ship_number(o->frames[i], o->lens[i], 0x0102030405060708);
    assert_int_equal(wire_decode(arena, o->frames[i], o->lens[i], &type, &message, &why), 0);
    assert_int_equal(type, WIRE_TYPE_BATCH);
    return message;
}

static void test_batch_is_complete_in_itself(void **state)
{
    (void)state;
    outbox_t o = {0};
    ship_t *s = ship_new(on_send, &o);
    assert_int_equal(ship_deadline(s), INT64_MAX);
    add(s, 1000, 7, 60, "a", "A", NULL, 0);
    add(s, 1005, 7, 60, "b", NULL, NULL, 1);
    add(s, 1005, 8, 60, "a", "C", NULL, 0);
    add(s, 1005, 7, 90, "a", "D", NULL, 0);
    assert_int_equal(ship_deadline(s), 1000 + BATCH_LINGER_MS);
    ship_tick(s, 1000 + BATCH_LINGER_MS - 1);
    assert_int_equal(o.n, 0);
    ship_tick(s, 1000 + BATCH_LINGER_MS);
    assert_int_equal(o.n, 1);
    arena_t *arena = arena_new(1 << 20);
    wire_batch_t *b = decode(arena, &o, 0);
    assert_int_equal(b->seq, 0x0102030405060708);
    assert_int_equal(b->templates.n, 1);
    assert_int_equal(b->sources.n, 2);
    assert_int_equal(b->polls.n, 3);
    assert_int_equal(b->items.n, 4);
    uint64_t polls[] = {0, 0, 1, 2};
    for (int i = 0; i < 4; i++) assert_int_equal(b->items.v[i].poll, polls[i]);
    assert_string_equal(b->items.v[3].title, "D");
    assert_int_equal(b->polls.v[2].due, 90);
    assert_string_equal(b->templates.v[0].name, "t");
    arena_destroy(&arena);
    clear(&o);
    ship_destroy(&s);
}

static void test_closes_at_its_size(void **state)
{
    (void)state;
    outbox_t o = {0};
    ship_t *s = ship_new(on_send, &o);
    char title[1001];
    memset(title, 'x', 1000);
    title[1000] = 0;
    for (int i = 0; i < 200; i++) add(s, 0, 7, 60, "k", title, NULL, 0);
    assert_in_range(o.n, 3, 4);
    for (size_t i = 0; i < o.n; i++) assert_in_range(o.lens[i], BATCH_TARGET - 8192, BATCH_TARGET + 8192);
    clear(&o);
    ship_destroy(&s);
}

static void test_texts_fit_the_wire(void **state)
{
    (void)state;
    outbox_t o = {0};
    ship_t *s = ship_new(on_send, &o);
    char *title = malloc(MAX_TITLE + 3), url[MAX_URL + 2];
    memset(title, 'x', MAX_TITLE - 1);
    strcpy(title + MAX_TITLE - 1, "\xc3\xa4"); // the bound lies within this character
    memset(url, 'u', MAX_URL + 1);
    url[MAX_URL + 1] = 0;
    wire_sink_source_t src = {7, 5, "http://a.example/"};
    wire_poll_t poll = {.source = 7, .due = 60};
    wire_item_t item = {.key = "k", .title = title, .url = url, .published = TIME_NONE};
    ship_add(s, 0, &template, &src, &poll, &item, NULL, 0);
    free(title);
    ship_tick(s, BATCH_LINGER_MS);
    arena_t *arena = arena_new(1 << 20);
    wire_batch_t *b = decode(arena, &o, 0);
    assert_int_equal(strlen(b->items.v[0].title), MAX_TITLE - 1);
    assert_string_equal(b->items.v[0].url, ""); // a cut URL would be another one
    arena_destroy(&arena);
    clear(&o);
    ship_destroy(&s);
}

typedef struct {
    wire_verdict_t of[8];
    int n;
} told_t;

static void on_verdict(void *owner, uint32_t index, wire_verdict_t verdict)
{
    told_t *t = owner;
    t->of[index] = verdict;
    t->n++;
}

static void test_verdicts_find_their_owners(void **state)
{
    (void)state;
    outbox_t o = {0};
    told_t a = {0}, b = {0};
    ship_t *s = ship_new(on_send, &o);
    add(s, 0, 7, 60, "a", "A", &a, 0);
    add(s, 0, 8, 60, "b", "B", &b, 5);
    add(s, 0, 7, 60, "c", "C", &a, 1);
    ship_tick(s, 100);
    add(s, 200, 8, 60, "d", "D", &b, 6);
    ship_tick(s, 300);
    assert_int_equal(o.n, 2);
    ship_verdicts(s, o.tokens[1], (const uint8_t[]){VERDICT_changed}, 1, on_verdict); // not in order
    assert_int_equal(b.of[6], VERDICT_changed);
    assert_int_equal(a.n, 0);
    ship_verdicts(s, o.tokens[0], (const uint8_t[]){VERDICT_new, 77}, 2, on_verdict);
    assert_int_equal(a.of[0], VERDICT_new);
    assert_int_equal(b.of[5], VERDICT_lacks_detail);    // a verdict that is none
    assert_int_equal(a.of[1], VERDICT_lacks_detail);    // one that is missing
    ship_verdicts(s, o.tokens[0], NULL, 0, on_verdict); // twice
    ship_verdicts(s, 4711, NULL, 0, on_verdict);
    assert_int_equal(a.n + b.n, 4);
    clear(&o);
    ship_destroy(&s);
}

static void on_any(void *owner, uint32_t index, wire_verdict_t verdict)
{
    told_t *t = owner;
    if (index == SHIP_POLL) assert_int_equal(verdict, VERDICT_known);
    t->of[index == SHIP_POLL ? 7 : index] = verdict;
    t->n++;
}

static void test_polls_without_items(void **state)
{
    (void)state;
    outbox_t o = {0};
    told_t a = {0};
    ship_t *s = ship_new(on_send, &o);
    wire_sink_source_t src = {7, 5, "http://a.example/"};
    wire_poll_t poll = {.source = 7, .due = 60, .continuity = CONTINUITY_gap, .gap_since = 5};
    ship_add_poll(s, 0, &template, &src, &poll, &a); // alone
    ship_tick(s, 100);
    ship_add_poll(s, 200, &template, &src, &poll, &a); // before an item
    add(s, 200, 7, 60, "a", "A", &a, 0);
    ship_tick(s, 300);
    assert_int_equal(o.n, 2);
    arena_t *arena = arena_new(1 << 20);
    wire_batch_t *b = decode(arena, &o, 0);
    assert_int_equal(b->items.n, 0);
    assert_int_equal(b->polls.v[0].gap_since, 5);
    b = decode(arena, &o, 1);
    assert_int_equal(b->polls.n, 2); // the item's own row says nothing of continuity
    assert_int_equal(b->polls.v[b->items.v[0].poll].continuity, CONTINUITY_unknown);
    arena_destroy(&arena);
    ship_verdicts(s, o.tokens[0], NULL, 0, on_any);
    ship_verdicts(s, o.tokens[1], (const uint8_t[]){VERDICT_new}, 1, on_any);
    assert_int_equal(a.n, 3);
    assert_int_equal(a.of[0], VERDICT_new);
    clear(&o);
    ship_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_is_complete_in_itself), cmocka_unit_test(test_closes_at_its_size),
        cmocka_unit_test(test_texts_fit_the_wire),          cmocka_unit_test(test_verdicts_find_their_owners),
        cmocka_unit_test(test_polls_without_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
