// Pattern: PCRE2 with limits of steps, depth and memory, so that no pattern explodes on hostile text.
#ifndef RTM_MINER_PATTERN_H
#define RTM_MINER_PATTERN_H

#include <stddef.h>

#include "proto/template.h"

typedef struct pattern pattern_t; // belongs to one thread

typedef enum { PATTERN_FOUND, PATTERN_NONE, PATTERN_EFFORT } pattern_status_t;

// path: where the pattern stands, for the error. NULL: not valid, *error says why.
pattern_t *pattern_new(const char *text, const char *path, template_error_t *error);
void pattern_destroy(pattern_t **pattern);

// text: NUL-terminated valid UTF-8. FOUND: *part is its part that group 1 matched, or the whole match where
// the pattern has no group. NONE also where group 1 took no part in the match. EFFORT: a limit was passed.
pattern_status_t pattern_find(const pattern_t *pattern, const char *text, const char **part, size_t *len);

#endif
