// Filter: patterns against an item's columns and the members of its `fields`.
#include "miner/read/filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#include "common/check.h"
#include "miner/read/pattern.h"

typedef struct {
    const filter_t *filter;
    pattern_t **patterns; // of filter->n_patterns
} rule_t;

struct filters {
    const template_t *template;
    rule_t *rules;
    size_t n;
    bool detail;
    bool uses_fields; // a rule names a field that is no column
};

static const char *column(const item_t *item, const char *name, bool *is_column)
{
    const struct {
        const char *name, *text;
    } columns[] = {{"title", item->title},     {"url", item->url},         {"author", item->author},
                   {"summary", item->summary}, {"content", item->content}, {"image", item->image}};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        *is_column = strcmp(columns[i].name, name) == 0;
        if (*is_column) return columns[i].text;
    }
    return NULL;
}

static bool compile_rule(rule_t *rule, const filter_t *f, bool detail, template_error_t *error)
{
    rule->filter = f;
    rule->patterns = xcalloc(f->n_patterns, sizeof(pattern_t *));
    for (size_t i = 0; i < f->n_patterns; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s%s.%.100s", detail ? "detail." : "", f->drop ? "drop" : "keep",
                 f->field);
        rule->patterns[i] = pattern_new(f->patterns[i], path, error);
        if (!rule->patterns[i]) return false;
    }
    return true;
}

filters_t *filters_new(const template_t *t, bool detail, template_error_t *error)
{
    const filter_t *list = detail ? t->detail_filters : t->filters;
    size_t n = detail ? t->n_detail_filters : t->n_filters;
    filters_t *f = xcalloc(1, sizeof *f);
    f->template = t;
    f->detail = detail;
    f->rules = xcalloc(n ? n : 1, sizeof *f->rules);
    for (bool ok = true; ok && f->n < n;) {
        bool is_column;
        column(&(item_t){.title = NULL}, list[f->n].field, &is_column);
        f->uses_fields = f->uses_fields || !is_column;
        ok = compile_rule(&f->rules[f->n], &list[f->n], detail, error);
        f->n++;
        if (!ok) filters_destroy(&f);
        if (!f) return NULL;
    }
    return f;
}

void filters_destroy(filters_t **filters)
{
    filters_t *f = *filters;
    if (!f) return;
    for (size_t i = 0; i < f->n; i++) {
        for (size_t k = 0; k < f->rules[i].filter->n_patterns; k++) pattern_destroy(&f->rules[i].patterns[k]);
        free(f->rules[i].patterns);
    }
    free(f->rules);
    free(f);
    *filters = NULL;
}

// The text of a member of `fields`; a number's digits go to scratch.
static const char *member(yyjson_val *fields, const char *name, char scratch[64])
{
    yyjson_val *v = yyjson_obj_get(fields, name);
    if (yyjson_is_str(v) || yyjson_is_raw(v)) return unsafe_yyjson_get_str(v);
    if (yyjson_is_bool(v)) return yyjson_get_bool(v) ? "true" : "false";
    if (!yyjson_is_num(v)) return NULL;
    snprintf(scratch, 64, "%.17g", yyjson_get_num(v));
    return scratch;
}

static read_status_t judge_rule(const rule_t *rule, const char *text, bool *wanted)
{
    bool any = false;
    for (size_t i = 0; text && !any && i < rule->filter->n_patterns; i++) {
        const char *part;
        size_t len;
        pattern_status_t status = pattern_find(rule->patterns[i], text, &part, &len);
        if (status == PATTERN_EFFORT) return READ_TOO_COMPLEX;
        any = status == PATTERN_FOUND;
    }
    *wanted = any != rule->filter->drop;
    return READ_OK;
}

static bool url_is_dropped(const filters_t *f, const item_t *item)
{
    for (size_t i = 0; !f->detail && item->url && i < f->template->n_url_drops; i++)
        if (strstr(item->url, f->template->url_drops[i])) return true;
    return false;
}

bool filters_want_all(const filters_t *f)
{
    return f->n == 0 && (f->detail || f->template->n_url_drops == 0);
}

read_status_t filters_judge(const filters_t *f, const item_t *item, bool *wanted)
{
    *wanted = !url_is_dropped(f, item);
    yyjson_doc *doc = NULL;
    if (f->uses_fields && item->fields)
        doc = yyjson_read(item->fields, strlen(item->fields), YYJSON_READ_NUMBER_AS_RAW);
    read_status_t status = READ_OK;
    for (size_t i = 0; status == READ_OK && *wanted && i < f->n; i++) {
        bool is_column;
        char scratch[64];
        const char *text = column(item, f->rules[i].filter->field, &is_column);
        if (!is_column) text = member(yyjson_doc_get_root(doc), f->rules[i].filter->field, scratch);
        status = judge_rule(&f->rules[i], text, wanted);
    }
    yyjson_doc_free(doc);
    return status;
}
