// Details: a page of kind html is read by html.h; one of kind json is a list of which the first item counts.
#include "miner/read/details.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "miner/read/html.h"
#include "miner/read/json.h"
#include "miner/read/script.h"
#include "proto/limits.h"

struct details {
    html_detail_t *html;
    template_t list; // kind json: the template of that list
    json_reader_t *json;
    script_t *script; // or NULL: the document is JSON
};

// Errors name the members as they stand in the whole template.
static void name_member(template_error_t *error)
{
    char field[sizeof error->field];
    snprintf(field, sizeof field, "detail.%.*s", (int)sizeof field - 8, error->field);
    memcpy(error->field, field, sizeof field);
}

static int compile_json(details_t *d, const template_t *t, template_error_t *error)
{
    // whatever is there is worth an item, so it has a key of its own
    static field_t key = {.name = "key", .default_text = "detail"};
    d->list = (template_t){.kind = KIND_JSON,
                           .script = t->detail_script,
                           .items = t->detail_items,
                           .n_items = t->n_detail_items,
                           .fields = t->detail_fields,
                           .n_fields = t->n_detail_fields,
                           .key = &key};
    d->json = json_reader_new(&d->list, error);
    if (d->json && t->detail_script) d->script = script_new(&d->list, error);
    if (d->json && (d->script || !t->detail_script)) return 0;
    name_member(error);
    return -1;
}

static int compile_html(details_t *d, const template_t *t, template_error_t *error)
{
    d->html = html_detail_new(t, error);
    return d->html ? 0 : -1;
}

details_t *details_new(const template_t *t, template_error_t *error)
{
    details_t *d = xcalloc(1, sizeof *d);
    int rc = t->detail_kind == KIND_JSON ? compile_json(d, t, error) : compile_html(d, t, error);
    if (rc != 0) details_destroy(&d);
    return d;
}

void details_destroy(details_t **details)
{
    details_t *d = *details;
    if (!d) return;
    html_detail_destroy(&d->html);
    json_reader_destroy(&d->json);
    script_destroy(&d->script);
    free(d);
    *details = NULL;
}

// APIs say `null` of what is not there, or not yet.
static bool is_null(const document_t *document)
{
    const char *s = document->bytes;
    size_t len = document->len;
    while (len && strchr(" \t\r\n", *s) && *s) s++, len--;
    while (len && strchr(" \t\r\n", s[len - 1]) && s[len - 1]) len--;
    return len == 4 && memcmp(s, "null", 4) == 0;
}

static read_status_t read_json(details_t *d, arena_t *arena, const document_t *document, items_t *out,
                               bool *drop)
{
    *out = (items_t){.items = NULL};
    *drop = false;
    if (!d->script && is_null(document)) return READ_EMPTY_BODY;
    read_status_t status = d->script ? script_items(d->script, d->json, arena, document, out)
                                     : json_items(d->json, arena, document, out);
    if (status != READ_OK && status != READ_ROTTED) return status;
    *drop = status == READ_ROTTED || out->n_items == 0; // without what `items` or a required field selects
    out->n_items = !*drop;
    if (!*drop) out->items->key = NULL;
    return READ_OK;
}

read_status_t details_read(details_t *d, arena_t *arena, const document_t *document, items_t *out, bool *drop)
{
    return d->html ? html_details(d->html, arena, document, out, drop)
                   : read_json(d, arena, document, out, drop);
}
