// needs: broker proto common
// The broker among miners that say whatever they like, and commands at any moment: seeded worlds, in which
// its books must agree after every step.
#include "tests/unit/broker_world.h"

enum { WORLDS = 60, STEPS = 700, PEERS = 4, TEMPLATES = 6, MOST_IDS = 64, MOST_DUES = 256 };

static uint64_t state_;

static uint64_t dice(uint64_t n) // splitmix64
{
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return (z ^ (z >> 31)) % n;
}

static uint64_t ids[MOST_IDS];
static size_t n_ids;
static struct {
    uint64_t source;
    int64_t due;
} dues[MOST_DUES]; // that were given out lately
static size_t n_dues, scanned;

static void scan(world_t *w)
{
    for (; scanned < w->n_sent; scanned++) {
        if (w->sent[scanned].type != WIRE_TYPE_ASSIGN) continue;
        const wire_assign_t *a = w->sent[scanned].message;
        for (size_t i = 0; i < a->dues.n; i++) {
            dues[n_dues % MOST_DUES].source = a->dues.v[i].source;
            dues[n_dues++ % MOST_DUES].due = a->slot_start + a->dues.v[i].offset;
        }
    }
}

// The place of one of the last few that were given out.
static size_t latest(size_t few)
{
    return (n_dues - 1 - dice(n_dues < few ? n_dues : few)) % MOST_DUES;
}

static uint64_t id(void)
{
    return dice(8) ? ids[dice(n_ids)] : dice(3) ? dice(1000) : UINT64_MAX;
}

static int64_t at(const world_t *w)
{
    static const int64_t odd[] = {0, 1, -1, INT64_MIN, INT64_MAX, INT64_MIN + 1, 1LL << 40, -(1LL << 50)};
    if (dice(4) && n_dues) return dues[latest(MOST_DUES)].due;
    return dice(2) ? odd[dice(sizeof odd / sizeof odd[0])] : w->now.wall + (int64_t)dice(300000) - 150000;
}

static uint64_t number(uint64_t usual)
{
    return dice(6) ? dice(usual) : dice(2) ? UINT64_MAX : dice(1ULL << 40);
}

static void say_ready(world_t *w, uint64_t peer)
{
    static const char *const names[] = {"m1", "m2", "m3", "another", "", "\xff"};
    wire_ready_t r = {.version = number(2) ? 1 : number(3),
                      .miner = names[dice(12) ? (peer - 1) % 3 : dice(6)],
                      .incarnation = 1 + dice(3) / 2,
                      .software = "",
                      .slots = number(100),
                      .workers = number(9)};
    say(w, peer, WIRE_TYPE_READY, &r);
}

// The version of source's template that was sent last, 0: none.
static uint64_t stamp_of(world_t *w, uint64_t source)
{
    const wire_source_t *s = defined(w, source);
    for (size_t i = w->n_sent; s && i-- > 0;) {
        if (w->sent[i].type != WIRE_TYPE_ASSIGN) continue;
        const wire_assign_t *a = w->sent[i].message;
        for (size_t k = 0; k < a->templates.n; k++)
            if (a->templates.v[k].id == s->template_id) return a->templates.v[k].version;
    }
    return 0;
}

static void say_inventory(world_t *w, uint64_t peer)
{
    wire_holding_t rows[8];
    size_t n = dice(9);
    for (size_t i = 0; i < n; i++) {
        rows[i] = (wire_holding_t){.source = id(), .done = at(w), .held = at(w), .running = !dice(3)};
        rows[i].version = dice(4) ? stamp_of(w, rows[i].source) : number(3);
    }
    wire_inventory_t m = {.holdings = {rows, n}, .last = dice(4) > 0};
    say(w, peer, WIRE_TYPE_INVENTORY, &m);
}

static void say_outcomes(world_t *w, uint64_t peer)
{
    wire_outcome_t rows[6];
    size_t n = 1 + dice(6);
    for (size_t i = 0; i < n; i++) {
        rows[i] = (wire_outcome_t){.seq = ++seqs[peer],
                                   .kind = number(4),
                                   .source = id(),
                                   .due = at(w),
                                   .result = number(RESULT_COUNT),
                                   .error = number(ERR_COUNT),
                                   .status = dice(2) ? 503 : number(600),
                                   .items = number(50),
                                   .fresh = number(50),
                                   .started = at(w),
                                   .took_ms = number(5000),
                                   .retry_after_s = dice(5) ? 0 : number(100),
                                   .has_state = dice(2),
                                   .etag = dice(2) ? "\"e\"" : "",
                                   .last_modified = "",
                                   .fetch_url = "",
                                   .memory = dice(2) ? "items=3" : "",
                                   .detail = dice(3) ? "" : "caf\xe9",
                                   .last_ok = at(w),
                                   .generation = number(2),
                                   .cause = number(12),
                                   .attempt = number(4),
                                   .continuity = number(4),
                                   .gap_since = dice(4) ? 0 : at(w),
                                   .gap_reason = number(8),
                                   .gap_found = number(9)};
        size_t k = n_dues ? latest(24) : 0;
        if (n_dues && dice(3)) rows[i].source = dues[k].source, rows[i].due = dues[k].due;
        const wire_source_t *s = defined(w, rows[i].source);
        if (s && dice(4)) rows[i].generation = s->generation;
    }
    if (!dice(30)) rows[0].seq = 1; // again
    wire_outcomes_t m = {.outcomes = {rows, n}};
    say(w, peer, WIRE_TYPE_OUTCOMES, &m);
}

static void say_ids(world_t *w, uint64_t peer, bool goodbye)
{
    uint64_t sources[8], running[4];
    size_t n = dice(9), n_running = dice(5);
    for (size_t i = 0; i < n; i++) sources[i] = id();
    for (size_t i = 0; i < n_running; i++) running[i] = dice(2) && n ? sources[dice(n)] : id();
    wire_revoked_t r = {.sources = {sources, n}, .running = {running, n_running}, .number = number(1000)};
    wire_goodbye_t g = {.done = !dice(3), .running = {running, n_running}, .reason = ""};
    if (dice(2)) r.number = UINT64_MAX;
    if (goodbye)
        say(w, peer, WIRE_TYPE_GOODBYE, &g);
    else
        say(w, peer, WIRE_TYPE_REVOKED, &r);
}

static void say_rest(world_t *w, uint64_t peer)
{
    static const char *const hosts[] = {"h0.example", "h1.example:80", "h2.example:443", "", "[::1", ":",
                                        "x"};
    wire_host_t host = {.host = hosts[dice(7)], .backoff_ms = dice(3) ? (int64_t)dice(5000) : at(w)};
    wire_backoff_t b = {.hosts = {&host, 1}};
    wire_heartbeat_t h = {.state = number(4), .running = number(9), .cpu = number(1000), .heard_ms = at(w)};
    wire_error_t e = {.code = number(500), .text = "\x1b[2J"};
    switch (dice(4)) {
    case 0: say(w, peer, WIRE_TYPE_BACKOFF, &b); break;
    case 1: say(w, peer, WIRE_TYPE_ERROR, &e); break;
    default: say(w, peer, WIRE_TYPE_HEARTBEAT, &h);
    }
}

static void say_something(world_t *w)
{
    uint64_t peer = 1 + dice(PEERS - 1);
    switch (dice(12)) {
    case 0: say_ready(w, peer); break;
    case 1:
    case 2: say_inventory(w, peer); break;
    case 3:
        if (dice(2)) say_ids(w, peer, !dice(6));
        break;
    case 4:
    case 5: say_rest(w, peer); break;
    case 6:
        if (!dice(8)) broker_unreachable(w->broker, w->now, peer);
        break;
    default: say_outcomes(w, peer);
    }
}

// Now and then they do what they should, or nothing would happen.
static void let_time_pass(world_t *w)
{
    for (uint64_t peer = 1; peer < PEERS; peer++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", (int)peer);
        if (broker_counts(w->broker).miners < 2 && dice(2)) {
            ready(w, peer, name, 1);
            inventory(w, peer, NULL, 0);
        }
        if (dice(4)) beat(w, peer);
    }
    pass(w, 1 + (int64_t)dice(dice(9) ? 800 : 8000));
}

static const char *const more[TEMPLATES] = {
    ", \"every\": \"10s\", \"max_consecutive_failures\": 2",
    ", \"every\": \"10s\", \"max_concurrent\": 1",
    ", \"every\": \"20s\", \"depends_on\": \"t0\", \"priority\": \"high\"",
    ", \"mode\": \"continuous\"",
    ", \"mode\": \"triggered\"",
    ", \"every\": \"15s\", \"blocks\": \"t1\", \"deadline\": \"5s\"",
};

static void do_something(world_t *w)
{
    static const char *const commands[] = {"trigger", "trigger", "enable",  "disable", "release", "explain",
                                           "remove",  "replay",  "refetch", "next",    "tasks",   "sources",
                                           "dlq",     "cancel",  "miners",  "status",  "drain",   "gaps"};
    char name[24], digits[24];
    int t = (int)dice(TEMPLATES);
    snprintf(name, sizeof name, "t%d", t);
    if (!dice(3)) {
        add(w, name, 1 + (int)dice(4), more[dice(4) ? t : (int)dice(TEMPLATES)], true);
        return;
    }
    const char *what = commands[dice(sizeof commands / sizeof commands[0])];
    if (dice(3) == 0) snprintf(name, sizeof name, "%016llx", (unsigned long long)id());
    snprintf(digits, sizeof digits, "%lld", (long long)(dice(3) ? (int64_t)dice(20) : at(w)));
    wire_arg_t args[] = {{"name", name},
                         {"source", name},
                         {dice(2) ? "priority" : "front", dice(2) ? "critical" : "1"},
                         {dice(2) ? "in_ms" : "deadline_in_ms", digits},
                         {"id", digits},
                         {"action", dice(2) ? "retry" : "list"},
                         {"limit", digits}};
    command(w, what, args, sizeof args / sizeof args[0]);
}

// Whether operation i is the last one on its template.
static bool is_last(const world_t *w, size_t i)
{
    for (size_t k = i + 1; k < w->n_ops; k++)
        if ((w->ops[k].kind == STORE_TEMPLATE || w->ops[k].kind == STORE_TEMPLATE_GONE) &&
            !strcmp(w->ops[k].name, w->ops[i].name))
            return false;
    return true;
}

// As restart(), of templates that were replaced and removed, too.
static void kill_and_start(world_t *w)
{
    broker_destroy(&w->broker);
    start(w);
    for (size_t i = 0; i < w->n_ops; i++)
        if (w->ops[i].kind == STORE_NUMBER) broker_load_number(w->broker, w->ops[i].name, w->ops[i].number);
    for (size_t i = 0; i < w->n_ops; i++)
        if (w->ops[i].kind == STORE_TEMPLATE && is_last(w, i))
            broker_load_template(w->broker, w->ops[i].name, w->ops[i].text, w->ops[i].number, w->ops[i].flag);
    for (size_t i = 0; i < w->n_ops; i++)
        if (w->ops[i].kind == STORE_SOURCE) broker_load_source(w->broker, &w->ops[i].source);
    for (size_t i = 0; i < w->n_ops; i++) load_record(w, i);
    broker_start(w->broker, w->now);
}

static void nothing_that_is_said_upsets_the_books(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        world_t *w = world_new();
        state_ = seed * 1000003;
        memset(seqs, 0, sizeof seqs);
        n_ids = n_dues = scanned = 0;
        for (int t = 0; t < TEMPLATES; t++) {
            char name[16], url[64];
            snprintf(name, sizeof name, "t%d", t);
            add(w, name, 3, more[t], false);
            for (int i = 0; i < 4; i++) {
                snprintf(url, sizeof url, "http://h%d.example/%s", i, name);
                ids[n_ids++] = source_id(name, url);
            }
        }
        for (int i = 0; i < STEPS; i++) {
            uint64_t what = dice(20);
            if (what < 14)
                say_something(w);
            else if (what < 16)
                do_something(w);
            else
                let_time_pass(w);
            if (!dice(200)) kill_and_start(w);
            scan(w);
            check_books(w);
        }
        check_books(w);
        world_destroy(w);
    }
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_that_is_said_upsets_the_books)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
