// needs: miner/read proto common
// A selector and a pattern (the first two lines) on a page (the rest): items hold what read.h promises.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "miner/read/charset.h"
#include "miner/read/hint.h"
#include "miner/read/read.h"
#include "proto/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
    if (text && charset_valid_prefix(text, strlen(text)) != strlen(text)) abort();
}

// Cuts a line off, as a string in arena.
static const char *line(arena_t *arena, const char **at, const char *end)
{
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    if (!stop || stop - *at > MAX_SELECTOR) return NULL;
    const char *text = arena_strndup(arena, *at, (size_t)(stop - *at));
    *at = stop + 1;
    return text;
}

static void read_page(const template_t *template, arena_t *arena, const document_t *document)
{
    template_error_t error;
    items_t items;
    hint_t hints[8];
    bool drop;
    reader_t *reader = reader_new(template, &error);
    if (!reader) return;
    if (reader_items(reader, arena, document, &items) == READ_OK) {
        for (size_t i = 0; i < items.n_items; i++) {
            const item_t *item = &items.items[i];
            if (!item->key || !*item->key) abort();
            check_text(item->title);
            check_text(item->content);
            check_text(item->fields);
            check_text(item->url);
        }
    }
    (void)hint_all(template, false, arena, document, items.selector_matches, hints, 8);
    if (reader_detail_page(reader, arena, document, &items, &drop) == READ_OK)
        (void)hint_all(template, true, arena, document, items.selector_matches, hints, 8);
    reader_destroy(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;
    arena_t *arena = arena_new(DOCUMENT_ARENA);
    const char *selector = line(arena, &at, end), *match = selector ? line(arena, &at, end) : NULL;
    if (match) {
        const char *items[] = {"li", "p", "*"}, *any = ":scope", *url = "a";
        field_t fields[] = {
            {.name = "title", .selectors = &selector, .n_selectors = 1, .tracked = true},
            {.name = "url", .type = TYPE_URL, .selectors = &url, .n_selectors = 1},
            {.name = "content", .type = TYPE_HTML, .selectors = &any, .n_selectors = 1},
            {.name = "x", .match = match, .selectors = &selector, .n_selectors = 1, .all = true}};
        template_t template = {.name = "t",
                               .kind = KIND_HTML,
                               .items = items,
                               .n_items = 3,
                               .fields = fields,
                               .n_fields = 4,
                               .follow = "url",
                               .detail_fields = fields,
                               .n_detail_fields = 4};
        document_t document = {.bytes = at, .len = (size_t)(end - at), .url = "http://h.example/a/"};
        read_page(&template, arena, &document);
    }
    arena_destroy(&arena);
    return 0;
}
