// Runs: a map and a list; few at any time.
#include "broker/runs.h"

#include <stdlib.h>

#include "common/check.h"

void runs_init(runs_t *r)
{
    *r = (runs_t){0};
    map_init(&r->by_source);
}

void runs_free(runs_t *r)
{
    while (r->first) runs_remove(r, r->first);
    map_free(&r->by_source);
}

run_t *runs_of(const runs_t *r, const source_t *s)
{
    return s->away ? map_get(&r->by_source, s->id) : NULL;
}

static void append(runs_t *r, run_t *run)
{
    run->prev = r->last;
    run->next = NULL;
    *(r->last ? &r->last->next : &r->first) = run;
    r->last = run;
}

static void detach(runs_t *r, run_t *run)
{
    *(run->prev ? &run->prev->next : &r->first) = run->next;
    *(run->next ? &run->next->prev : &r->last) = run->prev;
}

void runs_add(runs_t *r, source_t *s, struct miner *m, int64_t until)
{
    run_t *run = runs_of(r, s);
    if (run && run->miner != m) return;
    if (run) {
        detach(r, run);
    } else {
        run = xcalloc(1, sizeof *run);
        run->source = s;
        run->miner = m;
        map_put(&r->by_source, s->id, run);
        s->away = true;
    }
    run->until = until;
    run->stale = false;
    append(r, run);
}

void runs_remove(runs_t *r, run_t *run)
{
    detach(r, run);
    run->source->away = false;
    map_del(&r->by_source, run->source->id);
    free(run);
}

void runs_doubt(runs_t *r, const struct miner *m)
{
    for (run_t *run = r->first; run; run = run->next)
        if (run->miner == m) run->stale = true;
}
