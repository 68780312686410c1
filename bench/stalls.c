// needs: broker proto common
// bench-stalls FOLDER HOSTS: for how long the broker's one thread is kept by what concerns very many hosts or
// tasks at once: HOSTS sources, each on a host of its own, on three miners; the real state machine, codec and
// store, in simulated time. Prints one JSON object; each figure is the longest single step, a message or a
// tick, in ms of CPU time: add: templates of 20,000 sources are added until all are there; death: a miner
// falls silent; joining: a new one joins, and the work is levelled; again: a miner registers once more, with
// all it has; drain: one drains; tasks: 100,000 tasks on ten sources end at once; change: a template is
// disabled, enabled, replaced, removed; sick: all polls of one fail, and it loses its half of all hosts.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/broker.h"
#include "common/arena.h"
#include "common/buf.h"
#include "common/check.h"
#include "common/log.h"
#include "common/map.h"

enum { SLOT = 60000, STEP = 100, MINERS = 4, CTL = 100, URLS = 20000, TASKS = 100000, TASK_SOURCES = 10 };

typedef struct {
    uint64_t id, generation, template_id, version;
    int miner; // who holds it, plus 1
} page_t;

typedef struct { // a due that a miner holds
    uint32_t page;
    int64_t due;
} job_t;

typedef struct {
    bool alive, known; // known: it is welcome
    uint64_t peer, seq;
    job_t *jobs;
    size_t n_jobs, cap_jobs;
    uint64_t *revoked; // to be answered
    size_t n_revoked, cap_revoked;
    uint64_t number; // of the last REVOKE
} miner_t;

typedef struct {
    broker_t *broker;
    store_t *store;
    arena_t *arena;
    buf_t out;
    page_t *pages;
    size_t n_pages;
    map_t index;    // source -> page, plus 1
    map_t versions; // of templates
    miner_t miners[MINERS];
    int64_t mono, wall, longest_us;
    bool silent; // no outcome is reported for now
    bool fails[MINERS];
} bench_t;

static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static instant_t instant(const bench_t *b)
{
    return (instant_t){b->mono, b->wall};
}

static void account(bench_t *b, int64_t before)
{
    int64_t took = cpu_us() - before;
    if (took > b->longest_us) b->longest_us = took;
}

static double longest_ms(bench_t *b)
{
    double ms = (double)b->longest_us / 1000;
    b->longest_us = 0;
    return ms;
}

static page_t *page_of(bench_t *b, uint64_t source)
{
    size_t page = (uintptr_t)map_get(&b->index, source);
    CHECK(page != 0);
    return &b->pages[page - 1];
}

// -- what the broker does -----------------------------------------------------------------------------

static void take_assign(bench_t *b, int miner, const wire_assign_t *a)
{
    miner_t *m = &b->miners[miner];
    for (size_t i = 0; i < a->templates.n; i++)
        map_put(&b->versions, a->templates.v[i].id, (void *)(uintptr_t)a->templates.v[i].version);
    for (size_t i = 0; i < a->sources.n; i++) {
        page_t *p = page_of(b, a->sources.v[i].id);
        p->generation = a->sources.v[i].generation;
        p->template_id = a->sources.v[i].template_id;
        p->miner = miner + 1;
    }
    for (size_t i = 0; i < a->dues.n; i++) {
        const wire_due_t *d = &a->dues.v[i];
        for (uint64_t k = 0; k < d->count; k++) {
            if (m->n_jobs == m->cap_jobs)
                m->jobs = xrealloc(m->jobs, (m->cap_jobs = m->cap_jobs * 2 + 64) * sizeof *m->jobs);
            m->jobs[m->n_jobs++] = (job_t){(uint32_t)(page_of(b, d->source) - b->pages),
                                           a->slot_start + d->offset + (int64_t)(k * d->step)};
        }
    }
}

static void take_revoke(bench_t *b, int miner, const wire_revoke_t *r)
{
    miner_t *m = &b->miners[miner];
    m->number = r->number;
    for (size_t i = 0; i < r->sources.n; i++) {
        page_t *p = page_of(b, r->sources.v[i]);
        if (p->miner == miner + 1) p->miner = 0;
        if (m->n_revoked == m->cap_revoked)
            m->revoked =
                xrealloc(m->revoked, (m->cap_revoked = m->cap_revoked * 2 + 64) * sizeof *m->revoked);
        m->revoked[m->n_revoked++] = p->id;
    }
}

static int miner_of(const bench_t *b, uint64_t peer)
{
    for (int i = 0; i < MINERS; i++)
        if (b->miners[i].peer == peer) return i;
    return -1;
}

static void take(bench_t *b, int miner, wire_type_t type, const void *message)
{
    if (type == WIRE_TYPE_ASSIGN) take_assign(b, miner, message);
    if (type == WIRE_TYPE_REVOKE) take_revoke(b, miner, message);
}

static int64_t taken_us;

static void on_send(void *context, uint64_t peer, wire_type_t type, const void *message, bool durable)
{
    bench_t *b = context;
    (void)durable;
    buf_reset(&b->out);
    CHECK(wire_encode(&b->out, type, message) == 0);
    if (type == WIRE_TYPE_REPLY) CHECK(((const wire_reply_t *)message)->code == 0);
    int64_t before = cpu_us();
    if (miner_of(b, peer) >= 0) take(b, miner_of(b, peer), type, message);
    taken_us += cpu_us() - before; // the miners'
}

static void on_store(void *context, const store_op_t *op)
{
    bench_t *b = context;
    if (b->store) store_submit(b->store, op);
}

static void say(bench_t *b, uint64_t peer, wire_type_t type, const void *message)
{
    buf_t bytes;
    buf_init(&bytes, MAX_CONTROL_MESSAGE);
    CHECK(wire_encode(&bytes, type, message) == 0);
    int64_t before = cpu_us();
    wire_type_t decoded;
    void *m;
    const char *why;
    arena_reset(b->arena);
    taken_us = 0;
    CHECK(wire_decode(b->arena, bytes.data, bytes.len, &decoded, &m, &why) == 0);
    broker_message(b->broker, instant(b), peer, decoded, m);
    account(b, before + taken_us);
    buf_free(&bytes);
}

static void tick(bench_t *b)
{
    int64_t before = cpu_us();
    taken_us = 0;
    broker_tick(b->broker, instant(b));
    account(b, before + taken_us);
}

// -- the miners ---------------------------------------------------------------------------------------

static wire_outcome_t outcome(const bench_t *b, miner_t *m, const job_t *j)
{
    const page_t *p = &b->pages[j->page];
    return (wire_outcome_t){.seq = ++m->seq,
                            .kind = OUTCOME_BOTH,
                            .source = p->id,
                            .due = j->due,
                            .result = b->fails[m - b->miners] ? RESULT_failed : RESULT_not_modified,
                            .error = b->fails[m - b->miners] ? ERR_dns : ERR_none,
                            .status = b->fails[m - b->miners] ? 0 : 304,
                            .started = b->wall,
                            .took_ms = 80,
                            .has_state = true,
                            .etag = "\"1\"",
                            .last_modified = "",
                            .fetch_url = "",
                            .memory = "",
                            .last_ok = b->wall,
                            .generation = p->generation};
}

// What has come of m's dues, at most 1000 of them a message.
static void report(bench_t *b, int miner)
{
    static wire_outcome_t rows[1000];
    miner_t *m = &b->miners[miner];
    size_t kept = 0, n = 0;
    wire_outcomes_t msg = {.outcomes = {rows, 0}};
    for (size_t i = 0; i < m->n_jobs; i++) {
        const job_t j = m->jobs[i];
        if (b->pages[j.page].miner != miner + 1) continue;
        if (j.due > b->wall || b->silent) {
            m->jobs[kept++] = j;
            continue;
        }
        rows[n++] = outcome(b, m, &j);
        if (n < sizeof rows / sizeof rows[0]) continue;
        msg.outcomes.n = n;
        say(b, m->peer, WIRE_TYPE_OUTCOMES, &msg);
        n = 0;
    }
    m->n_jobs = kept;
    msg.outcomes.n = n;
    if (n) say(b, m->peer, WIRE_TYPE_OUTCOMES, &msg);
}

static void answer_revoke(bench_t *b, miner_t *m)
{
    for (size_t at = 0; at < m->n_revoked; at += 16384) {
        size_t n = m->n_revoked - at < 16384 ? m->n_revoked - at : 16384;
        wire_revoked_t msg = {.sources = {m->revoked + at, n}, .number = m->number};
        say(b, m->peer, WIRE_TYPE_REVOKED, &msg);
    }
    m->n_revoked = 0;
}

static void ready(bench_t *b, int miner, uint64_t peer)
{
    char name[16];
    miner_t *m = &b->miners[miner];
    snprintf(name, sizeof name, "m%d", miner);
    wire_ready_t r = {
        .version = WIRE_VERSION, .miner = name, .incarnation = (uint64_t)miner + 1, .slots = 100};
    m->alive = true;
    m->peer = peer;
    say(b, peer, WIRE_TYPE_READY, &r);
}

static void inventory(bench_t *b, int miner)
{
    static wire_holding_t rows[4096];
    const miner_t *m = &b->miners[miner];
    wire_inventory_t msg = {.holdings = {rows, 0}};
    for (size_t i = 0; i < b->n_pages; i++) {
        const page_t *p = &b->pages[i];
        if (p->miner != miner + 1) continue;
        uint64_t version = (uintptr_t)map_get(&b->versions, p->template_id);
        rows[msg.holdings.n++] = (wire_holding_t){p->id, b->wall, b->wall, false, version};
        if (msg.holdings.n < 4096) continue;
        say(b, m->peer, WIRE_TYPE_INVENTORY, &msg);
        msg.holdings.n = 0;
    }
    msg.last = true;
    say(b, m->peer, WIRE_TYPE_INVENTORY, &msg);
}

// -- the world ----------------------------------------------------------------------------------------

// Until the broker has nothing to do at once, but at most so many ticks.
static void settle(bench_t *b)
{
    for (int i = 0; i < 100000; i++) {
        tick(b);
        bool quiet = broker_deadline(b->broker) > b->mono;
        for (int m = 0; m < MINERS; m++) {
            if (!b->miners[m].alive) continue;
            quiet &= !b->miners[m].n_revoked;
            answer_revoke(b, &b->miners[m]);
        }
        if (quiet) return;
    }
}

static void pass(bench_t *b, int64_t ms)
{
    for (int64_t end = b->mono + ms; b->mono < end;) {
        b->mono += STEP;
        b->wall += STEP;
        settle(b);
        for (int m = 0; m < MINERS; m++) {
            wire_heartbeat_t beat = {.running = 10};
            if (!b->miners[m].alive) continue;
            report(b, m);
            if (b->mono / STEP % 10 == m) say(b, b->miners[m].peer, WIRE_TYPE_HEARTBEAT, &beat);
        }
    }
}

static char *make_template(size_t number, size_t first, size_t n)
{
    char *json = xmalloc(1000 + n * 60);
    char *at =
        json + sprintf(json, "{\"name\":\"t%zu\",\"kind\":\"feed\",\"every\":\"1h\",\"urls\":[", number);
    for (size_t i = 0; i < n; i++)
        at += sprintf(at, "%s\"http://h%zu.example.org/feed.xml\"", i ? "," : "", first + i);
    memcpy(at, "]}", sizeof "]}");
    return json;
}

static void command(bench_t *b, const char *name, wire_arg_t *args, size_t n)
{
    wire_request_t r = {.id = 1, .command = name, .args = {args, n}};
    say(b, CTL, WIRE_TYPE_REQUEST, &r);
}

static void note_pages(bench_t *b, size_t number, size_t first, size_t n)
{
    char name[32], url[64];
    snprintf(name, sizeof name, "t%zu", number);
    for (size_t i = first; i < first + n; i++) {
        snprintf(url, sizeof url, "http://h%zu.example.org/feed.xml", i);
        b->pages[i].id = source_id(name, url);
        map_put(&b->index, b->pages[i].id, (void *)(i + 1));
    }
}

static void add_all(bench_t *b)
{
    for (size_t first = 0; first < b->n_pages; first += URLS) {
        size_t n = b->n_pages - first < URLS ? b->n_pages - first : URLS;
        char *json = make_template(first / URLS, first, n);
        wire_arg_t args[] = {{"template", json}};
        note_pages(b, first / URLS, first, n);
        command(b, "add", args, 1);
        free(json);
        settle(b);
        if (first / URLS % 10 == 9) pass(b, STEP);
    }
}

static double change(bench_t *b)
{
    size_t n = b->n_pages < URLS ? b->n_pages : URLS;
    char *json = make_template(0, 0, n);
    memcpy(strstr(json, "1h"), "2h", 2);
    wire_arg_t name[] = {{"name", "t0"}}, add[] = {{"template", json}, {"replace", "1"}};
    longest_ms(b);
    command(b, "disable", name, 1);
    settle(b);
    command(b, "enable", name, 1);
    settle(b);
    command(b, "add", add, 2);
    settle(b);
    command(b, "remove", name, 1);
    settle(b);
    free(json);
    return longest_ms(b);
}

static double sick(bench_t *b, int miner)
{
    longest_ms(b);
    b->fails[miner] = true;
    pass(b, 10000);
    b->fails[miner] = false;
    double longest = longest_ms(b);
    size_t left = 0;
    for (size_t i = 0; i < b->n_pages; i++) left += b->pages[i].miner == miner + 1;
    CHECK(left < b->n_pages / 100);
    return longest;
}

static double tasks(bench_t *b)
{
    char id[TASK_SOURCES][17];
    b->silent = true; // their polls go on until all tasks have started
    for (int i = 0; i < TASK_SOURCES; i++)
        snprintf(id[i], sizeof id[i], "%016llx", (unsigned long long)b->pages[b->n_pages - 1 - (size_t)i].id);
    for (int i = 0; i < TASKS; i++) {
        wire_arg_t args[] = {{"name", id[i % TASK_SOURCES]}};
        command(b, "trigger", args, 1);
        if (i % 1000 == 0) settle(b);
    }
    pass(b, 1000);
    longest_ms(b);
    b->silent = false;
    pass(b, 2000);
    CHECK(broker_counts(b->broker).tasks == 0);
    return longest_ms(b);
}

int main(int argc, char **argv)
{
    const char *error;
    if (argc != 3) return 2;
    bench_t *b = xcalloc(1, sizeof *b);
    log_set_level(LOG_LEVEL_ERROR);
    b->n_pages = strtoul(argv[2], NULL, 10);
    b->pages = xcalloc(b->n_pages, sizeof *b->pages);
    b->arena = arena_new(64 << 20);
    buf_init(&b->out, MAX_CONTROL_MESSAGE);
    b->mono = 1000;
    b->wall = 1800000000000;
    broker_config_t config = {.slot_ms = SLOT, .heartbeat_ms = 1000, .liveness_ms = 4000, .report_ms = 10000};
    broker_out_t out = {.context = b, .send = on_send, .store = on_store};
    CHECK((b->store = store_open(argv[1], &error)) != NULL);
    b->broker = broker_new(&config, &out);
    broker_start(b->broker, instant(b));
    for (int m = 0; m < 3; m++) {
        ready(b, m, (uint64_t)m + 1);
        inventory(b, m);
    }
    longest_ms(b);
    add_all(b);
    double add = longest_ms(b);
    pass(b, 10000); // all are polled once
    double polls = longest_ms(b);
    b->miners[2].alive = false;
    pass(b, 8000);
    double death = longest_ms(b);
    ready(b, 3, 4);
    inventory(b, 3);
    pass(b, 5000);
    double joining = longest_ms(b);
    ready(b, 0, 5);
    inventory(b, 0);
    settle(b);
    double again = longest_ms(b);
    wire_goodbye_t bye = {.reason = "bench"};
    say(b, b->miners[1].peer, WIRE_TYPE_GOODBYE, &bye);
    settle(b);
    double drain = longest_ms(b);
    bye.done = true;
    say(b, b->miners[1].peer, WIRE_TYPE_GOODBYE, &bye);
    b->miners[1].alive = false;
    pass(b, 5000);
    longest_ms(b);
    double ended = tasks(b);
    double changed = change(b);
    double ill = sick(b, 3);
    store_close(&b->store);
    broker_counts_t c = broker_counts(b->broker);
    char why[200];
    CHECK(broker_audit(b->broker, why, sizeof why) == 0);
    printf(
        "{\"hosts\": %zu, \"max_add_ms\": %.1f, \"max_polls_ms\": %.1f, \"max_death_ms\": %.1f, "
        "\"max_joining_ms\": %.1f, \"max_again_ms\": %.1f, \"max_drain_ms\": %.1f, \"max_tasks_ms\": %.1f, "
        "\"max_change_ms\": %.1f, \"max_sick_ms\": %.1f, \"polled\": %llu, \"skipped\": %llu}\n",
        b->n_pages, add, polls, death, joining, again, drain, ended, changed, ill,
        (unsigned long long)c.polled, (unsigned long long)c.skipped);
    return 0;
}
