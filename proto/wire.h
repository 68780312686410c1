// Wire: every message as a struct, and its codec to and from msgpack. PROTOCOL.md says what they mean.
//
// A message is one frame: msgpack [TYPE, {member: value, ...}]. A member that is absent is zero or empty, an
// unknown one is ignored. Rows (tables inside a message) are arrays of positional arrays; cells missing at a
// row's end are zero, surplus ones are ignored. So both ends can be of different versions.
//
// The X-macros below are the one list of members: structs, codec and the test that holds PROTOCOL.md against
// them are made from it. The last argument of a member is its bound: bytes of a string, count of ids, row
// type.
#ifndef RTM_PROTO_WIRE_H
#define RTM_PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/buf.h"
#include "proto/limits.h"

#define WIRE_VERSION 1

// The lists are laid out by hand.
// clang-format off

// -- rows -----------------------------------------------------------------------------------------

// INVENTORY: a source that the miner holds. Dues are broker times (ms); done: the latest due that is settled
// (outcome made or skipped), held: the latest due that it was assigned; running: its poll is under way or
// unstored.
#define WIRE_HOLDING(X, T) \
    X(T, U64, source, 0) X(T, I64, done, 0) X(T, I64, held, 0) X(T, BOOL, running, 0) X(T, U64, version, 0)

// ASSIGN: a template (id = XXH3-64 of its name) in one version.
#define WIRE_TEMPLATE(X, T) \
    X(T, U64, id, 0) X(T, U64, version, 0) X(T, STR, name, MAX_NAME) X(T, STR, json, MAX_TEMPLATE)

// ASSIGN: a source's definition and the soft state that its next poll starts from.
// url: as declared; fetch_url: adopted after a permanent redirect, or empty. last_ok: request start of the
// last poll whose findings are stored, 0: never. generation: another one than the miner's voids validators
// and seen set. memory: what the source is usually like and what its list held last, as a miner wrote it.
#define WIRE_SOURCE(X, T)                                                                 \
    X(T, U64, id, 0)                                                                      \
    X(T, U64, template_id, 0)                                                             \
    X(T, STR, url, MAX_URL)                                                               \
    X(T, STR, fetch_url, MAX_URL)                                                         \
    X(T, STR, etag, MAX_VALIDATOR)                                                        \
    X(T, STR, last_modified, MAX_VALIDATOR) X(T, U64, body_hash, 0) X(T, I64, last_ok, 0) \
        X(T, U64, generation, 0) X(T, STR, memory, MAX_MEMORY)

// ASSIGN: dues of a source at slot_start + offset + k * step for k in 0 .. count-1 (ms; offset may be
// negative: late, poll at once). cause: why it is late or special, see wire_cause_t. priority: priority_t. until: of
// a lease, which ends at slot_start + until (the poll must have ended by then); 0: none.
#define WIRE_DUE(X, T)                                                                                       \
    X(T, U64, source, 0) X(T, I64, offset, 0) X(T, U64, step, 0) X(T, U64, count, 0) X(T, U64, cause, 0)      \
        X(T, U64, priority, 0) X(T, I64, until, 0)

// ASSIGN, BACKOFF: a host that is not to be asked for backoff_ms from now; 0: it may be asked again. host:
// "example.org:443" in lower case; without a port: on its ports for http and https.
#define WIRE_HOST(X, T) X(T, STR, host, MAX_HOST) X(T, I64, backoff_ms, 0)

// OUTCOMES. kind: wire_outcome_kind_t; due: broker ms; result: wire_result_t; error: error_class_t; status:
// HTTP status or 0; items: found in the document; fresh: new or changed as the sink said; started: request
// start, broker ms. With has_state: the source's soft state from now on (empty etag: none). cause: of the due, as
// it was assigned; attempt: 0 for the first poll of the due, then 1, 2, ...; detail: of the error, for people.
// memory: the new one, has_state or not; empty: it stays. continuity: wire_continuity_t; gap_since: broker ms from
// which posts may be missing, 0: there is no gap; gap_reason: wire_gap_reason_t; gap_found: items that paging back
// found.
#define WIRE_OUTCOME(X, T)                                                                                  \
    X(T, U64, seq, 0)                                                                                       \
    X(T, U64, kind, 0)                                                                                      \
    X(T, U64, source, 0)                                                                                    \
    X(T, I64, due, 0)                                                                                       \
    X(T, U64, result, 0)                                                                                    \
    X(T, U64, error, 0) X(T, U64, status, 0) X(T, U64, items, 0) X(T, U64, fresh, 0) X(T, U64, bytes, 0)    \
        X(T, I64, started, 0) X(T, U64, took_ms, 0) X(T, U64, cpu_us, 0) X(T, U64, retry_after_s, 0)        \
            X(T, BOOL, has_state, 0) X(T, STR, etag, MAX_VALIDATOR) X(T, STR, last_modified, MAX_VALIDATOR) \
                X(T, U64, body_hash, 0) X(T, STR, fetch_url, MAX_URL) X(T, I64, last_ok, 0)                 \
                    X(T, U64, generation, 0) X(T, U64, cause, 0) X(T, U64, attempt, 0)                      \
                        X(T, STR, detail, MAX_DETAIL) X(T, STR, memory, MAX_MEMORY)                         \
                        X(T, U64, continuity, 0) X(T, I64, gap_since, 0) X(T, U64, gap_reason, 0)           \
                        X(T, U64, gap_found, 0)

// REQUEST: one argument of a command.
#define WIRE_ARG(X, T) X(T, STR, name, MAX_NAME) X(T, STR, value, MAX_TEMPLATE)

// BATCH: what the sink needs to know of the templates and sources of the batch's polls; every batch is
// complete in itself. keep_age (ms), keep_items: retention, 0: all are kept.
#define WIRE_SINK_TEMPLATE(X, T) \
    X(T, U64, id, 0) X(T, STR, name, MAX_NAME) X(T, BOOL, has_detail, 0) X(T, I64, fresh_within, 0) \
    X(T, I64, keep_age, 0) X(T, U64, keep_items, 0)
#define WIRE_SINK_SOURCE(X, T) X(T, U64, id, 0) X(T, U64, template_id, 0) X(T, STR, url, MAX_URL)

// BATCH: one poll, whose items follow by poll index. poll (source, due) is the version that upserts compare.
// started: request start; fetched: response complete (broker ms); absent: last_absent for its new items, 0:
// unknown; backfill: the source's first poll ever, or found by paging back. The rest as in an outcome: the poll's
// last row says it, often without items; 0 in all others. again: the keys of its items were listed with other
// contents before.
// cause: wire_cause_t, or CAUSE_TROUBLE + error_class_t.
#define WIRE_POLL(X, T)   \
    X(T, U64, source, 0)  \
    X(T, I64, due, 0)     \
    X(T, I64, started, 0) \
    X(T, I64, fetched, 0) X(T, I64, absent, 0) X(T, BOOL, backfill, 0) X(T, U64, cause, 0) \
        X(T, U64, continuity, 0) X(T, I64, gap_since, 0) X(T, U64, gap_reason, 0) X(T, U64, gap_found, 0) \
        X(T, BOOL, again, 0)

// BATCH: one item of poll number `poll` in this batch. part: wire_part_t. published: ms or TIME_NONE, fields:
// JSON object. url_norm: the normal form of url, by which sources' items are grouped.
#define WIRE_ITEM(X, T)                                                                      \
    X(T, U64, poll, 0)                                                                       \
    X(T, U64, part, 0)                                                                       \
    X(T, STR, key, MAX_KEY)                                                                  \
    X(T, U64, content_hash, 0)                                                               \
    X(T, STR, url, MAX_URL)                                                                  \
    X(T, STR, title, MAX_TITLE) X(T, STR, author, MAX_TITLE) X(T, STR, summary, MAX_SUMMARY) \
        X(T, STR, content, MAX_CONTENT) X(T, STR, image, MAX_URL) X(T, I64, published, 0)    \
            X(T, STR, fields, MAX_FIELDS_JSON) X(T, STR, url_norm, MAX_URL)

// ACK: of batch seq: one byte an item, in order: wire_verdict_t.
#define WIRE_VERDICTS(X, T) X(T, U64, seq, 0) X(T, BIN, items, MAX_WIRE_ROWS)

#define WIRE_ROW_TYPES(R)                                                                  \
    R(holding, WIRE_HOLDING)                                                               \
    R(template, WIRE_TEMPLATE)                                                             \
    R(source, WIRE_SOURCE)                                                                 \
    R(due, WIRE_DUE)                                                                       \
    R(host, WIRE_HOST)                                                                     \
    R(outcome, WIRE_OUTCOME)                                                               \
    R(arg, WIRE_ARG) R(sink_template, WIRE_SINK_TEMPLATE) R(sink_source, WIRE_SINK_SOURCE) \
        R(poll, WIRE_POLL) R(item, WIRE_ITEM) R(verdicts, WIRE_VERDICTS)

// -- messages between miner and broker --------------------------------------------------------------

// miner -> broker: I am here (first message of a connection). outcome_seq: the highest number given to an
// outcome so far; epoch: highest seen; slots: polls it can run at once; holdings: rows of INVENTORY that will
// follow.
#define WIRE_READY(X, T)          \
    X(T, U64, version, 0)         \
    X(T, STR, miner, MAX_NAME)    \
    X(T, U64, incarnation, 0)     \
    X(T, STR, software, MAX_NAME) \
    X(T, U64, workers, 0)         \
    X(T, U64, slots, 0) X(T, U64, epoch, 0) X(T, U64, outcome_seq, 0) X(T, U64, holdings, 0)
// miner -> broker, after READY and the outcomes not yet acknowledged: what it holds; the last chunk says so.
#define WIRE_INVENTORY(X, T) X(T, ROWS, holdings, holding) X(T, BOOL, last, 0)
// broker -> miner: answers READY.
#define WIRE_WELCOME(X, T) \
    X(T, U64, epoch, 0)    \
    X(T, I64, now, 0)      \
    X(T, I64, slot_ms, 0) X(T, I64, heartbeat_ms, 0) X(T, I64, liveness_ms, 0) X(T, U64, outcomes_acked, 0)
// Both ways (and between miner and sink). From a miner: state (wire_miner_state_t), heard_ms: ms since it
// last heard the active broker, running/held: polls under way / dues held, polls: since start, unacked: bytes
// of batches waiting for the sink, cpu: permille of one core, rss_kib. From the broker: epoch, now (its wall
// clock, ms), slot.
#define WIRE_HEARTBEAT(X, T)                                                                             \
    X(T, U64, epoch, 0)                                                                                  \
    X(T, I64, now, 0)                                                                                    \
    X(T, U64, slot, 0)                                                                                   \
    X(T, U64, state, 0)                                                                                  \
    X(T, I64, heard_ms, 0)                                                                               \
    X(T, U64, running, 0) X(T, U64, held, 0) X(T, U64, polls, 0) X(T, U64, unacked, 0) X(T, U64, cpu, 0) \
        X(T, U64, rss_kib, 0)
// broker -> miner: dues of a slot, with the definitions that the miner does not hold yet. slot_start: broker
// ms (names the dues); starts_in: ms from now to slot_start by the broker's reckoning (times them), may be
// negative.
#define WIRE_ASSIGN(X, T)    \
    X(T, U64, epoch, 0)      \
    X(T, U64, slot, 0)       \
    X(T, I64, slot_start, 0) \
    X(T, I64, starts_in, 0) X(T, ROWS, templates, template) X(T, ROWS, sources, source) X(T, ROWS, dues, due) \
        X(T, ROWS, hosts, host)
// broker -> miner: drop these sources: what is not started is given back, what runs is finished, then
// forgotten.
#define WIRE_REVOKE(X, T)  \
    X(T, U64, epoch, 0)    \
    X(T, IDS, sources, MAX_WIRE_ROWS) X(T, STR, reason, MAX_NAME) X(T, U64, number, 0)
// miner -> broker: done for `sources`; of these, `running` still run (their outcome will come); number: of
// the REVOKE.
#define WIRE_REVOKED(X, T) \
    X(T, IDS, sources, MAX_WIRE_ROWS) X(T, IDS, running, MAX_WIRE_ROWS) X(T, U64, number, 0)
// miner -> broker: what came of dues, numbered without gaps from 1 per incarnation.
#define WIRE_OUTCOMES(X, T) X(T, ROWS, outcomes, outcome)
// miner -> broker: answers asked for these hosts to be left alone. Not repeated.
#define WIRE_BACKOFF(X, T) X(T, ROWS, hosts, host)
// broker -> miner: all outcomes up to seq are durable (cumulative).
#define WIRE_OUTCOMES_ACK(X, T) X(T, U64, seq, 0)
// miner -> broker. done = false: I drain: everything but `running` is handed back, assign me nothing. done =
// true: all is finished and acknowledged, I exit now.
#define WIRE_GOODBYE(X, T) X(T, BOOL, done, 0) X(T, IDS, running, MAX_WIRE_ROWS) X(T, STR, reason, MAX_NAME)
// broker -> miner or sink -> miner: this session is over (or was never known): register again. Not sent for
// GOODBYE.
#define WIRE_DISCONNECT(X, T) X(T, U64, epoch, 0) X(T, STR, reason, MAX_NAME)
// to any peer: your last message was refused (HTTP-like code: 400 malformed, 409 stale epoch, 413 too big,
// ...).
#define WIRE_ERROR(X, T) X(T, U64, code, 0) X(T, STR, text, 1024)

// -- rtm-ctl and broker ---------------------------------------------------------------------------------

// rtm-ctl -> broker. id is echoed. Commands and their arguments: PROTOCOL.md.
#define WIRE_REQUEST(X, T) X(T, U64, id, 0) X(T, STR, command, MAX_NAME) X(T, ROWS, args, arg)
// broker -> rtm-ctl. code 0: done; else refused (HTTP-like). json: the answer: an array of flat objects (a
// table), or an object. cursor: not empty: more rows, ask again with it.
#define WIRE_REPLY(X, T)  \
    X(T, U64, id, 0)      \
    X(T, U64, code, 0)    \
    X(T, STR, field, 128) \
    X(T, STR, message, 1024) X(T, STR, json, MAX_CONTROL_MESSAGE) X(T, STR, cursor, MAX_CURSOR)

// -- miner and sink -----------------------------------------------------------------------------------

// miner -> sink: first message of a connection.
#define WIRE_HELLO(X, T) \
    X(T, U64, version, 0) X(T, STR, miner, MAX_NAME) X(T, U64, incarnation, 0) X(T, STR, software, MAX_NAME)
// sink -> miner: answers HELLO. credit: bytes of BATCH frames that may be unacknowledged at any time. The
// miner now sends every batch that is not acknowledged, in order of seq, and repeats definitions before their
// first use.
#define WIRE_GRANT(X, T) X(T, U64, credit, 0) X(T, I64, heartbeat_ms, 0) X(T, I64, liveness_ms, 0)
// miner -> sink. seq: from 1 per incarnation, without gaps.
#define WIRE_BATCH(X, T)                 \
    X(T, U64, seq, 0)                    \
    X(T, ROWS, templates, sink_template) \
    X(T, ROWS, sources, sink_source) X(T, ROWS, polls, poll) X(T, ROWS, items, item)
// sink -> miner: everything up to seq is durable; what was new, per batch since the last ACK; the credit from
// now on.
#define WIRE_ACK(X, T) X(T, U64, seq, 0) X(T, U64, credit, 0) X(T, ROWS, verdicts, verdicts)

#define WIRE_MESSAGE_TYPES(M)                                                                             \
    M(READY, ready)                                                                                       \
    M(INVENTORY, inventory)                                                                               \
    M(WELCOME, welcome)                                                                                   \
    M(HEARTBEAT, heartbeat)                                                                               \
    M(ASSIGN, assign)                                                                                     \
    M(REVOKE, revoke) M(REVOKED, revoked) M(OUTCOMES, outcomes) M(OUTCOMES_ACK, outcomes_ack)             \
        M(GOODBYE, goodbye) M(DISCONNECT, disconnect) M(ERROR, error) M(REQUEST, request) M(REPLY, reply) \
            M(HELLO, hello) M(GRANT, grant) M(BATCH, batch) M(ACK, ack) M(BACKOFF, backoff)
// clang-format on

// -- structs ------------------------------------------------------------------------------------------

typedef struct {
    uint64_t *v;
    size_t n;
} wire_ids_t;

typedef struct {
    const void *data;
    size_t len;
} wire_bin_t;

#define WIRE_MEMBER(T, kind, name, arg) WIRE_MEMBER_##kind(name, arg)
#define WIRE_MEMBER_U64(name, arg)      uint64_t name;
#define WIRE_MEMBER_I64(name, arg)      int64_t name;
#define WIRE_MEMBER_BOOL(name, arg)     bool name;
#define WIRE_MEMBER_STR(name, arg)      const char *name; // NUL-terminated; NULL is sent as empty, decoded as ""
#define WIRE_MEMBER_BIN(name, arg)      wire_bin_t name;
#define WIRE_MEMBER_IDS(name, arg)      wire_ids_t name;
#define WIRE_MEMBER_ROWS(name, arg) \
    struct {                        \
        wire_##arg##_t *v;          \
        size_t n;                   \
    } name;

#define WIRE_DEFINE_ROW(name, list) \
    typedef struct wire_##name {    \
        list(WIRE_MEMBER, 0)        \
    } wire_##name##_t;
WIRE_ROW_TYPES(WIRE_DEFINE_ROW)

#define WIRE_DEFINE_MESSAGE(TYPE, name) \
    typedef struct wire_##name {        \
        WIRE_##TYPE(WIRE_MEMBER, 0)     \
    } wire_##name##_t;
WIRE_MESSAGE_TYPES(WIRE_DEFINE_MESSAGE)

#define WIRE_ENUM(TYPE, name) WIRE_TYPE_##TYPE,
typedef enum { WIRE_NONE, WIRE_MESSAGE_TYPES(WIRE_ENUM) WIRE_TYPE_COUNT } wire_type_t;

// -- enumerations in cells ----------------------------------------------------------------------------

typedef enum {
    OUTCOME_POLLED = 1, // the document was fetched and read (or not); its findings are on the way to the sink
    OUTCOME_STORED = 2, // all findings are durable; carries the source's soft state
    OUTCOME_BOTH = 3,   // nothing to store: polled and stored at once
} wire_outcome_kind_t;

// clang-format off
#define WIRE_RESULTS(X) X(changed) X(unchanged) X(not_modified) X(failed) X(skipped)
// Why a poll failed, or (from quarantined to poison) why it was skipped. One list for logs, metrics, wire and users.
#define ERROR_CLASSES(X)                                                                                     \
    X(none) X(dns) X(connect) X(tls) X(timeout) X(reset) X(truncated) X(too_big) X(redirects) X(bad_url)     \
    X(refused_address) X(http_4xx) X(not_found) X(gone) X(rate_limited) X(http_5xx) X(challenge)             \
    X(empty_body) X(not_this_kind) X(parse) X(too_complex) X(rotted) X(robots) X(rejected) X(internal)       \
    X(quarantined) X(blocked) X(dependency) X(overloaded) X(host_backoff) X(sink_backpressure)               \
    X(still_running) X(missed_while_down) X(no_miner) X(removed) X(limited) X(poison) X(no_secret)
// Why a due is not polled by its owner at its phase.
#define WIRE_CAUSES(X) X(scheduled) X(added) X(reassigned) X(retry) X(triggered) X(catch_up) \
    X(probe) X(host_backoff) X(overloaded) X(waited) X(replay)
#define WIRE_MINER_STATES(X) X(ok) X(draining) X(sink_backpressure) X(overloaded)
#define WIRE_VERDICT_NAMES(X) X(known) X(new) X(changed) X(lacks_detail) X(rejected) X(older)
// Whether a poll proves that nothing was missed since the one before; and why paging back did not prove it.
#define WIRE_CONTINUITIES(X) X(unknown) X(continuous) X(gap) X(unprovable)
#define WIRE_GAP_REASONS(X) X(none) X(paged_back) X(no_next_page) X(page_limit) X(list_ended) X(not_resumed) \
    X(page_failed)
// clang-format on

#define WIRE_RESULT_ENUM(name)     RESULT_##name,
#define ERROR_CLASS_ENUM(name)     ERR_##name,
#define WIRE_CAUSE_ENUM(name)      CAUSE_##name,
#define WIRE_STATE_ENUM(name)      MINER_##name,
#define WIRE_VERDICT_ENUM(name)    VERDICT_##name,
#define WIRE_CONTINUITY_ENUM(name) CONTINUITY_##name,
#define WIRE_GAP_REASON_ENUM(name) GAP_##name,
typedef enum { WIRE_RESULTS(WIRE_RESULT_ENUM) RESULT_COUNT } wire_result_t;
typedef enum { ERROR_CLASSES(ERROR_CLASS_ENUM) ERR_COUNT } error_class_t;
typedef enum { WIRE_CAUSES(WIRE_CAUSE_ENUM) CAUSE_COUNT } wire_cause_t;
typedef enum { WIRE_MINER_STATES(WIRE_STATE_ENUM) MINER_STATE_COUNT } wire_miner_state_t;
typedef enum { WIRE_VERDICT_NAMES(WIRE_VERDICT_ENUM) VERDICT_COUNT } wire_verdict_t;
typedef enum { WIRE_CONTINUITIES(WIRE_CONTINUITY_ENUM) CONTINUITY_COUNT } wire_continuity_t;
typedef enum { WIRE_GAP_REASONS(WIRE_GAP_REASON_ENUM) GAP_COUNT } wire_gap_reason_t;
// An item as listed; the fields of its detail page (a completion, no revision); a question only: is this key
// known and complete?; both at once (an item that its detail page had to let through first).
typedef enum { PART_LIST, PART_DETAIL, PART_PROBE, PART_WHOLE } wire_part_t;

// A poll's cause where it is scheduled, but polls before it failed or were skipped: plus the latest one's
// error class.
enum { CAUSE_TROUBLE = 200 };

// Names as users see them; "unknown" beyond the list.
const char *wire_result_name(uint64_t result);
const char *error_class_name(uint64_t error);
const char *wire_cause_name(uint64_t cause);
const char *wire_miner_state_name(uint64_t state);
const char *wire_verdict_name(uint64_t verdict);
const char *wire_continuity_name(uint64_t continuity);
const char *wire_gap_reason_name(uint64_t reason);

// -- codec --------------------------------------------------------------------------------------------

// "READY", ...
const char *wire_type_name(wire_type_t type);

// Appends message (the struct of type) to out. -1: it does not fit out's maximum; out is then as before.
__attribute__((warn_unused_result)) int wire_encode(buf_t *out, wire_type_t type, const void *message);

// Decodes one frame. *message (the struct of *type) and all it points to live in arena.
// 0, or a code for ERROR (400 malformed or beyond a bound, 413 arena full) with *why set to a constant text.
__attribute__((warn_unused_result)) int wire_decode(arena_t *arena, const void *bytes, size_t len,
                                                    wire_type_t *type, void **message, const char **why);

// Bytes that item takes at most when encoded: for closing batches in time.
size_t wire_item_size(const wire_item_t *item);

// The member names, for the test that holds PROTOCOL.md against this file: calls visit(type or row name,
// member).
void wire_visit_members(void (*visit)(void *context, const char *owner, const char *member), void *context);

#endif
