// needs: broker proto common
// What the state machine tells the store of its dues; doing one again; miners that are gone.
#include "broker/state.h"
#include "tests/unit/broker_world.h"

// Reports result for each due that peer was given since *mark, which moves. How many.
static size_t answer(world_t *w, size_t *mark, uint64_t peer, wire_result_t result, const char *detail)
{
    size_t n = 0, end = w->n_sent;
    wire_assign_t *a;
    for (size_t i = 0; (a = heard(w, *mark, peer, WIRE_TYPE_ASSIGN, i)); i++)
        for (size_t k = 0; k < a->dues.n; k++)
            for (uint64_t j = 0; j < a->dues.v[k].count; j++, n++) {
                wire_outcome_t row = {.seq = ++seqs[peer],
                                      .kind = OUTCOME_BOTH,
                                      .source = a->dues.v[k].source,
                                      .due = a->slot_start + a->dues.v[k].offset +
                                             (int64_t)(j * a->dues.v[k].step),
                                      .result = result,
                                      .error = result == RESULT_failed ? ERR_parse : ERR_none,
                                      .status = result == RESULT_failed ? 503 : 200,
                                      .etag = "",
                                      .last_modified = "",
                                      .fetch_url = "",
                                      .memory = "",
                                      .detail = detail};
                wire_outcomes_t o = {.outcomes = {&row, 1}};
                say(w, peer, WIRE_TYPE_OUTCOMES, &o);
            }
    *mark = end;
    return n;
}

// The n-th row of history since operation mark, or NULL.
static const store_history_t *recorded(const world_t *w, size_t mark, size_t n)
{
    for (size_t i = mark; i < w->n_ops; i++)
        if (w->ops[i].kind == STORE_HISTORY && n-- == 0) return w->ops[i].history;
    return NULL;
}

static uint64_t dues_recorded(const world_t *w)
{
    uint64_t n = 0;
    const store_history_t *h;
    for (size_t i = 0; (h = recorded(w, 0, i)); i++) n += h->count;
    return n;
}

static void begin(world_t *w, int sources)
{
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "news", sources, ", \"retry\": {\"max_attempts\": 1}, \"max_consecutive_failures\": 0", false);
}

static void what_repeats_is_one_row(void **state)
{
    world_t *w = *state;
    size_t mark = 0, n = 0;
    begin(w, 1);
    for (int i = 0; i < 3; i++) {
        n += answer(w, &mark, 1, i % 2 ? RESULT_unchanged : RESULT_not_modified, "");
        pass_beating(w, SLOT, 1, 0);
    }
    assert_true(n >= 5);
    assert_null(recorded(w, 0, 0)); // nothing has happened yet
    size_t changed = answer(w, &mark, 1, RESULT_changed, "");
    const store_history_t *quiet = recorded(w, 0, 0), *change = recorded(w, 0, 1);
    assert_non_null(change);
    assert_int_equal(quiet->count, n);
    assert_true(quiet->gathered && quiet->first < quiet->last && quiet->last < change->first);
    assert_string_equal(quiet->template_name, "news");
    assert_int_equal(change->count, 1);
    assert_string_equal(change->result, "changed");
    assert_string_equal(change->miner, "m1");
    assert_string_equal(change->error, "");
    assert_int_equal(dues_recorded(w), n + changed);
    assert_int_equal(broker_counts(w->broker).recorded, n + changed);
}

static void what_has_gathered_for_a_while_reaches_the_store(void **state)
{
    world_t *w = *state;
    size_t mark = 0, n = 0;
    begin(w, 1);
    for (int i = 0; i < 20; i++) {
        n += answer(w, &mark, 1, RESULT_unchanged, "");
        pass_beating(w, SLOT, 1, 0);
    }
    const store_history_t *h = recorded(w, 0, 0);
    assert_non_null(h);
    assert_true(h->last - h->first >= 4 * SLOT && h->last - h->first <= 9 * SLOT);
    assert_true(recorded(w, 0, 1) && !recorded(w, 0, 5));
    assert_int_equal(h->key, recorded(w, 0, 1)->key); // so the store makes one row of them
    assert_true(dues_recorded(w) < n);
    broker_stop(w->broker, w->now); // the rest
    assert_int_equal(dues_recorded(w), n);
}

static void the_first_failure_of_a_kind_is_a_row_at_once(void **state)
{
    world_t *w = *state;
    size_t mark = 0, ops;
    begin(w, 1);
    size_t n = answer(w, &mark, 1, RESULT_failed, "HTTP 503 from http://h0.example/a after 12 ms");
    const store_history_t *first = recorded(w, 0, 0);
    assert_non_null(first);
    assert_string_equal(first->error, "parse");
    assert_int_equal(first->status, 503);
    assert_string_equal(first->detail, "HTTP 503 from http://h0.example/a after 12 ms");
    assert_string_equal(first->pattern, "HTTP # from URL after # ms");
    assert_true(first->fingerprint != 0);
    pass_beating(w, SLOT, 1, 0);
    ops = w->n_ops;
    n += answer(w, &mark, 1, RESULT_failed, "HTTP 503 from http://h0.example/b after 7 ms");
    assert_null(recorded(w, ops, 0)); // the same again
    pass_beating(w, SLOT, 1, 0);
    ops = w->n_ops;
    answer(w, &mark, 1, RESULT_failed, "HTTP 503, closed");
    assert_int_equal(recorded(w, ops, 0)->count, n - 1); // what had gathered since
    assert_int_equal(recorded(w, ops, 0)->key, first->key);
    assert_string_equal(recorded(w, ops, 1)->detail, "HTTP 503, closed");
}

static void hostile_details_are_lines(void **state)
{
    world_t *w = *state;
    size_t mark = 0;
    begin(w, 1);
    answer(w, &mark, 1, RESULT_failed, "a\nb\xff\x01\t");
    assert_string_equal(recorded(w, 0, 0)->detail, "a b?");
}

static void what_answers_a_task_is_a_row_of_its_own(void **state)
{
    world_t *w = *state;
    size_t mark = 0;
    begin(w, 1);
    answer(w, &mark, 1, RESULT_unchanged, "");
    pass_beating(w, 2000, 1, 0);
    answer(w, &mark, 1, RESULT_unchanged, "");
    task_t wanted = {.name = "news", .priority = PRIORITY_NORMAL};
    const task_t *t = task_add(w->broker, &wanted);
    assert_non_null(t);
    uint64_t id = t->id;
    pass_beating(w, 2000, 1, 0);
    assert_null(recorded(w, 0, 0));
    assert_int_equal(answer(w, &mark, 1, RESULT_unchanged, ""), 1);
    const store_history_t *row = recorded(w, 0, 1); // after what had gathered
    assert_non_null(row);
    assert_int_equal(row->task, id);
    assert_string_equal(row->result, "unchanged");
    assert_int_equal(recorded(w, 0, 0)->task, 0);
}

static void skips_are_recorded_with_their_reason(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    add(w, "news", 2, "", false);
    pass(w, 12 * SLOT); // nobody polls
    const store_history_t *h = recorded(w, 0, 0);
    assert_non_null(h);
    assert_string_equal(h->result, "skipped");
    assert_string_equal(h->error, "no_miner");
    assert_true(h->count > 1 && h->last > h->first);
    wire_arg_t args[] = {{"name", "news"}};
    command(w, "remove", args, 1); // what gathered goes with it, and is not lost
    broker_counts_t c = broker_counts(w->broker);
    assert_int_equal(dues_recorded(w), c.skipped);
    assert_int_equal(c.open, 0);
}

// The due that peer was given when its one source was added.
static int64_t added_due(world_t *w, uint64_t peer, uint64_t *source)
{
    const wire_assign_t *a = heard(w, 0, peer, WIRE_TYPE_ASSIGN, 0);
    *source = a->dues.v[0].source;
    return a->slot_start + a->dues.v[0].offset;
}

static void what_ended_while_no_broker_ran_is_recorded(void **state)
{
    world_t *w = *state;
    uint64_t source;
    begin(w, 1);
    int64_t due = added_due(w, 1, &source);
    restart(w);
    size_t mark = w->n_ops, sent = w->n_sent;
    ready(w, 2, "m1", 1000); // the one that was
    outcome(w, 2, source, due, OUTCOME_BOTH, RESULT_changed, NULL, due);
    const store_history_t *row = recorded(w, mark, 0);
    assert_non_null(row);
    assert_int_equal(row->first, due);
    assert_string_equal(row->result, "changed");
    wire_holding_t holding = {.source = source, .done = due, .held = due, .version = version(w, 1)};
    inventory(w, 2, &holding, 1);
    outcome(w, 2, source, due, OUTCOME_BOTH, RESULT_changed, NULL, due); // again, under another number
    assert_int_equal(broker_counts(w->broker).recorded, 1);
    pass_beating(w, BEAT, 2, 0);
    wire_assign_t *a = heard(w, sent, 2, WIRE_TYPE_ASSIGN, 0);
    for (size_t i = 0; a && i < a->dues.n; i++) assert_int_not_equal(a->dues.v[i].cause, CAUSE_added);
}

static void a_first_poll_that_outlives_a_broker_is_recorded(void **state)
{
    world_t *w = *state;
    uint64_t source;
    begin(w, 1);
    int64_t due = added_due(w, 1, &source);
    restart(w);
    size_t mark = w->n_ops;
    ready(w, 2, "m1", 1000);
    wire_holding_t holding = {.source = source, .held = due, .running = true, .version = version(w, 1)};
    inventory(w, 2, &holding, 1);
    pass_beating(w, LIVENESS, 2, 0);
    outcome(w, 2, source, due, OUTCOME_POLLED, RESULT_failed, NULL, 0);
    outcome(w, 2, source, due, OUTCOME_STORED, RESULT_failed, NULL, 0);
    const store_history_t *row = NULL;
    for (size_t i = 0; (row = recorded(w, mark, i)) && row->first != due; i++)
        ;
    assert_non_null(row);
    assert_string_equal(row->result, "failed");
    uint64_t n = broker_counts(w->broker).recorded;
    outcome(w, 2, source, due, OUTCOME_BOTH, RESULT_failed, NULL, 0);
    outcome(w, 2, source, due + 1, OUTCOME_BOTH, RESULT_failed, NULL, 0); // there was no more than one
    assert_int_equal(broker_counts(w->broker).recorded, n);
}

static void questions_are_refused_where_there_is_no_file(void **state)
{
    world_t *w = *state;
    begin(w, 1);
    wire_arg_t unknown[] = {{"name", "http://nobody.example/"}};
    assert_int_equal(command(w, "history", NULL, 0)->code, 501);
    assert_int_equal(command(w, "history", unknown, 1)->code, 404);
    assert_int_equal(command(w, "errors", unknown, 1)->code, 404);
    wire_arg_t bad[] = {{"id", "-7"}};
    assert_int_equal(command(w, "history", bad, 1)->code, 400);
    bad[0] = (wire_arg_t){"limit", "many"};
    assert_int_equal(command(w, "history", bad, 1)->code, 400);
    assert_int_equal(command(w, "backup", NULL, 0)->code, 400);
}

// -- replay -------------------------------------------------------------------------------------------

static wire_reply_t *replay(world_t *w, const char *source)
{
    wire_arg_t args[] = {{"source", source}, {"id", "1"}};
    return command(w, "replay", args, 2);
}

static void a_replay_is_a_due_of_its_own_kind(void **state)
{
    world_t *w = *state;
    size_t mark = 0;
    begin(w, 2);
    answer(w, &mark, 1, RESULT_unchanged, "");
    pass_beating(w, 3000, 1, 0);
    assert_int_equal(replay(w, "http://h0.example/news")->code, 0);
    wire_assign_t *a = heard(w, mark, 1, WIRE_TYPE_ASSIGN, 0);
    assert_non_null(a);
    assert_int_equal(a->dues.n, 1);
    assert_int_equal(a->dues.v[0].cause, CAUSE_replay);
    assert_true(a->dues.v[0].offset + a->starts_in <= 0);
    assert_int_equal(replay(w, "http://h0.example/news")->code, 409); // it is on its way
    // its miner dies: the next one replays it
    join(w, 2, "m2");
    pass_beating(w, LIVENESS + 1000, 2, 0);
    wire_assign_t *b;
    bool replayed = false;
    for (size_t i = 0; (b = heard(w, mark, 2, WIRE_TYPE_ASSIGN, i)); i++)
        for (size_t k = 0; k < b->dues.n; k++)
            replayed |= b->dues.v[k].source == a->dues.v[0].source && b->dues.v[k].cause == CAUSE_replay;
    assert_true(replayed);
}

static void what_cannot_be_replayed_is_refused(void **state)
{
    world_t *w = *state;
    begin(w, 1);
    assert_int_equal(replay(w, "0123456789abcdef")->code, 404);
    assert_int_equal(replay(w, "")->code, 404);
    assert_int_equal(replay(w, "news")->code, 404);
    wire_arg_t args[] = {{"name", "news"}};
    command(w, "disable", args, 1);
    assert_int_equal(replay(w, "http://h0.example/news")->code, 409);
}

// -- miners that are gone -----------------------------------------------------------------------------

static bool shows(world_t *w, const char *text)
{
    return strstr(command(w, "miners", NULL, 0)->json, text) != NULL;
}

static void a_dead_miner_is_shown_for_ten_minutes(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    join(w, 2, "m2");
    pass_beating(w, LIVENESS + 2000, 2, 0);
    assert_true(shows(w, "{\"miner\":\"m1\",\"state\":\"dead\""));
    assert_true(shows(w, "\"reason\":\"silent\""));
    wire_goodbye_t bye = {.done = true, .reason = "SIGTERM"};
    say(w, 2, WIRE_TYPE_GOODBYE, &bye);
    assert_true(shows(w, "{\"miner\":\"m2\",\"state\":\"gone\""));
    ready(w, 3, "m1", 4711); // it is back
    inventory(w, 3, NULL, 0);
    assert_true(!shows(w, "\"reason\":\"silent\""));
    pass_beating(w, 11 * SLOT, 3, 0);
    assert_true(!shows(w, "m2"));
    assert_true(shows(w, "{\"miner\":\"m1\",\"state\":\"live\""));
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(what_repeats_is_one_row),
        TEST(what_has_gathered_for_a_while_reaches_the_store),
        TEST(the_first_failure_of_a_kind_is_a_row_at_once),
        TEST(hostile_details_are_lines),
        TEST(what_answers_a_task_is_a_row_of_its_own),
        TEST(skips_are_recorded_with_their_reason),
        TEST(what_ended_while_no_broker_ran_is_recorded),
        TEST(a_first_poll_that_outlives_a_broker_is_recorded),
        TEST(questions_are_refused_where_there_is_no_file),
        TEST(a_replay_is_a_due_of_its_own_kind),
        TEST(what_cannot_be_replayed_is_refused),
        TEST(a_dead_miner_is_shown_for_ten_minutes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
