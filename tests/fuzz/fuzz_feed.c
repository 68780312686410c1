// needs: miner/read proto common
// Any bytes as a feed: items hold what read.h promises.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "miner/read/charset.h"
#include "miner/read/feed.h"
#include "proto/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
    if (text && charset_valid_prefix(text, strlen(text)) != strlen(text)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const template_t template = {.name = "t", .kind = KIND_FEED};
    arena_t *arena = arena_new(DOCUMENT_ARENA);
    items_t items;
    const document_t document = {.bytes = (const char *)data, .len = size, .url = "http://h.example/"};
    if (feed_items(&template, arena, &document, &items) == READ_OK) {
        for (size_t i = 0; i < items.n_items; i++) {
            const item_t *item = &items.items[i];
            if (!item->key || !*item->key) abort();
            check_text(item->title);
            check_text(item->summary);
            check_text(item->content);
            check_text(item->fields);
        }
    }
    arena_destroy(&arena);
    return 0;
}
