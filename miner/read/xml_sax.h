// XML SAX: one way to read a document of elements, for feeds and sitemaps: strictly first; what is not
// well-formed, or declares entities, is repaired (xml_repair.h) and read again. So the parser sees no entity
// declaration, loads nothing, and nests at most XML_MAX_DEPTH deep or so.
#ifndef RTM_MINER_XML_SAX_H
#define RTM_MINER_XML_SAX_H

#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <stdbool.h>
#include <stddef.h>

#include "miner/read/read.h"

#if LIBXML_VERSION >= 21200
typedef const xmlError *xml_error_t;
#else
typedef xmlErrorPtr xml_error_t;
#endif

typedef struct {
    startElementNsSAX2Func start;
    endElementNsSAX2Func end;
    charactersSAXFunc text;
    void (*restart)(void *ctx); // forget all: the document is read from its beginning again
    void *ctx;
    xmlParserCtxtPtr parser; // while it runs
    int stopped;
    unsigned calls;
} xml_sax_t;

// text: valid UTF-8. READ_OK; READ_TOO_BIG: no space for the repaired document; READ_TOO_COMPLEX.
read_status_t xml_sax_read(xml_sax_t *sax, const char *text, size_t len);
// From within a callback: no more callbacks, this was the document.
void xml_sax_stop(xml_sax_t *sax);
// An error handler for what is only to be read if it is well-formed: ends the parser, which else would read
// on to the end.
void xml_stop_at_fatal(void *ctx, xml_error_t error);
// For every callback to call first: true where the document's effort is over, which also stops.
bool xml_sax_ask(xml_sax_t *sax);
static inline bool xml_sax_over(xml_sax_t *sax)
{
    return ++sax->calls % 64 == 0 && xml_sax_ask(sax);
}

#endif
