// Rows: see the header. What must be there is known from what the archive was told: the dues of each row, and
// when the latest of them was.
#include "tests/sim/rows.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>
#include <xxhash.h>

#include "broker/archive.h"
#include "broker/schema.h"
#include "common/check.h"

enum {
    EVERY_WORLD = 8,
    TOGETHER = 64, // operations that are written at once
    FEW_ROWS = 100,
    LOOKED_AT = 8, // rows
    PLENTY = 1 << 30
};

typedef struct { // a row that the archive was given
    int64_t last;
    uint64_t count;
    bool repeated; // it may have been known already
} told_t;

typedef struct rows {
    sqlite3 *db;
    archive_t *archive;
    int64_t keep_ms, most;
    size_t upto; // operations that were written
    told_t *told;
    size_t n_told, cap_told;
    map_t known;    // source, due and result of those -> how many there were of the source
    map_t sources;  // source -> how many there are of it
    int64_t latest; // broker ms
} rows_t;

void rows_begin(world_t *w)
{
    char why[200];
    if (w->seed % EVERY_WORLD) return;
    rows_t *r = xcalloc(1, sizeof *r);
    CHECK(sqlite3_open(":memory:", &r->db) == SQLITE_OK && schema_upgrade(r->db, why, sizeof why) == 0);
    CHECK((r->archive = archive_new(r->db)) != NULL);
    r->keep_ms = (int64_t)(1 + w->seed / EVERY_WORLD % 5) * 2 * w->slot_ms;
    r->most = w->seed / EVERY_WORLD % 3 ? PLENTY : FEW_ROWS;
    archive_bound(r->archive, r->keep_ms, r->most);
    w->rows = r;
}

static const char *kept(world_t *w, const char *text)
{
    char *copy = arena_strdup(w->arena, text);
    CHECK(copy != NULL);
    return copy;
}

const store_history_t *rows_keep(world_t *w, const store_history_t *history)
{
    if (!w->rows || !history) return NULL;
    store_history_t *h = arena_alloc(w->arena, sizeof *h);
    CHECK(h != NULL);
    *h = *history;
    h->template_name = kept(w, h->template_name);
    h->miner = kept(w, h->miner);
    h->detail = kept(w, h->detail);
    h->pattern = kept(w, h->pattern);
    return h;
}

static uint64_t key_of(const store_history_t *h)
{
    return XXH3_64bits_withSeed(h->result, strlen(h->result),
                                h->source ^ (uint64_t)h->last * 0x9e3779b97f4a7c15ULL);
}

// What is reported once more, to another run of the broker, the archive knows if it is among the source's
// latest rows, and nothing can have joined it since.
static void put(rows_t *r, const store_history_t *h)
{
    uint64_t n = (uintptr_t)map_get(&r->sources, h->source) + 1;
    uint64_t before = (uintptr_t)map_get(&r->known, key_of(h));
    bool repeated = before && h->started, old = h->last < r->latest - r->keep_ms;
    bool sure = n - before < LOOKED_AT && !old && !strcmp(h->result, "changed");
    CHECK(archive_put(r->archive, h) == 0);
    map_put(&r->sources, h->source, (void *)(uintptr_t)n);
    if (repeated && sure) return;
    map_put(&r->known, key_of(h), (void *)(uintptr_t)n);
    if (r->n_told == r->cap_told) {
        r->cap_told = r->cap_told * 2 + 256;
        r->told = xrealloc(r->told, r->cap_told * sizeof *r->told);
    }
    r->told[r->n_told++] = (told_t){h->last, h->count, repeated};
    if (h->last > r->latest) r->latest = h->last;
}

static int64_t number(rows_t *r, const char *sql)
{
    sqlite3_stmt *st;
    CHECK(sqlite3_prepare_v2(r->db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW);
    int64_t value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return value;
}

static void check_age(world_t *w, rows_t *r)
{
    int64_t oldest = r->latest - r->keep_ms, young = 0, all = 0;
    for (size_t i = 0; i < r->n_told; i++) {
        all += (int64_t)r->told[i].count;
        if (r->told[i].last >= oldest && !r->told[i].repeated) young += (int64_t)r->told[i].count;
    }
    int64_t rows = number(r, "select count(*) from history");
    int64_t dues = number(r, "select coalesce(sum(count), 0) from history");
    int64_t first = number(r, "select coalesce(min(last_ms), 0) from history");
    if (rows && first < oldest)
        sim_fail(w, "a row of the history is %lld ms old, %lld are kept", (long long)(r->latest - first),
                 (long long)r->keep_ms);
    if (rows > r->most)
        sim_fail(w, "the history has %lld rows, %lld are kept", (long long)rows, (long long)r->most);
    if (dues > all || (r->most == PLENTY && dues < young))
        sim_fail(w, "the history has %lld dues of the %lld that it was told of, of which %lld are young",
                 (long long)dues, (long long)all, (long long)young);
}

void rows_durable(world_t *w, size_t n, bool last)
{
    rows_t *r = w->rows;
    if (!r || (n - r->upto < TOGETHER && !last)) return;
    for (; r->upto < n; r->upto++)
        if (w->ops[r->upto].op.history) put(r, w->ops[r->upto].op.history);
    CHECK(archive_trim(r->archive) == 0); // looks at some thousand rows: at all
    if (last) check_age(w, r);
}

void rows_end(world_t *w)
{
    rows_t *r = w->rows;
    if (!r) return;
    archive_destroy(&r->archive);
    sqlite3_close(r->db);
    free(r->told);
    map_free(&r->known);
    map_free(&r->sources);
    free(r);
    w->rows = NULL;
}
