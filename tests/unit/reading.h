// Reading: a template as users write it, its reader, and what that finds in a document; for tests of readers.
#ifndef RTM_TESTS_READING_H
#define RTM_TESTS_READING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "miner/read/read.h"
#include "proto/limits.h"

#define READING_URL "https://a.example/list?page=1"

typedef struct {
    arena_t *templates, *arena; // of the template; of what was read last
    template_t *template;
    reader_t *reader;
    items_t items;
    template_error_t error;
    const char *url; // of documents: READING_URL, unless a test says otherwise
} reading_t;

// A template: a whole one, or the members of one beside name and URL (READING_URL). false: error says why it
// is refused.
static inline bool reading_begin(reading_t *r, const char *json)
{
    *r = (reading_t){.templates = arena_new(4 << 20), .arena = arena_new(DOCUMENT_ARENA), .url = READING_URL};
    if (*json != '{')
        json = arena_printf(r->templates, "{\"name\":\"t\",\"url\":\"" READING_URL "\",%s}", json);
    r->template = template_parse(r->templates, json, strlen(json), &r->error);
    r->reader = r->template ? reader_new(r->template, &r->error) : NULL;
    return r->reader != NULL;
}

static inline void reading_open(reading_t *r, const char *json)
{
    if (!reading_begin(r, json)) fail_msg("%s: %s: %s", json, r->error.field, r->error.text);
}

static inline void reading_close(reading_t *r)
{
    reader_destroy(&r->reader);
    arena_destroy(&r->arena);
    arena_destroy(&r->templates);
}

static inline read_status_t reading_bytes(reading_t *r, const char *bytes, size_t len)
{
    document_t document = {.bytes = bytes, .len = len, .url = r->url};
    arena_reset(r->arena);
    return reader_items(r->reader, r->arena, &document, &r->items);
}

static inline read_status_t reading_text(reading_t *r, const char *text)
{
    return reading_bytes(r, text, strlen(text));
}

static inline read_status_t reading_detail(reading_t *r, const char *text, item_t *out, bool *drop)
{
    document_t document = {.bytes = text, .len = strlen(text), .url = r->url};
    arena_reset(r->arena);
    return reader_detail(r->reader, r->arena, &document, out, drop);
}

static inline void reading_refused(const char *json, const char *field, const char *words)
{
    reading_t r;
    if (reading_begin(&r, json)) fail_msg("%s was taken", json);
    if (strcmp(r.error.field, field) != 0 || !strstr(r.error.text, words))
        fail_msg("%s: %s: %s", json, r.error.field, r.error.text);
    reading_close(&r);
}

#endif
