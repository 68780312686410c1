// Poll, details: the pages behind new items.
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "miner/detail.h"
#include "miner/poll_state.h"
#include "miner/rot.h"

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
    poll_leave(p, f);
}

static void settle_bare(poll_t *p, finding_t *f)
{
    f->state = FINDING_BARE;
    p->bare_pages++;
}

// Not there yet, perhaps: an API may list what it can't show for a moment.
static void settle_empty(poll_t *p, uint32_t index)
{
    finding_t *f = &p->findings[index];
    if (source_try(p->source, f->hash) < DETAIL_TRIES)
        poll_leave(p, f);
    else
        settle_bare(p, f);
}

static void settle_read(poll_t *p, uint32_t index, const fetch_result_t *result)
{
    finding_t *f = &p->findings[index];
    document_t document = poll_document(p, result);
    item_t page = {.published_ms = TIME_NONE};
    bool drop = false, gated = definition_is_gated(p->definition);
    arena_reset(p->polls->arena);
    int64_t cpu = clock_thread_cpu_us();
    watch_begin(p->polls->options.watch, &p->outcome, p->definition->name, document.url);
    read_status_t status = reader_detail(p->definition->reader, p->polls->arena, &document, &page, &drop);
    watch_end(p->polls->options.watch);
    p->outcome.cpu_us += (uint64_t)(clock_thread_cpu_us() - cpu);
    if (status == READ_EMPTY_BODY) {
        settle_empty(p, index);
        return;
    }
    if (status == READ_OK && rot_page_is_bare(p->definition->template, &page)) {
        settle_bare(p, f);
        return;
    }
    p->good_pages += status == READ_OK;
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

static void on_detail(visit_t *visit, const fetch_result_t *result, bool moved)
{
    task_t *task = (task_t *)visit;
    poll_t *p = task->poll;
    uint32_t index = (uint32_t)task->finding;
    (void)moved;
    task->finding = TASK_FREE;
    p->following--;
    if (result->error == ERR_host_backoff)
        poll_leave(p, &p->findings[index]);
    else if (result->error == ERR_none && result->status != 304)
        settle_read(p, index, result);
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

static error_class_t on_start(visit_t *visit, fetch_request_t *request)
{
    return poll_request((task_t *)visit, request);
}

static void follow(poll_t *p, uint32_t index, const char *url)
{
    static const visit_ops_t ops = {on_start, on_detail, false};
    task_t *task = free_task(p);
    task->finding = index;
    p->following++;
    p->findings[index].state = FINDING_FETCHED;
    gate_enter(p->polls->gate, &task->visit, &ops, url, p->source->url, p->definition->template,
               p->due.priority, clock_mono_ms() + DETAIL_YIELD_MS);
}

bool poll_detail_advance(poll_t *p)
{
    uint32_t i = p->next_wanted;
    while (i < p->n_findings && p->findings[i].state != FINDING_WANTED) i++;
    p->next_wanted = i;
    if (i == p->n_findings) return false;
    const char *url = detail_url(p->arena, p->definition->template->follow, p->findings[i].item);
    if (!url)
        settle_without(p, i);
    else if (p->hurry || clock_mono_ms() - p->listed > DETAILS_FOR_MS ||
             gate_is_backed_off(p->polls->gate, url))
        poll_leave(p, &p->findings[i]);
    else
        follow(p, i, url);
    return true;
}

void poll_detail_settle(poll_t *p)
{
    char why[MAX_DETAIL + 1];
    uint32_t bare = p->bare_pages;
    if (p->good_pages + bare == 0 || p->list.error) return;
    bool rotted = rot_judge_pages(&p->list.memory, p->good_pages, bare, why, sizeof why);
    for (uint32_t i = 0; bare && i < p->n_findings; i++) {
        if (p->findings[i].state != FINDING_BARE) continue;
        if (rotted)
            poll_leave(p, &p->findings[i]);
        else
            settle_without(p, i);
    }
    if (rotted) {
        p->list.error = ERR_rotted;
        p->list.detail = xstrdup(why);
    } else
        rot_learn_pages(&p->list.memory, p->good_pages, bare);
    p->good_pages = p->bare_pages = 0;
}
