// HTML: a page -> items by CSS selectors, and a detail page -> the fields of one item.
#ifndef RTM_MINER_HTML_H
#define RTM_MINER_HTML_H

#include <stdbool.h>

#include "miner/read/read.h"

typedef struct html_list html_list_t;     // compiled `items`, `key`, `fields`
typedef struct html_detail html_detail_t; // compiled `detail.fields` and page filters

// NULL: *error names the selector that is wrong.
html_list_t *html_list_new(const template_t *template, template_error_t *error);
void html_list_destroy(html_list_t **list);
html_detail_t *html_detail_new(const template_t *template, template_error_t *error);
void html_detail_destroy(html_detail_t **detail);

// As reader_items and reader_detail_page, without the template's filters.
read_status_t html_items(html_list_t *list, arena_t *arena, const document_t *document, items_t *out);
read_status_t html_details(html_detail_t *detail, arena_t *arena, const document_t *document, items_t *out,
                           bool *drop);

#endif
