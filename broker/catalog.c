// Catalog: templates, sources and hosts, and their indexes.
#include "broker/catalog.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "broker/jobs.h"
#include "broker/outage.h"
#include "broker/registry.h"
#include "broker/trouble.h"
#include "common/check.h"

enum {
    FIRST_COST_MS = 200, // of a source that was never polled
    LARGE = 100000,      // entries of a table that takes long to grow
};

void catalog_init(catalog_t *c)
{
    map_init(&c->listings);
    map_init(&c->sources);
    map_init(&c->lanes);
}

static void source_free(source_t *s)
{
    free(s->validators);
    trouble_free(&s->trouble);
    free(s->job);
    free(s);
}

static void listing_free(listing_t *l)
{
    arena_destroy(&l->arena);
    free(l->json);
    free(l->sources);
    free(l);
}

void catalog_free(catalog_t *c)
{
    size_t pos = 0;
    for (source_t *s; (s = map_next(&c->sources, &pos));) source_free(s);
    pos = 0;
    for (listing_t *l; (l = map_next(&c->listings, &pos));) listing_free(l);
    pos = 0;
    for (lane_t *l; (l = map_next(&c->lanes, &pos));) {
        free(l->host);
        outage_free(&l->outage);
        free(l);
    }
    map_free(&c->listings);
    map_free(&c->sources);
    map_free(&c->lanes);
}

listing_t *catalog_find(const catalog_t *c, const char *name)
{
    return map_get(&c->listings, template_id(name));
}

listing_t *catalog_add(catalog_t *c, arena_t *arena, template_t *template, const zone_t *zone,
                       const char *json, uint64_t version)
{
    listing_t *l = xcalloc(1, sizeof *l);
    l->id = template_id(template->name);
    l->version = version;
    l->stamp = XXH3_64bits(json, strlen(json)) | 1;
    l->enabled = !template->disabled;
    l->json = xstrdup(json);
    l->arena = arena;
    l->template = template;
    l->schedule = (schedule_t){template, zone};
    l->plain = schedule_is_plain(template);
    l->sources = xcalloc(template->n_urls, sizeof(source_t *));
    CHECK(map_put(&c->listings, l->id, l) == NULL);
    return l;
}

void catalog_remove(catalog_t *c, listing_t *l)
{
    CHECK(l->n_sources == 0);
    map_del(&c->listings, l->id);
    listing_free(l);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(listing_t *const *)a)->template->name, (*(listing_t *const *)b)->template->name);
}

listing_t **catalog_sorted(const catalog_t *c, size_t *n)
{
    listing_t **all = xcalloc(c->listings.count, sizeof(listing_t *));
    size_t pos = 0;
    *n = 0;
    for (listing_t *l; (l = map_next(&c->listings, &pos));) all[(*n)++] = l;
    if (*n) qsort(all, *n, sizeof(listing_t *), by_name);
    return all;
}

// The authority of a URL that template_parse accepted, in lower case.
static char *host_of(const char *url)
{
    const char *start = strstr(url, "://");
    start = start ? start + 3 : url;
    char *host = xstrndup(start, strcspn(start, "/?#"));
    for (char *p = host; *p; p++) *p = (char)tolower((unsigned char)*p);
    return host;
}

static lane_t *lane_of(catalog_t *c, const char *url)
{
    char *host = host_of(url);
    uint64_t hash = XXH3_64bits(host, strlen(host));
    lane_t *lane = map_get(&c->lanes, hash);
    if (lane) {
        free(host);
        return lane;
    }
    lane = xcalloc(1, sizeof *lane);
    lane->host = host;
    lane->hash = hash;
    lane->next = c->orphans;
    if (lane->next) lane->next->prev = lane;
    c->orphans = lane;
    c->n_orphans++;
    map_put(&c->lanes, hash, lane);
    return lane;
}

void catalog_remove_lane(catalog_t *c, lane_t *l)
{
    CHECK(!l->n_sources && !l->emptied && !l->owner && !l->moving);
    *(l->prev ? &l->prev->next : &c->orphans) = l->next;
    if (l->next) l->next->prev = l->prev;
    c->n_orphans--;
    map_del(&c->lanes, l->hash);
    free(l->host);
    free(l);
}

static void add_source(catalog_t *c, listing_t *l, const char *url)
{
    uint64_t id = source_id(l->template->name, url);
    if (map_get(&c->sources, id)) return;
    source_t *s = xcalloc(1, sizeof *s);
    s->id = id;
    s->listing = l;
    s->url = url;
    s->generation = (uint32_t)l->stamp;
    s->cost_ms = FIRST_COST_MS;
    s->ordinal = NO_ORDINAL;
    s->lane = lane_of(c, url);
    s->lane_next = s->lane->sources;
    if (s->lane_next) s->lane_next->lane_prev = s;
    s->lane->sources = s;
    s->lane->n_sources++;
    if (s->lane->owner) s->lane->owner->n_sources++;
    l->sources[l->n_sources++] = s;
    map_put(&c->sources, id, s);
}

static bool grows(map_t *m)
{
    size_t before = m->cap;
    if (m->count > LARGE) map_reserve(m, m->count + MAX_TEMPLATE_URLS);
    return m->cap != before;
}

void catalog_make_room(catalog_t *c)
{
    if (!grows(&c->sources)) grows(&c->lanes);
}

void catalog_add_sources(catalog_t *c, listing_t *l)
{
    for (size_t i = 0; i < l->template->n_urls; i++) add_source(c, l, l->template->urls[i]);
}

void source_set_ordinal(source_t *s, uint32_t ordinal)
{
    lane_t *l = s->lane;
    s->ordinal = ordinal == NO_ORDINAL ? l->next_ordinal : ordinal;
    if (s->ordinal >= l->next_ordinal) l->next_ordinal = s->ordinal + 1;
}

static void unlist(listing_t *l, const source_t *s)
{
    for (size_t i = l->n_sources; i-- > 0;) // removal goes from the end, where this is one step
        if (l->sources[i] == s) {
            memmove(&l->sources[i], &l->sources[i + 1], (l->n_sources - i - 1) * sizeof *l->sources);
            l->n_sources--;
            return;
        }
}

static void note_emptied(catalog_t *c, lane_t *l)
{
    if (l->emptied) return;
    l->emptied = true;
    l->emptied_next = c->emptied;
    c->emptied = l;
}

lane_t *catalog_take_emptied(catalog_t *c)
{
    for (lane_t *l; (l = c->emptied);) {
        c->emptied = l->emptied_next;
        l->emptied = false;
        if (!l->n_sources) return l;
    }
    return NULL;
}

void catalog_remove_source(catalog_t *c, source_t *s)
{
    CHECK(s->wheel.next == NULL && !s->away && !s->job);
    source_mark(s, false);
    if (s->lane_prev)
        s->lane_prev->lane_next = s->lane_next;
    else
        s->lane->sources = s->lane_next;
    if (s->lane_next) s->lane_next->lane_prev = s->lane_prev;
    s->lane->n_sources--;
    if (s->lane->owner) s->lane->owner->n_sources--;
    if (!s->lane->n_sources) note_emptied(c, s->lane);
    unlist(s->listing, s);
    map_del(&c->sources, s->id);
    source_free(s);
}

void source_mark(source_t *s, bool mark)
{
    if (s->mark == mark) return;
    s->mark = mark;
    s->lane->n_marked += mark ? 1U : -1U;
}

void lane_unmark(lane_t *l)
{
    for (source_t *s = l->sources; s && l->n_marked; s = s->lane_next) source_mark(s, false);
}

grid_t source_grid(const source_t *s)
{
    const listing_t *l = s->listing;
    grid_t g = grid_of(s->lane->hash, s->ordinal, l->template->every_ms);
    if (l->plain) return g;
    g.schedule = &l->schedule;
    g.turn = s->turn;
    return g;
}

bool source_is_open(const source_t *s)
{
    return s->extra != 0 || s->held > s->done;
}

const char *source_memory(const source_t *s)
{
    return s->validators ? s->validators->memory : "";
}

static char *put_text(char **at, const char *text)
{
    char *put = *at;
    size_t size = strlen(text) + 1;
    memcpy(put, text, size);
    *at += size;
    return put;
}

// One allocation: there may be a million of these.
static validators_t *validators_new(const char *etag, const char *last_modified, const char *fetch_url,
                                    uint64_t body_hash, const char *memory)
{
    size_t texts = strlen(etag) + strlen(last_modified) + strlen(fetch_url) + strlen(memory) + 4;
    validators_t *v = xmalloc(sizeof *v + texts);
    char *at = (char *)(v + 1);
    v->body_hash = body_hash;
    v->etag = put_text(&at, etag);
    v->last_modified = put_text(&at, last_modified);
    v->fetch_url = put_text(&at, fetch_url);
    v->memory = put_text(&at, memory);
    return v;
}

static void set_state(source_t *s, const char *etag, const char *last_modified, const char *fetch_url,
                      uint64_t body_hash, const char *memory)
{
    bool any = etag[0] || last_modified[0] || fetch_url[0] || body_hash || memory[0];
    validators_t *v = any ? validators_new(etag, last_modified, fetch_url, body_hash, memory) : NULL;
    free(s->validators); // only now, as the texts may be its own
    s->validators = v;
}

void source_set_validators(source_t *s, const char *etag, const char *last_modified, const char *fetch_url,
                           uint64_t body_hash)
{
    set_state(s, etag, last_modified, fetch_url, body_hash, source_memory(s));
}

void source_set_memory(source_t *s, const char *memory)
{
    const validators_t *v = s->validators;
    set_state(s, v ? v->etag : "", v ? v->last_modified : "", v ? v->fetch_url : "", v ? v->body_hash : 0,
              memory);
}

int64_t source_cost(const source_t *s)
{
    const template_t *t = s->listing->template;
    int64_t period = t->every_ms + (t->mode == MODE_CONTINUOUS ? s->cost_ms : 0);
    return (int64_t)s->cost_ms * 60000000 / period;
}
