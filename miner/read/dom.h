// DOM: parses HTML with lexbor within bounds of depth, nodes, memory and work, whatever the markup is. One
// dom_t per thread; its memory is used again from page to page, which is most of what makes parsing fast.
#ifndef RTM_MINER_DOM_H
#define RTM_MINER_DOM_H

#include <stddef.h>

#include "miner/read/read.h"
#include "miner/read/url.h"

struct lxb_dom_node;

typedef struct dom dom_t;

dom_t *dom_new(void);
void dom_destroy(dom_t **dom);
// The calling thread's own, for all its readers: there may be thousands of these, and a dom_t of its own
// would cost each some hundred KiB and three times the time per page. It ends with the thread.
dom_t *dom_of_thread(void);

// Parses html (valid UTF-8); *root is the document until dom_clean. Not READ_OK: detail says what was too
// much.
read_status_t dom_parse(dom_t *dom, const char *html, size_t len, struct lxb_dom_node **root,
                        char detail[200]);
// Parses what was fetched, of whatever charset, as HTML, or as XML if it is that (see dom_xml.h). *len: of it
// as UTF-8.
read_status_t dom_read(dom_t *dom, arena_t *arena, const document_t *document, struct lxb_dom_node **root,
                       size_t *len, char detail[200]);
// The node behind node in the order of the document; NULL: it is the last.
struct lxb_dom_node *dom_next(struct lxb_dom_node *node);
// What relative links of the parsed page are resolved against becomes the base of urls: its URL (NULL: none),
// moved by its first <base> that has a href.
void dom_set_base(const dom_t *dom, urls_t *urls, const char *url);
// Forgets the page; memory beyond the usual is given back.
void dom_clean(dom_t *dom);

#endif
