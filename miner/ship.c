// Ship: one open batch and a list of those on their way.
#include "miner/ship.h"

#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/check.h"

enum {
    BATCH_ARENA = 2 * MAX_BATCH_MESSAGE,
    SEQ_OFFSET = 13, // of the number's 8 bytes: array, "BATCH", map, "seq", uint64
};

typedef struct {
    void *owner;
    uint32_t index;
} entry_t;

// A batch on its way: whose items it holds, in order.
typedef struct sent {
    uint64_t token;
    entry_t *entries;
    size_t n, n_items; // entries; the first of them are the items'
    struct sent *next;
} sent_t;

// Rows that grow by doubling.
typedef struct {
    void *v;
    size_t n, cap;
} rows_t;

struct ship {
    ship_send_fn *send;
    void *context;
    arena_t *arena;                                   // texts of the open batch
    rows_t templates, sources, polls, items, entries; // entries: one an item
    rows_t proofs;                                    // owners of polls that were added without an item
    size_t bytes;                                     // about what the open batch takes when encoded
    int64_t opened;                                   // monotonic ms
    uint64_t tokens;                                  // given so far
    sent_t *oldest, *newest;
};

ship_t *ship_new(ship_send_fn *send, void *context)
{
    ship_t *s = xcalloc(1, sizeof *s);
    s->send = send;
    s->context = context;
    s->arena = arena_new(BATCH_ARENA);
    return s;
}

static void sent_free(sent_t *sent)
{
    free(sent->entries);
    free(sent);
}

void ship_destroy(ship_t **ship)
{
    ship_t *s = *ship;
    if (!s) return;
    for (sent_t *b = s->oldest, *next; b; b = next) {
        next = b->next;
        sent_free(b);
    }
    free(s->templates.v);
    free(s->sources.v);
    free(s->polls.v);
    free(s->items.v);
    free(s->entries.v);
    free(s->proofs.v);
    arena_destroy(&s->arena);
    free(s);
    *ship = NULL;
}

// -- adding ---------------------------------------------------------------------------------------

static void *add_row(rows_t *rows, size_t size)
{
    if (rows->n == rows->cap) {
        rows->cap = rows->cap ? rows->cap * 2 : 8;
        rows->v = xrealloc(rows->v, rows->cap * size);
    }
    return (char *)rows->v + rows->n++ * size;
}

// A copy of at most max bytes, cut between two characters.
static const char *copy_text(ship_t *s, const char *text, size_t max)
{
    if (!text || !*text) return "";
    size_t len = strlen(text);
    if (len > max)
        for (len = max; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;) len--;
    char *copy = arena_strndup(s->arena, text, len);
    CHECK(copy != NULL); // a batch is closed long before the arena is full
    return copy;
}

// For texts that mean something else when cut.
static const char *copy_whole(ship_t *s, const char *text, size_t max)
{
    return text && strlen(text) > max ? "" : copy_text(s, text, max);
}

static void add_template(ship_t *s, const wire_sink_template_t *template)
{
    const wire_sink_template_t *known = s->templates.v;
    for (size_t i = 0; i < s->templates.n; i++)
        if (known[i].id == template->id) return;
    wire_sink_template_t *row = add_row(&s->templates, sizeof *row);
    *row = *template;
    row->name = copy_text(s, template->name, MAX_NAME);
    s->bytes += 32 + strlen(row->name);
}

static void add_source(ship_t *s, const wire_sink_source_t *source)
{
    const wire_sink_source_t *known = s->sources.v;
    for (size_t i = s->sources.n; i-- > 0;)
        if (known[i].id == source->id) return;
    wire_sink_source_t *row = add_row(&s->sources, sizeof *row);
    *row = *source;
    row->url = copy_text(s, source->url, MAX_URL);
    s->bytes += 24 + strlen(row->url);
}

// Its number in the batch.
static uint64_t add_poll(ship_t *s, const wire_poll_t *poll)
{
    const wire_poll_t *known = s->polls.v;
    for (size_t i = s->polls.n; i-- > 0;)
        if (known[i].source == poll->source && known[i].due == poll->due &&
            known[i].fetched == poll->fetched && known[i].absent == poll->absent &&
            known[i].backfill == poll->backfill && known[i].continuity == poll->continuity &&
            known[i].again == poll->again)
            return i;
    wire_poll_t *row = add_row(&s->polls, sizeof *row);
    *row = *poll;
    s->bytes += 84;
    return s->polls.n - 1;
}

static void add_item(ship_t *s, const wire_item_t *item, uint64_t poll)
{
    wire_item_t *row = add_row(&s->items, sizeof *row);
    *row = *item;
    row->poll = poll;
    row->key = copy_text(s, item->key, MAX_KEY);
    row->url = copy_whole(s, item->url, MAX_URL);
    row->title = copy_text(s, item->title, MAX_TITLE);
    row->author = copy_text(s, item->author, MAX_TITLE);
    row->summary = copy_text(s, item->summary, MAX_SUMMARY);
    row->content = copy_text(s, item->content, MAX_CONTENT);
    row->image = copy_whole(s, item->image, MAX_URL);
    row->fields = copy_whole(s, item->fields, MAX_FIELDS_JSON);
    row->url_norm = copy_whole(s, item->url_norm, MAX_URL);
    s->bytes += wire_item_size(row);
}

// -- closing --------------------------------------------------------------------------------------

static void remember(ship_t *s, uint64_t token)
{
    sent_t *b = xcalloc(1, sizeof *b);
    b->token = token;
    b->n_items = s->entries.n;
    b->n = s->entries.n + s->proofs.n;
    b->entries = xmalloc(b->n * sizeof(entry_t));
    if (s->entries.n) memcpy(b->entries, s->entries.v, s->entries.n * sizeof(entry_t));
    if (s->proofs.n) memcpy(b->entries + s->entries.n, s->proofs.v, s->proofs.n * sizeof(entry_t));
    if (s->newest)
        s->newest->next = b;
    else
        s->oldest = b;
    s->newest = b;
}

static void close_batch(ship_t *s)
{
    wire_batch_t batch = {.seq = UINT64_MAX};
    batch.templates.v = s->templates.v, batch.templates.n = s->templates.n;
    batch.sources.v = s->sources.v, batch.sources.n = s->sources.n;
    batch.polls.v = s->polls.v, batch.polls.n = s->polls.n;
    batch.items.v = s->items.v, batch.items.n = s->items.n;
    buf_t frame;
    buf_init(&frame, MAX_BATCH_MESSAGE);
    CHECK(buf_reserve(&frame, s->bytes) == 0);
    CHECK(wire_encode(&frame, WIRE_TYPE_BATCH, &batch) == 0);
    uint64_t token = ++s->tokens;
    remember(s, token);
    s->templates.n = s->sources.n = s->polls.n = s->items.n = s->entries.n = s->proofs.n = 0;
    s->bytes = 0;
    arena_reset(s->arena);
    s->send(s->context, token, frame.data, frame.len);
}

void ship_add(ship_t *s, int64_t now, const wire_sink_template_t *template, const wire_sink_source_t *source,
              const wire_poll_t *poll, const wire_item_t *item, void *owner, uint32_t index)
{
    if (s->polls.n == 0) s->opened = now;
    add_template(s, template);
    add_source(s, source);
    add_item(s, item, add_poll(s, poll));
    *(entry_t *)add_row(&s->entries, sizeof(entry_t)) = (entry_t){owner, index};
    if (s->bytes >= BATCH_TARGET) close_batch(s);
}

void ship_add_poll(ship_t *s, int64_t now, const wire_sink_template_t *template,
                   const wire_sink_source_t *source, const wire_poll_t *poll, void *owner)
{
    if (s->polls.n == 0) s->opened = now;
    add_template(s, template);
    add_source(s, source);
    (void)add_poll(s, poll);
    *(entry_t *)add_row(&s->proofs, sizeof(entry_t)) = (entry_t){owner, SHIP_POLL};
    if (s->bytes >= BATCH_TARGET) close_batch(s);
}

int64_t ship_deadline(const ship_t *s)
{
    return s->polls.n ? s->opened + BATCH_LINGER_MS : INT64_MAX;
}

void ship_tick(ship_t *s, int64_t now)
{
    if (now >= ship_deadline(s)) close_batch(s);
}

void ship_number(char *frame, size_t len, uint64_t seq)
{
    CHECK(len > SEQ_OFFSET + 8 && (unsigned char)frame[SEQ_OFFSET - 1] == 0xcf);
    for (int i = 7; i >= 0; i--, seq >>= 8) frame[SEQ_OFFSET + i] = (char)(seq & 0xff);
}

// -- verdicts -------------------------------------------------------------------------------------

static sent_t *take_sent(ship_t *s, uint64_t token)
{
    sent_t *before = NULL;
    for (sent_t *b = s->oldest; b; before = b, b = b->next) {
        if (b->token != token) continue;
        if (before)
            before->next = b->next;
        else
            s->oldest = b->next;
        if (s->newest == b) s->newest = before;
        return b;
    }
    return NULL;
}

void ship_verdicts(ship_t *s, uint64_t token, const uint8_t *verdicts, size_t n, ship_verdict_fn *tell)
{
    sent_t *b = take_sent(s, token);
    if (!b) return;
    for (size_t i = 0; i < b->n; i++) {
        wire_verdict_t verdict = i < n && verdicts[i] < VERDICT_COUNT ? verdicts[i] : VERDICT_lacks_detail;
        if (i >= b->n_items) verdict = VERDICT_known;
        tell(b->entries[i].owner, b->entries[i].index, verdict);
    }
    sent_free(b);
}
