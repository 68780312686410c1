// Pg: one connection to Postgres on which nothing waits forever. libpq is used without blocking; every wait
// has a deadline and ends early when the process is to stop. What went wrong is sorted into the two cases
// that a writer must tell apart: the data was refused, or Postgres is not well.
#ifndef RTM_SINK_PG_H
#define RTM_SINK_PG_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pg pg_t;

typedef enum {
    PG_OK,
    PG_REFUSED, // this data is at fault (SQLSTATE classes 22, 23, 54): other data may pass
    PG_FAILED,  // connection lost, no answer in time, disk full, no permission, ...: try again later
} pg_status_t;

// conninfo: a URI or key=value list. stop_fd: readable once the process is to stop; waits then last
// stop_grace_ms at most.
pg_t *pg_new(const char *conninfo, int stop_fd, int64_t stop_grace_ms);
void pg_destroy(pg_t **pg);
// Work that can be done while Postgres works: is called when an answer is waited for, with context, as long
// as it returns true (there is more to do), and again whenever fd is readable. One call shall be short.
typedef bool pg_idle_fn(void *context);
void pg_on_idle(pg_t *pg, int fd, pg_idle_fn *work, void *context);
// What Postgres shows as its application_name, a constant; "rtm-sink" else.
void pg_set_name(pg_t *pg, const char *name);
// NULL if conninfo can be read, else what is wrong with it, without repeating any of it (it may hold a
// password).
const char *pg_check_conninfo(const char *conninfo);

// Connects. 0, or -1: pg_reason says why.
int pg_open(pg_t *pg);
void pg_close(pg_t *pg);
// Where it is connected to and what is there: "host=… port=… db=… version=…".
void pg_where(const pg_t *pg, char *out, size_t size);
// Its socket, readable when Postgres says something unasked; and whether the connection still stands then.
int pg_socket(const pg_t *pg);
bool pg_stands(pg_t *pg);
// Why the last call did not return PG_OK, one line.
const char *pg_reason(const pg_t *pg);
void pg_set_reason(pg_t *pg, const char *reason);

// Runs one or several statements without parameters; results are dropped.
pg_status_t pg_run(pg_t *pg, const char *sql);
// Rolls back if status, of a statement in a transaction, is PG_REFUSED, and keeps the reason. status, or
// PG_FAILED if the session cannot go on.
pg_status_t pg_roll_back(pg_t *pg, pg_status_t status);
// Runs one statement. Parameters are binary if formats[i] is 1. *result (binary) is the caller's to PQclear
// if PG_OK; result may be NULL.
pg_status_t pg_query(pg_t *pg, const char *sql, int n, const char *const *values, const int *lengths,
                     const int *formats, PGresult **result);
pg_status_t pg_prepare(pg_t *pg, const char *name, const char *sql);
pg_status_t pg_execute(pg_t *pg, const char *name, int n, const char *const *values, const int *lengths,
                       const int *formats, PGresult **result);

// Waits for a notification that a LISTEN asked for, at most ms, or until wake_fd is readable or the process
// is to stop. PG_FAILED: the connection is lost.
pg_status_t pg_wait_notify(pg_t *pg, int wake_fd, int64_t ms);

// COPY ... FROM STDIN: sql may hold statements before it. Then any number of pg_copy_put, and pg_copy_end.
pg_status_t pg_copy_begin(pg_t *pg, const char *sql);
pg_status_t pg_copy_put(pg_t *pg, const char *bytes, size_t len);
pg_status_t pg_copy_end(pg_t *pg);

#endif
