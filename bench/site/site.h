// Site: the world with its clock, its lock, its ground truth, its rendered pages, and what was asked of it
// and how it is to behave, per host. Thread-safe; knows no HTTP.
#ifndef RTM_SITE_SITE_H
#define RTM_SITE_SITE_H

#include <stdio.h>

#include "bench/site/pages.h"
#include "bench/site/world.h"

typedef enum {
    VALID_ON,   // strong ETag and Last-Modified; points change only when the list does
    VALID_WEAK, // weak ETag and Last-Modified; points change at every fetch
    VALID_DATE, // Last-Modified alone
    VALID_OFF,  // none; points change at every fetch
} site_valid_t;

typedef struct {
    unsigned latency_ms, jitter_ms;
    double error_rate, reset_rate; // shares of the requests for lists and details
} site_manner_t;

typedef struct {
    world_options_t world; // start_ms is set by site_new
    site_manner_t manner;
    site_valid_t valid;
    bool pad, stopped;
    const char *truth; // file to write; NULL: none
} site_options_t;

typedef enum { ASK_LIST, ASK_DETAIL, ASK_ROBOTS, ASK_BAD, ASK_OTHER, ASK_CLASSES } site_ask_t;
typedef enum { FATE_SERVED, FATE_500, FATE_503, FATE_RESET } site_fate_t;

// A rendered list, shared by reference.
typedef struct {
    page_t page;
    uint32_t source, version;
    int64_t changed_ms;
    uint64_t tag; // names this content among all that this site ever shows
    _Atomic unsigned refs;
} sheet_t;

typedef struct site site_t;

// NULL and a reason in err when the truth file cannot be opened.
site_t *site_new(const site_options_t *options, char *err, size_t err_size);
void site_destroy(site_t **site);
const site_options_t *site_options(const site_t *site);
// Read only what never changes: options, kinds, hosts, URLs.
const world_t *site_world(const site_t *site);
// Wall ms at the start plus monotonic time since: it never jumps.
int64_t site_now(const site_t *site);
// Lets happen what is due, so that the ground truth is written even when nobody asks for pages.
void site_tick(site_t *site);

// Counts one request to host (-1: none of ours); says what is to become of it and, in delay_ms, when.
site_fate_t site_begin(site_t *site, int64_t host, site_ask_t ask, unsigned *delay_ms);
// The request that site_begin counted has ended with this status (0: connection broken off).
void site_end(site_t *site, int64_t host, unsigned status);

// The list as it is now; give it back with sheet_unref. NULL when memory is out.
sheet_t *site_sheet(site_t *site, uint32_t source);
void sheet_unref(void *sheet);
// A number that is another one at each call.
uint64_t site_salt(site_t *site);
// 0, or -1 when there is no such post now.
int site_item(site_t *site, uint32_t source, uint32_t post, world_item_t *item);

void site_set_posting(site_t *site, bool on);
// Makes one post now and appends its line of ground truth to line. 0 or -1.
int site_post(site_t *site, uint32_t source, buf_t *line);
// The manner of one host, or of host 0 for -1 (they are all alike until one is changed).
site_manner_t site_manner(site_t *site, int64_t host);
// -1: of all hosts.
void site_set_manner(site_t *site, int64_t host, const site_manner_t *manner);
// Forgets counts of requests, concurrency and gaps.
void site_clear(site_t *site);
// All counts as JSON, of one host or (-1) of all; appended. 0 or -1.
int site_status(site_t *site, int64_t host, buf_t *out);

#endif
