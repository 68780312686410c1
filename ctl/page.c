// Page: see page.h.
#include "ctl/page.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/check.h"
#include "common/clock.h"
#include "ctl/ctl.h"
#include "miner/read/robots.h"
#include "miner/request.h"
#include "miner/robots_cache.h"

enum { ROBOTS_ARENA = 16 << 20, ROBOTS_TIMEOUT_MS = 10000 };
enum { SAMPLE_EVENTS = 20, SAMPLE_MS = 5000 }; // of a stream

void page_init(page_t *page, const page_options_t *options)
{
    *page = (page_t){.options = *options};
    get_init(&page->get, &(fetch_options_t){.max_document = MAX_DOCUMENT,
                                            .allow_private = options->allow_private,
                                            .user_agent = GET_USER_AGENT,
                                            .proxy = options->proxy,
                                            .no_proxy = options->no_proxy});
    page->jar = fetch_jar_new();
}

void page_free(page_t *page)
{
    fetch_jar_destroy(&page->jar);
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
    if (!get_url(&page->get, at, ROBOTS_TIMEOUT_MS)) return robots_say(&page->get, url, at);
    if (page->get.status >= 400 && page->get.status < 500) return true;
    ctl_refuse("%s: %s, so this host may not be read", at, get_failure(&page->get, failure));
    return false;
}

// One step to url. get: a redirect made a GET of it.
static int ask(page_t *page, const template_t *template, const char *url, const char *home, bool get)
{
    static request_texts_t texts;
    bool foreign = robots_cache_origin(url) != robots_cache_origin(home);
    fetch_request_t request = {.url = url, .foreign = foreign};
    char failure[64];
    if (request_fill(&request, template, page->is_list, page->options.secrets, &texts) != ERR_none)
        return ctl_refuse("%s", texts.why);
    if (get) request.method = request.body = NULL;
    if (template->request.cookies) request.jar = page->jar;
    if (!robots_let(page, template, url)) return -1;
    wait_politely(page, template->host_gap_ms);
    bool stream = template->kind == KIND_STREAM && page->is_list;
    int result = stream ? get_events(&page->get, &request, SAMPLE_EVENTS, SAMPLE_MS)
                        : get_request(&page->get, &request);
    if (result == 0 || page->get.redirect) return 0;
    return ctl_refuse("%s: %s", url, get_failure(&page->get, failure));
}

int page_get(page_t *page, const template_t *template, const char *url, const char *list_url)
{
    char text[MAX_URL + 1], failure[64];
    char *to = xstrdup(list_url ? url : request_url(template, url, text));
    const char *method = template->request.method;
    bool post = !list_url && method && !strcmp(method, "POST"), get = false;
    int result = -1;
    page->is_list = !list_url;
    for (int hops = 0; (result = ask(page, template, to, list_url ? list_url : url, get)) == 0; hops++) {
        if (!page->get.redirect) break;
        if (hops == MAX_REDIRECTS) {
            result = ctl_refuse("%s: %s", url, get_failure(&page->get, failure));
            break;
        }
        get = get || fetch_redirect_is_get(page->get.status, post);
        free(to);
        to = xstrdup(page->get.redirect);
    }
    free(to);
    return result == 0 ? 0 : -1;
}

document_t page_document(const page_t *page, const char *url)
{
    const get_t *got = &page->get;
    return (document_t){.bytes = got->body,
                        .len = got->len,
                        .content_type = got->content_type,
                        .url = got->url ? got->url : url,
                        .fetched = clock_wall_ms()};
}
