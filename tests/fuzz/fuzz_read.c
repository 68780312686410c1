// needs: miner/read proto common
// A template of each kind (the first byte says which) on any document, as lists and as detail pages: packed
// files, scripts, JSON details, relative dates. Items hold what read.h promises.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "miner/read/charset.h"
#include "miner/read/read.h"
#include "proto/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD     "{\"name\":\"t\",\"url\":\"http://h.example/a/\",\"dates\":{\"relative\":true},"
#define DETAIL   "\"detail\":{\"fields\":{\"title\":\"$.t\",\"date\":\"$.d\",\"x\":\"$..x\"}}}"
#define FOLLOWED "\"fields\":{\"title\":\"$.t\",\"url\":\"$.u\",\"published\":\"$.d\",\"x\":\"$.x\"},"
static const char *const templates[] = {
    HEAD "\"kind\":\"auto\"," DETAIL,
    HEAD "\"kind\":\"sitemap\"}",
    HEAD "\"kind\":\"page\",\"items\":\"p\"}",
    HEAD "\"kind\":\"html\",\"items\":[\"li\",\"p\"],\"fields\":{\"title\":\"a\",\"url\":\"a\",\"date\":"
         "\"i\"},\"detail\":{"
         "\"script\":\"script\",\"items\":[\"$[*]\",\"$\"],\"fields\":{\"title\":\"$.t\",\"date\":\"$.d\"}}}",
    HEAD "\"script\":\"script\",\"items\":[\"$.a[*]\",\"$[*]\",\"$\"]," FOLLOWED DETAIL,
    HEAD "\"kind\":\"json\"," FOLLOWED DETAIL,
};
enum { N_TEMPLATES = sizeof templates / sizeof *templates };

static void check_item(const item_t *item)
{
    const char *const texts[] = {item->title,   item->url,     item->author,
                                 item->summary, item->content, item->fields};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i] && charset_valid_prefix(texts[i], strlen(texts[i])) != strlen(texts[i])) abort();
}

static reader_t *make_reader(size_t which)
{
    static arena_t *kept; // of the templates
    if (!kept) kept = arena_new(16 << 20);
    template_error_t error;
    const template_t *t = template_parse(kept, templates[which], strlen(templates[which]), &error);
    CHECK(t);
    reader_t *reader = reader_new(t, &error);
    CHECK(reader);
    return reader;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static reader_t *readers[N_TEMPLATES];
    if (size == 0) return 0;
    size_t which = data[0] % N_TEMPLATES;
    if (!readers[which]) readers[which] = make_reader(which);
    const document_t document = {.bytes = (const char *)data + 1,
                                 .len = size - 1,
                                 .url = "http://h.example/a/",
                                 .fetched = INT64_C(1784885445678)};
    arena_t *arena = arena_new(DOCUMENT_ARENA);
    items_t items;
    if (reader_items(readers[which], arena, &document, &items) == READ_OK) {
        for (size_t i = 0; i < items.n_items; i++) {
            if (!items.items[i].key || !*items.items[i].key) abort();
            check_item(&items.items[i]);
        }
    }
    if (strstr(templates[which], "detail")) {
        item_t item;
        bool drop;
        arena_reset(arena);
        if (reader_detail(readers[which], arena, &document, &item, &drop) == READ_OK) check_item(&item);
    }
    arena_destroy(&arena);
    return 0;
}
