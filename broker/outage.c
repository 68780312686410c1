// Outage: breakers and back-offs of hosts, health of miners.
#include "broker/outage.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "broker/records.h"
#include "broker/state.h"
#include "broker/trouble.h"
#include "common/check.h"
#include "common/log.h"

enum {
    TRY_ELSEWHERE = 3,  // failures in a row at one miner
    OPEN_ALONE = 6,     // the same where there is no other miner to ask
    ENOUGH_POLLS = 10,  // to judge a miner by
    WINDOW_POLLS = 64,  // of those before, half count
    BACKOFF_MS = 60000, // without Retry-After, doubling
    BACKOFF_MOST_MS = 86400000,
    HOSTS_CHUNK = 512, // rows a message
    PROOF_SLOTS = 3,   // that a miner has to prove itself
    JUDGE_EVERY_MS = 1000,
    TOLD_AT_ONCE = 256, // hosts in one BACKOFF; of more the rest is left
};

void outage_free(outage_t **outage)
{
    free(*outage);
    *outage = NULL;
}

bool outage_is_hosts(error_class_t error)
{
    switch (error) {
    case ERR_dns:
    case ERR_connect:
    case ERR_tls:
    case ERR_timeout:
    case ERR_reset:
    case ERR_http_5xx:
    case ERR_rate_limited: return true;
    default: return false;
    }
}

int64_t outage_wait_ms(const wire_outcome_t *o)
{
    return o->retry_after_s < BACKOFF_MOST_MS / 1000 ? (int64_t)o->retry_after_s * 1000 : BACKOFF_MOST_MS;
}

static outage_t *outage_of(lane_t *l)
{
    if (!l->outage) l->outage = xcalloc(1, sizeof *l->outage);
    return l->outage;
}

static uint64_t hash_of(const miner_t *m)
{
    return XXH3_64bits(m->name, strlen(m->name));
}

error_class_t outage_reason(const source_t *s, int64_t due)
{
    const outage_t *o = s->lane->outage;
    if (!o) return ERR_none;
    return o->breaker == BREAKER_OPEN || o->backoff_until > due ? ERR_host_backoff : ERR_none;
}

int64_t outage_until(const source_t *s)
{
    return s->lane->outage ? s->lane->outage->backoff_until : 0;
}

static void withdraw_all(broker_t *b, lane_t *l)
{
    for (source_t *s = l->sources; s; s = s->lane_next) dues_withdraw(b, s, ERR_host_backoff);
}

// -- back-off -----------------------------------------------------------------------------------------------

static void store_backoff(broker_t *b, const lane_t *l)
{
    yyjson_mut_doc *doc = record_new();
    yyjson_mut_val *o = yyjson_mut_doc_get_root(doc);
    yyjson_mut_obj_add_int(doc, o, "until", l->outage->backoff_until);
    yyjson_mut_obj_add_uint(doc, o, "why", l->outage->why);
    yyjson_mut_obj_add_uint(doc, o, "pauses", l->outage->pauses);
    record_put(b, RECORD_HOST, l->hash, doc);
}

void outage_load(broker_t *b, uint64_t host, yyjson_val *record)
{
    lane_t *l = map_get(&b->catalog.lanes, host);
    if (!l) return;
    outage_t *out = outage_of(l);
    out->backoff_until = yyjson_get_sint(yyjson_obj_get(record, "until"));
    out->why = (uint8_t)yyjson_get_uint(yyjson_obj_get(record, "why"));
    out->pauses = (uint16_t)yyjson_get_uint(yyjson_obj_get(record, "pauses"));
    backoffs_note(&b->backoffs, l->host, out->backoff_until);
}

// Nothing of the lane is polled for ms.
static void pause_lane(broker_t *b, lane_t *l, int64_t ms, error_class_t error, uint64_t status)
{
    outage_t *out = outage_of(l);
    if (out->backoff_until >= b->now + ms) return;
    out->backoff_until = b->now + ms;
    out->why = (uint8_t)error;
    log_info("host_backoff", "host=%s ms=%lld error=%s status=%llu", l->host, (long long)ms,
             error_class_name(error), (unsigned long long)status);
    store_backoff(b, l);
    backoffs_note(&b->backoffs, l->host, out->backoff_until);
    withdraw_all(b, l);
}

// The other miners, whose detail pages may be there, are told.
static void tell_others(broker_t *b, const miner_t *from, const wire_host_t *hosts, size_t n)
{
    size_t pos = 0;
    for (miner_t *m; (m = registry_next(&b->registry, &pos));)
        if (m != from && m->phase == MINER_LIVE) outbox_hosts(b, m, hosts, n);
}

void outage_tell(broker_t *b, miner_t *m)
{
    size_t n;
    wire_host_t *rows = backoffs_rows(&b->backoffs, b->now, &n);
    for (size_t i = 0; i < n; i += HOSTS_CHUNK)
        outbox_hosts(b, m, rows + i, n - i < HOSTS_CHUNK ? n - i : HOSTS_CHUNK);
    free(rows);
}

static void back_off(broker_t *b, const miner_t *m, lane_t *l, const wire_outcome_t *o)
{
    outage_t *out = outage_of(l);
    int64_t ms = outage_wait_ms(o);
    if (!ms) {
        ms = BACKOFF_MS;
        for (int i = 0; i < out->pauses && ms < BACKOFF_MOST_MS; i++) ms *= 2;
        b->random = b->random * 6364136223846793005ULL + 1442695040888963407ULL;
        ms += (int64_t)((b->random >> 33) % (uint64_t)(ms / 4));
        if (ms > BACKOFF_MOST_MS) ms = BACKOFF_MOST_MS;
        out->pauses += out->pauses < UINT16_MAX;
    }
    bool known = out->backoff_until >= b->now + ms;
    pause_lane(b, l, ms, (error_class_t)o->error, o->status);
    wire_host_t row = {.host = l->host, .backoff_ms = ms};
    if (!known) tell_others(b, m, &row, 1);
}

// A host with its port; templates may leave out the one that is the scheme's own.
static void pause_host(broker_t *b, const char *host, int64_t ms)
{
    const char *port = strrchr(host, ':');
    size_t len = strlen(host), bare = len;
    if (port && (!strcmp(port, ":443") || !strcmp(port, ":80"))) bare = (size_t)(port - host);
    lane_t *l = map_get(&b->catalog.lanes, XXH3_64bits(host, len));
    if (l) pause_lane(b, l, ms, ERR_rate_limited, 0);
    l = bare < len ? map_get(&b->catalog.lanes, XXH3_64bits(host, bare)) : NULL;
    if (l) pause_lane(b, l, ms, ERR_rate_limited, 0);
}

void outage_told(broker_t *b, const miner_t *from, const wire_backoff_t *message)
{
    wire_host_t rows[TOLD_AT_ONCE];
    size_t n = 0;
    for (size_t i = 0; i < message->hosts.n && n < TOLD_AT_ONCE; i++) {
        const wire_host_t *h = &message->hosts.v[i];
        int64_t ms = h->backoff_ms < BACKOFF_MOST_MS ? h->backoff_ms : BACKOFF_MOST_MS;
        if (ms <= 0) continue; // no miner ends what another one was told
        backoffs_note(&b->backoffs, h->host, b->now + ms);
        pause_host(b, h->host, ms);
        rows[n++] = (wire_host_t){h->host, ms};
    }
    if (n) tell_others(b, from, rows, n);
}

// -- breaker ------------------------------------------------------------------------------------------------

// One source of the host is polled at probe_at.
static void plan_probe(broker_t *b, lane_t *l)
{
    source_t *best = NULL;
    for (source_t *s = l->sources; s && (!best || jobs_gate(best)); s = s->lane_next)
        if (s->entered && !source_is_quarantined(s) && !s->extra)
            best = s; // rather one that waits for nobody
    if (best) jobs_schedule(b, best, CAUSE_probe, 0, l->outage->probe_at);
    l->outage->probe = best ? best->id : 0;
}

static void pause_probe(broker_t *b, lane_t *l)
{
    outage_t *out = l->outage;
    int64_t ms = b->config.slot_ms / 8, most = b->config.slot_ms < 60000 ? b->config.slot_ms : 60000;
    for (int i = 0; i < out->pauses && ms < most; i++) ms *= 2;
    out->probe_at = b->now + (ms < most ? ms : most);
    plan_probe(b, l);
}

static void open_breaker(broker_t *b, lane_t *l, const wire_outcome_t *o)
{
    outage_t *out = l->outage;
    out->breaker = BREAKER_OPEN;
    out->since = b->now;
    out->pauses = 0;
    out->why = (uint8_t)o->error;
    b->open_breakers++;
    withdraw_all(b, l);
    log_warn("breaker_opened", "host=%s error=%s sources=%u", l->host, error_class_name(o->error),
             l->n_sources);
    pause_probe(b, l);
}

static void close_outage(broker_t *b, lane_t *l, const char *reason)
{
    outage_t *out = l->outage;
    if (!out) return;
    if (out->breaker == BREAKER_OPEN) {
        source_t *probed = map_get(&b->catalog.sources, out->probe);
        if (probed && !source_is_quarantined(probed)) jobs_forgo(b, probed, CAUSE_probe);
        b->open_breakers--;
        log_info("breaker_closed", "host=%s reason=%s after_ms=%lld", l->host, reason,
                 (long long)(b->now - out->since));
    }
    if (out->backoff_until) record_drop(b, RECORD_HOST, l->hash);
    outage_free(&l->outage);
}

void outage_lane_gone(broker_t *b, lane_t *l)
{
    close_outage(b, l, "removed");
}

static void failed(broker_t *b, miner_t *m, lane_t *l, const wire_outcome_t *o)
{
    outage_t *out = outage_of(l);
    if (out->breaker == BREAKER_OPEN) {
        if (b->now < out->probe_at) return; // of a poll that was under way
        out->pauses += out->pauses < UINT16_MAX;
        pause_probe(b, l);
        return;
    }
    out->failures += out->failures < UINT16_MAX;
    if (out->blamed_by && out->blamed_by != hash_of(m)) {
        open_breaker(b, l, o);
    } else if (l->owner != m || l->moving) {
        return; // a poll that was under way when the lane moved
    } else if (out->failures >= TRY_ELSEWHERE && assign_elsewhere(b, l)) {
        out->blamed_by = hash_of(m);
        log_info("second_opinion", "host=%s miner=%s error=%s", l->host, m->name, error_class_name(o->error));
    } else if (out->failures >= OPEN_ALONE) {
        open_breaker(b, l, o);
    }
}

// -- health of miners
// -----------------------------------------------------------------------------------------

static void fall_sick(broker_t *b, miner_t *m)
{
    m->health = HEALTH_SICK;
    m->sick_until = b->now + b->config.slot_ms;
    log_warn("miner_sick", "miner=%s failures=%u polls=%u its hosts move to others", m->name,
             m->host_failures, m->host_polls);
    m->host_polls = m->host_failures = 0;
    assign_evict(b, m);
}

static void recover(broker_t *b, miner_t *m)
{
    m->health = HEALTH_OK;
    m->host_polls = m->host_failures = 0;
    log_info("miner_well", "miner=%s", m->name);
    assign_balance(b);
}

static void note_health(broker_t *b, miner_t *m, bool failed_there)
{
    m->host_polls++;
    m->host_failures += failed_there;
    if (m->host_polls >= WINDOW_POLLS) m->host_polls /= 2, m->host_failures /= 2;
    if (m->health != HEALTH_PROVING) return;
    if (failed_there)
        fall_sick(b, m);
    else
        recover(b, m);
}

static void judge(broker_t *b, miner_t *m, const miner_t *all)
{
    uint32_t polls = all->host_polls - m->host_polls, failures = all->host_failures - m->host_failures;
    if (m->health == HEALTH_OK && m->host_polls >= ENOUGH_POLLS && m->host_failures * 2 > m->host_polls &&
        polls >= ENOUGH_POLLS && failures * 10 < polls)
        fall_sick(b, m);
    if (m->health == HEALTH_SICK && b->now >= m->sick_until) m->health = HEALTH_PROVING;
    if (m->health != HEALTH_PROVING) return;
    bool idle = !m->n_lanes && !m->n_coming;
    bool late =
        b->now >= m->sick_until + PROOF_SLOTS * b->config.slot_ms; // what it has may not be due for hours
    if (late || (idle && !assign_prove(b, m))) recover(b, m);
}

static void replan_probes(broker_t *b)
{
    size_t pos = 0;
    for (lane_t *l; b->open_breakers && (l = map_next(&b->catalog.lanes, &pos));) {
        const outage_t *out = l->outage;
        if (out && out->breaker == BREAKER_OPEN && b->now > out->probe_at + b->config.slot_ms)
            pause_probe(b, l);
    }
}

void outage_judge(broker_t *b)
{
    if (b->now < b->judged_at + JUDGE_EVERY_MS && b->now >= b->judged_at) return;
    b->judged_at = b->now;
    miner_t all = {0};
    size_t pos = 0;
    for (const miner_t *m; (m = registry_next(&b->registry, &pos));) {
        if (m->phase != MINER_LIVE) continue;
        all.host_polls += m->host_polls;
        all.host_failures += m->host_failures;
    }
    pos = 0;
    for (miner_t *m; (m = registry_next(&b->registry, &pos));)
        if (m->phase == MINER_LIVE) judge(b, m, &all);
    replan_probes(b);
}

void outage_fade(broker_t *b)
{
    size_t pos = 0;
    for (miner_t *m; (m = registry_next(&b->registry, &pos));) {
        m->host_polls /= 2;
        m->host_failures /= 2;
    }
}

bool outage_outcome(broker_t *b, miner_t *m, source_t *s, const wire_outcome_t *o)
{
    if (o->result == RESULT_skipped) return false;
    bool hosts = o->result == RESULT_failed && outage_is_hosts((error_class_t)o->error);
    bool limited = hosts && (o->error == ERR_rate_limited || o->status == 503);
    note_health(b, m, hosts && !limited);
    if (!hosts) {
        if (s->lane->outage && s->lane->outage->backoff_until <= b->now) close_outage(b, s->lane, "it works");
        return false;
    }
    if (limited)
        back_off(b, m, s->lane, o);
    else
        failed(b, m, s->lane, o);
    return true;
}
