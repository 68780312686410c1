// Unpack: documents that are files packed with gzip (sitemap.xml.gz), whatever the transfer's own coding was.
#ifndef RTM_MINER_UNPACK_H
#define RTM_MINER_UNPACK_H

#include "miner/read/read.h"

// *document becomes what is packed in it, in arena; one that is not packed stays. READ_PARSE: it is damaged;
// READ_TOO_BIG: it would become larger than MAX_DOCUMENT. detail says so.
read_status_t unpack(arena_t *arena, document_t *document, char detail[200]);

#endif
