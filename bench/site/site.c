// Site: see site.h. One mutex covers the world, the truth file, the cache of pages and the counts: a list is
// rendered from the same state, at the same moment, as the truth was written.
#include "bench/site/site.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"

#define SHEETS_MAX 8192 // kept rendered, about 30 KB each; a source has one place among them

typedef struct {
    site_manner_t manner;
    uint64_t requests;
    uint32_t active, max_active;
    int64_t last_us, min_gap_us; // between the beginnings of requests; -1: none yet
} host_t;

struct site {
    site_options_t opt;
    pthread_mutex_t lock;
    world_t *world;
    FILE *truth;
    bool truth_dirty;
    int64_t wall_ms, mono_ms; // of the start
    sheet_t **sheets;
    uint32_t n_sheets;
    host_t *hosts;
    uint64_t asked[ASK_CLASSES];
    uint64_t statuses[6]; // by hundreds; [0] broken off
    uint64_t not_modified;
    buf_t last_truth; // the line of the latest event
    uint64_t random;
};

static const char *const ASK_NAMES[ASK_CLASSES] = {"list", "detail", "robots", "bad", "other"};

static void write_truth(void *arg, const world_item_t *item)
{
    site_t *site = arg;
    buf_reset(&site->last_truth);
    CHECK(page_truth(&site->last_truth, site->world, item) == 0);
    CHECK(buf_append(&site->last_truth, "\n", 1) == 0);
    if (!site->truth) return;
    fwrite(site->last_truth.data, 1, site->last_truth.len, site->truth);
    site->truth_dirty = true;
}

static void flush_truth(site_t *site)
{
    if (site->truth_dirty) fflush(site->truth);
    site->truth_dirty = false;
}

int64_t site_now(const site_t *site)
{
    return site->wall_ms + (clock_mono_ms() - site->mono_ms);
}

// Under the lock, time is read and passes for the world; nothing is shown that is not in the truth file.
static int64_t lock_now(site_t *site)
{
    pthread_mutex_lock(&site->lock);
    int64_t now = site_now(site);
    world_advance(site->world, now);
    flush_truth(site);
    return now;
}

static void unlock(site_t *site)
{
    pthread_mutex_unlock(&site->lock);
}

void site_tick(site_t *site)
{
    lock_now(site);
    unlock(site);
}

// -- requests -------------------------------------------------------------------------------------

static double chance(site_t *site)
{
    site->random = site->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (double)(site->random >> 11) / 9007199254740992.0;
}

static void count_begin(host_t *host)
{
    int64_t now_us = clock_mono_us();
    int64_t gap_us = now_us - host->last_us;
    if (host->requests++ > 0 && (host->min_gap_us < 0 || gap_us < host->min_gap_us))
        host->min_gap_us = gap_us;
    host->last_us = now_us;
    if (++host->active > host->max_active) host->max_active = host->active;
}

static site_fate_t draw_fate(site_t *site, const site_manner_t *manner)
{
    double at = chance(site);
    if (at < manner->reset_rate) return FATE_RESET;
    at -= manner->reset_rate;
    if (at < manner->error_rate / 2) return FATE_500;
    return at < manner->error_rate ? FATE_503 : FATE_SERVED;
}

site_fate_t site_begin(site_t *site, int64_t host, site_ask_t ask, unsigned *delay_ms)
{
    site_fate_t fate = FATE_SERVED;
    *delay_ms = 0;
    pthread_mutex_lock(&site->lock);
    site->asked[ask]++;
    if (host >= 0) {
        const site_manner_t *manner = &site->hosts[host].manner;
        count_begin(&site->hosts[host]);
        *delay_ms = manner->latency_ms;
        if (manner->jitter_ms) *delay_ms += (unsigned)(chance(site) * manner->jitter_ms);
        if (ask == ASK_LIST || ask == ASK_DETAIL) fate = draw_fate(site, manner);
    }
    unlock(site);
    return fate;
}

void site_end(site_t *site, int64_t host, unsigned status)
{
    pthread_mutex_lock(&site->lock);
    site->statuses[status / 100 < 6 ? status / 100 : 0]++;
    if (status == 304) site->not_modified++;
    if (host >= 0) site->hosts[host].active--;
    unlock(site);
}

// -- pages ----------------------------------------------------------------------------------------

void sheet_unref(void *arg)
{
    sheet_t *sheet = arg;
    if (!sheet || atomic_fetch_sub(&sheet->refs, 1) > 1) return;
    page_free(&sheet->page);
    free(sheet);
}

static sheet_t *sheet_new(site_t *site, uint32_t source)
{
    sheet_t *sheet = xcalloc(1, sizeof *sheet);
    atomic_init(&sheet->refs, 1);
    sheet->source = source;
    sheet->version = world_version(site->world, source);
    sheet->changed_ms = world_changed(site->world, source);
    sheet->tag =
        ((uint64_t)site->wall_ms * 0x9e3779b97f4a7c15ULL) ^ ((uint64_t)source << 32 | sheet->version);
    if (page_list(&sheet->page, site->world, source, site->opt.pad) != 0) {
        free(sheet);
        return NULL;
    }
    return sheet;
}

sheet_t *site_sheet(site_t *site, uint32_t source)
{
    lock_now(site);
    sheet_t **place = &site->sheets[source % site->n_sheets];
    sheet_t *sheet = *place;
    if (!sheet || sheet->source != source || sheet->version != world_version(site->world, source)) {
        sheet_unref(sheet);
        sheet = *place = sheet_new(site, source);
    }
    if (sheet) atomic_fetch_add(&sheet->refs, 1);
    unlock(site);
    return sheet;
}

uint64_t site_salt(site_t *site)
{
    pthread_mutex_lock(&site->lock);
    uint64_t salt = ++site->random;
    unlock(site);
    return salt;
}

int site_item(site_t *site, uint32_t source, uint32_t post, world_item_t *item)
{
    lock_now(site);
    int found = world_item(site->world, source, post, item);
    unlock(site);
    return found;
}

// -- control --------------------------------------------------------------------------------------

void site_set_posting(site_t *site, bool on)
{
    int64_t now = lock_now(site);
    world_set_posting(site->world, now, on);
    unlock(site);
}

// A list may have been rendered in this very millisecond already, so the post waits for the next one: then
// whatever is rendered at or after its time has it.
int site_post(site_t *site, uint32_t source, buf_t *line)
{
    int64_t before = lock_now(site), now;
    while ((now = site_now(site)) == before) sched_yield();
    int made = world_post(site->world, now, source);
    flush_truth(site);
    if (made == 0) made = buf_append(line, site->last_truth.data, site->last_truth.len);
    unlock(site);
    return made;
}

site_manner_t site_manner(site_t *site, int64_t host)
{
    pthread_mutex_lock(&site->lock);
    site_manner_t manner = site->hosts[host < 0 ? 0 : host].manner;
    unlock(site);
    return manner;
}

void site_set_manner(site_t *site, int64_t host, const site_manner_t *manner)
{
    pthread_mutex_lock(&site->lock);
    for (uint32_t i = 0; i < site->opt.world.hosts; i++) {
        if (host < 0 || host == i) site->hosts[i].manner = *manner;
    }
    unlock(site);
}

void site_clear(site_t *site)
{
    pthread_mutex_lock(&site->lock);
    memset(site->asked, 0, sizeof site->asked);
    memset(site->statuses, 0, sizeof site->statuses);
    site->not_modified = 0;
    for (uint32_t i = 0; i < site->opt.world.hosts; i++) {
        host_t *host = &site->hosts[i];
        host->requests = 0;
        host->max_active = host->active;
        host->min_gap_us = -1;
    }
    unlock(site);
}

// What the hosts have in common: sums, the most concurrency, the least gap.
static host_t all_hosts(const site_t *site, int64_t only)
{
    host_t all = {.min_gap_us = -1};
    for (uint32_t i = 0; i < site->opt.world.hosts; i++) {
        const host_t *host = &site->hosts[i];
        if (only >= 0 && only != i) continue;
        all.requests += host->requests;
        all.active += host->active;
        if (host->max_active > all.max_active) all.max_active = host->max_active;
        if (host->min_gap_us < 0) continue;
        if (all.min_gap_us < 0 || host->min_gap_us < all.min_gap_us) all.min_gap_us = host->min_gap_us;
    }
    return all;
}

static int put_status(site_t *site, int64_t host, int64_t now, buf_t *out)
{
    world_counts_t counts = world_counts(site->world);
    host_t all = all_hosts(site, host);
    int failed =
        buf_printf(out, "{\"t_ms\":%lld,\"posts\":%llu,\"updates\":%llu,\"put_off\":%llu,\"requests\":{",
                   (long long)now, (unsigned long long)counts.posts, (unsigned long long)counts.updates,
                   (unsigned long long)counts.put_off);
    for (int i = 0; i < ASK_CLASSES; i++) {
        failed |= buf_printf(out, "\"%s\":%llu,", ASK_NAMES[i], (unsigned long long)site->asked[i]);
    }
    failed |= buf_printf(
        out, "\"all\":%llu},\"active\":%u,\"max_concurrent\":%u,\"not_modified\":%llu,\"statuses\":{",
        (unsigned long long)all.requests, all.active, all.max_active, (unsigned long long)site->not_modified);
    for (int i = 1; i < 6; i++) {
        failed |= buf_printf(out, "\"%dxx\":%llu,", i, (unsigned long long)site->statuses[i]);
    }
    failed |= buf_printf(out, "\"broken\":%llu},\"min_gap_ms\":", (unsigned long long)site->statuses[0]);
    if (all.min_gap_us < 0) return failed | buf_puts(out, "null}\n");
    return failed | buf_printf(out, "%.3f}\n", (double)all.min_gap_us / 1000);
}

int site_status(site_t *site, int64_t host, buf_t *out)
{
    int64_t now = lock_now(site);
    int failed = put_status(site, host, now, out);
    unlock(site);
    return failed;
}

// -- beginning and end ----------------------------------------------------------------------------

const site_options_t *site_options(const site_t *site)
{
    return &site->opt;
}

const world_t *site_world(const site_t *site)
{
    return site->world;
}

static void write_first_truth(site_t *site)
{
    uint32_t n = site->opt.world.pinned + site->opt.world.backlog;
    for (uint32_t source = 0; source < site->opt.world.sources; source++) {
        for (uint32_t post = 0; post < n; post++) {
            world_item_t item;
            if (world_item(site->world, source, post, &item) == 0) write_truth(site, &item);
        }
    }
    flush_truth(site);
}

site_t *site_new(const site_options_t *options, char *err, size_t err_size)
{
    FILE *truth = options->truth ? fopen(options->truth, "w") : NULL;
    if (options->truth && !truth) {
        snprintf(err, err_size, "%s: %s", options->truth, strerror(errno));
        return NULL;
    }
    site_t *site = xcalloc(1, sizeof *site);
    site->opt = *options;
    site->truth = truth;
    site->wall_ms = site->opt.world.start_ms = clock_wall_ms();
    site->mono_ms = clock_mono_ms();
    site->random = options->world.seed;
    pthread_mutex_init(&site->lock, NULL);
    buf_init(&site->last_truth, 8192);
    site->n_sheets = options->world.sources < SHEETS_MAX ? options->world.sources : SHEETS_MAX;
    site->sheets = xcalloc(site->n_sheets, sizeof *site->sheets);
    site->hosts = xcalloc(options->world.hosts, sizeof *site->hosts);
    site_clear(site);
    site_set_manner(site, -1, &options->manner);
    site->world = world_new(&site->opt.world, write_truth, site);
    if (options->stopped) world_set_posting(site->world, site->wall_ms, false);
    write_first_truth(site);
    return site;
}

void site_destroy(site_t **self)
{
    site_t *site = *self;
    if (!site) return;
    if (site->truth) fclose(site->truth);
    for (uint32_t i = 0; i < site->n_sheets; i++) sheet_unref(site->sheets[i]);
    free(site->sheets);
    free(site->hosts);
    world_destroy(&site->world);
    buf_free(&site->last_truth);
    pthread_mutex_destroy(&site->lock);
    free(site);
    *self = NULL;
}
