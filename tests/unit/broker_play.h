// Broker play: miners that work, around the broker of broker_world.h: what they were given, what they answer.
#ifndef RTM_TESTS_BROKER_PLAY_H
#define RTM_TESTS_BROKER_PLAY_H

#include "tests/unit/broker_world.h"

#define PLAY(f) cmocka_unit_test_setup_teardown(f, begin, teardown)

enum { MOST = 20000, PEERS = 4, STEP = 100 };

// What a miner says of a poll that it was given.
typedef struct {
    int result, error, status;
    int64_t took, retry_after_s;
    bool dies;     // the miner, before it says anything
    bool unstored; // the sink is away
} answer_t;

typedef struct {
    uint64_t source, template, peer, cause, priority;
    int64_t due, at, until, answered; // at: when it was sent, answered: 0 not yet; mono ms
} given_t;

static given_t given[MOST];
static size_t n_given, scanned, n_answered;
static bool alive[PEERS];
static int running, most_running; // polls of the template `watched` at once
static const char *watched;
static answer_t (*answer)(const given_t *g);
static bool go_on; // polls that run when their sources are revoked

// A template with n sources, each on a host of its own that no other template has.
static wire_reply_t *add_apart(world_t *w, const char *name, int n, const char *more)
{
    return add_on(w, name, name, n, more, false);
}

static answer_t fine(const given_t *g)
{
    (void)g;
    return (answer_t){.result = RESULT_unchanged, .took = 300};
}

static bool a_fails; // the template "a", where failing_a answers
static answer_t failing_a(const given_t *g)
{
    if (a_fails && g->template == template_id("a"))
        return (answer_t){.result = RESULT_failed, .error = ERR_parse, .took = 100};
    return fine(g);
}

static int begin(void **state)
{
    setup(state);
    world_t *w = *state;
    n_given = scanned = n_answered = 0;
    running = most_running = 0;
    watched = "";
    answer = fine;
    go_on = a_fails = false;
    memset(alive, 0, sizeof alive);
    pass(w, LIVENESS + 100);
    for (uint64_t p = 1; p < PEERS; p++) {
        char name[8];
        snprintf(name, sizeof name, "m%d", (int)p);
        join(w, p, name);
        alive[p] = true;
    }
    return 0;
}

static uint64_t template_of(world_t *w, uint64_t source)
{
    const wire_source_t *s = defined(w, source);
    return s ? s->template_id : 0;
}

static void take(world_t *w, uint64_t peer, const wire_assign_t *a)
{
    for (size_t k = 0; k < a->dues.n; k++)
        for (uint64_t j = 0; j < a->dues.v[k].count; j++) {
            const wire_due_t *d = &a->dues.v[k];
            assert_true(n_given < MOST);
            given[n_given++] = (given_t){.source = d->source,
                                         .template = template_of(w, d->source),
                                         .peer = peer,
                                         .cause = d->cause,
                                         .priority = d->priority,
                                         .due = a->slot_start + d->offset + (int64_t)(j * d->step),
                                         .until = d->until ? a->slot_start + d->until : 0,
                                         .at = w->now.mono};
        }
}

// True: a poll of it goes on.
static bool drop(const world_t *w, uint64_t peer, uint64_t source)
{
    bool goes_on = false;
    for (size_t i = 0; i < n_given; i++) {
        if (given[i].peer != peer || given[i].source != source || given[i].answered) continue;
        bool runs = go_on && given[i].due <= w->now.wall;
        if (!runs) given[i].answered = -1;
        goes_on = goes_on || runs;
    }
    return goes_on;
}

static void scan(world_t *w)
{
    for (; scanned < w->n_sent; scanned++) {
        const sent_t *s = &w->sent[scanned];
        if (s->peer >= PEERS || !s->peer || !alive[s->peer]) continue;
        if (s->type == WIRE_TYPE_ASSIGN) take(w, s->peer, s->message);
        if (s->type != WIRE_TYPE_REVOKE) continue;
        const wire_revoke_t *r = s->message;
        uint64_t *going = xcalloc(r->sources.n + 1, sizeof *going);
        wire_revoked_t back = {.sources = r->sources, .running.v = going, .number = r->number};
        for (size_t i = 0; i < r->sources.n; i++)
            if (drop(w, s->peer, r->sources.v[i])) going[back.running.n++] = r->sources.v[i];
        say(w, s->peer, WIRE_TYPE_REVOKED, &back);
        free(going);
    }
}

static void report(world_t *w, given_t *g, const answer_t *a)
{
    wire_outcome_t row = {.seq = ++seqs[g->peer],
                          .kind = a->unstored ? OUTCOME_POLLED : OUTCOME_BOTH,
                          .source = g->source,
                          .due = g->due,
                          .result = (uint64_t)a->result,
                          .error = (uint64_t)a->error,
                          .status = (uint64_t)a->status,
                          .retry_after_s = (uint64_t)a->retry_after_s,
                          .took_ms = (uint64_t)a->took,
                          .last_ok = a->result <= RESULT_not_modified ? g->due : 0,
                          .detail = "as the test said"};
    wire_outcomes_t o = {0};
    o.outcomes.v = &row, o.outcomes.n = 1;
    g->answered = w->now.mono;
    n_answered++;
    say(w, g->peer, WIRE_TYPE_OUTCOMES, &o);
}

// Everybody beats and works for a while.
static void play(world_t *w, int64_t ms)
{
    for (int64_t t = 0; t < ms; t += STEP) {
        if (w->now.mono / BEAT != (w->now.mono - STEP) / BEAT)
            for (uint64_t p = 1; p < PEERS; p++)
                if (alive[p]) beat(w, p);
        pass(w, STEP);
        scan(w);
        int now_running = 0;
        for (size_t i = 0; i < n_given; i++) {
            given_t *g = &given[i];
            if (g->answered || !alive[g->peer] || g->due > w->now.wall) continue;
            answer_t a = answer(g);
            if (a.dies) {
                alive[g->peer] = false;
                continue;
            }
            bool mine = g->template == template_id(watched);
            int64_t since =
                g->due > w->now.wall - (w->now.mono - g->at) ? w->now.wall - g->due : w->now.mono - g->at;
            if (since >= a.took)
                report(w, g, &a);
            else
                now_running += mine;
        }
        scan(w);
        running = now_running;
        if (running > most_running) most_running = running;
    }
}

static void revive(world_t *w)
{
    static uint64_t incarnation = 100000;
    for (uint64_t p = 1; p < PEERS; p++) {
        if (alive[p]) continue;
        char name[8];
        snprintf(name, sizeof name, "m%d", (int)p);
        for (size_t i = 0; i < n_given; i++)
            if (given[i].peer == p && !given[i].answered) given[i].answered = -1;
        ready(w, p, name, ++incarnation);
        seqs[p] = 0;
        alive[p] = true;
        inventory(w, p, NULL, 0);
    }
}

static size_t count(const char *template, int cause)
{
    size_t n = 0;
    for (size_t i = 0; i < n_given; i++)
        n += given[i].answered > 0 && given[i].template == template_id(template) &&
             (cause < 0 || given[i].cause == (uint64_t)cause);
    return n;
}

static yyjson_doc *ask(world_t *w, const char *name, wire_arg_t *args, size_t n)
{
    wire_reply_t *r = command(w, name, args, n);
    if (r->code) fail_msg("%s: %s", name, r->message);
    yyjson_doc *doc = yyjson_read(r->json, strlen(r->json), 0);
    assert_non_null(doc);
    return doc;
}

static const char *cell(yyjson_val *row, const char *name)
{
    const char *text = yyjson_get_str(yyjson_obj_get(row, name));
    return text ? text : "";
}

// Whether explain's reasons for the one source of template hold text.
static bool explains(world_t *w, const char *template, const char *text)
{
    wire_arg_t args[] = {{"source", template}};
    yyjson_doc *doc = ask(w, "explain", args, 1);
    yyjson_val *why = yyjson_obj_get(yyjson_doc_get_root(doc), "why"), *line;
    size_t i, n;
    bool found = false;
    yyjson_arr_foreach(why, i, n, line) found |= strstr(yyjson_get_str(line), text) != NULL;
    if (!found) {
        char *json = yyjson_val_write(why, 0, NULL);
        fprintf(stderr, "%s: no \"%s\" in %s\n", template, text, json);
        free(json);
    }
    yyjson_doc_free(doc);
    return found;
}

static size_t letters(world_t *w, const char *kind)
{
    wire_arg_t args[] = {{"action", "list"}};
    yyjson_doc *doc = ask(w, "dlq", args, 1);
    yyjson_val *row;
    size_t i, n, found = 0;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), i, n, row) found += !strcmp(cell(row, "kind"), kind);
    yyjson_doc_free(doc);
    return found;
}

#endif
