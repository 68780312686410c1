// History: what became of each due, handed to the store as rows. What repeats is one row: a source's
// unchanged polls in a row, skips for one reason, failures of one kind. Their counts gather in the source (a
// run) and reach the store when the run ends, when it has gathered for a while, or when somebody asks. So a
// million sources that are polled each minute cost a row only when something happens. A broker that is killed
// forgets what has gathered, never a change or the first failure of a kind.
#ifndef RTM_BROKER_HISTORY_H
#define RTM_BROKER_HISTORY_H

#include <stdbool.h>

#include "broker/broker.h"
#include "broker/catalog.h"

struct miner;

// A due of source is settled by outcome, which miner reported. attempt: 0, or which retry it was; task: that
// it answers, 0: none. What answers a task is a row of its own.
void history_outcome(broker_t *broker, const struct miner *miner, source_t *source,
                     const wire_outcome_t *outcome, unsigned attempt, uint64_t task);
// count dues of source, from first to last (broker ms), are settled as skipped for reason.
void history_skipped(broker_t *broker, source_t *source, int64_t first, int64_t last, uint64_t count,
                     error_class_t reason);
// Hands what has gathered of source to the store.
void history_flush(broker_t *broker, source_t *source);
// The same of listing's sources (NULL: of all), of at most so many.
void history_flush_some(broker_t *broker, const listing_t *listing, size_t most);

#endif
