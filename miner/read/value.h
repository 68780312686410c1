// Value: one raw text -> a typed value, by the rules of a field: `match` first, then the type.
#ifndef RTM_MINER_VALUE_H
#define RTM_MINER_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "miner/read/read.h"
#include "miner/read/url.h"
#include "proto/template.h"

// A field's compiled rules. Belongs to one thread.
typedef struct value_rule value_rule_t;

// path: where the field stands, for the error ("fields.points"). NULL: `match` is no valid pattern, *error
// says why.
value_rule_t *value_rule_new(const field_t *field, const char *path, template_error_t *error);
void value_rule_destroy(value_rule_t **rule);

typedef struct {
    // canonical form, in the arena: text, html, absolute URL, JSON number; of a time what stood there, see
    // value_time_text
    const char *text;
    size_t len; // of text
    int64_t ms; // TYPE_TIME: ms since 1970 UTC; else TIME_NONE
} value_t;

typedef enum {
    VALUE_OK,
    VALUE_NONE,     // empty, `match` does not match, not a number, not a date, not a URL
    VALUE_EFFORT,   // `match` passed its step limit: READ_TOO_COMPLEX
    VALUE_NO_SPACE, // the arena is full: READ_TOO_BIG
} value_status_t;

// raw: a match's text (for html its markup), already valid UTF-8; kept: it ends with NUL and lives as long as
// the arena, so that it need not be copied. one_line folds line breaks of texts away, max bounds them. urls
// resolves TYPE_URL. integers may hold group separators ("1,234", "1.2k" is 1200); numbers keep their digits.
value_status_t value_read(value_rule_t *rule, urls_t *urls, arena_t *arena, const char *raw, size_t len,
                          bool kept, bool one_line, size_t max, value_t *out);

// Only the conversion: value->text (len bytes), already clean, becomes the canonical form of the field's
// type.
value_status_t value_convert(const field_t *field, urls_t *urls, arena_t *arena, value_t *value);

// ms since 1970 UTC, of the years that value_read gives, as RFC 3339 in UTC. NULL: the arena is full.
const char *value_time_text(arena_t *arena, int64_t ms);

#endif
