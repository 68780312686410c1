// Job: the messages between the intake's thread and the writer's.
#ifndef RTM_SINK_JOB_H
#define RTM_SINK_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// intake -> writer: one batch that can be decoded. Made and freed with malloc and free.
typedef struct {
    uint64_t origin;       // names (miner, incarnation) in this run of the sink
    uint64_t session;      // number of the connection that it came on; each HELLO is given a higher one
    uint64_t seq;          // the batch's number
    int64_t broker_offset; // the broker's clock minus this machine's, ms
    size_t len;
    char frame[]; // the message as it came
} job_t;

// writer -> intake.
typedef enum {
    DONE_BATCH, // a batch is durable
    DONE_STATE, // Postgres came or went
    DONE_EXIT,  // the writer has ended
} done_kind_t;

typedef struct {
    done_kind_t kind;
    bool postgres_up;       // DONE_STATE
    uint64_t spool_bytes;   // on disk now; with every kind
    bool restored;          // the database came back in an earlier state; with every kind
    int64_t restored_since; // broker ms of its newest commit then, 0: unknown
    uint64_t origin, seq;   // of the batch, and so on
    size_t bytes;           // of the frame
    int64_t commit_us;      // what its group took, told with the group's first batch; 0 with the others
    size_t n;               // verdicts
    uint8_t verdicts[];     // wire_verdict_t of each item, in order
} done_t;

#endif
