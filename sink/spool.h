// Spool: batches on disk while Postgres cannot take them. A folder of segments, written and read in order.
//
// A segment `NNNNNNNNNNNNNNNN.spool` is a header, records, and, once it is complete, a seal (a record without
// payload). Little-endian numbers:
//   header   "RTMSPOOL", u32 version (1), u32 zero
//   record   u32 "RTMr", u32 length of the payload, u32 CRC-32C of length and payload, payload
//   payload  i64 broker's clock minus ours (ms), then the BATCH frame
// What append has returned for is on disk (fdatasync). At the end of a segment without a seal a record may be
// cut off by a crash: it was never acknowledged, and is cut. Damage anywhere else is reported, what is
// readable behind it is read all the same, and the segment is kept beside the others as `….damaged`.
#ifndef RTM_SINK_SPOOL_H
#define RTM_SINK_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sink/job.h"

enum {
    SPOOL_SEGMENT = 16 << 20, // bytes at which a segment is sealed
    SPOOL_SEGMENTS = 1 << 16,
};

typedef struct spool spool_t;

// Opens the folder, which is made if it is not there; no other process may have it open. max: bytes over all
// segments. NULL: *err says why.
spool_t *spool_open(const char *folder, uint64_t max, char *err, size_t err_size);
// Seals what is being written.
void spool_close(spool_t **spool);

// Whether records are left that were not taken off, and how many bytes they take.
bool spool_is_empty(const spool_t *spool);
uint64_t spool_bytes(const spool_t *spool);

// Writes all n jobs and syncs once. 0: durable. -1: full, or the disk refuses (*why is a constant or errno's
// text); nothing of it counts.
__attribute__((warn_unused_result)) int spool_append(spool_t *spool, const job_t *const *jobs, size_t n,
                                                     const char **why);

// The next record of the oldest segment as a job (session 0, the caller's to free), or NULL: it was read to
// its end.
job_t *spool_read(spool_t *spool);
// Takes back the last spool_read.
void spool_unread(spool_t *spool);
// The last record read cannot be used: its segment will be kept, as a damaged one.
void spool_keep(spool_t *spool);
// Everything read so far is in Postgres. A segment that was read to its end is deleted, and the next one is
// read.
void spool_done(spool_t *spool);
// Reads again from where spool_done was last called.
void spool_rewind(spool_t *spool);

#endif
