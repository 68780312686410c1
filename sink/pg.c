// Pg: send, then wait for the socket with poll until libpq has a whole result.
#include "sink/pg.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"

enum {
    CONNECT_MS = 10000,
    ANSWER_MS = 40000, // above the statement_timeout that the session sets
    MAX_REASON = 512,
    IDLE_TICK_MS = 200,
};

struct pg {
    char *conninfo;
    const char *name;
    PGconn *conn; // NULL: closed
    int stop_fd;
    int64_t stop_grace_ms, stop_at; // stop_at: monotonic ms after which no wait goes on; 0: not stopping
    int idle_fd;
    pg_idle_fn *idle; // or NULL
    void *idle_context;
    char reason[MAX_REASON];
};

pg_t *pg_new(const char *conninfo, int stop_fd, int64_t stop_grace_ms)
{
    pg_t *pg = xcalloc(1, sizeof *pg);
    pg->conninfo = xstrdup(conninfo);
    pg->name = "rtm-sink";
    pg->stop_fd = stop_fd;
    pg->idle_fd = -1;
    pg->stop_grace_ms = stop_grace_ms;
    return pg;
}

void pg_on_idle(pg_t *pg, int fd, pg_idle_fn *work, void *context)
{
    pg->idle_fd = fd;
    pg->idle = work;
    pg->idle_context = context;
}

void pg_set_name(pg_t *pg, const char *name)
{
    pg->name = name;
}

void pg_destroy(pg_t **pg)
{
    if (!*pg) return;
    pg_close(*pg);
    free((*pg)->conninfo);
    free(*pg);
    *pg = NULL;
}

const char *pg_check_conninfo(const char *conninfo)
{
    char *err = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo, &err);
    PQconninfoFree(options);
    PQfreemem(err);
    return options ? NULL : "it is neither a postgresql:// URI nor a list of key=value";
}

// -- reasons ----------------------------------------------------------------------------------------

// Keeps text as the reason, on one line.
static void set_reason(pg_t *pg, const char *state, const char *text)
{
    snprintf(pg->reason, sizeof pg->reason, "%s%s%s", state ? state : "", state ? " " : "", text);
    for (char *p = pg->reason; *p; p++)
        if (*p == '\n' || *p == '\t') *p = ' ';
    size_t n = strlen(pg->reason);
    while (n > 0 && pg->reason[n - 1] == ' ') pg->reason[--n] = '\0';
}

void pg_set_reason(pg_t *pg, const char *reason)
{
    set_reason(pg, NULL, reason);
}

const char *pg_reason(const pg_t *pg)
{
    return pg->reason;
}

static pg_status_t lost(pg_t *pg)
{
    set_reason(pg, NULL, PQerrorMessage(pg->conn));
    return PG_FAILED;
}

static pg_status_t judge(pg_t *pg, const PGresult *r)
{
    ExecStatusType status = PQresultStatus(r);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_IN) return PG_OK;
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    set_reason(pg, state, text ? text : PQresultErrorMessage(r));
    if (!state) return PG_FAILED;
    return !strncmp(state, "22", 2) || !strncmp(state, "23", 2) || !strncmp(state, "54", 2) ? PG_REFUSED
                                                                                            : PG_FAILED;
}

// -- waiting ----------------------------------------------------------------------------------------

static void notice_stop(pg_t *pg, short revents)
{
    if (revents && !pg->stop_at) pg->stop_at = clock_mono_ms() + pg->stop_grace_ms;
}

// Waits until the socket is ready for any of events. 0; -1: deadline (monotonic ms) or the end of the grace.
static int wait_socket(pg_t *pg, short events, int64_t deadline)
{
    bool more = pg->idle != NULL;
    for (;;) {
        int64_t now = clock_mono_ms();
        int64_t until = pg->stop_at && pg->stop_at < deadline ? pg->stop_at : deadline;
        if (now >= until) {
            set_reason(pg, NULL, until == deadline ? "Postgres did not answer in time" : "stopping");
            return -1;
        }
        struct pollfd fds[3] = {{.fd = PQsocket(pg->conn), .events = events},
                                {.fd = pg->stop_at ? -1 : pg->stop_fd, .events = POLLIN},
                                {.fd = pg->idle_fd, .events = POLLIN}};
        int64_t nap = pg->idle && until - now > IDLE_TICK_MS ? IDLE_TICK_MS : until - now;
        int ready = poll(fds, 3, more ? 0 : (int)nap);
        if (ready > 0) {
            notice_stop(pg, fds[1].revents);
            if (fds[0].revents) return 0;
        }
        if (pg->idle) more = pg->idle(pg->idle_context);
    }
}

// Sends what libpq still holds, reading meanwhile so that neither side waits for the other.
static pg_status_t flush(pg_t *pg, int64_t deadline)
{
    for (;;) {
        int left = PQflush(pg->conn);
        if (left == 0) return PG_OK;
        if (left < 0 || wait_socket(pg, POLLIN | POLLOUT, deadline)) return left < 0 ? lost(pg) : PG_FAILED;
        if (!PQconsumeInput(pg->conn)) return lost(pg);
    }
}

// The next result of the running query; *r NULL: there is none any more.
static pg_status_t next_result(pg_t *pg, int64_t deadline, PGresult **r)
{
    while (PQisBusy(pg->conn)) {
        if (wait_socket(pg, POLLIN, deadline)) return PG_FAILED;
        if (!PQconsumeInput(pg->conn)) return lost(pg);
    }
    *r = PQgetResult(pg->conn);
    return PG_OK;
}

// Takes all results of the running query; the first bad one decides. The last good one goes to *kept. Stops
// at COPY IN, which only pg_copy_end finishes.
static pg_status_t collect(pg_t *pg, PGresult **kept)
{
    int64_t deadline = clock_mono_ms() + ANSWER_MS;
    PGresult *last = NULL, *r = NULL;
    pg_status_t status = flush(pg, deadline), worst = PG_OK;
    while (status == PG_OK && (status = next_result(pg, deadline, &r)) == PG_OK && r) {
        if (worst == PG_OK) worst = judge(pg, r);
        PQclear(last);
        last = r;
        if (PQresultStatus(r) == PGRES_COPY_IN) break;
    }
    if (status == PG_OK) status = worst;
    if (status == PG_OK && kept)
        *kept = last;
    else
        PQclear(last);
    return status;
}

// -- connection -------------------------------------------------------------------------------------

static PGconn *start(const char *conninfo, const char *name)
{
    // what stands behind dbname, which is expanded, wins; what stands before it are defaults
    const char *const keys[] = {"application_name",
                                "connect_timeout",
                                "keepalives_idle",
                                "keepalives_interval",
                                "keepalives_count",
                                "tcp_user_timeout",
                                "dbname",
                                "client_encoding",
                                NULL};
    const char *const values[] = {name, "10", "5", "2", "3", "15000", conninfo, "UTF8", NULL};
    return PQconnectStartParams(keys, values, 1);
}

static int fail_open(pg_t *pg)
{
    pg_close(pg);
    return -1;
}

static void drop_notice(void *context, const char *message)
{
    (void)context;
    (void)message;
}

int pg_open(pg_t *pg)
{
    pg_close(pg);
    int64_t deadline = clock_mono_ms() + CONNECT_MS;
    pg->conn = start(pg->conninfo, pg->name);
    CHECK(pg->conn != NULL);
    PQsetNoticeProcessor(pg->conn, drop_notice, NULL);
    if (PQstatus(pg->conn) == CONNECTION_BAD) return lost(pg), fail_open(pg);
    for (PostgresPollingStatusType s = PGRES_POLLING_WRITING; s != PGRES_POLLING_OK;) {
        if (s == PGRES_POLLING_FAILED) return lost(pg), fail_open(pg);
        if (wait_socket(pg, s == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) return fail_open(pg);
        s = PQconnectPoll(pg->conn);
    }
    if (PQsetnonblocking(pg->conn, 1)) return lost(pg), fail_open(pg);
    const char *encoding = PQparameterStatus(pg->conn, "server_encoding");
    if (encoding && strcmp(encoding, "UTF8") != 0) {
        set_reason(pg, NULL, "the database's encoding is not UTF8");
        return fail_open(pg);
    }
    return 0;
}

void pg_close(pg_t *pg)
{
    PQfinish(pg->conn);
    pg->conn = NULL;
}

void pg_where(const pg_t *pg, char *out, size_t size)
{
    const char *host = PQhost(pg->conn), *version = PQparameterStatus(pg->conn, "server_version");
    snprintf(out, size, "host=\"%s\" port=%s db=\"%s\" version=\"%s\"", host ? host : "", PQport(pg->conn),
             PQdb(pg->conn), version ? version : "");
}

int pg_socket(const pg_t *pg)
{
    return PQsocket(pg->conn);
}

bool pg_stands(pg_t *pg)
{
    if (PQconsumeInput(pg->conn)) return true;
    lost(pg);
    return false;
}

// -- statements -------------------------------------------------------------------------------------

static pg_status_t sent(pg_t *pg, int ok, PGresult **result)
{
    return ok ? collect(pg, result) : lost(pg);
}

pg_status_t pg_run(pg_t *pg, const char *sql)
{
    return sent(pg, PQsendQuery(pg->conn, sql), NULL);
}

pg_status_t pg_roll_back(pg_t *pg, pg_status_t status)
{
    char reason[MAX_REASON];
    if (status != PG_REFUSED) return status;
    memcpy(reason, pg->reason, sizeof reason);
    if (pg_run(pg, "ROLLBACK") != PG_OK) return PG_FAILED;
    memcpy(pg->reason, reason, sizeof reason);
    return PG_REFUSED;
}

pg_status_t pg_query(pg_t *pg, const char *sql, int n, const char *const *values, const int *lengths,
                     const int *formats, PGresult **result)
{
    return sent(pg, PQsendQueryParams(pg->conn, sql, n, NULL, values, lengths, formats, 1), result);
}

pg_status_t pg_prepare(pg_t *pg, const char *name, const char *sql)
{
    return sent(pg, PQsendPrepare(pg->conn, name, sql, 0, NULL), NULL);
}

pg_status_t pg_execute(pg_t *pg, const char *name, int n, const char *const *values, const int *lengths,
                       const int *formats, PGresult **result)
{
    return sent(pg, PQsendQueryPrepared(pg->conn, name, n, values, lengths, formats, 1), result);
}

static bool take_notifies(pg_t *pg)
{
    bool any = false;
    for (PGnotify *n; (n = PQnotifies(pg->conn)); any = true) PQfreemem(n);
    return any;
}

pg_status_t pg_wait_notify(pg_t *pg, int wake_fd, int64_t ms)
{
    struct pollfd fds[3] = {{.fd = PQsocket(pg->conn), .events = POLLIN},
                            {.fd = wake_fd, .events = POLLIN},
                            {.fd = pg->stop_fd, .events = POLLIN}};
    if (take_notifies(pg)) return PG_OK; // they came with the last answer
    if (poll(fds, 3, (int)ms) <= 0 || !fds[0].revents) return PG_OK;
    if (!PQconsumeInput(pg->conn)) return lost(pg);
    take_notifies(pg);
    return PG_OK;
}

// -- COPY -------------------------------------------------------------------------------------------

pg_status_t pg_copy_begin(pg_t *pg, const char *sql)
{
    return sent(pg, PQsendQuery(pg->conn, sql), NULL);
}

pg_status_t pg_copy_put(pg_t *pg, const char *bytes, size_t len)
{
    int64_t deadline = clock_mono_ms() + ANSWER_MS;
    for (int done; (done = PQputCopyData(pg->conn, bytes, (int)len)) != 1;) {
        if (done < 0) return lost(pg);
        if (wait_socket(pg, POLLIN | POLLOUT, deadline)) return PG_FAILED;
        if (!PQconsumeInput(pg->conn)) return lost(pg);
    }
    return flush(pg, deadline);
}

pg_status_t pg_copy_end(pg_t *pg)
{
    int64_t deadline = clock_mono_ms() + ANSWER_MS;
    for (int done; (done = PQputCopyEnd(pg->conn, NULL)) != 1;) {
        if (done < 0) return lost(pg);
        if (wait_socket(pg, POLLIN | POLLOUT, deadline)) return PG_FAILED;
        if (!PQconsumeInput(pg->conn)) return lost(pg);
    }
    return collect(pg, NULL);
}
