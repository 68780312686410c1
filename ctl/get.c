// Get: starts a transfer and waits until it is done.
#include "ctl/get.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"

enum { WAIT_MS = 1000 };

void get_init(get_t *get, const fetch_options_t *options)
{
    fetch_global_init();
    *get = (get_t){.fetch = fetch_new(options, -1)};
}

static void forget(get_t *get)
{
    free(get->body);
    free(get->content_type);
    free(get->url);
    free(get->redirect);
    *get = (get_t){.fetch = get->fetch};
}

void get_free(get_t *get)
{
    if (!get->fetch) return;
    forget(get);
    fetch_destroy(&get->fetch);
    fetch_global_cleanup();
}

static void done(void *owner, const fetch_result_t *result)
{
    get_t *get = owner;
    get->error = result->error;
    get->status = result->status;
    get->len = result->len;
    get->body = xstrndup(result->body ? result->body : "", result->body ? result->len : 0);
    get->content_type = result->content_type ? xstrdup(result->content_type) : NULL;
    get->url = result->url ? xstrdup(result->url) : NULL;
    get->redirect = result->redirect ? xstrdup(result->redirect) : NULL;
}

int get_request(get_t *get, const fetch_request_t *request)
{
    int64_t start = clock_mono_ms();
    forget(get);
    fetch_start(get->fetch, request, done, get);
    while (fetch_running(get->fetch)) fetch_wait(get->fetch, WAIT_MS);
    get->took_ms = clock_mono_ms() - start;
    return get->error == ERR_none && get->status != 304 ? 0 : -1;
}

int get_url(get_t *get, const char *url, int64_t timeout_ms)
{
    char *to = xstrdup(url);
    int result = -1;
    for (int hops = 0; hops <= MAX_REDIRECTS; hops++) {
        result = get_request(get, &(fetch_request_t){.url = to, .timeout_ms = timeout_ms});
        if (!get->redirect) break;
        free(to);
        to = xstrdup(get->redirect);
    }
    free(to);
    return result;
}

const char *get_failure(const get_t *get, char out[64])
{
    if (get->status)
        snprintf(out, 64, "%.40s (HTTP %ld)", error_class_name(get->error), get->status);
    else
        snprintf(out, 64, "%.40s%s", error_class_name(get->error),
                 get->error == ERR_refused_address ? " (--allow-private)" : "");
    return out;
}
