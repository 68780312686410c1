#include "broker/history.h"

#include <string.h>

#include <xxhash.h>

#include "broker/fingerprint.h"
#include "broker/state.h"
#include "common/line.h"

enum {
    GATHER_SLOTS = 4,      // a run is handed over when it is so long at least, and at most twice as long,
    SOURCES_A_SLOT = 8192, // longer where there are so many sources that more than these would be a slot
};

// Keys of runs: what is equal has the same one, 0 is none.
#define QUIET   1U
#define SKIPPED 0x40000000U
#define FAILED  0x80000000U

static uint32_t key_of(uint32_t kind, uint64_t hash)
{
    return kind | ((uint32_t)hash & (SKIPPED - 1));
}

static void store_row(broker_t *b, const source_t *s, store_history_t *row)
{
    row->source = s->id;
    row->template_name = s->listing->template->name;
    store_op_t op = {.kind = STORE_HISTORY, .history = row};
    b->recorded += row->count;
    broker_store(b, &op);
}

void history_flush(broker_t *b, source_t *s)
{
    if (!s->run_count) return;
    store_history_t row = {.first = s->run_first,
                           .last = s->run_first + s->run_span,
                           .count = s->run_count,
                           .result = wire_result_name(s->run_result),
                           .error = s->run_error ? error_class_name(s->run_error) : "",
                           .items = s->run_key == QUIET ? s->items : 0,
                           .key = s->run_key,
                           .gathered = true,
                           .miner = "",
                           .cause = "",
                           .detail = "",
                           .pattern = ""};
    s->run_count = 0;
    s->run_span = 0;
    store_row(b, s, &row);
}

// How long a run gathers before the store hears of it; another span for each source, so that not all come at
// once.
static int64_t gather_ms(const broker_t *b, const source_t *s)
{
    int64_t slots = (int64_t)(b->catalog.sources.count / SOURCES_A_SLOT);
    int64_t least = (slots > GATHER_SLOTS ? slots : GATHER_SLOTS) * b->config.slot_ms;
    return least + (int64_t)(s->id % (uint64_t)least);
}

static void gather(broker_t *b, source_t *s, uint32_t key, uint8_t result, uint8_t error, int64_t first,
                   int64_t last, uint64_t count)
{
    bool long_ago = s->run_count && (last < s->run_first || last - s->run_first > UINT32_MAX / 2);
    if (s->run_key != key || long_ago || s->run_count > UINT32_MAX / 2) history_flush(b, s);
    if (!s->run_count) s->run_first = first;
    s->run_key = key;
    s->run_result = result;
    s->run_error = error;
    s->run_count += count < UINT32_MAX / 2 ? (uint32_t)count : UINT32_MAX / 2;
    int64_t span = last - s->run_first;
    if (span > (int64_t)s->run_span) s->run_span = span < UINT32_MAX ? (uint32_t)span : UINT32_MAX;
    if (span >= gather_ms(b, s)) history_flush(b, s);
}

void history_skipped(broker_t *b, source_t *s, int64_t first, int64_t last, uint64_t count,
                     error_class_t reason)
{
    const char *name = error_class_name(reason);
    uint32_t key = key_of(SKIPPED, XXH3_64bits(name, strlen(name)));
    gather(b, s, key, RESULT_skipped, (uint8_t)reason, first, last, count);
}

// A change, or the first failure of its kind: a row of its own at once.
static void record(broker_t *b, const miner_t *m, source_t *s, const wire_outcome_t *o, unsigned attempt,
                   uint64_t task, const char *detail, const char *pattern, uint64_t fingerprint)
{
    history_flush(b, s);
    store_history_t row = {.first = o->due,
                           .last = o->due,
                           .count = 1,
                           .started = o->started,
                           .took_ms = o->took_ms,
                           .miner = m->name,
                           .result = wire_result_name(o->result),
                           .error = fingerprint ? error_class_name(o->error) : "",
                           .status = o->status,
                           .items = o->items,
                           .fresh = o->fresh,
                           .cause = wire_cause_name(o->cause),
                           .attempt = attempt,
                           .task = task,
                           .detail = detail,
                           .pattern = pattern,
                           .fingerprint = fingerprint,
                           .gathered = fingerprint && !task,
                           .key = s->run_key};
    store_row(b, s, &row);
}

static void host_of(char *out, size_t size, const lane_t *l)
{
    const char *colon = strrchr(l->host, ':');
    size_t n = colon ? (size_t)(colon - l->host) : strlen(l->host);
    if (n >= size) n = size - 1;
    memcpy(out, l->host, n);
    out[n] = '\0';
}

static void record_failure(broker_t *b, const miner_t *m, source_t *s, const wire_outcome_t *o,
                           unsigned attempt, uint64_t task)
{
    char detail[MAX_DETAIL + 1], pattern[PATTERN_SIZE], host[256];
    host_of(host, sizeof host, s->lane);
    line_copy(detail, sizeof detail, o->detail);
    fingerprint_pattern(pattern, detail, host);
    uint64_t print =
        fingerprint_of(s->listing->template->name, error_class_name(o->error), o->status, pattern);
    uint32_t key = key_of(FAILED, print);
    uint8_t error = (uint8_t)o->error;
    if (s->run_key == key && !task) {
        gather(b, s, key, RESULT_failed, error, o->due, o->due, 1);
        return;
    }
    history_flush(b, s);
    s->run_key = key;
    record(b, m, s, o, attempt, task, detail, pattern, print);
}

void history_outcome(broker_t *b, const miner_t *m, source_t *s, const wire_outcome_t *o, unsigned attempt,
                     uint64_t task)
{
    bool quiet = o->result == RESULT_unchanged || o->result == RESULT_not_modified;
    if (o->result > RESULT_not_modified) {
        record_failure(b, m, s, o, attempt, task);
    } else if (quiet && !task) {
        gather(b, s, QUIET, (uint8_t)o->result, ERR_none, o->due, o->due, 1);
    } else {
        history_flush(b, s);
        s->run_key = 0;
        record(b, m, s, o, attempt, task, "", "", 0);
    }
}

void history_flush_some(broker_t *b, const listing_t *l, size_t most)
{
    size_t pos = 0;
    if (l)
        for (size_t i = 0; i < l->n_sources && i < most; i++) history_flush(b, l->sources[i]);
    else
        for (source_t *s; most-- && (s = map_next(&b->catalog.sources, &pos));) history_flush(b, s);
}
