// World: see world.h. Time moves in one place (world_advance), posts are added in one place (add_post).
#include "bench/site/world.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

typedef struct {
    int64_t posted_ms, changed_ms;
    uint32_t revision;
} post_t;

typedef struct {
    post_t *posts;
    uint32_t n, cap;
    uint32_t first; // the oldest post that is shown, pinned ones apart
    uint32_t version;
    int64_t changed_ms;
} source_t;

struct world {
    world_options_t opt;
    world_event_fn *event;
    void *arg;
    source_t *sources;
    uint64_t random;      // state of the generator
    double next_ms;       // time of the next post, since the start
    double updates_owed;  // exact mode: parts of an update not yet made
    uint32_t next_source; // exact mode
    bool posting;
    world_counts_t counts;
};

// -- chance ---------------------------------------------------------------------------------------

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static uint64_t draw(world_t *world)
{
    world->random += 0x9e3779b97f4a7c15ULL;
    return mix(world->random);
}

// In (0, 1].
static double draw_unit(world_t *world)
{
    return (double)((draw(world) >> 11) + 1) / 9007199254740992.0;
}

static double next_gap_ms(world_t *world)
{
    double mean = 1000.0 / world->opt.rate;
    return world->opt.exact ? mean : -log(draw_unit(world)) * mean;
}

// -- words ----------------------------------------------------------------------------------------

static const char *const ADJECTIVES[] = {
    "quiet",  "northern", "late",   "open",   "small", "public", "early", "long",   "hidden", "modern",
    "remote", "steady",   "bright", "narrow", "new",   "old",    "naïve", "shared", "free",   "strange"};
static const char *const NOUNS[] = {"harbour", "compiler", "river",   "council",   "kernel",
                                    "bridge",  "archive",  "market",  "satellite", "school",
                                    "library", "café",     "engine",  "forest",    "protocol",
                                    "railway", "museum",   "reactor", "island",    "データ"};
static const char *const VERBS[] = {"opens",    "delays", "explains", "measures", "rebuilds",
                                    "finds",    "loses",  "reviews",  "ships",    "questions",
                                    "replaces", "maps",   "counts",   "audits"};
static const char *const FIRST[] = {"ada", "björn", "chen", "dina", "emil", "fatima", "goran", "hana",
                                    "ivo", "jun",   "kira", "luis", "mona", "nils",   "olga",  "pavel"};
static const char *const LAST[] = {"abe", "brandt", "costa", "dahl", "eriksen", "fischer", "greco",  "horn",
                                   "ito", "jansen", "kowal", "lund", "moreau",  "novak",   "okafor", "petit"};

#define PICK(list, n) (list)[(n) % (sizeof(list) / sizeof(list)[0])]

static void write_title(world_item_t *item, uint64_t h)
{
    static const char *const joints[] = {" and the ", ": ", " & ", " \"in\" the ", " – ", "'s "};
    char first[32];
    snprintf(first, sizeof first, "%s", PICK(ADJECTIVES, h));
    if (first[0] >= 'a' && first[0] <= 'z') first[0] = (char)(first[0] - 'a' + 'A');
    int n = snprintf(item->title, sizeof item->title, "%s %s %s %s%s%s (%u-%u)", first, PICK(NOUNS, h >> 8),
                     PICK(VERBS, h >> 16), PICK(NOUNS, h >> 24), PICK(joints, h >> 32), PICK(NOUNS, h >> 40),
                     item->source, item->post);
    if (item->revision > 1) {
        snprintf(item->title + n, sizeof item->title - (size_t)n, " [revision %u]", item->revision);
    }
}

static void write_body(world_item_t *item, uint64_t h)
{
    size_t n = 0;
    for (unsigned i = 0; i < 3; i++) {
        n += (size_t)snprintf(item->body + n, sizeof item->body - n, "%sThe %s %s %s a %s %s, %llu years on.",
                              i ? " " : "", PICK(ADJECTIVES, h), PICK(NOUNS, h >> 8), PICK(VERBS, h >> 16),
                              PICK(ADJECTIVES, h >> 24), PICK(NOUNS, h >> 32),
                              (unsigned long long)(h >> 40) % 90 + 2);
        h = mix(h);
    }
}

static uint64_t post_hash(const world_t *world, uint32_t source, uint32_t post)
{
    return mix(world->opt.seed ^ mix((uint64_t)source << 32 | post));
}

static void write_words(const world_t *world, world_item_t *item)
{
    uint64_t h = post_hash(world, item->source, item->post);
    write_title(item, h);
    write_body(item, mix(h));
    snprintf(item->author, sizeof item->author, "%s %s", PICK(FIRST, h >> 48), PICK(LAST, h >> 52));
}

// -- places ---------------------------------------------------------------------------------------

uint32_t world_host(const world_t *world, uint32_t source)
{
    return source % world->opt.hosts;
}

// Round-robin that also goes on from one host's source to that host's next one, so each host has all kinds.
site_kind_t world_kind(const world_t *world, uint32_t source)
{
    uint32_t turn = source / world->opt.hosts + source % world->opt.hosts;
    return world->opt.kinds[turn % world->opt.n_kinds];
}

static size_t host_name(const world_t *world, uint32_t host, char *out, size_t size)
{
    const char *names = world->opt.host_names;
    if (!names) {
        return (size_t)snprintf(out, size, "127.%u.%u.%u", 1 + host / 62500, (host / 250) % 250,
                                1 + host % 250);
    }
    const char *mark = strstr(names, "%d");
    return (size_t)snprintf(out, size, "%.*s%u%s", (int)(mark - names), names, host, mark + 2);
}

size_t world_base_url(const world_t *world, uint32_t host, char *out, size_t size)
{
    char name[128];
    host_name(world, host, name, sizeof name);
    if (world->opt.port == 80) return (size_t)snprintf(out, size, "http://%s", name);
    return (size_t)snprintf(out, size, "http://%s:%u", name, world->opt.port);
}

size_t world_source_url(const world_t *world, uint32_t source, char *out, size_t size)
{
    size_t n = world_base_url(world, world_host(world, source), out, size);
    return n +
           (size_t)snprintf(out + n, size - n, "/s/%u/%s", source, site_kind_leaf(world_kind(world, source)));
}

static int64_t loopback_host(const char *name)
{
    unsigned a, b, c;
    int used = 0;
    if (sscanf(name, "127.%3u.%3u.%3u%n", &a, &b, &c, &used) != 3) return -1;
    if (a < 1 || b > 249 || c < 1 || c > 250 || (name[used] && name[used] != ':')) return -1;
    return (int64_t)(a - 1) * 62500 + b * 250 + (c - 1);
}

static int64_t pattern_host(const char *pattern, const char *name)
{
    const char *mark = strstr(pattern, "%d");
    size_t before = (size_t)(mark - pattern), after = strlen(mark + 2);
    if (strncmp(name, pattern, before) != 0 || name[before] < '0' || name[before] > '9') return -1;
    char *end;
    unsigned long host = strtoul(name + before, &end, 10);
    if (strlen(end) < after || memcmp(end, mark + 2, after) != 0 || (end[after] && end[after] != ':'))
        return -1;
    return host < WORLD_HOSTS_MAX ? (int64_t)host : -1;
}

int64_t world_host_named(const world_t *world, const char *name)
{
    const char *pattern = world->opt.host_names;
    int64_t host = pattern ? pattern_host(pattern, name) : loopback_host(name);
    return host < world->opt.hosts ? host : -1;
}

const char *site_kind_name(site_kind_t kind)
{
    static const char *const names[SITE_KINDS] = {"html", "rss", "atom", "json"};
    CHECK(kind < SITE_KINDS);
    return names[kind];
}

const char *site_kind_leaf(site_kind_t kind)
{
    static const char *const leaves[SITE_KINDS] = {"", "rss.xml", "atom.xml", "items.json"};
    CHECK(kind < SITE_KINDS);
    return leaves[kind];
}

site_kind_t site_kind_from_name(const char *name, size_t len)
{
    site_kind_t kind = SITE_HTML;
    for (; kind < SITE_KINDS; kind++) {
        const char *known = site_kind_name(kind);
        if (strlen(known) == len && memcmp(known, name, len) == 0) break;
    }
    return kind;
}

// -- what is there --------------------------------------------------------------------------------

const world_options_t *world_options(const world_t *world)
{
    return &world->opt;
}

world_counts_t world_counts(const world_t *world)
{
    return world->counts;
}

uint32_t world_version(const world_t *world, uint32_t source)
{
    return world->sources[source].version;
}

int64_t world_changed(const world_t *world, uint32_t source)
{
    return world->sources[source].changed_ms;
}

unsigned world_rows(const world_t *world, uint32_t source, uint32_t rows[WORLD_ROWS_MAX])
{
    const source_t *s = &world->sources[source];
    unsigned n = 0;
    for (uint32_t i = 0; i < world->opt.pinned; i++) rows[n++] = i;
    for (uint32_t i = s->n; i > s->first; i--) rows[n++] = i - 1;
    return n;
}

int world_item(const world_t *world, uint32_t source, uint32_t post, world_item_t *item)
{
    if (source >= world->opt.sources || post >= world->sources[source].n) return -1;
    const post_t *p = &world->sources[source].posts[post];
    *item =
        (world_item_t){.source = source, .post = post, .revision = p->revision, .posted_ms = p->posted_ms};
    item->changed_ms = p->changed_ms;
    item->pinned = post < world->opt.pinned;
    item->backlog = post < world->opt.pinned + world->opt.backlog;
    const char *urn = world_kind(world, source) == SITE_ATOM ? "urn:post:" : "p";
    snprintf(item->key, sizeof item->key, "%s%u-%u", urn, source, post);
    size_t n = world_base_url(world, world_host(world, source), item->url, sizeof item->url);
    snprintf(item->image, sizeof item->image, "%s/img/%u-%u.png", item->url, source, post);
    snprintf(item->url + n, sizeof item->url - n, "/s/%u/p/%u", source, post);
    write_words(world, item);
    return 0;
}

unsigned world_points(const world_t *world, uint32_t source, uint32_t post, uint64_t salt)
{
    return 1000 + (unsigned)(mix(post_hash(world, source, post) ^ salt) % 9000);
}

// -- what happens ---------------------------------------------------------------------------------

static void tell(world_t *world, uint32_t source, uint32_t post)
{
    world_item_t item;
    if (!world->event) return;
    CHECK(world_item(world, source, post, &item) == 0);
    world->event(world->arg, &item);
}

static void touch(world_t *world, uint32_t source, uint32_t post, int64_t t_ms)
{
    source_t *s = &world->sources[source];
    s->posts[post].changed_ms = t_ms;
    s->posts[post].revision++;
    s->changed_ms = t_ms;
    s->version++;
    tell(world, source, post);
}

// Lets posts go that the window no longer needs and that have been there long enough.
static void trim(const world_t *world, source_t *s, int64_t t_ms)
{
    while (s->n - s->first >= world->opt.window &&
           s->posts[s->first].changed_ms + world->opt.min_stay_ms <= t_ms) {
        s->first++;
    }
}

// 0, or -1 when the source is full.
static int add_post(world_t *world, uint32_t source, int64_t posted_ms, int64_t t_ms)
{
    source_t *s = &world->sources[source];
    if (s->n >= world->opt.pinned) {
        trim(world, s, t_ms);
        if (s->n - s->first + world->opt.pinned >= WORLD_ROWS_MAX || s->n >= WORLD_POSTS_MAX) return -1;
    }
    if (s->n == s->cap) {
        s->cap += s->cap / 2 + 8;
        s->posts = xrealloc(s->posts, s->cap * sizeof *s->posts);
    }
    s->posts[s->n++] = (post_t){.posted_ms = posted_ms};
    if (s->n == world->opt.pinned) s->first = s->n;
    touch(world, source, s->n - 1, t_ms);
    return 0;
}

// An earlier post somewhere, pinned or in the window, gains a revision; none if chance finds none that is old
// enough.
static void update_some(world_t *world, int64_t t_ms)
{
    uint32_t pinned = world->opt.pinned;
    for (int tries = 0; tries < 64; tries++) {
        uint32_t source = (uint32_t)(draw(world) % world->opt.sources);
        uint64_t chance = draw(world);
        const source_t *s = &world->sources[source];
        uint32_t newest = s->n - s->first < world->opt.window ? s->n - s->first : world->opt.window;
        if (pinned + newest == 0) continue;
        uint32_t post = (uint32_t)(chance % (pinned + newest));
        if (post >= pinned) post = s->n - 1 - (post - pinned);
        if (s->posts[post].changed_ms + world->opt.update_after_ms > t_ms) continue;
        world->counts.updates++;
        touch(world, source, post, t_ms);
        return;
    }
}

static void post_counted(world_t *world, uint32_t source, int64_t t_ms)
{
    if (add_post(world, source, t_ms, t_ms) == 0) {
        world->counts.posts++;
    } else {
        world->counts.put_off++;
    }
}

static void happen(world_t *world, int64_t t_ms)
{
    uint32_t source = (uint32_t)(draw(world) % world->opt.sources);
    if (world->opt.exact) {
        source = world->next_source;
        world->next_source = (source + 1) % world->opt.sources;
    }
    post_counted(world, source, t_ms);
    world->updates_owed += world->opt.updates;
    unsigned owed = (unsigned)world->updates_owed;
    world->updates_owed -= owed;
    if (!world->opt.exact) { // whole updates at once, the rest by chance
        owed += draw_unit(world) <= world->updates_owed ? 1 : 0;
        world->updates_owed = 0;
    }
    while (owed-- > 0) update_some(world, t_ms);
}

void world_advance(world_t *world, int64_t now_ms)
{
    double until = (double)(now_ms - world->opt.start_ms);
    while (world->posting && floor(world->next_ms) <= until) {
        happen(world, world->opt.start_ms + (int64_t)world->next_ms);
        world->next_ms += next_gap_ms(world);
    }
}

void world_set_posting(world_t *world, int64_t now_ms, bool on)
{
    world_advance(world, now_ms);
    if (on && !world->posting && world->opt.rate > 0) {
        world->next_ms = (double)(now_ms - world->opt.start_ms) + fmax(1, next_gap_ms(world));
    }
    world->posting = on && world->opt.rate > 0;
}

int world_post(world_t *world, int64_t now_ms, uint32_t source)
{
    world_advance(world, now_ms);
    if (source >= world->opt.sources) return -1;
    uint64_t before = world->counts.posts;
    post_counted(world, source, now_ms);
    return world->counts.posts > before ? 0 : -1;
}

// -- beginning and end ----------------------------------------------------------------------------

const char *world_check(const world_options_t *o)
{
    const char *names = o->host_names;
    if (o->sources < 1 || o->sources > WORLD_SOURCES_MAX) return "sources out of range";
    if (o->hosts < 1 || o->hosts > WORLD_HOSTS_MAX) return "hosts out of range";
    if (o->n_kinds < 1 || o->n_kinds > WORLD_MIX_MAX) return "between one and eight kinds, please";
    if (!(o->rate >= 0 && o->rate <= 1e6)) return "rate out of range";
    if (!(o->updates >= 0 && o->updates <= 10)) return "updates out of range";
    if (o->pinned > WORLD_PINNED_MAX) return "too many pinned posts";
    if (o->window < 1 || o->window > WORLD_WINDOW_MAX) return "window out of range";
    if (o->backlog > WORLD_WINDOW_MAX) return "backlog out of range";
    if (names && (!strstr(names, "%d") || strlen(names) > 100))
        return "host names need a %d and at most 100 bytes";
    return NULL;
}

// What was there at the start was posted at one a minute before it.
static void add_backlog(world_t *world)
{
    unsigned n = world->opt.pinned + world->opt.backlog;
    for (uint32_t source = 0; source < world->opt.sources; source++) {
        for (unsigned i = 0; i < n; i++) {
            CHECK(add_post(world, source, world->opt.start_ms - (int64_t)(n - i) * 60000,
                           world->opt.start_ms) == 0);
        }
    }
}

world_t *world_new(const world_options_t *options, world_event_fn *event, void *arg)
{
    CHECK(world_check(options) == NULL);
    world_t *world = xcalloc(1, sizeof *world);
    world->opt = *options;
    world->random = mix(options->seed);
    world->sources = xcalloc(options->sources, sizeof *world->sources);
    for (uint32_t i = 0; i < options->sources; i++) world->sources[i].changed_ms = options->start_ms;
    add_backlog(world);
    world->event = event;
    world->arg = arg;
    world_set_posting(world, options->start_ms, true);
    return world;
}

void world_destroy(world_t **world)
{
    if (!*world) return;
    for (uint32_t i = 0; i < (*world)->opt.sources; i++) free((*world)->sources[i].posts);
    free((*world)->sources);
    free(*world);
    *world = NULL;
}
