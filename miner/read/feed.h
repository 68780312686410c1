// Feed: RSS 0.90 to 2.0, RDF, Atom 0.3 and 1.0, JSON Feed, RSS in JSON -> items. No selectors needed.
#ifndef RTM_MINER_FEED_H
#define RTM_MINER_FEED_H

#include "miner/read/read.h"

// Reads a feed of any of these kinds, whatever its content type says. Title and author are plain text;
// summary and content are markup as published, cleaned to valid UTF-8, its links absolute. What has no column
// is in `fields`, under its usual prefix ("dc:subject", "media:thumbnail"); a list where it occurs more than
// once; a date that cannot be read keeps its text there ("published"). READ_NOT_THIS_KIND: if the document is
// HTML that names a feed of its own, out->next_url is that feed.
read_status_t feed_items(const template_t *template, arena_t *arena, const document_t *document,
                         items_t *out);

#endif
