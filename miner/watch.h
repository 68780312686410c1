// Watch: whether a worker comes back to its loop, and what it reads if it does not. The worker writes, the
// link reads.
#ifndef RTM_MINER_WATCH_H
#define RTM_MINER_WATCH_H

#include <stdint.h>

#include "proto/limits.h"
#include "proto/wire.h"

typedef struct watch watch_t;

// One document that is read.
typedef struct {
    uint64_t source, cause, attempt;
    int64_t due; // broker ms; 0: none is to be settled
    char template[MAX_NAME + 1], url[MAX_URL + 1];
} watch_subject_t;

watch_t *watch_new(void);
void watch_destroy(watch_t **watch);

// The worker: is in its loop; begins to read a document of the poll that this is the outcome of; has read it.
void watch_turn(watch_t *watch, int64_t now);
void watch_begin(watch_t *watch, const wire_outcome_t *poll, const char *template, const char *url);
void watch_end(watch_t *watch);

// The link: ms since the worker was in its loop. What it reads goes to *subject; source 0: nothing.
int64_t watch_absent(watch_t *watch, int64_t now);
void watch_look(watch_t *watch, watch_subject_t *subject);

#endif
