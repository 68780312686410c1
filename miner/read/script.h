// Script: JSON that stands within a page: JSON-LD, the state that an application starts with.
#ifndef RTM_MINER_SCRIPT_H
#define RTM_MINER_SCRIPT_H

#include "miner/read/json.h"

typedef struct script script_t;

// Compiles template->script. NULL: *error says why.
script_t *script_new(const template_t *template, template_error_t *error);
void script_destroy(script_t **script);

// Reads the first of what the selector finds in the page in which json finds items; where there is none, the
// status is that of the first. READ_ROTTED: the selector matches nothing.
read_status_t script_items(const script_t *script, json_reader_t *json, arena_t *arena,
                           const document_t *document, items_t *out);

#endif
