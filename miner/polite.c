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
#include "common/shares.h"
#include "proto/limits.h"

enum {
    MAX_REMEMBERED = 1 << 17, // hosts; with more, idle ones are not backed off
    FIRST_PENALTY_MS = 60000,
};

_Static_assert(SHARE_CLASSES == PRIORITY_CRITICAL + 1, "each priority has its share");

// Among hosts that may start something, a ticket stands as if it had been due so much earlier, ms.
static const int64_t lead[SHARE_CLASSES] = {0, 1000, 3000, 5000};

struct polite_host {
    heap_node_t ready;             // in polite.ready
    heap_t classes[SHARE_CLASSES]; // tickets that wait, by due
    shares_t shares;
    bool aged; // the last start went by age
    uint64_t id;
    uint32_t running;
    int64_t next_start; // monotonic ms before which nothing starts: the gap
    int64_t blocked;    // the same: back-off
    int64_t penalty;    // ms, of the latest strike without a stated time; 0: it is calm
};

struct polite {
    map_t hosts;  // id -> polite_host_t
    heap_t ready; // hosts by when they may start something (or be forgotten)
    int64_t patience;
};

polite_t *polite_new(void)
{
    polite_t *p = xcalloc(1, sizeof *p);
    map_init(&p->hosts);
    heap_init(&p->ready);
    p->patience = INT64_MAX / 2;
    return p;
}

static void host_free(polite_host_t *h)
{
    for (int c = 0; c < SHARE_CLASSES; c++) heap_free(&h->classes[c]);
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

void polite_host_name(const char *url, char host[MAX_HOST + 1])
{
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
    host[n] = 0;
}

uint64_t polite_host(const char *url)
{
    char host[MAX_HOST + 1];
    polite_host_name(url, host);
    return XXH3_64bits(host, strlen(host));
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

void polite_set_patience(polite_t *p, int64_t patience)
{
    p->patience = patience;
}

static polite_ticket_t *first_of(const polite_host_t *h, int class)
{
    heap_node_t *n = heap_min(&h->classes[class]);
    return n ? HEAP_OWNER(n, polite_ticket_t, place) : NULL;
}

static polite_ticket_t *oldest(const polite_host_t *h)
{
    polite_ticket_t *found = NULL;
    for (int c = 0; c < SHARE_CLASSES; c++) {
        polite_ticket_t *t = first_of(h, c);
        if (t && (!found || t->place.key <= found->place.key)) found = t;
    }
    return found;
}

// The ticket whose turn it is; NULL: none waits. aged: it goes by age.
static polite_ticket_t *head(const polite_t *p, const polite_host_t *h, int64_t now, bool *aged)
{
    unsigned wants = 0;
    polite_ticket_t *old = oldest(h);
    if (!old) return NULL;
    *aged = !h->aged && old->place.key + p->patience <= now;
    for (int c = 0; c < SHARE_CLASSES; c++) wants |= (unsigned)(h->classes[c].count > 0) << c;
    return *aged ? old : first_of(h, shares_next(&h->shares, wants));
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
    bool aged;
    const polite_ticket_t *first = head(p, h, now, &aged);
    if (first && h->running < first->concurrency) {
        int64_t at_once = first->place.key - lead[first->priority];
        if (at_once > now) at_once = now;
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
    for (int c = 0; c < SHARE_CLASSES; c++) heap_init(&h->classes[c]);
    map_put(&p->hosts, host, h);
    return h;
}

void polite_enter(polite_t *p, polite_ticket_t *t, uint64_t host, int64_t due, int64_t now)
{
    polite_host_t *h = host_of(p, host);
    if (t->concurrency == 0) t->concurrency = 1;
    t->host = h;
    t->running = false;
    if (!h->classes[t->priority].count) shares_join(&h->shares, (int)t->priority);
    heap_set(&h->classes[t->priority], &t->place, due);
    settle(p, h, now);
}

polite_ticket_t *polite_next(polite_t *p, int64_t now)
{
    for (heap_node_t *n; (n = heap_min(&p->ready)) && n->key <= now;) {
        polite_host_t *h = HEAP_OWNER(n, polite_host_t, ready);
        bool aged;
        polite_ticket_t *t = head(p, h, now, &aged);
        if (!t || start_of(h) > now || h->running >= t->concurrency) { // age may have changed who is first
            settle(p, h, now);
            continue;
        }
        h->aged = aged;
        if (!aged) shares_take(&h->shares, (int)t->priority);
        heap_remove(&h->classes[t->priority], &t->place);
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
        heap_remove(&h->classes[t->priority], &t->place);
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
    polite_ticket_t *t = h ? oldest(h) : NULL;
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
