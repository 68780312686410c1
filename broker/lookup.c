#include "broker/lookup.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <inttypes.h>
#include <sqlite3.h>
#include <yyjson.h>

#include "broker/backup.h"
#include "common/check.h"
#include "common/line.h"
#include "common/queue.h"

enum { QUESTIONS_MAX = 64, BYTES_MAX = 600 << 10, ROW_BYTES = 500, QUERY = 1024, PATH_SIZE = 4096 };

struct lookup {
    sqlite3 *db;
    char folder[PATH_SIZE];
    pthread_t thread;
    queue_t *questions, *answers;
};

// The question that ends the thread.
static question_t the_end;

// One answer being made.
typedef struct {
    lookup_t *lookup;
    const question_t *question;
    answer_t *answer;
    yyjson_mut_doc *doc;
} task_t;

static void refuse(task_t *t, unsigned code, const char *field, const char *message)
{
    t->answer->code = code;
    snprintf(t->answer->field, sizeof t->answer->field, "%s", field);
    line_copy(t->answer->message, sizeof t->answer->message, message);
}

// -- cells --------------------------------------------------------------------------------------------

static const char *text_at(sqlite3_stmt *st, int i)
{
    const unsigned char *text = sqlite3_column_text(st, i);
    return text ? (const char *)text : "";
}

static void put_id(task_t *t, yyjson_mut_val *row, const char *key, int64_t id)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, (uint64_t)id);
    yyjson_mut_obj_add_strcpy(t->doc, row, key, text);
}

// The row's cells under the names of their columns; source ids in hexadecimal.
static void put_row(task_t *t, yyjson_mut_val *rows, sqlite3_stmt *st)
{
    yyjson_mut_val *row = yyjson_mut_arr_add_obj(t->doc, rows);
    for (int i = 0; i < sqlite3_column_count(st); i++) {
        const char *name = sqlite3_column_name(st, i);
        yyjson_mut_val *key = yyjson_mut_strcpy(t->doc, name), *value;
        int type = sqlite3_column_type(st, i);
        if (!strcmp(name, "source")) {
            put_id(t, row, "source", sqlite3_column_int64(st, i));
            continue;
        }
        if (type == SQLITE_INTEGER)
            value = yyjson_mut_sint(t->doc, sqlite3_column_int64(st, i));
        else if (type == SQLITE_NULL)
            value = yyjson_mut_null(t->doc);
        else
            value = yyjson_mut_strcpy(t->doc, text_at(st, i));
        yyjson_mut_obj_add(row, key, value);
    }
}

static int64_t number_of(sqlite3 *db, const char *query)
{
    sqlite3_stmt *st;
    int64_t value = 0;
    if (sqlite3_prepare_v2(db, query, -1, &st, NULL)) return 0;
    if (sqlite3_step(st) == SQLITE_ROW) value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return value;
}

// -- tables -------------------------------------------------------------------------------------------

// Rows until a page is full. *last: the last row's first column. Returns how many.
static size_t put_rows(task_t *t, sqlite3_stmt *st, int64_t *last)
{
    yyjson_mut_val *rows = yyjson_mut_arr(t->doc);
    size_t n = 0, bytes = 0;
    int rc = SQLITE_DONE;
    yyjson_mut_doc_set_root(t->doc, rows);
    while (n < t->question->limit && bytes < BYTES_MAX && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        put_row(t, rows, st);
        *last = sqlite3_column_int64(st, 0);
        bytes += ROW_BYTES;
        for (int i = 0; i < sqlite3_column_count(st); i++) bytes += (size_t)sqlite3_column_bytes(st, i);
        n++;
    }
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) refuse(t, 500, "", sqlite3_errmsg(t->lookup->db));
    return n;
}

// What has left is told once, with the first page.
static void tell_dropped(task_t *t, const char *query, const char *what)
{
    int64_t dropped = t->question->after ? 0 : number_of(t->lookup->db, query);
    if (dropped)
        snprintf(t->answer->message, sizeof t->answer->message, "%" PRId64 " older %s have left", dropped,
                 what);
}

static sqlite3_stmt *prepare(task_t *t, const char *query)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(t->lookup->db, query, -1, &st, NULL))
        refuse(t, 500, "", sqlite3_errmsg(t->lookup->db));
    return st;
}

static void add(char *query, const char *text)
{
    size_t len = strlen(query);
    CHECK(len + strlen(text) < QUERY);
    memcpy(query + len, text, strlen(text) + 1);
}

static void answer_history(task_t *t)
{
    const question_t *q = t->question;
    char query[QUERY] =
        "select h.id, h.last_ms, h.result, h.error, h.count, s.url, h.detail, h.items, h.fresh,"
        " h.status, h.took_ms, h.miner, h.cause, h.attempt, h.task, h.template, h.source, h.first_ms,"
        " h.started_ms from history h left join sources s on s.id = h.source where 1";
    if (q->id) add(query, " and h.id = ?1");
    if (q->after) add(query, " and h.id < ?2");
    if (q->template_name[0]) add(query, " and h.template = ?3");
    if (q->failed) add(query, " and h.result = 'failed'");
    if (q->task) add(query, " and h.task = ?4 and h.task != 0");
    if (q->n_sources) {
        add(query, " and h.source in (");
        for (size_t i = 0; i < q->n_sources; i++) {
            char place[16];
            snprintf(place, sizeof place, "%s?%zu", i ? ", " : "", 5 + i);
            add(query, place);
        }
        add(query, ")");
    }
    add(query, " order by h.id desc");
    sqlite3_stmt *st = prepare(t, query);
    if (!st) return;
    if (q->id) sqlite3_bind_int64(st, 1, q->id);
    if (q->after) sqlite3_bind_int64(st, 2, q->after);
    if (q->template_name[0]) sqlite3_bind_text(st, 3, q->template_name, -1, SQLITE_STATIC);
    if (q->task) sqlite3_bind_int64(st, 4, q->task);
    for (size_t i = 0; i < q->n_sources; i++) sqlite3_bind_int64(st, 5 + (int)i, (int64_t)q->sources[i]);
    int64_t last = 0;
    size_t n = put_rows(t, st, &last);
    if (n && sqlite3_step(st) == SQLITE_ROW)
        snprintf(t->answer->cursor, sizeof t->answer->cursor, "%" PRId64, last);
    sqlite3_finalize(st);
    if (!q->n_sources && !q->template_name[0] && !q->id && !q->task)
        tell_dropped(t, "select value from numbers where name = 'history_dropped'", "rows");
}

static void answer_errors(task_t *t)
{
    const question_t *q = t->question;
    char query[QUERY] = "select e.template, e.error, e.count, (select count(distinct h.source) from history h"
                        " where h.fingerprint = e.fingerprint) as sources, e.first_ms, e.last_ms, e.detail,"
                        " e.status, s.url as example, e.source from errors e"
                        " left join sources s on s.id = e.source where 1";
    if (q->template_name[0]) add(query, " and e.template = ?1");
    add(query, " order by e.last_ms desc, e.fingerprint limit -1 offset ?2");
    sqlite3_stmt *st = prepare(t, query);
    if (!st) return;
    if (q->template_name[0]) sqlite3_bind_text(st, 1, q->template_name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, q->after);
    int64_t last = 0;
    size_t n = put_rows(t, st, &last);
    if (n && sqlite3_step(st) == SQLITE_ROW)
        snprintf(t->answer->cursor, sizeof t->answer->cursor, "%" PRId64, q->after + (int64_t)n);
    sqlite3_finalize(st);
    if (!q->template_name[0])
        tell_dropped(t, "select value from numbers where name = 'errors_dropped'", "groups");
}

// -- the copy -----------------------------------------------------------------------------------------

static void answer_backup(task_t *t)
{
    char path[PATH_SIZE + QUESTION_PATH], why[400];
    const char *wanted = t->question->path;
    snprintf(path, sizeof path, "%s%s%s", wanted[0] == '/' ? "" : t->lookup->folder,
             wanted[0] == '/' ? "" : "/", wanted);
    int64_t bytes = 0;
    if (backup_write(t->lookup->db, path, &bytes, why, sizeof why)) {
        refuse(t, 409, "file", why);
        return;
    }
    yyjson_mut_val *o = yyjson_mut_obj(t->doc);
    yyjson_mut_doc_set_root(t->doc, o);
    yyjson_mut_obj_add_strcpy(t->doc, o, "file", path);
    yyjson_mut_obj_add_int(t->doc, o, "bytes", bytes);
}

// -- the thread ---------------------------------------------------------------------------------------

static answer_t *answer(lookup_t *l, const question_t *q)
{
    answer_t *a = xcalloc(1, sizeof *a);
    a->peer = q->peer;
    a->request = q->request;
    task_t t = {.lookup = l, .question = q, .answer = a, .doc = yyjson_mut_doc_new(NULL)};
    switch (q->kind) {
    case QUESTION_HISTORY: answer_history(&t); break;
    case QUESTION_ERRORS: answer_errors(&t); break;
    case QUESTION_BACKUP: answer_backup(&t); break;
    }
    size_t len = 0;
    if (!a->code) a->json = yyjson_mut_write(t.doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, &len);
    if (!a->code && !a->json) refuse(&t, 500, "", "the answer cannot be written");
    if (len > ANSWER_MAX)
        refuse(&t, 413, "", "the answer is too long to be sent; ask for fewer rows (limit)");
    yyjson_mut_doc_free(t.doc);
    return a;
}

static void *answer_loop(void *arg)
{
    lookup_t *l = arg;
    for (bool over = false; !over;) {
        struct pollfd wait = {.fd = queue_fd(l->questions), .events = POLLIN};
        poll(&wait, 1, -1);
        queue_clear(l->questions);
        for (question_t *q; !over && (q = queue_pop(l->questions));) {
            over = q == &the_end;
            if (over) continue;
            answer_t *a = answer(l, q);
            free(q);
            if (queue_push(l->answers, a)) answer_free(a); // the client asks again
        }
    }
    return NULL;
}

lookup_t *lookup_new(const char *folder, const char **error)
{
    static char why[300];
    char path[PATH_SIZE + 16];
    lookup_t *l = xcalloc(1, sizeof *l);
    l->questions = queue_new(QUESTIONS_MAX);
    l->answers = queue_new(QUESTIONS_MAX);
    if (!realpath(folder, l->folder)) snprintf(l->folder, sizeof l->folder, "%s", folder);
    snprintf(path, sizeof path, "%s/broker.db", l->folder);
    if (sqlite3_open_v2(path, &l->db, SQLITE_OPEN_READONLY, NULL) ||
        sqlite3_exec(l->db, "pragma busy_timeout = 5000; select count(*) from numbers", NULL, NULL, NULL)) {
        snprintf(why, sizeof why, "cannot read: %.200s", sqlite3_errmsg(l->db));
        *error = why;
        lookup_destroy(&l);
        return NULL;
    }
    CHECK(pthread_create(&l->thread, NULL, answer_loop, l) == 0);
    return l;
}

static void drop_question(void *question)
{
    if (question != &the_end) free(question);
}

static void drop_answer(void *a)
{
    answer_free(a);
}

void lookup_destroy(lookup_t **lookup)
{
    lookup_t *l = *lookup;
    if (!l) return;
    if (l->thread) {
        for (question_t *q; (q = queue_pop(l->questions));) drop_question(q);
        CHECK(queue_push(l->questions, &the_end) == 0);
        sqlite3_interrupt(l->db); // a copy is not waited for
        pthread_join(l->thread, NULL);
    }
    sqlite3_close(l->db);
    queue_destroy(&l->questions, drop_question);
    queue_destroy(&l->answers, drop_answer);
    free(l);
    *lookup = NULL;
}

int lookup_ask(lookup_t *l, const question_t *question)
{
    question_t *copy = xmalloc(sizeof *copy);
    *copy = *question;
    if (queue_push(l->questions, copy) == 0) return 0;
    free(copy);
    return -1;
}

answer_t *lookup_take(lookup_t *l)
{
    return queue_pop(l->answers);
}

void answer_free(answer_t *a)
{
    if (!a) return;
    free(a->json);
    free(a);
}

int lookup_fd(const lookup_t *l)
{
    return queue_fd(l->answers);
}

void lookup_clear(lookup_t *l)
{
    queue_clear(l->answers);
}
