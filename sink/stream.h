// Stream: GET /v1/stream, new items as server-sent events. One thread with one connection reads them from
// Postgres for all clients, into a ring. Each client is a place in the ring, and the socket's buffer: a
// client that reads too slowly falls off the ring's end and is cut, and nobody waits for it. One that comes
// back with the last id it saw is first given what it missed, page by page, by the pool.
#ifndef RTM_SINK_STREAM_H
#define RTM_SINK_STREAM_H

#include <microhttpd.h>
#include <stddef.h>
#include <stdint.h>

#include "sink/page.h"
#include "sink/pool.h"

typedef struct stream stream_t;
typedef struct stream_client stream_client_t;

typedef struct {
    uint64_t clients, events, cut; // now; handed to clients; clients that were too slow
} stream_stats_t;

// stop_fd: readable once all is to end. It, conninfo and pool must outlive the stream.
stream_t *stream_start(const char *conninfo, int stop_fd, pool_t *pool, size_t max_clients);
// Ends all clients' responses and the thread. The clients themselves end with stream_close.
void stream_stop(stream_t *stream);
void stream_destroy(stream_t **stream);

// A client whose response is *response, to be queued on its connection (of a daemon with one thread). from:
// NULL: what is new from now on. NULL: there are as many clients as may be.
stream_client_t *stream_open(stream_t *stream, struct MHD_Connection *connection, const position_t *from,
                             const char *template_name, const char *source, struct MHD_Response **response);
// Its connection has ended. timed_out: because it took nothing for too long.
void stream_close(stream_client_t *client, bool timed_out);
stream_stats_t stream_stats(stream_t *stream);

#endif
