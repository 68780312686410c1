// Polite: hosts that could start something stand in a heap by the time they may; a host without work stays
// only until its gap has passed.
#include "miner/polite.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"
#include "common/map.h"
#include "proto/limits.h"

enum {
    MAX_REMEMBERED = 1 << 17, // hosts; with more, idle ones are not backed off
    FIRST_PENALTY_MS = 60000,
};

struct polite_host {
    heap_node_t ready; // in polite.ready
    heap_t queue;      // tickets that wait, by due
    uint64_t id;
    uint32_t running;
    int64_t next_start; // monotonic ms before which nothing starts: the gap
    int64_t blocked;    // the same: back-off
    int64_t penalty;    // ms, of the latest strike without a stated time; 0: it is calm
};

struct polite {
    map_t hosts;  // id -> polite_host_t
    heap_t ready; // hosts by when they may start something (or be forgotten)
};

polite_t *polite_new(void)
{
    polite_t *p = xcalloc(1, sizeof *p);
    map_init(&p->hosts);
    heap_init(&p->ready);
    return p;
}

static void host_free(polite_host_t *h)
{
    heap_free(&h->queue);
    free(h);
}

void polite_destroy(polite_t **polite)
{
    if (!*polite) return;
    size_t pos = 0;
    for (polite_host_t *h; (h = map_next(&(*polite)->hosts, &pos));) host_free(h);
    map_free(&(*polite)->hosts);
    heap_free(&(*polite)->ready);
    free(*polite);
    *polite = NULL;
}

uint64_t polite_host(const char *url)
{
    char host[280] = "";
    const char *at = strstr(url, "://");
    bool tls = !strncasecmp(url, "https", 5);
    at = at ? at + 3 : url;
    size_t len = strcspn(at, "/?#\\"), n = 0;
    const char *user = memrchr(at, '@', len);
    if (user) {
        len -= (size_t)(user + 1 - at);
        at = user + 1;
    }
    if (len > 256) len = 256;
    for (; n < len; n++) host[n] = at[n] >= 'A' && at[n] <= 'Z' ? (char)(at[n] | 0x20) : at[n];
    const char *bracket = memchr(host, ']', n), *from = bracket ? bracket : host;
    if (!memchr(from, ':', n - (size_t)(from - host))) {
        memcpy(host + n, tls ? ":443" : ":80", tls ? 4 : 3);
        n += tls ? 4 : 3;
    }
    return XXH3_64bits(host, n);
}

size_t polite_host_named(const char *name, uint64_t out[2])
{
    char url[MAX_HOST + 16];
    const char *bracket = strchr(name, ']');
    bool has_port = strchr(bracket ? bracket : name, ':') != NULL;
    snprintf(url, sizeof url, "http://%.*s", MAX_HOST, name);
    out[0] = polite_host(url);
    snprintf(url, sizeof url, "https://%.*s", MAX_HOST, name);
    out[1] = polite_host(url);
    return has_port ? 1 : 2;
}

static polite_ticket_t *head(const polite_host_t *h)
{
    heap_node_t *n = heap_min(&h->queue);
    return n ? HEAP_OWNER(n, polite_ticket_t, place) : NULL;
}

static int64_t start_of(const polite_host_t *h)
{
    return h->next_start > h->blocked ? h->next_start : h->blocked;
}

// Until when an idle host is remembered. A strike soon after a back-off's end doubles it.
static int64_t remembered(const polite_host_t *h)
{
    int64_t strikes = h->penalty ? h->blocked + h->penalty : INT64_MIN;
    return strikes > start_of(h) ? strikes : start_of(h);
}

// Puts the host where its state says: in the heap by its next start, or gone.
static void settle(polite_t *p, polite_host_t *h, int64_t now)
{
    const polite_ticket_t *first = head(h);
    if (first && h->running < first->concurrency) {
        // Among hosts that may start at once the one whose due is oldest comes first.
        int64_t at_once = first->place.key < now ? first->place.key : now;
        heap_set(&p->ready, &h->ready, start_of(h) > now ? start_of(h) : at_once);
    } else if (first || h->running) {
        heap_remove(&p->ready, &h->ready);
    } else if (remembered(h) > now) {
        heap_set(&p->ready, &h->ready, remembered(h));
    } else {
        heap_remove(&p->ready, &h->ready);
        map_del(&p->hosts, h->id);
        host_free(h);
    }
}

static polite_host_t *host_of(polite_t *p, uint64_t host)
{
    polite_host_t *h = map_get(&p->hosts, host);
    if (h) return h;
    h = xcalloc(1, sizeof *h);
    h->id = host;
    h->next_start = h->blocked = INT64_MIN;
    heap_init(&h->queue);
    map_put(&p->hosts, host, h);
    return h;
}

void polite_enter(polite_t *p, polite_ticket_t *t, uint64_t host, int64_t due, int64_t now)
{
    polite_host_t *h = host_of(p, host);
    if (t->concurrency == 0) t->concurrency = 1;
    t->host = h;
    t->running = false;
    heap_set(&h->queue, &t->place, due);
    settle(p, h, now);
}

polite_ticket_t *polite_next(polite_t *p, int64_t now)
{
    for (heap_node_t *n; (n = heap_min(&p->ready)) && n->key <= now;) {
        polite_host_t *h = HEAP_OWNER(n, polite_host_t, ready);
        polite_ticket_t *t = head(h);
        if (!t || start_of(h) > now) {
            settle(p, h, now);
            continue;
        }
        heap_remove(&h->queue, &t->place);
        t->running = true;
        h->running++;
        h->next_start = now + t->gap;
        settle(p, h, now);
        return t;
    }
    return NULL;
}

void polite_leave(polite_t *p, polite_ticket_t *t, int64_t now)
{
    polite_host_t *h = t->host;
    if (!h) return;
    t->host = NULL;
    if (t->running)
        h->running--;
    else
        heap_remove(&h->queue, &t->place);
    t->running = false;
    settle(p, h, now);
}

static int64_t block(polite_t *p, polite_host_t *h, int64_t until, int64_t now)
{
    if (until > h->blocked) h->blocked = until;
    until = h->blocked;
    settle(p, h, now);
    return until > now ? until - now : 0;
}

int64_t polite_back_off(polite_t *p, uint64_t host, int64_t until, int64_t now)
{
    if (p->hosts.count >= MAX_REMEMBERED && !map_get(&p->hosts, host)) return 0;
    return block(p, host_of(p, host), until, now);
}

int64_t polite_strike(polite_t *p, uint64_t host, int64_t asked_ms, unsigned jitter, int64_t now)
{
    if (asked_ms > 0) return polite_back_off(p, host, now + asked_ms, now);
    polite_host_t *h = host_of(p, host);
    if (h->blocked > now) return h->blocked - now; // answers to what was asked before do not count again
    h->penalty = h->penalty ? h->penalty * 2 : FIRST_PENALTY_MS;
    if (h->penalty > MAX_BACKOFF) h->penalty = MAX_BACKOFF;
    return block(p, h, now + h->penalty + h->penalty / 4 * jitter / 1000, now);
}

void polite_calm(polite_t *p, uint64_t host, int64_t now)
{
    polite_host_t *h = map_get(&p->hosts, host);
    if (!h || !h->penalty || h->blocked > now) return;
    h->penalty = 0;
    settle(p, h, now);
}

void polite_lift(polite_t *p, uint64_t host, int64_t now)
{
    polite_host_t *h = map_get(&p->hosts, host);
    if (!h) return;
    h->blocked = INT64_MIN;
    h->penalty = 0;
    settle(p, h, now);
}

bool polite_is_backed_off(const polite_t *p, uint64_t host, int64_t now)
{
    const polite_host_t *h = map_get(&p->hosts, host);
    return h && h->blocked > now;
}

polite_ticket_t *polite_evict(polite_t *p, uint64_t host, int64_t now)
{
    polite_host_t *h = map_get(&p->hosts, host);
    polite_ticket_t *t = h ? head(h) : NULL;
    if (t) polite_leave(p, t, now);
    return t;
}

int64_t polite_wake(const polite_t *p)
{
    const heap_node_t *n = heap_min(&p->ready);
    return n ? n->key : INT64_MAX;
}

size_t polite_hosts(const polite_t *p)
{
    return p->hosts.count;
}
