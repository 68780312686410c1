// Fetch: HTTP transfers of one thread: curl_multi on an epoll loop of its own, which also waits for the
// thread's other descriptor. It knows documents and statuses, nothing of polls.
#ifndef RTM_MINER_FETCH_H
#define RTM_MINER_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

typedef struct fetch fetch_t;

typedef struct {
    size_t max_document;    // decoded bytes of one response
    bool allow_private;     // also talk to addresses that are not global (address.h)
    const char *user_agent; // copied
} fetch_options_t;

typedef struct fetch_result fetch_result_t;

// What became of a piece of a long response.
typedef enum {
    FETCH_TAKEN,
    FETCH_PAUSED, // not taken: the piece comes again after fetch_resume
    FETCH_STOP,   // ends the transfer
} fetch_take_t;

// A long response, whose body is handed out as it comes instead of being collected. Neither callback may
// cancel the transfer.
typedef struct {
    // The headers of a success (2xx) are there: error, status, content_type, url, moved of head are set.
    void (*opened)(void *owner, const fetch_result_t *head);
    fetch_take_t (*data)(void *owner, const char *bytes, size_t len);
} fetch_stream_t;

typedef struct {
    const char *url;
    const char *etag, *last_modified; // NULL or empty: none; sent as they are (RFC 9110, 13.1)
    const char **headers;             // "Name: value"
    size_t n_headers;
    int64_t timeout_ms;           // of the whole transfer; 0: none
    const fetch_stream_t *stream; // or NULL; must outlive the transfer
} fetch_request_t;

// Texts live until the callback returns.
struct fetch_result {
    error_class_t error; // ERR_none: 200..299, or 304
    long status;         // of the last response, 0: none came
    const char *body;    // decoded, not NUL-terminated; of a success only
    size_t len;
    const char *content_type, *url;   // NULL; final URL
    bool moved;                       // there were redirects, all of them permanent (301, 308)
    const char *etag, *last_modified; // "" where there is none, or it is longer than MAX_VALIDATOR
    int64_t age_ms;                   // time in shared caches (RFC 9111, 5.1)
    uint64_t retry_after_s;           // 0: not said
    uint64_t bytes;                   // of the body
    const char *detail;               // of the error, for people; ""
};

typedef void fetch_done_fn(void *owner, const fetch_result_t *result);

// Before the first fetch_new and after the last fetch_destroy of the process.
void fetch_global_init(void);
void fetch_global_cleanup(void);

// watched: a descriptor whose readability ends fetch_wait too, or -1.
fetch_t *fetch_new(const fetch_options_t *options, int watched);
// Transfers under way are dropped without a callback.
void fetch_destroy(fetch_t **fetch);

// Starts a transfer; request may go after the call. done is called once, from fetch_wait.
typedef struct transfer transfer_t;
transfer_t *fetch_start(fetch_t *fetch, const fetch_request_t *request, fetch_done_fn *done, void *owner);
// Ends a transfer without a callback.
void fetch_cancel(fetch_t *fetch, transfer_t *transfer);
// Goes on with a stream that was paused; its data callback may be called from here.
void fetch_resume(fetch_t *fetch, transfer_t *transfer);
// Waits at most timeout_ms, and lets transfers progress.
void fetch_wait(fetch_t *fetch, int64_t timeout_ms);
// Transfers under way.
size_t fetch_running(const fetch_t *fetch);

// The class of a response's status and headers (exported for tests). 2xx and 304 are none.
error_class_t fetch_status_error(long status, bool has_retry_after, bool is_challenge);
// Seconds of a Retry-After value (RFC 9110, 10.2.3: a number or a date, now in seconds since 1970), at most a
// day; 0 for nonsense and the past.
uint64_t fetch_retry_after(const char *value, int64_t now);

#endif
