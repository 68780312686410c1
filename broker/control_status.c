// Control, status: the cluster in a few lines, and its miners.
#include <stdlib.h>
#include <string.h>

#include "broker/control.h"

// m: as it is, or what is still known of it, if it is gone; heard_ms: for how long it has been silent.
static void put_miner(call_t *c, yyjson_mut_val *rows, const miner_t *m, const char *state,
                      const char *reason, int64_t heard_ms)
{
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(c->doc, rows);
    put_str(c, o, "miner", m->name);
    put_str(c, o, "state", state);
    put_str(c, o, "reason", reason);
    put_int(c, o, "hosts", m->n_lanes);
    put_int(c, o, "sources", (int64_t)m->n_sources);
    yyjson_mut_obj_add_real(c->doc, o, "load", miner_load(m));
    put_int(c, o, "running", (int64_t)m->beat.running);
    put_int(c, o, "held", (int64_t)m->beat.held);
    put_int(c, o, "polls", (int64_t)m->beat.polls);
    put_int(c, o, "unacked", (int64_t)m->beat.unacked);
    put_int(c, o, "cpu", (int64_t)m->beat.cpu);
    put_int(c, o, "rss_kib", (int64_t)m->beat.rss_kib);
    put_int(c, o, "heard_ms", heard_ms);
    put_time(c, o, "joined_ms", m->joined_at);
    put_time(c, o, "last_report_ms", m->last_outcome);
    put_str(c, o, "last_outcome",
            !m->last_outcome ? ""
            : m->last_error  ? error_class_name(m->last_error)
                             : wire_result_name(m->last_result));
}

static void put_present(call_t *c, yyjson_mut_val *rows, const miner_t *m)
{
    static const char *const phases[] = {"joining", "joining", "live", "leaving"};
    bool told = m->phase == MINER_LIVE && m->beat.state;
    put_miner(c, rows, m, told ? wire_miner_state_name(m->beat.state) : phases[m->phase], "",
              c->broker->instant.mono - m->heard);
}

static void put_gone(call_t *c, yyjson_mut_val *rows, const gone_t *g)
{
    miner_t m = {.name = (char *)g->name,
                 .beat.polls = g->polls,
                 .joined_at = g->joined_at,
                 .last_outcome = g->last_outcome,
                 .last_result = g->last_result,
                 .last_error = g->last_error};
    put_miner(c, rows, &m, !strcmp(g->reason, "drained") ? "gone" : "dead", g->reason,
              c->broker->now - g->left_at + g->silent_ms);
}

static int by_miner_name(const void *a, const void *b)
{
    return strcmp((*(miner_t *const *)a)->name, (*(miner_t *const *)b)->name);
}

void command_miners(call_t *c)
{
    registry_t *r = &c->broker->registry;
    miner_t **all = calloc(r->by_name.count + 1, sizeof(miner_t *));
    size_t n = 0, pos = 0;
    yyjson_mut_val *rows = call_table(c);
    if (!all) return;
    for (miner_t *m; (m = registry_next(r, &pos));) all[n++] = m;
    if (n) qsort(all, n, sizeof(miner_t *), by_miner_name);
    for (size_t i = 0; i < n && call_row(c, strlen(all[i]->name)); i++) put_present(c, rows, all[i]);
    if (c->rows < n) snprintf(c->message, sizeof c->message, "only the first %zu of %zu", c->rows, n);
    free(all);
    departed_trim(&c->broker->departed, c->broker->now - c->broker->config.miners_keep_ms);
    const gone_t *g;
    for (size_t i = 0; (g = departed_at(&c->broker->departed, i)) && call_row(c, strlen(g->name)); i++)
        put_gone(c, rows, g);
}

// Since the start.
static uint64_t deadlines_missed(const broker_t *b)
{
    uint64_t n = b->tasks.missed;
    size_t pos = 0;
    for (const listing_t *l; (l = map_next(&b->catalog.listings, &pos));) n += l->deadlines_missed;
    return n;
}

void command_status(call_t *c)
{
    broker_t *b = c->broker;
    slot_account_t *last = slots_at(&b->slots, b->closed_until - 1);
    broker_counts_t counts = broker_counts(b);
    yyjson_mut_val *o = call_object(c);
    put_str(c, o, "version", RTM_VERSION);
    put_int(c, o, "epoch", (int64_t)b->epoch);
    put_int(c, o, "slot_number", (int64_t)counts.slot);
    put_int(c, o, "slot_ms", b->config.slot_ms);
    put_time(c, o, "now_ms", b->now);
    put_int(c, o, "uptime_ms", b->now - b->started_at);
    put_int(c, o, "templates", (int64_t)counts.templates);
    put_int(c, o, "sources", (int64_t)counts.sources);
    put_int(c, o, "miners", (int64_t)counts.miners);
    put_int(c, o, "open", (int64_t)counts.open);
    put_int(c, o, "last_slot_due", last ? (int64_t)last->due : 0);
    put_int(c, o, "last_slot_stored", last ? (int64_t)last->stored : 0);
    put_int(c, o, "last_slot_failed", last ? (int64_t)last->failed : 0);
    put_int(c, o, "last_slot_skipped", last ? (int64_t)last->skipped : 0);
    put_int(c, o, "due", (int64_t)counts.due);
    put_int(c, o, "polled", (int64_t)(counts.polled + counts.failed));
    put_int(c, o, "stored", (int64_t)counts.stored);
    put_int(c, o, "failed", (int64_t)counts.failed);
    put_int(c, o, "skipped", (int64_t)counts.skipped);
    put_int(c, o, "tasks", (int64_t)counts.tasks);
    put_int(c, o, "deadlines_missed", (int64_t)deadlines_missed(b));
    put_int(c, o, "dead_letters", (int64_t)b->letters.by_id.count);
    put_int(c, o, "dead_letters_dropped", (int64_t)b->letters.dropped);
}
