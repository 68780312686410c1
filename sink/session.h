// Sessions: who is connected to the sink, what of theirs is taken and committed, and how much credit they
// have. An origin is one run of a miner, (miner id, incarnation); a session is its present connection.
// Origins are remembered beyond their connection, so that a batch that comes again is known as such. Pure: no
// socket, no clock.
#ifndef RTM_SINK_SESSION_H
#define RTM_SINK_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/map.h"
#include "proto/limits.h"

enum {
    CREDIT_MIN = 64 << 10, // bytes
    CREDIT_MAX = 12 << 20,
    MAX_ORIGINS = 4096, // remembered; live ones are never forgotten
};

typedef struct {
    uint64_t origin;   // its number, never given twice
    uint64_t identity; // hash of miner and incarnation: the map's key
    uint64_t route;    // of its connection; 0: not connected
    uint64_t number;   // of its connection, higher with each HELLO
    char miner[MAX_NAME + 1];
    uint64_t incarnation;
    bool started;                    // a batch was taken: accepted and committed count
    uint64_t accepted, committed;    // highest batch taken / committed
    size_t waiting, waiting_batches; // bytes and number of batches taken and not committed
    size_t credit;                   // as last told
    size_t allowed;                  // the highest credit told since nothing was waiting
    int64_t heard;                   // monotonic ms
    bool has_offset;
    int64_t offset; // the broker's clock minus ours, as this miner reckons, ms
} session_t;

typedef struct {
    map_t by_identity, by_route, by_origin;
    size_t budget;  // bytes of batches over all sessions
    size_t waiting; // of it in use
    size_t live;    // connected
    uint64_t last_origin, last_number;
} sessions_t;

typedef enum {
    TAKE_OK,
    TAKE_WAITING, // it is being committed already: its ACK will come
    TAKE_GAP,     // a batch before it is missing
    TAKE_NO_CREDIT,
} take_t;

void sessions_init(sessions_t *sessions, size_t budget);
void sessions_free(sessions_t *sessions);

// HELLO on a connection. NULL: there are as many sessions as the budget allows. An earlier connection of the
// same origin is replaced.
session_t *sessions_hello(sessions_t *sessions, uint64_t route, const char *miner, uint64_t incarnation,
                          int64_t now);
session_t *sessions_of_route(const sessions_t *sessions, uint64_t route);
session_t *sessions_of_origin(const sessions_t *sessions, uint64_t origin);
// The connection is gone or given up; the origin stays known.
void sessions_leave(sessions_t *sessions, session_t *session);
// Walks connected sessions: start with *pos = 0.
session_t *sessions_next(const sessions_t *sessions, size_t *pos);

// What this session may have on the wire from now on; to be told to it.
size_t session_grant(const sessions_t *sessions, session_t *session);
// A batch of `bytes` arrived. TAKE_OK: it counts as taken. A lone batch is always within the credit.
take_t session_take(sessions_t *sessions, session_t *session, uint64_t seq, size_t bytes);
// Takes back the last session_take: the batch could not be passed on.
void session_untake(sessions_t *sessions, session_t *session, uint64_t seq, size_t bytes);
void session_committed(sessions_t *sessions, session_t *session, uint64_t seq, size_t bytes);
// The median of what the miners reckon; 0 while none has told.
int64_t sessions_broker_offset(const sessions_t *sessions);

#endif
