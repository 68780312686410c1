// Message: allocation and release.
#include "miner/message.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/check.h"

message_t *message_new(message_type_t type, unsigned worker)
{
    message_t *m = xcalloc(1, sizeof *m);
    m->type = type;
    m->worker = worker;
    return m;
}

void message_free(void *message)
{
    message_t *m = message;
    if (!m) return;
    switch (m->type) {
    case MESSAGE_REVOKE:
    case MESSAGE_REVOKED:
    case MESSAGE_DRAINING:
        free(m->ids.sources);
        free(m->ids.running);
        break;
    case MESSAGE_VERDICTS: free(m->verdicts.verdicts); break;
    case MESSAGE_OUTCOME: free(m->outcome); break;
    case MESSAGE_BATCH: free(m->batch.frame); break;
    case MESSAGE_BACKOFF: free(m->backoff.host); break;
    case MESSAGE_ASSIGN:
    case MESSAGE_HOLDINGS:
    case MESSAGE_CLOCK:
    case MESSAGE_INVENTORY:
    case MESSAGE_DRAIN:
    case MESSAGE_STOP:
    case MESSAGE_DRAINED:
    case MESSAGE_STATS: break;
    }
    arena_destroy(&m->arena);
    free(m);
}

void message_post(queue_t *queue, message_t **messages, size_t n)
{
    const struct timespec a_moment = {0, 1000000};
    for (size_t done = 0; (done += queue_push_all(queue, (void **)messages + done, n - done)) < n;)
        nanosleep(&a_moment, NULL);
}

static const char *put_text(char **at, const char *text)
{
    if (!text || !*text) return "";
    size_t size = strlen(text) + 1;
    char *to = *at;
    memcpy(to, text, size);
    *at += size;
    return to;
}

static size_t text_size(const char *text)
{
    return text && *text ? strlen(text) + 1 : 0;
}

wire_outcome_t *outcome_copy(const wire_outcome_t *from)
{
    size_t texts = text_size(from->etag) + text_size(from->last_modified) + text_size(from->fetch_url) +
                   text_size(from->detail) + text_size(from->memory);
    wire_outcome_t *to = xmalloc(sizeof *to + texts);
    char *at = (char *)(to + 1);
    *to = *from;
    to->etag = put_text(&at, from->etag);
    to->last_modified = put_text(&at, from->last_modified);
    to->fetch_url = put_text(&at, from->fetch_url);
    to->detail = put_text(&at, from->detail);
    to->memory = put_text(&at, from->memory);
    return to;
}
