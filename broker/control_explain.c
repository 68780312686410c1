// Control, explain: why a source is or is not polled now, and when it will be next, in sentences.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/control.h"
#include "broker/relations.h"
#include "broker/trouble.h"

enum { SAME_URL = 16 };

__attribute__((format(printf, 3, 4))) static void say(call_t *c, yyjson_mut_val *reasons, const char *fmt,
                                                      ...)
{
    char text[700];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    yyjson_mut_arr_add_strcpy(c->doc, reasons, text);
}

// "in 12 s", of a broker time.
static const char *in_words(const broker_t *b, int64_t at, char *out, size_t size)
{
    double s = (double)(at - b->now) / 1000;
    if (s <= 0) return "now";
    if (s < 120)
        snprintf(out, size, "in %.0f s", s);
    else if (s < 7200)
        snprintf(out, size, "in %.0f min", s / 60);
    else
        snprintf(out, size, "in %.1f h", s / 3600);
    return out;
}

static void explain_trouble(call_t *c, yyjson_mut_val *reasons, const source_t *s)
{
    const trouble_t *t = s->trouble;
    char when[40];
    if (!t) return;
    if (t->quarantined && t->probe_at == INT64_MAX)
        say(c, reasons,
            "it is in quarantine (%s) and is not tried again by itself; `rtm-ctl enable %016llx` lets it out",
            error_class_name(t->why), (unsigned long long)s->id);
    else if (t->quarantined)
        say(c, reasons,
            "it is in quarantine (%s), after failing %u times in a row; it is probed %s; `rtm-ctl enable"
            " %016llx` lets it out at once",
            error_class_name(t->why), t->strikes, in_words(c->broker, t->probe_at, when, sizeof when),
            (unsigned long long)s->id);
    else if (t->suspect && t->deaths)
        say(c, reasons,
            "%u miners died while it was their only suspect; at %d it is put in quarantine; it is tried again on a"
            " miner that has been up for half a minute",
            t->deaths, POISON_DEATHS);
    else if (t->suspect)
        say(c, reasons, "a miner died while it was polled, so it runs alone on its miner until it succeeds");
    else if (t->strikes && s->listing->template->max_consecutive_failures)
        say(c, reasons, "it failed %u times in a row (%s); at %u it is put in quarantine", t->strikes,
            error_class_name(t->why), s->listing->template->max_consecutive_failures);
}

static void explain_host(call_t *c, yyjson_mut_val *reasons, const source_t *s)
{
    const outage_t *o = s->lane->outage;
    char when[40];
    if (!o) return;
    if (o->failures && o->breaker == BREAKER_CLOSED && o->blamed_by)
        say(c, reasons, "its host %s failed at one miner and is tried at another", s->lane->host);
    if (o->breaker == BREAKER_OPEN)
        say(c, reasons,
            "its host %s is down (%s, seen by more than one miner where there are more); it is probed %s",
            s->lane->host, error_class_name(o->why), in_words(c->broker, o->probe_at, when, sizeof when));
    if (o->backoff_until > c->broker->now)
        say(c, reasons, "its host %s asked to be left alone (%s); it is polled again %s", s->lane->host,
            error_class_name(o->why), in_words(c->broker, o->backoff_until, when, sizeof when));
}

// What keeps its template from starting a poll of it.
static void explain_obstacle(call_t *c, yyjson_mut_val *reasons, const source_t *s)
{
    broker_t *b = c->broker;
    const listing_t *l = s->listing;
    const char *waits_for = NULL;
    switch (jobs_obstacle(b, s)) {
    case ERR_dependency:
        relations_ready(b, l, b->now, &waits_for);
        say(c, reasons, "it waits until all of '%s' has been stored%s",
            waits_for ? waits_for : "what it depends on",
            waits_for && !catalog_find(&b->catalog, waits_for) ? "; there is no such template" : "");
        break;
    case ERR_blocked: {
        const listing_t *blocker = relations_blocker(b, l);
        if (blocker)
            say(c, reasons, "it waits because '%s' is running, and the two keep each other out",
                blocker->template->name);
        else
            say(c, reasons,
                "it lets a template go first that has waited for longer, as the two keep each other out");
        break;
    }
    case ERR_limited:
        if (b->jobs.lessees.doubtful.count)
            say(c, reasons,
                "the broker has just started and waits for miners that may still run polls of it");
        else if (strays_runs(&b->jobs.strays, s->id))
            say(c, reasons, "a poll from before it was removed is still running");
        else
            say(c, reasons, "as many polls run as its limit allows (%zu of the template, %zu in the cluster)",
                jobs_of(b, l), jobs_all(b));
        break;
    default:
        say(c, reasons,
            s->job->state == JOB_PARKED ? "others of its template go first" : "it is about to start");
    }
}

static void explain_turn(call_t *c, yyjson_mut_val *reasons, const source_t *s)
{
    const broker_t *b = c->broker;
    const job_t *job = s->job;
    char when[40];
    if (!job || job->state == JOB_RUNNING) return;
    if (job->cause == CAUSE_retry)
        say(c, reasons, "it failed (%s) and is tried again %s (attempt %u)", error_class_name(s->last_error),
            in_words(b, job->entry.ready_at, when, sizeof when), job->attempt + 1U);
    if (job->state == JOB_PARKED || (job->why && job->why != ERR_no_miner)) explain_obstacle(c, reasons, s);
}

static void explain_miner(call_t *c, yyjson_mut_val *reasons, const source_t *s)
{
    const broker_t *b = c->broker;
    const miner_t *m = lane_owner(s->lane);
    const run_t *run = runs_of(&b->runs, s);
    if (run)
        say(c, reasons, "%s, which had it before, is still polling it; %s takes over after that",
            run->miner->name, m ? m->name : "the next miner");
    if (!m && b->grace_until)
        say(c, reasons, "the broker has just started and waits for miners to tell what they have");
    else if (!m)
        say(c, reasons,
            registry_live(&b->registry) ? "its host is about to get a miner" : "there is no live miner");
    else if (s->lane->moving)
        say(c, reasons, "its host is moving from %s to another miner", m->name);
    else if (m->beat.state == MINER_overloaded && source_urgency(s) < PRIORITY_HIGH)
        say(c, reasons, "its miner %s is overloaded and gets only high and critical work%s", m->name,
            s->put_off ? "; it was put off, and becomes urgent if that goes on" : "");
    else if (m->beat.state == MINER_sink_backpressure)
        say(c, reasons, "its miner %s waits for the sink, which takes no more for now", m->name);
    else if (m->health != HEALTH_OK)
        say(c, reasons, "its miner %s fails where others do not and is being relieved", m->name);
}

// The task that will poll source first, or does so now; NULL: none.
static const task_t *task_for(const broker_t *b, const source_t *s)
{
    const task_leg_t *leg = map_get(&b->tasks.legs, s->id);
    const task_t *first = leg ? leg->task : NULL;
    size_t pos = 0;
    for (const task_t *t; !leg && (t = map_next(&b->tasks.by_id, &pos));)
        if (t->state == TASK_WAITING && !strcmp(t->name, s->listing->template->name) &&
            (!t->source || t->source == s->id) && (!first || t->at < first->at))
            first = t;
    return first;
}

static void explain_task(call_t *c, yyjson_mut_val *reasons, const task_t *t)
{
    char when[40];
    if (t && t->state == TASK_RUNNING)
        say(c, reasons, "task %llu has asked for a poll of it", (unsigned long long)t->id);
    else if (t)
        say(c, reasons, "task %llu polls it %s", (unsigned long long)t->id,
            in_words(c->broker, t->at, when, sizeof when));
}

static void explain_priority(call_t *c, yyjson_mut_val *reasons, const source_t *s)
{
    const listing_t *l = s->listing;
    if (l->urgency > l->template->priority)
        say(c, reasons, "its priority is that of a template that waits for it");
    if (source_urgency(s) < l->urgency)
        say(c, reasons, "its priority is lower while it keeps failing (%u times in a row)", s->failures);
    if (l->deadlines_missed)
        say(c, reasons, "%llu polls of its template were stored after their deadline",
            (unsigned long long)l->deadlines_missed);
}

static const char *state_now(const broker_t *b, const source_t *s)
{
    if (s->polled) return "being stored";
    if (s->away) return "running";
    if (s->job && s->job->state == JOB_RUNNING) return "running";
    if (s->extra && s->extra <= b->now && s->known_to_owner && !jobs_gate(s)) return "running";
    if (s->held > s->done && s->known_to_owner && !jobs_gate(s) &&
        grid_next(source_grid(s), s->done) <= b->now)
        return "running";
    return "not running";
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a && (!b || a < b) ? a : b;
}

// When it will be polled next, as far as that is known; 0: it is not.
static int64_t next_time(const broker_t *b, const source_t *s, const task_t *task)
{
    const outage_t *o = s->lane->outage;
    int64_t at = 0;
    if (!s->listing->enabled) return 0;
    if (source_is_quarantined(s)) return s->trouble->probe_at == INT64_MAX ? 0 : s->trouble->probe_at;
    if (s->job && s->job->state == JOB_QUEUED && s->job->entry.ready_at > b->now) at = s->job->entry.ready_at;
    if (task && task->at > b->now) at = earlier(task->at, at);
    if (!o || (o->breaker != BREAKER_OPEN && o->backoff_until <= b->now)) return earlier(dues_next(b, s), at);
    if (o->breaker == BREAKER_OPEN) return earlier(at, o->probe_at);
    int64_t due = s->entered ? grid_next(source_grid(s), o->backoff_until) : GRID_NEVER;
    return earlier(due == GRID_NEVER ? 0 : due, at);
}

// Nothing is in its way.
static void explain_due(call_t *c, yyjson_mut_val *reasons, const source_t *s, int64_t next)
{
    const broker_t *b = c->broker;
    const template_t *t = s->listing->template;
    const schedule_t *when = &s->listing->schedule;
    char words[40];
    const char *state = state_now(b, s);
    int64_t opens = t->mode == MODE_TRIGGERED ? b->now : schedule_opens(when, b->now);
    if (!s->entered)
        say(c, reasons, "the broker has just started and waits for miners to tell what they have");
    else if (!strcmp(state, "being stored"))
        say(c, reasons, "it has been read, and what was found waits for the sink");
    else if (!strcmp(state, "running"))
        say(c, reasons, "it is due now and with its miner");
    else if (opens > b->now)
        say(c, reasons, "its active hours begin %s", in_words(b, opens, words, sizeof words));
    else if (next)
        say(c, reasons, "nothing keeps it; it is due %s", in_words(b, next, words, sizeof words));
    else
        say(c, reasons, "it is polled only when it is triggered; `rtm-ctl trigger %s`", t->name);
}

void command_explain(call_t *c)
{
    broker_t *b = c->broker;
    source_t *found[SAME_URL];
    size_t n = call_sources(c, call_arg(c, "source"), found, SAME_URL);
    const listing_t *named = catalog_find(&b->catalog, call_arg(c, "source"));
    if (!n && named && named->n_sources == 1) found[n++] = named->sources[0];
    if (!n && named) {
        call_refuse(c, 409, "source", "'%s' has %zu sources; `rtm-ctl sources %s` shows them",
                    named->template->name, named->n_sources, named->template->name);
        return;
    }
    if (n != 1) {
        call_refuse(c, n ? 409 : 404, "source",
                    n ? "%zu templates have this URL; give the source's id"
                      : "there is no such source (%zu found); `rtm-ctl sources` shows ids and URLs",
                    n);
        return;
    }
    const source_t *s = found[0];
    const listing_t *l = s->listing;
    char words[200];
    yyjson_mut_val *o = call_object(c);
    put_id(c, o, "source", s->id);
    put_str(c, o, "template", l->template->name);
    put_str(c, o, "url", s->url);
    put_str(c, o, "miner", lane_owner(s->lane) ? s->lane->owner->name : "");
    put_str(c, o, "state", state_now(b, s));
    put_str(c, o, "priority", priority_name(source_urgency(s)));
    const task_t *task = l->enabled ? task_for(b, s) : NULL;
    int64_t next = next_time(b, s, task);
    put_time(c, o, "next_ms", next);
    put_str(c, o, "schedule", schedule_words(&l->schedule, b->now, words, sizeof words));
    put_time(c, o, "last_polled_ms", s->polled_at);
    put_time(c, o, "last_stored_ms", s->last_ok);
    put_str(c, o, "last_error", s->last_error ? error_class_name(s->last_error) : "");
    bool triggered = l->template->mode == MODE_TRIGGERED;
    put_time(c, o, "bound_ms", triggered ? 0 : reachable_bound(l->template, s));
    put_int(c, o, "fresh_within_ms", l->template->fresh_within_ms);
    yyjson_mut_val *reasons = yyjson_mut_obj_add_arr(c->doc, o, "why");
    if (!l->enabled) say(c, reasons, "its template is disabled; `rtm-ctl enable %s`", l->template->name);
    explain_trouble(c, reasons, s);
    explain_host(c, reasons, s);
    if (!l->enabled) return;
    explain_miner(c, reasons, s);
    explain_turn(c, reasons, s);
    if (!yyjson_mut_arr_size(reasons) || !strcmp(state_now(b, s), "running"))
        explain_due(c, reasons, s, next);
    explain_task(c, reasons, task);
    explain_priority(c, reasons, s);
}
