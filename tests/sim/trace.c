// Trace: one line per message in words, for `--trace`.
#include <stdio.h>

#include "tests/sim/world.h"

static void put_ids(const char *what, const wire_ids_t *ids)
{
    printf(" %s", what);
    for (size_t i = 0; i < ids->n; i++) printf(" %016llx", (unsigned long long)ids->v[i]);
}

static void put_assign(const wire_assign_t *a)
{
    printf(" templates=%zu sources", a->templates.n);
    for (size_t i = 0; i < a->sources.n; i++) printf(" %016llx", (unsigned long long)a->sources.v[i].id);
    printf(" dues");
    for (size_t i = 0; i < a->dues.n; i++) {
        const wire_due_t *d = &a->dues.v[i];
        printf(" %016llx@%lld+%llux%llu/%s", (unsigned long long)d->source,
               (long long)(a->slot_start + d->offset), (unsigned long long)d->step,
               (unsigned long long)d->count, wire_cause_name(d->cause));
    }
}

static void put_inventory(const wire_inventory_t *inv)
{
    for (size_t i = 0; i < inv->holdings.n; i++) {
        const wire_holding_t *h = &inv->holdings.v[i];
        printf(" %016llx(done=%lld held=%lld%s%s)", (unsigned long long)h->source, (long long)h->done,
               (long long)h->held, h->running ? " running" : "", h->version ? "" : " revoked");
    }
    if (inv->last) printf(" last");
}

static void put_outcomes(const wire_outcomes_t *msg)
{
    for (size_t i = 0; i < msg->outcomes.n; i++) {
        const wire_outcome_t *o = &msg->outcomes.v[i];
        printf(" %llu:%016llx@%lld=%llu/%s/%s", (unsigned long long)o->seq, (unsigned long long)o->source,
               (long long)o->due, (unsigned long long)o->kind, wire_result_name(o->result),
               error_class_name(o->error));
    }
}

void sim_trace(const world_t *w, const char *from, const char *to, wire_type_t type, const void *message)
{
    if (!w->trace) return;
    printf("%lld %s > %s %s", (long long)w->now, from, to, wire_type_name(type));
    switch (type) {
    case WIRE_TYPE_ASSIGN: put_assign(message); break;
    case WIRE_TYPE_INVENTORY: put_inventory(message); break;
    case WIRE_TYPE_OUTCOMES: put_outcomes(message); break;
    case WIRE_TYPE_REVOKE: put_ids("sources", &((const wire_revoke_t *)message)->sources); break;
    case WIRE_TYPE_REVOKED:
        put_ids("sources", &((const wire_revoked_t *)message)->sources);
        put_ids("running", &((const wire_revoked_t *)message)->running);
        break;
    case WIRE_TYPE_GOODBYE: put_ids("running", &((const wire_goodbye_t *)message)->running); break;
    default: break;
    }
    putchar('\n');
}
