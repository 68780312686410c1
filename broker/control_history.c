// Control, history: what became of dues, which errors recur, doing one again, and copies of the broker's
// state. What only the file knows is asked for as an action, see question.h.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/control.h"
#include "broker/trouble.h"
#include "common/log.h"

enum { FLUSH_MOST = 2000 };

// -- arguments ----------------------------------------------------------------------------------------

// A whole number from 0 on; false: refused. Not given: otherwise.
static bool number_arg(call_t *c, const char *name, int64_t otherwise, int64_t *value)
{
    const char *text = call_arg(c, name);
    char *end;
    errno = 0;
    *value = *text ? strtoll(text, &end, 10) : otherwise;
    if (*text && (errno || *end || *value < 0)) {
        call_refuse(c, 400, name, "'%.60s' is no number", text);
        return false;
    }
    return true;
}

static bool begin(call_t *c, question_t *q, question_kind_t kind)
{
    int64_t limit;
    *q = (question_t){.kind = kind, .peer = c->peer, .request = c->request->id};
    if (!number_arg(c, "limit", PAGE_ROWS, &limit) || !number_arg(c, "cursor", 0, &q->after) ||
        !number_arg(c, "id", 0, &q->id) || !number_arg(c, "task", 0, &q->task))
        return false;
    q->limit = limit && limit < PAGE_ROWS ? (size_t)limit : PAGE_ROWS;
    q->failed = call_flag(c, "failed");
    return true;
}

// Whose history is meant. What has gathered of it is handed to the store first, so that the answer has all.
static bool choose(call_t *c, question_t *q)
{
    broker_t *b = c->broker;
    const char *name = call_arg(c, "name");
    source_t *sources[QUESTION_SOURCES];
    if (strlen(name) > MAX_NAME && !strstr(name, "://")) {
        call_refuse(c, 404, "name", "there is no such template");
        return false;
    }
    listing_t *l = *name ? catalog_find(&b->catalog, name) : NULL;
    if (l || !*name) {
        history_flush_some(b, l, FLUSH_MOST);
        snprintf(q->template_name, sizeof q->template_name, "%s", name);
        return true;
    }
    size_t n = call_sources(c, name, sources, QUESTION_SOURCES);
    for (size_t i = 0; i < n; i++) {
        history_flush(b, sources[i]);
        q->sources[q->n_sources++] = sources[i]->id;
    }
    if (n) return true;
    if (strstr(name, "://")) {
        call_refuse(c, 404, "name",
                    "no template has the source '%.300s'; of one that was removed, give the id", name);
        return false;
    }
    if (call_source_id(name, &q->sources[0]))
        q->n_sources = 1; // it was removed; its history may still be there
    else
        snprintf(q->template_name, sizeof q->template_name, "%s", name);
    return true;
}

static void ask(call_t *c, const question_t *q)
{
    broker_t *b = c->broker;
    if (!b->out.ask) {
        call_refuse(c, 501, "command", "this broker has no file to look in");
        return;
    }
    c->asked = true;
    b->out.ask(b->out.context, q);
}

// -- commands -----------------------------------------------------------------------------------------

void command_history(call_t *c)
{
    question_t q;
    if (begin(c, &q, QUESTION_HISTORY) && (q.id || choose(c, &q))) ask(c, &q);
}

void command_errors(call_t *c)
{
    question_t q;
    const char *name = call_arg(c, "name");
    if (!begin(c, &q, QUESTION_ERRORS)) return;
    listing_t *l = *name ? call_listing(c) : NULL;
    if (*name && !l) return;
    history_flush_some(c->broker, l, FLUSH_MOST);
    snprintf(q.template_name, sizeof q.template_name, "%s", name);
    ask(c, &q);
}

void command_backup(call_t *c)
{
    question_t q;
    const char *file = call_arg(c, "file");
    size_t len = strlen(file);
    if (!len || file[len - 1] == '/') {
        call_refuse(c, 400, "file", "the copy needs a file name");
        return;
    }
    if (len >= sizeof q.path) {
        call_refuse(c, 400, "file", "the path is longer than %zu bytes", sizeof q.path - 1);
        return;
    }
    if (!begin(c, &q, QUESTION_BACKUP)) return;
    memcpy(q.path, file, len + 1);
    history_flush_some(c->broker, NULL, FLUSH_MOST);
    ask(c, &q);
}

// The source of a row of the history is polled once more, now, and its document read as if it had never been
// seen. The row names the work; what is done is done to the source as it is today.
void command_replay(call_t *c)
{
    broker_t *b = c->broker;
    source_t *s = NULL;
    const char *name = call_arg(c, "source");
    if (call_sources(c, name, &s, 1) != 1) {
        call_refuse(c, 404, "source", "there is no source '%.300s' any more", name);
    } else if (!s->listing->enabled) {
        call_refuse(c, 409, "source", "its template '%s' is disabled", s->listing->template->name);
    } else if (!s->entered) {
        call_refuse(c, 409, "source", "it is not scheduled");
    } else if (source_is_quarantined(s)) {
        call_refuse(c, 409, "source", "it is in quarantine; `rtm-ctl enable %016llx` lets it out",
                    (unsigned long long)s->id);
    } else if (s->extra) {
        call_refuse(c, 409, "source", "a poll of it outside of its schedule waits or runs already");
    } else {
        dues_extra(b, s, CAUSE_replay, 0);
        log_info("replay", "source=%016llx row=%s url=\"%s\"", (unsigned long long)s->id, call_arg(c, "id"),
                 s->url);
        yyjson_mut_val *o = call_object(c);
        put_id(c, o, "source", s->id);
        put_str(c, o, "template", s->listing->template->name);
        put_str(c, o, "url", s->url);
        put_str(c, o, "action", "replayed");
        put_time(c, o, "due_ms", s->extra ? s->extra : s->turn);
    }
}
