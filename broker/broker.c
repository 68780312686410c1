// Broker: dispatch of events, and the tick that builds and closes slots.
#include "broker/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/relations.h"
#include "broker/state.h"
#include "common/check.h"
#include "common/log.h"

enum {
    BUDGET = 4096,      // sources per tick, so that no tick keeps heartbeats waiting
    COUNTED = 16,       // sources of a schedule without a plain period cost as many others at the start
    STALL_MS = 1000,    // between two ticks: the broker itself was away
    PATIENCE_SLOTS = 8, // what has waited longer for its turn goes first, so that hardly any waits for ten
    FIRST_RETRIES = 10, // before there were polls to earn them
    IDLE_SLOTS = 2,     // without progress: the miner loses its work
    CLOSE_AFTER_MAX_MS = 15000, // after a slot's end
    STOP_FLUSH = 100000 // sources whose history is written out at the end: what can be done within seconds
};

// -- actions ------------------------------------------------------------------------------------------

void broker_send(broker_t *b, uint64_t peer, wire_type_t type, const void *message)
{
    if (peer) b->out.send(b->out.context, peer, type, message, false);
}

void broker_send_durable(broker_t *b, uint64_t peer, wire_type_t type, const void *message)
{
    if (peer) b->out.send(b->out.context, peer, type, message, true);
}

void broker_store(broker_t *b, const store_op_t *op)
{
    b->out.store(b->out.context, op);
}

void broker_store_source(broker_t *b, const source_t *s)
{
    static const validators_t none = {0, (char *)"", (char *)"", (char *)"", (char *)""};
    const validators_t *v = s->validators ? s->validators : &none;
    store_op_t op = {.kind = STORE_SOURCE};
    op.source = (store_source_t){.id = s->id,
                                 .template_id = s->listing->id,
                                 .url = s->url,
                                 .ordinal = s->ordinal,
                                 .generation = s->generation,
                                 .last_ok = s->last_ok,
                                 .body_hash = v->body_hash,
                                 .etag = v->etag,
                                 .last_modified = v->last_modified,
                                 .fetch_url = v->fetch_url,
                                 .memory = v->memory,
                                 .continuity = s->continuity,
                                 .cost_ms = s->cost_ms};
    broker_store(b, &op);
}

void broker_store_number(broker_t *b, const char *name, int64_t value)
{
    store_op_t op = {.kind = STORE_NUMBER, .name = name, .number = value};
    broker_store(b, &op);
}

// -- life -----------------------------------------------------------------------------------------------

static void take_defaults(broker_config_t *c)
{
    if (!c->budget) c->budget = BUDGET;
    if (!c->tasks_keep_ms) c->tasks_keep_ms = TASKS_KEEP_MS;
    if (!c->tasks_rows) c->tasks_rows = TASKS_KEPT;
    if (!c->letters_rows) c->letters_rows = LETTERS_KEPT;
    if (!c->miners_keep_ms) c->miners_keep_ms = DEPARTED_KEEP_MS;
}

broker_t *broker_new(const broker_config_t *config, const broker_out_t *out)
{
    broker_t *b = xcalloc(1, sizeof *b);
    b->config = *config;
    take_defaults(&b->config);
    b->out = *out;
    catalog_init(&b->catalog);
    registry_init(&b->registry);
    runs_init(&b->runs);
    jobs_init(&b->jobs, PATIENCE_SLOTS * config->slot_ms);
    tasks_init(&b->tasks, PATIENCE_SLOTS * config->slot_ms);
    letters_init(&b->letters);
    backoffs_init(&b->backoffs);
    b->retry_tokens = FIRST_RETRIES;
    wheel_init(&b->wheel);
    slots_init(&b->slots, config->slot_ms);
    return b;
}

void broker_destroy(broker_t **broker)
{
    broker_t *b = *broker;
    if (!b) return;
    control_free(b);
    runs_free(&b->runs);
    jobs_free(&b->jobs);
    tasks_free(&b->tasks);
    letters_free(&b->letters);
    backoffs_free(&b->backoffs);
    gaps_free(&b->gaps);
    catalog_free(&b->catalog);
    unreadables_free(&b->unreadable);
    for (miner_t *m; (m = b->leaving);) {
        b->leaving = m->leaving_next;
        if (m->gone) registry_free_miner(m);
    }
    registry_free(&b->registry);
    departed_free(&b->departed);
    free(b);
    *broker = NULL;
}

void broker_load_number(broker_t *b, const char *name, int64_t value)
{
    if (!strcmp(name, "epoch")) b->epoch = (uint64_t)value;
    if (!strcmp(name, "accounted")) b->accounted = value;
    if (!strcmp(name, "given_until")) b->given_until = value;
    if (!strcmp(name, "letters_dropped")) b->letters.dropped = (uint64_t)value;
    if (!strcmp(name, "next_task")) b->tasks.next_id = (uint64_t)value;
    if (!strcmp(name, "next_letter")) b->letters.next_id = (uint64_t)value;
}

void broker_load_template(broker_t *b, const char *name, const char *json, int64_t version, bool enabled)
{
    template_error_t error;
    arena_t *arena = arena_new(16 << 20);
    const zone_t *zone = NULL;
    template_t *t = template_parse(arena, json, strlen(json), &error);
    if (t && template_zone(t, &zone, &error)) t = NULL;
    if (!t || strcmp(t->name, name) != 0) {
        char why[sizeof error];
        if (t) error = (template_error_t){.field = "name", .text = "another name"};
        snprintf(why, sizeof why, "%s: %s", error.field, error.text);
        log_error("template_unreadable", "name=%s why=\"%s\"", name, why);
        unreadables_add(&b->unreadable, name, json, why);
        arena_destroy(&arena);
        return;
    }
    listing_t *l = catalog_add(&b->catalog, arena, t, zone, json, (uint64_t)version);
    l->enabled = enabled;
    catalog_add_sources(&b->catalog, l);
}

void broker_load_source(broker_t *b, const store_source_t *row)
{
    source_t *s = map_get(&b->catalog.sources, row->id);
    if (!s) return; // its template was replaced by one that lacks it
    source_set_ordinal(s, row->ordinal);
    s->generation = row->generation;
    s->earlier = true;
    s->last_ok = s->ok_due = row->last_ok; // a poll begins at its due, or after it
    s->continuity = row->continuity;
    if (row->cost_ms) source_set_cost(s, row->cost_ms);
    source_set_validators(s, row->etag, row->last_modified, row->fetch_url, row->body_hash);
    source_set_memory(s, row->memory);
}

void broker_load_gap(broker_t *b, const gap_t *gap)
{
    (void)gaps_put(&b->gaps, gap);
}

static int64_t lead_ms(const broker_t *b)
{
    return b->config.slot_ms / 4 < 2000 ? b->config.slot_ms / 4 : 2000;
}

// Slots are given out up to built_until, and never again.
static void store_given(broker_t *b)
{
    broker_store_number(b, "given_until", b->built_until);
}

// The store had not written their rows yet when the broker ended; in the order in which they were added, as
// that makes their phases.
static void complete_sources(broker_t *b)
{
    size_t pos = 0;
    for (const listing_t *l; (l = map_next(&b->catalog.listings, &pos));)
        for (size_t i = 0; i < l->n_sources; i++) {
            if (l->sources[i]->ordinal != NO_ORDINAL) continue;
            source_set_ordinal(l->sources[i], NO_ORDINAL);
            broker_store_source(b, l->sources[i]);
        }
}

void broker_start(broker_t *b, instant_t now)
{
    complete_sources(b);
    int64_t given = b->given_until - b->config.slot_ms - lead_ms(b);
    slew_init(&b->slew, now,
              given > b->accounted ? given : b->accounted); // time never goes back, whatever the wall says
    b->instant = now;
    b->now = slew_now(&b->slew, now);
    b->last_tick = now.mono;
    b->started_at = b->now;
    b->report_at = now.mono + b->config.report_ms;
    if (b->catalog.sources.count) b->grace_until = now.mono + b->config.liveness_ms;
    b->built_until = (slots_number(&b->slots, b->now) + 1) * b->config.slot_ms;
    b->closed_until = b->built_until - b->config.slot_ms;
    b->epoch += 2; // (counter << 1) | broker id
    broker_store_number(b, "epoch", (int64_t)b->epoch);
    b->revokes = b->epoch << 32;
    store_given(b);
    b->random = b->config.seed ^ (uint64_t)b->epoch;
    relations_update(b, NULL);
    tasks_start(b);
    letters_start(b);
    lessees_start(b);
    b->started = true;
    log_info("started", "epoch=%llu templates=%zu sources=%zu slot_ms=%lld", (unsigned long long)b->epoch,
             b->catalog.listings.count, b->catalog.sources.count, (long long)b->config.slot_ms);
}

void broker_stop(broker_t *b, instant_t now)
{
    b->now = slew_now(&b->slew, now);
    broker_store_number(b, "accounted", b->now);
    history_flush_some(b, NULL, STOP_FLUSH);
    log_info("stopping", "slot=%lld", (long long)slots_number(&b->slots, b->now));
}

// -- dispatch ---------------------------------------------------------------------------------------------

static void refuse_type(broker_t *b, uint64_t peer, wire_type_t type)
{
    char text[100];
    snprintf(text, sizeof text, "a broker takes no %s", wire_type_name(type));
    wire_error_t e = {.code = 400, .text = text};
    broker_send(b, peer, WIRE_TYPE_ERROR, &e);
}

static void begin(broker_t *b, instant_t now)
{
    CHECK(b->started);
    b->instant = now;
    b->now = slew_now(&b->slew, now);
}

void broker_message(broker_t *b, instant_t now, uint64_t peer, wire_type_t type, const void *message)
{
    begin(b, now);
    switch (type) {
    case WIRE_TYPE_READY: session_ready(b, peer, message); break;
    case WIRE_TYPE_REQUEST: control_request(b, peer, message); break;
    case WIRE_TYPE_INVENTORY:
    case WIRE_TYPE_HEARTBEAT:
    case WIRE_TYPE_OUTCOMES:
    case WIRE_TYPE_REVOKED:
    case WIRE_TYPE_BACKOFF:
    case WIRE_TYPE_GOODBYE: session_message(b, peer, type, message); break;
    case WIRE_TYPE_ERROR:
        log_warn("peer_error", "code=%llu text=\"%s\"",
                 (unsigned long long)((const wire_error_t *)message)->code,
                 ((const wire_error_t *)message)->text);
        break;
    default: refuse_type(b, peer, type);
    }
    outbox_flush(b);
}

// -- time -------------------------------------------------------------------------------------------------

static int64_t close_after_ms(const broker_t *b)
{
    return b->config.slot_ms / 4 < CLOSE_AFTER_MAX_MS ? b->config.slot_ms / 4 : CLOSE_AFTER_MAX_MS;
}

// Each miner's shares in the slot that is built now follow from what the last one wanted.
static void admit_slot(broker_t *b)
{
    size_t pos = 0;
    for (miner_t *m; (m = registry_next(&b->registry, &pos));)
        admission_close(&m->admission, m->slots * (uint64_t)b->config.slot_ms);
}

static void build_slots(broker_t *b)
{
    if (!b->building && b->now >= b->built_until - lead_ms(b)) {
        wheel_open(&b->wheel, slots_number(&b->slots, b->built_until));
        b->built_until += b->config.slot_ms;
        b->building = true;
        admit_slot(b);
        store_given(b);
    }
    for (int n = 0; b->building && n < b->config.budget; n++) {
        wheel_node_t *node = wheel_take(&b->wheel);
        if (node)
            dues_extend(b, HEAP_OWNER(node, source_t, wheel));
        else
            b->building = false;
    }
}

static bool owes(const broker_t *b, const miner_t *m)
{
    for (const lane_t *l = m->lanes; l; l = l->next)
        for (const source_t *s = l->sources; s; s = s->lane_next)
            if (!s->away && !jobs_gate(s) && s->held > s->done &&
                grid_next(source_grid(s), s->done) < b->closed_until)
                return true;
    return false;
}

// Miners that owed polls for some slots and reported nothing lose their work (invariant 7).
static void check_progress(broker_t *b)
{
    size_t pos = 0;
    for (miner_t *m; (m = registry_next(&b->registry, &pos));) {
        bool idle = !m->progress && m->beat.state == MINER_ok && owes(b, m);
        m->idle_slots = idle ? m->idle_slots + 1 : 0;
        m->progress = 0;
        if (m->idle_slots < IDLE_SLOTS || m->phase != MINER_LIVE) continue;
        session_refuse(b, m->peer, "no progress");
        session_gone(b, m, "no_progress");
        return; // the walk is over: the table has changed
    }
}

static void store_skips(broker_t *b, int64_t from, int64_t to)
{
    size_t pos = 0;
    for (listing_t *l; (l = map_next(&b->catalog.listings, &pos));)
        for (int r = 1; r < ERR_COUNT; r++) {
            if (!l->skipped[r]) continue;
            store_op_t op = {.kind = STORE_SKIPS,
                             .name = l->template->name,
                             .text = error_class_name((uint64_t)r),
                             .number = (int64_t)l->skipped[r],
                             .from = from,
                             .to = to};
            if (r == ERR_missed_while_down && l->missed_to) op.from = l->missed_from, op.to = l->missed_to;
            broker_store(b, &op);
            l->skipped[r] = 0;
            if (r == ERR_missed_while_down) l->missed_from = l->missed_to = 0;
        }
}

static void close_slots(broker_t *b)
{
    while (b->now >= b->closed_until + b->config.slot_ms + close_after_ms(b)) {
        int64_t from = b->closed_until;
        b->closed_until += b->config.slot_ms;
        slot_account_t *a = slots_at(&b->slots, from);
        if (a && (a->due || a->skipped)) report_slot(a);
        if (a) a->closed = true;
        broker_store_number(b, "accounted", from);
        store_skips(b, from, b->closed_until);
        outage_fade(b);
        check_progress(b);
        departed_trim(&b->departed, b->now - b->config.miners_keep_ms);
        lessees_forget_silent(b);
        assign_overdue(b);
        assign_balance(b);
    }
}

// Enters sources that are not in yet, a tick's worth. False: all are.
static bool enter_some(broker_t *b)
{
    const map_t *sources = &b->catalog.sources;
    if (b->enter_cap != sources->cap) b->enter_pos = 0; // the table has grown: from the start again
    b->enter_cap = sources->cap;
    int n = 0;
    for (source_t *s; n < b->config.budget && (s = map_next(sources, &b->enter_pos));) {
        if (s->entered || !s->listing->enabled) continue;
        n += s->listing->plain ? 1 : COUNTED; // what was missed of cron or windows takes longer to count
        bool fresh = s->last_ok == 0 && s->polled_at == 0;
        int64_t accounted = fresh || !b->accounted ? b->now : b->accounted;
        if (accounted < s->done) accounted = s->done; // reported meanwhile
        dues_enter(b, s, accounted, accounted);
        if (fresh) dues_extra(b, s, CAUSE_added, 0);
    }
    return n >= b->config.budget;
}

static void end_grace(broker_t *b)
{
    if (!b->grace_until || (b->instant.mono < b->grace_until && !lessees_told_all(b))) return;
    if (enter_some(b)) return;
    b->grace_until = 0;
    assign_orphans(b, CAUSE_catch_up, "start");
}

void broker_tick(broker_t *b, instant_t now)
{
    begin(b, now);
    int64_t away = now.mono - b->last_tick;
    if (away > STALL_MS) {
        log_warn("stalled", "ms=%lld", (long long)away);
        registry_forgive(&b->registry, away);
    }
    b->last_tick = now.mono;
    catalog_make_room(&b->catalog);
    end_grace(b);
    sessions_expire_runs(b);
    assign_rest(b);
    outage_judge(b);
    b->busy = tasks_tick(b);
    b->busy |= jobs_tick(b);
    miner_t *gone = registry_expired(&b->registry, now.mono);
    if (gone) session_gone(b, gone, "silent"); // if there are more, the next tick is at once
    build_slots(b);
    close_slots(b);
    entering_tick(b);
    control_tick(b);
    if (now.mono >= b->report_at) {
        b->report_at = now.mono + b->config.report_ms;
        report_heartbeat(b);
    }
    outbox_flush(b);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t broker_deadline(const broker_t *b)
{
    if (b->building || b->assigning || b->balancing || b->evicting || b->busy || b->scans || b->entering)
        return b->instant.mono;
    int64_t to_mono = b->instant.mono - b->now;
    int64_t at = b->report_at;
    if (b->grace_until) at = earlier(at, lessees_told_all(b) ? b->instant.mono : b->grace_until);
    if (b->runs.first) at = earlier(at, b->runs.first->until);
    heap_node_t *expiry = heap_min(&b->registry.expiries);
    if (expiry) at = earlier(at, expiry->key);
    at = earlier(at, b->built_until - lead_ms(b) + to_mono);
    int64_t turn = earlier(jobs_next(b), tasks_next(b));
    if (turn != INT64_MAX) at = earlier(at, (turn > b->now ? turn : b->now) + to_mono);
    at = earlier(at, b->closed_until + b->config.slot_ms + close_after_ms(b) + to_mono);
    return earlier(at, b->last_tick + STALL_MS / 2);
}

// -- for tests ----------------------------------------------------------------------------------------------

broker_counts_t broker_counts(const broker_t *b)
{
    const slot_account_t *t = &b->slots.total;
    broker_counts_t c = {.slot = (uint64_t)slots_number(&b->slots, b->now),
                         .due = t->due,
                         .polled = t->polled,
                         .stored = t->stored,
                         .failed = t->failed,
                         .skipped = t->skipped,
                         .recorded = b->recorded,
                         .miners = registry_live(&b->registry),
                         .sources = b->catalog.sources.count,
                         .templates = b->catalog.listings.count,
                         .tasks = b->tasks.by_id.count - b->tasks.n_finished,
                         .now = b->now,
                         .open = t->due - t->stored - t->failed - t->skipped};
    return c;
}

const char *broker_owner(const broker_t *b, uint64_t id)
{
    source_t *s = map_get(&b->catalog.sources, id);
    return s && lane_owner(s->lane) ? s->lane->owner->name : "";
}
