// Get: one HTTP request at a time with the miner's own fetcher, for `try` and `health`, so that what is seen
// by hand is what a miner would see.
#ifndef RTM_CTL_GET_H
#define RTM_CTL_GET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "miner/fetch.h"

#define GET_USER_AGENT "rtm/" RTM_VERSION

typedef struct {
    fetch_t *fetch;
    // the latest answer
    error_class_t error;             // ERR_none: a success, whose body is there
    long status;                     // 0: none came
    char *body, *content_type, *url; // content_type may be NULL; url after redirects
    char *redirect;                  // where else it is, or NULL
    size_t len;
    int64_t took_ms;
} get_t;

void get_init(get_t *get, const fetch_options_t *options);
void get_free(get_t *get);
// One step: a redirect is told, not followed. 0: a success; -1: get->error and get->status say what came.
int get_request(get_t *get, const fetch_request_t *request);
// The beginning of a response that does not end, as get->body: so many events, or what comes within for_ms
// after it was opened.
int get_events(get_t *get, const fetch_request_t *request, size_t events, int64_t for_ms);
// Fetches url, and follows where it leads.
int get_url(get_t *get, const char *url, int64_t timeout_ms);
// "timeout", "http_5xx (HTTP 503)": the latest failure in words; returns out.
const char *get_failure(const get_t *get, char out[64]);

#endif
