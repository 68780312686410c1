// Policy: see the header.
#include "tests/sim/policy.h"

#include <stdio.h>

#include "tests/sim/host.h"

// What a template that says nothing gets.
static const policy_t usual = {.depends_on = -1,
                               .blocks = -1,
                               .max_attempts = 5,
                               .initial_ms = 1000,
                               .max_ms = 60000,
                               .coefficient = 2,
                               .final_errors = 1ULL << ERR_parse,
                               .max_failures = 5};

static void make(world_t *w)
{
    for (int t = 0; t < w->n_templates; t++) w->policies[t] = usual;
    w->poison = -1;
    bool ranked = w->crowded || sim_random(w, 2);
    for (int t = 0; t < w->n_templates; t++)
        w->policies[t].priority = ranked ? (int)sim_random(w, PRIORITY_CRITICAL + 1) : PRIORITY_NORMAL;
    if (sim_random(w, 3) == 0) w->poison = (int)sim_random(w, (uint64_t)w->n_pages);
    if (w->crowded || sim_random(w, 2)) return;
    int last = w->n_templates - 1;
    if (w->when[0].kind == WHEN_PERIOD && sim_random(w, 2)) w->policies[1].depends_on = 0;
    if (last >= 2 && sim_random(w, 2)) w->policies[2].blocks = (int)sim_random(w, 2);
    if (sim_random(w, 2)) w->policies[last].max_concurrent = 1 + (int)sim_random(w, 3);
}

// What becomes of failures, of deadlines and of what was missed.
static void make_lenient(world_t *w, policy_t *p, when_kind_t kind)
{
    if (sim_random(w, 2)) {
        p->max_attempts = 1 + (int)sim_random(w, 5);
        p->initial_ms = 200 + (int)sim_random(w, 8) * 100;
        p->max_ms = p->initial_ms + (int)sim_random(w, 4) * 1000;
        p->coefficient = 1 + (int)sim_random(w, 3);
        static const error_class_t others[] = {ERR_http_5xx, ERR_dns, ERR_rotted};
        p->final_errors |= 1ULL << others[sim_random(w, 3)];
        p->max_failures = 2 + (int)sim_random(w, 5);
    }
    if (sim_random(w, 3) == 0) p->deadline_ms = 1000 + (int64_t)sim_random(w, 10000);
    p->skips = sim_random(w, 4) == 0 && kind <= WHEN_WINDOWS;
}

// Nobody waits for it.
static void choose_lost(world_t *w)
{
    w->lost = sim_random(w, 4) ? -1 : (int)sim_random(w, (uint64_t)w->n_pages);
    for (int t = 0; t < w->n_templates && w->lost >= 0; t++)
        if (w->lost == w->poison || w->policies[t].depends_on == w->pages[w->lost].template) w->lost = -1;
}

bool policy_is_lost(const world_t *w, const page_t *p)
{
    return w->lost >= 0 && p == &w->pages[w->lost];
}

void policy_make(world_t *w)
{
    make(w);
    choose_lost(w);
    for (int t = 0; t < w->n_templates; t++) make_lenient(w, &w->policies[t], w->when[t].kind);
    for (int t = 0; w->trace && t < w->n_templates; t++)
        printf("policy t%d: depends on %d, blocks %d, at once %d, priority %d, every %lld, kind %d, attempts "
               "%d, "
               "deadline %lld\n",
               t, w->policies[t].depends_on, w->policies[t].blocks, w->policies[t].max_concurrent,
               w->policies[t].priority, (long long)w->every[t], (int)w->when[t].kind,
               w->policies[t].max_attempts, (long long)w->policies[t].deadline_ms);
}

void policy_json(const world_t *w, int t, char *out, size_t size)
{
    const policy_t *p = &w->policies[t];
    int n = snprintf(out, size, "\"timeout\": \"5s\", \"priority\": \"%s\", %s",
                     priority_name((priority_t)p->priority), host_json(w));
    if (p->depends_on >= 0)
        n += snprintf(out + n, size - (size_t)n, "\"depends_on\": \"t%d\", ", p->depends_on);
    if (p->blocks >= 0) n += snprintf(out + n, size - (size_t)n, "\"blocks\": \"t%d\", ", p->blocks);
    if (p->max_concurrent)
        n += snprintf(out + n, size - (size_t)n, "\"max_concurrent\": %d, ", p->max_concurrent);
    if (p->deadline_ms)
        n += snprintf(out + n, size - (size_t)n, "\"deadline\": \"%lldms\", ", (long long)p->deadline_ms);
    if (p->skips) n += snprintf(out + n, size - (size_t)n, "\"catch_up\": \"skip\", ");
    n += snprintf(out + n, size - (size_t)n,
                  "\"max_consecutive_failures\": %d, \"retry\": {\"max_attempts\": %d, \"initial_interval\": "
                  "\"%dms\", \"max_interval\": \"%dms\", \"backoff_coefficient\": %d, \"non_retryable\": [",
                  p->max_failures, p->max_attempts, p->initial_ms, p->max_ms, p->coefficient);
    for (int e = 0, first = 1; e < ERR_COUNT; e++)
        if (p->final_errors >> e & 1) {
            n += snprintf(out + n, size - (size_t)n, "%s\"%s\"", first ? "" : ", ",
                          error_class_name((uint64_t)e));
            first = 0;
        }
    snprintf(out + n, size - (size_t)n, "]}, ");
}

static bool blocked_by(const world_t *w, int a, int b)
{
    return w->policies[a].blocks == b || w->policies[b].blocks == a;
}

bool policy_waits(const world_t *w, int t)
{
    for (int o = 0; o < w->n_templates; o++)
        if (blocked_by(w, t, o)) return true;
    return w->policies[t].depends_on >= 0 || w->policies[t].max_concurrent || w->crowded;
}

bool policy_gated(const world_t *w, int t)
{
    for (int o = 0; o < w->n_templates; o++)
        if (blocked_by(w, t, o) && !w->off[o]) return true;
    return w->policies[t].depends_on >= 0 || w->policies[t].max_concurrent || w->crowded;
}

// A poll that is under no lease, as its template was not gated when it was handed out, counts while its miner
// is there.
static bool counts(const world_t *w, const sim_miner_t *m, const holding_t *h)
{
    bool there = m->welcomed && m->frozen_until <= w->now;
    return h->running && (h->lease_at ? h->lease_at > w->now : there);
}

// Polls of template (-1: of all) that run anywhere, but for the one at hand.
static int running(const world_t *w, int template, const holding_t *but)
{
    int n = 0;
    for (int i = 0; i < MAX_MINERS; i++) {
        size_t pos = 0;
        if (!w->miners[i].alive) continue;
        for (const holding_t *h; (h = map_next(&w->miners[i].holdings, &pos));)
            n += h != but && (template <0 || h->page->template == template) && counts(w, &w->miners[i], h);
    }
    return n;
}

static void check_dependency(world_t *w, const holding_t *h, int64_t due)
{
    int on = w->policies[h->page->template].depends_on;
    if (on < 0 || !w->settled || w->off[on] || w->removed[on]) return; // it may not be there any more
    if (h->page->heard.probe_due == due) return;                       // a probe waits for nobody
    for (int i = 0; i < w->n_pages; i++) {
        const page_t *p = &w->pages[i];
        if (i == w->poison || p->template != on || p->stored_due > due - w->every[on] || p->troubled)
            continue;
        sim_fail(w, "%s is polled for %lld; %s, which it depends on, was last stored for %lld (every %lld)",
                 h->page->url, (long long)due, p->url, (long long)p->stored_due, (long long)w->every[on]);
    }
}

void policy_check_start(world_t *w, const sim_miner_t *m, const holding_t *h, int64_t due)
{
    int t = h->page->template;
    if (!h->lease_at) {
        if (w->settled && policy_gated(w, t))
            sim_fail(w, "%s starts %s without a lease", m->name, h->page->url);
        return;
    }
    int limit = w->policies[t].max_concurrent;
    if (limit && running(w, t, h) >= limit)
        sim_fail(w, "%s starts %s, and %d polls of its template run already", m->name, h->page->url,
                 running(w, t, h));
    if (w->crowded && running(w, -1, h) >= w->crowded)
        sim_fail(w, "%s starts %s, and %d polls run already", m->name, h->page->url, running(w, -1, h));
    for (int o = 0; o < w->n_templates; o++)
        if (blocked_by(w, t, o) && !w->off[o] && running(w, o, h))
            sim_fail(w, "%s starts %s while %d polls of t%d run", m->name, h->page->url, running(w, o, h), o);
    check_dependency(w, h, due);
}
