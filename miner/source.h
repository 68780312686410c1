// Source: what one worker holds of each template and each source: definition, soft state, seen set and dues.
// No network and no clock in here. Sources are many, so their texts are exact allocations and their dues are
// spans.
#ifndef RTM_MINER_SOURCE_H
#define RTM_MINER_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/heap.h"
#include "miner/fetch.h"
#include "miner/read/read.h"
#include "miner/seen.h"
#include "proto/template.h"
#include "proto/wire.h"

struct poll;
struct stream;

// A template in one version. Parsed and compiled when its first poll starts.
typedef struct {
    uint64_t id, version, hash; // hash: of the JSON
    unsigned refs;              // its worker's table, its sources, their polls
    char *name, *json;
    bool broken; // it does not compile, which the broker should have seen
    arena_t *arena;
    const template_t *template; // NULL until definition_ready
    reader_t *reader;
} definition_t;

definition_t *definition_new(const wire_template_t *wire);
// Whether it was made from the same text and version.
bool definition_is(const definition_t *definition, const wire_template_t *wire);
definition_t *definition_ref(definition_t *definition);
void definition_unref(definition_t **definition);
// Compiles it if that was not done. -1: it cannot be (logged once).
int definition_ready(definition_t *definition);
// Items have details to follow / are not stored before their detail page let them through.
bool definition_has_details(const definition_t *definition);
bool definition_is_gated(const definition_t *definition);

enum {
    MAX_SPANS = 64, // of dues per source; the broker sends one or two a slot
    MAX_TRIES = 64, // detail pages per source whose failures are counted
};

typedef struct {
    int64_t at, due; // of the next poll: monotonic ms, and broker ms that names it
    uint32_t step, count;
    uint32_t cause, priority; // wire_cause_t, priority_t
    int64_t until;            // monotonic ms: the lease is over; INT64_MAX: there is none
} span_t;

// One due, taken from a span.
typedef struct {
    int64_t at, due;
    uint32_t cause, priority;
    int64_t until;
} due_t;

// How often the detail page of one item could not be had.
typedef struct {
    uint64_t hash;
    uint32_t count;
} tries_t;

typedef struct source {
    uint64_t id;
    definition_t *definition; // NULL if it never came
    char *url;
    char *fetch_url, *etag, *last_modified; // NULL: none
    char *validated_url; // that the validators belong to, if it is not the one that is fetched, but a
                         // temporary redirect's target; or NULL
    fetch_jar_t *jar;    // its cookies, or NULL
    char *memory;        // see memory.h; NULL: none
    uint64_t body_hash, generation;
    int64_t last_ok;       // broker ms
    error_class_t trouble; // how the latest poll since then failed, or why it was skipped; ERR_none
    uint64_t host;         // of what is fetched, see polite_host
    seen_t seen;
    tries_t *tries;
    uint32_t n_tries;
    uint32_t n_spans;
    span_t *spans;
    int64_t done, held;    // latest due that is settled / was ever assigned
    heap_node_t timer;     // in its worker's heap, by the next due
    struct poll *poll;     // under way, or NULL
    struct stream *stream; // of kind stream: while it is read
    due_t waiting;         // came while the poll ran, to be polled when it has finished; due 0: none
    bool revoked;          // forget it when the poll has finished
} source_t;

source_t *source_new(uint64_t id);
void source_destroy(source_t **source);

// Takes the broker's row: definition and soft state. The seen set stays unless the generation is another one.
void source_define(source_t *source, definition_t *definition, const wire_source_t *wire);
// A new version of its template: validators are void, as the same document may now mean something else.
void source_redefine(source_t *source, definition_t *definition);
// The URL that is fetched.
const char *source_fetch_url(const source_t *source);
// Back to the declared URL, and no validators, which belonged to the other.
void source_forget_redirect(source_t *source);
// Soft state after a poll whose findings are stored. Empty texts: none. last_ok: broker ms.
void source_advance(source_t *source, const wire_outcome_t *state);

// Something was sent of a document that is not stored as a whole: the one that the validators are of may come
// back, and is news then. They are void.
void source_invalidate(source_t *source);

// Validators of another URL than the one that is fetched, which a temporary redirect led to.
void source_validate(source_t *source, const char *url, const char *etag, const char *last_modified);

// Whether the poll of this due (broker ms) is to send all that is listed, as one a day does: what retention
// removed in Postgres is remembered there as long as it is listed.
bool source_wants_census(const source_t *source, int64_t due);

// What is remembered of it from now on.
void source_remember(source_t *source, const char *memory);

// Adds dues. start: monotonic ms of the slot's start as the broker timed it; clock: the same by the estimate
// of the broker's clock, which leases go by, as a message may have been on its way for long. -1: too many.
__attribute__((warn_unused_result)) int source_add_dues(source_t *source, const wire_due_t *dues,
                                                        int64_t slot_start, int64_t start, int64_t clock);
// Whether due (broker ms) is the first of a span that it holds.
bool source_has_due(const source_t *source, int64_t due);
// When the next due is, monotonic ms; INT64_MAX: none.
int64_t source_next(const source_t *source);
// Takes the next due if its time has come at now.
bool source_take(source_t *source, int64_t now, due_t *due);
// Dues that it holds; and forgets them all.
uint64_t source_count(const source_t *source);
void source_drop_dues(source_t *source);

// Counts a failure of the detail page of the item with this hash; how many there were.
uint32_t source_try(source_t *source, uint64_t hash);

#endif
