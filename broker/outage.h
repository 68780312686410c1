// Outage: what is held against hosts and miners rather than sources. Name, connection, TLS, time and 5xx
// errors are a host's once a second miner has seen them there: after a few in a row at one miner the host
// moves to another; if it fails there too its breaker opens, and one source of it is polled at most a minute
// (a slot, if that is shorter) apart until that succeeds. 429 and 503 back the host off for as long as it
// says (Retry-After), else for a minute, doubling. A miner where more than half of what it polls fails so,
// while the others fail under a tenth, is *sick*: its hosts move away; after a slot it gets one host to prove
// itself.
#ifndef RTM_BROKER_OUTAGE_H
#define RTM_BROKER_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/catalog.h"
#include "proto/wire.h"
#include <yyjson.h>

typedef enum { BREAKER_CLOSED, BREAKER_OPEN } breaker_t;

typedef struct outage {
    breaker_t breaker;
    uint16_t failures;       // in a row at the miner that has it
    uint16_t pauses;         // probes or back-offs in a row
    uint64_t blamed_by;      // hash of the name of the first miner that saw them; 0: none
    int64_t backoff_until;   // broker ms; 0: none
    int64_t since, probe_at; // of the open breaker, broker ms
    uint64_t probe;          // the source that is probed then
    uint8_t why;             // error_class_t
} outage_t;

typedef enum { HEALTH_OK, HEALTH_SICK, HEALTH_PROVING } health_t;

struct broker;
struct miner;

void outage_free(outage_t **outage);
// Whether error is held against the host.
bool outage_is_hosts(error_class_t error);
// How long the answer asked to be left alone, ms, a day at most; 0: it did not say.
int64_t outage_wait_ms(const wire_outcome_t *outcome);
// What came of a poll at miner. True: it was held against the host (or the miner).
bool outage_outcome(struct broker *broker, struct miner *miner, source_t *source,
                    const wire_outcome_t *outcome);
// miner says that answers asked for hosts to be left alone: none of their sources is polled, and the other
// miners, whose detail pages may be there, are told.
void outage_told(struct broker *broker, const struct miner *miner, const wire_backoff_t *message);
// miner has joined: it is told which hosts are to be left alone.
void outage_tell(struct broker *broker, struct miner *miner);
// Why a due of source at due is not to be polled: ERR_host_backoff, or ERR_none.
error_class_t outage_reason(const source_t *source, int64_t due);
// Until when nothing of source is to be polled because its host asked for that, broker ms; 0: no such time.
int64_t outage_until(const source_t *source);
// The lane is about to be removed.
void outage_lane_gone(struct broker *broker, lane_t *lane);
// A slot was closed: what miners reported before counts half.
void outage_fade(struct broker *broker);
// Judges miners by what they reported; called now and then.
void outage_judge(struct broker *broker);
// A back-off that was stored.
void outage_load(struct broker *broker, uint64_t host, yyjson_val *record);

#endif
