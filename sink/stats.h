// Stats: what the sink has done since it last said so, for its `sink` log line.
#ifndef RTM_SINK_STATS_H
#define RTM_SINK_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"
#include "sink/job.h"

enum { STATS_COMMITS = 1024 }; // latest commit times kept

typedef struct {
    uint64_t batches, items, refused; // of the interval
    uint64_t verdicts[VERDICT_COUNT];
    int64_t commit_us[STATS_COMMITS];
    size_t commits; // of the interval; beyond STATS_COMMITS the oldest are overwritten
} stats_t;

void stats_batch(stats_t *stats, const done_t *done);
// Logs and starts a new interval. waiting: bytes.
void stats_log(stats_t *stats, size_t sessions, size_t waiting);

#endif
