// World: the sources of the simulated web and what they have posted, in simulated time from a seed. It reads
// no clock, no socket and no random source; pages and ground truth are both made from what it tells, so they
// cannot disagree. Not thread-safe: one lock of the caller's covers it.
//
// A post is only its times and revision; title, author and body follow from (seed, source, number). Posts are
// numbered from 0 per source: first the pinned ones, then the backlog, then what was posted since the start.
//
// A source shows its pinned posts, then the newest `window` posts, newest first. A post beyond the window
// stays until nothing about it or any older post has changed for `min_stay_ms`, and goes only when another
// arrives; so whoever polls at least every min_stay_ms sees every post and every last revision. Only pinned
// posts and those in the window are updated.
#ifndef RTM_SITE_WORLD_H
#define RTM_SITE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_SOURCES_MAX 2000000
#define WORLD_HOSTS_MAX   1000000
#define WORLD_PINNED_MAX  20
#define WORLD_WINDOW_MAX  500
#define WORLD_ROWS_MAX    1000      // shown by one source; a post that would pass it is put off
#define WORLD_POSTS_MAX   (1 << 20) // ever made by one source
#define WORLD_MIX_MAX     8         // kinds in the round-robin

typedef enum { SITE_HTML, SITE_RSS, SITE_ATOM, SITE_JSON, SITE_KINDS } site_kind_t;

typedef struct {
    uint64_t seed;
    uint32_t sources, hosts;
    site_kind_t kinds[WORLD_MIX_MAX]; // a source's kind is by round-robin over these
    unsigned n_kinds;
    double rate;             // posts a second, over all sources
    bool exact;              // posts at exact intervals, source after source; else Poisson, any source
    double updates;          // updates per post
    int64_t update_after_ms; // a post changes only when it has not changed for so long
    unsigned pinned, backlog, window;
    int64_t min_stay_ms;
    int64_t start_ms;       // wall time of the first instant
    const char *host_names; // with one %d for the host's number; NULL: loopback addresses
    unsigned port;          // in URLs
} world_options_t;

typedef struct {
    uint32_t source, post;
    uint32_t revision; // from 1
    bool pinned;
    bool backlog;       // was there at the start
    int64_t posted_ms;  // as the page claims; for what was there at the start it lies before it
    int64_t changed_ms; // when this revision became visible
    char key[40];       // as a reader should identify it: id, guid or atom:id
    char url[192];
    char image[256];
    char title[160];
    char author[48];
    char body[400];
} world_item_t;

typedef struct {
    uint64_t posts, updates; // since the start; the backlog is not counted
    uint64_t put_off;        // posts that did not happen because their source was full
} world_counts_t;

typedef struct world world_t;

// Called for each post and update in the order of time; not for what is there at the start.
typedef void world_event_fn(void *arg, const world_item_t *item);

// Options must be within the bounds above (see world_check). Copies them; host_names must outlive it. event
// may be NULL.
world_t *world_new(const world_options_t *options, world_event_fn *event, void *arg);
void world_destroy(world_t **world);
// NULL, or what is wrong with the options.
const char *world_check(const world_options_t *options);

// Lets everything happen that is due until now_ms, which never goes back. After it, what happened at t <=
// now_ms is visible and nothing later is.
void world_advance(world_t *world, int64_t now_ms);
// Stops or starts posting and updating at now_ms; what was due before happens first.
void world_set_posting(world_t *world, int64_t now_ms, bool on);
// Makes one post at now_ms, when nothing was rendered at now_ms yet. 0, or -1 when there is no such source or
// it is full.
int world_post(world_t *world, int64_t now_ms, uint32_t source);

const world_options_t *world_options(const world_t *world);
world_counts_t world_counts(const world_t *world);
site_kind_t world_kind(const world_t *world, uint32_t source);
uint32_t world_host(const world_t *world, uint32_t source);
// Changes with every post and update of the source.
uint32_t world_version(const world_t *world, uint32_t source);
// When the source last changed, ms.
int64_t world_changed(const world_t *world, uint32_t source);
// The numbers of the posts that the source shows, from the top; returns how many (<= WORLD_ROWS_MAX).
unsigned world_rows(const world_t *world, uint32_t source, uint32_t rows[WORLD_ROWS_MAX]);
// All about one post. 0, or -1 when there is none.
int world_item(const world_t *world, uint32_t source, uint32_t post, world_item_t *item);
// A number of four digits that means nothing: points, comments; salt makes it another one.
unsigned world_points(const world_t *world, uint32_t source, uint32_t post, uint64_t salt);

// "http://127.1.0.1:8080" of a host, or the URL of a source's list. Returns the length written to out.
size_t world_base_url(const world_t *world, uint32_t host, char *out, size_t size);
size_t world_source_url(const world_t *world, uint32_t source, char *out, size_t size);
// The number of the host that a Host header names (with or without port), or -1.
int64_t world_host_named(const world_t *world, const char *name);

const char *site_kind_name(site_kind_t kind);
// What follows "/s/<source>/" in the URL of a list of this kind.
const char *site_kind_leaf(site_kind_t kind);
// SITE_KINDS if it is none.
site_kind_t site_kind_from_name(const char *name, size_t len);

#endif
