// Stream: the events of a long response -> items, by the template's JSONPaths.
#ifndef RTM_MINER_STREAM_READ_H
#define RTM_MINER_STREAM_READ_H

#include "miner/read/events.h"
#include "miner/read/json.h"
#include "miner/read/read.h"

typedef struct stream_reader stream_reader_t;

// NULL: *error names the field. template must outlive the reader.
stream_reader_t *stream_reader_new(const template_t *template, template_error_t *error);
void stream_reader_destroy(stream_reader_t **reader);

// The items of one event; url: the stream's. READ_OK without items: the event is of another type, or holds
// nothing. *position: where to resume after it, in arena; NULL: as before.
read_status_t stream_event(stream_reader_t *reader, arena_t *arena, const char *url, const event_t *event,
                           items_t *out, const char **position);
// A stream's beginning that was saved. Events that cannot be read are left out, if others can.
read_status_t stream_items(stream_reader_t *reader, arena_t *arena, const document_t *document, items_t *out);

#endif
