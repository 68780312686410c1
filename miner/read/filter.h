// Filter: which items of a document are wanted, whatever its kind: the template's `keep` and `drop` patterns,
// and the prototype's urlFilters.
#ifndef RTM_MINER_FILTER_H
#define RTM_MINER_FILTER_H

#include <stdbool.h>

#include "miner/read/read.h"
#include "proto/template.h"

typedef struct filters filters_t; // compiled; belongs to one thread

// For a list's items, or (detail) for what a detail page gave. NULL: a pattern is wrong, *error says which.
filters_t *filters_new(const template_t *template, bool detail, template_error_t *error);
void filters_destroy(filters_t **filters);

// Is there nothing that an item could be dropped for?
bool filters_want_all(const filters_t *filters);
// READ_OK, and *wanted; READ_TOO_COMPLEX when a pattern passed its step limit.
read_status_t filters_judge(const filters_t *filters, const item_t *item, bool *wanted);

#endif
