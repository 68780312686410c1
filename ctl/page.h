// Page: documents fetched for a template by hand, as a miner would: robots.txt is asked, and the host's gap
// kept.
#ifndef RTM_CTL_PAGE_H
#define RTM_CTL_PAGE_H

#include "ctl/get.h"
#include "miner/read/read.h"
#include "proto/template.h"

typedef struct {
    get_t get;       // of the latest request
    int64_t next_ms; // monotonic: no request before
} page_t;

void page_init(page_t *page, bool allow_private);
void page_free(page_t *page);
// Fetches url for the template. 0; -1: why not was told on stderr.
int page_get(page_t *page, const template_t *template, const char *url);
// What came, until the next request. url: what was asked for.
document_t page_document(const page_t *page, const char *url);

#endif
