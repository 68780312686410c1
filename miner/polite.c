// Polite: hosts that could start something stand in a heap by the time they may; a host without work stays
// only until its gap has passed.
#include "miner/polite.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"
#include "common/map.h"

struct polite_host {
    heap_node_t ready; // in polite.ready
    heap_t queue;      // tickets that wait, by due
    uint64_t id;
    uint32_t running;
    int64_t next_start; // monotonic ms before which nothing starts
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
    for (size_t i = 0; i < len; i++) host[n++] = (char)tolower((unsigned char)at[i]);
    const char *bracket = memchr(host, ']', n), *from = bracket ? bracket : host;
    if (!memchr(from, ':', n - (size_t)(from - host))) {
        memcpy(host + n, tls ? ":443" : ":80", tls ? 4 : 3);
        n += tls ? 4 : 3;
    }
    return XXH3_64bits(host, n);
}

static polite_ticket_t *head(const polite_host_t *h)
{
    heap_node_t *n = heap_min(&h->queue);
    return n ? HEAP_OWNER(n, polite_ticket_t, place) : NULL;
}

// Puts the host where its state says: in the heap by its next start, or gone.
static void settle(polite_t *p, polite_host_t *h, int64_t now)
{
    const polite_ticket_t *first = head(h);
    if (first && h->running < first->concurrency) {
        // Among hosts that may start at once the one whose due is oldest comes first.
        int64_t at_once = first->place.key < now ? first->place.key : now;
        heap_set(&p->ready, &h->ready, h->next_start > now ? h->next_start : at_once);
    } else if (first || h->running) {
        heap_remove(&p->ready, &h->ready);
    } else if (h->next_start > now) {
        heap_set(&p->ready, &h->ready, h->next_start);
    } else {
        heap_remove(&p->ready, &h->ready);
        map_del(&p->hosts, h->id);
        host_free(h);
    }
}

void polite_enter(polite_t *p, polite_ticket_t *t, uint64_t host, int64_t due, int64_t now)
{
    polite_host_t *h = map_get(&p->hosts, host);
    if (!h) {
        h = xcalloc(1, sizeof *h);
        h->id = host;
        h->next_start = INT64_MIN;
        heap_init(&h->queue);
        map_put(&p->hosts, host, h);
    }
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
        if (!t || h->next_start > now) {
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

int64_t polite_wake(const polite_t *p)
{
    const heap_node_t *n = heap_min(&p->ready);
    return n ? n->key : INT64_MAX;
}

size_t polite_hosts(const polite_t *p)
{
    return p->hosts.count;
}
