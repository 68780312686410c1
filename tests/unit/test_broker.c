// needs: broker proto common
// The broker's state machine: sessions, assignment, outcomes, restart.
#include "tests/unit/broker_world.h"

static void a_joining_miner_gets_work_at_once(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    add(w, "news", 10, "", false);
    size_t mark = w->n_sent;
    join(w, 1, "m1");
    wire_welcome_t *welcome = heard(w, mark, 1, WIRE_TYPE_WELCOME, 0);
    assert_non_null(welcome);
    assert_int_equal(welcome->liveness_ms, LIVENESS);
    wire_assign_t *a = heard(w, mark, 1, WIRE_TYPE_ASSIGN, 0);
    assert_non_null(a);
    assert_int_equal(a->templates.n, 1);
    assert_string_equal(a->templates.v[0].name, "news");
    assert_int_equal(a->sources.n, 10);
    assert_true(count_dues(w, mark, 1) >= 10);
    assert_true(a->dues.v[0].offset + a->starts_in <= 0); // now
}

static void a_broker_without_sources_waits_for_nobody(void **state)
{
    world_t *w = *state;
    add(w, "news", 4, "", false);
    join(w, 1, "m1");
    assert_true(count_dues(w, 0, 1) >= 4);
}

static void a_broker_that_starts_again_waits_for_the_miners_it_knew(void **state)
{
    world_t *w = *state;
    add(w, "news", 4, "", false);
    join(w, 1, "m1");
    join(w, 2, "m2");
    restart(w);
    size_t mark = w->n_sent;
    join(w, 3, "m1");
    pass_beating(w, LIVENESS / 2, 3, 0);
    assert_int_equal(count_dues(w, mark, 3), 0);
    join(w, 4, "m2");
    pass_beating(w, BEAT, 3, 4);
    assert_true(count_dues(w, mark, 3) + count_dues(w, mark, 4) >= 4);
    restart(w);
    mark = w->n_sent;
    join(w, 5, "m1"); // m2 does not come back
    pass_beating(w, LIVENESS - BEAT, 5, 0);
    assert_int_equal(count_dues(w, mark, 5), 0);
    pass_beating(w, BEAT + 100, 5, 0);
    assert_true(count_dues(w, mark, 5) >= 4);
}

static void each_slot_is_given_out_before_it_starts(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "news", 20, ", \"every\": \"30s\"", false);
    size_t mark = w->n_sent;
    pass_beating(w, SLOT, 1, 0); // the end of this slot lies in between
    assert_int_equal(count_dues(w, mark, 1), 40);
    wire_assign_t *a = heard(w, mark, 1, WIRE_TYPE_ASSIGN, 0);
    for (size_t i = 0; i < a->dues.n; i++) {
        assert_int_equal(a->dues.v[i].step, 30000);
        assert_int_equal(a->dues.v[i].count, 2);
        int64_t due = a->slot_start + a->dues.v[i].offset;
        assert_true(due / SLOT == (w->now.wall) / SLOT);
    }
    assert_int_equal(a->sources.n, 0); // known since it was added
}

static void the_work_of_a_silent_miner_moves(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    join(w, 2, "m2");
    add(w, "news", 30, "", false);
    size_t mark = w->n_sent;
    pass_beating(w, LIVENESS + 1000, 2, 0); // m1 says nothing
    assert_int_equal(broker_counts(w->broker).miners, 1);
    wire_assign_t *a = heard(w, mark, 2, WIRE_TYPE_ASSIGN, 0);
    assert_non_null(a);
    assert_int_equal(a->sources.n, 15);
    for (size_t i = 0; i < a->dues.n; i++) assert_int_equal(a->dues.v[i].cause, CAUSE_reassigned);
    mark = w->n_sent;
    beat(w, 1); // it wakes up
    assert_non_null(heard(w, mark, 1, WIRE_TYPE_DISCONNECT, 0));
}

static void a_second_miner_gets_its_share_and_what_runs_stays(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "news", 40, "", false);
    size_t mark = w->n_sent;
    join(w, 2, "m2");
    wire_revoke_t *r = heard(w, mark, 1, WIRE_TYPE_REVOKE, 0);
    assert_non_null(r);
    assert_true(r->sources.n >= 17 && r->sources.n <= 21);
    assert_int_equal(count_dues(w, mark, 2), 0); // not before it is given back
    wire_revoked_t back = {.sources = r->sources, .running = {r->sources.v, 1}, .number = r->number};
    say(w, 1, WIRE_TYPE_REVOKED, &back);
    wire_assign_t *a = heard(w, mark, 2, WIRE_TYPE_ASSIGN, 0);
    assert_non_null(a);
    assert_int_equal(a->sources.n, r->sources.n - 1); // the running one is still m1's
    assert_string_equal(broker_owner(w->broker, r->sources.v[0]), "m2");
    // its outcome comes from m1; then m2 may have it
    wire_assign_t *first = heard(w, 0, 1, WIRE_TYPE_ASSIGN, 0);
    int64_t due = 0;
    for (size_t i = 0; i < first->dues.n && !due; i++)
        if (first->dues.v[i].source == r->sources.v[0]) due = first->slot_start + first->dues.v[i].offset;
    size_t before = w->n_sent;
    outcome(w, 1, r->sources.v[0], due, OUTCOME_BOTH, RESULT_unchanged, NULL, 1);
    pass_beating(w, SLOT, 1, 2);
    wire_assign_t *next = heard(w, before, 2, WIRE_TYPE_ASSIGN, 0);
    assert_non_null(next);
    bool has = false;
    for (size_t i = 0; i < next->sources.n; i++) has |= next->sources.v[i].id == r->sources.v[0];
    assert_true(has);
}

static void only_stored_outcomes_advance_validators(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "one", 1, "", false);
    wire_assign_t *a = heard(w, 0, 1, WIRE_TYPE_ASSIGN, 0);
    uint64_t source = a->dues.v[0].source;
    int64_t due = a->slot_start + a->dues.v[0].offset;
    size_t ops = w->n_ops;
    outcome(w, 1, source, due, OUTCOME_POLLED, RESULT_changed, NULL, 0);
    assert_int_equal(w->n_ops, ops);
    outcome(w, 1, source, due, OUTCOME_STORED, RESULT_changed, "\"v1\"", w->now.wall);
    assert_int_equal(w->n_ops, ops + 2); // its row, and its history
    assert_string_equal(w->ops[ops].source.etag, "\"v1\"");
    wire_outcomes_ack_t *ack = heard(w, 0, 1, WIRE_TYPE_OUTCOMES_ACK, 1);
    assert_int_equal(ack->seq, 2);
    ops = w->n_ops;
    outcome(w, 1, source, due, OUTCOME_STORED, RESULT_changed, "\"v0\"", w->now.wall - 5000); // an older poll
    assert_int_equal(w->n_ops, ops);
    broker_counts_t c = broker_counts(w->broker);
    assert_int_equal(c.stored, 1);
}

static void a_poll_that_fails_after_all(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "one", 1, "", false);
    wire_assign_t *a = heard(w, 0, 1, WIRE_TYPE_ASSIGN, 0);
    int64_t due = a->slot_start + a->dues.v[0].offset;
    outcome(w, 1, a->dues.v[0].source, due, OUTCOME_POLLED, RESULT_changed, NULL, 0);
    outcome(w, 1, a->dues.v[0].source, due, OUTCOME_BOTH, RESULT_failed, NULL, 0);
    broker_counts_t c = broker_counts(w->broker);
    assert_int_equal(c.failed, 1);
    assert_int_equal(c.stored, 0);
    wire_reply_t *r = command(w, "sources", NULL, 0);
    assert_non_null(strstr(r->json, "\"last_result\":\"failed\""));
    assert_non_null(strstr(r->json, "\"failures\":1"));
}

static void outcomes_sent_again_change_nothing(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "one", 1, "", false);
    wire_assign_t *a = heard(w, 0, 1, WIRE_TYPE_ASSIGN, 0);
    int64_t due = a->slot_start + a->dues.v[0].offset;
    for (int i = 0; i < 3; i++) {
        seqs[1] = 0;
        outcome(w, 1, a->dues.v[0].source, due, OUTCOME_BOTH, RESULT_failed, NULL, 0);
    }
    assert_int_equal(broker_counts(w->broker).failed, 1);
}

static void a_leaving_miner_hands_its_work_over(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    join(w, 2, "m2");
    add(w, "news", 20, "", false);
    size_t mark = w->n_sent;
    wire_goodbye_t bye = {.reason = "SIGTERM"};
    say(w, 1, WIRE_TYPE_GOODBYE, &bye);
    wire_assign_t *a = heard(w, mark, 2, WIRE_TYPE_ASSIGN, 0);
    assert_non_null(a);
    assert_int_equal(a->sources.n, 10);
    beat(w, 1); // it beats until its end
    assert_null(heard(w, mark, 1, WIRE_TYPE_DISCONNECT, 0));
    bye.done = true;
    say(w, 1, WIRE_TYPE_GOODBYE, &bye);
    assert_int_equal(broker_counts(w->broker).miners, 1);
}

static void a_restarted_process_is_another_miner(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "news", 12, "", false);
    size_t mark = w->n_sent;
    ready(w, 2, "m1", 77);
    inventory(w, 2, NULL, 0);
    assert_int_equal(broker_counts(w->broker).miners, 1);
    assert_true(count_dues(w, mark, 2) >= 12);
}

static void a_lost_assignment_is_sent_again_after_a_reconnect(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "news", 8, "", false);
    broker_unreachable(w->broker, w->now, 1);
    size_t mark = w->n_sent;
    ready(w, 5, "m1", 1000); // the same incarnation, nothing arrived
    inventory(w, 5, NULL, 0);
    wire_assign_t *a = heard(w, mark, 5, WIRE_TYPE_ASSIGN, 0);
    assert_non_null(a);
    assert_int_equal(a->sources.n, 8);
    assert_int_equal(a->templates.n, 1);
}

// -- restart --------------------------------------------------------------------------------------------

static void what_miners_remember_survives_and_follows_the_list(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "news", 1, "", false);
    wire_assign_t *given = heard(w, 0, 1, WIRE_TYPE_ASSIGN, 0);
    int64_t due = given->slot_start + given->dues.v[0].offset;
    uint64_t source = given->dues.v[0].source;
    wire_outcome_t row = {.seq = ++seqs[1],
                          .kind = OUTCOME_STORED,
                          .source = source,
                          .due = due,
                          .generation = defined(w, source)->generation,
                          .etag = "",
                          .last_modified = "",
                          .fetch_url = "",
                          .memory = "items=30",
                          .continuity = CONTINUITY_gap,
                          .gap_since = w->now.wall - 5000,
                          .gap_reason = GAP_no_next_page,
                          .started = w->now.wall,
                          .last_ok = w->now.wall};
    wire_outcomes_t o = {.outcomes = {&row, 1}}; // without has_state: details are missing, the list is stored
    say(w, 1, WIRE_TYPE_OUTCOMES, &o);
    restart(w);
    const gap_t *gap = NULL;
    for (size_t i = 0; i < w->n_ops; i++)
        if (w->ops[i].kind == STORE_GAP) gap = &w->ops[i].gap;
    assert_non_null(gap);
    assert_true(gap->source == source && gap->until == w->now.wall && !gap->closed);
    pass(w, LIVENESS + 100);
    size_t mark = w->n_sent;
    join(w, 2, "m2");
    wire_assign_t *a = heard(w, mark, 2, WIRE_TYPE_ASSIGN, 0);
    assert_string_equal(a->sources.v[0].memory, "items=30");
    assert_string_equal(a->sources.v[0].etag, "");
}

// What peer holds, as if it had settled all that it was given since mark; how many sources that are.
static size_t settled_by(world_t *w, size_t mark, uint64_t peer, wire_holding_t *held)
{
    size_t n = 0;
    wire_assign_t *a;
    for (size_t i = 0; (a = heard(w, mark, peer, WIRE_TYPE_ASSIGN, i)); i++)
        for (size_t k = 0; k < a->dues.n; k++) {
            wire_due_t *d = &a->dues.v[k];
            int64_t last = a->slot_start + d->offset + (int64_t)(d->step * (d->count - 1));
            size_t r = 0;
            while (r < n && held[r].source != d->source) r++;
            if (r == n) held[n++] = (wire_holding_t){.source = d->source, .version = version(w, peer)};
            if (last > held[r].held) held[r].held = last;
            held[r].done = held[r].held;
        }
    return n;
}

// peer did what it was given since mark; each poll took 100 ms.
static void stored_by(world_t *w, size_t mark, uint64_t peer)
{
    wire_holding_t held[64] = {{0}};
    size_t n = settled_by(w, mark, peer, held);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++)
        outcome(w, peer, held[i].source, held[i].held, OUTCOME_BOTH, RESULT_changed, "\"e\"", held[i].held);
}

// Both come again with what they held.
static void restart_with(world_t *w, wire_holding_t held[2][64], const size_t n[2])
{
    size_t mark = w->n_sent;
    restart(w);
    for (uint64_t peer = 1; peer <= 2; peer++) {
        beat(w, peer);
        assert_non_null(heard(w, mark, peer, WIRE_TYPE_DISCONNECT, 0));
        ready(w, peer, peer == 1 ? "m1" : "m2", peer * 1000);
        inventory(w, peer, held[peer - 1], n[peer - 1]);
    }
}

static void a_restart_forgets_nothing_and_reshuffles_nothing(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    join(w, 2, "m2");
    add(w, "news", 20, "", false);
    pass_beating(w, 2000, 1, 2);
    wire_holding_t held[2][64] = {{{0}}};
    size_t n[] = {settled_by(w, 0, 1, held[0]), settled_by(w, 0, 2, held[1])};
    assert_int_equal(n[0] + n[1], 20);
    uint64_t moved = 0;
    size_t mark = w->n_sent;
    restart_with(w, held, n);
    assert_int_equal(broker_counts(w->broker).sources, 20);
    pass_beating(w, LIVENESS + 500, 1, 2);
    for (uint64_t peer = 1; peer <= 2; peer++)
        for (size_t i = 0; i < n[peer - 1]; i++)
            moved += strcmp(broker_owner(w->broker, held[peer - 1][i].source), peer == 1 ? "m1" : "m2") != 0;
    assert_int_equal(moved, 0);
    wire_assign_t *a = heard(w, mark, 1, WIRE_TYPE_ASSIGN, 0);
    if (a) assert_int_equal(a->sources.n, 0); // definitions are still held
    assert_null(heard(w, mark, 1, WIRE_TYPE_REVOKE, 0));
    mark = w->n_sent;
    pass_beating(w, SLOT, 1, 2);
    assert_int_equal(count_dues(w, mark, 1) + count_dues(w, mark, 2), 40);
}

static void what_polls_take_is_known_after_a_restart(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    join(w, 2, "m2");
    add(w, "news", 20, "", false);
    pass_beating(w, 2 * SLOT, 1, 2);
    stored_by(w, 0, 1), stored_by(w, 0, 2);
    wire_holding_t held[2][64] = {{{0}}};
    size_t n[] = {settled_by(w, 0, 1, held[0]), settled_by(w, 0, 2, held[1])}, mark = w->n_sent;
    restart_with(w, held, n);
    pass_beating(w, LIVENESS + SLOT, 1, 2);
    stored_by(w, mark, 1); // m2's are taken to cost no more than that
    pass_beating(w, 2 * SLOT, 1, 2);
    assert_null(heard(w, mark, 1, WIRE_TYPE_REVOKE, 0));
    assert_null(heard(w, mark, 2, WIRE_TYPE_REVOKE, 0));
}

static void after_downtime_only_the_latest_due_is_caught_up(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "news", 3, "", false);
    wire_assign_t *a = heard(w, 0, 1, WIRE_TYPE_ASSIGN, 0);
    for (size_t i = 0; i < a->dues.n; i++)
        outcome(w, 1, a->dues.v[i].source, a->slot_start + a->dues.v[i].offset, OUTCOME_BOTH,
                RESULT_unchanged, "\"x\"", w->now.wall);
    pass_beating(w, 2 * SLOT, 1, 0);
    w->now.mono += 20 * SLOT;
    w->now.wall += 20 * SLOT;
    restart(w);
    size_t mark = w->n_sent;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    size_t dues = 0;
    wire_assign_t *again = heard(w, mark, 1, WIRE_TYPE_ASSIGN, 0);
    assert_non_null(again);
    for (size_t i = 0; i < again->dues.n; i++)
        dues += again->slot_start + again->dues.v[i].offset <= w->now.wall;
    assert_int_equal(dues, 3);
    assert_true(broker_counts(w->broker).skipped >= 3 * 35);
    assert_string_equal(again->sources.v[0].etag, "\"x\"");
}

// -- what the simulator found ---------------------------------------------------------------------------

// The first due of the source at index i that peer was sent.
static wire_due_t first_due(world_t *w, uint64_t peer, size_t i, int64_t *due)
{
    wire_assign_t *a = heard(w, 0, peer, WIRE_TYPE_ASSIGN, 0);
    *due = a->slot_start + a->dues.v[i].offset;
    return a->dues.v[i];
}

static void a_long_poll_stays_open_while_later_dues_are_skipped(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "one", 1, "", false);
    int64_t due;
    uint64_t source = first_due(w, 1, 0, &due).source;
    wire_outcome_t skip = {.seq = ++seqs[1],
                           .kind = OUTCOME_BOTH,
                           .source = source,
                           .result = RESULT_skipped,
                           .error = ERR_still_running,
                           .etag = "",
                           .last_modified = "",
                           .fetch_url = "",
                           .memory = ""};
    wire_assign_t *a = heard(w, 0, 1, WIRE_TYPE_ASSIGN, 0);
    for (size_t i = 0; i < a->dues.n; i++)
        if (a->slot_start + a->dues.v[i].offset > due) skip.due = a->slot_start + a->dues.v[i].offset;
    assert_true(skip.due > due);
    wire_outcomes_t o = {.outcomes = {&skip, 1}};
    say(w, 1, WIRE_TYPE_OUTCOMES, &o);
    outcome(w, 1, source, due, OUTCOME_BOTH, RESULT_unchanged, NULL, w->now.wall);
    broker_counts_t c = broker_counts(w->broker);
    assert_int_equal(c.skipped, 1);
    assert_int_equal(c.stored, 1);
}

static void nothing_is_revoked_before_the_inventory_came(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "news", 3, "", false);
    int64_t due;
    uint64_t source = first_due(w, 1, 0, &due).source, known = version(w, 1);
    ready(w, 2, "m1", 1000); // dials again
    size_t mark = w->n_sent;
    wire_arg_t name[] = {{"name", "news"}};
    command(w, "remove", name, 1);
    assert_null(heard(w, mark, 2, WIRE_TYPE_REVOKE, 0));
    add(w, "news", 2, "", false);
    wire_holding_t row = {.source = source, .held = due, .version = known};
    inventory(w, 2, &row, 1);
    assert_int_equal(((wire_revoke_t *)heard(w, mark, 2, WIRE_TYPE_REVOKE, 0))->sources.v[0], source);
    wire_assign_t *a = heard(w, mark, 2, WIRE_TYPE_ASSIGN, 0);
    assert_int_equal(a->sources.n, 2); // both are sent anew
    assert_int_not_equal(a->templates.v[0].version, known);
}

static void a_run_elsewhere_ends_with_the_next_inventory(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "one", 1, "", false);
    int64_t due;
    uint64_t source = first_due(w, 1, 0, &due).source;
    ready(w, 2, "m1", 1000);
    wire_holding_t row = {.source = source, .held = due, .running = true}; // was revoked: version 0
    size_t mark = w->n_sent;
    inventory(w, 2, &row, 1);
    assert_int_equal(count_dues(w, mark, 2), 0);
    ready(w, 3, "m1", 1000);
    inventory(w, 3, NULL, 0); // its outcome was lost, but it runs no more
    assert_true(count_dues(w, mark, 3) >= 1);
}

static void a_run_elsewhere_ends_with_its_lease(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "one", 1, "", false);
    int64_t due;
    uint64_t source = first_due(w, 1, 0, &due).source;
    ready(w, 2, "m1", 1000);
    wire_holding_t row = {.source = source, .held = due, .running = true};
    inventory(w, 2, &row, 1);
    size_t mark = w->n_sent;
    pass_beating(w, 290000, 2, 0);
    assert_int_equal(count_dues(w, mark, 2), 0);
    pass_beating(w, 20000, 2, 0);
    assert_true(count_dues(w, mark, 2) >= 1);
}

static void a_replacement_that_was_half_written_keeps_its_sources(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    add(w, "news", 5, "", false);
    size_t before = w->n_ops;
    add(w, "news", 7, "", true);
    for (size_t n = before; n <= w->n_ops; n++) { // the broker dies after n operations
        size_t all = w->n_ops;
        w->n_ops = n;
        restart(w);
        size_t sources = broker_counts(w->broker).sources;
        assert_true(sources == 5 || sources == 7);
        w->n_ops = all;
    }
}

// -- nonsense ------------------------------------------------------------------------------------------

static void nonsense_disturbs_nobody(void **state)
{
    world_t *w = *state;
    pass(w, LIVENESS + 100);
    join(w, 1, "m1");
    add(w, "news", 3, "", false);
    uint64_t ids[] = {1, 2, 3};
    wire_revoked_t revoked = {.sources = {ids, 3}, .running = {ids, 3}};
    say(w, 1, WIRE_TYPE_REVOKED, &revoked);
    outcome(w, 1, 42, 17, OUTCOME_STORED, 99, "x", INT64_MAX);
    outcome(w, 1, 42, -5, 77, 99, NULL, INT64_MIN);
    wire_holding_t rows[] = {{.source = 5, .done = INT64_MAX, .held = INT64_MIN},
                             {.source = 6, .running = true}};
    inventory(w, 1, rows, 2);
    wire_ready_t r = {.version = 9, .miner = "", .software = ""};
    say(w, 3, WIRE_TYPE_READY, &r);
    wire_ack_t ack = {0};
    say(w, 3, WIRE_TYPE_ACK, &ack);
    size_t mark = w->n_sent;
    pass_beating(w, SLOT, 1, 0);
    assert_int_equal(count_dues(w, mark, 1), 6);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(a_joining_miner_gets_work_at_once),
        TEST(a_broker_without_sources_waits_for_nobody),
        TEST(a_broker_that_starts_again_waits_for_the_miners_it_knew),
        TEST(each_slot_is_given_out_before_it_starts),
        TEST(the_work_of_a_silent_miner_moves),
        TEST(a_second_miner_gets_its_share_and_what_runs_stays),
        TEST(only_stored_outcomes_advance_validators),
        TEST(a_poll_that_fails_after_all),
        TEST(outcomes_sent_again_change_nothing),
        TEST(a_leaving_miner_hands_its_work_over),
        TEST(a_restarted_process_is_another_miner),
        TEST(a_lost_assignment_is_sent_again_after_a_reconnect),
        TEST(what_miners_remember_survives_and_follows_the_list),
        TEST(a_restart_forgets_nothing_and_reshuffles_nothing),
        TEST(what_polls_take_is_known_after_a_restart),
        TEST(after_downtime_only_the_latest_due_is_caught_up),
        TEST(a_long_poll_stays_open_while_later_dues_are_skipped),
        TEST(nothing_is_revoked_before_the_inventory_came),
        TEST(a_run_elsewhere_ends_with_the_next_inventory),
        TEST(a_run_elsewhere_ends_with_its_lease),
        TEST(a_replacement_that_was_half_written_keeps_its_sources),
        TEST(nonsense_disturbs_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
