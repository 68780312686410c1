// Stats: what the sink has done, for its `sink` log line and its metrics.
#ifndef RTM_SINK_STATS_H
#define RTM_SINK_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"
#include "sink/job.h"

enum { STATS_COMMITS = 1024 }; // latest commit times kept

typedef struct {
    uint64_t batches, items, refused;
    uint64_t verdicts[VERDICT_COUNT];
} counters_t;

typedef struct {
    counters_t now, logged; // since the start; as of the last log line
    int64_t commit_us[STATS_COMMITS];
    size_t commits; // since the last log line; beyond STATS_COMMITS the oldest are overwritten
    // gauges
    size_t sessions, waiting; // waiting: bytes
    uint64_t spool_bytes;
    bool postgres_up;
    bool restored; // the database came back in an earlier state
    int64_t restored_since;
} stats_t;

void stats_batch(stats_t *stats, const done_t *done);
// Logs what came since the last line.
void stats_log(stats_t *stats);
// Prometheus' text format.
void stats_metrics(const stats_t *stats, char *out, size_t size);

#endif
