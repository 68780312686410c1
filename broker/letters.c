// Letters: two maps and a list by age.
#include "broker/letters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/records.h"
#include "broker/state.h"
#include "broker/trouble.h"
#include "common/check.h"
#include "common/line.h"
#include "common/log.h"

static const char *const kinds[] = {"task", "quarantine"};

const char *letter_kind_name(letter_kind_t kind)
{
    return kinds[kind];
}

void letters_init(letters_t *l)
{
    *l = (letters_t){.next_id = 1};
    map_init(&l->by_id);
    map_init(&l->by_key);
}

void letters_free(letters_t *l)
{
    size_t pos = 0;
    for (letter_t *x; (x = map_next(&l->by_id, &pos));) free(x);
    map_free(&l->by_id);
    map_free(&l->by_key);
}

// source 0: all of the template.
static uint64_t key_of(letter_kind_t kind, const char *template_name, uint64_t source, error_class_t error)
{
    if (!source) source = template_id(template_name);
    uint64_t what = kind == LETTER_QUARANTINE ? 1 : 2 + (uint64_t)error; // a source is in quarantine once
    return source ^ what * 0x9e3779b97f4a7c15ULL;
}

static void unlink_letter(letters_t *l, letter_t *x)
{
    *(x->previous ? &x->previous->next : &l->oldest) = x->next;
    *(x->next ? &x->next->previous : &l->newest) = x->previous;
}

static void append(letters_t *l, letter_t *x)
{
    x->place = ++l->places;
    x->previous = l->newest;
    x->next = NULL;
    *(l->newest ? &l->newest->next : &l->oldest) = x;
    l->newest = x;
}

static void forget(letters_t *l, letter_t *x)
{
    unlink_letter(l, x);
    map_del(&l->by_id, x->id);
    map_del(&l->by_key, key_of(x->kind, x->template_name, x->source, x->error));
    free(x);
}

static void store(broker_t *b, const letter_t *x)
{
    yyjson_mut_doc *doc = record_new();
    yyjson_mut_val *o = yyjson_mut_doc_get_root(doc);
    yyjson_mut_obj_add_uint(doc, o, "kind", x->kind);
    yyjson_mut_obj_add_uint(doc, o, "source", x->source);
    yyjson_mut_obj_add_strcpy(doc, o, "template", x->template_name);
    yyjson_mut_obj_add_strcpy(doc, o, "detail", x->detail);
    yyjson_mut_obj_add_uint(doc, o, "error", x->error);
    yyjson_mut_obj_add_uint(doc, o, "count", x->count);
    yyjson_mut_obj_add_int(doc, o, "first", x->first);
    yyjson_mut_obj_add_int(doc, o, "last", x->last);
    record_put(b, RECORD_LETTER, x->id, doc);
}

static letter_t *add(letters_t *l, uint64_t id, const letter_t *from)
{
    letter_t *x = xcalloc(1, sizeof *x);
    *x = *from;
    x->id = id;
    if (id >= l->next_id) l->next_id = id + 1;
    map_put(&l->by_id, id, x);
    map_put(&l->by_key, key_of(x->kind, x->template_name, x->source, x->error), x);
    append(l, x);
    return x;
}

static void drop_oldest(broker_t *b)
{
    letters_t *l = &b->letters;
    while (l->by_id.count > b->config.letters_rows) {
        broker_store_number(b, "letters_dropped", (int64_t)++l->dropped);
        log_warn("letter_dropped", "id=%llu template=%s dropped=%llu", (unsigned long long)l->oldest->id,
                 l->oldest->template_name, (unsigned long long)l->dropped);
        letter_remove(b, l->oldest);
    }
}

void letter_put(broker_t *b, letter_kind_t kind, const char *template_name, uint64_t source,
                error_class_t error, const char *detail)
{
    letters_t *l = &b->letters;
    letter_t *x = map_get(&l->by_key, key_of(kind, template_name, source, error));
    if (!x) {
        letter_t fresh = {.kind = kind, .source = source, .error = error, .first = b->now};
        snprintf(fresh.template_name, sizeof fresh.template_name, "%s", template_name);
        x = add(l, l->next_id, &fresh);
        broker_store_number(b, "next_letter", (int64_t)l->next_id); // a name that was seen names no other
    }
    unlink_letter(l, x);
    append(l, x);
    x->count++;
    x->last = b->now;
    line_copy(x->detail, sizeof x->detail, detail);
    store(b, x);
    drop_oldest(b);
}

void letter_load(broker_t *b, uint64_t id, yyjson_val *o)
{
    if (!yyjson_is_obj(o) || map_get(&b->letters.by_id, id)) return;
    const char *name = yyjson_get_str(yyjson_obj_get(o, "template"));
    const char *detail = yyjson_get_str(yyjson_obj_get(o, "detail"));
    uint64_t kind = yyjson_get_uint(yyjson_obj_get(o, "kind")),
             error = yyjson_get_uint(yyjson_obj_get(o, "error"));
    letter_t x = {.kind = kind == LETTER_QUARANTINE ? LETTER_QUARANTINE : LETTER_TASK,
                  .source = yyjson_get_uint(yyjson_obj_get(o, "source")),
                  .error = error < ERR_COUNT ? (error_class_t)error : ERR_internal,
                  .count = yyjson_get_uint(yyjson_obj_get(o, "count")),
                  .first = yyjson_get_sint(yyjson_obj_get(o, "first")),
                  .last = yyjson_get_sint(yyjson_obj_get(o, "last"))};
    snprintf(x.template_name, sizeof x.template_name, "%s", name ? name : "");
    snprintf(x.detail, sizeof x.detail, "%s", detail ? detail : "");
    add(&b->letters, id, &x);
}

static int by_last(const void *a, const void *b)
{
    const letter_t *x = *(letter_t *const *)a, *y = *(letter_t *const *)b;
    if (x->last != y->last) return x->last < y->last ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

// They lie in the file in the order in which they were first written. A letter of a source that came out of
// quarantine just before the end may have stayed.
void letters_start(broker_t *b)
{
    letters_t *l = &b->letters;
    size_t n = 0, pos = 0;
    letter_t **all = xcalloc(l->by_id.count + 1, sizeof(letter_t *));
    for (letter_t *x; (x = map_next(&l->by_id, &pos));) all[n++] = x;
    if (n) qsort(all, n, sizeof(letter_t *), by_last);
    l->oldest = l->newest = NULL;
    for (size_t i = 0; i < n; i++) append(l, all[i]);
    for (size_t i = 0; i < n; i++) {
        const source_t *s = map_get(&b->catalog.sources, all[i]->source);
        if (all[i]->kind == LETTER_QUARANTINE && s && !source_is_quarantined(s)) letter_remove(b, all[i]);
    }
    free(all);
    drop_oldest(b);
}

letter_t *letter_find(const letters_t *l, uint64_t id)
{
    return map_get(&l->by_id, id);
}

void letter_remove(broker_t *b, letter_t *x)
{
    record_drop(b, RECORD_LETTER, x->id);
    forget(&b->letters, x);
}

void letters_drop_source(broker_t *b, uint64_t source, letter_kind_t kind)
{
    letter_t *x = map_get(&b->letters.by_key, key_of(kind, "", source, ERR_none));
    if (x && kind == LETTER_QUARANTINE) letter_remove(b, x);
}
