// DOM of XML: a document that is no HTML becomes the same kind of tree, so that selectors find their way in
// it.
#ifndef RTM_MINER_DOM_XML_H
#define RTM_MINER_DOM_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "miner/read/read.h"

struct lxb_html_document;

// Does it say of itself, or the server of it, that it is XML, and is it no XHTML?
bool dom_is_xml(const document_t *document);
// Fills document, which is new or clean, from text (valid UTF-8). Names are taken in lower case with the
// prefixes that they have there, CDATA as text; comments are left out. Not READ_OK: detail says why.
read_status_t dom_xml_build(struct lxb_html_document *document, const char *text, size_t len,
                            char detail[200]);

#endif
