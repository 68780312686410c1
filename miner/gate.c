// Gate: see the header for the way of a visit.
#include "miner/gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/map.h"
#include "miner/read/robots.h"
#include "miner/robots_cache.h"
#include "miner/secrets.h"

enum {
    ROBOTS_TIMEOUT_MS = 10000,
    ROBOTS_GAP_MS = 1000, // what follows it waits no longer, as it is asked for once a day
};

// A robots.txt that is being fetched.
typedef struct {
    visit_t visit; // first
    uint64_t origin;
    visit_t *waiting;
    char url[MAX_URL]; // of the file, before redirects
    bool insecure, tls13;
    char *ca; // file, or NULL
} errand_t;

struct gate {
    gate_options_t options;
    polite_t *polite;
    fetch_t *fetch;
    robots_cache_t *robots;
    map_t errands; // origin -> errand_t
    visit_t *refused;
    size_t transfers; // under way
    uint64_t random;
    gate_counts_t counts;
};

// -- lists of visits ------------------------------------------------------------------------------

static void hang(visit_t *v, visit_t **list, visit_state_t state)
{
    v->state = state;
    v->list = list;
    v->previous = NULL;
    v->next = *list;
    if (*list) (*list)->previous = v;
    *list = v;
}

static void unhang(visit_t *v)
{
    if (v->previous)
        v->previous->next = v->next;
    else
        *v->list = v->next;
    if (v->next) v->next->previous = v->previous;
    v->list = NULL;
    v->next = v->previous = NULL;
}

void visit_free(visit_t *v)
{
    free(v->url);
    free(v->refusal.text);
    v->url = v->refusal.text = NULL;
    v->state = VISIT_OUT;
}

void visit_explain(visit_t *v, const char *text)
{
    free(v->refusal.text);
    v->refusal.text = xstrdup(text);
}

static void refuse(gate_t *g, visit_t *v, error_class_t error, long status, uint64_t retry_after_s)
{
    hang(v, &g->refused, VISIT_REFUSED);
    v->refusal.error = error;
    v->refusal.status = status;
    v->refusal.retry_after_s = retry_after_s;
}

static unsigned jitter(gate_t *g)
{
    g->random = g->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(g->random >> 33) % 1000;
}

// -- to the host ----------------------------------------------------------------------------------

static void queue(gate_t *g, visit_t *v, int64_t gap)
{
    int64_t now = clock_mono_ms();
    if (polite_is_backed_off(g->polite, v->host, now)) {
        refuse(g, v, ERR_host_backoff, 0, 0);
        return;
    }
    v->state = VISIT_AT_HOST;
    v->ticket.concurrency = v->concurrency;
    v->ticket.gap = gap > v->gap ? gap : v->gap;
    v->ticket.priority = v->priority;
    polite_enter(g->polite, &v->ticket, v->host, v->due, now);
}

// Whom to trust is what the first visitor's template says. -1: it says a file that is not there.
static int trust(gate_t *g, errand_t *e, visit_t *first)
{
    char path[4096], text[200];
    const char *why;
    if (e->origin != first->home) return 0; // it says nothing of others
    e->insecure = first->how->insecure;
    e->tls13 = first->how->tls13;
    if (!first->how->ca) return 0;
    if (secrets_path(g->options.fetch.secrets, first->how->ca, path, sizeof path, &why) == 0) {
        e->ca = xstrdup(path);
        return 0;
    }
    snprintf(text, sizeof text, "secret \"%.100s\": %s", first->how->ca, why);
    visit_explain(first, text);
    return -1;
}

// Fetches the robots.txt for the URL of first, which pays for it with its politeness. NULL: it cannot be
// asked for.
static errand_t *send_errand(gate_t *g, visit_t *first)
{
    errand_t *e = xcalloc(1, sizeof *e);
    e->origin = first->origin;
    if (trust(g, e, first) != 0) {
        free(e);
        return NULL;
    }
    CHECK(robots_cache_url(first->url, e->url) == 0); // see go
    e->visit = (visit_t){.gate = g,
                         .own = true,
                         .ignore_robots = true,
                         .url = xstrdup(e->url),
                         .host = first->host,
                         .origin = first->origin,
                         .concurrency = first->concurrency,
                         .gap = first->gap < ROBOTS_GAP_MS ? first->gap : ROBOTS_GAP_MS,
                         .priority = PRIORITY_CRITICAL, // others may wait for it
                         .due = first->due};
    map_put(&g->errands, e->origin, e);
    g->counts.robots++;
    queue(g, &e->visit, 0);
    return e;
}

static void ask_robots(gate_t *g, visit_t *v)
{
    robots_verdict_t verdict = {.answer = ROBOTS_ALLOWED};
    if (!v->ignore_robots) verdict = robots_cache_ask(g->robots, v->origin, v->url, clock_mono_ms());
    errand_t *e = NULL;
    if (verdict.answer == ROBOTS_UNKNOWN || verdict.renew) {
        e = map_get(&g->errands, v->origin);
        if (!e) e = send_errand(g, v);
    }
    switch (verdict.answer) {
    case ROBOTS_ALLOWED: queue(g, v, verdict.gap_ms); break;
    case ROBOTS_FORBIDDEN: refuse(g, v, ERR_robots, 0, 0); break;
    case ROBOTS_UNREACHABLE:
        refuse(g, v, verdict.status >= 500 ? ERR_robots : verdict.error, verdict.status, 0);
        break;
    case ROBOTS_UNKNOWN:
        if (e)
            hang(v, &e->waiting, VISIT_AT_ROBOTS);
        else
            refuse(g, v, ERR_no_secret, 0, 0);
        break;
    }
}

static void locate(visit_t *v)
{
    v->host = polite_host(v->url);
    v->origin = robots_cache_origin_at(v->host, v->url);
}

static void go(gate_t *g, visit_t *v)
{
    char robots[MAX_URL];
    if (robots_cache_url(v->url, robots))
        refuse(g, v, v->hops ? ERR_redirects : ERR_bad_url, 0, 0);
    else
        ask_robots(g, v);
}

void gate_enter(gate_t *g, visit_t *v, const visit_ops_t *ops, const char *url, const char *home,
                const template_t *t, priority_t priority, int64_t due)
{
    CHECK(v->state == VISIT_OUT);
    *v = (visit_t){.gate = g,
                   .ops = ops,
                   .url = xstrdup(url),
                   .due = due,
                   .priority = priority,
                   .ignore_robots = t->ignore_robots,
                   .concurrency = t->host_concurrency,
                   .gap = t->host_gap_ms,
                   .how = &t->request};
    locate(v);
    v->home = strcmp(home, url) ? robots_cache_origin(home) : v->origin;
    go(g, v);
}

void gate_set_patience(gate_t *g, int64_t patience)
{
    polite_set_patience(g->polite, patience);
}

void gate_release(gate_t *g, visit_t *v)
{
    if (v->released) return;
    v->released = true;
    polite_leave(g->polite, &v->ticket, clock_mono_ms());
    g->transfers--;
}

bool gate_take_back(gate_t *g, visit_t *v)
{
    if (v->state == VISIT_OUT || v->state == VISIT_RUNNING || v->hops) return false;
    gate_cancel(g, v);
    return true;
}

void gate_cancel(gate_t *g, visit_t *v)
{
    if (v->state == VISIT_RUNNING) {
        fetch_cancel(g->fetch, v->transfer);
        gate_release(g, v);
    } else if (v->state == VISIT_AT_HOST)
        polite_leave(g->polite, &v->ticket, clock_mono_ms());
    else if (v->state != VISIT_OUT)
        unhang(v);
    visit_free(v);
}

// -- back-off -------------------------------------------------------------------------------------

// What waits for the host is given up.
static void evict(gate_t *g, uint64_t host)
{
    for (polite_ticket_t *t; (t = polite_evict(g->polite, host, clock_mono_ms()));)
        refuse(g, (visit_t *)t, ERR_host_backoff, 0, 0);
}

void gate_back_off(gate_t *g, uint64_t host, int64_t until)
{
    int64_t now = clock_mono_ms();
    if (until <= now) {
        polite_lift(g->polite, host, now);
        return;
    }
    polite_back_off(g->polite, host, until, now);
    evict(g, host);
}

bool gate_is_backed_off(const gate_t *g, const char *url)
{
    return polite_is_backed_off(g->polite, polite_host(url), clock_mono_ms());
}

// The answer asks to be left alone.
static bool is_strike(const fetch_result_t *result)
{
    return (result->status == 429 && result->error == ERR_rate_limited) ||
           (result->status == 503 && (result->error == ERR_rate_limited || result->error == ERR_http_5xx));
}

// What an answer says of its host.
static void judge_host(gate_t *g, const visit_t *v, fetch_result_t *result)
{
    int64_t now = clock_mono_ms();
    uint64_t host = v->host;
    if (!is_strike(result)) {
        if (result->status && result->status < 500) polite_calm(g->polite, host, now);
        return;
    }
    int64_t asked = (int64_t)result->retry_after_s * 1000;
    bool before = polite_is_backed_off(g->polite, host, now);
    int64_t span = polite_strike(g->polite, host, asked, jitter(g), now);
    result->retry_after_s = (uint64_t)(span + 999) / 1000;
    evict(g, host);
    if (before) return;
    g->counts.backoffs++;
    log_warn("host_backoff", "url=\"%s\" status=%ld ms=%lld", v->url, result->status, (long long)span);
    g->options.backed_off(g->options.context, v->url, now + span, v->ops && v->ops->reports);
}

// -- robots.txt comes -----------------------------------------------------------------------------

static void errand_free(errand_t *e)
{
    visit_free(&e->visit);
    free(e->ca);
    free(e);
}

static void finish_errand(gate_t *g, errand_t *e, const fetch_result_t *result)
{
    bool limited = result->error == ERR_host_backoff || is_strike(result);
    map_del(&g->errands, e->origin);
    if (!limited || result->status == 429)
        robots_cache_put(g->robots, e->origin, result->error, result->status, result->body, result->len,
                         jitter(g), clock_mono_ms());
    visit_t *v = e->waiting;
    while (v && v->next) v = v->next; // who came first goes first
    for (visit_t *next; v; v = next) {
        next = v->previous;
        unhang(v);
        if (limited)
            refuse(g, v, result->error, result->status, result->retry_after_s);
        else
            ask_robots(g, v);
    }
    log_debug("robots", "url=\"%s\" error=%s status=%ld bytes=%zu", e->url, error_class_name(result->error),
              result->status, result->len);
    errand_free(e);
}

// -- results --------------------------------------------------------------------------------------

static void tell(gate_t *g, visit_t *v, const fetch_result_t *result)
{
    if (v->own) {
        finish_errand(g, (errand_t *)v, result);
        return;
    }
    char *url = v->url, *text = v->refusal.text; // result may name them
    v->url = v->refusal.text = NULL;
    v->state = VISIT_OUT;
    v->ops->done(v, result, v->hops && !v->temporary);
    free(url);
    free(text);
}

// Sends v after a redirect. false: there is none to follow.
static bool follow(gate_t *g, visit_t *v, const fetch_result_t *result)
{
    if (!result->redirect || v->hops == MAX_REDIRECTS || strlen(result->redirect) > MAX_URL) return false;
    if (result->status != 301 && result->status != 308) v->temporary = true;
    if (fetch_redirect_is_get(result->status, v->post)) v->get = true;
    free(v->url);
    v->url = xstrndup(result->redirect, strcspn(result->redirect, "#"));
    v->hops++;
    locate(v);
    go(g, v);
    return true;
}

static void on_fetched(void *owner, const fetch_result_t *fetched)
{
    visit_t *v = owner;
    gate_t *g = v->gate;
    fetch_result_t result = *fetched;
    gate_release(g, v);
    result.url = v->url; // as it was asked for
    judge_host(g, v, &result);
    if (!follow(g, v, &result)) tell(g, v, &result);
}

// -- loop -----------------------------------------------------------------------------------------

static error_class_t start_errand(const errand_t *e, fetch_request_t *request)
{
    bool own = e->visit.origin == e->origin; // a redirect may lead elsewhere
    request->insecure = own && e->insecure;
    request->tls13 = e->tls13;
    request->ca = own ? e->ca : NULL;
    request->timeout_ms = ROBOTS_TIMEOUT_MS;
    request->cut_at = ROBOTS_MAX_BYTES + 1; // one more says that there is more
    return ERR_none;
}

static void start(gate_t *g, visit_t *v)
{
    fetch_request_t request = {.url = v->url, .foreign = v->origin != v->home};
    v->state = VISIT_RUNNING;
    v->released = false;
    error_class_t error = v->own ? start_errand((errand_t *)v, &request) : v->ops->start(v, &request);
    if (error != ERR_none) {
        polite_leave(g->polite, &v->ticket, clock_mono_ms());
        refuse(g, v, error, 0, 0);
        return;
    }
    if (v->get) request.method = request.body = NULL;
    v->post = request.method ? !strcmp(request.method, "POST") : request.body != NULL;
    g->transfers++;
    v->transfer = fetch_start(g->fetch, &request, on_fetched, v);
}

static const char *refusal_text(const visit_t *v, char text[80])
{
    error_class_t error = v->refusal.error;
    long status = v->refusal.status;
    if (error == ERR_no_secret && v->refusal.text) return v->refusal.text;
    if (error == ERR_robots && !status) return "robots.txt does not allow it";
    if (error == ERR_host_backoff) return "the host is not to be asked now";
    if (error == ERR_bad_url || error == ERR_redirects) return "no URL that can be fetched";
    if (status)
        snprintf(text, 80, "robots.txt cannot be had: HTTP %ld", status);
    else
        snprintf(text, 80, "robots.txt cannot be had: %.40s", error_class_name(error));
    return text;
}

static void tell_refused(gate_t *g)
{
    size_t n = 0;
    for (const visit_t *v = g->refused; v; v = v->next) n++;
    // Those that become refused meanwhile are told the next time.
    for (visit_t *v; n > 0 && (v = g->refused); n--) {
        unhang(v);
        char text[80];
        fetch_result_t result = {.error = v->refusal.error,
                                 .status = v->refusal.status,
                                 .retry_after_s = v->refusal.retry_after_s,
                                 .detail = refusal_text(v, text),
                                 .url = v->url,
                                 .etag = "",
                                 .last_modified = ""};
        tell(g, v, &result);
    }
}

void gate_run(gate_t *g)
{
    int64_t now = clock_mono_ms();
    polite_ticket_t *ticket;
    tell_refused(g);
    while (g->transfers < g->options.slots && (ticket = polite_next(g->polite, now)))
        start(g, (visit_t *)ticket);
}

void gate_wait(gate_t *g, int64_t until)
{
    if (g->transfers < g->options.slots && polite_wake(g->polite) < until) until = polite_wake(g->polite);
    if (g->refused) until = 0;
    fetch_wait(g->fetch, until == INT64_MAX ? INT64_MAX : until - clock_mono_ms());
}

gate_t *gate_new(const gate_options_t *options)
{
    gate_t *g = xcalloc(1, sizeof *g);
    g->options = *options;
    g->polite = polite_new();
    g->fetch = fetch_new(&options->fetch, options->watched);
    g->robots = robots_cache_new();
    g->random = (uint64_t)clock_mono_us();
    map_init(&g->errands);
    return g;
}

void gate_destroy(gate_t **gate)
{
    gate_t *g = *gate;
    if (!g) return;
    fetch_destroy(&g->fetch);
    size_t pos = 0;
    for (errand_t *e; (e = map_next(&g->errands, &pos));) {
        errand_free(e);
    }
    map_free(&g->errands);
    polite_destroy(&g->polite);
    robots_cache_destroy(&g->robots);
    free(g);
    *gate = NULL;
}

const char *gate_secrets(const gate_t *g)
{
    return g->options.fetch.secrets;
}

fetch_t *gate_fetch(gate_t *g)
{
    return g->fetch;
}

gate_counts_t gate_counts(const gate_t *g)
{
    gate_counts_t counts = g->counts;
    counts.fetch = fetch_counts(g->fetch);
    return counts;
}
