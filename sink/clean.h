// Clean: makes texts, JSON and times of a batch such that Postgres takes them, changing only what it would
// refuse. Nothing here fails: what cannot be mended becomes empty.
#ifndef RTM_SINK_CLEAN_H
#define RTM_SINK_CLEAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"

// Length of the longest valid UTF-8 prefix of s (no surrogates, no overlong forms, at most U+10FFFF).
size_t clean_utf8_prefix(const char *s, size_t len);

// text with every invalid byte sequence replaced by U+FFFD: text itself if nothing was wrong, else a copy in
// arena; NULL if that is full. *len: in and out.
const char *clean_text(arena_t *arena, const char *text, size_t *len);

// A JSON object that jsonb takes: escaped NULs and lone surrogates are replaced by U+FFFD; what is no JSON
// object at all becomes "{}" (*lost is then set). With far, a member "published_ms" of that number is added.
// NULL if the arena is full.
const char *clean_fields(arena_t *arena, const char *json, size_t *len, const int64_t *far, bool *lost);

#endif
