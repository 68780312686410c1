// Policy: see the header.
#include "tests/sim/policy.h"

#include <stdio.h>

enum { LEASE_MS = 26000 }; // the templates', and what the broker waits longer

static void make(world_t *w)
{
    for (int t = 0; t < w->n_templates; t++) w->policies[t] = (policy_t){.depends_on = -1, .blocks = -1};
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

void policy_make(world_t *w)
{
    make(w);
    for (int t = 0; w->trace && t < w->n_templates; t++)
        printf("policy t%d: depends on %d, blocks %d, at once %d, priority %d, every %lld, kind %d\n", t,
               w->policies[t].depends_on, w->policies[t].blocks, w->policies[t].max_concurrent,
               w->policies[t].priority, (long long)w->every[t], (int)w->when[t].kind);
}

void policy_json(const world_t *w, int t, char *out, size_t size)
{
    const policy_t *p = &w->policies[t];
    int n = snprintf(out, size, "\"timeout\": \"5s\", \"priority\": \"%s\", ",
                     priority_name((priority_t)p->priority));
    if (p->depends_on >= 0)
        n += snprintf(out + n, size - (size_t)n, "\"depends_on\": \"t%d\", ", p->depends_on);
    if (p->blocks >= 0) n += snprintf(out + n, size - (size_t)n, "\"blocks\": \"t%d\", ", p->blocks);
    if (p->max_concurrent) snprintf(out + n, size - (size_t)n, "\"max_concurrent\": %d, ", p->max_concurrent);
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

// Polls of template (-1: of all) that run anywhere, but for the one at hand.
static int running(const world_t *w, int template, const holding_t *but)
{
    int n = 0;
    for (int i = 0; i < MAX_MINERS; i++) {
        size_t pos = 0;
        if (!w->miners[i].alive) continue;
        for (const holding_t *h; (h = map_next(&w->miners[i].holdings, &pos));)
            n += h != but && h->running &&
                 (template <0 || h->page->template == template) && h->lease_at > w->now;
    }
    return n;
}

static void check_dependency(world_t *w, const holding_t *h, int64_t due)
{
    int on = w->policies[h->page->template].depends_on;
    if (on < 0 || !w->settled || w->off[on] || w->removed[on]) return; // it may not be there any more
    for (int i = 0; i < w->n_pages; i++) {
        const page_t *p = &w->pages[i];
        if (i == w->poison || p->template != on || p->stored_due > due - w->every[on] || p->troubled)
            continue;
        sim_fail(w, "%s is polled for %lld; %s, which it depends on, was last stored for %lld (every %lld)",
                 h->page->url, (long long)due, p->url, (long long)p->stored_due, (long long)w->every[on]);
    }
}

// Polls that began before may still run: what keeps out whom is not held against them.
static bool just_changed(const world_t *w, int t)
{
    return w->calm ? false : w->now - w->changed_at[t] < LEASE_MS;
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
        if (blocked_by(w, t, o) && !w->off[o] && !just_changed(w, t) && !just_changed(w, o) &&
            running(w, o, h))
            sim_fail(w, "%s starts %s while %d polls of t%d run", m->name, h->page->url, running(w, o, h), o);
    check_dependency(w, h, due);
}
