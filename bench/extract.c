// needs: miner/read proto common
// bench-extract MS [TEMPLATE DOCUMENT]...: how fast documents become items (reader_items), against the bare
// library on the same bytes: lexbor's parser and selectors for html, libxml2's tree for XML, yyjson for JSON.
// The bare side looks for the same elements and copies nothing. Both sides take turns in one process; times
// are of the thread's CPU, each figure is the median of its rounds. One line of JSON per document.
#include <lexbor/css/css.h>
#include <lexbor/html/html.h>
#include <lexbor/selectors/selectors.h>
#include <libxml/parser.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "miner/read/read.h"
#include "proto/limits.h"

enum { MAX_ROUNDS = 1001, ROUND_US = 3000, KEPT_MEMORY = 4 << 20, LARGE_MEMORY = 1 << 20 };

typedef struct {
    const char *name;
    arena_t *arena; // of the items; emptied for each document
    template_t *template;
    reader_t *reader;
    document_t document;
    bool (*bare)(const document_t *); // false: the library refuses the document
    size_t n_items;
} sample_t;

// -- bare html ------------------------------------------------------------------------------------

// A selector as lexbor's own search takes it: without `::...`, and without what leads to a sibling.
typedef struct {
    char lead;                     // '+' or '~': from the siblings that follow; 0: from the item
    lxb_css_selector_list_t *list; // NULL: the node itself
} bare_selector_t;

static struct {
    lxb_css_parser_t *parser;
    lxb_css_memory_t *memory;
    lxb_selectors_t *outer, *inner; // a search within a search needs an object of its own
    lxb_html_document_t *document;
    bare_selector_t items, fields[MAX_FIELDS + 1];
    size_t n_fields;
} bare;

static bare_selector_t compile(const char *text)
{
    char css[MAX_SELECTOR + 1];
    bare_selector_t s = {0};
    snprintf(css, sizeof css, "%.*s", (int)(strstr(text, "::") ? strstr(text, "::") - text : MAX_SELECTOR),
             text);
    char *at = css;
    if (strncmp(at, ":scope", 6) == 0) at += 6;
    at += strspn(at, " ");
    if (*at == '+' || *at == '~') {
        s.lead = *at++;
        at += strspn(at, " ");
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    if (!*at) return s;
    s.list = lxb_css_selectors_parse(bare.parser, (const lxb_char_t *)at, strlen(at));
    CHECK(s.list != NULL);
    return s;
}

static void bare_html_compile(const template_t *t)
{
    lxb_css_memory_clean(bare.memory);
    bare.items = compile(t->items[0]);
    bare.n_fields = 0;
    for (size_t i = 0; i < t->n_fields; i++)
        if (t->fields[i].n_selectors) bare.fields[bare.n_fields++] = compile(t->fields[i].selectors[0]);
    if (t->key && t->key->n_selectors) bare.fields[bare.n_fields++] = compile(t->key->selectors[0]);
}

static void bare_html_start(void)
{
    bare.parser = lxb_css_parser_create();
    bare.memory = lxb_css_memory_create();
    bare.outer = lxb_selectors_create();
    bare.inner = lxb_selectors_create();
    bare.document = lxb_html_document_create();
    CHECK(lxb_css_parser_init(bare.parser, NULL) == LXB_STATUS_OK);
    CHECK(lxb_css_memory_init(bare.memory, 256) == LXB_STATUS_OK);
    CHECK(lxb_selectors_init(bare.outer) == LXB_STATUS_OK && lxb_selectors_init(bare.inner) == LXB_STATUS_OK);
    lxb_css_parser_memory_set(bare.parser, bare.memory);
}

static lxb_status_t keep_first(lxb_dom_node_t *node, lxb_css_selector_specificity_t spec, void *ctx)
{
    (void)spec;
    *(lxb_dom_node_t **)ctx = node;
    return LXB_STATUS_STOP;
}

static lxb_dom_node_t *first(lxb_dom_node_t *root, const bare_selector_t *s)
{
    lxb_dom_node_t *found = NULL;
    if (!s->list) return root;
    lxb_selectors_find(bare.inner, root, s->list, keep_first, &found);
    return found;
}

static lxb_status_t read_item(lxb_dom_node_t *item, lxb_css_selector_specificity_t spec, void *ctx)
{
    (void)spec;
    for (size_t i = 0; i < bare.n_fields; i++) {
        const bare_selector_t *s = &bare.fields[i];
        lxb_dom_node_t *found = s->lead ? NULL : first(item, s);
        for (lxb_dom_node_t *n = s->lead && item ? item->next : NULL; n && !found; n = n->next) {
            if (n->type != LXB_DOM_NODE_TYPE_ELEMENT) continue;
            found = first(n, s);
            if (s->lead == '+') break;
        }
        *(size_t *)ctx += found != NULL;
    }
    return LXB_STATUS_OK;
}

static bool bare_html(const document_t *d)
{
    size_t found = 0;
    lxb_html_document_clean(bare.document);
    if (lxb_html_document_parse(bare.document, (const lxb_char_t *)d->bytes, d->len) != LXB_STATUS_OK)
        return false;
    lxb_selectors_find(bare.outer, lxb_dom_interface_node(bare.document), bare.items.list, read_item, &found);
    return found > 0;
}

// -- bare XML and JSON ----------------------------------------------------------------------------

static bool bare_xml(const document_t *d)
{
    xmlDocPtr doc = xmlReadMemory(d->bytes, (int)d->len, d->url, NULL,
                                  XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!doc) return false;
    xmlFreeDoc(doc);
    return true;
}

static bool bare_json(const document_t *d)
{
    yyjson_doc *doc = yyjson_read(d->bytes, d->len, 0);
    if (!doc) return false;
    yyjson_doc_free(doc);
    return true;
}

// -- samples --------------------------------------------------------------------------------------

static buf_t load(const char *path)
{
    buf_t b;
    buf_init(&b, MAX_DOCUMENT);
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    char chunk[1 << 16];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;) CHECK(buf_append(&b, chunk, n) == 0);
    fclose(f);
    return b;
}

static bool is_json(const document_t *d)
{
    size_t i = 0;
    while (i < d->len && d->bytes[i] && strchr(" \t\r\n", d->bytes[i])) i++;
    return i < d->len && (d->bytes[i] == '{' || d->bytes[i] == '[');
}

static void sample_open(sample_t *s, arena_t *templates, const char *template_path, const char *path)
{
    template_error_t error = {.text = ""};
    buf_t json = load(template_path), bytes = load(path);
    s->name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    s->template = template_parse(templates, json.data, json.len, &error);
    s->reader = s->template ? reader_new(s->template, &error) : NULL;
    if (!s->reader) fprintf(stderr, "%s: %s: %s\n", template_path, error.field, error.text);
    CHECK(s->reader != NULL);
    s->document = (document_t){.bytes = bytes.data, .len = bytes.len, .url = s->template->urls[0]};
    s->bare = s->template->kind == KIND_HTML ? bare_html : is_json(&s->document) ? bare_json : bare_xml;
    if (s->bare == bare_html) bare_html_compile(s->template);
    buf_free(&json);
}

static void sample_close(sample_t *s)
{
    reader_destroy(&s->reader);
    free((char *)s->document.bytes);
}

static bool read_items(sample_t *s)
{
    items_t items;
    arena_reset(s->arena);
    read_status_t status = reader_items(s->reader, s->arena, &s->document, &items);
    s->n_items = items.n_items;
    return status == READ_OK;
}

// -- measuring ------------------------------------------------------------------------------------

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

// us of CPU time per document, of n documents.
static double run(sample_t *s, bool ours, int n)
{
    int64_t start = clock_thread_cpu_us();
    for (int i = 0; i < n; i++) CHECK(ours ? read_items(s) : s->bare(&s->document));
    return (double)(clock_thread_cpu_us() - start) / n;
}

static void measure(sample_t *s, int64_t ms)
{
    static double ours[MAX_ROUNDS], theirs[MAX_ROUNDS], ratios[MAX_ROUNDS];
    size_t n = 0;
    int reps = (int)(ROUND_US / (run(s, true, 3) + 0.1)) + 1;
    for (int64_t end = clock_mono_ms() + ms; n < MAX_ROUNDS && (n < 5 || clock_mono_ms() < end); n++) {
        theirs[n] = run(s, false, reps);
        ours[n] = run(s, true, reps);
        ratios[n] = theirs[n] / ours[n];
    }
    double us = median(ours, n), bare_us = median(theirs, n), mb = (double)s->document.len / 1e6;
    printf(
        "{\"document\": \"%s\", \"kind\": \"%s\", \"bytes\": %zu, \"items\": %zu, \"documents_per_s\": %.0f, "
        "\"mb_per_s\": %.1f, \"bare_mb_per_s\": %.1f, \"us\": %.1f, \"bare_us\": %.1f, \"ratio\": %.3f}\n",
        s->name,
        s->bare == bare_html  ? "html"
        : s->bare == bare_xml ? "feed"
                              : "json",
        s->document.len, s->n_items, 1e6 / us, mb / us * 1e6, mb / bare_us * 1e6, us, bare_us,
        median(ratios, n));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc % 2) {
        fprintf(stderr, "usage: bench-extract MS [TEMPLATE DOCUMENT]...\n");
        return 2;
    }
    // as in a worker of the miner, for both sides
    mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY);
    mallopt(M_MMAP_THRESHOLD, LARGE_MEMORY);
    arena_t *templates = arena_new(DOCUMENT_ARENA), *items = arena_new(DOCUMENT_ARENA);
    bare_html_start();
    for (int i = 2; i < argc; i += 2) {
        sample_t s = {.arena = items};
        sample_open(&s, templates, argv[i], argv[i + 1]);
        if (!s.bare(&s.document))
            fprintf(stderr, "%s: the bare library refuses it, left out\n", s.name);
        else
            measure(&s, atoi(argv[1]));
        sample_close(&s);
    }
    arena_destroy(&templates);
    arena_destroy(&items);
    return 0;
}
