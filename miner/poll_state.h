// Poll state: one poll as the files of poll.h share it, and nobody else.
#ifndef RTM_MINER_POLL_STATE_H
#define RTM_MINER_POLL_STATE_H

#include "common/map.h"
#include "miner/continuity.h"
#include "miner/memory.h"
#include "miner/poll.h"
#include "miner/request.h"
#include "miner/stream.h"

enum { DETAILS_AT_ONCE = 8 }; // detail pages under way or waiting for their host, per poll

typedef enum { POLL_WAITING, POLL_FETCHING, POLL_STORING, POLL_FOLLOWING, POLL_FINISHED } poll_state_t;

// What becomes of one item that was found.
typedef enum {
    FINDING_SENT,    // list part or probe on the way to the sink
    FINDING_WANTED,  // its detail page is to be followed
    FINDING_FETCHED, // its detail page is under way
    FINDING_BARE,    // its page had nothing of what it should have; what that means is decided in the end
    FINDING_ADDED,   // detail or whole on the way to the sink
    FINDING_DONE,    // durable as it is: it goes to the seen set
    FINDING_LEFT,    // its details could not be had now: the next poll finds it again
} finding_state_t;

typedef struct {
    uint64_t hash; // seen_hash
    finding_state_t state;
    const item_t *item; // in the poll's arena; NULL where the template has no details
    int64_t fetched;    // broker ms, of its page
    uint32_t page;      // of the list, from 1
    bool backfill;      // found by paging back, too late for the template's promise
    bool again;         // the source listed its key with another content meanwhile
    bool blind;         // nothing says that it was absent from the list when the last poll looked
} finding_t;

// The list of a poll, page by page.
typedef struct {
    uint32_t page;   // that is fetched or was read last, from 1
    char *url;       // of that page; NULL: the source's
    char *next;      // where the list goes on, or NULL
    char *base;      // the first page's final URL
    bool discovered; // url is a feed that the source's page names
    bool done;       // no further page is fetched
    bool unordered;  // what came is in no order of time, whatever the template says
    bool broken;     // a further page could not be had
    bool judging;    // whether one is hangs on verdicts that have not come yet

    uint64_t *keys; // hashes of the keys listed so far, in the list's order
    uint32_t n_keys, cap_keys;
    map_t known;       // the same, once there is a second page
    map_t visited;     // hashes of the URLs fetched
    uint32_t unlisted; // items of this page that no page before had
    uint32_t found;    // of them, those that go to the sink
    uint32_t strange;  // of them, those that are new whatever the sink says
    uint32_t unjudged; // findings whose first verdict is to come
    uint32_t fresh;    // findings of this page that were new to the sink
    uint32_t back;     // new items found beyond the template's pages
    uint32_t first;    // items of the first page
    size_t matched;    // on all pages, before filters

    memory_t memory; // that the poll starts from, then that it leads to
    continuity_t continuity;
    uint32_t left_page;  // the last page whose items lack details
    error_class_t error; // of a further page: the poll fails once all that was found is stored
    char *detail;        // of the error
} list_t;

// One transfer of a poll.
typedef struct {
    visit_t visit; // first
    struct poll *poll;
    int64_t finding; // whose detail page, or one of the two below
} task_t;

enum { TASK_FREE = -2, TASK_LIST = -1 };

typedef struct poll {
    polls_t *polls;
    source_t *source;
    definition_t *definition;
    poll_state_t state;
    due_t due;
    task_t page, *details; // details: DETAILS_AT_ONCE, or NULL
    list_t list;
    int64_t began, listed;  // monotonic ms: of the request start, and when the list was done
    wire_outcome_t outcome; // as it comes to be; its texts are below
    wire_poll_t row;        // for the sink
    char *etag, *last_modified, *fetch_url;
    char *validated_url; // where a temporary redirect led, which the validators belong to, or NULL
    arena_t *arena;      // of the findings' items, or NULL
    finding_t *findings;
    uint32_t n_findings, next_wanted;
    uint32_t unacked;                // findings, and what the list proves, on the way to the sink
    uint32_t following;              // detail pages under way
    uint32_t good_pages, bare_pages; // detail pages read: with what they should have, and without
    bool asked;                      // with validators
    bool moved;                      // the list is elsewhere for good
    bool polled;                     // reported as such
    bool incomplete;                 // some finding was left
    bool census;    // all that is listed is sent, seen or not: see source_wants_census; or a replay
    bool abandoned; // it is over, but for answers of the sink that are still to come
    bool hurry;     // the source's next due waits: details that are not under way are left
    struct poll *next, *previous;
} poll_t;

struct polls {
    polls_options_t options;
    gate_t *gate;
    request_texts_t texts; // of the request that starts
    quays_t *quays;
    quays_t *stream_quays; // of what streams found: verdicts have other owners
    streams_t *streams;
    arena_t *arena;     // of the document being read
    int64_t offset;     // broker ms = monotonic ms + offset
    int64_t lease_over; // monotonic ms: the earliest of a poll under way; INT64_MAX: none has one
    size_t running;     // polls beyond waiting
    poll_t *all;
    polls_counts_t counts;
};

// -- poll.c -----------------------------------------------------------------------------------------

// The one place where a poll's state changes.
void poll_move(poll_t *poll, poll_state_t to);
// Tells the outcome as it is now.
void poll_report(poll_t *poll, wire_outcome_kind_t kind);
// The finding's details are left to the next poll.
void poll_leave(poll_t *poll, finding_t *finding);
// What was fetched just now, as readers take it.
document_t poll_document(const poll_t *poll, const fetch_result_t *result);
// Tells the sink what the list proves, as poll->row says; the poll waits for its answer.
void poll_ship_proof(poll_t *poll);
// These end the poll, which is then gone. detail: what went wrong, in words.
void poll_failed(poll_t *poll, error_class_t error, const char *detail);
void poll_skipped(poll_t *poll, error_class_t reason);
void poll_same(poll_t *poll, wire_result_t result);
// Sends item as finding number index to the sink.
void poll_ship(poll_t *poll, uint32_t index, wire_part_t part, const item_t *item);
// Goes on with a poll whose findings have moved; it may end.
void poll_advance(poll_t *poll);
// What its template says of a task's request; the caller adds the rest.
error_class_t poll_request(task_t *task, fetch_request_t *request);

// -- poll_list.c ------------------------------------------------------------------------------------

// Sends for the first page.
void poll_list_start(poll_t *poll);
void poll_list_free(list_t *list);
// All verdicts of the last page are in: sends for the next one, or is done with the list.
void poll_list_decide(poll_t *poll);

// -- poll_detail.c ----------------------------------------------------------------------------------

// Moves the next wanted finding on; false: there is none.
bool poll_detail_advance(poll_t *poll);
// No page is under way or to be followed: settles those that were bare.
void poll_detail_settle(poll_t *poll);

#endif
