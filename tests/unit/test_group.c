// needs: sink proto common
// Groups: what a batch must hold, who wins among rows of one key, order, verdicts; all without Postgres.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/check.h"
#include "sink/copy.h"
#include "sink/group.h"

enum { DUE = 1000000, SOURCE = 5, TEMPLATE = 9 };

static group_t *group;
static moves_t moves;
static job_t *jobs[8];
static size_t n_jobs;

static int setup(void **state)
{
    (void)state;
    group = group_new();
    moves_init(&moves);
    n_jobs = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    group_destroy(&group);
    moves_free(&moves);
    while (n_jobs) free(jobs[--n_jobs]);
    return 0;
}

static wire_item_t item(const char *key, wire_part_t part, uint64_t hash)
{
    return (wire_item_t){
        .part = part, .key = key, .content_hash = hash, .published = TIME_NONE, .fields = ""};
}

static void add(uint64_t session, wire_poll_t poll, wire_item_t *items, size_t n)
{
    wire_sink_template_t template = {.id = TEMPLATE, .name = "t", .has_detail = true, .fresh_within = 60000};
    wire_sink_source_t source = {poll.source, TEMPLATE, "http://x/"};
    wire_batch_t batch = {1, {&template, 1}, {&source, 1}, {&poll, 1}, {items, n}};
    buf_t out;
    buf_init(&out, MAX_BATCH_MESSAGE);
    assert_int_equal(wire_encode(&out, WIRE_TYPE_BATCH, &batch), 0);
    job_t *job = xcalloc(1, sizeof *job + out.len);
    job->session = session;
    job->len = out.len;
    memcpy(job->frame, out.data, out.len);
    buf_free(&out);
    jobs[n_jobs++] = job;
    assert_int_equal(group_add(group, job, &moves, false), 0);
}

static wire_poll_t poll_at(int64_t due, int64_t absent)
{
    return (wire_poll_t){.source = SOURCE, .due = due, .fetched = due + 10, .absent = absent};
}

static void the_newest_poll_wins(void **state)
{
    (void)state;
    wire_item_t old = item("k", PART_LIST, 1), new = item("k", PART_LIST, 2), same = item("k", PART_LIST, 2);
    add(1, poll_at(DUE, 500), &old, 1);
    add(1, poll_at(DUE + 200, 900), &new, 1);
    add(1, poll_at(DUE + 100, 0), &same, 1);
    group_seal(group);
    assert_int_equal(group->n_staged, 1);
    const row_t *row = group->staged[0];
    assert_int_equal(row->item->content_hash, 2);
    assert_int_equal(row->first_seen, DUE + 10);
    assert_int_equal(row->absent, 500);
    assert_int_equal(group->batches[0].rows[0].verdict, VERDICT_older);
    assert_int_equal(group->batches[2].rows[0].verdict, VERDICT_known);
}

static void an_absence_after_the_first_sight_is_none(void **state)
{
    (void)state;
    wire_item_t first = item("k", PART_LIST, 1), second = item("k", PART_LIST, 1);
    add(1, poll_at(DUE, 0), &first, 1);
    add(1, poll_at(DUE + 200, DUE + 100), &second, 1);
    group_seal(group);
    assert_int_equal(group->staged[0]->absent, TIME_NONE);
}

static void details_have_a_lane_of_their_own(void **state)
{
    (void)state;
    wire_item_t items[] = {item("k", PART_DETAIL, 0), item("k", PART_LIST, 1), item("k", PART_PROBE, 0),
                           item("k", PART_WHOLE, 2)};
    add(1, poll_at(DUE, 0), items, 4);
    group_seal(group);
    assert_int_equal(group->n_staged, 3);
    assert_int_equal(group->staged[0]->part, PART_LIST);
    assert_int_equal(group->staged[1]->part, PART_PROBE);
    assert_int_equal(group->staged[2]->part, PART_DETAIL); // behind all others: a transaction of their own
    assert_int_equal(group->n_details, 1);
}

static void rows_are_in_key_order(void **state)
{
    (void)state;
    wire_item_t items[] = {item("b", PART_LIST, 1), item("a", PART_LIST, 1), item("ab", PART_LIST, 1)};
    wire_poll_t negative = poll_at(DUE, 0);
    negative.source = UINT64_C(1) << 63;
    add(1, poll_at(DUE, 0), items, 3);
    add(1, negative, items, 1);
    group_seal(group);
    assert_int_equal(group->n_staged, 4);
    assert_int_equal(group->staged[0]->source, UINT64_C(1) << 63); // as bigint it is the least
    assert_string_equal(group->staged[1]->key, "a");
    assert_string_equal(group->staged[2]->key, "ab");
    assert_string_equal(group->staged[3]->key, "b");
}

static void far_dates_go_to_fields(void **state)
{
    (void)state;
    wire_item_t far = item("k", PART_LIST, 1);
    far.published = COPY_TIME_MAX + 1;
    add(1, poll_at(DUE, 0), &far, 1);
    group_seal(group);
    assert_int_equal(group->staged[0]->published, TIME_NONE);
    assert_string_equal(group->staged[0]->text[TEXT_FIELDS], "{\"published_ms\":253402300800000}");
    assert_null(group->staged[0]->text[TEXT_TITLE]);
}

static void a_move_bumps_once(void **state)
{
    (void)state;
    assert_true(moves_note(&moves, 1, 10, DUE));
    assert_true(moves_note(&moves, 1, 10, DUE)); // another batch of the same poll
    assert_false(moves_note(&moves, 1, 10, DUE + 1));
    assert_true(moves_note(&moves, 1, 11, DUE + 1));
    assert_false(moves_note(&moves, 1, 11, DUE + 2));
    assert_true(moves_note(&moves, 2, 11, DUE + 2));
}

static void a_full_group_says_so(void **state)
{
    (void)state;
    static char content[500 << 10];
    memset(content, 'x', sizeof content - 1);
    wire_item_t items[8];
    for (size_t i = 0; i < 8; i++) {
        items[i] = item("k", PART_LIST, 1);
        items[i].content = content;
    }
    add(1, poll_at(DUE, 0), items, 8);
    assert_int_equal(group_add(group, jobs[0], &moves, false), -1);
    assert_int_equal(group->n_batches, 1);
    group_reset(group);
    assert_int_equal(group_add(group, jobs[0], &moves, false), 0);
}

// -- judging ------------------------------------------------------------------------------------------

static wire_item_t judged_item;
static wire_poll_t judged_poll;

static row_t row_of(wire_part_t part, uint64_t hash, int64_t due)
{
    judged_item = (wire_item_t){.content_hash = hash};
    judged_poll = (wire_poll_t){.due = due, .fetched = due + 10};
    return (row_t){.item = &judged_item,
                   .poll = &judged_poll,
                   .first_seen = due + 10,
                   .absent = TIME_NONE,
                   .wants_detail = true,
                   .part = (uint8_t)part};
}

static void assert_judged(row_t row, const stored_row_t *stored, wire_verdict_t verdict, bool written)
{
    assert_int_equal(row_judge(&row, stored), written);
    assert_int_equal(row.verdict, verdict);
}

static void every_case_is_judged(void **state)
{
    (void)state;
    stored_row_t lacking = {DUE, DUE + 10, DUE + 10, TIME_NONE, 1, false},
                 complete = {DUE, DUE + 10, DUE + 10, TIME_NONE, 1, true},
                 before = {DUE, DUE + 9, DUE + 9, TIME_NONE, 1, true};
    assert_judged(row_of(PART_LIST, 1, DUE), NULL, VERDICT_new, true);
    assert_judged(row_of(PART_WHOLE, 1, DUE), NULL, VERDICT_new, true);
    assert_judged(row_of(PART_PROBE, 0, DUE), NULL, VERDICT_lacks_detail, false);
    assert_judged(row_of(PART_PROBE, 0, DUE + 1), &lacking, VERDICT_lacks_detail, false);
    assert_judged(row_of(PART_PROBE, 0, DUE + 1), &complete, VERDICT_known, false);
    assert_judged(row_of(PART_LIST, 1, DUE + 1), &lacking, VERDICT_lacks_detail, false);
    assert_judged(row_of(PART_LIST, 1, DUE + 1), &complete, VERDICT_known, false);
    assert_judged(row_of(PART_LIST, 2, DUE + 1), &complete, VERDICT_changed, true);
    assert_judged(row_of(PART_LIST, 2, DUE), &complete, VERDICT_older, false);
    assert_judged(row_of(PART_LIST, 2, DUE), &before, VERDICT_changed, true); // the due was polled twice
    assert_judged(row_of(PART_WHOLE, 1, DUE + 1), &lacking, VERDICT_known, true);
    assert_judged(row_of(PART_WHOLE, 1, DUE + 1), &complete, VERDICT_known, false);
    row_t bumped = row_of(PART_LIST, 1, DUE + 1);
    bumped.bump = true;
    assert_judged(bumped, &complete, VERDICT_known, true);
    row_t seen_earlier = row_of(PART_LIST, 2, DUE - 1);
    assert_judged(seen_earlier, &complete, VERDICT_older, true);
    row_t absent = row_of(PART_LIST, 1, DUE);
    absent.absent = 5;
    assert_judged(absent, &complete, VERDICT_known, false); // the same poll knows no better
    row_t plain = row_of(PART_LIST, 1, DUE + 1);
    plain.wants_detail = false;
    assert_judged(plain, &lacking, VERDICT_known, false);
}

// -- checking -------------------------------------------------------------------------------------------

static void bad_batches_are_told(void **state)
{
    (void)state;
    wire_sink_template_t template = {.id = TEMPLATE, .name = "t"};
    wire_sink_source_t source = {SOURCE, TEMPLATE, "u"};
    wire_poll_t poll = poll_at(DUE, 0);
    wire_item_t it = item("k", PART_LIST, 1);
    wire_batch_t good = {1, {&template, 1}, {&source, 1}, {&poll, 1}, {&it, 1}}, bad;
    assert_null(group_check_batch(&good));
    bad = good, bad.templates.n = 0;
    assert_non_null(group_check_batch(&bad));
    bad = good, bad.sources.n = 0;
    assert_non_null(group_check_batch(&bad));
    bad = good, bad.polls.n = 0;
    assert_non_null(group_check_batch(&bad));
    it.part = 4;
    assert_non_null(group_check_batch(&good));
    it = item("", PART_LIST, 1);
    assert_non_null(group_check_batch(&good));
    it = item("k", PART_LIST, 1);
    poll.absent = INT64_MIN;
    assert_non_null(group_check_batch(&good));
    assert_true(group_can_hold(&good, 1000));
    assert_false(group_can_hold(&good, GROUP_ARENA));
}

static void copy_cells_are_as_postgres_reads_them(void **state)
{
    (void)state;
    char buf[64];
    assert_memory_equal(buf, "\0\0\0\x08\0\0\0\0\0\0\x03\xe8", copy_time(buf, INT64_C(946684800001)) - buf);
    assert_int_equal(copy_ms(copy_timestamp(-5)), -5);
    assert_memory_equal(buf, "\0\0\0\x03\x01{}", copy_jsonb(buf, "{}", 2) - buf);
    assert_memory_equal(buf, "\0\0\0\x02\xff\xff", copy_i16(buf, -1) - buf);
    assert_memory_equal(buf, "\xff\xff\xff\xff", copy_null(buf) - buf);
    assert_int_equal(copy_header(buf) - buf, 19);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_poll_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(an_absence_after_the_first_sight_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(details_have_a_lane_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_are_in_key_order, setup, teardown),
        cmocka_unit_test_setup_teardown(far_dates_go_to_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(a_move_bumps_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_group_says_so, setup, teardown),
        cmocka_unit_test(every_case_is_judged),
        cmocka_unit_test(bad_batches_are_told),
        cmocka_unit_test(copy_cells_are_as_postgres_reads_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
