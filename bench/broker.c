// needs: broker proto common
// bench-broker FOLDER SOURCES SLOTS: what a broker core spends on SOURCES sources with one due a slot of 60 s
// each, on 100 miners: the real state machine, the codec and the store, in simulated time; no sockets. Miners
// report every 100 ms what came of their dues: not_modified, but for 1 % whose validators changed. Prints one
// JSON object. core_share: CPU time of the broker's calls, with decoding and encoding, and of the store's
// thread, per slot. max_command_ms: what a command of rtm-ctl, or a tick that goes on with it, keeps the
// broker's thread at most.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/turns.h"
#include "common/arena.h"
#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/map.h"

enum {
    SLOT = 60000,
    MINERS = 100,
    URLS = 10000,
    HOST_SOURCES = 100,
    STEP = 100,
    BUCKETS = 3 * SLOT / STEP,
    SETTLE = 1
};

typedef struct {
    uint64_t id, generation;
    uint32_t version; // of its validators
} page_t;

typedef struct { // a due that a miner holds
    uint32_t page;
    int64_t due;
} job_t;

typedef struct {
    job_t *jobs;
    size_t n, cap;
} bucket_t;

typedef struct {
    broker_t *broker;
    store_t *store;
    arena_t *arena;
    buf_t out;
    page_t *pages;
    size_t n_pages;
    map_t index; // source -> page, plus 1
    bucket_t buckets[MINERS][BUCKETS];
    uint64_t seqs[MINERS];
    int64_t mono, wall, base;
    double cpu_ms; // of the broker's calls
    int64_t longest_us;
    uint64_t dues, outcomes, messages;
    char (*etags)[80];
} bench_t;

static int64_t cpu_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static instant_t instant(const bench_t *b)
{
    return (instant_t){b->mono, b->wall};
}

// -- the miners ---------------------------------------------------------------------------------------

static void take_assign(bench_t *b, int miner, const wire_assign_t *a)
{
    for (size_t i = 0; i < a->sources.n; i++) {
        size_t page = (uintptr_t)map_get(&b->index, a->sources.v[i].id);
        b->pages[page - 1].generation = a->sources.v[i].generation;
    }
    for (size_t i = 0; i < a->dues.n; i++) {
        const wire_due_t *d = &a->dues.v[i];
        for (uint64_t k = 0; k < d->count; k++) {
            int64_t due = a->slot_start + d->offset + (int64_t)(k * d->step);
            int64_t at = due > b->wall ? due : b->wall;
            bucket_t *u = &b->buckets[miner][(at - b->base) / STEP % BUCKETS];
            if (u->n == u->cap) u->jobs = xrealloc(u->jobs, (u->cap = u->cap * 2 + 16) * sizeof *u->jobs);
            u->jobs[u->n++] = (job_t){(uint32_t)((uintptr_t)map_get(&b->index, d->source) - 1), due};
            b->dues++;
        }
    }
}

// What the broker sends is encoded on its account, and decoded on the miner's.
static void on_send(void *context, uint64_t peer, wire_type_t type, const void *message, bool durable)
{
    bench_t *b = context;
    (void)durable;
    buf_reset(&b->out);
    CHECK(wire_encode(&b->out, type, message) == 0);
    if (type == WIRE_TYPE_ASSIGN) {
        int64_t before = cpu_us(CLOCK_THREAD_CPUTIME_ID);
        take_assign(b, (int)peer - 1, message);
        b->cpu_ms -= (double)(cpu_us(CLOCK_THREAD_CPUTIME_ID) - before) / 1000;
    }
}

static void on_store(void *context, const store_op_t *op)
{
    if (((bench_t *)context)->store) store_submit(((bench_t *)context)->store, op); // else it has been closed
}

static void account(bench_t *b, int64_t before)
{
    int64_t took = cpu_us(CLOCK_THREAD_CPUTIME_ID) - before;
    b->cpu_ms += (double)took / 1000;
    if (took > b->longest_us) b->longest_us = took;
}

static void say(bench_t *b, int miner, wire_type_t type, const void *message)
{
    buf_t bytes;
    buf_init(&bytes, MAX_CONTROL_MESSAGE);
    CHECK(wire_encode(&bytes, type, message) == 0);
    int64_t before = cpu_us(CLOCK_THREAD_CPUTIME_ID);
    wire_type_t decoded;
    void *m;
    const char *why;
    arena_reset(b->arena);
    CHECK(wire_decode(b->arena, bytes.data, bytes.len, &decoded, &m, &why) == 0);
    broker_message(b->broker, instant(b), (uint64_t)miner + 1, decoded, m);
    account(b, before);
    b->messages++;
    buf_free(&bytes);
}

static wire_outcome_t outcome(bench_t *b, int miner, const job_t *j, wire_outcome_kind_t kind,
                              wire_result_t result)
{
    const page_t *p = &b->pages[j->page];
    b->outcomes++;
    return (wire_outcome_t){.seq = ++b->seqs[miner],
                            .kind = kind,
                            .source = p->id,
                            .due = j->due,
                            .result = result,
                            .status = 304,
                            .started = b->wall,
                            .took_ms = 80,
                            .cpu_us = 300,
                            .has_state = kind != OUTCOME_POLLED,
                            .etag = "",
                            .last_modified = "Sun, 22 Nov 2026 16:13:09 GMT",
                            .fetch_url = "",
                            .memory = "",
                            .last_ok = kind == OUTCOME_POLLED ? 0 : b->wall,
                            .generation = p->generation};
}

static void put_etag(char *out, size_t size, const page_t *p)
{
    snprintf(out, size, "\"%064llx\"", (unsigned long long)(p->id ^ p->version * 0x9e3779b97f4a7c15ULL));
}

// Reports what of miner's dues has come up to now.
static void report(bench_t *b, int miner)
{
    bucket_t *u = &b->buckets[miner][(b->wall - b->base) / STEP % BUCKETS];
    wire_outcome_t *rows = xmalloc((2 * u->n + 1) * sizeof *rows);
    b->etags = xrealloc(b->etags, (u->n + 1) * sizeof *b->etags);
    size_t n = 0;
    for (size_t i = 0; i < u->n; i++) {
        const job_t *j = &u->jobs[i];
        page_t *p = &b->pages[j->page];
        bool changed = (p->id ^ (uint64_t)j->due / SLOT) % 100 == 0;
        if (changed) {
            p->version++;
            rows[n++] = outcome(b, miner, j, OUTCOME_POLLED, RESULT_changed);
        }
        rows[n] = outcome(b, miner, j, changed ? OUTCOME_STORED : OUTCOME_BOTH,
                          changed ? RESULT_changed : RESULT_not_modified);
        put_etag(b->etags[i], sizeof b->etags[i], p);
        rows[n++].etag = b->etags[i];
    }
    u->n = 0;
    wire_outcomes_t msg = {.outcomes = {rows, 0}};
    for (size_t at = 0; at < n; at += 1000) { // at most 256 KiB
        msg.outcomes.v = rows + at;
        msg.outcomes.n = n - at < 1000 ? n - at : 1000;
        say(b, miner, WIRE_TYPE_OUTCOMES, &msg);
    }
    free(rows);
}

// -- the world ----------------------------------------------------------------------------------------

static void make_url(char *out, size_t size, size_t page)
{
    snprintf(out, size,
             "https://news%05zu.example.org/sections/%08zu/feeds/latest-and-greatest-news-of-all.xml",
             page / HOST_SOURCES, page);
}

static char *make_template(char *name, size_t first, size_t n)
{
    char *json = xmalloc(1000 + n * 100), url[128];
    char *at = json + sprintf(json, "{\"name\":\"%s\",\"kind\":\"feed\",\"every\":\"60s\",\"urls\":[", name);
    for (size_t i = 0; i < n; i++) {
        make_url(url, sizeof url, first + i);
        at += sprintf(at, "%s\"%s\"", i ? "," : "", url);
    }
    memcpy(at, "]}", sizeof "]}");
    return json;
}

static void store_template(bench_t *b, size_t first, size_t n)
{
    char name[32], url[128], etag[80];
    snprintf(name, sizeof name, "t%zu", first / URLS);
    char *json = make_template(name, first, n);
    store_op_t op = {.kind = STORE_TEMPLATE, .name = name, .text = json, .number = 1, .flag = true};
    store_submit(b->store, &op);
    free(json);
    for (size_t i = first; i < first + n; i++) {
        make_url(url, sizeof url, i);
        b->pages[i] = (page_t){.id = source_id(name, url)};
        map_put(&b->index, b->pages[i].id, (void *)(i + 1));
        put_etag(etag, sizeof etag, &b->pages[i]);
        store_op_t row = {.kind = STORE_SOURCE};
        row.source = (store_source_t){.id = b->pages[i].id,
                                      .template_id = template_id(name),
                                      .url = url,
                                      .ordinal = (uint32_t)(i % HOST_SOURCES),
                                      .last_ok = b->wall - SLOT,
                                      .etag = etag,
                                      .last_modified = "Sun, 22 Nov 2026 16:13:09 GMT",
                                      .fetch_url = "",
                                      .memory = ""};
        uint64_t ticket = store_submit(b->store, &row);
        while (i % 1000 == 0 && store_durable(b->store) + 100000 < ticket) usleep(1000);
    }
}

static int64_t rss_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
    if (f) fclose(f);
    return (int64_t)pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void load_number(void *c, const char *name, int64_t value)
{
    broker_load_number(((bench_t *)c)->broker, name, value);
}

static void load_template(void *c, const char *name, const char *json, int64_t version, bool enabled)
{
    broker_load_template(((bench_t *)c)->broker, name, json, version, enabled);
}

static void load_source(void *c, const store_source_t *row)
{
    broker_load_source(((bench_t *)c)->broker, row);
}

static void fill_store(bench_t *b, const char *folder)
{
    const char *error;
    b->store = store_open(folder, &error);
    CHECK(b->store != NULL);
    for (size_t i = 0; i < b->n_pages; i += URLS)
        store_template(b, i, b->n_pages - i < URLS ? b->n_pages - i : URLS);
    store_close(&b->store);
    b->store = store_open(folder, &error);
    CHECK(b->store != NULL);
}

static void start(bench_t *b)
{
    broker_config_t config = {.slot_ms = SLOT, .heartbeat_ms = 1000, .liveness_ms = 4000, .report_ms = 10000};
    broker_out_t out = {.context = b, .send = on_send, .store = on_store};
    b->broker = broker_new(&config, &out);
    store_reader_t reader = {
        .context = b, .number = load_number, .template = load_template, .source = load_source};
    CHECK(store_load(b->store, &reader) == 0);
    broker_start(b->broker, instant(b));
}

static void tick(bench_t *b)
{
    int64_t before = cpu_us(CLOCK_THREAD_CPUTIME_ID);
    broker_tick(b->broker, instant(b));
    account(b, before);
}

static void step(bench_t *b)
{
    int64_t end = b->mono + STEP;
    while (b->mono < end) {
        int64_t wait = broker_deadline(b->broker) - b->mono;
        if (wait > 0) b->wall += wait > end - b->mono ? end - b->mono : wait;
        if (wait > 0) b->mono += wait > end - b->mono ? end - b->mono : wait;
        tick(b);
    }
    for (int m = 0; m < MINERS; m++) {
        report(b, m);
        if ((b->mono / STEP + m) % 10) continue;
        wire_heartbeat_t beat = {.running = 10};
        say(b, m, WIRE_TYPE_HEARTBEAT, &beat);
    }
}

static void join(bench_t *b)
{
    for (int m = 0; m < MINERS; m++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", m);
        wire_ready_t r = {
            .version = WIRE_VERSION, .miner = name, .incarnation = (uint64_t)m + 1, .slots = 100};
        wire_inventory_t inv = {.last = true};
        say(b, m, WIRE_TYPE_READY, &r);
        say(b, m, WIRE_TYPE_INVENTORY, &inv);
    }
}

static int64_t mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void command(bench_t *b, const char *name, wire_arg_t *args, size_t n)
{
    wire_request_t r = {.id = 1, .command = name, .args = {args, n}};
    say(b, MINERS, WIRE_TYPE_REQUEST, &r);
    for (int i = 0; i < 1000; i++) tick(b);
}

// What a command of rtm-ctl takes at most, with the ticks after it that go on with it, us.
static int64_t command_us(bench_t *b)
{
    static const wire_arg_t asked[][4] = {{{"", "list"}},
                                          {{"", "sources"}},
                                          {{"", "sources"}, {"cursor", "t50:9000"}},
                                          {{"", "miners"}},
                                          {{"", "status"}},
                                          {{"", "next"}, {"limit", "1000"}},
                                          {{"", "gaps"}},
                                          {{"", "trigger"}, {"name", "t1"}, {"front", "1"}},
                                          {{"", "tasks"}},
                                          {{"", "dlq"}, {"action", "list"}},
                                          {{"", "refetch"}, {"all", "1"}},
                                          {{"", "disable"}, {"name", "t1"}},
                                          {{"", "enable"}, {"name", "t1"}},
                                          {{"", "remove"}, {"name", "t1"}}};
    size_t n = b->n_pages < URLS ? b->n_pages : URLS;
    char *json = make_template("t0", 0, n);
    char *other = NULL; // the same with another text
    CHECK(asprintf(&other, "%s ", json) > 0);
    wire_arg_t add[] = {{"template", other}, {"replace", "1"}};
    b->longest_us = 0;
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        wire_arg_t args[3];
        size_t k = 0;
        for (; k < 3 && asked[i][k + 1].name; k++) args[k] = asked[i][k + 1];
        command(b, asked[i][0].value, args, k);
    }
    command(b, "add", add, 2);
    free(other);
    free(json);
    return b->longest_us;
}

// What a task costs among 100,000 that wait, all with deadlines, in us: to put it in and to take it out
// again.
static double task_us(void)
{
    enum { TASKS = 100000, ROUNDS = 5 };
    static turn_t turns[TASKS];
    uint64_t random = 1;
    int64_t ns = 0;
    turns_t queue;
    turns_init(&queue, 600000);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t before = mono_ns();
        for (int i = 0; i < TASKS; i++) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            int64_t at = (int64_t)(random >> 44);
            turns_put(&queue, &turns[i], (priority_t)(random >> 33 & 3), at,
                      at + 1000 + (int64_t)(random >> 40 & 0xffff), false);
        }
        for (int64_t now = 0; queue.count; now += 100)
            while (turns_pop(&queue, now)) continue;
        ns += mono_ns() - before;
    }
    turns_free(&queue);
    return (double)ns / 1000 / TASKS / ROUNDS;
}

int main(int argc, char **argv)
{
    if (argc != 4) return 2;
    bench_t *b = xcalloc(1, sizeof *b);
    log_set_level(LOG_LEVEL_WARN);
    b->n_pages = strtoul(argv[2], NULL, 10);
    int slots = atoi(argv[3]);
    b->pages = xcalloc(b->n_pages, sizeof *b->pages);
    b->arena = arena_new(64 << 20);
    buf_init(&b->out, MAX_CONTROL_MESSAGE);
    b->mono = 1000;
    b->base = b->wall = 1800000000000;
    fill_store(b, argv[1]);
    int64_t before = rss_kib();
    start(b);
    int64_t after = rss_kib();
    join(b);
    for (int i = 0; i < (SETTLE + 1) * SLOT / STEP; i++) step(b); // catches up, then one whole slot
    int64_t joined_us = b->longest_us, process = cpu_us(CLOCK_PROCESS_CPUTIME_ID),
            thread = cpu_us(CLOCK_THREAD_CPUTIME_ID);
    b->cpu_ms = 0;
    b->longest_us = 0;
    b->dues = b->outcomes = b->messages = 0;
    for (int i = 0; i < slots * SLOT / STEP; i++) step(b);
    int64_t main_us = cpu_us(CLOCK_THREAD_CPUTIME_ID) - thread;
    store_close(&b->store);
    double store_ms = (double)(cpu_us(CLOCK_PROCESS_CPUTIME_ID) - process - main_us) / 1000;
    broker_counts_t c = broker_counts(b->broker);
    int64_t tick_us = b->longest_us;
    double state_ms = b->cpu_ms;
    printf("{\"sources\": %zu, \"core_share\": %.4f, \"state_ms\": %.0f, \"store_ms\": %.0f, "
           "\"bytes_per_source\": %lld, "
           "\"max_tick_ms\": %.1f, \"max_joining_tick_ms\": %.1f, \"max_command_ms\": %.1f, \"dues\": %llu, "
           "\"outcomes\": %llu, "
           "\"messages\": %llu, "
           "\"skipped\": %llu, \"stored\": %llu, \"task_us\": %.2f}\n",
           b->n_pages, (state_ms + store_ms) / slots / SLOT, state_ms / slots, store_ms / slots,
           (long long)((after - before) * 1024 / (int64_t)b->n_pages), (double)tick_us / 1000,
           (double)joined_us / 1000, (double)command_us(b) / 1000, (unsigned long long)b->dues,
           (unsigned long long)b->outcomes, (unsigned long long)b->messages, (unsigned long long)c.skipped,
           (unsigned long long)c.stored, task_us());
    return 0;
}
