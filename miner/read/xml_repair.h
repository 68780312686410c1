// XML repair: broken XML -> well-formed XML of the same content, for the second, lenient reading of feeds and
// sitemaps that a strict parser refused.
#ifndef RTM_MINER_XML_REPAIR_H
#define RTM_MINER_XML_REPAIR_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

enum { XML_MAX_DEPTH = 200 }; // of elements; tags of deeper ones are left out

// Appends to *out what text (valid UTF-8) seems to mean: one element `repaired` around all there is;
// declarations, comments and processing instructions left out; control characters dropped; unknown entities,
// stray `&` and
// `<` as text; HTML's named entities as characters, those of the document's own DTD as text, expanded once;
// attributes quoted, each once; tags closed that were not, end tags of nothing dropped. 0; -1: *out is full,
// or the document's effort is over.
__attribute__((warn_unused_result)) int xml_repair(const char *text, size_t len, buf_t *out);

// Where the document's elements begin if it has a DTD before them that a parser may as well not see (it only
// names a file elsewhere), 0 if it has none; SIZE_MAX if it has one that declares something: repair it.
size_t xml_skip_dtd(const char *text, size_t len);

// Has it a start tag of several KiB? libxml2 compares each attribute and namespace of a tag with all of its
// others, so such a document is to be repaired, which keeps a few.
bool xml_has_long_tag(const char *text, size_t len);

#endif
