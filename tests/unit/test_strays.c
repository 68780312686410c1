// needs: broker proto common
// Polls whose sources are gone: they count until they have ended, or their leases have.
#include "tests/unit/broker_world.h"

// A template of so many sources of which one may run at once.
static void put(world_t *w, int n)
{
    wire_reply_t *r =
        add(w, "few", n, ", \"every\": \"30s\", \"timeout\": \"10s\", \"max_concurrent\": 1", true);
    if (r->code) fail_msg("%s", r->message);
}

static uint64_t numbered(int n)
{
    char url[40];
    snprintf(url, sizeof url, "http://h%d.example/few", n);
    return source_id("few", url);
}

// Polls of few that were given to peer since mark, and the last of them.
static size_t given(world_t *w, size_t mark, uint64_t peer, uint64_t *source, int64_t *due)
{
    size_t n = 0;
    wire_assign_t *a;
    for (size_t i = 0; (a = heard(w, mark, peer, WIRE_TYPE_ASSIGN, i)); i++)
        for (size_t k = 0; k < a->dues.n; k++, n++) {
            *source = a->dues.v[k].source;
            *due = a->slot_start + a->dues.v[k].offset;
        }
    return n;
}

// One miner answers all REVOKEs since *mark: all of it runs, or none.
static void answer_revokes(world_t *w, size_t *mark, uint64_t peer, bool running)
{
    size_t end = w->n_sent;
    wire_revoke_t *r;
    for (size_t i = 0; (r = heard(w, *mark, peer, WIRE_TYPE_REVOKE, i)); i++) {
        wire_revoked_t back = {.sources = r->sources, .number = r->number};
        if (running) back.running = r->sources;
        say(w, peer, WIRE_TYPE_REVOKED, &back);
    }
    *mark = end;
}

typedef struct {
    world_t *w;
    size_t mark;
    uint64_t source;
    int64_t due;
} scene_t;

// A poll runs at m1; then its source is gone, as the template is removed, and added again with another source
// beside it.
static scene_t removed(world_t *w, bool running)
{
    scene_t s = {.w = w};
    join(w, 1, "m1");
    put(w, 1);
    pass_beating(w, 500, 1, 0);
    assert_int_equal(given(w, 0, 1, &s.source, &s.due), 1);
    size_t mark = s.mark = w->n_sent;
    wire_arg_t name[] = {{"name", "few"}};
    command(w, "remove", name, 1);
    answer_revokes(w, &mark, 1, running);
    put(w, 2);
    return s;
}

static size_t starts(scene_t *s)
{
    uint64_t source;
    int64_t due;
    return given(s->w, s->mark, 1, &source, &due);
}

static void it_counts_until_its_outcome(void **state)
{
    scene_t s = removed(*state, true);
    pass_beating(s.w, 5000, 1, 0);
    assert_int_equal(starts(&s), 0);
    outcome(s.w, 1, s.source, s.due, OUTCOME_POLLED, RESULT_changed, NULL, 0); // not stored yet
    pass_beating(s.w, 5000, 1, 0);
    assert_int_equal(starts(&s), 0);
    outcome(s.w, 1, s.source, s.due, OUTCOME_STORED, RESULT_changed, NULL, 0);
    pass_beating(s.w, 1000, 1, 0);
    assert_int_equal(starts(&s), 1);
}

static void it_is_over_if_it_never_ran(void **state)
{
    scene_t s = removed(*state, false);
    pass_beating(s.w, 1000, 1, 0);
    assert_int_equal(starts(&s), 1);
}

static void it_is_over_with_its_lease(void **state)
{
    scene_t s = removed(*state, true);
    pass_beating(s.w, 40000 + LIVENESS - 2000, 1, 0);
    assert_int_equal(starts(&s), 0);
    pass_beating(s.w, 3000, 1, 0);
    assert_int_equal(starts(&s), 1);
}

static void it_is_over_with_its_miner(void **state)
{
    scene_t s = removed(*state, true);
    join(s.w, 2, "m2");
    ready(s.w, 3, "m1", 4711); // another process
    inventory(s.w, 3, NULL, 0);
    uint64_t source;
    int64_t due;
    pass_beating(s.w, 1000, 2, 3);
    assert_int_equal(given(s.w, s.mark, 2, &source, &due) + given(s.w, s.mark, 3, &source, &due), 1);
}

static void it_is_over_if_its_miner_does_not_list_it(void **state)
{
    scene_t s = removed(*state, true);
    ready(s.w, 1, "m1", 1000);
    wire_holding_t row = {.source = s.source, .running = true};
    inventory(s.w, 1, &row, 1); // it does
    pass_beating(s.w, 1000, 1, 0);
    assert_int_equal(starts(&s), 0);
    ready(s.w, 1, "m1", 1000);
    inventory(s.w, 1, NULL, 0);
    pass_beating(s.w, 1000, 1, 0);
    assert_int_equal(starts(&s), 1);
}

static void a_source_that_a_replacement_lacks_counts_for_it(void **state)
{
    world_t *w = *state;
    uint64_t source;
    int64_t due;
    join(w, 1, "m1");
    put(w, 2);
    pass_beating(w, 500, 1, 0);
    assert_int_equal(given(w, 0, 1, &source, &due), 1);
    size_t mark = w->n_sent, from = mark;
    char url[200];
    snprintf(
        url, sizeof url,
        "{\"name\": \"few\", \"kind\": \"feed\", \"max_concurrent\": 1, \"url\": \"http://h%d.example/few\"}",
        source == numbered(0));
    wire_arg_t args[] = {{"template", url}, {"replace", "1"}};
    assert_int_equal(command(w, "add", args, 2)->code, 0);
    answer_revokes(w, &mark, 1, true);
    uint64_t other;
    int64_t at;
    pass_beating(w, 5000, 1, 0);
    assert_int_equal(given(w, from, 1, &other, &at), 0);
    outcome(w, 1, source, due, OUTCOME_BOTH, RESULT_changed, NULL, 0);
    pass_beating(w, 1000, 1, 0);
    assert_int_equal(given(w, from, 1, &other, &at), 1);
    assert_int_not_equal(other, source);
}

static void the_clusters_limit_counts_what_a_restarted_broker_does_not_know(void **state)
{
    world_t *w = *state;
    uint64_t source;
    int64_t due;
    broker_destroy(&w->broker);
    cluster_limit = 1;
    start(w);
    broker_start(w->broker, w->now);
    join(w, 1, "m1");
    add(w, "other", 1, "", false);
    restart(w);
    size_t mark = w->n_sent;
    ready(w, 1, "m1", 1000);
    wire_holding_t row = {.source = 4711, .running = true}; // of a template that is gone
    inventory(w, 1, &row, 1);
    pass_beating(w, LIVENESS, 1, 0);
    assert_int_equal(given(w, mark, 1, &source, &due), 0);
    outcome_of(w, 1, 4711, 1, OUTCOME_BOTH, RESULT_changed, NULL, 0, 0);
    pass_beating(w, 1000, 1, 0);
    assert_int_equal(given(w, mark, 1, &source, &due), 1);
    cluster_limit = 0;
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(it_counts_until_its_outcome),
        TEST(it_is_over_if_it_never_ran),
        TEST(it_is_over_with_its_lease),
        TEST(it_is_over_with_its_miner),
        TEST(it_is_over_if_its_miner_does_not_list_it),
        TEST(a_source_that_a_replacement_lacks_counts_for_it),
        TEST(the_clusters_limit_counts_what_a_restarted_broker_does_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
