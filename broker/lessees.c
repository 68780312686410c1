// Lessees: see the header.
#include "broker/lessees.h"

#include <stdlib.h>

#include "broker/records.h"
#include "broker/state.h"
#include "common/check.h"

void lessees_init(lessees_t *l)
{
    *l = (lessees_t){0};
    map_init(&l->doubtful);
    map_init(&l->silent);
}

void lessees_free(lessees_t *l)
{
    map_free(&l->doubtful);
    map_free(&l->silent);
}

int64_t lessees_last_end(const broker_t *b)
{
    return b->now + b->longest_lease + b->config.liveness_ms;
}

// -- doubt after a start ----------------------------------------------------------------------------------

void lessees_load(broker_t *b, uint64_t miner)
{
    map_put(&b->jobs.lessees.doubtful, miner, b);
    b->jobs.lessees.knew_any = true;
}

bool lessees_told_all(const broker_t *b)
{
    return b->jobs.lessees.knew_any && !b->jobs.lessees.doubtful.count;
}

void lessees_known(broker_t *b, const miner_t *m)
{
    if (map_del(&b->jobs.lessees.doubtful, jobs_miner(m))) b->jobs.changed = true;
}

void lessees_start(broker_t *b)
{
    if (b->jobs.lessees.doubtful.count) b->jobs.lessees.doubt_until = lessees_last_end(b);
}

void lessees_tick(broker_t *b)
{
    lessees_t *l = &b->jobs.lessees;
    size_t pos = 0;
    if (!l->doubt_until || b->now < l->doubt_until) return;
    l->doubt_until = 0;
    while (map_next(&l->doubtful, &pos)) record_drop(b, RECORD_LESSEE, map_key(&l->doubtful, pos));
    map_free(&l->doubtful);
    b->jobs.changed = true;
}

// -- coming and going -------------------------------------------------------------------------------------

void lessees_new(broker_t *b, const miner_t *m)
{
    yyjson_mut_doc *doc = record_new();
    yyjson_mut_obj_add_str(doc, yyjson_mut_doc_get_root(doc), "miner", m->name);
    record_put(b, RECORD_LESSEE, jobs_miner(m), doc);
    map_del(&b->jobs.lessees.silent, jobs_miner(m));
}

void lessees_silent(broker_t *b, const miner_t *m)
{
    map_put(&b->jobs.lessees.silent, jobs_miner(m), (void *)(intptr_t)lessees_last_end(b));
}

void lessees_gone(broker_t *b, const miner_t *m)
{
    record_drop(b, RECORD_LESSEE, jobs_miner(m));
}

void lessees_forget_silent(broker_t *b)
{
    map_t *silent = &b->jobs.lessees.silent;
    uint64_t *over = xcalloc(silent->count + 1, sizeof *over);
    size_t n = 0, pos = 0;
    for (void *until; (until = map_next(silent, &pos));)
        if ((intptr_t)until <= b->now) over[n++] = map_key(silent, pos);
    while (n-- > 0) {
        map_del(silent, over[n]);
        record_drop(b, RECORD_LESSEE, over[n]);
    }
    free(over);
}
