// Feed JSON: JSON Feed 1.0 and 1.1, and "RSS in JSON". Called by feed.c only.
#ifndef RTM_MINER_FEED_JSON_H
#define RTM_MINER_FEED_JSON_H

#include "miner/read/read.h"

read_status_t feed_json_items(const template_t *template, arena_t *arena, const document_t *document,
                              items_t *out);

#endif
