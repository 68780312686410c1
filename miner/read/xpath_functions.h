// XPath functions: those of XPath 1.0 that libxml2 does not have as a page needs them. Used by xpath.c only.
#ifndef RTM_MINER_XPATH_FUNCTIONS_H
#define RTM_MINER_XPATH_FUNCTIONS_H

#include <libxml/xpath.h>

// In an evaluation, nodes' `_private` are the page's own.
void xpath_functions(xmlXPathContextPtr context);

#endif
