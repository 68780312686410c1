// Relations: walks over the listings; the names are few.
#include "broker/relations.h"

#include <stdio.h>
#include <string.h>

#include "broker/state.h"
#include "broker/trouble.h"

enum { DEEPEST = 64, FADE_AT = 4096 };

// -- cycles -------------------------------------------------------------------------------------------

typedef struct {
    const catalog_t *catalog;
    const template_t *added;
    const char *path[DEEPEST];
    size_t depth;
    map_t done; // names whose ends are all known to be open
} walk_t;

static const template_t *find(const walk_t *w, const char *name)
{
    if (!strcmp(name, w->added->name)) return w->added;
    const listing_t *l = catalog_find(w->catalog, name);
    return l ? l->template : NULL;
}

// Whether following t's dependencies leads back to the added one.
static bool leads_back(walk_t *w, const template_t *t)
{
    if (w->depth == DEEPEST) return false;
    w->path[w->depth++] = t->name;
    for (size_t i = 0; i < t->n_depends_on; i++) {
        if (!strcmp(t->depends_on[i], w->added->name)) return true;
        const template_t *next = find(w, t->depends_on[i]);
        if (!next || map_get(&w->done, template_id(next->name))) continue;
        if (leads_back(w, next)) return true;
        map_put(&w->done, template_id(next->name), w);
    }
    w->depth--;
    return false;
}

bool relations_cycle(const catalog_t *catalog, const template_t *template, char *cycle, size_t size)
{
    walk_t w = {.catalog = catalog, .added = template};
    map_init(&w.done);
    bool found = leads_back(&w, template);
    int n = 0;
    for (size_t i = 0; found && i < w.depth && n >= 0 && (size_t)n < size; i++)
        n += snprintf(cycle + n, size - (size_t)n, "%s -> ", w.path[i]);
    if (found && n >= 0 && (size_t)n < size) snprintf(cycle + n, size - (size_t)n, "%s", template->name);
    map_free(&w.done);
    return found;
}

const char *relations_with_stream(const catalog_t *catalog, const template_t *t)
{
    for (size_t i = 0; i < t->n_blocks; i++) {
        const listing_t *o = catalog_find(catalog, t->blocks[i]);
        if (o && o->template->kind == KIND_STREAM) return o->template->name;
    }
    size_t pos = 0;
    for (const listing_t *o; t->kind == KIND_STREAM && (o = map_next(&catalog->listings, &pos));)
        for (size_t i = 0; i < o->template->n_blocks; i++)
            if (!strcmp(o->template->blocks[i], t->name)) return o->template->name;
    return NULL;
}

// -- what follows from the templates --------------------------------------------------------------------

static bool names(const char **list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(list[i], name)) return true;
    return false;
}

// Both of two that keep each other out are excluding.
static void exclude(const catalog_t *c, listing_t *l)
{
    if (l->template->n_blocks) l->excludes = true;
    for (size_t i = 0; l->enabled && i < l->template->n_blocks; i++) {
        listing_t *other = catalog_find(c, l->template->blocks[i]);
        if (other) other->excludes = true;
    }
}

// Who waits lends its urgency to what it waits for, and so on.
static void lend(const catalog_t *c, const listing_t *l, int depth)
{
    for (size_t i = 0; depth < DEEPEST && i < l->template->n_depends_on; i++) {
        listing_t *on = catalog_find(c, l->template->depends_on[i]);
        if (on) on->awaited = true;
        if (!on || on->urgency >= l->urgency) continue;
        on->urgency = l->urgency;
        lend(c, on, depth + 1);
    }
}

void relations_update(broker_t *b, void (*changed)(broker_t *b, listing_t *l))
{
    const catalog_t *c = &b->catalog;
    size_t pos = 0;
    b->jobs.changed = true;
    for (listing_t *l; (l = map_next(&c->listings, &pos));) {
        l->urgency = l->template->priority;
        l->excludes = l->awaited = false;
        if (jobs_lease_ms(l) > b->longest_lease) b->longest_lease = jobs_lease_ms(l);
    }
    pos = 0;
    for (listing_t *l; (l = map_next(&c->listings, &pos));) {
        exclude(c, l);
        if (l->enabled) lend(c, l, 0);
    }
    pos = 0;
    for (listing_t *l; (l = map_next(&c->listings, &pos));) {
        const template_t *t = l->template;
        bool gated = t->n_depends_on || t->max_concurrent || b->config.max_concurrent || l->excludes;
        relations_forget(l);
        if (gated == l->gated) continue;
        l->gated = gated;
        if (changed) changed(b, l);
    }
}

// -- dependencies ---------------------------------------------------------------------------------------

// Every due of s before this one has been stored. A source without dues of its own (triggered) is as good as
// its last poll was; one that nobody polls stops nobody.
static int64_t stored_before(const source_t *s)
{
    if (!s->entered || source_is_quarantined(s)) return INT64_MAX;
    int64_t next = grid_next(source_grid(s), s->ok_due);
    return next == GRID_NEVER && s->extra ? s->extra : next;
}

void relations_forget(listing_t *l)
{
    l->ready_before = INT64_MIN;
    l->laggard = 0;
}

// All of l is stored for every time before the result.
static bool listing_ready(broker_t *b, listing_t *l, int64_t t)
{
    if (l->entering) return false; // nobody knows what is due of it
    if (!l->enabled || t < l->ready_before) return true;
    const source_t *laggard = l->laggard ? map_get(&b->catalog.sources, l->laggard) : NULL;
    if (laggard && laggard->listing == l && stored_before(laggard) <= t) return false;
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < l->n_sources; i++) {
        int64_t before = stored_before(l->sources[i]);
        if (before >= least) continue;
        least = before;
        l->laggard = l->sources[i]->id;
        if (before <= t) return false;
    }
    l->ready_before = least;
    return t < least;
}

bool relations_ready(broker_t *b, const listing_t *l, int64_t t, const char **waits_for)
{
    *waits_for = NULL;
    for (size_t i = 0; i < l->template->n_depends_on; i++) {
        listing_t *on = catalog_find(&b->catalog, l->template->depends_on[i]);
        *waits_for = l->template->depends_on[i];
        if (!on || !listing_ready(b, on, t)) return false;
    }
    return true;
}

// -- exclusion ------------------------------------------------------------------------------------------

bool relations_exclude(const listing_t *a, const listing_t *b)
{
    return names(a->template->blocks, a->template->n_blocks, b->template->name) ||
           names(b->template->blocks, b->template->n_blocks, a->template->name);
}

const listing_t *relations_blocker(const broker_t *b, const listing_t *l)
{
    size_t pos = 0;
    for (const listing_t *o; (o = map_next(&b->catalog.listings, &pos));)
        if (o != l && jobs_of(b, o) && relations_exclude(o, l)) return o;
    return NULL;
}

// -- how long polls take --------------------------------------------------------------------------------

void listing_note_took(listing_t *l, int64_t ms)
{
    enum { LAST = sizeof l->took / sizeof l->took[0] - 1 };
    int n = 0;
    while (n < LAST && (int64_t)1 << n <= ms) n++;
    if (++l->took[n] < FADE_AT) return;
    for (int i = 0; i <= LAST; i++) l->took[i] /= 2;
}

int64_t listing_p95(const listing_t *l)
{
    enum { COUNT = sizeof l->took / sizeof l->took[0] };
    uint64_t all = 0, sum = 0;
    for (int i = 0; i < COUNT; i++) all += l->took[i];
    if (!all) return l->template->timeout_ms;
    for (int i = 0; i < COUNT; i++)
        if ((sum += l->took[i]) * 20 >= all * 19) return (int64_t)1 << i;
    return (int64_t)1 << COUNT;
}
