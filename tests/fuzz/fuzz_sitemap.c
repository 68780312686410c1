// needs: miner/read proto common
// Any bytes as a sitemap.
#include <stdint.h>
#include <stdlib.h>

#include "miner/read/sitemap.h"
#include "proto/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const template_t template = {.name = "t", .kind = KIND_SITEMAP};
    arena_t *arena = arena_new(DOCUMENT_ARENA);
    items_t items;
    const document_t document = {.bytes = (const char *)data, .len = size, .url = "http://h.example/"};
    if (sitemap_items(&template, arena, &document, &items) == READ_OK) {
        for (size_t i = 0; i < items.n_items; i++) {
            if (!items.items[i].key) abort();
        }
    }
    arena_destroy(&arena);
    return 0;
}
