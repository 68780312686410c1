// Seen: what a source has listed and the sink has acknowledged, as 64-bit hashes of (key, content hash), so
// that unchanged items are not sent again. Losing one costs a resend, never an item. Of a key only the latest
// content is in: what is changed back is news again. So the lower half of a hash is of the key alone. Oldest
// first in one array of exactly the size needed: a miner holds very many of these.
#ifndef RTM_MINER_SEEN_H
#define RTM_MINER_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SEEN_MAX = 300 }; // kept at least; documents that list more have as many kept as they list

typedef struct {
    uint64_t *hashes;
    uint32_t n;
} seen_t;

uint64_t seen_hash(const char *key, uint64_t content_hash);

// Whether hash is in. *hint (0 at the start of a document) remembers where the last one was found, since
// documents keep their order, newest first, from poll to poll.
bool seen_has(const seen_t *seen, uint64_t hash, uint32_t *hint);
// Adds n hashes, none of which is in, the newest last, in place of those of the same keys; listed: items in
// the document. The oldest leave when there are more than the larger of SEEN_MAX and listed.
void seen_add(seen_t *seen, const uint64_t *hashes, size_t n, size_t listed);
// Takes out what is in of the keys of n hashes.
void seen_forget(seen_t *seen, const uint64_t *hashes, size_t n);
// Whether the key of hash, which is not in, is in with another content.
bool seen_otherwise(const seen_t *seen, uint64_t hash);
void seen_free(seen_t *seen);

#endif
