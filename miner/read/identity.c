// Identity: keys by hash in a map that lives as long as one document's reading.
#include "miner/read/identity.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "miner/read/text.h"
#include "proto/limits.h"

enum { LONG = 256 }; // bytes of a text for which wider registers pay

// One key of the document.
typedef struct {
    uint64_t content_hash; // of the item that had it first
    const char *url;
    unsigned repeats;
} known_t;

void identity_init(identity_t *identity, arena_t *arena, size_t n)
{
    identity->arena = arena;
    map_init(&identity->keys);
    if (n) map_reserve(&identity->keys, n);
}

void identity_restart(identity_t *identity, arena_t *arena, size_t n)
{
    identity->arena = arena;
    map_clear(&identity->keys);
    if (n) map_reserve(&identity->keys, n);
}

void identity_free(identity_t *identity)
{
    map_free(&identity->keys);
}

static uint64_t hash_text(const char *s)
{
    return XXH3_64bits(s, strlen(s));
}

uint64_t identity_hash(const char *s, size_t len)
{
#ifdef __x86_64__
    if (len >= LONG && __builtin_cpu_supports("avx2")) return identity_hash_avx2(s, len);
#endif
    return XXH3_64bits(s, len);
}

static uint64_t mix(uint64_t hash, const char *s)
{
    return identity_mix(hash, s, s ? strlen(s) : 0);
}

// Text as a key: itself, or its hash where it is too long.
static const char *bounded(arena_t *arena, const char *key)
{
    size_t len = strlen(key);
    if (len <= MAX_KEY) return key;
    XXH128_hash_t h = XXH3_128bits(key, len);
    return arena_printf(arena, "%016" PRIx64 "%016" PRIx64, h.high64, h.low64);
}

static const char *hash_key(arena_t *arena, const item_t *item)
{
    uint64_t hash = mix(0, item->title);
    hash = mix(hash, item->content ? item->content : item->summary);
    if (!item->title && !item->content && !item->summary) hash = mix(hash, item->fields);
    char *key = arena_alloc(arena, 17);
    if (!key) return NULL;
    for (int i = 0; i < 16; i++) key[i] = "0123456789abcdef"[hash >> (60 - 4 * i) & 15];
    key[16] = '\0';
    return key;
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

// A new key, whose place in the map is at.
static int learn(identity_t *identity, item_t *item, const char *key, void **at)
{
    known_t *known = arena_alloc(identity->arena, sizeof *known);
    if (!known) return -1;
    *known = (known_t){.content_hash = item->content_hash, .url = item->url, .repeats = 1};
    *at = known;
    item->key = key;
    return 0;
}

int identity_assign(identity_t *identity, item_t *item, const char *key, const char *guid)
{
    if (!key || !*key) key = guid && *guid ? guid : item->url;
    key = key && *key ? bounded(identity->arena, key) : hash_key(identity->arena, item);
    if (!key) return -1;
    void **at = map_at(&identity->keys, hash_text(key));
    if (!*at) return learn(identity, item, key, at);
    known_t *known = *at;
    if (known->content_hash == item->content_hash && is_same(known->url, item->url)) return 1;
    if (item->url && strcmp(key, item->url) != 0) {
        const char *with_url = arena_printf(identity->arena, "%s|%s", key, item->url);
        if (!with_url || !(with_url = bounded(identity->arena, with_url))) return -1;
        at = map_at(&identity->keys, hash_text(with_url));
        if (!*at) return learn(identity, item, with_url, at);
    }
    const char *numbered;
    int keep = (int)text_cut(key, strlen(key), MAX_KEY - 12);
    do {
        numbered = arena_printf(identity->arena, "%.*s|%u", keep, key, ++known->repeats);
        if (!numbered) return -1;
        at = map_at(&identity->keys, hash_text(numbered));
    } while (*at);
    return learn(identity, item, numbered, at);
}
