// needs: miner miner/read proto common
// bench-miner URL CONCURRENCY SECONDS [unchanged]: pages a second of one real worker thread, from the
// assignment to the batches that it hands to the link. The link is this program's main thread: it assigns
// sources (each is polled once, so that all its items are new), takes batches and outcomes from the queue,
// and answers each batch as a sink would. No ZeroMQ. unchanged: the same few sources are polled over and
// over, with validators, and nothing changes.
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "miner/fetch.h"
#include "miner/message.h"
#include "miner/worker.h"

enum { CHUNK = 256, SOURCES = 1024, INBOX = 1 << 16 };

static const char template_json[] =
    "{\"name\": \"hacker-news\", \"kind\": \"html\", \"urls\": [\"https://news.ycombinator.com/\"],"
    "\"items\": \"tr.athing\", \"key\": \"::attr(id)\", \"order\": \"ranked\", \"fields\": {"
    "\"title\": \"span.titleline > a::text\", \"url\": \"span.titleline > a::attr(href)\","
    "\"points\": {\"select\": \"+ tr .score::text\", \"match\": \"(\\\\d+)\", \"type\": \"integer\"}},"
    "\"politeness\": {\"concurrency\": 64, \"gap\": \"0ms\"}}";

typedef struct {
    worker_t *worker;
    homes_t homes;
    queue_t *inbox;
    const char *url;
    uint64_t assigned, polled, stored, items, failed;
    unsigned long cpu_us;
    bool unchanged;
    uint64_t ready[SOURCES]; // unchanged: to be polled again
    size_t n_ready;
} bench_t;

static void push(bench_t *b, message_t *m)
{
    CHECK(queue_push(worker_inbox(b->worker), m) == 0);
}

// n more sources, due at once.
static void assign(bench_t *b, size_t n)
{
    message_t *m = message_new(MESSAGE_ASSIGN, 0);
    wire_assign_t *a = &m->assign.wire;
    m->arena = arena_new(4 << 20);
    m->assign.start = clock_mono_ms();
    a->slot_start = clock_wall_ms();
    a->templates.v = arena_calloc(m->arena, 1, sizeof *a->templates.v);
    a->templates.v[0] = (wire_template_t){1, 1, "hacker-news", template_json};
    a->templates.n = 1;
    a->sources.v = arena_calloc(m->arena, n, sizeof *a->sources.v);
    a->dues.v = arena_calloc(m->arena, n, sizeof *a->dues.v);
    a->sources.n = a->dues.n = n;
    for (size_t i = 0; i < n; i++) {
        uint64_t id = ++b->assigned;
        a->sources.v[i] =
            (wire_source_t){.id = id,
                            .template_id = 1,
                            .url = arena_strdup(m->arena, b->url),
                            .fetch_url = "",
                            .etag = b->unchanged ? "\"64a7f1c2-1b2e\"" : "",
                            .last_modified = b->unchanged ? "Tue, 24 Nov 2026 09:00:00 GMT" : "",
                            .last_ok = b->unchanged};
        a->dues.v[i] = (wire_due_t){.source = id, .count = 1};
    }
    push(b, m);
}

// Dues of the sources that are ready, at once.
static void assign_again(bench_t *b)
{
    message_t *m = message_new(MESSAGE_ASSIGN, 0);
    wire_assign_t *a = &m->assign.wire;
    m->arena = arena_new(4 << 20);
    m->assign.start = clock_mono_ms();
    a->slot_start = (int64_t)b->polled; // dues of a source have to differ
    a->dues.v = arena_calloc(m->arena, b->n_ready, sizeof *a->dues.v);
    for (; a->dues.n < b->n_ready; a->dues.n++)
        a->dues.v[a->dues.n] = (wire_due_t){.source = b->ready[a->dues.n], .count = 1};
    b->n_ready = 0;
    push(b, m);
}

// What is done is given up, so that the memory stays what a real miner's is.
static void give_up(bench_t *b, uint64_t id)
{
    message_t *m = message_new(MESSAGE_REVOKE, 0);
    m->ids.sources = xmalloc(sizeof(uint64_t));
    m->ids.sources[0] = id;
    m->ids.n_sources = 1;
    push(b, m);
}

static void answer_batch(bench_t *b, const message_t *batch)
{
    message_t *m = message_new(MESSAGE_VERDICTS, 0);
    m->verdicts.token = batch->batch.token;
    push(b, m);
}

static void note_outcome(bench_t *b, const wire_outcome_t *o)
{
    b->failed += b->unchanged ? o->result != RESULT_not_modified
                              : o->result == RESULT_failed || o->result == RESULT_skipped;
    if (o->kind & OUTCOME_POLLED) {
        b->polled++;
        b->items += o->items;
        b->cpu_us += o->cpu_us;
    }
    if (!(o->kind & OUTCOME_STORED)) return;
    b->stored++;
    if (b->unchanged)
        b->ready[b->n_ready++] = o->source;
    else
        give_up(b, o->source);
}

static void take_messages(bench_t *b)
{
    struct pollfd wait = {queue_fd(b->inbox), POLLIN, 0};
    poll(&wait, 1, 100);
    queue_clear(b->inbox);
    for (message_t *m; (m = queue_pop(b->inbox));) {
        if (m->type == MESSAGE_OUTCOME) note_outcome(b, m->outcome);
        if (m->type == MESSAGE_BATCH) answer_batch(b, m);
        message_free(m);
    }
    if (b->unchanged && b->n_ready >= CHUNK)
        assign_again(b);
    else if (b->unchanged ? !b->assigned : b->assigned - b->stored < CHUNK)
        assign(b, b->unchanged ? SOURCES : CHUNK);
}

// CPU time of all threads but this one.
static int64_t worker_cpu_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000 - clock_thread_cpu_us();
}

int main(int argc, char **argv)
{
    bool unchanged = argc == 5 && !strcmp(argv[4], "unchanged");
    if (argc != 4 && !unchanged) {
        fprintf(stderr, "usage: bench-miner URL CONCURRENCY SECONDS [unchanged]\n");
        return 2;
    }
    static atomic_bool pressure;
    static bench_t b;
    b.url = argv[1];
    b.inbox = queue_new(INBOX);
    b.unchanged = unchanged;
    int64_t us = (int64_t)(atof(argv[3]) * 1e6);
    fetch_global_init();
    homes_add(&b.homes, "here");
    b.worker = worker_start(&(worker_options_t){
        .homes = &b.homes,
        .slots = (size_t)atoi(argv[2]),
        .fetch = {.max_document = MAX_DOCUMENT, .allow_private = true, .user_agent = "rtm/bench"},
        .to_link = b.inbox,
        .pressure = &pressure});
    while (b.polled < CHUNK) take_messages(&b); // warm from here
    int64_t start = clock_mono_us(), cpu_start = worker_cpu_us();
    uint64_t before = b.polled, items = b.items, read_us = b.cpu_us;
    while (clock_mono_us() - start < us) take_messages(&b);
    double seconds = (double)(clock_mono_us() - start) / 1e6, pages = (double)(b.polled - before);
    printf("{\"pages_per_s\": %.1f, \"items_per_page\": %.2f, \"cpu_us_per_page\": %.1f, "
           "\"read_us_per_page\": %.1f, \"failed\": %llu}\n",
           pages / seconds, (double)(b.items - items) / pages, (double)(worker_cpu_us() - cpu_start) / pages,
           (double)(b.cpu_us - read_us) / pages, (unsigned long long)b.failed);
    push(&b, message_new(MESSAGE_STOP, 0));
    worker_join(&b.worker);
    queue_destroy(&b.inbox, message_free);
    fetch_global_cleanup();
    return 0;
}
