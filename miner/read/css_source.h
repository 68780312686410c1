// CSS source: the text of a selector made ready for lexbor's parser, which does not read all of Selectors
// Level 4. What it lacks becomes an attribute selector of a name that no attribute has, as it begins with a
// space: `[\20 lang="en"]`. Used by css.c only.
#ifndef RTM_MINER_CSS_SOURCE_H
#define RTM_MINER_CSS_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

// The names, as they come out of the parser; never: matches nothing.
#define CSS_NEVER " never"
#define CSS_SCOPE " scope"
#define CSS_LANG  " lang"
#define CSS_DIR   " dir"

// Appends text to out. *forgiving: it has a list in which what is no selector counts for nothing (:is,
// :where). -1: it is no selector, and why says so; or out is full.
int css_source(const char *text, size_t len, buf_t *out, bool *forgiving, char *why, size_t size);

#endif
