// Page: documents fetched for a template by hand, as a miner would: robots.txt is asked, and the host's gap
// kept.
#ifndef RTM_CTL_PAGE_H
#define RTM_CTL_PAGE_H

#include "ctl/get.h"
#include "miner/read/read.h"
#include "proto/template.h"

// As the options of rtm-miner; NULL: none.
typedef struct {
    bool allow_private;
    const char *secrets, *proxy, *no_proxy;
} page_options_t;

typedef struct {
    page_options_t options;
    get_t get;        // of the latest request
    fetch_jar_t *jar; // cookies
    int64_t next_ms;  // monotonic: no request before
    bool is_list;     // the latest request is for a list
} page_t;

// The rows of a command's option table for them.
#define PAGE_OPTIONS(o)                                                                                      \
    {"allow-private",    CONF_FLAG, NULL, NULL, "fetch from private and loopback addresses too",             \
     &(o).allow_private, 0,         0},                                                                      \
        {"secrets", CONF_STR, "DIR", NULL, "folder of the secrets that templates name", &(o).secrets, 0, 0}, \
        {"proxy", CONF_STR, "URL", NULL, "fetch through this proxy", &(o).proxy, 0, 0},                      \
    {                                                                                                        \
        "no-proxy", CONF_STR, "HOSTS", NULL, "but not from these hosts", &(o).no_proxy, 0, 0                 \
    }

void page_init(page_t *page, const page_options_t *options);
void page_free(page_t *page);
// Fetches url for the template: a list, or if list_url is not NULL a detail page of that list. 0; -1: why not
// was told on stderr.
int page_get(page_t *page, const template_t *template, const char *url, const char *list_url);
// What came, until the next request. url: what was asked for.
document_t page_document(const page_t *page, const char *url);

#endif
