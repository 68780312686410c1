// Outbox: what a step wants to tell a miner is gathered as rows and sent as few ASSIGN and REVOKE messages.
// Rows point into the catalog, so they are flushed before anything of it is freed, and at the end of every
// step.
#include <stdlib.h>
#include <string.h>

#include "broker/state.h"
#include "common/check.h"

enum { DUE_BYTES = 40, SOURCE_BYTES = 80, TEMPLATE_BYTES = 160, REVOKE_CHUNK = 16384 };

// Room for one more row in an array that doubles.
static void *grown(void *rows, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return rows;
    *cap = *cap ? *cap * 2 : 64;
    return xrealloc(rows, *cap * size);
}

static void enqueue(broker_t *b, miner_t *m)
{
    if (m->rows.queued) return;
    m->rows.queued = true;
    m->rows.next = b->outboxes;
    b->outboxes = m;
}

static void flush_revoked(broker_t *b, miner_t *m)
{
    outbox_rows_t *r = &m->rows;
    if (!r->n_revoked) return;
    wire_revoke_t msg = {.epoch = b->epoch,
                         .sources = {r->revoked, r->n_revoked},
                         .reason = r->reason,
                         .number = ++b->revokes};
    broker_send(b, m->peer, WIRE_TYPE_REVOKE, &msg);
    r->n_revoked = 0;
}

static void flush_assigned(broker_t *b, miner_t *m)
{
    outbox_rows_t *r = &m->rows;
    if (!r->n_templates && !r->n_sources && !r->n_dues) return;
    wire_assign_t msg = {.epoch = b->epoch,
                         .slot = (uint64_t)slots_number(&b->slots, r->base),
                         .slot_start = r->base,
                         .starts_in = r->base - b->now};
    msg.templates.v = r->templates, msg.templates.n = r->n_templates;
    msg.sources.v = r->sources, msg.sources.n = r->n_sources;
    msg.dues.v = r->dues, msg.dues.n = r->n_dues;
    broker_send(b, m->peer, WIRE_TYPE_ASSIGN, &msg);
    r->n_templates = r->n_sources = r->n_dues = 0;
    r->bytes = 0;
}

static void add_template(miner_t *m, const listing_t *l)
{
    outbox_rows_t *r = &m->rows;
    r->templates = grown(r->templates, r->n_templates, &r->cap_templates, sizeof *r->templates);
    r->templates[r->n_templates++] =
        (wire_template_t){.id = l->id, .version = l->stamp, .name = l->template->name, .json = l->json};
    r->bytes += TEMPLATE_BYTES + strlen(l->json);
    map_put(&m->templates, l->id, (void *)(uintptr_t)l->stamp);
}

static void add_source(miner_t *m, const source_t *s)
{
    outbox_rows_t *r = &m->rows;
    const validators_t *v = s->validators;
    r->sources = grown(r->sources, r->n_sources, &r->cap_sources, sizeof *r->sources);
    wire_source_t *row = &r->sources[r->n_sources++];
    *row = (wire_source_t){.id = s->id,
                           .template_id = s->listing->id,
                           .url = s->url,
                           .last_ok = s->last_ok,
                           .generation = s->generation};
    r->bytes += SOURCE_BYTES + strlen(s->url);
    if (!v) return;
    row->fetch_url = v->fetch_url;
    row->etag = v->etag;
    row->last_modified = v->last_modified;
    row->body_hash = v->body_hash;
    row->memory = v->memory;
    r->bytes += strlen(v->fetch_url) + strlen(v->etag) + strlen(v->last_modified) + strlen(v->memory);
}

// What a source's first due will add to the message, at most.
static size_t weight(const miner_t *m, const source_t *s)
{
    size_t bytes = DUE_BYTES;
    if ((uintptr_t)map_get(&m->templates, s->listing->id) != s->listing->stamp)
        bytes += TEMPLATE_BYTES + strlen(s->listing->json);
    if (!s->known_to_owner) bytes += SOURCE_BYTES + strlen(s->url) + 2 * MAX_VALIDATOR + MAX_MEMORY;
    return bytes;
}

void outbox_due(broker_t *b, miner_t *m, source_t *s, wire_due_t due, int64_t first)
{
    outbox_rows_t *r = &m->rows;
    enqueue(b, m);
    flush_revoked(b, m); // what is said first goes first
    if (r->bytes && r->bytes + weight(m, s) > ASSIGN_CHUNK) flush_assigned(b, m);
    if (!r->bytes) r->base = slots_number(&b->slots, b->now) * b->config.slot_ms;
    if ((uintptr_t)map_get(&m->templates, s->listing->id) != s->listing->stamp) add_template(m, s->listing);
    if (!s->known_to_owner) add_source(m, s);
    s->known_to_owner = true;
    r->dues = grown(r->dues, r->n_dues, &r->cap_dues, sizeof *r->dues);
    due.source = s->id;
    due.offset = first - r->base;
    if (due.until) due.until -= r->base;
    r->dues[r->n_dues++] = due;
    r->bytes += DUE_BYTES;
}

void outbox_define(broker_t *b, miner_t *m, const source_t *s)
{
    outbox_rows_t *r = &m->rows;
    if (m->phase != MINER_LISTING && m->phase != MINER_LIVE) return;
    enqueue(b, m);
    flush_revoked(b, m);
    if (r->bytes && r->bytes + weight(m, s) + SOURCE_BYTES + strlen(s->url) > ASSIGN_CHUNK)
        flush_assigned(b, m);
    if (!r->bytes) r->base = slots_number(&b->slots, b->now) * b->config.slot_ms;
    if ((uintptr_t)map_get(&m->templates, s->listing->id) != s->listing->stamp) add_template(m, s->listing);
    add_source(m, s);
}

void outbox_hosts(broker_t *b, miner_t *m, const wire_host_t *hosts, size_t n)
{
    int64_t slot = slots_number(&b->slots, b->now);
    wire_assign_t msg = {.epoch = b->epoch,
                         .slot = (uint64_t)slot,
                         .slot_start = slot * b->config.slot_ms,
                         .starts_in = slot * b->config.slot_ms - b->now};
    msg.hosts.v = (wire_host_t *)hosts, msg.hosts.n = n;
    broker_send(b, m->peer, WIRE_TYPE_ASSIGN, &msg);
}

void outbox_revoke(broker_t *b, miner_t *m, uint64_t source, const char *reason)
{
    outbox_rows_t *r = &m->rows;
    if (m->phase != MINER_LISTING && m->phase != MINER_LIVE) return;
    enqueue(b, m);
    flush_assigned(b, m);
    r->revoked = grown(r->revoked, r->n_revoked, &r->cap_revoked, sizeof *r->revoked);
    r->revoked[r->n_revoked++] = source;
    r->reason = reason;
    source_t *s = map_get(&b->catalog.sources, source);
    if (s) jobs_recalled(b, s, m);
    if (r->n_revoked == REVOKE_CHUNK) flush_revoked(b, m);
}

void outbox_flush(broker_t *b)
{
    while (b->outboxes) {
        miner_t *m = b->outboxes;
        b->outboxes = m->rows.next;
        m->rows.queued = false;
        flush_revoked(b, m);
        flush_assigned(b, m);
    }
}

void outbox_drop(broker_t *b, miner_t *m)
{
    outbox_rows_t *r = &m->rows;
    if (!r->queued) return;
    miner_t **at = &b->outboxes;
    while (*at != m) at = &(*at)->rows.next;
    *at = r->next;
    r->queued = false;
    r->n_templates = r->n_sources = r->n_dues = r->n_revoked = 0;
    r->bytes = 0;
}
