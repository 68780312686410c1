// Entering: a template was added or enabled, and its sources are to be scheduled: some in each step, as they
// may be very many.
#include "broker/state.h"
#include "common/check.h"

void entering_begin(broker_t *b, listing_t *l)
{
    listing_t **last = &b->entering;
    if (!l->enabled) return;
    CHECK(!l->entering);
    while (*last) last = &(*last)->entering_next;
    *last = l;
    l->entering_next = NULL;
    l->entering = true;
    l->n_entered = 0;
    if (b->entering == l && l->n_sources <= (size_t)b->config.budget) entering_tick(b); // else the next tick
}

void entering_end(broker_t *b, listing_t *l)
{
    listing_t **at = &b->entering;
    if (!l->entering) return;
    while (*at != l) at = &(*at)->entering_next;
    *at = l->entering_next;
    l->entering = false;
}

void entering_tick(broker_t *b)
{
    int left = b->config.budget;
    if (!b->entering) return;
    for (listing_t *l; left > 0 && (l = b->entering);) {
        for (; left > 0 && l->n_entered < l->n_sources; l->n_entered++) {
            source_t *s = l->sources[l->n_entered];
            if (s->entered) continue;
            if (l->unsaved) broker_store_source(b, s);
            dues_enter(b, s, b->now, b->now);
            dues_extra(b, s, CAUSE_added, 0);
            left--;
        }
        if (l->n_entered < l->n_sources) continue;
        entering_end(b, l);
        l->unsaved = false;
        b->jobs.changed = true; // who depends on it may have waited for that
    }
    assign_orphans(b, CAUSE_added, "added");
}
