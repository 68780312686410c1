// Link: one loop: wait, read, tick.
#include "miner/link.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_status.h"
#include "common/log.h"
#include "common/map.h"
#include "miner/brokers.h"
#include "miner/message.h"
#include "miner/polite.h"
#include "miner/sinks.h"
#include "miner/worker.h"

enum {
    DRAIN_MS = 30000,
    LINGER_MS = 1000,     // for the last GOODBYE
    BEAT_MS = 250,        // how old the numbers in a heartbeat may be
    LINE_MS = 10000,      // between two `miner` lines in the log
    STUCK_LAST_MS = 2000, // for a stuck worker's last outcome to be acknowledged
    STALL_MS = 5000,      // without a publication: the health endpoint says stalled
    INBOX = 1 << 16,      // messages of all workers
    BUSY_MS = 10,         // until sockets are looked at again while a worker's inbox is rather full
    ASSIGN_ARENA = 64 << 20,
};

typedef enum { LINK_RUNNING, LINK_DRAINING, LINK_STUCK, LINK_DONE } link_state_t;

struct link {
    link_options_t options;
    link_state_t state;
    void *zmq;
    int signals; // signalfd
    brokers_t *brokers;
    sinks_t *sinks;
    queue_t *inbox; // from the workers
    worker_t *workers[MAX_WORKERS];
    worker_stats_t stats[MAX_WORKERS];
    atomic_bool lazy; // overloaded, see overload.h
    overload_t overload;
    atomic_bool pressure; // with the sinks' homes_t all that threads share beside queues
    map_t owners;         // source -> its worker's number + 1
    http_status_t *status;

    // draining
    int64_t drain_until; // monotonic ms
    unsigned undrained;  // workers in which something runs
    unsigned unanswered; // workers that have not said what runs
    uint64_t *running;   // sources
    size_t n_running;

    // a worker is stuck
    int64_t stuck_until; // monotonic ms, for which the outcome may take

    // the process, for heartbeats and the log
    int64_t beat_at, line_at; // monotonic ms
    int64_t cpu_at, cpu_us;   // when it was read last / what it was
    uint64_t cpu_permille, rss_kib;
};

// -- to the workers -------------------------------------------------------------------------------

static void send_to(link_t *l, unsigned worker, message_t *m)
{
    CHECK(queue_push(worker_inbox(l->workers[worker]), m) == 0); // see is_busy
}

static void send_to_all(link_t *l, message_type_t type)
{
    for (unsigned i = 0; i < l->options.workers; i++) send_to(l, i, message_new(type, i));
}

// A worker's inbox is filling: no more is read from the sockets, so that pushing never fails.
static bool is_busy(link_t *l)
{
    for (unsigned i = 0; i < l->options.workers; i++)
        if (queue_length(worker_inbox(l->workers[i])) > WORKER_INBOX / 2) return true;
    return false;
}

static int owner_of(const link_t *l, uint64_t source)
{
    return (int)(uintptr_t)map_get(&l->owners, source) - 1;
}

static const char *keep(arena_t *arena, const char *text)
{
    char *copy = arena_strdup(arena, text);
    CHECK(copy != NULL); // ASSIGN_ARENA is far larger than a frame may be
    return copy;
}

static void *rows(arena_t *arena, size_t n, size_t size)
{
    void *p = arena_calloc(arena, n, size);
    CHECK(p != NULL);
    return p;
}

static void keep_source(arena_t *arena, wire_source_t *to, const wire_source_t *from)
{
    *to = *from;
    to->url = keep(arena, from->url);
    to->fetch_url = keep(arena, from->fetch_url);
    to->etag = keep(arena, from->etag);
    to->last_modified = keep(arena, from->last_modified);
    to->memory = keep(arena, from->memory);
}

// The part of an assignment that concerns one worker: all templates and hosts (a worker's detail pages may be
// anywhere), its sources, its dues.
static message_t *part_of(const link_t *l, const wire_assign_t *all, unsigned worker)
{
    message_t *m = message_new(MESSAGE_ASSIGN, worker);
    wire_assign_t *part = &m->assign.wire;
    m->arena = arena_new(ASSIGN_ARENA);
    *part = *all;
    part->templates.v = rows(m->arena, all->templates.n, sizeof *part->templates.v);
    part->sources.v = rows(m->arena, all->sources.n, sizeof *part->sources.v);
    part->dues.v = rows(m->arena, all->dues.n, sizeof *part->dues.v);
    part->hosts.v = rows(m->arena, all->hosts.n, sizeof *part->hosts.v);
    part->sources.n = part->dues.n = 0;
    for (size_t i = 0; i < all->hosts.n; i++)
        part->hosts.v[i] = (wire_host_t){keep(m->arena, all->hosts.v[i].host), all->hosts.v[i].backoff_ms};
    for (size_t i = 0; i < all->templates.n; i++) {
        part->templates.v[i] = all->templates.v[i];
        part->templates.v[i].name = keep(m->arena, all->templates.v[i].name);
        part->templates.v[i].json = keep(m->arena, all->templates.v[i].json);
    }
    for (size_t i = 0; i < all->sources.n; i++)
        if (owner_of(l, all->sources.v[i].id) == (int)worker)
            keep_source(m->arena, &part->sources.v[part->sources.n++], &all->sources.v[i]);
    for (size_t i = 0; i < all->dues.n; i++) {
        int owner = owner_of(l, all->dues.v[i].source);
        if (owner == (int)worker || (owner < 0 && worker == 0)) part->dues.v[part->dues.n++] = all->dues.v[i];
    }
    return m;
}

static void on_assign(void *context, const wire_assign_t *assign, int64_t start)
{
    link_t *l = context;
    log_debug("assign", "slot=%llu templates=%zu sources=%zu dues=%zu", (unsigned long long)assign->slot,
              assign->templates.n, assign->sources.n, assign->dues.n);
    for (size_t i = 0; i < assign->sources.n; i++) {
        const wire_source_t *s = &assign->sources.v[i];
        uintptr_t worker = polite_host(s->url) % l->options.workers;
        map_put(&l->owners, s->id, (void *)(worker + 1));
    }
    for (unsigned i = 0; i < l->options.workers; i++) {
        message_t *m = part_of(l, assign, i);
        m->assign.start = start;
        m->assign.now = start - assign->starts_in;
        send_to(l, i, m);
    }
}

static void on_revoke(void *context, const wire_ids_t *sources, uint64_t number)
{
    link_t *l = context;
    wire_revoked_t unknown = {.sources = {xmalloc(sources->n * sizeof(uint64_t) + 1), 0}, .number = number};
    for (unsigned i = 0; i < l->options.workers; i++) {
        message_t *m = message_new(MESSAGE_REVOKE, i);
        m->ids.number = number;
        m->ids.sources = xmalloc(sources->n * sizeof(uint64_t) + 1);
        for (size_t k = 0; k < sources->n; k++)
            if (owner_of(l, sources->v[k]) == (int)i) m->ids.sources[m->ids.n_sources++] = sources->v[k];
        if (m->ids.n_sources)
            send_to(l, i, m);
        else
            message_free(m);
    }
    for (size_t k = 0; k < sources->n; k++)
        if (!map_del(&l->owners, sources->v[k])) unknown.sources.v[unknown.sources.n++] = sources->v[k];
    if (unknown.sources.n) brokers_revoked(l->brokers, &unknown);
    free(unknown.sources.v);
}

static void on_inventory(void *context, uint64_t round)
{
    link_t *l = context;
    for (unsigned i = 0; i < l->options.workers; i++) {
        message_t *m = message_new(MESSAGE_INVENTORY, i);
        m->inventory.round = round;
        send_to(l, i, m);
    }
}

static void on_clock(void *context, int64_t offset, int64_t slot_ms)
{
    link_t *l = context;
    for (unsigned i = 0; i < l->options.workers; i++) {
        message_t *m = message_new(MESSAGE_CLOCK, i);
        m->clock.offset = offset;
        m->clock.slot_ms = slot_ms;
        send_to(l, i, m);
    }
}

static void on_verdicts(void *context, unsigned worker, uint64_t token, const uint8_t *verdicts, size_t n)
{
    message_t *m = message_new(MESSAGE_VERDICTS, worker);
    m->verdicts.token = token;
    m->verdicts.n = n;
    m->verdicts.verdicts = xmalloc(n + 1);
    if (n) memcpy(m->verdicts.verdicts, verdicts, n);
    send_to(context, worker, m);
}

// What one worker learned of a host holds for all, and for those of other miners.
static void spread_backoff(link_t *l, const message_t *from)
{
    if (!from->backoff.reported)
        brokers_backed_off(l->brokers, from->backoff.host, from->backoff.until - clock_mono_ms());
    for (unsigned i = 0; i < l->options.workers; i++) {
        if (i == from->worker) continue;
        message_t *m = message_new(MESSAGE_BACKOFF, i);
        m->backoff.host = xstrdup(from->backoff.host);
        m->backoff.until = from->backoff.until;
        send_to(l, i, m);
    }
}

// -- draining -------------------------------------------------------------------------------------

static void start_drain(link_t *l, int64_t now)
{
    log_info("draining", "at_most_ms=%d", DRAIN_MS);
    l->state = LINK_DRAINING;
    l->drain_until = now + DRAIN_MS;
    l->undrained = l->unanswered = l->options.workers;
    send_to_all(l, MESSAGE_DRAIN);
}

static void on_drain(void *context)
{
    link_t *l = context;
    if (l->state == LINK_RUNNING) start_drain(l, clock_mono_ms());
}

// A broker that dialled anew while the miner drains has to hear of it again.
static void on_welcome(void *context)
{
    link_t *l = context;
    if (l->state == LINK_DRAINING && !l->unanswered)
        brokers_goodbye(l->brokers, false, l->running, l->n_running);
}

static void note_draining(link_t *l, const message_t *m)
{
    l->running = xrealloc(l->running, (l->n_running + m->ids.n_running) * sizeof *l->running + 1);
    for (size_t i = 0; i < m->ids.n_running; i++) l->running[l->n_running++] = m->ids.running[i];
    if (--l->unanswered == 0) brokers_goodbye(l->brokers, false, l->running, l->n_running);
}

static void check_drained(link_t *l, int64_t now)
{
    if (l->state != LINK_DRAINING) return;
    bool finished = !l->undrained && !sinks_batches(l->sinks) && !brokers_unacked(l->brokers);
    if (!finished && now < l->drain_until) return;
    log_info("drained", "finished=%d batches=%zu outcomes=%zu", finished, sinks_batches(l->sinks),
             brokers_unacked(l->brokers));
    brokers_goodbye(l->brokers, true, NULL, 0);
    l->state = LINK_DONE;
}

static void read_signals(link_t *l, int64_t now)
{
    struct signalfd_siginfo info;
    while (read(l->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (l->state != LINK_RUNNING) {
            log_warn("stopping", "reason=\"second signal\"");
            _exit(1);
        }
        start_drain(l, now);
    }
}

// -- a worker that does not come back -------------------------------------------------------------

// The document's poll has failed: so it counts against its source, not against those beside it.
static void blame(link_t *l, const watch_subject_t *subject, int64_t absent)
{
    char detail[80];
    snprintf(detail, sizeof detail, "a worker was stuck for %lld ms reading it", (long long)absent);
    wire_outcome_t outcome = {.kind = OUTCOME_BOTH,
                              .source = subject->source,
                              .due = subject->due,
                              .cause = subject->cause,
                              .attempt = subject->attempt,
                              .result = RESULT_failed,
                              .error = ERR_too_complex,
                              .took_ms = (uint64_t)absent,
                              .detail = detail};
    if (subject->source && subject->due) brokers_outcome(l->brokers, outcome_copy(&outcome));
}

static void watch_workers(link_t *l, int64_t now)
{
    watch_subject_t subject;
    if (l->state == LINK_STUCK || !l->options.stuck_ms) return;
    for (unsigned i = 0; i < l->options.workers; i++) {
        int64_t absent = watch_absent(worker_watch(l->workers[i]), now);
        if (absent < l->options.stuck_ms) continue;
        watch_look(worker_watch(l->workers[i]), &subject);
        log_error("worker_stuck", "worker=%u source=%016llx template=%s url=\"%s\" ms=%lld", i,
                  (unsigned long long)subject.source, subject.source ? subject.template : "",
                  subject.source ? subject.url : "", (long long)absent);
        blame(l, &subject, absent);
        l->state = LINK_STUCK;
        l->stuck_until = now + STUCK_LAST_MS;
    }
}

// When the broker has heard of it, or cannot: the rest of the work is handed back at once.
static bool is_over(link_t *l, int64_t now)
{
    if (l->state != LINK_STUCK || (brokers_unacked(l->brokers) && now < l->stuck_until)) return false;
    brokers_goodbye(l->brokers, true, NULL, 0);
    return true;
}

// -- from the workers -----------------------------------------------------------------------------

static void handle(link_t *l, message_t *m)
{
    switch (m->type) {
    case MESSAGE_OUTCOME:
        brokers_outcome(l->brokers, m->outcome);
        m->outcome = NULL;
        break;
    case MESSAGE_BATCH:
        sinks_add(l->sinks, m->batch.sink, m->worker, m->batch.token, m->batch.frame, m->batch.len);
        m->batch.frame = NULL;
        break;
    case MESSAGE_REVOKED:
        brokers_revoked(l->brokers, &(wire_revoked_t){.sources = {m->ids.sources, m->ids.n_sources},
                                                      .running = {m->ids.running, m->ids.n_running},
                                                      .number = m->ids.number});
        break;
    case MESSAGE_HOLDINGS:
        brokers_holdings(l->brokers, m->inventory.round, m->inventory.holdings, m->inventory.n);
        break;
    case MESSAGE_DRAINING: note_draining(l, m); break;
    case MESSAGE_DRAINED: l->undrained--; break;
    case MESSAGE_BACKOFF: spread_backoff(l, m); break;
    case MESSAGE_STATS: l->stats[m->worker] = m->stats; break;
    case MESSAGE_ASSIGN:
    case MESSAGE_REVOKE:
    case MESSAGE_VERDICTS:
    case MESSAGE_CLOCK:
    case MESSAGE_INVENTORY:
    case MESSAGE_DRAIN:
    case MESSAGE_STOP: CHECK(!"a message that only the link sends");
    }
    message_free(m);
}

static void read_inbox(link_t *l)
{
    queue_clear(l->inbox);
    for (message_t *m; (m = queue_pop(l->inbox));) handle(l, m);
}

// -- what others see of it ------------------------------------------------------------------------

static worker_stats_t total(const link_t *l)
{
    worker_stats_t sum = {0};
    for (unsigned i = 0; i < l->options.workers; i++) {
        const worker_stats_t *s = &l->stats[i];
        sum.sources += s->sources, sum.running += s->running, sum.held += s->held;
        sum.polls += s->polls, sum.changed += s->changed, sum.failed += s->failed;
        sum.skipped += s->skipped, sum.items += s->items;
        sum.requests += s->requests, sum.connections += s->connections;
        sum.robots += s->robots, sum.backoffs += s->backoffs;
    }
    return sum;
}

static uint64_t resident_kib(void)
{
    unsigned long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f) return 0;
    if (fscanf(f, "%lu %lu", &size, &resident) != 2) resident = 0;
    fclose(f);
    return resident * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

static void measure_process(link_t *l, int64_t now)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    int64_t us = ts.tv_sec * 1000000LL + ts.tv_nsec / 1000, elapsed = now - l->cpu_at;
    if (elapsed < STALL_MS / 5) return;
    l->cpu_permille = (uint64_t)((us - l->cpu_us) / elapsed);
    l->cpu_us = us;
    l->cpu_at = now;
    l->rss_kib = resident_kib();
}

static void publish(link_t *l, const worker_stats_t *s)
{
    char metrics[2048], health[160];
    if (!l->status) return;
    bool connected = brokers_connected(l->brokers);
    snprintf(health, sizeof health, "%s epoch=%llu sources=%llu", connected ? "ok" : "no broker",
             (unsigned long long)brokers_epoch(l->brokers), (unsigned long long)s->sources);
    snprintf(
        metrics, sizeof metrics,
        "rtm_miner_sources %llu\nrtm_miner_running %llu\nrtm_miner_dues_held %llu\n"
        "rtm_miner_polls_total %llu\nrtm_miner_polls_changed_total %llu\n"
        "rtm_miner_polls_failed_total %llu\nrtm_miner_dues_skipped_total %llu\n"
        "rtm_miner_items_total %llu\nrtm_miner_requests_total %llu\nrtm_miner_connections_total %llu\n"
        "rtm_miner_robots_fetched_total %llu\nrtm_miner_host_backoffs_total %llu\n"
        "rtm_miner_unacked_bytes %zu\nrtm_miner_unacked_outcomes %zu\n"
        "rtm_miner_backpressure %d\nrtm_miner_broker_dials_total %llu\nrtm_miner_sink_dials_total %llu\n",
        (unsigned long long)s->sources, (unsigned long long)s->running, (unsigned long long)s->held,
        (unsigned long long)s->polls, (unsigned long long)s->changed, (unsigned long long)s->failed,
        (unsigned long long)s->skipped, (unsigned long long)s->items, (unsigned long long)s->requests,
        (unsigned long long)s->connections, (unsigned long long)s->robots, (unsigned long long)s->backoffs,
        sinks_unacked(l->sinks), brokers_unacked(l->brokers), atomic_load(&l->pressure),
        (unsigned long long)brokers_dials(l->brokers), (unsigned long long)sinks_dials(l->sinks));
    http_status_publish(l->status, connected, health, metrics);
}

static void log_line_of(const link_t *l, const worker_stats_t *s)
{
    log_info(
        "miner",
        "sources=%llu running=%llu held=%llu polls=%llu changed=%llu failed=%llu skipped=%llu items=%llu "
        "unacked=%zu outcomes=%zu credit=%llu cpu=%llu rss_kib=%llu",
        (unsigned long long)s->sources, (unsigned long long)s->running, (unsigned long long)s->held,
        (unsigned long long)s->polls, (unsigned long long)s->changed, (unsigned long long)s->failed,
        (unsigned long long)s->skipped, (unsigned long long)s->items, sinks_unacked(l->sinks),
        brokers_unacked(l->brokers), (unsigned long long)sinks_credit(l->sinks),
        (unsigned long long)l->cpu_permille, (unsigned long long)l->rss_kib);
}

// Whether there is more to do than this machine can.
static void watch_load(link_t *l, const worker_stats_t *stats, int64_t now)
{
    overload_reading_t reading;
    bool before = l->overload.on;
    overload_read(&reading);
    reading.slots = 100.0 * (double)stats->running / (double)(l->options.slots * l->options.workers);
    bool after = overload_judge(&l->overload, &reading, now);
    if (before == after) return;
    atomic_store(&l->lazy, after);
    log_warn("overloaded", "on=%d reason=%s cpu=%.0f memory=%.0f slots=%.0f", after, l->overload.why,
             reading.cpu, reading.memory, reading.slots);
}

static void tell(link_t *l, int64_t now)
{
    if (now < l->beat_at) return;
    l->beat_at = now + BEAT_MS;
    measure_process(l, now);
    worker_stats_t s = total(l);
    watch_load(l, &s, now);
    wire_heartbeat_t beat = {.state = l->state != LINK_RUNNING    ? MINER_draining
                                      : atomic_load(&l->pressure) ? MINER_sink_backpressure
                                      : atomic_load(&l->lazy)     ? MINER_overloaded
                                                                  : MINER_ok,
                             .running = s.running,
                             .held = s.held,
                             .polls = s.polls,
                             .unacked = sinks_unacked(l->sinks),
                             .cpu = l->cpu_permille,
                             .rss_kib = l->rss_kib};
    brokers_set_beat(l->brokers, &beat, l->owners.count);
    publish(l, &s);
    if (now < l->line_at) return;
    l->line_at = now + LINE_MS;
    log_line_of(l, &s);
}

static void watch_buffer(link_t *l)
{
    size_t unacked = sinks_unacked(l->sinks);
    bool before = atomic_load(&l->pressure);
    bool after = before ? unacked > l->options.buffer / 2 : unacked > l->options.buffer;
    if (before == after) return;
    atomic_store(&l->pressure, after);
    log_warn("backpressure", "on=%d unacked=%zu", after, unacked);
}

// -- life -----------------------------------------------------------------------------------------

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static int open_peers(link_t *l)
{
    uint64_t incarnation = 0;
    while (!incarnation) CHECK(getrandom(&incarnation, sizeof incarnation, 0) == (ssize_t)sizeof incarnation);
    l->brokers = brokers_new(
        &(brokers_options_t){.zmq = l->zmq,
                             .endpoints = l->options.brokers,
                             .miner = l->options.id,
                             .incarnation = incarnation,
                             .workers = l->options.workers,
                             .slots = l->options.slots * l->options.workers,
                             .events = {on_assign, on_revoke, on_inventory, on_clock, on_welcome, on_drain},
                             .context = l});
    l->sinks = sinks_new(&(sinks_options_t){.zmq = l->zmq,
                                            .endpoints = l->options.sinks,
                                            .miner = l->options.id,
                                            .incarnation = incarnation,
                                            .verdicts = on_verdicts,
                                            .context = l});
    return l->brokers && l->sinks ? 0 : -1;
}

static int open_status(link_t *l)
{
    char error[200];
    if (!l->options.health) return 0;
    l->status = http_status_new(l->options.health, STALL_MS, error, sizeof error);
    if (!l->status) log_error("health", "bind=%s reason=\"%s\"", l->options.health, error);
    return l->status ? 0 : -1;
}

link_t *link_new(const link_options_t *options)
{
    link_t *l = xcalloc(1, sizeof *l);
    l->options = *options;
    l->overload.limits = options->lazy;
    l->signals = open_signals(); // before any thread starts
    l->zmq = zmq_ctx_new();
    CHECK(l->zmq != NULL);
    map_init(&l->owners);
    l->inbox = queue_new(INBOX);
    if (open_peers(l) || open_status(l)) {
        if (!l->brokers || !l->sinks)
            log_error("options", "reason=\"--broker and --sink take 1 to %d endpoints\"", MAX_PEERS);
        link_destroy(&l);
        return NULL;
    }
    for (unsigned i = 0; i < options->workers; i++)
        l->workers[i] = worker_start(&(worker_options_t){.number = i,
                                                         .slots = options->slots,
                                                         .fetch = options->fetch,
                                                         .to_link = l->inbox,
                                                         .homes = sinks_homes(l->sinks),
                                                         .pressure = &l->pressure,
                                                         .lazy = &l->lazy});
    log_info("started", "miner=%s workers=%u brokers=%s sinks=%s", options->id, options->workers,
             options->brokers, options->sinks);
    return l;
}

static void wait_for_events(link_t *l, int64_t now, bool busy)
{
    zmq_pollitem_t items[2 * MAX_PEERS + 2] = {{.fd = queue_fd(l->inbox), .events = ZMQ_POLLIN},
                                               {.fd = l->signals, .events = ZMQ_POLLIN}};
    size_t n = 2;
    if (!busy) {
        n += brokers_poll_items(l->brokers, items + n);
        n += sinks_poll_items(l->sinks, items + n);
    }
    int64_t until = l->beat_at;
    if (brokers_deadline(l->brokers) < until) until = brokers_deadline(l->brokers);
    if (sinks_deadline(l->sinks) < until) until = sinks_deadline(l->sinks);
    if (busy && now + BUSY_MS < until) until = now + BUSY_MS;
    if (zmq_poll(items, (int)n, until > now ? until - now : 0) < 0) CHECK(zmq_errno() == EINTR);
}

int link_run(link_t *l)
{
    while (l->state != LINK_DONE) {
        int64_t now = clock_mono_ms();
        watch_workers(l, now);
        if (is_over(l, now)) {
            brokers_destroy(&l->brokers, LINGER_MS);
            sinks_destroy(&l->sinks);
            zmq_ctx_term(l->zmq); // when everything that was said has left
            return -1;
        }
        bool busy = is_busy(l);
        tell(l, now);
        brokers_tick(l->brokers, now);
        sinks_tick(l->sinks, now, brokers_now(l->brokers, now));
        wait_for_events(l, now, busy);
        now = clock_mono_ms();
        read_signals(l, now);
        if (!busy) brokers_receive(l->brokers, now);
        if (!busy) sinks_receive(l->sinks, now);
        read_inbox(l);
        watch_buffer(l);
        check_drained(l, now);
    }
    return 0;
}

void link_destroy(link_t **link)
{
    link_t *l = *link;
    if (!l) return;
    for (unsigned i = 0; i < l->options.workers && l->workers[i]; i++) {
        read_inbox(l); // so that no worker waits for room in it
        send_to(l, i, message_new(MESSAGE_STOP, i));
        worker_join(&l->workers[i]);
    }
    brokers_destroy(&l->brokers, LINGER_MS);
    sinks_destroy(&l->sinks);
    queue_destroy(&l->inbox, message_free);
    http_status_destroy(&l->status);
    zmq_ctx_term(l->zmq);
    close(l->signals);
    map_free(&l->owners);
    free(l->running);
    free(l);
    *link = NULL;
}
