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
    size_t len;
    int64_t took_ms;
} get_t;

// max: decoded bytes of a body.
void get_init(get_t *get, size_t max, bool allow_private);
void get_free(get_t *get);
// Fetches url (headers: "Name: value", may be NULL). 0: a success; -1: get->error and get->status say what
// came.
int get_url(get_t *get, const char *url, const char **headers, size_t n_headers, int64_t timeout_ms);
// "timeout", "http_5xx (HTTP 503)": the latest failure in words; returns out.
const char *get_failure(const get_t *get, char out[64]);

#endif
