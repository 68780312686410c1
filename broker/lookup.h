// Lookup: answers questions about the broker's file in a thread and with a connection of its own, so that
// neither the state machine nor the store's writer waits for them.
#ifndef RTM_BROKER_LOOKUP_H
#define RTM_BROKER_LOOKUP_H

#include "broker/question.h"

typedef struct lookup lookup_t;

typedef struct {
    uint64_t peer, request;
    unsigned code; // 0: done; else refused (HTTP-like), message says why
    char field[32], message[600], cursor[32];
    char *json; // NULL when refused
} answer_t;

// folder: of the store, which is open. NULL: *error says why.
lookup_t *lookup_new(const char *folder, const char **error);
// Finishes the question at hand; those that wait are dropped.
void lookup_destroy(lookup_t **lookup);
// Copies question. -1: too many wait.
__attribute__((warn_unused_result)) int lookup_ask(lookup_t *lookup, const question_t *question);
// The next answer, the caller's to free with answer_free, or NULL. lookup_fd is readable while there may be
// one; lookup_clear before taking until NULL.
answer_t *lookup_take(lookup_t *lookup);
void answer_free(answer_t *answer);
int lookup_fd(const lookup_t *lookup);
void lookup_clear(lookup_t *lookup);

#endif
