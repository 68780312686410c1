// Gate: the way of one request to the web and back.
//
//   enter ──▶ robots.txt ──▶ its host's queue ──▶ transfer ──▶ done
//                 ▲                                  │
//                 └──────────── redirect ────────────┘
//
// A host's robots.txt is fetched by the first who asks, the others wait for it. Each step of a redirect goes
// the whole way. What an answer says of its host (429, 503) holds for all that wait for the host, and is told
// to the owner of the gate. All that happens, happens in gate_run and gate_wait; nothing is called back from
// the others.
#ifndef RTM_MINER_GATE_H
#define RTM_MINER_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "miner/fetch.h"
#include "miner/polite.h"
#include "proto/template.h"

typedef struct gate gate_t;
struct visit;

typedef enum { VISIT_OUT, VISIT_AT_ROBOTS, VISIT_AT_HOST, VISIT_RUNNING, VISIT_REFUSED } visit_state_t;

// What a visit's owner does.
typedef struct {
    // Its transfer starts: fills in request, zeroed but for URL and `foreign`; what it points to lives until
    // the next call. Called for each step. Not ERR_none: it does not start, and done says so.
    error_class_t (*start)(struct visit *visit, fetch_request_t *request);
    // It is over; the visit is out. moved: there were redirects, all of them permanent (301, 308). Errors
    // beside those of fetch: robots, host_backoff (and then no request was made at all, if visit->hops is 0).
    void (*done)(struct visit *visit, const fetch_result_t *result, bool moved);
    bool reports; // it is a poll's: its outcome tells the broker when the host wants to be left alone
} visit_ops_t;

// One request; embedded in its owner, zeroed before its first use.
typedef struct visit {
    polite_ticket_t ticket; // first
    const visit_ops_t *ops;
    gate_t *gate;
    transfer_t *transfer; // VISIT_RUNNING
    visit_state_t state;
    char *url; // of the step, and of it:
    uint64_t host, origin;
    int64_t due;
    priority_t priority;
    uint64_t home;      // origin that the template's secrets are meant for
    unsigned hops;      // redirects so far
    bool temporary;     // one of them was no 301 or 308
    bool post, get;     // it is a POST; a redirect made a GET of it
    bool released;      // see gate_release
    bool own;           // the gate's, which fetches a robots.txt
    bool ignore_robots; // as the template says, also:
    uint32_t concurrency;
    int64_t gap;
    const template_request_t *how; // the template's, until the visit is over
    struct {
        error_class_t error; // VISIT_REFUSED: why, with the status and Retry-After of what says so
        long status;
        uint64_t retry_after_s;
        char *text; // or NULL
    } refusal;
    struct visit *next, *previous, **list; // of those that wait for the same robots.txt, or are refused
} visit_t;

typedef struct {
    // An answer backed the host of url off until then (monotonic ms). reports: see visit_ops_t.
    void (*backed_off)(void *context, const char *url, int64_t until, bool reports);
    void *context;
    size_t slots; // transfers at once
    fetch_options_t fetch;
    int watched; // see fetch_new
} gate_options_t;

gate_t *gate_new(const gate_options_t *options);
// What is under way is dropped without a callback; visits may go before or after.
void gate_destroy(gate_t **gate);

// Lets visit, which is out, fetch url (copied) by the template's politeness; the template outlives the visit.
// home: a URL of the origin that the template's secrets are meant for. due and priority: see polite_enter.
void gate_enter(gate_t *gate, visit_t *visit, const visit_ops_t *ops, const char *url, const char *home,
                const template_t *t, priority_t priority, int64_t due);
// See polite_set_patience.
void gate_set_patience(gate_t *gate, int64_t patience);
// Takes back what has not begun; false: it is under way (or out).
bool gate_take_back(gate_t *gate, visit_t *visit);
// Ends it wherever it is, without a callback.
void gate_cancel(gate_t *gate, visit_t *visit);
// A long response has begun: it counts no longer among its host's transfers, nor the gate's.
void gate_release(gate_t *gate, visit_t *visit);
// host (see polite_host) is not asked before `until`, monotonic ms; one that has passed: it may be asked
// again.
void gate_back_off(gate_t *gate, uint64_t host, int64_t until);
bool gate_is_backed_off(const gate_t *gate, const char *url);

// Starts what may start, and tells what is refused.
void gate_run(gate_t *gate);
// Waits for transfers, at most until then (monotonic ms), or until something may start.
void gate_wait(gate_t *gate, int64_t until);

// For start: says why it does not start, in words (copied).
void visit_explain(visit_t *visit, const char *text);
// Frees what a visit holds, when the gate is gone.
void visit_free(visit_t *visit);

// Since the start.
typedef struct {
    fetch_counts_t fetch;
    uint64_t robots; // files fetched
    uint64_t backoffs;
} gate_counts_t;
fetch_t *gate_fetch(gate_t *gate);            // for fetch_resume
const char *gate_secrets(const gate_t *gate); // see fetch_options_t
gate_counts_t gate_counts(const gate_t *gate);

#endif
