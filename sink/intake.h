// Intake: the sink's side of ZeroMQ. Takes HELLO, BATCH and HEARTBEAT from miners, passes batches to the
// writer, and tells each miner what was committed. One miner's bad messages disturb nobody else.
#ifndef RTM_SINK_INTAKE_H
#define RTM_SINK_INTAKE_H

#include <stddef.h>

#include "common/http_status.h"
#include "common/queue.h"
#include "sink/api.h"

typedef struct intake intake_t;

// Binds a ROUTER to listen (tcp://HOST:PORT, port 0: any) and logs `listening endpoint=…`. memory: bytes of
// batches that may wait. NULL: *err says why.
intake_t *intake_new(const char *listen, size_t memory, queue_t *jobs, queue_t *done, char *err,
                     size_t err_size);
void intake_destroy(intake_t **intake);
// Publishes health and metrics there about once a second, with those of the api; both, or NULL, must outlive
// the intake or be taken back.
void intake_publish_to(intake_t *intake, http_status_t *status, api_t *api);

// Serves until stop_fd is readable. Then returns; no further batch is taken.
void intake_run(intake_t *intake, int stop_fd);
// Tells what the writer still commits, until it has ended.
void intake_finish(intake_t *intake);

#endif
