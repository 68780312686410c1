// Try: what a template finds, in a saved document or on the web, without a broker and without storing.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/check.h"
#include "common/civil.h"
#include "common/clock.h"
#include "ctl/ctl.h"
#include "ctl/page.h"
#include "ctl/print.h"
#include "ctl/saved.h"
#include "miner/detail.h"
#include "miner/read/hint.h"
#include "miner/read/read.h"
#include "proto/limits.h"
#include "proto/template.h"

enum { URLS_DEFAULT = 3, DETAILS_MAX = 64, TEMPLATE_ARENA = 64 << 20, HINTS_MAX = 8 };

typedef struct {
    // options
    const char *file, *type, *url, *save;
    bool detail, all;
    page_options_t options;
    int64_t details;
    // the template and what reads for it
    const char *path; // of the template
    buf_t text;
    arena_t *template_arena, *arena; // arena: of one document
    template_t *template;
    reader_t *reader;
    ctl_t *ctl;
    page_t page;
    unsigned saved[2]; // documents so far: lists, details
    int result;
} try_t;

// One document, from wherever it came, and what was read in it.
typedef struct {
    document_t document;
    long status; // 0: a file
    int64_t fetch_ms, read_us;
    read_status_t read;
    items_t items;
    bool dropped; // detail page: not wanted
    hint_t hints[HINTS_MAX];
    size_t n_hints;
} look_t;

// -- template and file ----------------------------------------------------------------------------

static int refuse_template(const try_t *t, const template_error_t *error)
{
    char line[32] = "";
    if (error->line) snprintf(line, sizeof line, "line %d: ", error->line);
    return ctl_refuse("%s: %s%s%s%s", t->path, line, error->field, *error->field ? ": " : "", error->text);
}

static int load_template(try_t *t)
{
    const zone_t *zone; // that this system knows it; the broker looks for itself
    template_error_t error = {0};
    int result = ctl_read(&t->text, t->path, MAX_TEMPLATE);
    if (result != CTL_OK) return result;
    t->template = template_parse(t->template_arena, t->text.data ? t->text.data : "", t->text.len, &error);
    if (!t->template || template_zone(t->template, &zone, &error)) return refuse_template(t, &error);
    t->reader = reader_new(t->template, &error);
    return t->reader ? CTL_OK : refuse_template(t, &error);
}

// -- reading --------------------------------------------------------------------------------------

static void give_hints(try_t *t, look_t *look, bool detail)
{
    document_t document = look->document;
    if (look->read != READ_OK && look->read != READ_ROTTED) return;
    if (look->items.script) document.bytes = look->items.script, document.len = look->items.script_len;
    look->n_hints = hint_all(t->template, detail, t->arena, &document, look->items.selector_matches,
                             look->hints, HINTS_MAX);
}

static void read_list(try_t *t, look_t *look)
{
    int64_t start = clock_mono_us();
    look->read = reader_items(t->reader, t->arena, &look->document, &look->items);
    look->read_us = clock_mono_us() - start;
    give_hints(t, look, false);
}

static void read_detail(try_t *t, look_t *look)
{
    int64_t start = clock_mono_us();
    look->read = reader_detail_page(t->reader, t->arena, &look->document, &look->items, &look->dropped);
    look->read_us = clock_mono_us() - start;
    look->items.n_items = look->items.matched = look->read == READ_OK && !look->dropped;
    give_hints(t, look, true);
}

// -- as JSON values -------------------------------------------------------------------------------

// What at least one item has.
typedef struct {
    item_t item;
    yyjson_mut_val *fields;
} filled_t;

static void put_text(yyjson_mut_doc *doc, yyjson_mut_val *row, const char *name, const char *text)
{
    if (text)
        yyjson_mut_obj_add_str(doc, row, name, text);
    else
        yyjson_mut_obj_add_null(doc, row, name);
}

static yyjson_doc *fields_of(const item_t *item)
{
    return item->fields ? yyjson_read(item->fields, strlen(item->fields), YYJSON_READ_NUMBER_AS_RAW) : NULL;
}

// The members of an item's `fields` become columns of their own, unless they have the name of another.
static void put_fields(yyjson_mut_doc *doc, yyjson_mut_val *row, const item_t *item)
{
    yyjson_doc *parsed = fields_of(item);
    yyjson_obj_iter it = yyjson_obj_iter_with(yyjson_doc_get_root(parsed));
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        if (!yyjson_mut_obj_getn(row, yyjson_get_str(key), yyjson_get_len(key)))
            yyjson_mut_obj_add(row, yyjson_val_mut_copy(doc, key),
                               yyjson_val_mut_copy(doc, yyjson_obj_iter_get_val(key)));
    }
    yyjson_doc_free(parsed);
}

// A table has the same columns in each row.
static void put_missing(yyjson_mut_doc *doc, yyjson_mut_val *row, yyjson_mut_val *names)
{
    yyjson_mut_obj_iter it = yyjson_mut_obj_iter_with(names);
    for (yyjson_mut_val *key; (key = yyjson_mut_obj_iter_next(&it));)
        if (!yyjson_mut_obj_get(row, yyjson_mut_get_str(key)))
            yyjson_mut_obj_add_null(doc, row, yyjson_mut_get_str(key));
}

// Takes the place of a member of `fields` that has its name.
static void put_column(yyjson_mut_doc *doc, yyjson_mut_val *row, const char *name, const char *text)
{
    if (text) yyjson_mut_obj_remove_key(row, name);
    if (!yyjson_mut_obj_get(row, name)) put_text(doc, row, name, text);
}

// What programs want and people do not: all of `fields` as the row in Postgres has it, too.
static void put_row(yyjson_mut_doc *doc, yyjson_mut_val *row, const item_t *item)
{
    char text[20];
    yyjson_doc *fields = fields_of(item);
    snprintf(text, sizeof text, "%016" PRIx64, item->content_hash);
    yyjson_mut_obj_add_strcpy(doc, row, "content_hash", text);
    if (fields)
        yyjson_mut_obj_add_val(doc, row, "fields", yyjson_val_mut_copy(doc, yyjson_doc_get_root(fields)));
    yyjson_doc_free(fields);
}

// For people to the minute, so that a wrong time zone is seen.
static void put_published(yyjson_mut_doc *doc, yyjson_mut_val *row, int64_t ms, bool full)
{
    char text[20];
    time_t t = (time_t)civil_floor(ms, 1000);
    struct tm tm;
    const char *name = full ? "published_ms" : "published_utc";
    if (ms == TIME_NONE)
        yyjson_mut_obj_add_null(doc, row, name);
    else if (full)
        yyjson_mut_obj_add_int(doc, row, name, ms);
    else if (gmtime_r(&t, &tm) && strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm))
        yyjson_mut_obj_add_strcpy(doc, row, name, text);
}

// A column that no item fills is left out, so that a table shows what there is.
static yyjson_mut_val *item_row(yyjson_mut_doc *doc, const item_t *item, const filled_t *all, bool full)
{
    const item_t *filled = &all->item;
    yyjson_mut_val *row = yyjson_mut_obj(doc);
    if (filled->key) put_text(doc, row, "key", item->key);
    if (filled->published_ms != TIME_NONE) put_published(doc, row, item->published_ms, full);
    if (filled->title) put_text(doc, row, "title", item->title);
    if (filled->url) put_text(doc, row, "url", item->url);
    if (filled->author) put_text(doc, row, "author", item->author);
    put_fields(doc, row, item);
    if (!full) put_missing(doc, row, all->fields);
    if (filled->summary) put_column(doc, row, "summary", item->summary);
    if (filled->content) put_column(doc, row, "content", item->content);
    if (filled->image) put_column(doc, row, "image", item->image);
    return row;
}

static filled_t filled_of(yyjson_mut_doc *doc, const items_t *items)
{
    filled_t all = {.item = {.published_ms = TIME_NONE}, .fields = yyjson_mut_obj(doc)};
    for (size_t i = 0; i < items->n_items; i++) {
        const item_t *it = &items->items[i];
        put_fields(doc, all.fields, it);
        if (it->key) all.item.key = it->key;
        if (it->url) all.item.url = it->url;
        if (it->title) all.item.title = it->title;
        if (it->author) all.item.author = it->author;
        if (it->summary) all.item.summary = it->summary;
        if (it->content) all.item.content = it->content;
        if (it->image) all.item.image = it->image;
        if (it->published_ms != TIME_NONE) all.item.published_ms = it->published_ms;
    }
    return all;
}

// full: with what programs want and people do not.
static yyjson_mut_val *item_rows(yyjson_mut_doc *doc, const items_t *items, bool full)
{
    yyjson_mut_val *rows = yyjson_mut_arr(doc);
    filled_t all = filled_of(doc, items);
    for (size_t i = 0; i < items->n_items; i++) {
        yyjson_mut_val *row = item_row(doc, &items->items[i], &all, full);
        if (full) put_row(doc, row, &items->items[i]);
        yyjson_mut_arr_append(rows, row);
    }
    return rows;
}

static void add_selectors(yyjson_mut_doc *doc, yyjson_mut_val *rows, const char *field,
                          const char **selectors, size_t n, const size_t *matches)
{
    for (size_t i = 0; i < n; i++) {
        yyjson_mut_val *row = yyjson_mut_obj(doc);
        yyjson_mut_obj_add_str(doc, row, "field", field);
        yyjson_mut_obj_add_str(doc, row, "selector", selectors[i]);
        yyjson_mut_obj_add_uint(doc, row, "matches", matches[i]);
        yyjson_mut_arr_append(rows, row);
    }
}

static yyjson_mut_val *selector_rows(yyjson_mut_doc *doc, const template_t *t, bool detail,
                                     const size_t *matches)
{
    yyjson_mut_val *rows = yyjson_mut_arr(doc);
    const field_t *fields = detail ? t->detail_fields : t->fields;
    size_t n_fields = detail ? t->n_detail_fields : t->n_fields,
           n_items = detail ? t->n_detail_items : t->n_items;
    if (!matches) return rows;
    add_selectors(doc, rows, "items", detail ? t->detail_items : t->items, n_items, matches);
    matches += n_items;
    for (size_t i = 0; i < n_fields; i++) {
        add_selectors(doc, rows, fields[i].name, fields[i].selectors, fields[i].n_selectors, matches);
        matches += fields[i].n_selectors;
    }
    if (t->key && !detail) add_selectors(doc, rows, "key", t->key->selectors, t->key->n_selectors, matches);
    return rows;
}

static yyjson_mut_val *hint_rows(yyjson_mut_doc *doc, const look_t *look)
{
    yyjson_mut_val *rows = yyjson_mut_arr(doc);
    for (size_t i = 0; i < look->n_hints; i++) {
        yyjson_mut_val *row = yyjson_mut_arr_add_obj(doc, rows);
        yyjson_mut_obj_add_str(doc, row, "field", look->hints[i].field);
        yyjson_mut_obj_add_str(doc, row, "selector", look->hints[i].selector);
        if (look->hints[i].instead)
            yyjson_mut_obj_add_str(doc, row, "instead", look->hints[i].instead);
        else
            yyjson_mut_obj_add_str(doc, row, "why", look->hints[i].why);
        if (look->hints[i].value) yyjson_mut_obj_add_str(doc, row, "value", look->hints[i].value);
        yyjson_mut_obj_add_uint(doc, row, "matches", look->hints[i].matches);
    }
    return rows;
}

// -- telling --------------------------------------------------------------------------------------

static const char *read_name(const look_t *look)
{
    return look->dropped ? "dropped" : look->read == READ_OK ? "ok" : read_status_name(look->read);
}

static void tell_json(const try_t *t, const look_t *look, bool detail)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, o);
    put_text(doc, o, "url", look->document.url);
    yyjson_mut_obj_add_bool(doc, o, "detail", detail);
    yyjson_mut_obj_add_int(doc, o, "status", look->status);
    put_text(doc, o, "content_type", look->document.content_type);
    yyjson_mut_obj_add_uint(doc, o, "bytes", look->document.len);
    yyjson_mut_obj_add_int(doc, o, "fetch_ms", look->fetch_ms);
    yyjson_mut_obj_add_real(doc, o, "read_ms", (double)look->read_us / 1000);
    put_text(doc, o, "result", read_name(look));
    put_text(doc, o, "reason", look->read == READ_OK ? NULL : look->items.detail);
    yyjson_mut_obj_add_uint(doc, o, "matched", look->items.matched);
    yyjson_mut_obj_add_val(doc, o, "items", item_rows(doc, &look->items, true));
    put_text(doc, o, "next_url", look->items.next_url);
    yyjson_mut_obj_add_val(doc, o, "selectors",
                           selector_rows(doc, t->template, detail, look->items.selector_matches));
    yyjson_mut_obj_add_val(doc, o, "hints", hint_rows(doc, look));
    size_t len;
    char *json = yyjson_mut_write(doc, 0, &len);
    if (json) term_print_json(stdout, json, len);
    fputc('\n', stdout);
    free(json);
    yyjson_mut_doc_free(doc);
}

static void print_rows_of(yyjson_mut_val *rows)
{
    yyjson_doc *copy = yyjson_mut_val_imut_copy(rows, NULL);
    print_t print;
    print_begin(&print, stdout, false, clock_wall_ms());
    if (print_page(&print, yyjson_doc_get_root(copy)) == 0) print_end(&print, NULL);
    yyjson_doc_free(copy);
}

static void tell_hints(const look_t *look)
{
    if (look->n_hints) puts("");
    for (size_t i = 0; i < look->n_hints; i++) {
        const hint_t *h = &look->hints[i];
        fputs("hint: `", stdout);
        term_print(stdout, h->selector, false);
        if (h->instead) {
            fputs("` matched 0; `", stdout);
            term_print(stdout, h->instead, false);
            printf("` matches %zu\n", h->matches);
        } else {
            fputs("` gives no value: ", stdout);
            term_print(stdout, h->why, false);
            if (h->value) fputs(" \"", stdout), term_print(stdout, h->value, false), putchar('"');
            putchar('\n');
        }
    }
}

static void tell_table(const try_t *t, const look_t *look, bool detail)
{
    char size[TERM_SPAN_MAX];
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    term_print(stdout, look->document.url, false);
    if (look->status) printf("  HTTP %ld in %" PRId64 " ms", look->status, look->fetch_ms);
    printf("  %s, read in %.1f ms\n", term_size(look->document.len, size), (double)look->read_us / 1000);
    if (look->read != READ_OK || look->dropped) {
        printf("%s", read_name(look));
        fputs(*look->items.detail ? ": " : "", stdout);
        term_print(stdout, look->items.detail, false);
        fputc('\n', stdout);
    }
    if (!detail) {
        printf("%zu items", look->items.n_items);
        if (look->items.matched > look->items.n_items)
            printf(" of %zu (the others are dropped by filters, stand there twice, or have nothing)",
                   look->items.matched);
        puts("");
        if (look->items.next_url && look->read == READ_OK) {
            fputs("goes on at ", stdout);
            term_print(stdout, look->items.next_url, false);
            puts("");
        }
    }
    if (look->items.n_items) puts(""), print_rows_of(item_rows(doc, &look->items, false));
    if (look->items.selector_matches)
        puts(""), print_rows_of(selector_rows(doc, t->template, detail, look->items.selector_matches));
    tell_hints(look);
    puts("");
    yyjson_mut_doc_free(doc);
}

static void tell(try_t *t, const look_t *look, bool detail)
{
    if (look->read != READ_OK) t->result = CTL_REFUSED;
    if (t->ctl->json)
        tell_json(t, look, detail);
    else
        tell_table(t, look, detail);
}

// -- a saved document -----------------------------------------------------------------------------

static int try_file(try_t *t)
{
    saved_t saved;
    int result = saved_read(&saved, t->file);
    if (result == CTL_OK) {
        bool detail = t->detail || (saved.detail && t->template->follow);
        const char *url = t->url ? t->url : saved.url;
        if (!url) url = t->template->n_urls ? t->template->urls[0] : "http://localhost/";
        look_t look = {.document = {.bytes = saved.body.data ? saved.body.data : "",
                                    .len = saved.body.len,
                                    .content_type = t->type ? t->type : saved.content_type,
                                    .url = url,
                                    .fetched = clock_wall_ms()}};
        if (detail)
            read_detail(t, &look);
        else
            read_list(t, &look);
        tell(t, &look, detail);
    }
    saved_free(&saved);
    return result == CTL_OK ? t->result : result;
}

// -- the web --------------------------------------------------------------------------------------

// For --save: list-1, list-2, ..., detail-1, ...
static void save(try_t *t, const document_t *document, bool detail)
{
    char name[32];
    if (!t->save || t->result > CTL_REFUSED) return;
    snprintf(name, sizeof name, "%s-%u", detail ? "detail" : "list", ++t->saved[detail]);
    int result = saved_write(t->save, name, document, detail);
    if (result != CTL_OK) t->result = result;
}

// Fetches url into t->page and reads it: a list, or if list_url is not NULL one of its detail pages; -1 when
// that failed, which was then told and noted.
static int look_at(try_t *t, const char *url, const char *list_url, look_t *look)
{
    bool detail = list_url != NULL;
    if (page_get(&t->page, t->template, url, list_url) != 0) {
        t->result = CTL_REFUSED;
        return -1;
    }
    arena_reset(t->arena);
    *look = (look_t){.status = t->page.get.status, .fetch_ms = t->page.get.took_ms};
    look->document = page_document(&t->page, url);
    save(t, &look->document, detail);
    if (detail)
        read_detail(t, look);
    else
        read_list(t, look);
    tell(t, look, detail);
    return 0;
}

// The URL of an item's detail page. A copy, or NULL.
static char *follow_of(const try_t *t, const item_t *item)
{
    const char *url = t->template->follow ? detail_url(t->arena, t->template->follow, item) : NULL;
    return url ? xstrdup(url) : NULL;
}

// The feed that a page names, where a feed was expected: a miner goes there too, once. A copy, or NULL.
static char *feed_of(const look_t *look)
{
    return look->read == READ_NOT_THIS_KIND && look->items.next_url ? xstrdup(look->items.next_url) : NULL;
}

static void try_url(try_t *t, const char *url)
{
    look_t look;
    char *follow[DETAILS_MAX];
    size_t n = 0;
    int before = t->result;
    if (look_at(t, url, NULL, &look) != 0) return;
    char *feed = feed_of(&look);
    if (feed) {
        t->result = before;
        int rc = look_at(t, feed, NULL, &look);
        free(feed);
        if (rc != 0) return;
    }
    // copies: the details are read in the same arena
    for (size_t i = 0; i < look.items.n_items && (int64_t)n < t->details; i++) {
        follow[n] = follow_of(t, &look.items.items[i]);
        if (follow[n]) n++;
    }
    for (size_t i = 0; i < n; i++) {
        (void)look_at(t, follow[i], url, &look);
        free(follow[i]);
    }
}

static int try_web(try_t *t)
{
    const template_t *template = t->template;
    size_t n = t->all || template->n_urls < URLS_DEFAULT ? template->n_urls : URLS_DEFAULT;
    if (t->url) {
        try_url(t, t->url);
        return t->result;
    }
    for (size_t i = 0; i < n; i++) try_url(t, template->urls[i]);
    if (n < template->n_urls)
        fprintf(stderr, "(%zu of %zu URLs were tried; --all tries all, --url one)\n", n, template->n_urls);
    return t->result;
}

// -- the command ----------------------------------------------------------------------------------

int run_try(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    try_t t = {.ctl = ctl};
    const conf_option_t own[] = {
        {"file", CONF_STR, "DOCUMENT", NULL, "read this saved document instead of the web", &t.file, 0, 0},
        {"save", CONF_STR, "DIR", NULL, "keep what was fetched in this folder, for --file", &t.save, 0, 0},
        {"content-type", CONF_STR, "TYPE", NULL, "what the server said it is", &t.type, 0, 0},
        {"url", CONF_STR, "URL", NULL, "fetch this URL; with --file: where the document comes from", &t.url,
         0, 0},
        {"all", CONF_FLAG, NULL, NULL, "fetch all URLs of the template, not just three", &t.all, 0, 0},
        {"detail", CONF_FLAG, NULL, NULL, "with --file: the document is a detail page", &t.detail, 0, 0},
        {"details", CONF_INT, "N", "2", "fetch the detail pages of so many items of each list", &t.details, 0,
         64},
        PAGE_OPTIONS(t.options),
    };
    t.path = argv[ctl_parse(command, ctl, own, sizeof own / sizeof *own, argc, argv, 1, 1)];
    t.template_arena = arena_new(TEMPLATE_ARENA);
    t.arena = arena_new(DOCUMENT_ARENA);
    page_init(&t.page, &t.options);
    int result = load_template(&t);
    if (result == CTL_OK) result = t.file ? try_file(&t) : try_web(&t);
    page_free(&t.page);
    reader_destroy(&t.reader);
    arena_destroy(&t.arena);
    arena_destroy(&t.template_arena);
    buf_free(&t.text);
    return result;
}
