// Stream: one lock guards the ring and all clients. The HTTP thread asks a client for bytes (give); a client
// that has none is suspended, and resumed by the thread here when there are some, or by the pool with a page.
#include "sink/stream.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/nice.h"
#include "sink/ring.h"

enum {
    TICK_MS = 1000,
    POLL_MS = 1000,         // without a notification
    UNSETTLED_MS = 50,      // while a transaction runs that hides others
    PACE_MS = 150,          // between two full pages: some 13,000 rows a second at most
    READ_ROWS = 2000,       // of a page
    READ_BYTES = 1 << 20,   // of its texts
    PAST_ROWS = 200,        // of a page of the past
    PAST_BYTES = 128 << 10, // of its texts
    PAST_HELD = 16 << 20,   // of all such pages that wait in memory
    PAST_FLYING = 4,        // asked for and not there
    PAGE_MAX = 32 << 20,    // of one page as events, whatever its texts
    PAST_MS = 60000,        // a client takes its page of the past within that time ...
    LATE_MS = 5000,         // ... and leaves so long after it fell off the ring
    BEAT_MS = 15000,
    // What HTTP 1.0 is handed at once, kept for each client; HTTP 1.1 uses the connection's memory.
    BLOCK = 256,
};

typedef enum {
    CLIENT_NEW,   // waits for the ring to start
    CLIENT_LIVE,  // at `next` in the ring
    CLIENT_LINE,  // waits in line for a page of the past, from `at`
    CLIENT_ASKED, // the pool reads it
    CLIENT_PAST,  // is sent that page
    CLIENT_ENDS,  // is sent its last bytes
} client_state_t;

struct stream_client {
    stream_t *stream;
    stream_client_t *previous, *next_client;
    stream_client_t *behind; // in line
    struct MHD_Connection *connection;
    int fd;
    client_state_t state;
    bool suspended, gone, cut;
    ring_filter_t filter;
    char *template_name, *source; // of the request, or NULL
    uint64_t next;                // LIVE: number of the event under way, or to come
    size_t offset;                // bytes of it that were given
    position_t *at;               // not NULL until LIVE for those that gave one
    buf_t own;                    // text for this client alone: goes before what the ring has
    size_t own_given;
    size_t held;        // bytes of it that count as pages of the past
    int64_t given_at;   // monotonic ms of the last bytes given
    int64_t page_since; // PAST; LIVE: since when it is off the ring, 0: it is not
};

struct stream {
    const char *conninfo;
    int stop_fd, wake_fd;
    pool_t *pool;
    size_t max_clients;
    pthread_t thread;
    pg_t *pg; // of the thread

    pthread_mutex_t lock; // guards what follows, and all clients
    bool stopping;
    bool active; // the ring has started
    ring_t ring;
    stream_client_t *clients;
    stream_client_t *line, **line_end;
    size_t flying, held;
    stream_stats_t stats;
    uint64_t cut_logged;
};

// -- clients ----------------------------------------------------------------------------------------------

static void resume(stream_client_t *c)
{
    if (!c->suspended) return;
    c->suspended = false;
    MHD_resume_connection(c->connection);
}

// Gives the client a text of its own, behind what it has not taken of the one before.
static void set_own(stream_client_t *c, client_state_t state, buf_t text, size_t held)
{
    size_t left = c->own.len - c->own_given;
    if (left) {
        buf_t both;
        buf_init(&both, left + text.len);
        CHECK(buf_append(&both, c->own.data + c->own_given, left) == 0);
        CHECK(buf_append(&both, text.data, text.len) == 0);
        buf_free(&text);
        text = both;
    }
    buf_free(&c->own);
    c->own = text;
    c->own_given = 0;
    c->held += held;
    c->stream->held += held;
    c->state = state;
    resume(c);
}

static void say(stream_client_t *c, client_state_t state, const char *text)
{
    buf_t own;
    buf_init(&own, strlen(text) + 1);
    CHECK(buf_puts(&own, text) == 0);
    set_own(c, state, own, 0);
}

static void release_page(stream_client_t *c)
{
    c->stream->held -= c->held;
    c->held = 0;
}

static void stand_in_line(stream_client_t *c)
{
    stream_t *s = c->stream;
    c->state = CLIENT_LINE;
    c->behind = NULL;
    *s->line_end = c;
    s->line_end = &c->behind;
}

static void leave_line(stream_client_t *c)
{
    stream_t *s = c->stream;
    for (stream_client_t **p = &s->line; *p; p = &(*p)->behind) {
        if (*p != c) continue;
        *p = c->behind;
        if (s->line_end == &c->behind) s->line_end = p;
        return;
    }
}

// Into the ring, if that has all that the client lacks. from: where it is, NULL: at the end.
static bool go_live(stream_client_t *c)
{
    stream_t *s = c->stream;
    if (!s->active) return false;
    uint64_t next = s->ring.head;
    if (c->at && !ring_find(&s->ring, c->at, &next)) return false;
    c->next = next;
    c->offset = 0;
    c->page_since = 0;
    c->state = CLIENT_LIVE;
    free(c->at);
    c->at = NULL;
    return true;
}

// The first words of a client that has just come alive: where it stands, should it be cut at once.
static void greet(stream_client_t *c)
{
    char cursor[POSITION_TEXT], text[POSITION_TEXT + 32];
    position_t position = ring_position(&c->stream->ring, c->next);
    position_print(&position, cursor);
    snprintf(text, sizeof text, "retry: 2000\nid: %s\n\n", cursor);
    say(c, CLIENT_LIVE, text);
}

static void drop(stream_client_t *c)
{
    release_page(c);
    buf_free(&c->own);
    free(c->at);
    free(c->template_name);
    free(c->source);
    free(c);
}

// -- the past ---------------------------------------------------------------------------------------------

static void append_event(void *context, const page_row_t *row)
{
    buf_t *out = context;
    if (ring_format(out, row)) buf_reset(out); // PAGE_MAX is far above what a page's texts can become
}

static void end_with_error(stream_client_t *c, const char *why)
{
    char text[600];
    int n = snprintf(text, sizeof text, "event: error\ndata: {\"error\":\"");
    for (const char *p = why; *p && n < 500; p++) text[n++] = *p == '"' || *p == '\\' ? '\'' : *p;
    snprintf(text + n, sizeof text - (size_t)n, "\"}\n\n");
    say(c, CLIENT_ENDS, text);
}

static void start_past(stream_t *s);

// In a thread of the pool. The client stays where it is while it is ASKED, even if it is gone.
static pg_status_t read_past(void *context, pg_t *pg, const char *why)
{
    stream_client_t *c = context;
    stream_t *s = c->stream;
    page_query_t query = {.from = c->at,
                          .rows = PAST_ROWS,
                          .bytes = PAST_BYTES,
                          .template_name = c->template_name,
                          .source = c->source};
    page_end_t end;
    buf_t text;
    (void)why;
    buf_init(&text, PAGE_MAX);
    pg_status_t status = pg ? page_read(pg, &query, append_event, &text, &end) : PG_FAILED;
    if (pg && status == PG_FAILED) {
        buf_free(&text);
        return status;
    }
    pthread_mutex_lock(&s->lock);
    s->flying--;
    if (c->gone) {
        drop(c);
        buf_free(&text);
    } else if (status == PG_OK) {
        *c->at = end.next;
        c->page_since = clock_mono_ms();
        set_own(c, CLIENT_PAST, text, text.len);
    } else {
        buf_free(&text);
        if (status == PG_REFUSED)
            end_with_error(c, pg_reason(pg));
        else
            stand_in_line(c); // the next tick asks again
    }
    if (pg) start_past(s);
    pthread_mutex_unlock(&s->lock);
    return status;
}

// Asks for pages for those in line, as far as memory allows.
static void start_past(stream_t *s)
{
    while (s->line && s->active && !s->stopping && s->flying < PAST_FLYING && s->held < PAST_HELD) {
        stream_client_t *c = s->line;
        leave_line(c);
        c->state = CLIENT_ASKED;
        s->flying++;
        if (pool_submit(s->pool, read_past, c) == 0) continue;
        s->flying--;
        stand_in_line(c);
        return;
    }
}

// -- giving bytes -----------------------------------------------------------------------------------------

static size_t give_own(stream_client_t *c, char *out, size_t max)
{
    size_t n = c->own.len - c->own_given;
    if (n > max) n = max;
    if (n == 0) return 0;
    memcpy(out, c->own.data + c->own_given, n);
    c->own_given += n;
    if (c->own_given == c->own.len) {
        release_page(c);
        buf_free(&c->own);
        c->own_given = 0;
    }
    return n;
}

static size_t give_events(stream_client_t *c, char *out, size_t max)
{
    const ring_t *ring = &c->stream->ring;
    size_t given = 0;
    while (given < max) {
        if (c->offset == 0) c->next = ring_skip(ring, c->filter, c->next);
        if (c->next == ring->head) break;
        const ring_event_t *e = ring_get(ring, c->next);
        size_t n = e->len - c->offset < max - given ? e->len - c->offset : max - given;
        memcpy(out + given, e->text + c->offset, n);
        given += n;
        c->offset += n;
        if (c->offset < e->len) break;
        c->offset = 0;
        c->next++;
        c->stream->stats.events++;
    }
    return given;
}

static void count_cut(stream_client_t *c)
{
    if (c->cut) return;
    c->cut = true;
    c->stream->stats.cut++;
}

// What comes after a client's own text. false: the response ends here.
static bool next_step(stream_client_t *c)
{
    if (c->stream->stopping || c->state == CLIENT_ENDS) return false;
    if (c->state == CLIENT_PAST && !go_live(c)) {
        stand_in_line(c);
        start_past(c->stream);
    }
    if (c->state != CLIENT_LIVE || c->next >= c->stream->ring.tail) return true;
    count_cut(c);
    if (c->offset) return false; // in the middle of an event, which the client then drops
    say(c, CLIENT_ENDS, "event: cut\ndata: {\"reason\":\"too_slow\"}\n\n");
    return true;
}

// MHD's callback: bytes, or none and the connection is suspended, or the end.
static ssize_t give(void *context, uint64_t position, char *out, size_t max)
{
    stream_client_t *c = context;
    stream_t *s = c->stream;
    ssize_t given = 0;
    (void)position;
    pthread_mutex_lock(&s->lock);
    given = (ssize_t)give_own(c, out, max);
    if (given == 0 && !next_step(c))
        given = MHD_CONTENT_READER_END_OF_STREAM;
    else if (given == 0)
        given = (ssize_t)(c->state == CLIENT_LIVE ? give_events(c, out, max) : give_own(c, out, max));
    if (given > 0) c->given_at = clock_mono_ms();
    if (given == 0) {
        c->suspended = true;
        MHD_suspend_connection(c->connection);
    }
    pthread_mutex_unlock(&s->lock);
    return given;
}

// -- the thread -------------------------------------------------------------------------------------------

// With the lock held: clients for whom there is something now.
static void wake_clients(stream_t *s)
{
    for (stream_client_t *c = s->clients; c; c = c->next_client) {
        if (c->state != CLIENT_LIVE || !c->suspended) continue;
        if (c->next >= s->ring.tail) c->next = ring_skip(&s->ring, c->filter, c->next);
        if (c->next < s->ring.head) resume(c);
    }
}

static void push_row(void *context, const page_row_t *row)
{
    stream_t *s = context;
    pthread_mutex_lock(&s->lock);
    ring_push(&s->ring, row);
    pthread_mutex_unlock(&s->lock);
}

// Something for a client that was given nothing for long, so that both sides see whether the other is there.
static void beat(stream_client_t *c, int64_t now)
{
    char cursor[POSITION_TEXT], text[POSITION_TEXT + 32];
    if (!c->suspended || now - c->given_at < BEAT_MS) return;
    if (c->state != CLIENT_LIVE) return say(c, c->state, ": wait\n\n");
    position_t position = ring_position(&c->stream->ring, c->next);
    position_print(&position, cursor);
    snprintf(text, sizeof text, ": beat\nid: %s\n\n", cursor);
    say(c, CLIENT_LIVE, text);
}

// A client that takes nothing is not asked for bytes any more, so it is cut from here.
static void cut_if_late(stream_client_t *c, int64_t now)
{
    bool off = c->state == CLIENT_LIVE && !c->suspended && c->next < c->stream->ring.tail;
    if (off && !c->page_since) c->page_since = now;
    int64_t patience = off ? LATE_MS : PAST_MS;
    if ((!off && (c->state != CLIENT_PAST || !c->held)) || now - c->page_since < patience) return;
    count_cut(c);
    shutdown(c->fd, SHUT_RDWR);
}

// A suspended connection is watched by nobody, so whether its client has left is looked at here.
static void find_leavers(stream_t *s)
{
    enum { PIECE = 256 };
    struct pollfd fds[PIECE];
    stream_client_t *who[PIECE];
    for (stream_client_t *c = s->clients; c;) {
        nfds_t n = 0;
        for (; c && n < PIECE; c = c->next_client) {
            if (!c->suspended || c->state == CLIENT_ASKED) continue;
            who[n] = c;
            fds[n++] = (struct pollfd){.fd = c->fd, .events = POLLRDHUP};
        }
        if (n == 0 || poll(fds, n, 0) <= 0) continue;
        for (nfds_t i = 0; i < n; i++) {
            if (!(fds[i].revents & (POLLRDHUP | POLLHUP | POLLERR))) continue;
            if (who[i]->state == CLIENT_LINE) leave_line(who[i]);
            who[i]->state = CLIENT_ENDS;
            resume(who[i]);
        }
    }
}

static void tick(stream_t *s)
{
    int64_t now = clock_mono_ms();
    pthread_mutex_lock(&s->lock);
    for (stream_client_t *c = s->clients; c; c = c->next_client) {
        cut_if_late(c, now);
        beat(c, now);
    }
    find_leavers(s);
    start_past(s);
    uint64_t cut = s->stats.cut - s->cut_logged;
    s->cut_logged = s->stats.cut;
    size_t clients = s->stats.clients;
    pthread_mutex_unlock(&s->lock);
    if (cut) log_info("api_cut", "clients=%llu left=%zu reason=too_slow", (unsigned long long)cut, clients);
}

// The ring starts here: who waits for that comes alive. A ring that was active goes on where it was.
static void activate(stream_t *s, const position_t *start)
{
    pthread_mutex_lock(&s->lock);
    ring_restart(&s->ring, start);
    s->active = true;
    for (stream_client_t *c = s->clients; c; c = c->next_client)
        if (c->state == CLIENT_NEW && go_live(c)) greet(c);
    start_past(s);
    pthread_mutex_unlock(&s->lock);
}

// Reads what is new. *wait: ms until it should look again, if nobody notifies.
static pg_status_t read_new(stream_t *s, int64_t *wait)
{
    pthread_mutex_lock(&s->lock);
    position_t from = s->ring.read;
    pthread_mutex_unlock(&s->lock);
    page_query_t query = {.from = &from, .rows = READ_ROWS, .bytes = READ_BYTES};
    page_end_t end = {0};
    pg_status_t status = page_read(s->pg, &query, push_row, s, &end);
    if (status != PG_OK) return status;
    pthread_mutex_lock(&s->lock);
    ring_reached(&s->ring, &end.next);
    wake_clients(s);
    pthread_mutex_unlock(&s->lock);
    *wait = end.more ? 0 : end.settled ? POLL_MS : UNSETTLED_MS;
    return PG_OK;
}

static pg_status_t start_ring(stream_t *s)
{
    position_t now;
    pg_status_t status = page_now(s->pg, &now);
    if (status == PG_OK) activate(s, &now);
    return status;
}

static bool wanted(stream_t *s, bool *active)
{
    pthread_mutex_lock(&s->lock);
    bool any = s->clients != NULL;
    if (!any) s->active = false; // what comes now nobody reads
    *active = s->active;
    pthread_mutex_unlock(&s->lock);
    return any;
}

// Waits for a client, or the end, or so long.
static void wait_wake(stream_t *s, int ms)
{
    struct pollfd fds[2] = {{.fd = s->wake_fd, .events = POLLIN}, {.fd = s->stop_fd, .events = POLLIN}};
    poll(fds, 2, ms);
}

static void clear_wake(stream_t *s)
{
    uint64_t n;
    if (read(s->wake_fd, &n, sizeof n) < 0) return; // nothing was there
}

static bool must_stop(const stream_t *s)
{
    struct pollfd fd = {.fd = s->stop_fd, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

// Connects and, on a primary, listens: a standby takes no LISTEN, there it polls.
static bool connect_once(stream_t *s)
{
    if (page_open(s->pg) != PG_OK) {
        log_debug("api", "reason=\"%s\"", pg_reason(s->pg));
        return false;
    }
    return pg_run(s->pg, "LISTEN rtm_items") == PG_OK || pg_run(s->pg, "SELECT 1") == PG_OK;
}

// One turn: what is due is done, then it waits.
static void turn(stream_t *s, bool *open)
{
    bool active;
    int64_t wait = POLL_MS;
    clear_wake(s);
    if (!wanted(s, &active)) return wait_wake(s, -1);
    if (!*open) *open = connect_once(s);
    pg_status_t status = !*open ? PG_FAILED : active ? PG_OK : start_ring(s);
    if (status == PG_OK) status = read_new(s, &wait);
    if (status == PG_OK && wait == 0) {
        wait_wake(s, PACE_MS);
    } else if (status == PG_OK) {
        status = pg_wait_notify(s->pg, s->wake_fd, wait);
    }
    if (status == PG_OK) return;
    if (*open) pg_close(s->pg);
    *open = false;
    wait_wake(s, TICK_MS);
}

static void *run(void *arg)
{
    stream_t *s = arg;
    bool open = false;
    int64_t next_tick = 0;
    nice_thread();
    while (!must_stop(s)) {
        turn(s, &open);
        int64_t now = clock_mono_ms();
        if (now < next_tick) continue;
        next_tick = now + TICK_MS;
        tick(s);
    }
    return NULL;
}

// -- life -------------------------------------------------------------------------------------------------

stream_t *stream_start(const char *conninfo, int stop_fd, pool_t *pool, size_t max_clients)
{
    stream_t *s = xcalloc(1, sizeof *s);
    s->conninfo = conninfo;
    s->stop_fd = stop_fd;
    s->pool = pool;
    s->max_clients = max_clients;
    s->line_end = &s->line;
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->pg = pg_new(conninfo, stop_fd, 0);
    CHECK(s->wake_fd >= 0);
    pthread_mutex_init(&s->lock, NULL);
    CHECK(pthread_create(&s->thread, NULL, run, s) == 0);
    return s;
}

void stream_stop(stream_t *s)
{
    pthread_join(s->thread, NULL);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    for (stream_client_t *c = s->clients; c; c = c->next_client) resume(c);
    pthread_mutex_unlock(&s->lock);
}

void stream_destroy(stream_t **stream)
{
    stream_t *s = *stream;
    if (!s) return;
    CHECK(s->clients == NULL);
    pg_destroy(&s->pg);
    ring_free(&s->ring);
    pthread_mutex_destroy(&s->lock);
    close(s->wake_fd);
    free(s);
    *stream = NULL;
}

static stream_client_t *new_client(stream_t *s, struct MHD_Connection *connection, const position_t *from,
                                   const char *template_name, const char *source)
{
    stream_client_t *c = xcalloc(1, sizeof *c);
    c->stream = s;
    c->connection = connection;
    c->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    c->filter = ring_filter(template_name, source);
    c->template_name = template_name ? xstrdup(template_name) : NULL;
    c->source = source ? xstrdup(source) : NULL;
    c->given_at = clock_mono_ms();
    if (from) {
        c->at = xmalloc(sizeof *c->at);
        *c->at = *from;
    }
    return c;
}

static void link_client(stream_client_t *c)
{
    stream_t *s = c->stream;
    c->next_client = s->clients;
    if (s->clients) s->clients->previous = c;
    s->clients = c;
    s->stats.clients++;
}

static void unlink_client(stream_client_t *c)
{
    stream_t *s = c->stream;
    if (c->state == CLIENT_LINE) leave_line(c);
    if (c->previous)
        c->previous->next_client = c->next_client;
    else
        s->clients = c->next_client;
    if (c->next_client) c->next_client->previous = c->previous;
    s->stats.clients--;
}

static void wake_thread(stream_t *s)
{
    uint64_t one = 1;
    if (write(s->wake_fd, &one, sizeof one) < 0) return; // it is awake
}

// Where the client starts: in the ring, or in line for the past, or when the ring starts.
static void place(stream_client_t *c)
{
    if (go_live(c))
        greet(c);
    else if (c->at) {
        stand_in_line(c);
        start_past(c->stream);
    } else
        c->state = CLIENT_NEW;
}

stream_client_t *stream_open(stream_t *s, struct MHD_Connection *connection, const position_t *from,
                             const char *template_name, const char *source, struct MHD_Response **response)
{
    pthread_mutex_lock(&s->lock);
    bool room = s->stats.clients < s->max_clients && !s->stopping;
    stream_client_t *c = room ? new_client(s, connection, from, template_name, source) : NULL;
    if (c) {
        link_client(c);
        place(c);
        if (!s->active) wake_thread(s);
    }
    pthread_mutex_unlock(&s->lock);
    if (!c) return NULL;
    *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, give, c, NULL);
    CHECK(*response != NULL);
    return c;
}

void stream_close(stream_client_t *c, bool timed_out)
{
    stream_t *s = c->stream;
    pthread_mutex_lock(&s->lock);
    if (timed_out) count_cut(c);
    unlink_client(c);
    bool asked = c->state == CLIENT_ASKED;
    if (asked)
        c->gone = true; // the pool's thread drops it
    else
        drop(c);
    start_past(s);
    pthread_mutex_unlock(&s->lock);
}

stream_stats_t stream_stats(stream_t *s)
{
    pthread_mutex_lock(&s->lock);
    stream_stats_t stats = s->stats;
    pthread_mutex_unlock(&s->lock);
    return stats;
}
