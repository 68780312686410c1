// needs: miner miner/read proto common
// Polite: the gate of one host and of many, in a time that the test makes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "miner/polite.h"

static polite_ticket_t ticket(uint32_t concurrency, int64_t gap)
{
    return (polite_ticket_t){.concurrency = concurrency, .gap = gap};
}

static void test_concurrency(void **state)
{
    (void)state;
    polite_t *p = polite_new();
    polite_ticket_t t[3] = {ticket(2, 0), ticket(2, 0), ticket(2, 0)};
    for (int i = 0; i < 3; i++) polite_enter(p, &t[i], 7, 100 + i, 200);
    assert_ptr_equal(polite_next(p, 200), &t[0]);
    assert_ptr_equal(polite_next(p, 200), &t[1]);
    assert_null(polite_next(p, 200));
    assert_int_equal(polite_wake(p), INT64_MAX); // only a leave helps
    polite_leave(p, &t[1], 300);
    assert_ptr_equal(polite_next(p, 300), &t[2]);
    polite_leave(p, &t[0], 300);
    polite_leave(p, &t[2], 300);
    polite_destroy(&p);
}

static void test_gap(void **state)
{
    (void)state;
    polite_t *p = polite_new();
    polite_ticket_t t[2] = {ticket(2, 50), ticket(2, 50)};
    polite_enter(p, &t[0], 7, 100, 100);
    polite_enter(p, &t[1], 7, 100, 100);
    assert_non_null(polite_next(p, 100));
    assert_null(polite_next(p, 149));
    assert_int_equal(polite_wake(p), 150);
    assert_non_null(polite_next(p, 150));
    polite_leave(p, &t[0], 160);
    polite_leave(p, &t[1], 160);
    // the gap outlives the host's last ticket
    polite_ticket_t late = ticket(1, 50);
    polite_enter(p, &late, 7, 170, 170);
    assert_null(polite_next(p, 170));
    assert_ptr_equal(polite_next(p, 200), &late);
    polite_leave(p, &late, 300);
    assert_int_equal(polite_hosts(p), 0); // and then the host is forgotten
    polite_destroy(&p);
}

static void test_idle_hosts_are_forgotten(void **state)
{
    (void)state;
    polite_t *p = polite_new();
    polite_ticket_t t = ticket(1, 50);
    polite_enter(p, &t, 7, 0, 0);
    assert_ptr_equal(polite_next(p, 0), &t);
    polite_leave(p, &t, 10);
    assert_int_equal(polite_hosts(p), 1);
    assert_null(polite_next(p, 50));
    assert_int_equal(polite_hosts(p), 0);
    polite_destroy(&p);
}

static void test_oldest_due_first(void **state)
{
    (void)state;
    polite_t *p = polite_new();
    polite_ticket_t a = ticket(1, 0), b = ticket(1, 0), c = ticket(1, 0);
    polite_enter(p, &a, 1, 30, 100);
    polite_enter(p, &b, 2, 20, 100);
    polite_enter(p, &c, 2, 10, 100);
    assert_ptr_equal(polite_next(p, 100), &c);
    assert_ptr_equal(polite_next(p, 100), &a); // b's host is busy
    assert_null(polite_next(p, 100));
    polite_leave(p, &b, 100); // taken back while it waits
    polite_leave(p, &c, 100);
    assert_null(polite_next(p, 100));
    polite_leave(p, &a, 100);
    // one whose rank lies ahead starts at once if no other waits, and behind those that do
    polite_enter(p, &a, 1, 2100, 100);
    assert_ptr_equal(polite_next(p, 100), &a);
    polite_enter(p, &b, 1, 2100, 100);
    polite_enter(p, &c, 1, 150, 150);
    polite_leave(p, &a, 200);
    assert_ptr_equal(polite_next(p, 200), &c);
    polite_leave(p, &c, 200);
    assert_ptr_equal(polite_next(p, 200), &b);
    polite_leave(p, &b, 200);
    polite_destroy(&p);
}

// Whatever enters and leaves: never more than the concurrency, never less than the gap, and all get through.
static void test_many(void **state)
{
    (void)state;
    enum { TICKETS = 400, HOSTS = 7, GAP = 5 };
    static polite_ticket_t tickets[TICKETS];
    int64_t started[HOSTS], until[TICKETS] = {0};
    unsigned running[HOSTS] = {0}, done = 0, seed = 1;
    for (int h = 0; h < HOSTS; h++) started[h] = -GAP;
    polite_t *p = polite_new();
    for (int i = 0; i < TICKETS; i++) {
        tickets[i] = ticket(2, GAP);
        polite_enter(p, &tickets[i], (uint64_t)(i % HOSTS), i / HOSTS, 0);
    }
    for (int64_t now = 0; done < TICKETS; now++) {
        assert_true(now < 10000);
        for (int i = 0; i < TICKETS; i++) {
            if (!until[i] || until[i] > now) continue;
            polite_leave(p, &tickets[i], now);
            running[i % HOSTS]--;
            until[i] = 0;
            done++;
        }
        for (polite_ticket_t *t; (t = polite_next(p, now));) {
            int i = (int)(t - tickets), h = i % HOSTS;
            assert_true(++running[h] <= 2);
            assert_true(now - started[h] >= GAP);
            started[h] = now;
            until[i] = now + 1 + rand_r(&seed) % 20;
        }
    }
    polite_destroy(&p);
}

// One host that may start something every 100 ms, for so long, while `of` tickets of each priority, in the
// order of the classes, want to start again as soon as they have: how often each class started, and the
// longest that a ticket of low priority waited.
enum { CROWD = 60, EACH_MS = 100 };
typedef struct {
    int starts[PRIORITY_CRITICAL + 1];
    int64_t low_waited;
} crowd_t;

static crowd_t crowd(const int of[PRIORITY_CRITICAL + 1], int64_t patience, int64_t span)
{
    static polite_ticket_t tickets[PRIORITY_CRITICAL + 1][CROWD];
    int64_t since[CROWD] = {0};
    crowd_t seen = {0};
    polite_t *p = polite_new();
    polite_set_patience(p, patience);
    for (int c = 0; c <= PRIORITY_CRITICAL; c++)
        for (int i = 0; i < of[c]; i++) {
            tickets[c][i] = (polite_ticket_t){.concurrency = 1, .gap = EACH_MS, .priority = (priority_t)c};
            polite_enter(p, &tickets[c][i], 1, 0, 0);
        }
    for (int64_t now = 0; now < span; now += EACH_MS) {
        polite_ticket_t *t = polite_next(p, now);
        assert_non_null(t);
        assert_null(polite_next(p, now));
        int c = (int)t->priority;
        long i = t - tickets[c];
        seen.starts[c]++;
        if (c == PRIORITY_LOW && now - since[i] > seen.low_waited) seen.low_waited = now - since[i];
        if (c == PRIORITY_LOW) since[i] = now + 1;
        polite_leave(p, t, now + 1);
        polite_enter(p, t, 1, now + 1, now + 1);
    }
    for (int c = 0; c <= PRIORITY_CRITICAL; c++)
        for (int i = 0; i < of[c]; i++) polite_leave(p, &tickets[c][i], span);
    polite_destroy(&p);
    return seen;
}

static void priorities_share_what_a_host_can_serve(void **state)
{
    (void)state;
    crowd_t seen = crowd((int[]){20, 20, 20, 20}, 1000000, 150000);
    for (int c = 0; c <= PRIORITY_CRITICAL; c++)
        assert_in_range(seen.starts[c], (100 << c) - 1, (100 << c) + 1);
    // a single one of low priority has its share, too
    seen = crowd((int[]){1, 20, 20, 20}, 1000000, 150000);
    assert_in_range(seen.starts[PRIORITY_LOW], 75, 150);
    assert_in_range(seen.low_waited, 0, 2000);
}

// However much critical work there is, and however many low tickets share what is left.
static void nobody_waits_much_longer_than_its_patience(void **state)
{
    (void)state;
    crowd_t seen = crowd((int[]){20, 0, 0, 60}, 7000, 100000); // slots of a second
    assert_in_range(seen.low_waited, 7000, 10000);
    assert_in_range(seen.starts[PRIORITY_LOW], 200, 300); // a fifth to a third
    seen = crowd((int[]){5, 0, 0, 60}, 7000, 100000);
    assert_in_range(seen.low_waited, 4000, 5000);
    assert_in_range(seen.starts[PRIORITY_LOW], 108, 114); // a ninth
}

static void test_hosts_of_urls(void **state)
{
    (void)state;
    assert_int_equal(polite_host("http://A.example/x"), polite_host("http://a.EXAMPLE:80?y"));
    assert_int_equal(polite_host("https://a.example"), polite_host("https://u:p@w@a.example:443/#z"));
    assert_int_not_equal(polite_host("http://a.example/"), polite_host("https://a.example/"));
    assert_int_not_equal(polite_host("http://a.example/"), polite_host("http://a.example:8080/"));
    assert_int_equal(polite_host("http://[::1]/"), polite_host("http://[::1]:80/"));
    (void)polite_host("");
    (void)polite_host("://");
}

static void a_backed_off_host_starts_nothing_and_gives_its_tickets_back(void **state)
{
    (void)state;
    polite_t *p = polite_new();
    polite_ticket_t t[2] = {ticket(2, 0), ticket(2, 0)};
    polite_enter(p, &t[0], 7, 100, 100);
    assert_int_equal(polite_back_off(p, 7, 1100, 100), 1000);
    assert_int_equal(polite_back_off(p, 7, 600, 100), 1000); // the longer one counts
    assert_true(polite_is_backed_off(p, 7, 1099));
    assert_false(polite_is_backed_off(p, 8, 100));
    assert_null(polite_next(p, 1099));
    assert_int_equal(polite_wake(p), 1100);
    polite_enter(p, &t[1], 7, 50, 100);
    assert_ptr_equal(polite_evict(p, 7, 100), &t[1]);
    assert_ptr_equal(polite_evict(p, 7, 100), &t[0]);
    assert_null(polite_evict(p, 7, 100));
    assert_int_equal(polite_hosts(p), 1); // remembered without tickets
    polite_enter(p, &t[0], 7, 50, 200);
    polite_lift(p, 7, 200);
    assert_ptr_equal(polite_next(p, 200), &t[0]);
    polite_leave(p, &t[0], 300);
    assert_int_equal(polite_hosts(p), 0);
    polite_destroy(&p);
}

static void strikes_double_until_the_host_is_calm(void **state)
{
    (void)state;
    polite_t *p = polite_new();
    assert_int_equal(polite_strike(p, 7, 0, 0, 1000), 60000);
    assert_int_equal(polite_strike(p, 7, 0, 0, 2000), 59000); // asked before the back-off began
    assert_int_equal(polite_strike(p, 7, 0, 999, 61001), 120000 + 29970);
    assert_int_equal(polite_strike(p, 7, 200000, 0, 300000), 200000); // said, not guessed
    polite_calm(p, 7, 400000);                                        // of before the back-off
    assert_true(polite_is_backed_off(p, 7, 499999));
    polite_calm(p, 7, 500000);
    assert_int_equal(polite_strike(p, 7, 0, 0, 500001), 60000);
    int64_t now = 600000, span = 60000;
    for (int i = 0; i < 20; i++, now += span) span = polite_strike(p, 7, 0, 0, now);
    assert_int_equal(span, 86400000);
    assert_null(polite_next(p, now + 2 * span)); // forgotten by then
    assert_int_equal(polite_hosts(p), 0);
    polite_destroy(&p);
}

static void hosts_have_names(void **state)
{
    (void)state;
    uint64_t hosts[2];
    assert_int_equal(polite_host_named("Example.org:443", hosts), 1);
    assert_true(hosts[0] == polite_host("https://example.org/x"));
    assert_int_equal(polite_host_named("example.org", hosts), 2);
    assert_true(hosts[0] == polite_host("http://example.org/x") &&
                hosts[1] == polite_host("https://example.org"));
    assert_int_equal(polite_host_named("[::1]", hosts), 2);
    assert_int_equal(polite_host_named("[::1]:80", hosts), 1);
    assert_true(hosts[0] == polite_host("http://[::1]/"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backed_off_host_starts_nothing_and_gives_its_tickets_back),
        cmocka_unit_test(strikes_double_until_the_host_is_calm),
        cmocka_unit_test(hosts_have_names),
        cmocka_unit_test(test_concurrency),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_idle_hosts_are_forgotten),
        cmocka_unit_test(test_oldest_due_first),
        cmocka_unit_test(test_many),
        cmocka_unit_test(priorities_share_what_a_host_can_serve),
        cmocka_unit_test(nobody_waits_much_longer_than_its_patience),
        cmocka_unit_test(test_hosts_of_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
