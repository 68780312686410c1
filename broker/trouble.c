// Trouble: strikes, quarantine, suspects.
#include "broker/trouble.h"

#include <stdlib.h>
#include <string.h>

#include "broker/letters.h"
#include "broker/outage.h"
#include "broker/records.h"
#include "broker/relations.h"
#include "broker/state.h"
#include "common/check.h"
#include "common/line.h"
#include "common/log.h"

enum {
    FIRST_PAUSE_SLOTS = 10,
    LONGEST_PAUSE_SLOTS = 1440,
    READ_MS = 5000,       // after its list, a poll may be reading detail pages for so long
    SUSPECTS_AT_ONCE = 8, // more in flight at a death would take too long to be tried one by one
    SETTLED_MS = 30000,   // a miner that has been up for so long does not die by itself
};

void trouble_free(trouble_t **trouble)
{
    free(*trouble);
    *trouble = NULL;
}

bool source_is_quarantined(const source_t *s)
{
    return s->trouble && s->trouble->quarantined;
}

bool source_is_suspect(const source_t *s)
{
    return s->trouble && s->trouble->suspect;
}

int64_t trouble_not_before(const source_t *s)
{
    const miner_t *m = s->lane->owner;
    return source_is_suspect(s) && s->trouble->deaths && m ? m->joined_at + SETTLED_MS : 0;
}

static trouble_t *trouble_of(source_t *s)
{
    if (!s->trouble) s->trouble = xcalloc(1, sizeof *s->trouble);
    return s->trouble;
}

// Strikes are forgotten by a restart, which is merely lenient; the rest is not.
static void store(broker_t *b, const source_t *s)
{
    const trouble_t *t = s->trouble;
    if (!t || (!t->quarantined && !t->deaths && !t->suspect)) {
        record_drop(b, RECORD_TROUBLE, s->id);
        return;
    }
    yyjson_mut_doc *doc = record_new();
    yyjson_mut_val *o = yyjson_mut_doc_get_root(doc);
    yyjson_mut_obj_add_str(doc, o, "why", error_class_name(t->why));
    yyjson_mut_obj_add_uint(doc, o, "why_number", t->why);
    yyjson_mut_obj_add_uint(doc, o, "pauses", t->pauses);
    yyjson_mut_obj_add_bool(doc, o, "quarantined", t->quarantined);
    yyjson_mut_obj_add_bool(doc, o, "suspect", t->suspect);
    yyjson_mut_obj_add_int(doc, o, "since", t->since);
    yyjson_mut_obj_add_int(doc, o, "probe_at", t->probe_at);
    yyjson_mut_val *miners = yyjson_mut_obj_add_arr(doc, o, "miners");
    for (int i = 0; i < t->deaths; i++) yyjson_mut_arr_add_str(doc, miners, t->miners[i]);
    record_put(b, RECORD_TROUBLE, s->id, doc);
}

void trouble_load(broker_t *b, uint64_t id, yyjson_val *o)
{
    source_t *s = map_get(&b->catalog.sources, id);
    if (!s || !yyjson_is_obj(o)) return;
    trouble_t *t = trouble_of(s);
    *t = (trouble_t){.why = (uint8_t)yyjson_get_uint(yyjson_obj_get(o, "why_number")),
                     .pauses = (uint16_t)yyjson_get_uint(yyjson_obj_get(o, "pauses")),
                     .quarantined = yyjson_get_bool(yyjson_obj_get(o, "quarantined")),
                     .suspect = yyjson_get_bool(yyjson_obj_get(o, "suspect")),
                     .since = yyjson_get_sint(yyjson_obj_get(o, "since")),
                     .probe_at = yyjson_get_sint(yyjson_obj_get(o, "probe_at"))};
    yyjson_val *miners = yyjson_obj_get(o, "miners");
    for (size_t i = 0; i < yyjson_arr_size(miners) && t->deaths < POISON_DEATHS; i++) {
        const char *name = yyjson_get_str(yyjson_arr_get(miners, i));
        snprintf(t->miners[t->deaths++], sizeof t->miners[0], "%s", name ? name : "");
    }
}

// -- quarantine -------------------------------------------------------------------------------------------

static int64_t pause_ms(const broker_t *b, const trouble_t *t)
{
    int64_t slots = FIRST_PAUSE_SLOTS;
    for (int i = 0; i < t->pauses && slots < LONGEST_PAUSE_SLOTS; i++) slots *= 2;
    return (slots < LONGEST_PAUSE_SLOTS ? slots : LONGEST_PAUSE_SLOTS) * b->config.slot_ms;
}

static void await_probe(broker_t *b, source_t *s)
{
    if (s->trouble->probe_at != INT64_MAX) jobs_schedule(b, s, CAUSE_probe, 0, s->trouble->probe_at);
}

static void quarantine(broker_t *b, source_t *s, error_class_t why, const char *detail)
{
    trouble_t *t = trouble_of(s);
    t->quarantined = true;
    t->suspect = false;
    t->since = b->now;
    t->pauses = 0;
    t->why = (uint8_t)why;
    t->probe_at = why == ERR_gone || why == ERR_poison ? INT64_MAX : b->now + pause_ms(b, t);
    log_warn("quarantined", "source=%016llx template=%s url=\"%s\" reason=%s detail=\"%s\"",
             (unsigned long long)s->id, s->listing->template->name, s->url, error_class_name(why), detail);
    letter_put(b, LETTER_QUARANTINE, s->listing->template->name, s->id, why, detail); // so that none lacks
    store(b, s);
    relations_forget(s->listing);
    b->jobs.changed = true;
    dues_withdraw(b, s, ERR_quarantined);
    await_probe(b, s);
}

void trouble_resume(broker_t *b, source_t *s)
{
    if (source_is_quarantined(s) && !s->job && !s->extra) await_probe(b, s);
}

// It need not run alone any more: what it has open goes the usual way.
static void clear_suspicion(broker_t *b, source_t *s)
{
    if (!source_is_suspect(s)) return;
    s->trouble->suspect = false;
    if (jobs_gate(s)) return;
    jobs_leave(b, s);
    if (s->entered) dues_send(b, s, INT64_MIN, CAUSE_scheduled);
}

bool trouble_clear(broker_t *b, source_t *s, const char *reason)
{
    trouble_t *t = s->trouble;
    if (!t) return false;
    bool was = t->quarantined;
    bool stored = was || t->suspect || t->deaths;
    clear_suspicion(b, s);
    if (was) {
        log_info("released", "source=%016llx template=%s url=\"%s\" reason=%s", (unsigned long long)s->id,
                 s->listing->template->name, s->url, reason);
        jobs_forgo(b, s, CAUSE_probe);
    }
    trouble_free(&s->trouble);
    if (stored) store(b, s);
    if (was) letters_drop_source(b, s->id, LETTER_QUARANTINE);
    relations_forget(s->listing);
    b->jobs.changed = true;
    return was;
}

// -- outcomes ---------------------------------------------------------------------------------------------

static double random_fraction(broker_t *b) // splitmix64 (Steele, Lea, Flood 2014)
{
    uint64_t z = (b->random += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

// Exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", 2015).
static int64_t retry_delay(broker_t *b, const retry_policy_t *policy, unsigned attempt)
{
    double cap = (double)policy->initial_ms;
    for (unsigned i = 0; i < attempt && cap < (double)policy->max_ms; i++) cap *= policy->coefficient;
    if (cap > (double)policy->max_ms) cap = (double)policy->max_ms;
    return 50 + (int64_t)(cap * random_fraction(b));
}

// Another attempt, before the source's next due. False: that was the last one.
static bool try_again(broker_t *b, source_t *s, const wire_outcome_t *o, const settled_t *settled)
{
    enum { RETRIES_SAVED = 100 };
    const retry_policy_t *policy = &s->listing->template->retry;
    if (b->retry_tokens > RETRIES_SAVED) b->retry_tokens = RETRIES_SAVED;
    if (settled->attempt + 1U >= policy->max_attempts || (policy->non_retryable >> o->error & 1))
        return false;
    if (source_is_quarantined(s) || b->retry_tokens < 1) return false;
    int64_t delay = retry_delay(b, policy, settled->attempt), wait = outage_wait_ms(o);
    int64_t at = b->now + (delay > wait ? delay : wait);
    const template_t *t = s->listing->template;
    int64_t next = t->mode == MODE_CONTINUOUS ? b->now + t->min_gap_ms : dues_next(b, s); // 0: none by itself
    if (outage_reason(s, at) || (next && at >= next)) return false;
    b->retry_tokens--;
    jobs_schedule(b, s, CAUSE_retry, (uint8_t)(settled->attempt + 1), at);
    return true;
}

// The failure is the source's.
static void strike(broker_t *b, source_t *s, const wire_outcome_t *o)
{
    uint32_t most = s->listing->template->max_consecutive_failures;
    trouble_t *t = trouble_of(s);
    t->strikes += t->strikes < UINT16_MAX;
    t->why = (uint8_t)o->error;
    if (o->error == ERR_gone || (most && t->strikes >= most))
        quarantine(b, s, (error_class_t)o->error, o->detail);
}

static void probe_failed(broker_t *b, source_t *s, const wire_outcome_t *o)
{
    trouble_t *t = s->trouble;
    t->pauses += t->pauses < UINT16_MAX;
    t->why = (uint8_t)o->error;
    t->probe_at = b->now + pause_ms(b, t);
    store(b, s);
    await_probe(b, s);
}

bool trouble_outcome(broker_t *b, source_t *s, const wire_outcome_t *o, const settled_t *settled, bool hosts)
{
    if (o->result == RESULT_skipped) return false;
    b->retry_tokens += 0.1;
    if (o->result != RESULT_failed) {
        jobs_forgo(b, s, CAUSE_retry);
        trouble_clear(b, s, "it works");
        return false;
    }
    if (source_is_suspect(s)) { // the miner lives
        clear_suspicion(b, s);
        store(b, s);
    }
    if (source_is_quarantined(s)) {
        if (settled->cause == CAUSE_probe || settled->cause == CAUSE_triggered) probe_failed(b, s, o);
        return false;
    }
    if (try_again(b, s, o, settled)) return true;
    if (!hosts) strike(b, s, o);
    return false;
}

void trouble_late_outcome(broker_t *b, source_t *s, const wire_outcome_t *o)
{
    const trouble_t *t = s->trouble;
    bool probed = t && t->quarantined && t->probe_at != INT64_MAX && o->due >= t->probe_at;
    if (o->result == RESULT_skipped) return;
    if (o->result != RESULT_failed) jobs_forgo(b, s, CAUSE_retry); // it works
    if (probed && o->result == RESULT_failed) probe_failed(b, s, o);
    if (probed && o->result != RESULT_failed) trouble_clear(b, s, "it works");
}

// -- deaths of miners -------------------------------------------------------------------------------------

// A due of s had come when m was last alive, and m may have been polling it. What it had read for a while
// only waited for the sink.
static bool in_flight(const miner_t *m, const source_t *s)
{
    int64_t at = m->alive_at;
    if (!s->entered || s->away) return false;
    if (s->polled && s->polled_at < at - READ_MS) return false;
    if (s->job && s->job->state == JOB_RUNNING)
        return s->job->miner == jobs_miner(m); // else where it was before
    if (jobs_gate(s) || !s->known_to_owner) return false;
    if (s->extra && s->extra <= at) return true;
    return s->held > s->done && grid_next(source_grid(s), s->done) <= at;
}

static int64_t last_alive(const broker_t *b, const miner_t *m)
{
    return b->now - (b->instant.mono - m->heard) + b->config.heartbeat_ms;
}

static void note_in_flight(miner_t *m, const source_t *s)
{
    if (!in_flight(m, s)) return;
    if (m->n_in_flight == m->cap_in_flight)
        m->in_flight =
            xrealloc(m->in_flight, (m->cap_in_flight = m->cap_in_flight * 2 + 64) * sizeof *m->in_flight);
    m->in_flight[m->n_in_flight++] = s->id;
}

void trouble_dies(broker_t *b, miner_t *m)
{
    m->alive_at = last_alive(b, m);
    m->in_flight = xcalloc(m->cap_in_flight = 64, sizeof *m->in_flight);
    for (size_t i = 0; i < b->jobs.leases.count; i++) {
        const job_t *job = HEAP_OWNER(b->jobs.leases.nodes[i], job_t, lease);
        if (job->source->lane->owner == m) note_in_flight(m, job->source);
    }
}

void trouble_look(miner_t *m, const lane_t *l)
{
    for (const source_t *s = l->sources; m->in_flight && s; s = s->lane_next) note_in_flight(m, s);
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// The sources in flight at m that there still are, *n of them; the caller frees the array.
static source_t **all_in_flight(const broker_t *b, const miner_t *m, size_t *n)
{
    source_t **all = xcalloc(m->n_in_flight + 1, sizeof(source_t *));
    qsort(m->in_flight, m->n_in_flight, sizeof *m->in_flight, by_id);
    *n = 0;
    for (size_t i = 0; i < m->n_in_flight; i++) {
        source_t *s = map_get(&b->catalog.sources, m->in_flight[i]);
        bool again = i && m->in_flight[i] == m->in_flight[i - 1];
        if (s && !again) all[(*n)++] = s;
    }
    return all;
}

static void blame(broker_t *b, source_t *s, const miner_t *m)
{
    trouble_t *t = s->trouble;
    if (t->deaths < POISON_DEATHS) line_copy(t->miners[t->deaths++], sizeof t->miners[0], m->name);
    log_warn("suspect", "source=%016llx url=\"%s\" deaths=%d miner=%s", (unsigned long long)s->id, s->url,
             t->deaths, m->name);
    if (t->deaths < POISON_DEATHS) {
        store(b, s);
        return;
    }
    char names[POISON_DEATHS * sizeof t->miners[0] + 64];
    snprintf(names, sizeof names, "miners that died of it: %s %s %s", t->miners[0], t->miners[1],
             t->miners[2]);
    quarantine(b, s, ERR_poison, names);
}

// If they are few they can be tried one by one at once; else only who is in flight at a second death too is.
static void suspect_all(broker_t *b, const miner_t *m, source_t **all, size_t n)
{
    size_t suspects = 0;
    for (size_t i = 0; i < n; i++) {
        trouble_t *t = trouble_of(all[i]);
        bool again = t->seen_at_death;
        t->seen_at_death = true;
        if ((n > SUSPECTS_AT_ONCE && !again) || t->quarantined) continue;
        t->suspect = true;
        store(b, all[i]);
        suspects++;
    }
    if (suspects)
        log_warn("suspects", "miner=%s sources=%zu they run one per miner until they succeed", m->name,
                 suspects);
}

void trouble_miner_died(broker_t *b, miner_t *m)
{
    source_t *suspect = NULL;
    size_t suspects = 0, n;
    if (!m->in_flight) return;
    source_t **all = all_in_flight(b, m, &n);
    for (size_t i = 0; i < n; i++)
        if (source_is_suspect(all[i])) suspect = all[i], suspects++;
    if (suspects == 1)
        blame(b, suspect, m);
    else if (!suspects && n)
        suspect_all(b, m, all, n);
    free(all);
}
