// Details: the page behind an item, read for the fields of `detail`: HTML, or JSON, which may stand within a
// page.
#ifndef RTM_MINER_DETAILS_H
#define RTM_MINER_DETAILS_H

#include <stdbool.h>

#include "miner/read/read.h"

typedef struct details details_t;

// Compiles what template->follow leads to. NULL: *error names the selector that is wrong.
details_t *details_new(const template_t *template, template_error_t *error);
void details_destroy(details_t **details);

// As reader_detail_page, without the template's filters.
read_status_t details_read(details_t *details, arena_t *arena, const document_t *document, items_t *out,
                           bool *drop);

#endif
