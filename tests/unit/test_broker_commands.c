// needs: broker proto common
// The broker's commands: templates come, change and go; sources are read anew; tables.
#include "tests/unit/broker_world.h"

// The latest row of source that was sent to peer since mark; NULL: none.
static wire_source_t *redefined(world_t *w, size_t mark, uint64_t peer, uint64_t source)
{
    wire_source_t *found = NULL;
    wire_assign_t *a;
    for (size_t n = 0; (a = heard(w, mark, peer, WIRE_TYPE_ASSIGN, n)); n++)
        for (size_t i = 0; i < a->sources.n; i++)
            if (a->sources.v[i].id == source) found = &a->sources.v[i];
    return found;
}

static void a_template_that_finds_other_items_begins_anew(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "one", 1, "", false);
    wire_assign_t *a = heard(w, 0, 1, WIRE_TYPE_ASSIGN, 0);
    uint64_t source = a->dues.v[0].source;
    outcome(w, 1, source, a->slot_start + a->dues.v[0].offset, OUTCOME_BOTH, RESULT_unchanged, "\"v1\"",
            w->now.wall);
    int64_t stored = w->now.wall;
    size_t mark = w->n_sent;
    add(w, "one", 1, ", \"every\": \"40s\"", true); // nothing else is found
    assert_true(redefined(w, mark, 1, source)->last_ok == stored);
    mark = w->n_sent;
    add(w, "one", 1, ", \"every\": \"40s\", \"drop\": {\"title\": \"ad\"}", true);
    assert_true(redefined(w, mark, 1, source)->last_ok == 0);
}

static void templates_are_refused_replaced_and_removed(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    wire_arg_t bad[] = {{"template", "{\"name\": \"x\", \"nonsense\": 1}"}};
    assert_int_equal(command(w, "add", bad, 1)->code, 400);
    assert_int_equal(broker_counts(w->broker).templates, 0);
    assert_int_equal(add(w, "news", 5, "", false)->code, 0);
    assert_non_null(strstr(add(w, "news", 5, "", false)->json, "unchanged"));
    assert_int_equal(add(w, "news", 4, "", false)->code, 409);
    assert_int_equal(broker_counts(w->broker).sources, 5);
    size_t mark = w->n_sent;
    assert_int_equal(add(w, "news", 4, "", true)->code, 0);
    assert_int_equal(broker_counts(w->broker).sources, 4);
    wire_revoke_t *r = heard(w, mark, 1, WIRE_TYPE_REVOKE, 0);
    assert_int_equal(r->sources.n, 5);
    wire_assign_t *a = heard(w, mark, 1, WIRE_TYPE_ASSIGN, 0);
    wire_assign_t *before = heard(w, 0, 1, WIRE_TYPE_ASSIGN, 0);
    assert_int_not_equal(a->templates.v[0].version, before->templates.v[0].version);
    assert_int_not_equal(a->sources.v[0].generation, before->sources.v[0].generation);
    wire_arg_t name[] = {{"name", "news"}};
    assert_int_equal(command(w, "disable", name, 1)->code, 0);
    mark = w->n_sent;
    pass_beating(w, 2 * SLOT, 1, 0);
    assert_int_equal(count_dues(w, mark, 1), 0);
    assert_int_equal(command(w, "enable", name, 1)->code, 0);
    assert_true(count_dues(w, mark, 1) >= 4);
    assert_int_equal(command(w, "remove", name, 1)->code, 0);
    assert_int_equal(command(w, "remove", name, 1)->code, 404);
    assert_int_equal(broker_counts(w->broker).sources, 0);
    assert_int_equal(w->ops[w->n_ops - 1].kind, STORE_TEMPLATE_GONE);
}

static uint64_t revoked_by(world_t *w, const char *action)
{
    wire_arg_t name[] = {{"name", "news"}};
    size_t mark = w->n_sent;
    assert_int_equal(command(w, action, name, 1)->code, 0);
    wire_revoke_t *r = heard(w, mark, 1, WIRE_TYPE_REVOKE, 0);
    assert_non_null(r);
    return r->number;
}

static void answer_revoke(world_t *w, uint64_t source, uint64_t number)
{
    wire_revoked_t back = {.sources = {&source, 1}, .number = number};
    say(w, 1, WIRE_TYPE_REVOKED, &back);
}

// The poll that was to run is over only when the REVOKE that came after it is answered.
static void an_answer_belongs_to_its_revoke(void **state)
{
    world_t *w = *state;
    wire_arg_t name[] = {{"name", "news"}};
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    size_t mark = w->n_sent;
    add(w, "news", 1, ", \"max_concurrent\": 1", false);
    pass_beating(w, SLOT, 1, 0);
    assert_true(count_dues(w, mark, 1) > 0);
    uint64_t source = ((wire_assign_t *)heard(w, mark, 1, WIRE_TYPE_ASSIGN, 0))->dues.v[0].source;
    uint64_t first = revoked_by(w, "disable");
    assert_int_equal(command(w, "enable", name, 1)->code, 0);
    answer_revoke(w, source, first);
    mark = w->n_sent;
    pass_beating(w, SLOT, 1, 0);
    assert_true(count_dues(w, mark, 1) > 0);
    uint64_t second = revoked_by(w, "disable");
    assert_true(second > first);
    assert_int_equal(command(w, "enable", name, 1)->code, 0);
    mark = w->n_sent;
    answer_revoke(w, source, first);
    pass_beating(w, SLOT / 4, 1, 0);
    assert_int_equal(count_dues(w, mark, 1), 0);
    answer_revoke(w, source, second);
    pass_beating(w, SLOT, 1, 0);
    assert_true(count_dues(w, mark, 1) > 0);
}

static void tables_come_in_pages(void **state)
{
    world_t *w = *state;
    add(w, "a", 700, "", false);
    add(w, "a.b", 700, "", false);
    add(w, "c", 700, "", false);
    size_t rows = 0, pages = 0;
    char cursor[128] = "";
    do {
        wire_arg_t args[] = {{"cursor", cursor}};
        wire_reply_t *r = command(w, "sources", args, 1);
        assert_int_equal(r->code, 0);
        for (const char *p = r->json; (p = strstr(p, "\"source\":")); p++) rows++;
        snprintf(cursor, sizeof cursor, "%s", r->cursor);
        pages++;
    } while (cursor[0] && pages < 10);
    assert_int_equal(rows, 2100);
    assert_int_equal(pages, 3);
}

static void a_refetch_voids_what_is_known_of_sources(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "one", 1, "", false);
    add(w, "two", 1, "", false);
    wire_assign_t *a = heard(w, 0, 1, WIRE_TYPE_ASSIGN, 0), *b = heard(w, 0, 1, WIRE_TYPE_ASSIGN, 1);
    uint64_t one = a->dues.v[0].source, two = b->dues.v[0].source;
    uint64_t old = defined(w, one)->generation;
    int64_t early = w->now.wall, due = a->slot_start + a->dues.v[0].offset;
    outcome(w, 1, one, due, OUTCOME_BOTH, RESULT_unchanged, "\"v1\"", early);
    pass_beating(w, 5000, 1, 0);
    outcome(w, 1, two, b->slot_start + b->dues.v[0].offset, OUTCOME_BOTH, RESULT_unchanged, "\"v1\"",
            w->now.wall);

    assert_int_equal(command(w, "refetch", NULL, 0)->code, 400);
    wire_arg_t nobody[] = {{"name", "nobody"}}, bad[] = {{"since", "yesterday"}};
    assert_int_equal(command(w, "refetch", nobody, 1)->code, 404);
    assert_int_equal(command(w, "refetch", bad, 1)->code, 400);

    char since[24];
    snprintf(since, sizeof since, "%lld", (long long)early + 1000);
    wire_arg_t late[] = {{"since", since}}, named[] = {{"name", "one"}}, all[] = {{"all", "1"}};
    size_t mark = w->n_sent;
    assert_string_equal(command(w, "refetch", late, 1)->json, "{\"sources\":1}");
    assert_null(redefined(w, mark, 1, one));
    assert_non_null(redefined(w, mark, 1, two));

    mark = w->n_sent;
    assert_string_equal(command(w, "refetch", named, 1)->json, "{\"sources\":1}");
    wire_source_t *row = redefined(w, mark, 1, one);
    assert_non_null(row);
    assert_true(row->generation != old && row->last_ok == 0);
    assert_string_equal(row->etag, "");
    // a poll that was under way tells of the former generation: it is ignored, and its miner told again
    mark = w->n_sent;
    outcome_of(w, 1, one, due, OUTCOME_BOTH, RESULT_unchanged, "\"v1\"", w->now.wall, old);
    assert_int_equal(redefined(w, mark, 1, one)->generation, row->generation);
    assert_string_equal(command(w, "refetch", all, 1)->json, "{\"sources\":2}"); // polls may be under way

    restart(w);
    pass(w, LIVENESS + 100);
    mark = w->n_sent;
    join(w, 2, "m2");
    wire_source_t *again = redefined(w, mark, 2, one);
    assert_true(again->generation == row->generation + 1 && again->last_ok == 0);
    assert_string_equal(again->etag, "");
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(a_template_that_finds_other_items_begins_anew),
        TEST(templates_are_refused_replaced_and_removed),
        TEST(an_answer_belongs_to_its_revoke),
        TEST(tables_come_in_pages),
        TEST(a_refetch_voids_what_is_known_of_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
