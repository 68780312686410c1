// Fetch: HTTP transfers of one thread: curl_multi on an epoll loop of its own, which also waits for the
// thread's other descriptor. It knows documents and statuses, nothing of polls. A redirect is a result like
// others: each step is a transfer of its own, so that whoever follows can ask robots.txt and be polite.
#ifndef RTM_MINER_FETCH_H
#define RTM_MINER_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

typedef struct fetch fetch_t;
typedef struct fetch_jar fetch_jar_t; // cookies of one source

typedef struct {
    size_t max_document;    // decoded bytes of one response
    bool allow_private;     // also talk to addresses that are not global (address.h)
    const char *user_agent; // copied
    const char *proxy;      // URL, or NULL: none; the environment never counts. Copied
    const char *no_proxy;   // hosts that are asked without it, or NULL: see proxy.h. Copied
    const char *secrets;    // folder for request.h, or NULL. Borrowed
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
    // The headers of a success (2xx) are there: error, status, content_type, url of head are set.
    void (*opened)(void *owner, const fetch_result_t *head);
    fetch_take_t (*data)(void *owner, const char *bytes, size_t len);
} fetch_stream_t;

typedef struct {
    const char *url;
    const char *method;           // NULL: GET
    const char *body, *body_type; // or NULL; body_type NULL: one of the headers says it
    size_t body_len;
    const char *etag, *last_modified; // NULL or empty: none; sent as they are (RFC 9110, 13.1)
    const char **headers;             // "Name: value"
    size_t n_headers;
    const char *authorization; // value of that header, or NULL
    bool foreign;       // another origin than the template's: it gets none of the headers that identify
    fetch_jar_t *jar;   // or NULL: no cookies
    const char *ca;     // file of certificates to trust, or NULL: those of the system
    bool insecure;      // certificates are not checked
    bool tls13;         // nothing below TLS 1.3 (else 1.2)
    int64_t timeout_ms; // of the whole transfer; 0: none
    size_t cut_at;      // bytes of the body behind which it is not read on; 0: none
    const fetch_stream_t *stream; // or NULL; must outlive the transfer
} fetch_request_t;

// Texts live until the callback returns.
struct fetch_result {
    error_class_t error; // ERR_none: 200..299, or 304
    long status;         // of the last response, 0: none came
    const char *body;    // decoded, not NUL-terminated; of a success only
    size_t len;
    const char *content_type, *url;   // NULL; that was fetched
    const char *redirect;             // where else it is (error: redirects), absolute; or NULL
    const char *etag, *last_modified; // of a 2xx; "" where there is none, or it is longer than MAX_VALIDATOR
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
// Whether a redirect's target is to be asked with GET and no body (RFC 9110, 15.4); post: the method was
// POST.
bool fetch_redirect_is_get(long status, bool post);
// Transfers under way.
size_t fetch_running(const fetch_t *fetch);

// Transfers / connections that were opened for them, since the start.
typedef struct {
    uint64_t requests, connections;
} fetch_counts_t;
fetch_counts_t fetch_counts(const fetch_t *fetch);

// Holds MAX_COOKIES at most, else it starts anew. No transfer that uses it may be under way when it goes.
fetch_jar_t *fetch_jar_new(void);
void fetch_jar_destroy(fetch_jar_t **jar);

// The class of a response's status and headers (exported for tests). 2xx and 304 are none.
error_class_t fetch_status_error(long status, bool has_retry_after, bool is_challenge);
// Seconds of a Retry-After value (RFC 9110, 10.2.3: a number or a date, now in seconds since 1970), at most a
// day; 0 for nonsense and the past.
uint64_t fetch_retry_after(const char *value, int64_t now);

#endif
