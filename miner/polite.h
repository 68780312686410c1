// Polite: how often one host is asked. Per host at most so many transfers at once, a least gap between two
// starts, and times of back-off in which nothing starts. Where tickets wait, the priorities share the starts
// 1 : 2 : 4 : 8 (shares.h), in order of the dues within each; who has waited for `patience` goes first, at
// most every second time. It knows no clock and no network: `now` is monotonic ms, and whoever takes a ticket
// starts the transfer.
#ifndef RTM_MINER_POLITE_H
#define RTM_MINER_POLITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/heap.h"
#include "proto/limits.h"
#include "proto/template.h"

typedef struct polite polite_t;
typedef struct polite_host polite_host_t;

// One transfer that wants to start; embedded in its owner.
typedef struct polite_ticket {
    heap_node_t place;    // in its host's queue of its priority, by due
    polite_host_t *host;  // while it waits or runs
    uint32_t concurrency; // transfers at once to this host
    int64_t gap;          // ms between two starts
    priority_t priority;
    bool running;
} polite_ticket_t;

polite_t *polite_new(void);
// All tickets must have left.
void polite_destroy(polite_t **polite);
// Who has waited for so long (ms) goes first; until it is said, nobody does.
void polite_set_patience(polite_t *polite, int64_t patience);

// The number of a URL's host: hash of "host:port" in lower case.
uint64_t polite_host(const char *url);
// Its name: "example.org:443", in lower case, cut at MAX_HOST.
void polite_host_name(const char *url, char host[MAX_HOST + 1]);
// The numbers of a host by its name: "example.org:443", or without a port that of http and of https. How
// many.
size_t polite_host_named(const char *name, uint64_t out[2]);

// Queues ticket (concurrency, gap and priority set) at host; due: monotonic ms, ranks it among the host's
// others of its priority, and may lie ahead.
void polite_enter(polite_t *polite, polite_ticket_t *ticket, uint64_t host, int64_t due, int64_t now);
// The next ticket that may start at now, which then counts as running; or NULL.
polite_ticket_t *polite_next(polite_t *polite, int64_t now);
// Takes ticket out, whether it waits or runs.
void polite_leave(polite_t *polite, polite_ticket_t *ticket, int64_t now);

// Nothing of host starts before `until`, or an earlier back-off's end if that is later. How long it is then
// backed off, ms.
int64_t polite_back_off(polite_t *polite, uint64_t host, int64_t until, int64_t now);
// The host itself asked for it: for asked_ms, or, if that is 0, for a minute, doubled for each time without
// polite_calm in between. jitter (0 to 999, random) lengthens it by up to a quarter where nothing was asked.
// How long it is then backed off, ms.
int64_t polite_strike(polite_t *polite, uint64_t host, int64_t asked_ms, unsigned jitter, int64_t now);
// It answers as it should.
void polite_calm(polite_t *polite, uint64_t host, int64_t now);
// It may be asked again.
void polite_lift(polite_t *polite, uint64_t host, int64_t now);
bool polite_is_backed_off(const polite_t *polite, uint64_t host, int64_t now);
// A ticket that waits at host, which so leaves it; NULL: none is left.
polite_ticket_t *polite_evict(polite_t *polite, uint64_t host, int64_t now);

// When polite_next may have something, if nothing enters or leaves: monotonic ms, INT64_MAX: never.
int64_t polite_wake(const polite_t *polite);
// Hosts that it remembers.
size_t polite_hosts(const polite_t *polite);

#endif
