// Page: the horizon first, then the rows below it.
#include "sink/page.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/conf.h"

enum { MAX_SQL = 16 << 10, MAX_PARAMS = 16, MAX_NUMBER = 24, MAX_WORDS_TEXT = 1024 };

// -- positions ----------------------------------------------------------------------------------------

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

position_t position_of_tx(uint64_t tx)
{
    return (position_t){.tx = tx, .source = INT64_MIN};
}

static char *encode_key(const position_t *p, char *out)
{
    for (size_t i = 0; i < p->key_len; i += 3) {
        size_t n = p->key_len - i < 3 ? p->key_len - i : 3;
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++) bits = bits << 8 | (k < n ? (uint8_t)p->key[i + k] : 0);
        for (size_t k = 0; k <= n; k++) *out++ = digits64[bits >> (18 - 6 * k) & 63];
    }
    *out = '\0';
    return out;
}

static int decode_key(position_t *p, const char *text)
{
    uint32_t bits = 0;
    size_t n = strlen(text), have = 0;
    if (n == 0 || n % 4 == 1 || n / 4 * 3 + n % 4 > sizeof p->key) return -1;
    for (; *text; text++) {
        const char *digit = strchr(digits64, *text);
        if (!digit) return -1;
        bits = bits << 6 | (uint32_t)(digit - digits64);
        have += 6;
        if (have < 8) continue;
        have -= 8;
        p->key[p->key_len++] = (char)(bits >> have & 255);
    }
    return memchr(p->key, 0, p->key_len) ? -1 : 0;
}

void position_print(const position_t *p, char out[POSITION_TEXT])
{
    int n = snprintf(out, POSITION_TEXT, "%" PRIu64, p->tx);
    if (p->key_len == 0) return;
    n += snprintf(out + n, (size_t)(POSITION_TEXT - n), ".%016" PRIx64 ".", (uint64_t)p->source);
    encode_key(p, out + n);
}

// 16 hex digits. 0 or -1.
static int parse_hex(const char *text, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < 16; i++) {
        const char *digit = text[i] ? strchr("0123456789abcdef", text[i]) : NULL;
        if (!digit) return -1;
        *value = *value << 4 | (uint64_t)(digit - "0123456789abcdef");
    }
    return 0;
}

int position_parse(position_t *p, const char *text)
{
    uint64_t source;
    size_t n = strspn(text, "0123456789");
    *p = position_of_tx(0);
    if (n == 0 || n > 19) return -1;
    p->tx = strtoull(text, NULL, 10);
    if (!text[n]) return 0;
    if (text[n] != '.' || parse_hex(text + n + 1, &source) || text[n + 17] != '.') return -1;
    p->source = (int64_t)source;
    return decode_key(p, text + n + 18);
}

int position_compare(const position_t *a, const position_t *b)
{
    if (a->tx != b->tx) return a->tx < b->tx ? -1 : 1;
    if (a->source != b->source) return a->source < b->source ? -1 : 1;
    int order = memcmp(a->key, b->key, a->key_len < b->key_len ? a->key_len : b->key_len);
    if (order) return order;
    return a->key_len == b->key_len ? 0 : a->key_len < b->key_len ? -1 : 1;
}

// -- the statement --------------------------------------------------------------------------------------

// Its parameters are texts.
typedef struct {
    buf_t sql;
    const char *values[MAX_PARAMS];
    int n;
    char numbers[MAX_PARAMS][MAX_NUMBER];
    char key[POSITION_KEY + 1];
    char since[64];
    char words[MAX_WORDS_TEXT];
} statement_t;

static int param(statement_t *st, const char *value)
{
    CHECK(st->n < MAX_PARAMS);
    st->values[st->n++] = value;
    return st->n;
}

static int param_i64(statement_t *st, int64_t value)
{
    snprintf(st->numbers[st->n], MAX_NUMBER, "%" PRId64, value);
    return param(st, st->numbers[st->n]);
}

#define ADD(st, ...) CHECK(buf_printf(&(st)->sql, __VA_ARGS__) == 0)

static void add_from(statement_t *st, const page_query_t *q)
{
    memcpy(st->key, q->from->key, q->from->key_len);
    st->key[q->from->key_len] = '\0';
    int tx = param_i64(st, (int64_t)q->from->tx), source = param_i64(st, q->from->source),
        key = param(st, st->key);
    ADD(st, " AND (i.tx, i.source_id, i.key) %s ($%d::xid8, $%d::bigint, $%d::text)", q->newest ? "<" : ">",
        tx, source, key);
}

// "2h" means so long ago, all else is for Postgres to read.
static void add_since(statement_t *st, const char *since)
{
    int64_t age = conf_duration(since);
    snprintf(st->since, sizeof st->since, "%" PRId64 " milliseconds", age);
    int n = param(st, age >= 0 ? st->since : since);
    char expression[64];
    snprintf(expression, sizeof expression, age >= 0 ? "now() - $%d::interval" : "$%d::timestamptz", n);
    ADD(st, " AND i.updated_at >= %s AND i.tx >= rtm_since(%s)", expression, expression);
}

// Each word must be in one of the texts, whatever its case.
static void add_words(statement_t *st, const char *words)
{
    char *rest = NULL;
    snprintf(st->words, sizeof st->words, "%s", words);
    int n = 0;
    for (char *w = strtok_r(st->words, " \t\r\n", &rest); w && n < PAGE_WORDS;
         w = strtok_r(NULL, " \t\r\n", &rest), n++)
        ADD(st,
            " AND strpos(lower(concat_ws(' ', i.title, i.summary, i.author, i.url)), lower($%d::text)) > 0",
            param(st, w));
}

// clang-format off
#define JSON \
    "(SELECT row_to_json(j)::text FROM (SELECT lpad(to_hex(p.source_id), 16, '0') || ':' || p.key AS id," \
    " p.revision, p.template_name AS template, lpad(to_hex(p.source_id), 16, '0') AS source, p.source_url," \
    " p.key, p.url, p.title, p.author, p.summary, p.content, p.image, p.fields, p.published_at," \
    " p.first_seen_at, p.last_absent_at, p.fetched_at, p.stored_at, p.updated_at, p.detail_at, p.backfill) j)"

#define LENGTH(c) "COALESCE(octet_length(p." #c "), 0)"
#define SIZE \
    "(200 + " LENGTH(url) " + " LENGTH(title) " + " LENGTH(author) " + " LENGTH(summary) " + " LENGTH(content) \
    " + octet_length(p.fields::text))"
// clang-format on

// The innermost takes the rows, the next adds up their sizes, the outermost makes JSON of those that fit.
static void build(statement_t *st, const page_query_t *q, uint64_t horizon, const int64_t *template_id,
                  const int64_t *source)
{
    const char *way = q->newest ? " DESC" : "";
    char order[128];
    snprintf(order, sizeof order, "p.tx%s, p.source_id%s, p.key%s", way, way, way);
    ADD(st,
        "SELECT p.tx, p.source_id, p.key, p.found, COALESCE(p.template_name, ''), COALESCE(p.source_url, ''),"
        " " JSON " FROM (SELECT p.*, t.name AS template_name, s.url AS source_url, count(*) OVER () AS found,"
        " row_number() OVER w AS nth, sum" SIZE " OVER w AS size"
        " FROM (SELECT i.* FROM items i WHERE i.tx < $%d::xid8",
        param_i64(st, (int64_t)horizon));
    if (q->from) add_from(st, q);
    if (template_id) ADD(st, " AND i.template_id = $%d::bigint", param_i64(st, *template_id));
    if (source) ADD(st, " AND i.source_id = $%d::bigint", param_i64(st, *source));
    if (q->since) add_since(st, q->since);
    if (q->words) add_words(st, q->words);
    ADD(st,
        " ORDER BY i.tx%s, i.source_id%s, i.key%s LIMIT %d) p"
        " LEFT JOIN sources s ON s.source_id = p.source_id"
        " LEFT JOIN templates t ON t.template_id = p.template_id"
        " WINDOW w AS (ORDER BY %s ROWS UNBOUNDED PRECEDING)) p"
        " WHERE p.size <= %zu OR p.nth = 1 ORDER BY %s",
        way, way, way, q->rows, order, q->bytes, order);
}

// -- reading --------------------------------------------------------------------------------------------

static int64_t cell_i64(const PGresult *r, int row, int column)
{
    uint64_t v;
    memcpy(&v, PQgetvalue(r, row, column), 8);
    return (int64_t)be64toh(v);
}

// The readable transactions are those below *horizon; no transaction has begun that is not below *end.
static pg_status_t read_horizon(pg_t *pg, uint64_t *horizon, uint64_t *end)
{
    PGresult *r = NULL;
    pg_status_t status =
        pg_query(pg, "SELECT pg_snapshot_xmin(s), pg_snapshot_xmax(s) FROM pg_current_snapshot() s", 0, NULL,
                 NULL, NULL, &r);
    if (status != PG_OK) return status;
    *horizon = (uint64_t)cell_i64(r, 0, 0);
    *end = (uint64_t)cell_i64(r, 0, 1);
    PQclear(r);
    return PG_OK;
}

pg_status_t page_now(pg_t *pg, position_t *now)
{
    uint64_t horizon = 0, begun;
    pg_status_t status = read_horizon(pg, &horizon, &begun);
    *now = position_of_tx(horizon);
    return status;
}

// The one bigint that a statement gives for a name; *found false: none.
static pg_status_t look_up(pg_t *pg, const char *sql, const char *name, int64_t *id, bool *found)
{
    PGresult *r = NULL;
    const char *values[] = {name};
    pg_status_t status = pg_query(pg, sql, 1, values, NULL, NULL, &r);
    if (status != PG_OK) return status;
    *found = PQntuples(r) > 0;
    if (*found) *id = cell_i64(r, 0, 0);
    PQclear(r);
    return PG_OK;
}

static pg_status_t look_up_source(pg_t *pg, const char *source, int64_t *id, bool *found)
{
    uint64_t number;
    *found = strlen(source) == 16 && parse_hex(source, &number) == 0;
    if (!*found)
        return look_up(pg, "SELECT source_id FROM sources WHERE url = $1 ORDER BY added_at DESC LIMIT 1",
                       source, id, found);
    *id = (int64_t)number;
    return PG_OK;
}

static void hand_over(const PGresult *r, int i, page_row_fn *row, void *context, position_t *last)
{
    page_row_t out = {.position = {.tx = (uint64_t)cell_i64(r, i, 0), .source = cell_i64(r, i, 1)},
                      .source = (uint64_t)cell_i64(r, i, 1),
                      .template_name = PQgetvalue(r, i, 4),
                      .source_url = PQgetvalue(r, i, 5),
                      .json = PQgetvalue(r, i, 6),
                      .json_len = (size_t)PQgetlength(r, i, 6)};
    size_t len = (size_t)PQgetlength(r, i, 2);
    out.position.key_len = len < POSITION_KEY ? len : POSITION_KEY; // the writer lets no longer one in
    memcpy(out.position.key, PQgetvalue(r, i, 2), out.position.key_len);
    *last = out.position;
    row(context, &out);
}

// The planner is told to look names up in an index: a page has few rows, `sources` may have a million.
pg_status_t page_open(pg_t *pg)
{
    if (pg_open(pg)) return PG_FAILED;
    pg_status_t status = pg_run(
        pg, "SET application_name = 'rtm-sink api'; SET default_transaction_read_only = on;"
            "SET statement_timeout = '10s'; SET timezone = 'UTC'; SET jit = off; SET enable_hashjoin = off;"
            "SET enable_mergejoin = off; SET work_mem = '8MB'");
    if (status != PG_OK) pg_close(pg);
    return status == PG_OK ? PG_OK : PG_FAILED;
}

// Postgres is well, but this query is not for it.
static bool took_too_long(pg_t *pg, pg_status_t status)
{
    static const char cancelled[] = "57014 ";
    if (status != PG_FAILED || strncmp(pg_reason(pg), cancelled, sizeof cancelled - 1)) return false;
    pg_set_reason(pg, "it takes more than 10 s: narrow it down by template, source or since");
    return true;
}

static pg_status_t read_rows(pg_t *pg, const page_query_t *q, uint64_t horizon, const int64_t *template_id,
                             const int64_t *source, page_row_fn *row, void *context, page_end_t *end)
{
    statement_t *st = xcalloc(1, sizeof *st);
    buf_init(&st->sql, MAX_SQL);
    build(st, q, horizon, template_id, source);
    PGresult *r = NULL;
    pg_status_t status = pg_query(pg, buf_cstr(&st->sql), st->n, st->values, NULL, NULL, &r);
    buf_free(&st->sql);
    free(st);
    if (took_too_long(pg, status)) status = PG_REFUSED;
    if (status != PG_OK) return status;
    end->rows = (size_t)PQntuples(r);
    int64_t found = end->rows ? cell_i64(r, 0, 3) : 0;
    for (int i = 0; i < PQntuples(r); i++) hand_over(r, i, row, context, &end->next);
    end->more = found == q->rows || (int64_t)end->rows < found;
    PQclear(r);
    return PG_OK;
}

pg_status_t page_read(pg_t *pg, const page_query_t *q, page_row_fn *row, void *context, page_end_t *end)
{
    uint64_t horizon, begun;
    int64_t template_id = 0, source = 0;
    bool found = true;
    pg_status_t status = read_horizon(pg, &horizon, &begun);
    if (status == PG_OK && q->from && q->from->tx > begun) {
        pg_set_reason(pg, "the cursor is ahead of the database: was that restored, or is it another one?");
        status = PG_REFUSED;
    }
    if (status == PG_OK && q->template_name)
        status = look_up(pg, "SELECT template_id FROM templates WHERE name = $1", q->template_name,
                         &template_id, &found);
    if (status == PG_OK && q->source && found) status = look_up_source(pg, q->source, &source, &found);
    if (status != PG_OK) return status;
    *end = (page_end_t){.settled = horizon == begun, .next = position_of_tx(horizon)};
    if (found)
        status = read_rows(pg, q, horizon, q->template_name ? &template_id : NULL, q->source ? &source : NULL,
                           row, context, end);
    if (status != PG_OK || end->more || q->newest) return status;
    // once there is no more, it goes on behind all that was readable
    end->next = position_of_tx(horizon);
    if (q->from && position_compare(q->from, &end->next) > 0) end->next = *q->from;
    return PG_OK;
}
