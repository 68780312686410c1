// Robots cache: what the hosts' robots.txt say of rtm (RFC 9309). It knows neither clock nor network: `now`
// is monotonic ms, and whoever is told to fetches a robots.txt and hands in what came. Bounded in hosts and
// bytes: what was not asked for longest goes first.
#ifndef RTM_MINER_ROBOTS_CACHE_H
#define RTM_MINER_ROBOTS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

typedef struct robots_cache robots_cache_t;

#define ROBOTS_AGENT "rtm" // the name that rules are looked up under

typedef enum {
    ROBOTS_ALLOWED,
    ROBOTS_FORBIDDEN,   // a rule says so
    ROBOTS_UNREACHABLE, // the file cannot be had now, so nothing may be fetched
    ROBOTS_UNKNOWN,     // it is to be fetched first
} robots_answer_t;

typedef struct {
    robots_answer_t answer;
    int64_t gap_ms;      // ALLOWED: its crawl-delay, at most a minute; 0: none
    bool renew;          // ALLOWED, FORBIDDEN: it is old; to be fetched soon
    error_class_t error; // UNREACHABLE: what came of it, and the status
    long status;
} robots_verdict_t;

robots_cache_t *robots_cache_new(void);
void robots_cache_destroy(robots_cache_t **cache);

// The number of the file that rules over an http(s) URL: of its scheme, host and port.
uint64_t robots_cache_origin(const char *url);
// The same, of a URL whose host (see polite_host) is known.
uint64_t robots_cache_origin_at(uint64_t host, const char *url);
// Where the file is. -1: url is no http or https URL, or too long.
__attribute__((warn_unused_result)) int robots_cache_url(const char *url, char out[MAX_URL]);
// May url, which is of origin, be fetched?
robots_verdict_t robots_cache_ask(robots_cache_t *cache, uint64_t origin, const char *url, int64_t now);
// What came of fetching the file of origin: a success with its body, or a failure. jitter: 0 to 999, random.
void robots_cache_put(robots_cache_t *cache, uint64_t origin, error_class_t error, long status,
                      const char *body, size_t len, unsigned jitter, int64_t now);
// Hosts in it / bytes of their rules.
size_t robots_cache_hosts(const robots_cache_t *cache);
size_t robots_cache_bytes(const robots_cache_t *cache);

#endif
