// Link: requests to the broker over one DEALER per endpoint, each answered or given up within a stated time.
#ifndef RTM_CTL_LINK_H
#define RTM_CTL_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

#define LINK_ENDPOINTS_MAX 8
#define LINK_REPLY_MS      10000 // a connected broker that does not answer for so long is given up

typedef struct link link_t;

// endpoints: "tcp://HOST:PORT", several separated by commas. NULL: *err says what is wrong with them.
link_t *link_new(const char *endpoints, char *err, size_t err_size);
void link_destroy(link_t **link);
// How long an answer may take from now on, instead of LINK_REPLY_MS.
void link_set_patience(link_t *link, int64_t ms);

// Asks the first broker that can be reached within reach_ms; one that answers 503 is passed over where
// another can be reached. 0: *reply is the answer, whatever its code, valid until the next call.
// -1: none answered; -2: the request is too big or not text; *err says so in one line.
int link_call(link_t *link, int64_t reach_ms, const char *command, const wire_arg_t *args, size_t n_args,
              const wire_reply_t **reply, char *err, size_t err_size);

#endif
