// Worker: inbox, sources and their dues; the polls themselves are poll.c's.
#include "miner/worker.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/map.h"
#include "miner/message.h"
#include "miner/polite.h"
#include "miner/poll.h"
#include "miner/source.h"

enum {
    STATS_MS = 1000,
    OUTBOX = 64, // messages
    OUTBOX_MS = 5,
    KEPT_MEMORY = 4 << 20, // free bytes per thread that go from page to page instead of back to the kernel
    LARGE_MEMORY = 1 << 20,
};

struct worker {
    worker_options_t options;
    pthread_t thread;
    queue_t *inbox;
    message_t *outbox[OUTBOX]; // to the link
    size_t n_outbox;
    int64_t outbox_at; // monotonic ms of the oldest
    watch_t *watch;
    polls_t *polls;
    map_t sources;     // id -> source_t, those revoked but running included
    map_t definitions; // id -> definition_t
    heap_t dues;       // sources by their next due
    uint64_t held;     // dues
    uint64_t skipped;
    int64_t stats_at; // monotonic ms
    bool draining, drained, stop;
    bool clock_known;
    int64_t offset; // broker ms = monotonic ms + offset, as the link last said
};

// What is to be told goes out before the thread waits, so that the link is woken once for all of it; or when
// it has become much, or old.
static void flush(worker_t *w)
{
    message_post(w->options.to_link, w->outbox, w->n_outbox);
    w->n_outbox = 0;
}

static void post(worker_t *w, message_t *m)
{
    int64_t now = clock_mono_ms();
    if (!w->n_outbox) w->outbox_at = now;
    w->outbox[w->n_outbox++] = m;
    if (w->n_outbox == OUTBOX || now - w->outbox_at > OUTBOX_MS) flush(w);
}

// -- outcomes and batches of the polls ------------------------------------------------------------

static void on_outcome(void *context, const wire_outcome_t *outcome)
{
    worker_t *w = context;
    message_t *m = message_new(MESSAGE_OUTCOME, w->options.number);
    m->outcome = outcome_copy(outcome);
    post(w, m);
}

static void on_batch(void *context, unsigned sink, uint64_t token, char *frame, size_t len)
{
    worker_t *w = context;
    message_t *m = message_new(MESSAGE_BATCH, w->options.number);
    m->batch.sink = sink;
    m->batch.token = token;
    m->batch.frame = frame;
    m->batch.len = len;
    post(w, m);
}

static void on_backed_off(void *context, const char *url, int64_t until, bool reports)
{
    worker_t *w = context;
    message_t *m = message_new(MESSAGE_BACKOFF, w->options.number);
    char host[MAX_HOST + 1];
    polite_host_name(url, host);
    m->backoff.host = xstrdup(host);
    m->backoff.until = until;
    m->backoff.reported = reports;
    post(w, m);
}

static void forget(worker_t *w, source_t *s)
{
    w->held -= source_count(s);
    heap_remove(&w->dues, &s->timer);
    map_del(&w->sources, s->id);
    source_destroy(&s);
}

// -- dues -----------------------------------------------------------------------------------------

static void set_timer(worker_t *w, source_t *s)
{
    if (s->n_spans)
        heap_set(&w->dues, &s->timer, source_next(s));
    else
        heap_remove(&w->dues, &s->timer);
}

static void skip(worker_t *w, source_t *s, const due_t *due, error_class_t reason)
{
    wire_outcome_t outcome = {.kind = OUTCOME_BOTH,
                              .source = s->id,
                              .due = due->due,
                              .result = RESULT_skipped,
                              .error = reason,
                              .cause = due->cause};
    if (due->due > s->done) s->done = due->due;
    s->trouble = reason;
    w->skipped++;
    on_outcome(w, &outcome);
}

static void start(worker_t *w, source_t *s, const due_t *due)
{
    if (atomic_load_explicit(w->options.pressure, memory_order_relaxed))
        skip(w, s, due, ERR_sink_backpressure);
    else if (due->priority < PRIORITY_HIGH && w->options.lazy &&
             atomic_load_explicit(w->options.lazy, memory_order_relaxed))
        skip(w, s, due, ERR_overloaded);
    else
        polls_start(w->polls, s, due);
}

// A due that comes while a poll runs makes it hurry and waits for its end: what is new must not wait for a
// period.
static void wait_for_poll(worker_t *w, source_t *s, const due_t *due)
{
    if (s->waiting.due) skip(w, s, &s->waiting, ERR_still_running);
    s->waiting = *due;
    polls_hurry(s);
}

// The latest of the dues whose time has come is polled.
static void fire(worker_t *w, source_t *s, int64_t now)
{
    due_t due, later;
    if (!source_take(s, now, &due)) return;
    w->held--;
    while (source_take(s, now, &later)) {
        w->held--;
        skip(w, s, &due, polls_busy(s) ? ERR_still_running : ERR_missed_while_down);
        due = later;
    }
    set_timer(w, s);
    if (polls_busy(s))
        wait_for_poll(w, s, &due);
    else
        start(w, s, &due);
}

static void fire_all(worker_t *w, int64_t now)
{
    for (heap_node_t *n; (n = heap_min(&w->dues)) && n->key <= now;)
        fire(w, HEAP_OWNER(n, source_t, timer), now);
}

static void drop_dues(worker_t *w, source_t *s)
{
    w->held -= source_count(s);
    source_drop_dues(s);
    s->waiting = (due_t){0};
    set_timer(w, s);
}

static void on_finished(void *context, source_t *s)
{
    worker_t *w = context;
    due_t due = s->waiting;
    if (polls_busy(s)) return; // a poll, and what is left of a stream, after its template became another kind
    s->waiting = (due_t){0};
    if (s->revoked)
        forget(w, s);
    else if (due.due)
        start(w, s, &due);
}

// -- messages of the link -------------------------------------------------------------------------

static void define_template(worker_t *w, const wire_template_t *wire)
{
    definition_t *before = map_get(&w->definitions, wire->id);
    if (before && definition_is(before, wire)) return; // a broker that restarted may send it again
    definition_t *now = definition_new(wire);
    map_put(&w->definitions, wire->id, now);
    if (!before) return;
    size_t pos = 0;
    for (source_t *s; (s = map_next(&w->sources, &pos));)
        if (s->definition == before) source_redefine(s, now);
    definition_unref(&before);
}

static void define_source(worker_t *w, const wire_source_t *wire)
{
    source_t *s = map_get(&w->sources, wire->id);
    if (!s) {
        s = source_new(wire->id);
        map_put(&w->sources, wire->id, s);
    }
    s->revoked = false;
    source_define(s, map_get(&w->definitions, wire->template_id), wire);
}

// Settles dues that cannot be kept.
static void refuse_dues(worker_t *w, const message_t *m, const wire_due_t *wire, wire_result_t result,
                        error_class_t error)
{
    wire_outcome_t outcome = {.kind = OUTCOME_BOTH,
                              .source = wire->source,
                              .due = m->assign.wire.slot_start + wire->offset,
                              .result = result,
                              .error = error};
    log_warn("dues_refused", "source=%016llx reason=%s", (unsigned long long)wire->source,
             error_class_name(error));
    for (uint64_t k = 0; k < wire->count && k < MAX_WIRE_ROWS; k++, outcome.due += (int64_t)wire->step)
        on_outcome(w, &outcome);
}

static void take_due(worker_t *w, const message_t *m, const wire_due_t *wire)
{
    source_t *s = map_get(&w->sources, wire->source);
    if (!s || s->revoked) {
        refuse_dues(w, m, wire, RESULT_failed, ERR_internal);
        return;
    }
    uint64_t before = source_count(s);
    int64_t due = m->assign.wire.slot_start + wire->offset;
    if (wire->count == 1 && (source_has_due(s, due) || polls_has_due(s, due) || s->waiting.due == due))
        return; // sent again
    int64_t start = m->assign.start, clock = w->clock_known ? m->assign.wire.slot_start - w->offset : start;
    if (source_add_dues(s, wire, m->assign.wire.slot_start, start, clock)) {
        refuse_dues(w, m, wire, RESULT_skipped, ERR_overloaded);
        return;
    }
    w->held += source_count(s) - before;
    set_timer(w, s);
}

// host: see polite_host_named.
static void back_off(worker_t *w, const char *host, int64_t until)
{
    uint64_t hosts[2];
    size_t n = polite_host_named(host, hosts);
    for (size_t i = 0; i < n; i++) polls_back_off(w->polls, hosts[i], until);
}

static void take_host(worker_t *w, const message_t *m, const wire_host_t *wire)
{
    int64_t span = wire->backoff_ms < MAX_BACKOFF ? wire->backoff_ms : MAX_BACKOFF;
    back_off(w, wire->host, m->assign.now + (span > 0 ? span : 0));
}

static void handle_assign(worker_t *w, const message_t *m)
{
    const wire_assign_t *a = &m->assign.wire;
    for (size_t i = 0; i < a->hosts.n; i++) take_host(w, m, &a->hosts.v[i]); // before the dues that it stops
    for (size_t i = 0; i < a->templates.n; i++) define_template(w, &a->templates.v[i]);
    for (size_t i = 0; i < a->sources.n; i++) define_source(w, &a->sources.v[i]);
    if (w->draining) return;
    for (size_t i = 0; i < a->dues.n; i++) take_due(w, m, &a->dues.v[i]);
}

static void handle_revoke(worker_t *w, message_t *m)
{
    message_t *answer = message_new(MESSAGE_REVOKED, w->options.number);
    answer->ids.sources = m->ids.sources;
    answer->ids.n_sources = m->ids.n_sources;
    answer->ids.number = m->ids.number;
    answer->ids.running = xmalloc(m->ids.n_sources * sizeof(uint64_t) + 1);
    m->ids.sources = NULL;
    for (size_t i = 0; i < answer->ids.n_sources; i++) {
        source_t *s = map_get(&w->sources, answer->ids.sources[i]);
        if (!s) continue;
        drop_dues(w, s);
        bool busy = polls_take_back(w->polls, s);
        s->held = s->done;
        s->revoked = true;
        if (busy)
            answer->ids.running[answer->ids.n_running++] = s->id;
        else
            forget(w, s);
    }
    post(w, answer);
}

static void handle_inventory(worker_t *w, const message_t *m)
{
    message_t *answer = message_new(MESSAGE_HOLDINGS, w->options.number);
    answer->inventory.round = m->inventory.round;
    size_t size = w->sources.count * sizeof(wire_holding_t);
    answer->arena = arena_new(size + 64);
    answer->inventory.holdings = arena_alloc(answer->arena, size);
    CHECK(answer->inventory.holdings != NULL);
    size_t pos = 0;
    for (source_t *s; (s = map_next(&w->sources, &pos));)
        answer->inventory.holdings[answer->inventory.n++] =
            (wire_holding_t){.source = s->id,
                             .done = s->done,
                             .held = s->held,
                             .running = polls_busy(s),
                             .version = s->definition && !s->revoked ? s->definition->version : 0};
    post(w, answer);
}

static void handle_drain(worker_t *w)
{
    message_t *answer = message_new(MESSAGE_DRAINING, w->options.number);
    answer->ids.running = xmalloc(w->sources.count * sizeof(uint64_t) + 1);
    w->draining = true;
    size_t pos = 0;
    for (source_t *s; (s = map_next(&w->sources, &pos));) {
        drop_dues(w, s);
        if (polls_take_back(w->polls, s)) answer->ids.running[answer->ids.n_running++] = s->id;
    }
    post(w, answer);
}

static void handle(worker_t *w, message_t *m)
{
    switch (m->type) {
    case MESSAGE_ASSIGN: handle_assign(w, m); break;
    case MESSAGE_REVOKE: handle_revoke(w, m); break;
    case MESSAGE_VERDICTS:
        polls_verdicts(w->polls, m->verdicts.token, m->verdicts.verdicts, m->verdicts.n);
        break;
    case MESSAGE_CLOCK:
        w->offset = m->clock.offset;
        w->clock_known = true;
        polls_set_clock(w->polls, m->clock.offset, m->clock.slot_ms);
        break;
    case MESSAGE_BACKOFF: back_off(w, m->backoff.host, m->backoff.until); break;
    case MESSAGE_INVENTORY: handle_inventory(w, m); break;
    case MESSAGE_DRAIN: handle_drain(w); break;
    case MESSAGE_STOP: w->stop = true; break;
    case MESSAGE_OUTCOME:
    case MESSAGE_BATCH:
    case MESSAGE_REVOKED:
    case MESSAGE_HOLDINGS:
    case MESSAGE_DRAINING:
    case MESSAGE_DRAINED:
    case MESSAGE_STATS: CHECK(!"a message that only workers send");
    }
    message_free(m);
}

static void read_inbox(worker_t *w)
{
    queue_clear(w->inbox);
    for (message_t *m; !w->stop && (m = queue_pop(w->inbox));) handle(w, m);
}

// -- thread ---------------------------------------------------------------------------------------

static void post_stats(worker_t *w, int64_t now)
{
    if (now < w->stats_at) return;
    w->stats_at = now + STATS_MS;
    polls_counts_t counts = polls_counts(w->polls);
    message_t *m = message_new(MESSAGE_STATS, w->options.number);
    m->stats = (worker_stats_t){.sources = w->sources.count,
                                .running = polls_running(w->polls),
                                .held = w->held,
                                .polls = counts.polls,
                                .changed = counts.changed,
                                .failed = counts.failed,
                                .skipped = w->skipped + counts.skipped,
                                .items = counts.items,
                                .requests = counts.gate.fetch.requests,
                                .connections = counts.gate.fetch.connections,
                                .robots = counts.gate.robots,
                                .backoffs = counts.gate.backoffs};
    post(w, m);
}

static void post_drained(worker_t *w)
{
    if (!w->draining || w->drained || polls_running(w->polls)) return;
    w->drained = true;
    post(w, message_new(MESSAGE_DRAINED, w->options.number));
}

static void *run(void *context)
{
    worker_t *w = context;
    while (!w->stop) {
        int64_t now = clock_mono_ms();
        watch_turn(w->watch, now);
        read_inbox(w);
        fire_all(w, now);
        post_stats(w, now);
        post_drained(w);
        const heap_node_t *next = heap_min(&w->dues);
        int64_t until = next && next->key < w->stats_at ? next->key : w->stats_at;
        if (w->stop) break;
        polls_run(w->polls);
        flush(w);
        polls_wait(w->polls, until);
    }
    flush(w);
    return NULL;
}

worker_t *worker_start(const worker_options_t *options)
{
    mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY);
    mallopt(M_MMAP_THRESHOLD, LARGE_MEMORY);
    worker_t *w = xcalloc(1, sizeof *w);
    w->options = *options;
    w->inbox = queue_new(WORKER_INBOX);
    w->watch = watch_new();
    w->polls = polls_new(&(polls_options_t){.report = on_outcome,
                                            .send = on_batch,
                                            .finished = on_finished,
                                            .backed_off = on_backed_off,
                                            .context = w,
                                            .slots = options->slots,
                                            .watch = w->watch,
                                            .pressure = options->pressure,
                                            .fetch = options->fetch,
                                            .watched = queue_fd(w->inbox),
                                            .homes = options->homes});
    map_init(&w->sources);
    map_init(&w->definitions);
    heap_init(&w->dues);
    CHECK(pthread_create(&w->thread, NULL, run, w) == 0);
    pthread_setname_np(w->thread, "worker");
    return w;
}

watch_t *worker_watch(worker_t *w)
{
    return w->watch;
}

queue_t *worker_inbox(worker_t *w)
{
    return w->inbox;
}

void worker_join(worker_t **worker)
{
    worker_t *w = *worker;
    if (!w) return;
    pthread_join(w->thread, NULL);
    polls_destroy(&w->polls);
    size_t pos = 0;
    for (source_t *s; (s = map_next(&w->sources, &pos));) source_destroy(&s);
    pos = 0;
    for (definition_t *d; (d = map_next(&w->definitions, &pos));) definition_unref(&d);
    map_free(&w->sources);
    map_free(&w->definitions);
    heap_free(&w->dues);
    queue_destroy(&w->inbox, message_free);
    watch_destroy(&w->watch);
    free(w);
    *worker = NULL;
}
