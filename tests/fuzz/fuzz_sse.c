// needs: miner/read proto common
// Any bytes as a stream: cut into pieces the events are the same as in one, and each is read by a template.
// The first byte says which format it is, the second how long the pieces are.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"
#include "miner/read/read.h"
#include "proto/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] =
    "{\"name\":\"t\",\"kind\":\"stream\",\"url\":\"http://h.example/\",\"offset\":\"$..o\","
    "\"events\":[\"message\",\"a\"],\"fields\":{\"title\":\"$..t\",\"url\":\"$.u\"}}";

static reader_t *reader_of(void)
{
    static reader_t *reader;
    static arena_t *kept; // of the template
    template_error_t error;
    if (reader) return reader;
    const template_t *template = template_parse(kept = arena_new(1 << 20), text, strlen(text), &error);
    CHECK(template);
    reader = reader_new(template, &error);
    CHECK(reader);
    return reader;
}

static void add(XXH3_state_t *state, const void *bytes, size_t len)
{
    XXH3_64bits_update(state, &len, sizeof len);
    if (len) XXH3_64bits_update(state, bytes, len);
}

static uint64_t all_events(events_format_t format, const char *bytes, size_t size, size_t piece)
{
    events_t *events = events_new(format);
    XXH3_state_t *state = XXH3_createState();
    event_t e;
    XXH3_64bits_reset(state);
    for (size_t at = 0; at < size; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        const char *p = bytes + at;
        while (events_next(events, &p, &len, &e)) {
            add(state, e.type, strlen(e.type));
            add(state, e.id, strlen(e.id));
            add(state, e.data, e.len);
        }
        CHECK(len == 0);
    }
    if (events_end(events, &e)) add(state, e.data, e.len);
    int64_t retry = events_retry_ms(events);
    add(state, &retry, sizeof retry);
    uint64_t hash = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    events_destroy(&events);
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    events_format_t format = data[0] & 1 ? EVENTS_LINES : EVENTS_SSE;
    const char *bytes = (const char *)data + 2;
    size -= 2;
    CHECK(all_events(format, bytes, size, size + 1) == all_events(format, bytes, size, 1 + data[1] % 64));
    arena_t *arena = arena_new(DOCUMENT_ARENA);
    items_t items;
    const document_t document = {.bytes = bytes,
                                 .len = size,
                                 .url = "http://h.example/",
                                 .content_type = format == EVENTS_SSE ? "text/event-stream" : "text/plain"};
    if (reader_items(reader_of(), arena, &document, &items) == READ_OK)
        for (size_t i = 0; i < items.n_items; i++) CHECK(items.items[i].key && *items.items[i].key);
    arena_destroy(&arena);
    return 0;
}
