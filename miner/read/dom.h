// DOM: parses HTML with lexbor within bounds of depth, nodes, memory and work, whatever the markup is. One
// dom_t per thread; its memory is used again from page to page, which is most of what makes parsing fast.
#ifndef RTM_MINER_DOM_H
#define RTM_MINER_DOM_H

#include <stddef.h>

#include "miner/read/read.h"

struct lxb_dom_node;

typedef struct dom dom_t;

dom_t *dom_new(void);
void dom_destroy(dom_t **dom);

// Parses html (valid UTF-8); *root is the document until dom_clean. Not READ_OK: detail says what was too
// much.
read_status_t dom_parse(dom_t *dom, const char *html, size_t len, struct lxb_dom_node **root,
                        char detail[200]);
// Forgets the page; memory beyond the usual is given back.
void dom_clean(dom_t *dom);

#endif
