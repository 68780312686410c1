// Pressure: see the header.
#include "tests/sim/pressure.h"

#include "proto/template.h"
#include "tests/sim/host.h"
#include "tests/sim/policy.h"

enum {
    SLOTS = 13,
    SHORT_MS = 8000,   // slots that are short enough for a dozen of them
    PATIENCE = 10,     // slots
    SLACK_MS = 3000,   // a slewed clock, a poll's time
    URGENT_MS = 1000,  // that what is urgent may be late
    FEW_POLLS = 60,    // say nothing of shares
    SHARE_PERCENT = 5, // that low has at least
    AGED = 8,          // slots after which age may have come into it
};

static bool is_urgent(const world_t *w, const page_t *p)
{
    return w->policies[p->template].priority >= PRIORITY_HIGH;
}

bool pressure_poll(world_t *w, page_t *p, int64_t late)
{
    if (!w->pressed) return false;
    int64_t gap = w->now - p->polled_at;
    if (p->polled_at && gap > p->gap) p->gap = gap;
    if (w->crowded) return true;
    if (is_urgent(w, p) && !policy_waits(w, p->template) && late > URGENT_MS + host_slack(w))
        sim_fail(w, "%s is urgent and %lld ms late", p->url, (long long)late);
    return !is_urgent(w, p);
}

// The longest that p went without a poll, until now.
static int64_t longest_gap(const world_t *w, const page_t *p)
{
    int64_t since = w->now - p->polled_at;
    return since > p->gap ? since : p->gap;
}

static bool is_periodic(const world_t *w, const page_t *p)
{
    return w->when[p->template].kind == WHEN_PERIOD;
}

// One that must not wait for longer than this: with its period. 0: it may.
static int64_t patience(const world_t *w, const page_t *p)
{
    int64_t every = w->every[p->template];
    if (!is_periodic(w, p)) return 0;
    if (w->crowded) return every + PATIENCE * w->slot_ms + SLACK_MS;
    if (policy_waits(w, p->template)) return 0;
    if (is_urgent(w, p)) return every * 21 / 20 + URGENT_MS + host_slack(w);
    return every <= w->slot_ms ? every + PATIENCE * w->slot_ms + SLACK_MS : 0; // put off once a slot
}

static void check_waits(world_t *w)
{
    for (int i = 0; i < w->n_pages; i++) {
        const page_t *p = &w->pages[i];
        int64_t most = patience(w, p), gap = longest_gap(w, p);
        if (most && !policy_is_lost(w, p) && gap > most)
            sim_fail(w, "%s (every %lld ms, priority %d) waited for %lld ms under pressure", p->url,
                     (long long)w->every[p->template], w->policies[p->template].priority, (long long)gap);
    }
}

// What a class wanted (of its periodic pages) and got.
typedef struct {
    int64_t wanted, got, gap; // gap: the longest wait for a poll
} class_t;

// What nears its deadline is of another class.
static bool has_deadlines(const world_t *w)
{
    bool any = false;
    for (int t = 0; t < w->n_templates; t++) any |= w->policies[t].deadline_ms != 0;
    return any;
}

static void check_shares(world_t *w, int64_t span)
{
    class_t classes[PRIORITY_CRITICAL + 1] = {0}, *low = &classes[PRIORITY_LOW],
                                        *critical = &classes[PRIORITY_CRITICAL];
    int64_t all = 0;
    for (int i = 0; i < w->n_pages; i++) {
        const page_t *p = &w->pages[i];
        class_t *c = &classes[w->policies[p->template].priority];
        if (policy_is_lost(w, p)) continue;
        if (is_periodic(w, p)) c->wanted += span / w->every[p->template];
        c->got += p->polls;
        all += p->polls;
        int64_t gap = longest_gap(w, p) - w->every[p->template];
        if (is_periodic(w, p) && gap > c->gap) c->gap = gap;
    }
    int64_t least = all * SHARE_PERCENT / 100;
    if (all >= FEW_POLLS && low->got < low->wanted * 9 / 10 && low->got < least)
        sim_fail(w, "low priority got %lld of %lld polls, and wanted %lld", (long long)low->got,
                 (long long)all, (long long)low->wanted);
    bool aged = low->gap > AGED * w->slot_ms || critical->gap > AGED * w->slot_ms;
    if (!aged && critical->got < critical->wanted * 9 / 10 && critical->got < 4 * low->got)
        sim_fail(w, "critical priority got %lld polls and low %lld, though it wanted %lld",
                 (long long)critical->got, (long long)low->got, (long long)critical->wanted);
}

void pressure_run(world_t *w)
{
    int64_t span = SLOTS * w->slot_ms;
    if (w->slot_ms > SHORT_MS) return;
    for (int i = 0; i < w->n_pages; i++) w->pages[i].polls = 0;
    for (int i = 0; !w->crowded && i < MAX_MINERS; i++) w->miners[i].overloaded_until = w->now + span;
    w->pressed = true;
    if (sim_run_until(w, w->now + span)) check_waits(w);
    if (!w->failure[0] && w->crowded && !has_deadlines(w)) check_shares(w, span);
    for (int i = 0; i < MAX_MINERS; i++) w->miners[i].overloaded_until = 0;
    for (int i = 0; i < w->n_pages; i++)
        w->pages[i].polled_at = w->pages[i].polled_due = 0; // a new beginning
    w->pressed = false;
}
