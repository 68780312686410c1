// needs: miner/read proto common
// Any bytes as a JSON document, read by a template with fields of each type.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "miner/read/hint.h"
#include "miner/read/json.h"
#include "proto/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] =
    "{\"name\":\"t\",\"kind\":\"json\",\"url\":\"http://h.example/"
    "\",\"items\":[\"$.items[*]\",\"$[*]\",\"$\"],"
    "\"key\":\"$.id\",\"fields\":{\"title\":\"$..t\",\"url\":\"$.u\",\"published\":\"$.d\",\"x\":\"$.x\","
    "\"i\":{\"select\":\"$.i\",\"type\":\"integer\"},\"n\":{\"select\":\"$.n\",\"type\":\"number\"},"
    "\"l\":{\"select\":\"$.l[*]\",\"type\":\"list\"},\"h\":{\"select\":\"$.h\",\"type\":\"html\"}}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static json_reader_t *reader;
    static arena_t *kept; // of the template
    static const template_t *template;
    hint_t hints[8];
    if (!reader) {
        template_error_t error;
        template = template_parse(kept = arena_new(1 << 20), text, strlen(text), &error);
        CHECK(template);
        reader = json_reader_new(template, &error);
        CHECK(reader);
    }
    arena_t *arena = arena_new(DOCUMENT_ARENA);
    items_t items;
    const document_t document = {.bytes = (const char *)data, .len = size, .url = "http://h.example/"};
    if (json_items(reader, arena, &document, &items) == READ_OK) {
        for (size_t i = 0; i < items.n_items; i++) {
            const char *fields = items.items[i].fields;
            yyjson_doc *doc = fields ? yyjson_read(fields, strlen(fields), YYJSON_READ_NUMBER_AS_RAW) : NULL;
            CHECK(!fields || doc);
            yyjson_doc_free(doc);
        }
    }
    (void)hint_all(template, false, arena, &document, items.selector_matches, hints, 8);
    arena_destroy(&arena);
    return 0;
}
