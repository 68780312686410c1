// Page: see page.h.
#include "ctl/page.h"

#include <time.h>

#include "common/clock.h"
#include "ctl/ctl.h"
#include "miner/read/robots.h"
#include "miner/robots_cache.h"

enum { ROBOTS_ARENA = 16 << 20, ROBOTS_TIMEOUT_MS = 10000 };

void page_init(page_t *page, bool allow_private)
{
    *page = (page_t){.next_ms = 0};
    get_init(&page->get, MAX_DOCUMENT, allow_private);
}

void page_free(page_t *page)
{
    get_free(&page->get);
}

static void wait_politely(page_t *page, int64_t gap_ms)
{
    int64_t left = page->next_ms - clock_mono_ms();
    if (left > 0) {
        struct timespec pause = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
        nanosleep(&pause, NULL);
    }
    page->next_ms = clock_mono_ms() + gap_ms;
}

static bool robots_say(const get_t *got, const char *url, const char *at)
{
    arena_t *arena = arena_new(ROBOTS_ARENA);
    robots_t *robots = robots_parse(arena, got->body, got->len);
    int line = 0;
    bool let = robots && robots_allowed(robots, GET_USER_AGENT, url, &line);
    arena_destroy(&arena);
    if (!let) ctl_refuse("%s: line %d of %s forbids it", url, line, at);
    return let;
}

// Whether the host lets url be fetched (RFC 9309): a robots.txt that is missing allows, one that cannot be
// had forbids.
static bool robots_let(page_t *page, const template_t *template, const char *url)
{
    char at[MAX_URL], failure[64];
    if (template->ignore_robots) return true;
    if (robots_cache_url(url, at)) return false;
    if (!get_url(&page->get, at, NULL, 0, ROBOTS_TIMEOUT_MS)) return robots_say(&page->get, url, at);
    if (page->get.status >= 400 && page->get.status < 500) return true;
    ctl_refuse("%s: %s, so this host may not be read", at, get_failure(&page->get, failure));
    return false;
}

int page_get(page_t *page, const template_t *template, const char *url)
{
    char failure[64];
    if (!robots_let(page, template, url)) return -1;
    wait_politely(page, template->host_gap_ms);
    if (!get_url(&page->get, url, template->headers, template->n_headers, template->timeout_ms)) return 0;
    ctl_refuse("%s: %s", url, get_failure(&page->get, failure));
    return -1;
}

document_t page_document(const page_t *page, const char *url)
{
    const get_t *got = &page->get;
    return (document_t){.bytes = got->body,
                        .len = got->len,
                        .content_type = got->content_type,
                        .url = got->url ? got->url : url};
}
