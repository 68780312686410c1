// Group: the batches that are committed together, as rows. Decodes the frames, cleans what Postgres would
// refuse, lets the newest poll win where a key comes twice, and puts the rows into key order, so that several
// sinks lock in the same order. Pure: it knows neither Postgres nor a clock.
#ifndef RTM_SINK_GROUP_H
#define RTM_SINK_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "proto/wire.h"
#include "sink/job.h"
#include "sink/moves.h"

enum {
    GROUP_ARENA = 40 << 20,  // decoded batches and their rows
    GROUP_MENDED = 40 << 20, // copies of texts that had to be cleaned: at most 9 bytes for a byte of a frame
    GROUP_BYTES = 6 << 20,   // frames; a group takes no further batch beyond it
    GROUP_ROWS = 20000,      // the same in items
    GROUP_BATCHES = 4096,
    CAUSE_SPOOLED = 100,  // items.cause of what was late because it waited in the spool
    CAUSE_REPLAYED = 101, // or because Postgres refused it at first
};

// A row's texts, in the order of the columns.
typedef enum {
    TEXT_URL,
    TEXT_TITLE,
    TEXT_AUTHOR,
    TEXT_SUMMARY,
    TEXT_CONTENT,
    TEXT_IMAGE,
    TEXT_URL_NORM,
    TEXT_FIELDS,
    N_TEXTS
} text_t;

typedef struct row {
    const wire_batch_t *batch; // that it came in
    const wire_item_t *item;
    const wire_poll_t *poll;
    struct row *winner; // the row of the same key that is written in place of this one, or NULL
    const char *key;
    size_t key_len;
    uint64_t source, template_id;
    int64_t published;  // TIME_NONE: unknown, or beyond what Postgres takes
    int64_t first_seen; // with the next two merged over the rows that this one beat
    int64_t absent;     // TIME_NONE: unknown
    int64_t oldest_due;
    const char *text[N_TEXTS]; // set for rows that are written; NULL: absent
    size_t len[N_TEXTS];
    bool backfill, wants_detail, bump;
    uint8_t part; // wire_part_t
    uint8_t verdict;
} row_t;

typedef struct {
    const job_t *job;
    const wire_batch_t *batch;
    row_t *rows; // one an item, in the batch's order
} group_batch_t;

typedef struct {
    arena_t *arena, *mended_texts;
    group_batch_t batches[GROUP_BATCHES];
    size_t n_batches, bytes, n_rows;
    // What goes to Postgres, sorted by (source as bigint, key, part), after group_seal; details stand behind
    // all others, because they are a transaction of their own: one that went through the keys twice could
    // deadlock.
    row_t **staged;
    size_t n_staged, n_details;
    size_t mended; // rows whose fields were no JSON object
} group_t;

group_t *group_new(void);
void group_destroy(group_t **group);
// Forgets all batches; the jobs stay the caller's.
void group_reset(group_t *group);

// Whether the batch makes sense in itself: items name its polls, polls its sources, sources its templates,
// times are such that a row can hold them. Sorts the batch's sources and templates by id. NULL, or what is
// wrong.
const char *group_check_batch(wire_batch_t *batch);
// By id in a batch that was checked or added; NULL: not there.
const wire_sink_source_t *batch_source(const wire_batch_t *batch, uint64_t id);
const wire_sink_template_t *batch_template(const wire_batch_t *batch, uint64_t id);
// Whether a group can hold the batch, which took `decoded` bytes of an arena.
bool group_can_hold(const wire_batch_t *batch, size_t decoded);

// Decodes job's frame, which the two functions above have passed, and adds its items. -1: the group is full,
// nothing was added; a group without batches always takes one. job must live as long as the group's content.
// bump: its known rows are to learn of its polls in any case, because older batches may follow (see moves.h).
__attribute__((warn_unused_result)) int group_add(group_t *group, const job_t *job, moves_t *moves,
                                                  bool bump);
// A verdict for each item of a batch that is on disk and not in Postgres: what lets the miner follow too much
// rather than too little.
void group_guess_verdicts(group_batch_t *batch);
// Makes `staged`. Rows that were beaten have their verdict then.
void group_seal(group_t *group);

// When the row's version was fetched, ms.
int64_t row_fetched(const row_t *row);

// A row as the database has it.
typedef struct {
    int64_t due, fetched, first_seen, absent; // ms; fetched: of its version; absent TIME_NONE: unknown
    uint64_t content_hash;
    bool complete; // its details are there
} stored_row_t;

// What is to be done with a staged row of part list, whole or probe: sets its verdict and returns whether it
// must be written. stored: what the database has under its key, or NULL.
bool row_judge(row_t *row, const stored_row_t *stored);

#endif
