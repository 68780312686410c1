// Get: starts a transfer and waits until it is done.
#include "ctl/get.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"

enum { WAIT_MS = 1000 };

void get_init(get_t *get, size_t max, bool allow_private)
{
    fetch_options_t options = {
        .max_document = max, .allow_private = allow_private, .user_agent = GET_USER_AGENT};
    fetch_global_init();
    *get = (get_t){.fetch = fetch_new(&options, -1)};
}

static void forget(get_t *get)
{
    free(get->body);
    free(get->content_type);
    free(get->url);
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
}

int get_url(get_t *get, const char *url, const char **headers, size_t n_headers, int64_t timeout_ms)
{
    fetch_request_t request = {
        .url = url, .headers = headers, .n_headers = n_headers, .timeout_ms = timeout_ms};
    int64_t start = clock_mono_ms();
    forget(get);
    fetch_start(get->fetch, &request, done, get);
    while (fetch_running(get->fetch)) fetch_wait(get->fetch, WAIT_MS);
    get->took_ms = clock_mono_ms() - start;
    return get->error == ERR_none && get->status != 304 ? 0 : -1;
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
