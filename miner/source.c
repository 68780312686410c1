// Source: see the header.
#include "miner/source.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"
#include "common/log.h"
#include "miner/polite.h"

enum { TEMPLATE_ARENA = 16 << 20, DAY_MS = 86400000 };

// -- definitions ----------------------------------------------------------------------------------

definition_t *definition_new(const wire_template_t *wire)
{
    definition_t *d = xcalloc(1, sizeof *d);
    d->id = wire->id;
    d->version = wire->version;
    d->hash = XXH3_64bits(wire->json, strlen(wire->json));
    d->refs = 1;
    d->name = xstrdup(wire->name);
    d->json = xstrdup(wire->json);
    return d;
}

bool definition_is(const definition_t *d, const wire_template_t *wire)
{
    return d->version == wire->version && d->hash == XXH3_64bits(wire->json, strlen(wire->json));
}

definition_t *definition_ref(definition_t *d)
{
    d->refs++;
    return d;
}

void definition_unref(definition_t **definition)
{
    definition_t *d = *definition;
    *definition = NULL;
    if (!d || --d->refs > 0) return;
    reader_destroy(&d->reader);
    arena_destroy(&d->arena);
    free(d->name);
    free(d->json);
    free(d);
}

int definition_ready(definition_t *d)
{
    template_error_t error = {.field = ""};
    if (d->reader) return 0;
    if (d->broken) return -1;
    d->arena = arena_new(TEMPLATE_ARENA);
    d->template = template_parse(d->arena, d->json, strlen(d->json), &error);
    if (d->template) d->reader = reader_new(d->template, &error);
    free(d->json);
    d->json = NULL;
    if (d->reader) return 0;
    d->broken = true;
    log_error("template_refused", "template=%s field=\"%s\" reason=\"%s\"", d->name, error.field, error.text);
    return -1;
}

bool definition_has_details(const definition_t *d)
{
    return d->template->follow != NULL;
}

bool definition_is_gated(const definition_t *d)
{
    return d->template->follow && d->template->hold;
}

// -- definition and state of a source -------------------------------------------------------------

source_t *source_new(uint64_t id)
{
    source_t *s = xcalloc(1, sizeof *s);
    s->id = id;
    return s;
}

void source_destroy(source_t **source)
{
    source_t *s = *source;
    *source = NULL;
    if (!s) return;
    definition_unref(&s->definition);
    seen_free(&s->seen);
    free(s->url);
    free(s->fetch_url);
    free(s->etag);
    free(s->last_modified);
    free(s->validated_url);
    fetch_jar_destroy(&s->jar);
    free(s->memory);
    free(s->tries);
    free(s->spans);
    free(s);
}

static void set_text(char **to, const char *text)
{
    if (*to && text && !strcmp(*to, text)) return;
    free(*to);
    *to = text && *text ? xstrdup(text) : NULL;
}

static void set_state(source_t *s, const char *etag, const char *last_modified, uint64_t body_hash)
{
    set_text(&s->etag, etag);
    set_text(&s->last_modified, last_modified);
    set_text(&s->validated_url, NULL);
    s->body_hash = body_hash;
}

void source_invalidate(source_t *s)
{
    set_state(s, NULL, NULL, 0);
}

void source_validate(source_t *s, const char *url, const char *etag, const char *last_modified)
{
    set_state(s, etag, last_modified, s->body_hash);
    set_text(&s->validated_url, url);
}

const char *source_fetch_url(const source_t *s)
{
    return s->fetch_url ? s->fetch_url : s->url;
}

static void set_fetch_url(source_t *s, const char *url)
{
    set_text(&s->fetch_url, url);
    s->host = polite_host(source_fetch_url(s));
}

void source_forget_redirect(source_t *s)
{
    if (!s->fetch_url) return;
    set_fetch_url(s, NULL);
    set_state(s, NULL, NULL, 0);
}

void source_define(source_t *s, definition_t *definition, const wire_source_t *wire)
{
    bool another = s->url && s->generation != wire->generation;
    definition_unref(&s->definition);
    s->definition = definition ? definition_ref(definition) : NULL;
    set_text(&s->url, wire->url);
    if (!s->url) s->url = xstrdup("");
    set_fetch_url(s, wire->fetch_url);
    set_state(s, wire->etag, wire->last_modified, wire->body_hash);
    s->last_ok = wire->last_ok;
    s->generation = wire->generation;
    set_text(&s->memory, wire->memory);
    if (!another) return;
    set_state(s, NULL, NULL, 0);
    set_text(&s->memory, NULL);
    seen_free(&s->seen);
}

void source_redefine(source_t *s, definition_t *definition)
{
    definition_unref(&s->definition);
    s->definition = definition_ref(definition);
    set_state(s, NULL, NULL, 0);
    set_text(&s->memory, NULL);
}

void source_advance(source_t *s, const wire_outcome_t *state)
{
    set_state(s, state->etag, state->last_modified, state->body_hash);
    set_fetch_url(s, state->fetch_url);
    s->last_ok = state->last_ok;
    s->trouble = ERR_none;
}

bool source_wants_census(const source_t *s, int64_t due)
{
    int64_t phase = (int64_t)(s->id % DAY_MS); // not all at midnight
    return s->last_ok && (s->last_ok + phase) / DAY_MS != (due + phase) / DAY_MS;
}

void source_remember(source_t *s, const char *memory)
{
    set_text(&s->memory, memory);
}

// -- dues -----------------------------------------------------------------------------------------

int source_add_dues(source_t *s, const wire_due_t *dues, int64_t slot_start, int64_t start, int64_t clock)
{
    if (s->n_spans >= MAX_SPANS || dues->count == 0) return dues->count ? -1 : 0;
    uint32_t step = dues->step > INT32_MAX ? INT32_MAX : (uint32_t)dues->step;
    uint32_t count = dues->count > MAX_WIRE_ROWS ? MAX_WIRE_ROWS : (uint32_t)dues->count;
    span_t span = {.at = start + dues->offset,
                   .due = slot_start + dues->offset,
                   .step = step,
                   .count = count,
                   .cause = (uint32_t)dues->cause,
                   .priority =
                       (uint32_t)(dues->priority <= PRIORITY_CRITICAL ? dues->priority : PRIORITY_NORMAL),
                   .until = dues->until ? (clock < start ? clock : start) + dues->until : INT64_MAX};
    s->spans = xrealloc(s->spans, (s->n_spans + 1) * sizeof *s->spans);
    // They arrive in order of time; one that is to be polled at once goes ahead of what was assigned before.
    uint32_t i = s->n_spans++;
    for (; i > 0 && s->spans[i - 1].at > span.at; i--) s->spans[i] = s->spans[i - 1];
    s->spans[i] = span;
    int64_t last = span.due + (int64_t)span.step * (span.count - 1);
    if (last > s->held) s->held = last;
    return 0;
}

bool source_has_due(const source_t *s, int64_t due)
{
    for (uint32_t i = 0; i < s->n_spans; i++)
        if (s->spans[i].due == due) return true;
    return false;
}

int64_t source_next(const source_t *s)
{
    return s->n_spans ? s->spans[0].at : INT64_MAX;
}

bool source_take(source_t *s, int64_t now, due_t *due)
{
    if (!s->n_spans || s->spans[0].at > now) return false;
    span_t *first = &s->spans[0];
    *due = (due_t){first->at, first->due, first->cause, first->priority, first->until};
    first->at += first->step;
    first->due += first->step;
    if (--first->count == 0) {
        memmove(first, first + 1, --s->n_spans * sizeof *first);
        return true;
    }
    // A span's later dues may lie behind the next span's first.
    for (uint32_t i = 1; i < s->n_spans && s->spans[i].at < s->spans[i - 1].at; i++) {
        span_t swap = s->spans[i];
        s->spans[i] = s->spans[i - 1];
        s->spans[i - 1] = swap;
    }
    return true;
}

uint64_t source_count(const source_t *s)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->n_spans; i++) n += s->spans[i].count;
    return n;
}

void source_drop_dues(source_t *s)
{
    free(s->spans);
    s->spans = NULL;
    s->n_spans = 0;
}

// -- details --------------------------------------------------------------------------------------

uint32_t source_try(source_t *s, uint64_t hash)
{
    for (uint32_t i = 0; i < s->n_tries; i++)
        if (s->tries[i].hash == hash) return ++s->tries[i].count;
    if (s->n_tries == MAX_TRIES) memmove(s->tries, s->tries + 1, --s->n_tries * sizeof *s->tries);
    s->tries = xrealloc(s->tries, (s->n_tries + 1) * sizeof *s->tries);
    s->tries[s->n_tries++] = (tries_t){hash, 1};
    return 1;
}
