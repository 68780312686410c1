// Trouble: what is held against a source: failures in a row that are its own (an answer that cannot be read,
// a page that is gone), or the deaths of miners that polled it. After `max_consecutive_failures` it is
// quarantined: nothing polls it but a probe after 10 slots, then after twice as long each time, up to 1440
// slots (a day of minutes), until a probe succeeds or somebody enables it.
//
// A miner dies: what it had in flight is suspect, and runs one suspect per miner until it succeeds. If a
// miner dies while one suspect runs on it, that one is to blame, whatever else ran there. The third time it
// is quarantined as poison. Who is blamed once is tried again only on a miner that has been up for a while:
// the deaths of one that dies anyway say nothing. If very much was in flight, that is only remembered, and
// what is in flight at a second death too becomes suspect.
#ifndef RTM_BROKER_TROUBLE_H
#define RTM_BROKER_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/catalog.h"
#include "proto/wire.h"
#include <yyjson.h>

enum { POISON_DEATHS = 3 };

typedef struct trouble {
    uint16_t strikes; // failed dues in a row that are its own fault
    uint16_t pauses;  // probes that failed
    uint8_t deaths;   // of miners, as the sole suspect
    uint8_t why;      // error_class_t of the last strike
    bool quarantined, suspect, seen_at_death;
    int64_t since, probe_at;        // quarantined: broker ms; probe_at INT64_MAX: never by itself
    char miners[POISON_DEATHS][32]; // that died
} trouble_t;

struct broker;
struct miner;

void trouble_free(trouble_t **trouble);
bool source_is_quarantined(const source_t *source);
bool source_is_suspect(const source_t *source);
// Broker ms before which a suspect must not run on the miner that owns it now; 0: it may at any time.
int64_t trouble_not_before(const source_t *source);
// What a due was when it was settled.
typedef struct {
    uint8_t cause; // wire_cause_t
    uint8_t attempt;
} settled_t;
// What came of a due of source that is settled now. hosts: it is held against the host. True: there will be
// another attempt.
bool trouble_outcome(struct broker *broker, source_t *source, const wire_outcome_t *outcome,
                     const settled_t *settled, bool hosts);
// The same of a due that was settled before, because it was taken back while its poll ran.
void trouble_late_outcome(struct broker *broker, source_t *source, const wire_outcome_t *outcome);
// The miner's process has ended while it had work, and not of its own accord: polls under leases that may be
// why are noted, then those of its lanes, one by one as they are taken from it, and then (miner_died)
// somebody is blamed. The latter two do nothing for a miner that did not die.
void trouble_dies(struct broker *broker, struct miner *miner);
void trouble_look(struct miner *miner, const lane_t *lane);
void trouble_miner_died(struct broker *broker, struct miner *miner);
// Takes source out of quarantine and clears it of all suspicion. False: there was nothing.
bool trouble_clear(struct broker *broker, source_t *source, const char *reason);
// Its dues are scheduled again: a quarantined source waits for its probe.
void trouble_resume(struct broker *broker, source_t *source);
// As records, see records.h.
void trouble_load(struct broker *broker, uint64_t source, yyjson_val *record);

#endif
