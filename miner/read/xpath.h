// XPath: expressions (XPath 1.0) compiled by libxml2 and evaluated on a copy of a page's tree. The copy is
// made when the first expression asks for it and lives with the page. Names of elements and attributes are in
// lower case and have no namespaces.
#ifndef RTM_MINER_XPATH_H
#define RTM_MINER_XPATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lxb_dom_node;

typedef struct xpath xpath_t; // a compiled expression; belongs to one thread

// Makes libxml2 count the memory that expressions take. Once per process is enough, before any thread reads.
void xpath_setup(void);

// Compiles text. NULL: why (of size bytes) says what is wrong.
xpath_t *xpath_new(const char *text, size_t len, char *why, size_t size);
void xpath_destroy(xpath_t **xpath);

// Called for each result in document order; false ends the search. An element, attribute or text is given as
// the page's own node; a string, number or boolean as a text node that is valid until the callback returns.
typedef bool (*xpath_found_t)(void *ctx, struct lxb_dom_node *node);

// Evaluates xpath with scope (an element, or the document) as its context node. Empty strings and NaN are no
// results. *steps is the budget, counted down. 0; -1: the budget ran out, or the page has too many nodes.
int xpath_find(const xpath_t *xpath, struct lxb_dom_node *scope, int64_t *steps, xpath_found_t found,
               void *ctx);

// Frees the copy of the page whose document is root, if one was made.
void xpath_forget(struct lxb_dom_node *root);

#endif
