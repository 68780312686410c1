// Definitions: staged by COPY, then upserted, in one transaction a group, and none if all is known.
#include "sink/definitions.h"

#include <string.h>
#include <xxhash.h>

#include "sink/clean.h"
#include "sink/copy.h"

enum {
    DEFINE_COLUMNS = 11,
    KNOWN_MAX = 400000, // definitions remembered as being in the database
};

static const char define_table_sql[] =
    "CREATE TEMPORARY TABLE rtm_define (is_source boolean, id bigint, template_id bigint, ms bigint,"
    " has_detail boolean, name text, url text, keep_ms bigint, keep_items bigint, started_ms bigint,"
    " late boolean) ON COMMIT DELETE ROWS";

// Its commit need not wait for the disk: that of the rows, without which nobody needs the definitions, does
// so for both; and of a database that crashed nothing is known any more.
static const char define_copy_sql[] =
    "BEGIN; SET LOCAL synchronous_commit = off; COPY rtm_define FROM STDIN (FORMAT binary)";

// Of several versions in one group the last one counts, as in `known`.
static const char define_sql[] =
    "INSERT INTO templates AS t (template_id, name, has_detail, fresh_within, keep_age, keep_items, defined_at)"
    " SELECT DISTINCT ON (id) id, name, has_detail, ms * interval '1 millisecond',"
    " keep_ms * interval '1 millisecond', keep_items, to_timestamp(started_ms / 1000.0) FROM rtm_define d"
    " WHERE NOT is_source AND NOT (late AND EXISTS (SELECT FROM templates o WHERE o.template_id = d.id"
    " AND o.defined_at > to_timestamp(d.started_ms / 1000.0))) ORDER BY id, ctid DESC"
    " ON CONFLICT (template_id) DO UPDATE SET name = EXCLUDED.name, has_detail = EXCLUDED.has_detail,"
    " fresh_within = EXCLUDED.fresh_within, keep_age = EXCLUDED.keep_age, keep_items = EXCLUDED.keep_items,"
    " defined_at = GREATEST(t.defined_at, EXCLUDED.defined_at)"
    " WHERE (t.name, t.has_detail, t.fresh_within, t.keep_age, t.keep_items) IS DISTINCT FROM (EXCLUDED.name,"
    " EXCLUDED.has_detail, EXCLUDED.fresh_within, EXCLUDED.keep_age, EXCLUDED.keep_items);"
    "INSERT INTO sources AS s (source_id, template_id, template, url, added_at) SELECT DISTINCT ON (id) id,"
    " template_id, name, url, to_timestamp(ms / 1000.0) FROM rtm_define WHERE is_source ORDER BY id, ctid DESC"
    " ON CONFLICT (source_id) DO UPDATE SET template_id = EXCLUDED.template_id, template = EXCLUDED.template,"
    " url = EXCLUDED.url WHERE (s.template_id, s.template, s.url) IS DISTINCT FROM (EXCLUDED.template_id,"
    " EXCLUDED.template, EXCLUDED.url); COMMIT";

pg_status_t definitions_prepare(definitions_t *d, pg_t *pg)
{
    definitions_forget(d);
    return pg_run(pg, define_table_sql);
}

void definitions_forget(definitions_t *d)
{
    map_free(&d->known);
    map_init(&d->known);
}

static uint64_t text_hash(const char *s, uint64_t seed)
{
    return XXH3_64bits_withSeed(s, strlen(s), seed);
}

// Whether this definition of id is new to the database, as far as this connection knows.
static bool is_news(const definitions_t *d, uint64_t id, uint64_t hash)
{
    return (uint64_t)(uintptr_t)map_get(&d->known, id) != (hash | 1);
}

static void remember(definitions_t *d, uint64_t id, uint64_t hash)
{
    if (d->known.count >= KNOWN_MAX) definitions_forget(d);
    map_put(&d->known, id,
            (void *)(uintptr_t)(hash | 1)); // NOLINT(performance-no-int-to-ptr): a number, never followed
}

static int64_t clamp_ms(int64_t ms)
{
    const int64_t most = INT64_C(100) * 366 * 86400 * 1000;
    return ms < 0 ? 0 : ms > most ? most : ms;
}

static char *put_clean(char *p, const char *text)
{
    size_t len = strlen(text), good = clean_utf8_prefix(text, len);
    return copy_text(p, text, good); // what follows an invalid byte is left out
}

static uint64_t template_hash(const wire_sink_template_t *t)
{
    int64_t numbers[] = {t->fresh_within, t->has_detail, t->keep_age, (int64_t)t->keep_items};
    return text_hash(t->name, XXH3_64bits(numbers, sizeof numbers));
}

static uint64_t source_hash(const wire_sink_source_t *src)
{
    return text_hash(src->url, src->template_id);
}

// 0 means none.
static char *put_bound(char *p, int64_t bound)
{
    return bound > 0 ? copy_i64(p, bound) : copy_null(p);
}

// started: of the latest poll that says it, broker ms. late: the batch was spooled, so the database may know
// better.
static pg_status_t define_template(definitions_t *d, bulk_t *bulk, const wire_sink_template_t *t,
                                   int64_t started, bool late)
{
    pg_status_t status = PG_OK;
    uint64_t hash = template_hash(t);
    if (!is_news(d, t->id, hash)) return PG_OK;
    if (late)
        map_del(&d->known, t->id);
    else
        remember(d, t->id, hash);
    char *p = bulk_room(bulk, 128 + strlen(t->name), &status);
    if (!p) return status;
    p = copy_bool(copy_row(p, DEFINE_COLUMNS), false);
    p = copy_null(copy_i64(p, (int64_t)t->id));
    p = copy_bool(copy_i64(p, clamp_ms(t->fresh_within)), t->has_detail);
    p = put_bound(copy_null(put_clean(p, t->name)), clamp_ms(t->keep_age));
    p = copy_i64(put_bound(p, (int64_t)t->keep_items), started);
    bulk_wrote(bulk, copy_bool(p, late));
    return PG_OK;
}

static pg_status_t define_source(definitions_t *d, bulk_t *bulk, const wire_batch_t *b,
                                 const wire_sink_source_t *src, int64_t now)
{
    pg_status_t status = PG_OK;
    uint64_t hash = source_hash(src);
    if (!is_news(d, src->id, hash)) return PG_OK;
    remember(d, src->id, hash);
    const wire_sink_template_t *t = batch_template(b, src->template_id);
    const char *name = t ? t->name : "";
    char *p = bulk_room(bulk, 128 + strlen(name) + strlen(src->url), &status);
    if (!p) return status;
    p = copy_bool(copy_row(p, DEFINE_COLUMNS), true);
    p = copy_i64(copy_i64(p, (int64_t)src->id), (int64_t)src->template_id);
    p = copy_null(copy_i64(p, now));
    p = copy_null(copy_null(put_clean(put_clean(p, name), src->url)));
    bulk_wrote(bulk, copy_bool(copy_null(p), false));
    return PG_OK;
}

static bool defines_news(const definitions_t *d, const wire_batch_t *b)
{
    for (size_t i = 0; i < b->templates.n; i++)
        if (is_news(d, b->templates.v[i].id, template_hash(&b->templates.v[i]))) return true;
    for (size_t i = 0; i < b->sources.n; i++)
        if (is_news(d, b->sources.v[i].id, source_hash(&b->sources.v[i]))) return true;
    return false;
}

static pg_status_t define_batch(definitions_t *d, bulk_t *bulk, const group_batch_t *batch, int64_t now)
{
    pg_status_t status = PG_OK;
    const wire_batch_t *b = batch->batch;
    bool late = batch->job->session == 0;
    int64_t started = 0;
    for (size_t i = 0; i < b->polls.n; i++)
        if (b->polls.v[i].started > started) started = b->polls.v[i].started;
    for (size_t i = 0; status == PG_OK && i < b->templates.n; i++)
        status = define_template(d, bulk, &b->templates.v[i], started, late);
    for (size_t i = 0; status == PG_OK && i < b->sources.n; i++)
        status = define_source(d, bulk, b, &b->sources.v[i], now);
    return status;
}

pg_status_t definitions_commit(definitions_t *d, bulk_t *bulk, pg_t *pg, const group_t *g, int64_t now)
{
    bool news = false;
    for (size_t i = 0; !news && i < g->n_batches; i++) news = defines_news(d, g->batches[i].batch);
    if (!news) return PG_OK;
    pg_status_t status = bulk_begin(bulk, pg, define_copy_sql);
    for (size_t i = 0; status == PG_OK && i < g->n_batches; i++)
        status = define_batch(d, bulk, &g->batches[i], now);
    if (status == PG_OK) status = bulk_end(bulk);
    if (status == PG_OK) status = pg_run(pg, define_sql);
    return pg_roll_back(pg, status);
}
