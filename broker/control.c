// Control: rtm-ctl's commands. Each is one function from arguments to a JSON answer; a table of them is the
// dispatch.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/control.h"
#include "broker/relations.h"
#include "broker/trouble.h"
#include "common/check.h"
#include "common/line.h"
#include "common/log.h"

enum { TEMPLATE_ARENA = 16 << 20 };

const char *call_arg(const call_t *c, const char *name)
{
    for (size_t i = 0; i < c->request->args.n; i++)
        if (!strcmp(c->request->args.v[i].name, name)) return c->request->args.v[i].value;
    return "";
}

bool call_flag(const call_t *c, const char *name)
{
    return !strcmp(call_arg(c, name), "1");
}

void call_refuse(call_t *c, unsigned code, const char *field, const char *fmt, ...)
{
    char text[sizeof c->message];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    line_copy(c->message, sizeof c->message, text); // it may name what the client sent
    line_copy(c->field, sizeof c->field, field);
    c->reply.code = code;
}

yyjson_mut_val *call_object(call_t *c)
{
    yyjson_mut_val *o = yyjson_mut_obj(c->doc);
    yyjson_mut_doc_set_root(c->doc, o);
    return o;
}

yyjson_mut_val *call_table(call_t *c)
{
    yyjson_mut_val *a = yyjson_mut_arr(c->doc);
    yyjson_mut_doc_set_root(c->doc, a);
    return a;
}

bool call_row(call_t *c, size_t texts)
{
    if (c->rows == PAGE_ROWS || c->bytes >= PAGE_BYTES) return false;
    c->rows++;
    c->bytes += ROW_BYTES + texts;
    return true;
}

void put_str(call_t *c, yyjson_mut_val *o, const char *key, const char *value)
{
    yyjson_mut_obj_add_strcpy(c->doc, o, key, value);
}

void put_int(call_t *c, yyjson_mut_val *o, const char *key, int64_t value)
{
    yyjson_mut_obj_add_int(c->doc, o, key, value);
}

void put_time(call_t *c, yyjson_mut_val *o, const char *key, int64_t ms)
{
    if (ms > 0)
        yyjson_mut_obj_add_int(c->doc, o, key, ms);
    else
        yyjson_mut_obj_add_null(c->doc, o, key);
}

void put_id(call_t *c, yyjson_mut_val *o, const char *key, uint64_t id)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, id);
    put_str(c, o, key, text);
}

bool call_source_id(const char *text, uint64_t *id)
{
    char *end;
    *id = strtoull(text, &end, 16);
    return end == text + 16 && !*end && text[0] != '-' && text[0] != '+';
}

size_t call_sources(const call_t *c, const char *text, source_t **sources, size_t max)
{
    const catalog_t *catalog = &c->broker->catalog;
    uint64_t id;
    size_t n = 0, pos = 0;
    if (call_source_id(text, &id)) {
        sources[0] = max ? map_get(&catalog->sources, id) : NULL;
        return max && sources[0] ? 1 : 0;
    }
    if (!strstr(text, "://")) return 0;
    for (listing_t *l; n < max && (l = map_next(&catalog->listings, &pos));) {
        source_t *s = map_get(&catalog->sources, source_id(l->template->name, text));
        if (s) sources[n++] = s;
    }
    return n;
}

// -- changing templates ---------------------------------------------------------------------------------

static void store_template(broker_t *b, const listing_t *l)
{
    store_op_t op = {.kind = STORE_TEMPLATE,
                     .name = l->template->name,
                     .text = l->json,
                     .number = (int64_t)l->version,
                     .flag = l->enabled};
    broker_store(b, &op);
}

// The miners drop the listing's sources; nothing of it is scheduled any more. Returns the least number that
// the REVOKEs have: what answers earlier ones says nothing of polls that run from now on.
static uint64_t leave_all(broker_t *b, listing_t *l, const char *reason)
{
    uint64_t number = b->revokes + 1;
    entering_end(b, l);
    for (size_t i = 0; i < l->n_sources; i++) {
        source_t *s = l->sources[i];
        if (s->lane->owner && s->entered) outbox_revoke(b, s->lane->owner, s->id, reason);
        s->known_to_owner = false;
        dues_leave(b, s, ERR_removed);
    }
    outbox_flush(b);
    return number;
}

enum { AHEAD_MS = 1000 }; // that the owner's idea of broker time may be ahead

// What an owner may call now, at most: where time went back at the start, anything that was given out before.
static int64_t latest_now(const broker_t *b)
{
    int64_t at = b->now + AHEAD_MS;
    return at > b->given_until ? at : b->given_until;
}

static bool may_run(const broker_t *b, const source_t *s)
{
    int64_t at = latest_now(b);
    if (!s->entered || !s->known_to_owner || !lane_owner(s->lane)) return false;
    return (s->extra && s->extra <= at) || (s->held > s->done && grid_next(source_grid(s), s->done) <= at);
}

// Where a poll of s that is not under a lease may be under way, or NULL.
static miner_t *polled_at(const broker_t *b, const source_t *s)
{
    const run_t *run = runs_of(&b->runs, s);
    return run ? run->miner : may_run(b, s) ? s->lane->owner : NULL;
}

// What a source had when it was handed out the last time.
typedef struct {
    bool entered;
    uint8_t
        extra; // wire_cause_t of a due outside of its grid that nobody will ask for again; scheduled: none
    miner_t *runs; // where a poll of it may be under way,
    int64_t due;   // of this due or one before; 1: of any
} handed_t;

static handed_t handed_out(const broker_t *b, const source_t *s)
{
    bool asked = s->extra && (s->extra_cause == CAUSE_added || s->extra_cause == CAUSE_replay);
    int64_t at = latest_now(b), last = at < s->held ? at : s->held;
    return (handed_t){s->entered, asked ? s->extra_cause : CAUSE_scheduled, polled_at(b, s),
                      s->away ? 1 : grid_last(source_grid(s), last)};
}

// Another template made this one gated, or not gated any more: its sources are handed out anew. Polls that
// may be under way count as such.
static void regate(broker_t *b, listing_t *l)
{
    bool entering = l->entering;
    handed_t *before = xcalloc(l->n_sources + 1, sizeof *before);
    for (size_t i = 0; i < l->n_sources; i++) {
        jobs_regate(b, l->sources[i]);
        before[i] = handed_out(b, l->sources[i]);
    }
    uint64_t recall = leave_all(b, l, "its turns change");
    for (size_t i = 0; i < l->n_sources; i++) {
        if (!before[i].entered) continue;
        dues_enter(b, l->sources[i], b->now, b->now);
        if (l->gated && before[i].runs) jobs_adopt(b, before[i].runs, l->sources[i], before[i].due, recall);
        if (before[i].extra) dues_extra(b, l->sources[i], before[i].extra, 0);
    }
    free(before);
    if (entering) entering_begin(b, l);
}

static void drop_sources(broker_t *b, listing_t *l)
{
    b->enter_pos = 0; // removing moves others to where the walk has been
    while (l->n_sources) {
        lane_t *lane = l->sources[l->n_sources - 1]->lane;
        trouble_clear(b, l->sources[l->n_sources - 1], "removed");
        jobs_drop(b, l->sources[l->n_sources - 1]);
        catalog_remove_source(&b->catalog, l->sources[l->n_sources - 1]);
        if (lane->moving && !lane->n_marked) assign_returned(b, lane);
    }
}

// What a replaced template's source keeps: its place, and when it was stored last, but not its validators:
// the new template reads the page anew. Where that finds other items, nobody knows how long they have been
// there. A stream goes on where it was.
typedef struct {
    uint64_t id;
    char *position; // of a stream, or NULL
    uint32_t ordinal;
    int64_t last_ok;
    uint64_t miner; // where a poll of it runs under a lease, 0: none does
    int64_t until;
} kept_t;

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

// Whether positions mean the same in both.
static bool is_same_stream(const template_t *a, const template_t *b)
{
    return a->kind == KIND_STREAM && b->kind == KIND_STREAM && same_text(a->offset, b->offset);
}

static kept_t *keep(const broker_t *b, const listing_t *l, bool alike, bool stream, size_t *n)
{
    kept_t *kept = calloc(l->n_sources + 1, sizeof *kept);
    if (!kept) return NULL;
    *n = l->n_sources;
    for (size_t i = 0; i < l->n_sources; i++) {
        const source_t *s = l->sources[i];
        kept[i] = (kept_t){.id = s->id, .ordinal = s->ordinal, .last_ok = alike || stream ? s->last_ok : 0};
        if (stream && s->validators && *s->validators->etag) kept[i].position = xstrdup(s->validators->etag);
        const miner_t *m = polled_at(b, s);
        if (jobs_running(s, &kept[i].miner, &kept[i].until) || !m) continue;
        kept[i].miner = jobs_miner(m);
        kept[i].until = b->now + jobs_lease_ms(l) + b->config.liveness_ms;
    }
    return kept;
}

static void restore(broker_t *b, const kept_t *kept, size_t n, uint64_t recall)
{
    for (size_t i = 0; i < n; i++) {
        source_t *s = map_get(&b->catalog.sources, kept[i].id);
        if (s) {
            source_set_ordinal(s, kept[i].ordinal);
            s->last_ok = kept[i].last_ok;
            if (kept[i].position) source_set_validators(s, kept[i].position, "", "", 0);
            if (kept[i].miner) jobs_resume(b, s, kept[i].miner, kept[i].until, recall);
        } else {
            store_op_t gone = {.kind = STORE_SOURCE_GONE, .source.id = kept[i].id};
            broker_store(b, &gone);
        }
        free(kept[i].position);
    }
}

static listing_t *replace(broker_t *b, listing_t *old, arena_t *arena, template_t *t, const zone_t *zone,
                          const char *json)
{
    size_t n = 0;
    kept_t *kept = keep(b, old, template_reads_alike(old->json, json), is_same_stream(old->template, t), &n);
    uint64_t version = old->version + 1;
    uint64_t recall = leave_all(b, old, "replaced");
    drop_sources(b, old);
    catalog_remove(&b->catalog, old);
    listing_t *l = catalog_add(&b->catalog, arena, t, zone, json, version);
    catalog_add_sources(&b->catalog, l);
    relations_update(b, regate);
    restore(b, kept, n, recall);
    free(kept);
    assign_sweep(b);
    return l;
}

// What bound the host's politeness allows: polls that its sources need a minute against those it may serve.
// While they enter, each of the host's counts as one of these. s: NULL if nobody knows it.
int64_t reachable_bound(const template_t *t, const source_t *s)
{
    double cost = s ? s->cost_ms : 200, need = 60000.0 / (double)t->every_ms;
    if (s && s->listing->entering)
        need *= s->lane->n_sources;
    else if (s)
        need = (double)s->lane->cost / 1000 / cost;
    double budget = 60000.0 * t->host_concurrency / cost;
    if (t->host_gap_ms > 0 && 60000.0 / (double)t->host_gap_ms < budget)
        budget = 60000.0 / (double)t->host_gap_ms;
    double stretch = need > budget ? need / budget : 1;
    return (int64_t)((double)t->every_ms * stretch + 2 * cost + 1000);
}

// l: the template's listing, NULL: it is not in the catalog, or another version is.
static void put_promise(call_t *c, yyjson_mut_val *o, const template_t *t, const listing_t *l)
{
    const map_t *sources = &c->broker->catalog.sources;
    int64_t bound = 0;
    size_t n = l ? l->n_sources : t->n_urls;
    for (size_t i = 0; i < n && t->mode != MODE_TRIGGERED; i++) {
        const source_t *s = l ? l->sources[i] : map_get(sources, source_id(t->name, t->urls[i]));
        int64_t reached = reachable_bound(t, s);
        if (reached > bound) bound = reached;
    }
    put_int(c, o, "sources", (int64_t)t->n_urls);
    put_int(c, o, "bound_ms", bound);
    yyjson_mut_val *warnings = yyjson_mut_obj_add_arr(c->doc, o, "warnings");
    if (bound <= t->fresh_within_ms) return;
    char text[200];
    snprintf(text, sizeof text,
             "fresh_within is %.0f s, but the best that can be reached is about %.*f s (every, or the host's "
             "budget)",
             (double)t->fresh_within_ms / 1000, bound < 10000, (double)bound / 1000);
    yyjson_mut_arr_add_strcpy(c->doc, warnings, text);
}

static template_t *read_template(call_t *c, arena_t *arena, const char *json, const zone_t **zone)
{
    template_error_t error = {0};
    template_t *t = template_parse(arena, json, strlen(json), &error);
    if (t && c->broker->config.check_selectors && c->broker->config.check_selectors(t, &error)) t = NULL;
    if (t && template_zone(t, zone, &error)) t = NULL;
    if (t && schedule_check(&(schedule_t){t, *zone}, c->broker->now, &error)) t = NULL;
    if (t) return t;
    if (error.line)
        call_refuse(c, 400, error.field, "line %d: %s", error.line, error.text);
    else
        call_refuse(c, 400, error.field, "%s", error.text);
    return NULL;
}

static void command_add(call_t *c)
{
    broker_t *b = c->broker;
    const char *json = call_arg(c, "template");
    arena_t *arena = arena_new(TEMPLATE_ARENA);
    const zone_t *zone = NULL;
    template_t *t = read_template(c, arena, json, &zone);
    listing_t *old = t ? catalog_find(&b->catalog, t->name) : NULL;
    const char *action = old ? strcmp(old->json, json) ? "replaced" : "unchanged" : "added";
    if (old && !strcmp(action, "replaced") && !call_flag(c, "replace")) {
        call_refuse(c, 409, "name",
                    "there is a template '%s' already; add it with --replace to put this one in its place",
                    t->name);
        t = NULL;
    }
    char cycle[600];
    if (t && relations_cycle(&b->catalog, t, cycle, sizeof cycle)) {
        call_refuse(c, 400, "depends_on", "would go round in a circle: %s", cycle);
        t = NULL;
    }
    const char *other = t ? relations_with_stream(&b->catalog, t) : NULL;
    if (other) {
        call_refuse(c, 400, "blocks", "'%s' and '%s' cannot keep each other out: a stream runs all the time",
                    t->name, other);
        t = NULL;
    }
    if (!t) {
        arena_destroy(&arena);
        return;
    }
    bool change = strcmp(action, "unchanged") != 0 && !call_flag(c, "dry_run");
    listing_t *l = strcmp(action, "unchanged") != 0 ? NULL : old;
    if (change) {
        l = old ? replace(b, old, arena, t, zone, json) : catalog_add(&b->catalog, arena, t, zone, json, 1);
        if (!old) catalog_add_sources(&b->catalog, l);
        unreadables_forget(&b->unreadable, t->name);
        l->unsaved = !old; // new rows have time
        for (size_t i = 0; i < l->n_sources; i++) {
            if (l->sources[i]->ordinal == NO_ORDINAL) source_set_ordinal(l->sources[i], NO_ORDINAL);
            if (old) broker_store_source(b, l->sources[i]);
        }
        store_template(b, l); // last: with it, its sources' older validators must be gone
        relations_update(b, regate);
        entering_begin(b, l);
        log_info("template", "name=%s action=%s sources=%zu version=%" PRIu64, t->name, action, l->n_sources,
                 l->version);
    }
    yyjson_mut_val *o = call_object(c);
    put_str(c, o, "name", t->name);
    put_id(c, o, "id", template_id(t->name));
    put_str(c, o, "action", action);
    put_promise(c, o, t, l);
    char words[200];
    bool plain = schedule_is_plain(t);
    put_str(c, o, "schedule",
            plain ? "" : schedule_words(&(schedule_t){t, zone}, b->now, words, sizeof words));
    if (!change) arena_destroy(&arena);
}

listing_t *call_listing(call_t *c)
{
    const char *name = call_arg(c, "name");
    listing_t *l = catalog_find(&c->broker->catalog, name);
    const unreadable_t *u = unreadables_find(&c->broker->unreadable, name);
    if (u)
        call_refuse(c, 409, "name", "the template '%s' is not taken any more (%s): add it anew, or remove it",
                    name, u->why);
    else if (!l)
        call_refuse(c, 404, "name", "there is no template '%s'; `rtm-ctl list` shows those there are", name);
    return l;
}

static void put_done(call_t *c, const char *name, const char *action)
{
    yyjson_mut_val *o = call_object(c);
    put_str(c, o, "name", name);
    put_str(c, o, "action", action);
}

static bool remove_unreadable(call_t *c, const char *name)
{
    store_op_t op = {.kind = STORE_TEMPLATE_GONE, .name = name};
    if (!unreadables_find(&c->broker->unreadable, name)) return false;
    put_done(c, name, "removed");
    broker_store(c->broker, &op);
    unreadables_forget(&c->broker->unreadable, name);
    return true;
}

static void command_remove(call_t *c)
{
    broker_t *b = c->broker;
    if (remove_unreadable(c, call_arg(c, "name"))) return;
    listing_t *l = call_listing(c);
    if (!l) return;
    put_done(c, l->template->name, "removed");
    log_info("template", "name=%s action=removed sources=%zu", l->template->name, l->n_sources);
    store_op_t op = {.kind = STORE_TEMPLATE_GONE, .name = l->template->name};
    leave_all(b, l, "removed");
    broker_store(b, &op);
    drop_sources(b, l);
    catalog_remove(&b->catalog, l);
    relations_update(b, regate);
    assign_sweep(b);
    assign_orphans(b, CAUSE_reassigned, "removed");
}

static void set_enabled(call_t *c, bool enabled)
{
    broker_t *b = c->broker;
    listing_t *l = call_listing(c);
    if (!l) return;
    const char *action = l->enabled == enabled ? "unchanged" : enabled ? "enabled" : "disabled";
    if (enabled && release_sources(b, l, NULL) && l->enabled) action = "released";
    put_done(c, l->template->name, action);
    if (l->enabled == enabled) return;
    log_info("template", "name=%s action=%s sources=%zu", l->template->name, action, l->n_sources);
    if (!enabled) leave_all(b, l, "disabled");
    l->enabled = enabled;
    store_template(b, l);
    relations_update(b, regate);
    entering_begin(b, l);
}

static void command_enable(call_t *c)
{
    source_t *source;
    if (!catalog_find(&c->broker->catalog, call_arg(c, "name")) &&
        call_sources(c, call_arg(c, "name"), &source, 1) == 1) {
        command_release(c);
        return;
    }
    set_enabled(c, true);
}

static void command_disable(call_t *c)
{
    set_enabled(c, false);
}

// -- looking --------------------------------------------------------------------------------------------

static void put_listing(call_t *c, yyjson_mut_val *rows, const listing_t *l)
{
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(c->doc, rows);
    put_str(c, o, "name", l->template->name);
    put_str(c, o, "kind", template_kind_name(l->template->kind));
    yyjson_mut_obj_add_bool(c->doc, o, "enabled", l->enabled);
    put_str(c, o, "priority", priority_name(l->template->priority));
    bool period = l->template->mode == MODE_SCHEDULED && !l->template->cron;
    put_time(c, o, "every_ms", period ? l->template->every_ms : 0);
    put_int(c, o, "sources", (int64_t)l->n_sources);
    put_int(c, o, "polled", (int64_t)l->polled);
    put_int(c, o, "stored", (int64_t)l->stored);
    put_int(c, o, "failed", (int64_t)l->failed);
    put_int(c, o, "items", (int64_t)l->items);
    put_int(c, o, "deadlines_missed", (int64_t)l->deadlines_missed);
    put_str(c, o, "last_error", l->last_error);
}

static void put_unreadable(call_t *c, yyjson_mut_val *rows, const unreadable_t *u)
{
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(c->doc, rows);
    put_str(c, o, "name", u->name);
    put_str(c, o, "kind", "");
    yyjson_mut_obj_add_bool(c->doc, o, "enabled", false);
    char text[sizeof(template_error_t) + 40];
    snprintf(text, sizeof text, "not taken any more: %s", u->why);
    put_str(c, o, "last_error", text);
}

// Pages through both kinds by name.
static void command_list(call_t *c)
{
    const unreadables_t *refused = &c->broker->unreadable;
    size_t n, i = 0, k = 0, left = PAGE_ROWS;
    listing_t **all = catalog_sorted(&c->broker->catalog, &n);
    yyjson_mut_val *rows = call_table(c);
    const char *after = call_arg(c, "cursor"), *name = after;
    while (i < n && strcmp(all[i]->template->name, after) <= 0) i++;
    while (k < refused->n && strcmp(refused->v[k].name, after) <= 0) k++;
    for (; left && (i < n || k < refused->n); left--) {
        bool taken = k == refused->n || (i < n && strcmp(all[i]->template->name, refused->v[k].name) < 0);
        name = taken ? all[i]->template->name : refused->v[k].name;
        if (taken)
            put_listing(c, rows, all[i++]);
        else
            put_unreadable(c, rows, &refused->v[k++]);
    }
    if (i < n || k < refused->n) snprintf(c->cursor, sizeof c->cursor, "%s", name);
    free(all);
}

static void put_template(call_t *c, yyjson_mut_val *o, const char *json)
{
    yyjson_doc *doc =
        yyjson_read(json, strlen(json), YYJSON_READ_ALLOW_COMMENTS | YYJSON_READ_ALLOW_TRAILING_COMMAS);
    yyjson_mut_val *copy =
        doc ? yyjson_val_mut_copy(c->doc, yyjson_doc_get_root(doc)) : yyjson_mut_null(c->doc);
    yyjson_mut_obj_add_val(c->doc, o, "template", copy);
    yyjson_doc_free(doc);
}

static void command_show(call_t *c)
{
    const unreadable_t *u = unreadables_find(&c->broker->unreadable, call_arg(c, "name"));
    listing_t *l = u ? NULL : call_listing(c);
    if (!u && !l) return;
    yyjson_mut_val *o = call_object(c);
    put_str(c, o, "name", call_arg(c, "name"));
    yyjson_mut_obj_add_bool(c->doc, o, "enabled", l && l->enabled);
    put_int(c, o, "version", l ? (int64_t)l->version : 0);
    put_template(c, o, u ? u->json : l->json);
}

static const char *state_of(const source_t *s)
{
    if (!s->listing->enabled) return "disabled";
    if (source_is_quarantined(s)) return "quarantined";
    if (s->lane->outage && s->lane->outage->breaker == BREAKER_OPEN) return "host down";
    if (s->job && s->job->state == JOB_PARKED)
        return s->job->why == ERR_dependency ? "waiting for a dependency" : "waiting its turn";
    if (s->away) return "moving";
    if (!lane_owner(s->lane)) return "waiting for a miner";
    if (s->lane->moving) return "moving";
    if (s->failures) return "failing";
    return s->last_ok ? "ok" : "new";
}

static void put_source(call_t *c, yyjson_mut_val *rows, const source_t *s)
{
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(c->doc, rows);
    put_id(c, o, "source", s->id);
    put_str(c, o, "template", s->listing->template->name);
    put_str(c, o, "url", s->url);
    put_str(c, o, "miner", lane_owner(s->lane) ? s->lane->owner->name : "");
    put_str(c, o, "state", state_of(s));
    put_time(c, o, "next_ms", dues_next(c->broker, s));
    put_time(c, o, "last_polled_ms", s->polled_at);
    put_time(c, o, "last_stored_ms", s->last_ok);
    put_str(c, o, "last_result", s->polled_at || s->last_error ? wire_result_name(s->last_result) : "");
    put_str(c, o, "last_error", s->last_error ? error_class_name(s->last_error) : "");
    put_int(c, o, "failures", s->failures);
    put_int(c, o, "items", s->items);
    put_str(c, o, "continuity", s->continuity ? wire_continuity_name(s->continuity) : "");
}

// Pages through the templates by name and their sources by position: the cursor is "name:position".
static void command_sources(call_t *c)
{
    const char *only = call_arg(c, "name"), *cursor = call_arg(c, "cursor");
    const char *colon = strrchr(cursor, ':');
    size_t from = colon ? strtoul(colon + 1, NULL, 10) : 0, left = strtoul(call_arg(c, "limit"), NULL, 10), n;
    if (left < 1 || left > PAGE_ROWS) left = PAGE_ROWS;
    if (only[0] && !call_listing(c)) return;
    listing_t **all = catalog_sorted(&c->broker->catalog, &n);
    yyjson_mut_val *rows = call_table(c);
    for (size_t i = 0; i < n && left; i++) {
        const listing_t *l = all[i];
        if (only[0] && strcmp(l->template->name, only) != 0) continue;
        int order = colon ? strncmp(l->template->name, cursor, (size_t)(colon - cursor)) : 1;
        if (colon && !order && l->template->name[colon - cursor]) order = 1;
        if (order < 0) continue;
        size_t k = order == 0 ? from : 0;
        for (; k < l->n_sources && left && call_row(c, strlen(l->sources[k]->url)); k++, left--)
            put_source(c, rows, l->sources[k]);
        if (k < l->n_sources) left = 0;
        if (!left) snprintf(c->cursor, sizeof c->cursor, "%s:%zu", l->template->name, k);
    }
    free(all);
}

// -- dispatch -------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    void (*run)(call_t *);
} commands[] = {
    {"add", command_add},         {"remove", command_remove},   {"enable", command_enable},
    {"disable", command_disable}, {"list", command_list},       {"show", command_show},
    {"gaps", command_gaps},       {"sources", command_sources}, {"miners", command_miners},
    {"status", command_status},   {"history", command_history}, {"errors", command_errors},
    {"replay", command_replay},   {"backup", command_backup},   {"trigger", command_trigger},
    {"tasks", command_tasks},     {"cancel", command_cancel},   {"next", command_next},
    {"dlq", command_dlq},         {"release", command_release}, {"drain", command_drain},
    {"explain", command_explain}, {"refetch", command_refetch},
};

static void run(call_t *c)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (!strcmp(commands[i].name, c->request->command)) {
            commands[i].run(c);
            return;
        }
    call_refuse(c, 400, "command", "this broker knows no command '%s'", c->request->command);
}

void call_reply(call_t *c)
{
    size_t len = 0;
    char *json = c->reply.code ? NULL : yyjson_mut_write(c->doc, 0, &len);
    if (!c->reply.code && (!json || len > ANSWER_MAX))
        call_refuse(c, json ? 413 : 500, "", "the answer of %zu bytes cannot be sent", len);
    c->reply.id = c->request->id;
    c->reply.message = c->message;
    c->reply.field = c->field;
    c->reply.cursor = c->cursor;
    c->reply.json = c->reply.code ? NULL : json;
    broker_send_durable(c->broker, c->peer, WIRE_TYPE_REPLY, &c->reply);
    free(json);
    yyjson_mut_doc_free(c->doc);
}

void control_request(broker_t *b, uint64_t peer, const wire_request_t *request)
{
    call_t c = {.broker = b, .peer = peer, .request = request, .doc = yyjson_mut_doc_new(NULL)};
    run(&c);
    if (c.asked)
        yyjson_mut_doc_free(c.doc);
    else
        call_reply(&c);
}
