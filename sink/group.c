// Group: decoding, deduplication by a hash table over (source, key, lane), sorting. Details have a lane of
// their own, because they complete a row and do not replace it; so have probes, which only ask.
#include "sink/group.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"
#include "sink/clean.h"
#include "sink/copy.h"

group_t *group_new(void)
{
    group_t *g = xcalloc(1, sizeof *g);
    g->arena = arena_new(GROUP_ARENA);
    g->mended_texts = arena_new(GROUP_MENDED);
    return g;
}

void group_destroy(group_t **group)
{
    if (!*group) return;
    arena_destroy(&(*group)->arena);
    arena_destroy(&(*group)->mended_texts);
    free((*group)->staged);
    free(*group);
    *group = NULL;
}

void group_reset(group_t *g)
{
    arena_reset(g->arena);
    arena_reset(g->mended_texts);
    free(g->staged);
    g->staged = NULL;
    g->n_batches = g->bytes = g->n_rows = g->n_staged = g->n_details = g->mended = 0;
}

// -- checking a batch -------------------------------------------------------------------------------

static int by_source_id(const void *a, const void *b)
{
    uint64_t x = ((const wire_sink_source_t *)a)->id, y = ((const wire_sink_source_t *)b)->id;
    return x < y ? -1 : x > y;
}

static int by_template_id(const void *a, const void *b)
{
    uint64_t x = ((const wire_sink_template_t *)a)->id, y = ((const wire_sink_template_t *)b)->id;
    return x < y ? -1 : x > y;
}

const wire_sink_source_t *batch_source(const wire_batch_t *b, uint64_t id)
{
    wire_sink_source_t key = {.id = id};
    return b->sources.n ? bsearch(&key, b->sources.v, b->sources.n, sizeof key, by_source_id) : NULL;
}

const wire_sink_template_t *batch_template(const wire_batch_t *b, uint64_t id)
{
    wire_sink_template_t key = {.id = id};
    return b->templates.n ? bsearch(&key, b->templates.v, b->templates.n, sizeof key, by_template_id) : NULL;
}

static bool storable(int64_t ms)
{
    return ms >= COPY_TIME_MIN && ms <= COPY_TIME_MAX;
}

static void sort_definitions(wire_batch_t *b)
{
    if (b->sources.n) qsort(b->sources.v, b->sources.n, sizeof *b->sources.v, by_source_id);
    if (b->templates.n) qsort(b->templates.v, b->templates.n, sizeof *b->templates.v, by_template_id);
}

const char *group_check_batch(wire_batch_t *b)
{
    sort_definitions(b);
    for (size_t i = 0; i < b->sources.n; i++)
        if (!batch_template(b, b->sources.v[i].template_id))
            return "a source names a template that is not there";
    for (size_t i = 0; i < b->polls.n; i++) {
        const wire_poll_t *p = &b->polls.v[i];
        if (!batch_source(b, p->source)) return "a poll names a source that is not there";
        if (!storable(p->due) || !storable(p->fetched) || !storable(p->absent))
            return "a poll's time is out of range";
        if (p->continuity >= CONTINUITY_COUNT || p->gap_reason >= GAP_COUNT || !storable(p->gap_since) ||
            !storable(p->started))
            return "a poll's proof is unknown";
        if (p->cause > INT16_MAX) return "a poll's cause is out of range";
    }
    for (size_t i = 0; i < b->items.n; i++) {
        if (b->items.v[i].poll >= b->polls.n) return "an item names a poll that is not there";
        if (b->items.v[i].part > PART_WHOLE) return "an item's part is unknown";
        if (!*b->items.v[i].key) return "an item has no key";
    }
    return NULL;
}

// -- adding -----------------------------------------------------------------------------------------

// What a poll has in common for its items.
typedef struct {
    uint64_t template_id;
    bool wants_detail, bump;
} poll_context_t;

bool group_can_hold(const wire_batch_t *b, size_t decoded)
{
    size_t rows = b->items.n * sizeof(row_t) + b->polls.n * sizeof(poll_context_t);
    return decoded + rows + 64 <= GROUP_ARENA;
}

static void poll_contexts(poll_context_t *contexts, const wire_batch_t *b, const job_t *job, moves_t *moves,
                          bool bump)
{
    for (size_t i = 0; i < b->polls.n; i++) {
        const wire_poll_t *p = &b->polls.v[i];
        const wire_sink_source_t *source = batch_source(b, p->source);
        const wire_sink_template_t *t = batch_template(b, source->template_id);
        bool moved = job->session == 0 || moves_note(moves, p->source, job->session, p->due);
        contexts[i] = (poll_context_t){source->template_id, t->has_detail, bump || moved || p->again};
    }
}

static void init_row(row_t *row, arena_t *mended, const wire_batch_t *b, size_t i,
                     const poll_context_t *contexts)
{
    const wire_item_t *item = &b->items.v[i];
    const wire_poll_t *poll = &b->polls.v[item->poll];
    const poll_context_t *context = &contexts[item->poll];
    *row = (row_t){.batch = b,
                   .item = item,
                   .poll = poll,
                   .source = poll->source,
                   .template_id = context->template_id,
                   .published = item->published,
                   .first_seen = poll->fetched ? poll->fetched : poll->due,
                   .absent = poll->absent ? poll->absent : TIME_NONE,
                   .oldest_due = poll->due,
                   .backfill = poll->backfill,
                   .wants_detail = context->wants_detail,
                   .bump = context->bump,
                   .part = (uint8_t)item->part};
    row->key_len = strlen(item->key);
    row->key = clean_text(mended, item->key, &row->key_len);
    if (!row->key) row->key = "", row->key_len = 0;
}

int group_add(group_t *g, const job_t *job, moves_t *moves, bool bump)
{
    wire_type_t type;
    void *message;
    const char *why;
    if (g->n_batches == GROUP_BATCHES || (g->n_batches && g->bytes + job->len > GROUP_BYTES)) return -1;
    if (wire_decode(g->arena, job->frame, job->len, &type, &message, &why)) return -1;
    wire_batch_t *b = message;
    sort_definitions(b);
    row_t *rows = arena_alloc(g->arena, b->items.n * sizeof *rows);
    poll_context_t *contexts = arena_alloc(g->arena, b->polls.n * sizeof *contexts);
    if (!rows || !contexts) return -1;
    poll_contexts(contexts, b, job, moves, bump);
    for (size_t i = 0; job->session == 0 && i < b->polls.n; i++)
        if (b->polls.v[i].cause == CAUSE_scheduled) b->polls.v[i].cause = CAUSE_SPOOLED;
    for (size_t i = 0; i < b->items.n; i++) init_row(&rows[i], g->mended_texts, b, i, contexts);
    g->batches[g->n_batches++] = (group_batch_t){job, b, rows};
    g->bytes += job->len;
    g->n_rows += b->items.n;
    return 0;
}

// -- deduplication ----------------------------------------------------------------------------------

// Rows of one lane compete; list and whole are two forms of the same.
static int lane(const row_t *row)
{
    return row->part == PART_WHOLE ? PART_LIST : row->part;
}

static bool same_key(const row_t *a, const row_t *b)
{
    return a->source == b->source && lane(a) == lane(b) && a->key_len == b->key_len &&
           !memcmp(a->key, b->key, a->key_len);
}

// winner takes over what loser knew of the post's first appearance.
static void merge_sighting(row_t *winner, const row_t *loser)
{
    bool older = loser->oldest_due < winner->oldest_due;
    if (loser->first_seen < winner->first_seen) winner->first_seen = loser->first_seen;
    if (older ? loser->absent == TIME_NONE : winner->absent == TIME_NONE)
        winner->absent = TIME_NONE;
    else if (winner->absent == TIME_NONE || (loser->absent != TIME_NONE && loser->absent < winner->absent))
        winner->absent = loser->absent;
    if (winner->absent >= winner->first_seen) winner->absent = TIME_NONE;
    if (older) {
        winner->oldest_due = loser->oldest_due;
        winner->backfill = loser->backfill;
    }
    winner->bump |= loser->bump;
}

int64_t row_fetched(const row_t *row)
{
    return row->poll->fetched ? row->poll->fetched : row->poll->due;
}

// Of a newer poll; or of the same due, which another miner polled again, as the first was silent, and later.
static bool is_newer(const row_t *row, int64_t due, int64_t fetched)
{
    return row->poll->due != due ? row->poll->due > due : row_fetched(row) > fetched;
}

// Of two rows of one key: the newer one, and of the same poll the one that came first.
static row_t *settle(row_t *first, row_t *second)
{
    row_t *winner = is_newer(second, first->poll->due, row_fetched(first)) ? second : first;
    row_t *loser = winner == first ? second : first;
    loser->winner = winner;
    loser->verdict = loser->part == PART_DETAIL || loser->item->content_hash == winner->item->content_hash
                         ? VERDICT_known
                         : VERDICT_older;
    merge_sighting(winner, loser);
    return winner;
}

static uint64_t row_hash(const row_t *row)
{
    return XXH3_64bits_withSeed(row->key, row->key_len, row->source + (uint64_t)lane(row));
}

// Marks beaten rows; returns how many are left.
static size_t deduplicate(group_t *g)
{
    size_t cap = 64, left = 0;
    while (cap < g->n_rows * 2) cap *= 2;
    row_t **table = xcalloc(cap, sizeof *table);
    for (size_t b = 0; b < g->n_batches; b++)
        for (size_t i = 0; i < g->batches[b].batch->items.n; i++) {
            row_t *row = &g->batches[b].rows[i];
            size_t at = row_hash(row) & (cap - 1);
            while (table[at] && !same_key(table[at], row)) at = (at + 1) & (cap - 1);
            left += !table[at];
            table[at] = table[at] && row->part != PART_PROBE ? settle(table[at], row) : row;
        }
    free(table);
    return left;
}

static int by_key(const void *a, const void *b)
{
    const row_t *x = *(row_t *const *)a, *y = *(row_t *const *)b;
    int later = (x->part == PART_DETAIL) - (y->part == PART_DETAIL);
    if (later) return later;
    if (x->source != y->source) return (int64_t)x->source < (int64_t)y->source ? -1 : 1;
    int order = memcmp(x->key, y->key, x->key_len < y->key_len ? x->key_len : y->key_len);
    if (order) return order;
    if (x->key_len != y->key_len) return x->key_len < y->key_len ? -1 : 1;
    return lane(x) - lane(y);
}

// -- cleaning ---------------------------------------------------------------------------------------

static void clean_row(group_t *g, row_t *row)
{
    const wire_item_t *it = row->item;
    const char *texts[] = {it->url, it->title, it->author, it->summary, it->content, it->image, it->url_norm};
    const int64_t *far = NULL;
    bool lost = false;
    for (int i = 0; i < TEXT_FIELDS; i++) {
        row->len[i] = strlen(texts[i]);
        row->text[i] = row->len[i] ? clean_text(g->mended_texts, texts[i], &row->len[i]) : NULL;
    }
    if (row->published != TIME_NONE && !storable(row->published)) {
        far = &it->published;
        row->published = TIME_NONE;
    }
    row->len[TEXT_FIELDS] = strlen(it->fields);
    row->text[TEXT_FIELDS] = clean_fields(g->mended_texts, it->fields, &row->len[TEXT_FIELDS], far, &lost);
    g->mended += lost;
}

void group_seal(group_t *g)
{
    size_t left = deduplicate(g);
    g->staged = xmalloc((g->n_rows + 1) * sizeof(row_t *));
    for (size_t b = 0; b < g->n_batches; b++)
        for (size_t i = 0; i < g->batches[b].batch->items.n; i++) {
            row_t *row = &g->batches[b].rows[i];
            if (row->winner) continue;
            if (row->part != PART_PROBE) clean_row(g, row);
            g->staged[g->n_staged++] = row;
        }
    CHECK(g->n_staged >= left);
    qsort(g->staged, g->n_staged, sizeof(row_t *), by_key);
    g->n_details = 0;
    while (g->n_details < g->n_staged && g->staged[g->n_staged - 1 - g->n_details]->part == PART_DETAIL)
        g->n_details++;
}

void group_guess_verdicts(group_batch_t *b)
{
    static const uint8_t guess[] = {[PART_LIST] = VERDICT_new,
                                    [PART_DETAIL] = VERDICT_known,
                                    [PART_PROBE] = VERDICT_lacks_detail,
                                    [PART_WHOLE] = VERDICT_new};
    for (size_t i = 0; i < b->batch->items.n; i++) b->rows[i].verdict = guess[b->rows[i].part];
}

// -- judging ----------------------------------------------------------------------------------------

// Whether row tells something of the post's first appearance that stored lacks.
static bool seen_earlier(const row_t *row, const stored_row_t *stored)
{
    if (row->first_seen < stored->first_seen) return true;
    if (row->absent == TIME_NONE) return false;
    return stored->absent == TIME_NONE ? row->poll->due < stored->due : row->absent < stored->absent;
}

bool row_judge(row_t *row, const stored_row_t *stored)
{
    bool probe = row->part == PART_PROBE, whole = row->part == PART_WHOLE;
    if (!stored) {
        row->verdict = probe ? VERDICT_lacks_detail : VERDICT_new;
        return !probe;
    }
    bool same = row->item->content_hash == stored->content_hash;
    bool newer = same ? row->poll->due > stored->due : is_newer(row, stored->due, stored->fetched);
    bool lacking = row->wants_detail && !stored->complete;
    if (probe || same)
        row->verdict = lacking && !whole ? VERDICT_lacks_detail : VERDICT_known;
    else
        row->verdict = newer ? VERDICT_changed : VERDICT_older;
    if (probe) return false;
    return (newer && (!same || row->bump)) || seen_earlier(row, stored) || (whole && !stored->complete);
}
