// Request: what a template says of its requests, as fetch wants it.
#ifndef RTM_MINER_REQUEST_H
#define RTM_MINER_REQUEST_H

#include <stdbool.h>

#include "miner/fetch.h"
#include "miner/secrets.h"
#include "proto/template.h"

// Where texts of a request live until it has started.
typedef struct {
    char authorization[MAX_SECRET * 4 / 3 + 16];
    char ca[4096];
    char why[320]; // it cannot be made: in words
} request_texts_t;

// A URL that the template names, with its query; in out or url itself.
const char *request_url(const template_t *t, const char *url, char out[MAX_URL + 1]);
// Fills in all but URL, validators and cookies; request->foreign is set. list: of a list, not of a detail
// page. secrets: their folder, or NULL. ERR_no_secret: one is missing.
__attribute__((warn_unused_result)) error_class_t request_fill(fetch_request_t *request, const template_t *t,
                                                               bool list, const char *secrets,
                                                               request_texts_t *texts);

#endif
