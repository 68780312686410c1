// needs: sink proto common
// bench-sink: the load side of `bench/run sink`. Makes rows of the shape that miners send (about 390 bytes),
// and either ships them to a sink as fast as its credit allows, or writes them as a binary COPY file for
// psql.
//
//   bench-sink load ENDPOINT ROWS DUE      ships them twice on one connection: new ones, then the same again
//   as the next
//                                          poll found them; prints {"new_s", "known_s", "new", "known"}
//   bench-sink spool FOLDER MIB 0          appends to a spool, 1 MiB a sync; prints {"mb_per_s"}
//   bench-sink dump FILE ROWS DUE          writes columns as bench/run.d/sink names them
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include <zmq.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "proto/wire.h"
#include "sink/copy.h"
#include "sink/spool.h"

enum { ITEMS_A_POLL = 30, POLLS_A_BATCH = 5, ITEMS_A_BATCH = ITEMS_A_POLL * POLLS_A_BATCH };

#define TEMPLATE "bench"

typedef struct {
    char key[32], url[96], title[80], summary[200], fields[48];
} texts_t;

static uint64_t template_id(void)
{
    return XXH3_64bits(TEMPLATE, strlen(TEMPLATE));
}

static uint64_t source_id(uint64_t n)
{
    return XXH3_64bits_withSeed(&n, sizeof n, 1);
}

// Row number n: its texts are seeded by n, so that they do not compress into nothing.
static void make_texts(texts_t *t, uint64_t n)
{
    uint64_t h[4];
    for (unsigned i = 0; i < 4; i++) h[i] = XXH3_64bits_withSeed(&n, sizeof n, i + 2);
    snprintf(t->key, sizeof t->key, "post-%08" PRIu64 "-%04x", n, (unsigned)(h[0] & 0xffff));
    snprintf(t->url, sizeof t->url, "https://news.example.com/2026/11/22/%016" PRIx64 "/%016" PRIx64 ".html",
             h[0], h[1]);
    snprintf(t->title, sizeof t->title, "Headline %" PRIu64 " of the day: %016" PRIx64 " meets %08x", n, h[2],
             (unsigned)h[3]);
    snprintf(t->summary, sizeof t->summary,
             "What happened at %016" PRIx64 " was that %016" PRIx64 " told %016" PRIx64
             " about it, and so the whole story "
             "came to light in time for the paper's evening edition.",
             h[1], h[2], h[3]);
    snprintf(t->fields, sizeof t->fields, "{\"points\": %u, \"comments\": %u}", (unsigned)(h[0] % 1000),
             (unsigned)(h[1] % 300));
}

static void make_item(wire_item_t *item, texts_t *t, uint64_t n, int64_t due)
{
    (void)due;
    make_texts(t, n);
    *item = (wire_item_t){.part = PART_LIST,
                          .key = t->key,
                          .content_hash = XXH3_64bits(t->title, strlen(t->title)),
                          .url = t->url,
                          .title = t->title,
                          .author = "A. Reporter",
                          .summary = t->summary,
                          .content = "",
                          .image = "",
                          .published = INT64_C(1700000000000) + (int64_t)n,
                          .fields = t->fields,
                          .url_norm = t->url};
}

// -- load ---------------------------------------------------------------------------------------------

typedef struct {
    char *data;
    size_t len;
} frame_t;

static frame_t make_frame(uint64_t seq, uint64_t first, uint64_t rows, int64_t due)
{
    static texts_t texts[ITEMS_A_BATCH];
    wire_item_t items[ITEMS_A_BATCH];
    wire_poll_t polls[POLLS_A_BATCH];
    wire_sink_source_t sources[POLLS_A_BATCH];
    wire_sink_template_t template = {.id = template_id(), .name = TEMPLATE, .fresh_within = 60000};
    size_t n = 0, n_polls = 0;
    for (; n < ITEMS_A_BATCH && first + n < rows; n++) {
        if (n % ITEMS_A_POLL == 0) {
            uint64_t id = source_id((first + n) / ITEMS_A_POLL);
            polls[n_polls] = (wire_poll_t){
                .source = id, .due = due, .started = due, .fetched = due + 100, .absent = due - 60000};
            sources[n_polls++] = (wire_sink_source_t){id, template.id, "https://news.example.com/list"};
        }
        make_item(&items[n], &texts[n], first + n, due);
        items[n].poll = n_polls - 1;
    }
    wire_batch_t batch = {seq, {&template, 1}, {sources, n_polls}, {polls, n_polls}, {items, n}};
    buf_t out;
    buf_init(&out, MAX_BATCH_MESSAGE);
    CHECK(wire_encode(&out, WIRE_TYPE_BATCH, &batch) == 0);
    return (frame_t){out.data, out.len};
}

typedef struct {
    void *socket;
    arena_t *arena;
    uint64_t acked, credit, verdicts[VERDICT_COUNT];
    bool granted;
} peer_t;

static void count_verdicts(peer_t *p, const wire_ack_t *ack)
{
    for (size_t i = 0; i < ack->verdicts.n; i++)
        for (size_t k = 0; k < ack->verdicts.v[i].items.len; k++)
            p->verdicts[((const uint8_t *)ack->verdicts.v[i].items.data)[k]]++;
}

static void receive(peer_t *p, int flags)
{
    zmq_msg_t msg;
    wire_type_t type;
    void *m;
    const char *why;
    zmq_msg_init(&msg);
    if (zmq_msg_recv(&msg, p->socket, flags) >= 0) {
        arena_reset(p->arena);
        CHECK(wire_decode(p->arena, zmq_msg_data(&msg), zmq_msg_size(&msg), &type, &m, &why) == 0);
        CHECK(type == WIRE_TYPE_GRANT || type == WIRE_TYPE_ACK || type == WIRE_TYPE_HEARTBEAT);
        if (type == WIRE_TYPE_GRANT) p->granted = true, p->credit = ((wire_grant_t *)m)->credit;
        if (type == WIRE_TYPE_ACK) {
            p->acked = ((wire_ack_t *)m)->seq;
            p->credit = ((wire_ack_t *)m)->credit;
            count_verdicts(p, m);
        }
    }
    zmq_msg_close(&msg);
}

static void hello(peer_t *p)
{
    buf_t out;
    buf_init(&out, 4096);
    wire_hello_t m = {WIRE_VERSION, "bench", (uint64_t)clock_mono_us() ^ (uint64_t)getpid(), "bench-sink"};
    CHECK(wire_encode(&out, WIRE_TYPE_HELLO, &m) == 0);
    CHECK(zmq_send(p->socket, out.data, out.len, 0) >= 0);
    buf_free(&out);
    while (!p->granted) receive(p, 0);
}

// Ships n batches, numbered from first + 1; seconds from the first one sent to the last one acknowledged.
static double ship(peer_t *p, const frame_t *frames, size_t n, uint64_t first)
{
    size_t sent = 0, acked = 0, flying = 0; // flying: bytes not acknowledged
    int64_t start = clock_mono_us();
    while (acked < n) {
        while (sent < n && (flying == 0 || flying + frames[sent].len <= p->credit)) {
            CHECK(zmq_send(p->socket, frames[sent].data, frames[sent].len, 0) >= 0);
            flying += frames[sent++].len;
        }
        receive(p, 0);
        for (; first + acked < p->acked; acked++) flying -= frames[acked].len;
    }
    return (double)(clock_mono_us() - start) / 1e6;
}

static double ship_rows(peer_t *p, uint64_t first, uint64_t rows, int64_t due)
{
    size_t n = (rows + ITEMS_A_BATCH - 1) / ITEMS_A_BATCH;
    frame_t *frames = xcalloc(n, sizeof *frames);
    for (size_t i = 0; i < n; i++) frames[i] = make_frame(first + i + 1, i * ITEMS_A_BATCH, rows, due);
    double seconds = ship(p, frames, n, first);
    for (size_t i = 0; i < n; i++) free(frames[i].data);
    free(frames);
    return seconds;
}

static int load(const char *endpoint, uint64_t rows, int64_t due)
{
    void *context = zmq_ctx_new();
    peer_t p = {.socket = zmq_socket(context, ZMQ_DEALER), .arena = arena_new(64 << 20)};
    CHECK(zmq_connect(p.socket, endpoint) == 0);
    hello(&p);
    double new_s = ship_rows(&p, 0, rows, due), known_s = ship_rows(&p, p.acked, rows, due + 60000);
    printf("{\"new_s\": %.4f, \"known_s\": %.4f, \"new\": %" PRIu64 ", \"known\": %" PRIu64 "}\n", new_s,
           known_s, p.verdicts[VERDICT_new], p.verdicts[VERDICT_known]);
    arena_destroy(&p.arena);
    zmq_close(p.socket);
    zmq_ctx_term(context);
    return 0;
}

// -- dump ---------------------------------------------------------------------------------------------

static char *put_str(char *p, const char *s)
{
    return *s ? copy_text(p, s, strlen(s)) : copy_null(p);
}

static char *put_row(char *p, uint64_t n, int64_t due)
{
    texts_t t = {0};
    wire_item_t item;
    make_item(&item, &t, n, due);
    p = copy_i64(copy_row(p, 15), (int64_t)source_id(n / ITEMS_A_POLL));
    p = copy_i64(copy_i64(p, (int64_t)template_id()), (int64_t)item.content_hash);
    p = copy_time(copy_time(p, due), item.published);
    p = copy_time(copy_time(p, due + 100), due - 60000);
    p = put_str(put_str(put_str(p, item.key), item.url), item.title);
    p = put_str(put_str(put_str(put_str(p, item.author), item.summary), item.content), item.url_norm);
    return copy_jsonb(p, item.fields, strlen(item.fields));
}

static int dump(const char *path, uint64_t rows, int64_t due)
{
    FILE *f = fopen(path, "wb");
    char cell[2048] = {0};
    CHECK(f != NULL);
    fwrite(cell, 1, (size_t)(copy_header(cell) - cell), f);
    for (uint64_t n = 0; n < rows; n++) fwrite(cell, 1, (size_t)(put_row(cell, n, due) - cell), f);
    fwrite(cell, 1, (size_t)(copy_trailer(cell) - cell), f);
    return fclose(f) ? 1 : 0;
}

// -- spool --------------------------------------------------------------------------------------------

static int fill_spool(const char *folder, uint64_t mib)
{
    enum { FRAME = 64 << 10, FRAMES = 16 };
    char err[256];
    const char *why;
    const job_t *jobs[FRAMES];
    spool_t *spool = spool_open(folder, UINT64_MAX / 2, err, sizeof err);
    CHECK(spool != NULL);
    for (int i = 0; i < FRAMES; i++) {
        job_t *job = xcalloc(1, sizeof *job + FRAME);
        job->len = FRAME;
        memset(job->frame, i + 1, FRAME);
        jobs[i] = job;
    }
    int64_t start = clock_mono_us();
    for (uint64_t i = 0; i < mib; i++) CHECK(spool_append(spool, jobs, FRAMES, &why) == 0);
    printf("{\"mb_per_s\": %.1f}\n", (double)mib * FRAME * FRAMES / (double)(clock_mono_us() - start));
    spool_close(&spool);
    for (int i = 0; i < FRAMES; i++) free((void *)(uintptr_t)jobs[i]);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return fprintf(
                   stderr,
                   "usage: bench-sink load ENDPOINT ROWS DUE | spool FOLDER MIB 0 | dump FILE ROWS DUE\n"),
               2;
    uint64_t rows = strtoull(argv[3], NULL, 10);
    int64_t due = strtoll(argv[4], NULL, 10);
    if (!strcmp(argv[1], "spool")) return fill_spool(argv[2], rows);
    return strcmp(argv[1], "dump") ? load(argv[2], rows, due) : dump(argv[2], rows, due);
}
