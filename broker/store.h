// Store: the broker's own durable state, a private SQLite file. One thread writes; operations are grouped
// into one transaction per wake-up, and what depends on them (replies, acknowledgements) waits for its
// commit.
#ifndef RTM_BROKER_STORE_H
#define RTM_BROKER_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/gaps.h"

typedef enum {
    STORE_TEMPLATE,      // name, text (JSON), number (version), flag (enabled)
    STORE_TEMPLATE_GONE, // name: the template with its sources
    STORE_SOURCE,        // source: its row
    STORE_SOURCE_GONE,   // source.id
    STORE_NUMBER,        // name, number
    STORE_RECORD,        // name (kind), number (id), text (JSON), see records.h
    STORE_RECORD_GONE,   // name, number
    STORE_GAP,           // gap
    STORE_HISTORY,       // history: a row of it
    STORE_SKIPS, // name (template), text (reason), number (count), from, to: a range of dues not polled
} store_kind_t;

// A source's durable row. Texts are never NULL.
typedef struct {
    uint64_t id, template_id;
    const char *url;
    uint32_t ordinal, generation;
    int64_t last_ok;
    uint64_t body_hash;
    const char *etag, *last_modified, *fetch_url, *memory;
    uint8_t continuity;
    uint32_t cost_ms; // of one poll, when the row was written; 0: not known
} store_source_t;

// Settled dues of a source that came to the same. Times in broker ms. Texts are never NULL.
typedef struct {
    uint64_t source;
    const char *template_name;
    int64_t first, last; // of the dues
    uint64_t count;
    int64_t started; // of the first's request; 0: none, or not known
    uint64_t took_ms;
    const char *miner;          // "": not known
    const char *result, *error; // names; "": no error
    uint64_t status, items, fresh, attempt;
    uint64_t task; // that it answers, 0: none
    const char *cause;
    const char *detail, *pattern; // of the error, see fingerprint.h
    uint64_t fingerprint;         // 0: none
    uint32_t key;                 // what is of one kind in a row
    bool gathered;                // it may go on with an earlier row of the same key
} store_history_t;

typedef struct {
    store_kind_t kind;
    const char *name, *text;
    int64_t number, from, to;
    bool flag;
    store_source_t source;
    gap_t gap;
    const store_history_t *history; // copied with it
} store_op_t;

typedef struct store store_t;

// What store_load finds, in this order: numbers, templates, sources of the templates. Any may be NULL.
typedef struct {
    void *context;
    void (*number)(void *context, const char *name, int64_t value);
    void (*template)(void *context, const char *name, const char *json, int64_t version, bool enabled);
    void (*source)(void *context, const store_source_t *source);
    void (*record)(void *context, const char *kind, uint64_t id, const char *json);
    void (*gap)(void *context, const gap_t *gap); // oldest first
} store_reader_t;

// Opens (or makes) folder/broker.db and brings its schema up to date. NULL: *error (static or until the next
// call) says why.
store_t *store_open(const char *folder, const char **error);
// Commits what was submitted, stops the thread.
void store_close(store_t **store);
// Reads everything; before the first submit. 0, or -1 (logged).
int store_load(store_t *store, const store_reader_t *reader);
// How long history is kept, and how many rows of it; before the first submit.
void store_bound_history(store_t *store, int64_t keep_ms, int64_t rows);
// Copies op and queues it. Returns its ticket: tickets count up from 1.
uint64_t store_submit(store_t *store, const store_op_t *op);
// The highest ticket that is durable. store_fd is readable after it grew; store_clear before looking.
uint64_t store_durable(store_t *store);
int store_fd(const store_t *store);
void store_clear(store_t *store);
// Rows of history in the file, as of the last commit.
int64_t store_history_rows(store_t *store);
// The store cannot write any more (disk full, I/O error): true; it keeps trying.
bool store_failing(store_t *store);

#endif
