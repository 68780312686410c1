// Identity: which post an item is (its key), and whether it changed (its content hash). The key is the
// template's `key` field, else the guid, else the url, else a hash of title and content. Within a document
// keys are made distinct: a repeat becomes key|url, then key|n.
#ifndef RTM_MINER_IDENTITY_H
#define RTM_MINER_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/map.h"
#include "miner/read/read.h"
#include "proto/template.h"

// The keys given so far in one document.
typedef struct {
    arena_t *arena; // borrowed
    map_t keys;     // XXH3 of a key -> itself
} identity_t;

// n: items that are likely to come, or 0.
void identity_init(identity_t *identity, arena_t *arena, size_t n);
// The same for a further document: what is known is forgotten.
void identity_restart(identity_t *identity, arena_t *arena, size_t n);
void identity_free(identity_t *identity);

// Sets item->key: key (may be NULL) if it is not empty, else guid (may be NULL), else by item's url, title
// and content. A key longer than MAX_KEY is replaced by a hash. Set item->content_hash before: 1 says that
// the very same item (key, url and content hash) stood in this document before, drop it. 0; -1: the arena is
// full.
__attribute__((warn_unused_result)) int identity_assign(identity_t *identity, item_t *item, const char *key,
                                                        const char *guid);

// hash with one more text of len bytes (or, NULL, the absence of one) in it.
static inline uint64_t identity_mix(uint64_t hash, const char *text, size_t len);

// XXH3 of a text.
uint64_t identity_hash(const char *text, size_t len);
// The same, where the processor has AVX2.
uint64_t identity_hash_avx2(const char *text, size_t len);

// A multiplication is a bijection, so nothing of hash is lost. Short texts are hashed much faster one by one
// than with XXH3's state for streams.
static inline uint64_t identity_mix(uint64_t hash, const char *text, size_t len)
{
    return (hash ^ (hash >> 29)) * 0x9E3779B185EBCA87 + (text ? identity_hash(text, len) : 1);
}

#endif
