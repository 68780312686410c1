// Template, policies: what may run beside what, and what happens when a poll fails: `depends_on`, `blocks`,
// `max_concurrent`, `deadline`, `retry`, `max_consecutive_failures`.
#include <string.h>

#include "proto/limits.h"
#include "proto/template_json.h"
#include "proto/wire.h"

#define ROWS(array) (sizeof(array) / sizeof *(array))

enum { SECOND = 1000, DAY = 86400 * SECOND, MAX_ATTEMPTS = 20, MAX_COEFFICIENT = 10 };

static int read_count(parse_t *p, yyjson_val *value, const char *path, uint64_t least, uint64_t most,
                      uint32_t *out)
{
    if (!yyjson_is_uint(value) || yyjson_get_uint(value) < least || yyjson_get_uint(value) > most)
        return template_fail(p->error, path, "must be a whole number from %llu to %llu",
                             (unsigned long long)least, (unsigned long long)most);
    *out = (uint32_t)yyjson_get_uint(value);
    return 0;
}

// -- retry ----------------------------------------------------------------------------------------

static int retry_attempts(parse_t *p, yyjson_val *value, const char *path)
{
    return read_count(p, value, path, 1, MAX_ATTEMPTS, &p->t->retry.max_attempts);
}

static int retry_initial(parse_t *p, yyjson_val *value, const char *path)
{
    return read_duration(p, value, path, 100, DAY, &p->t->retry.initial_ms);
}

static int retry_most(parse_t *p, yyjson_val *value, const char *path)
{
    return read_duration(p, value, path, 100, DAY, &p->t->retry.max_ms);
}

static int retry_coefficient(parse_t *p, yyjson_val *value, const char *path)
{
    double number = yyjson_is_num(value) ? yyjson_get_num(value) : 0;
    if (!(number >= 1 && number <= MAX_COEFFICIENT))
        return template_fail(p->error, path, "must be a number from 1 to %d", MAX_COEFFICIENT);
    p->t->retry.coefficient = number;
    return 0;
}

static int retry_non_retryable(parse_t *p, yyjson_val *value, const char *path)
{
    static const char *words[ERR_quarantined]; // the classes of failed polls, without `none`
    for (uint64_t e = 1; e < ERR_quarantined; e++) words[e - 1] = error_class_name(e);
    const char **names;
    size_t n;
    if (read_texts(p, value, path, MAX_NAME, ERR_quarantined, &names, &n) != 0) return -1;
    p->t->retry.non_retryable = 0;
    for (size_t i = 0; i < n; i++) {
        char where[MAX_PATH];
        path_index(where, path, i);
        size_t e = 0;
        while (words[e] && strcmp(words[e], names[i]) != 0) e++;
        const char *meant = words[e] ? NULL : nearest(names[i], words);
        if (!words[e])
            return template_fail(p->error, where, "\"%.40s\" is no error class%s%s", names[i],
                                 meant ? "; did you mean " : "; TEMPLATES.md lists them", meant ? meant : "");
        p->t->retry.non_retryable |= 1ULL << (e + 1);
    }
    return 0;
}

int member_retry(parse_t *p, yyjson_val *value, const char *path)
{
    static const member_t rows[] = {{"max_attempts", retry_attempts},
                                    {"initial_interval", retry_initial},
                                    {"backoff_coefficient", retry_coefficient},
                                    {"max_interval", retry_most},
                                    {"non_retryable", retry_non_retryable}};
    if (read_members(p, value, path, rows, ROWS(rows)) != 0) return -1;
    if (p->t->retry.max_ms && p->t->retry.initial_ms > p->t->retry.max_ms)
        return template_fail(p->error, path, "`initial_interval` is longer than `max_interval`");
    return 0;
}

// -- the rest -------------------------------------------------------------------------------------

int member_max_failures(parse_t *p, yyjson_val *value, const char *path)
{
    p->max_failures_given = true;
    return read_count(p, value, path, 0, 1000, &p->t->max_consecutive_failures);
}

int member_max_concurrent(parse_t *p, yyjson_val *value, const char *path)
{
    return read_count(p, value, path, 1, 1000000, &p->t->max_concurrent);
}

int member_deadline(parse_t *p, yyjson_val *value, const char *path)
{
    return read_duration(p, value, path, SECOND, 366LL * DAY, &p->t->deadline_ms);
}

static int read_names(parse_t *p, yyjson_val *value, const char *path, const char ***names, size_t *n)
{
    if (read_texts(p, value, path, MAX_NAME, MAX_RELATIONS, names, n) != 0) return -1;
    for (size_t i = 0; i < *n; i++)
        for (size_t k = 0; k < i; k++)
            if (!strcmp((*names)[i], (*names)[k]))
                return template_fail(p->error, path, "names `%.60s` twice", (*names)[i]);
    return 0;
}

int member_depends_on(parse_t *p, yyjson_val *value, const char *path)
{
    return read_names(p, value, path, &p->t->depends_on, &p->t->n_depends_on);
}

int member_blocks(parse_t *p, yyjson_val *value, const char *path)
{
    return read_names(p, value, path, &p->t->blocks, &p->t->n_blocks);
}

static int refuse_itself(parse_t *p, const char *field, const char **names, size_t n, const char *why)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], p->t->name)) return template_fail(p->error, field, "%s", why);
    return 0;
}

// Classes that another attempt in a few seconds does not change.
static uint64_t final_classes(void)
{
    static const error_class_t classes[] = {
        ERR_bad_url,   ERR_refused_address, ERR_http_4xx,  ERR_not_found,     ERR_gone,
        ERR_challenge, ERR_too_big,         ERR_redirects, ERR_not_this_kind, ERR_parse,
        ERR_robots,    ERR_too_complex,     ERR_rejected};
    uint64_t set = 0;
    for (size_t i = 0; i < ROWS(classes); i++) set |= 1ULL << classes[i];
    return set;
}

int template_policy_complete(parse_t *p)
{
    template_t *t = p->t;
    retry_policy_t *r = &t->retry;
    if (!r->max_attempts) r->max_attempts = 5;
    if (!r->initial_ms) r->initial_ms = SECOND;
    if (r->coefficient == 0) r->coefficient = 2;
    if (!r->max_ms) r->max_ms = r->initial_ms > 60 * SECOND ? r->initial_ms : 60 * SECOND;
    if (!r->non_retryable) r->non_retryable = final_classes();
    if (!p->max_failures_given) t->max_consecutive_failures = 5;
    if (refuse_itself(p, "depends_on", t->depends_on, t->n_depends_on, "a template cannot wait for itself"))
        return -1;
    return refuse_itself(p, "blocks", t->blocks, t->n_blocks,
                         "names the template itself; `max_concurrent`: 1 keeps its own polls apart");
}
