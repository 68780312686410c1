// XML SAX: libxml2's push of events, with its options in one place.
#include "miner/read/xml_sax.h"

#include <stdint.h>
#include <string.h>

#include "common/check.h"
#include "miner/read/effort.h"
#include "miner/read/xml_repair.h"
#include "proto/limits.h"

void xml_stop_at_fatal(void *ctx, xml_error_t error)
{
    (void)ctx;
    if (error->level == XML_ERR_FATAL && error->ctxt) xmlStopParser(error->ctxt);
}

// True if text is well-formed, or to where it was stopped.
static int parse(xml_sax_t *s, const char *text, size_t len)
{
    xmlSAXHandler handler = {.initialized = XML_SAX2_MAGIC,
                             .startElementNs = s->start,
                             .endElementNs = s->end,
                             .characters = s->text,
                             .ignorableWhitespace = s->text,
                             .cdataBlock = s->text,
                             .serror = xml_stop_at_fatal};
    xmlParserCtxtPtr parser = xmlCreateMemoryParserCtxt(text, (int)len);
    CHECK(parser);
    s->parser = parser;
    *parser->sax = handler;
    parser->userData = s->ctx;
    (void)xmlCtxtUseOptions(parser, XML_PARSE_NONET | XML_PARSE_NOENT | XML_PARSE_IGNORE_ENC |
                                        XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    (void)xmlParseDocument(parser);
    int ok = parser->wellFormed || s->stopped;
    if (parser->myDoc) xmlFreeDoc(parser->myDoc);
    xmlFreeParserCtxt(parser);
    s->parser = NULL;
    return ok;
}

void xml_sax_stop(xml_sax_t *s)
{
    s->stopped = 1;
    xmlStopParser(s->parser);
}

bool xml_sax_ask(xml_sax_t *s)
{
    if (!effort_over()) return false;
    if (!s->stopped) xml_sax_stop(s);
    return true;
}

read_status_t xml_sax_read(xml_sax_t *s, const char *text, size_t len)
{
    size_t skip = xml_skip_dtd(text, len);
    if (skip != SIZE_MAX && !xml_has_long_tag(text, len)) {
        if (parse(s, text + skip, len - skip)) return effort_over() ? READ_TOO_COMPLEX : READ_OK;
        s->restart(s->ctx);
    }
    buf_t repaired;
    buf_init(&repaired, 4 * (size_t)MAX_DOCUMENT);
    int rc = xml_repair(text, len, &repaired);
    if (rc == 0) (void)parse(s, repaired.data, repaired.len);
    buf_free(&repaired);
    return effort_over() ? READ_TOO_COMPLEX : rc == 0 ? READ_OK : READ_TOO_BIG;
}
