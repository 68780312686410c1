// Question: what rtm-ctl wants to know that only the store's file has, or wants done with the file. The state
// machine hands it out as an action; whoever answers replies to the peer, see lookup.h.
#ifndef RTM_BROKER_QUESTION_H
#define RTM_BROKER_QUESTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"

enum {
    QUESTION_SOURCES = 16,
    QUESTION_PATH = 1024,
    ANSWER_MAX = MAX_CONTROL_MESSAGE - 4096, // bytes of JSON in a reply
};

typedef enum {
    QUESTION_HISTORY, // rows, the newest first
    QUESTION_ERRORS,  // groups, the latest first
    QUESTION_BACKUP,  // a copy of the file
} question_kind_t;

typedef struct {
    question_kind_t kind;
    uint64_t peer, request;             // who asks, and by which number
    uint64_t sources[QUESTION_SOURCES]; // only of these, if there are any
    size_t n_sources;
    char template_name[MAX_NAME + 1]; // only of this, if not empty
    bool failed;                      // only failures
    int64_t task;                     // only what answers this; 0: any
    int64_t id;                       // only this row; 0: any
    int64_t after;                    // where the page before ended: an id or a position; 0: at the start
    size_t limit;                     // rows at most
    char path[QUESTION_PATH];         // of the copy
} question_t;

#endif
