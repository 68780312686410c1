// Poll, details: the pages behind new items.
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "miner/detail.h"
#include "miner/poll_state.h"

enum {
    DETAIL_YIELD_MS = 10000, // lists that are due so soon go first: they find what is new
    DETAILS_FOR_MS = 45000,  // later ones are left to the next poll, as with a due that waits: lists go first
};

// The detail page cannot be had and never will be: a row that stands counts as complete, an item that needs
// its page to be let through stays out.
static void settle_without(poll_t *p, uint32_t index)
{
    finding_t *f = &p->findings[index];
    if (definition_is_gated(p->definition)) {
        f->state = FINDING_DONE;
        return;
    }
    item_t nothing = {.key = f->item->key, .content_hash = f->item->content_hash, .published_ms = TIME_NONE};
    f->state = FINDING_ADDED;
    poll_ship(p, index, PART_DETAIL, &nothing);
}

static void settle_failed(poll_t *p, uint32_t index, error_class_t error)
{
    finding_t *f = &p->findings[index];
    log_debug("detail_failed", "source=%016llx error=%s url=\"%s\"", (unsigned long long)p->source->id,
              error_class_name(error), f->item->url ? f->item->url : "");
    if (detail_is_permanent(error) || source_try(p->source, f->hash) >= DETAIL_TRIES) {
        settle_without(p, index);
        return;
    }
    f->state = FINDING_LEFT;
    p->incomplete = true;
}

static void settle_read(poll_t *p, uint32_t index, const document_t *document)
{
    finding_t *f = &p->findings[index];
    item_t page = {.published_ms = TIME_NONE};
    bool drop = false, gated = definition_is_gated(p->definition);
    arena_reset(p->polls->arena);
    int64_t cpu = clock_thread_cpu_us();
    read_status_t status = reader_detail(p->definition->reader, p->polls->arena, document, &page, &drop);
    p->outcome.cpu_us += (uint64_t)(clock_thread_cpu_us() - cpu);
    if (status != READ_OK || drop) {
        settle_without(p, index);
        return;
    }
    item_t whole = page;
    whole.key = f->item->key;
    whole.content_hash = f->item->content_hash;
    if (gated) detail_merge(p->polls->arena, f->item, &page, &whole);
    f->state = FINDING_ADDED;
    poll_ship(p, index, gated ? PART_WHOLE : PART_DETAIL, &whole);
}

static void on_detail(void *owner, const fetch_result_t *result)
{
    task_t *task = owner;
    poll_t *p = task->poll;
    uint32_t index = (uint32_t)task->finding;
    poll_task_end(task);
    task->finding = TASK_FREE;
    p->following--;
    if (result->error == ERR_none && result->status != 304)
        settle_read(p, index, &(document_t){result->body, result->len, result->content_type, result->url});
    else
        settle_failed(p, index, result->error == ERR_none ? ERR_http_4xx : result->error);
    poll_advance(p);
}

static task_t *free_task(poll_t *p)
{
    if (!p->details) {
        p->details = xcalloc(DETAILS_AT_ONCE, sizeof *p->details);
        for (int i = 0; i < DETAILS_AT_ONCE; i++) p->details[i] = (task_t){.poll = p, .finding = TASK_FREE};
    }
    task_t *task = p->details;
    while (task->finding != TASK_FREE) task++;
    return task;
}

static void start(polite_ticket_t *ticket)
{
    task_t *task = (task_t *)ticket;
    poll_t *p = task->poll;
    const template_t *t = p->definition->template;
    fetch_request_t request = {.url = detail_url(p->arena, t->follow, p->findings[task->finding].item),
                               .headers = t->headers,
                               .n_headers = t->n_headers,
                               .timeout_ms = t->timeout_ms};
    fetch_start(p->polls->fetch, &request, on_detail, task);
}

// The host must not be asked now: the page is left to the next poll.
static void turn_away(polite_ticket_t *ticket)
{
    task_t *task = (task_t *)ticket;
    poll_t *p = task->poll;
    p->findings[task->finding].state = FINDING_LEFT;
    p->incomplete = true;
    task->finding = TASK_FREE;
    p->following--;
    poll_advance(p);
}

static void follow(poll_t *p, uint32_t index, const char *url)
{
    const template_t *t = p->definition->template;
    task_t *task = free_task(p);
    task->finding = index;
    task->ticket.start = start;
    task->ticket.turn_away = turn_away;
    task->ticket.concurrency = t->host_concurrency;
    task->ticket.gap = t->host_gap_ms;
    p->following++;
    p->findings[index].state = FINDING_FETCHED;
    int64_t now = clock_mono_ms();
    polite_enter(p->polls->polite, &task->ticket, polite_host(url), now + DETAIL_YIELD_MS, now);
}

bool poll_detail_advance(poll_t *p)
{
    uint32_t i = p->next_wanted;
    while (i < p->n_findings && p->findings[i].state != FINDING_WANTED) i++;
    p->next_wanted = i;
    if (i == p->n_findings) return false;
    const char *url = detail_url(p->arena, p->definition->template->follow, p->findings[i].item);
    int64_t now = clock_mono_ms();
    if (!url) {
        settle_without(p, i);
    } else if (p->hurry || now - p->began > DETAILS_FOR_MS ||
               polite_is_backed_off(p->polls->polite, polite_host(url), now)) {
        p->findings[i].state = FINDING_LEFT;
        p->incomplete = true;
    } else {
        follow(p, i, url);
    }
    return true;
}
