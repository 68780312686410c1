// Host: see the header.
#include "tests/sim/host.h"

#include <stdio.h>
#include <string.h>

enum {
    EVERY_WORLD = 4,
    POLL_MS = 250, // with its fluctuation
    SLACK_MS = 1500,
    ROUNDS = 6, // in that time, of polls that are due together
};

// Polls at once that a page needs, in thousandths.
static int64_t need(const world_t *w, const page_t *p)
{
    const when_t *when = &w->when[p->template];
    switch (when->kind) {
    case WHEN_CRON: return 1000 / ROUNDS; // they come together
    case WHEN_CONTINUOUS: return 1000 * POLL_MS / (when->gap + POLL_MS);
    default: return 1000 * POLL_MS / w->every[p->template];
    }
}

void host_make(world_t *w)
{
    int64_t most = 0;
    if (w->seed % EVERY_WORLD != 1) return;
    for (int host = 0; host < w->n_hosts; host++) {
        int64_t sum = 0;
        for (int i = 0; i < w->n_pages; i++)
            if (w->pages[i].host == host) sum += need(w, &w->pages[i]);
        if (sum > most) most = sum;
    }
    w->host_limit = 2 + (int)(2 * most / 1000);
    if (w->trace) printf("%d polls at once of a host\n", w->host_limit);
}

const char *host_json(const world_t *w)
{
    static char json[64];
    json[0] = '\0';
    if (w->host_limit) snprintf(json, sizeof json, "\"politeness\": {\"concurrency\": %d}, ", w->host_limit);
    return json;
}

bool host_is_full(const world_t *w, const sim_miner_t *m, const page_t *page)
{
    size_t pos = 0;
    int n = 0;
    if (!w->host_limit) return false;
    for (const holding_t *h; (h = map_next(&m->holdings, &pos));) n += h->asks && h->page->host == page->host;
    return n >= w->host_limit;
}

// All of the host belongs to who asks it.
static void check(world_t *w, const sim_miner_t *m, const page_t *page)
{
    if (!w->settled || !w->broker || w->broker_away_until > w->now) return;
    for (int i = 0; i < w->n_pages; i++) {
        const page_t *p = &w->pages[i];
        const char *owner = p->host == page->host ? broker_owner(w->broker, p->id) : "";
        if ((owner[0] || p == page) && strcmp(owner, m->name) != 0)
            sim_fail(w, "%s starts %s, and %s belongs to '%s'", m->name, page->url, p->url, owner);
    }
}

void host_enter(world_t *w, const sim_miner_t *m, holding_t *h)
{
    check(w, m, h->page);
    h->asks = true;
}

void host_leave(world_t *w, sim_miner_t *m, holding_t *h)
{
    const holding_t *first = NULL;
    size_t pos = 0;
    if (!h->asks) return;
    h->asks = false;
    if (!w->host_limit) return;
    for (const holding_t *o; (o = map_next(&m->holdings, &pos));)
        if (o->page->host == h->page->host && !o->running && o->n_dues && o->dues[0].at <= w->now &&
            (!first || o->dues[0].due < first->dues[0].due))
            first = o;
    if (!first) return;
    event_t *e = sim_schedule(w, 0, EV_POLL_DUE, NULL, 0);
    e->miner = m->index;
    e->incarnation = m->incarnation;
    e->source = first->id;
}

int64_t host_slack(const world_t *w)
{
    return w->host_limit ? SLACK_MS : 0;
}
