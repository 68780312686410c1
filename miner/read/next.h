// Next: the URL of a list's next page, made of what the template's `next` selected.
#ifndef RTM_MINER_NEXT_H
#define RTM_MINER_NEXT_H

#include <stddef.h>

#include "common/buf.h"
#include "miner/read/read.h"
#include "miner/read/url.h"

typedef struct next next_t; // belongs to one thread

// The template has a `next`. NULL: *error says what is wrong with it.
next_t *next_new(const template_t *template, template_error_t *error);
void next_destroy(next_t **next);

// raw: what a selector gave, valid UTF-8. *out is the URL, resolved against urls' base, and stays as it is
// where raw gives none, or the document's own.
read_status_t next_read(next_t *next, urls_t *urls, arena_t *arena, const document_t *document,
                        const char *raw, size_t len, const char **out);

// The URL that the format of the template's `next` makes with {page} or {offset}; url: its base, may be NULL.
// NULL: it is none.
const char *next_by_number(const template_t *template, urls_t *urls, arena_t *arena, const char *url,
                           uint32_t page, size_t offset);

// Appends what a {} of a URL stands for: a token may hold anything, and is one part of a query or path. -1:
// out is full.
__attribute__((warn_unused_result)) int next_append_escaped(buf_t *out, const char *token);

#endif
