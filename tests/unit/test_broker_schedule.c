// needs: broker proto common
// The broker: when sources are given out, by mode, cron, active hours and catch-up.
#include "tests/unit/broker_world.h"

#include "common/civil.h"

// -- what was given out ---------------------------------------------------------------------------------

enum { MOST = 5000 };

typedef struct {
    int64_t due;
    uint64_t source, cause;
} given_t;

// All dues that were sent to peer since mark, in the order of their times.
static size_t given(world_t *w, size_t mark, uint64_t peer, given_t *out)
{
    size_t n = 0;
    wire_assign_t *a;
    for (size_t i = 0; (a = heard(w, mark, peer, WIRE_TYPE_ASSIGN, i)); i++)
        for (size_t k = 0; k < a->dues.n; k++)
            for (uint64_t j = 0; j < a->dues.v[k].count; j++) {
                const wire_due_t *d = &a->dues.v[k];
                given_t g = {a->slot_start + d->offset + (int64_t)(j * d->step), d->source, d->cause};
                size_t at = n++;
                assert_true(n < MOST);
                for (; at > 0 && out[at - 1].due > g.due; at--) out[at] = out[at - 1];
                out[at] = g;
            }
    return n;
}

static given_t rows[MOST];

// A world that begins at a certain time.
static void begin(world_t *w, int64_t wall_s)
{
    broker_destroy(&w->broker);
    w->n_ops = w->n_sent = 0;
    w->now.wall = wall_s * 1000;
    start(w);
    broker_start(w->broker, w->now);
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
}

static int64_t at(int year, int month, int day, int hour, int minute)
{
    return civil_days(year, month, day) * CIVIL_DAY + hour * 3600 + minute * 60;
}

// Miner peer does what a miner does for a while: it beats, and polls what is due and was sent since mark.
static void work(world_t *w, int64_t ms, uint64_t peer, size_t mark)
{
    static int64_t settled[MOST];
    static given_t all[MOST];
    size_t n_settled = 0;
    for (int64_t t = 0; t < ms; t += BEAT) {
        size_t n = given(w, mark, peer, all);
        for (size_t i = 0; i < n && all[i].due <= w->now.wall; i++) {
            size_t k = 0;
            int64_t name = all[i].due ^ (int64_t)all[i].source;
            while (k < n_settled && settled[k] != name) k++;
            if (k < n_settled) continue;
            settled[n_settled++] = name;
            outcome(w, peer, all[i].source, all[i].due, OUTCOME_BOTH, RESULT_unchanged, NULL, w->now.wall);
        }
        beat(w, peer);
        pass(w, BEAT);
    }
}

// -- cron -----------------------------------------------------------------------------------------------

static void cron_gives_out_its_fires_and_nothing_else(void **state)
{
    world_t *w = *state;
    begin(w, at(2024, 3, 31, 0, 30) + 5); // 01:30 in Berlin; at 02:00 it becomes 03:00
    add(w, "a", 3, ", \"cron\": \"*/20 2,3 * * *\", \"timezone\": \"Europe/Berlin\"", false);
    size_t n = given(w, 0, 1, rows);
    assert_int_equal(n, 3); // added: polled at once
    for (size_t i = 0; i < n; i++) assert_int_equal(rows[i].cause, CAUSE_added);
    size_t mark = w->n_sent;
    work(w, 80 * SLOT, 1, 0);
    n = given(w, mark, 1, rows);
    assert_int_equal(n, 9); // 03:00 (for 02:00, 02:20, 02:40 and itself), 03:20, 03:40
    for (size_t i = 0; i < n; i++)
        assert_int_equal(rows[i].due / 1000, at(2024, 3, 31, 1, 0) + (int64_t)(i / 3) * 1200);
}

static void several_fires_of_a_slot_are_few_rows(void **state)
{
    world_t *w = *state;
    begin(w, at(2024, 5, 1, 12, 0) + 5);
    add(w, "a", 1, ", \"cron\": \"0-10/2,30,50 * * * * *\"", false);
    work(w, SLOT, 1, 0);
    size_t mark = w->n_sent;
    work(w, SLOT, 1, 0);
    wire_assign_t *a = heard(w, mark, 1, WIRE_TYPE_ASSIGN, 0);
    assert_non_null(a);
    assert_int_equal(given(w, mark, 1, rows), 8);
    assert_int_equal(a->dues.n, 2); // 0 to 10 by 2, 30 to 50 by 20
    assert_int_equal(a->dues.v[0].count, 6);
    assert_int_equal(a->dues.v[0].step, 2000);
}

static void bad_schedules_are_refused(void **state)
{
    world_t *w = *state;
    static const char *const cases[][3] = {
        {", \"cron\": \"0 0 30 2 *\"", "cron", "never fires"},
        {", \"cron\": \"0 0 * * *\", \"timezone\": \"Europe/Atlantis\"", "timezone", "no such time zone"},
        {", \"every\": \"1m\", \"timezone\": \"../../etc/passwd\"", "timezone", "Europe/Berlin"},
        {", \"cron\": \"0 3 * * *\", \"windows\": [{\"from\": \"08:00\", \"to\": \"18:00\"}]", "windows",
         "never fires within them"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wire_reply_t *reply = add(w, "bad", 1, cases[i][0], false);
        assert_int_equal(reply->code, 400);
        assert_string_equal(reply->field, cases[i][1]);
        if (!strstr(reply->message, cases[i][2])) fail_msg("%s", reply->message);
    }
    assert_int_equal(broker_counts(w->broker).templates, 0);
}

// -- active hours -----------------------------------------------------------------------------------------

static void nothing_is_due_outside_of_active_hours(void **state)
{
    world_t *w = *state;
    begin(w, at(2024, 5, 1, 17, 50) + 5);
    add(w, "a", 4, ", \"every\": \"10s\", \"windows\": [{\"from\": \"08:00\", \"to\": \"18:00\"}]", false);
    work(w, 20 * SLOT, 1, 0);
    size_t n = given(w, 0, 1, rows);
    assert_true(n > 4 * 58 && n <= 4 * 61);
    assert_true(rows[n - 1].due / 1000 < at(2024, 5, 1, 18, 0));
    wire_reply_t *r = command(w, "sources", (wire_arg_t[]){{"name", "a"}}, 1);
    char next[40];
    snprintf(next, sizeof next, "\"next_ms\":%lld", (long long)at(2024, 5, 2, 8, 0) / 10);
    if (!strstr(r->json, next)) fail_msg("%s: %s", next, r->json); // 08:00 and some seconds
    size_t mark = w->n_sent;
    add(w, "b", 1, ", \"windows\": [{\"from\": \"08:00\", \"to\": \"18:00\"}]", false);
    assert_int_equal(given(w, mark, 1, rows), 0); // added at night: it waits
}

static void a_long_period_is_made_up_when_hours_begin(void **state)
{
    world_t *w = *state;
    begin(w, at(2024, 5, 1, 7, 30) + 5);
    add(w, "a", 40, ", \"every\": \"1d\", \"windows\": [{\"from\": \"08:00\", \"to\": \"08:30\"}]", false);
    work(w, 75 * SLOT, 1, 0);
    size_t n = given(w, 0, 1, rows);
    assert_int_equal(n, 40); // each once in this half hour, whatever its phase
    size_t early = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t since = rows[i].due / 1000 - at(2024, 5, 1, 8, 0);
        assert_true(since >= 0 && since < 1800);
        early += since < 60;
    }
    assert_true(early >= 30);
    assert_true(rows[0].due != rows[1].due); // and spread
}

// -- continuous and triggered -----------------------------------------------------------------------------

static void a_continuous_source_is_due_again_when_it_is_done(void **state)
{
    world_t *w = *state;
    begin(w, at(2024, 5, 1, 12, 0) + 5);
    size_t mark = w->n_sent;
    add(w, "a", 1, ", \"mode\": \"continuous\", \"min_gap\": \"5s\"", false);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(given(w, mark, 1, rows), 1);
        given_t g = rows[0];
        int64_t took = i * 4000; // longer than a slot at last
        size_t same = w->n_sent;
        pass_beating(w, g.due + took - w->now.wall, 1, 0);
        assert_int_equal(given(w, same, 1, rows), 0); // nothing while it runs
        mark = w->n_sent;
        outcome(w, 1, g.source, g.due, OUTCOME_BOTH, RESULT_unchanged, NULL, w->now.wall);
        int64_t ended = w->now.wall;
        pass_beating(w, 1000, 1, 0);
        if (!given(w, mark, 1, rows)) pass_beating(w, 5000, 1, 0); // it is of a slot not built yet
        assert_int_equal(given(w, mark, 1, rows), 1);
        assert_int_equal(rows[0].due, ended + 5000);
    }
}

static void a_continuous_source_survives_everybody(void **state)
{
    world_t *w = *state;
    begin(w, at(2024, 5, 1, 12, 0) + 5);
    add(w, "a", 1, ", \"mode\": \"continuous\", \"min_gap\": \"2s\"", false);
    assert_int_equal(given(w, 0, 1, rows), 1);
    given_t g = rows[0];
    // the miner dies: another has it
    join(w, 2, "m2");
    pass_beating(w, 2 * LIVENESS, 2, 0);
    size_t n = given(w, 0, 2, rows);
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].due, g.due);
    // the broker restarts while it runs there
    uint64_t v = version(w, 2);
    restart(w);
    size_t mark = w->n_sent;
    ready(w, 2, "m2", 2000);
    inventory(w, 2, (wire_holding_t[]){{g.source, g.due - 1, g.due, true, v}}, 1);
    pass_beating(w, 3 * LIVENESS, 2, 0);
    assert_int_equal(given(w, mark, 2, rows), 0); // it has it already
    outcome(w, 2, g.source, g.due, OUTCOME_BOTH, RESULT_unchanged, NULL, w->now.wall);
    pass_beating(w, 1000, 2, 0);
    assert_int_equal(given(w, mark, 2, rows), 1);
    given_t next = rows[0];
    // skipped for some reason: it comes again
    mark = w->n_sent;
    outcome(w, 2, g.source, next.due, OUTCOME_BOTH, RESULT_skipped, NULL, 0);
    pass_beating(w, 1000, 2, 0);
    assert_int_equal(given(w, mark, 2, rows), 1);
    // and after a restart with nobody who had it
    outcome(w, 2, g.source, rows[0].due, OUTCOME_BOTH, RESULT_unchanged, NULL, w->now.wall);
    restart(w);
    mark = w->n_sent;
    pass(w, LIVENESS + 100);
    join(w, 3, "m3");
    pass_beating(w, 5000, 3, 0);
    assert_int_equal(given(w, mark, 3, rows), 1);
}

static void a_triggered_source_waits(void **state)
{
    world_t *w = *state;
    begin(w, at(2024, 5, 1, 12, 0) + 5);
    add(w, "a", 3, ", \"mode\": \"triggered\"", false);
    pass_beating(w, 10 * SLOT, 1, 0);
    assert_int_equal(given(w, 0, 1, rows), 0);
    wire_reply_t *r = command(w, "sources", (wire_arg_t[]){{"name", "a"}}, 1);
    assert_non_null(strstr(r->json, "\"next_ms\":null"));
    restart(w);
    pass(w, LIVENESS + 100);
    join(w, 4, "m4");
    pass_beating(w, 3 * SLOT, 4, 0);
    assert_int_equal(given(w, 0, 4, rows), 0);
}

// -- downtime -----------------------------------------------------------------------------------------------

// The range that was stored for dues missed while down: how many, from, to.
static uint64_t missed(const world_t *w, size_t mark, int64_t *from, int64_t *to)
{
    uint64_t n = 0;
    for (size_t i = mark; i < w->n_ops; i++) {
        const store_op_t *o = &w->ops[i];
        if (o->kind != STORE_SKIPS || strcmp(o->text, "missed_while_down") != 0) continue;
        n += (uint64_t)o->number;
        *from = o->from, *to = o->to;
    }
    return n;
}

static void catch_up(world_t *w, const char *more, int64_t hours, size_t at_once, uint64_t skipped,
                     int64_t first, int64_t last)
{
    int64_t from = 0, to = 0;
    begin(w, at(2024, 5, 1, 12, 0) + 5);
    add(w, "a", 1, more, false);
    work(w, 4 * SLOT, 1, 0);
    w->now.mono += hours * 3600000;
    w->now.wall += hours * 3600000;
    restart(w);
    size_t mark = w->n_sent, ops = w->n_ops;
    join(w, 2, "m2");
    pass_beating(w, LIVENESS + 100, 2, 0);
    size_t n = given(w, mark, 2, rows), now = 0;
    for (size_t i = 0; i < n; i++) now += rows[i].due <= w->now.wall;
    assert_int_equal(now, at_once);
    if (at_once) assert_int_equal(rows[0].cause, CAUSE_catch_up);
    work(w, 3 * SLOT, 2, mark);
    assert_int_equal(missed(w, ops, &from, &to), skipped);
    if (skipped) assert_int_equal(from / 1000, first);
    if (skipped) assert_int_equal(to / 1000, last);
}

static void what_was_missed_is_caught_up_or_recorded(void **state)
{
    world_t *w = *state;
    int64_t noon = at(2024, 5, 1, 12, 0);
    // 13:00 ... 22:00 missed, the last of them polled now (it is 22:04)
    catch_up(w, ", \"cron\": \"0 * * * *\"", 10, 1, 9, noon + 3600, noon + 9 * 3600);
    catch_up(w, ", \"cron\": \"0 * * * *\", \"catch_up\": \"skip\"", 10, 0, 10, noon + 3600,
             noon + 10 * 3600);
    catch_up(w, ", \"cron\": \"0 15 * * *\"", 10, 1, 0, 0, 0);
    catch_up(w, ", \"cron\": \"0 11 * * *\"", 10, 0, 0, 0, 0); // none was missed
    // the hours are over: what was missed in them is recorded
    catch_up(w, ", \"cron\": \"0 * * * *\", \"windows\": [{\"from\": \"08:00\", \"to\": \"18:00\"}]", 10, 0,
             5, noon + 3600, noon + 5 * 3600);
    catch_up(w, ", \"mode\": \"continuous\"", 10, 1, 0, 0, 0);
}

// A wall clock that jumps moves nothing: broker time is slewed, and cron follows broker time.
static void wall_clock_jumps_move_no_fire(void **state)
{
    world_t *w = *state;
    begin(w, at(2024, 5, 1, 12, 0) + 5);
    add(w, "a", 1, ", \"cron\": \"* * * * *\"", false);
    work(w, SLOT, 1, 0);
    size_t mark = w->n_sent;
    for (int i = 0; i < 6; i++) {
        w->now.wall += i % 2 ? -3600000 : 3600000;
        work(w, 10 * SLOT, 1, 0);
    }
    size_t n = given(w, mark, 1, rows);
    assert_true(n >= 59 && n <= 62); // of an hour: one a minute
    for (size_t i = 1; i < n; i++) assert_int_equal(rows[i].due - rows[i - 1].due, SLOT);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(cron_gives_out_its_fires_and_nothing_else),
        TEST(several_fires_of_a_slot_are_few_rows),
        TEST(bad_schedules_are_refused),
        TEST(nothing_is_due_outside_of_active_hours),
        TEST(a_long_period_is_made_up_when_hours_begin),
        TEST(a_continuous_source_is_due_again_when_it_is_done),
        TEST(a_continuous_source_survives_everybody),
        TEST(a_triggered_source_waits),
        TEST(what_was_missed_is_caught_up_or_recorded),
        TEST(wall_clock_jumps_move_no_fire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
