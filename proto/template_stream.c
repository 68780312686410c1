// Template, kind stream: one long response of events, each of which is JSON.
#include <string.h>

#include "proto/limits.h"
#include "proto/template_json.h"

int member_events(parse_t *p, yyjson_val *value, const char *path)
{
    return read_texts(p, value, path, MAX_NAME, MAX_SELECTORS, &p->t->events, &p->t->n_events);
}

int member_offset(parse_t *p, yyjson_val *value, const char *path)
{
    return read_text(p, value, path, MAX_SELECTOR, &p->t->offset);
}

int member_resume(parse_t *p, yyjson_val *value, const char *path)
{
    if (read_text(p, value, path, MAX_URL, &p->t->resume) != 0) return -1;
    const char *at = strstr(p->t->resume, "{}");
    if (at && !strstr(at + 2, "{}")) return 0;
    return template_fail(p->error, path, "must hold {} once, where the position goes: \"/stream?since={}\"");
}

int template_stream(parse_t *p)
{
    const template_t *t = p->t;
    const struct {
        const char *name;
        bool given;
    } own[] = {{"events", t->n_events > 0}, {"offset", t->offset}, {"resume", t->resume}};
    for (size_t i = 0; i < sizeof own / sizeof *own && t->kind != KIND_STREAM; i++)
        if (own[i].given)
            return template_fail(p->error, own[i].name, "is for kind \"stream\" only; leave it out");
    if (t->kind != KIND_STREAM) return 0;
    if (t->resume && t->n_urls != 1)
        return template_fail(p->error, "resume", "fits one URL, and the template has %zu", t->n_urls);
    if (t->resume && strncmp(t->resume, "http://", 7) != 0 && strncmp(t->resume, "https://", 8) != 0)
        return template_fail(p->error, "resume", "must be an absolute URL: \"https://...\"");
    if (t->max_concurrent || t->n_blocks || t->n_depends_on)
        return template_fail(p->error,
                             t->max_concurrent ? "max_concurrent"
                             : t->n_blocks     ? "blocks"
                                               : "depends_on",
                             "is about polls, and a stream runs all the time; leave it out");
    if (t->follow) return template_fail(p->error, "detail", "the items of a stream have no details");
    if (t->n_fields == 0)
        return template_fail(p->error, "fields",
                             "is missing; say what to read of an event: {\"title\": \"$.title\", ...}");
    return 0;
}
