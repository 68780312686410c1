// DOM of XML: see dom_xml.h. Text comes in pieces and is gathered until a tag ends it.
#include "miner/read/dom_xml.h"

#include <lexbor/dom/dom.h>
#include <lexbor/html/html.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "miner/read/xml_sax.h"
#include "proto/limits.h"

enum {
    HEAD = 4096,         // bytes in which XHTML shows
    MAX_NODES = 1000000, // elements, texts and attributes
    MAX_QUALIFIED = 256, // bytes of a name; the rest is left out
};

typedef struct {
    xml_sax_t *sax;
    lxb_html_document_t *document;
    lxb_dom_node_t *at; // the innermost open element, or the document
    buf_t text;
    size_t n_nodes;
} tree_t;

// -- is it XML? -----------------------------------------------------------------------------------

static bool begins_as_xml(const char *s, size_t len)
{
    if (len >= 3 && memcmp(s, "\xEF\xBB\xBF", 3) == 0) s += 3, len -= 3;
    while (len && (*s == ' ' || *s == '\t' || *s == '\r' || *s == '\n')) s++, len--;
    return len >= 5 && memcmp(s, "<?xml", 5) == 0;
}

static bool has_html_tag(const char *s, size_t len)
{
    static const char *const signs[] = {"<html", "<!doctype html"};
    for (size_t i = 0; i < len && i < HEAD; i++)
        for (size_t k = 0; k < sizeof signs / sizeof *signs; k++)
            if (len - i >= strlen(signs[k]) && strncasecmp(s + i, signs[k], strlen(signs[k])) == 0)
                return true;
    return false;
}

bool dom_is_xml(const document_t *document)
{
    const char *type = document->content_type;
    bool said = type && strcasestr(type, "xml") && !strcasestr(type, "html");
    return (said || begins_as_xml(document->bytes, document->len)) &&
           !has_html_tag(document->bytes, document->len);
}

// -- building -------------------------------------------------------------------------------------

static size_t qualify(char out[MAX_QUALIFIED], const xmlChar *prefix, const xmlChar *local)
{
    int n = snprintf(out, MAX_QUALIFIED, "%s%s%s", prefix ? (const char *)prefix : "", prefix ? ":" : "",
                     (const char *)local);
    size_t len = n < 0 ? 0 : n < MAX_QUALIFIED ? (size_t)n : MAX_QUALIFIED - 1;
    for (size_t i = 0; i < len; i++)
        if (out[i] >= 'A' && out[i] <= 'Z') out[i] = (char)(out[i] + 32);
    return len;
}

// false: there are too many, or there is no memory; nothing more is read.
static bool add(tree_t *t, void *node, size_t n)
{
    t->n_nodes = node ? t->n_nodes + n : MAX_NODES + 1;
    if (node && t->n_nodes <= MAX_NODES) {
        lxb_dom_node_insert_child_wo_events(t->at, node);
        return true;
    }
    xml_sax_stop(t->sax);
    return false;
}

static void end_text(tree_t *t)
{
    if (t->text.len)
        (void)add(t,
                  lxb_dom_document_create_text_node(&t->document->dom_document,
                                                    (const lxb_char_t *)t->text.data, t->text.len),
                  1);
    buf_reset(&t->text);
}

static void on_start(void *ctx, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri, int n_ns,
                     const xmlChar **ns, int n_attributes, int n_defaulted, const xmlChar **list)
{
    (void)uri, (void)n_ns, (void)ns, (void)n_defaulted;
    tree_t *t = ctx;
    char name[MAX_QUALIFIED];
    if (xml_sax_over(t->sax)) return;
    end_text(t);
    size_t len = qualify(name, prefix, local);
    lxb_dom_element_t *element =
        lxb_dom_document_create_element(&t->document->dom_document, (const lxb_char_t *)name, len, NULL);
    if (!add(t, element, 1 + (size_t)n_attributes)) return;
    for (int i = 0; i < n_attributes; i++) {
        const xmlChar **at = list + 5 * i;
        len = qualify(name, at[1], at[0]);
        (void)lxb_dom_element_set_attribute(element, (const lxb_char_t *)name, len, at[3],
                                            (size_t)(at[4] - at[3]));
    }
    t->at = lxb_dom_interface_node(element);
}

static void on_end(void *ctx, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri)
{
    (void)local, (void)prefix, (void)uri;
    tree_t *t = ctx;
    if (xml_sax_over(t->sax)) return;
    end_text(t);
    if (t->at->parent) t->at = t->at->parent;
}

static void on_text(void *ctx, const xmlChar *text, int len)
{
    tree_t *t = ctx;
    if (!xml_sax_over(t->sax) && t->at->parent) (void)!buf_append(&t->text, text, (size_t)len);
}

static void on_restart(void *ctx)
{
    tree_t *t = ctx;
    lxb_html_document_clean(t->document);
    t->at = lxb_dom_interface_node(t->document);
    t->n_nodes = 0;
    buf_reset(&t->text);
}

read_status_t dom_xml_build(struct lxb_html_document *document, const char *text, size_t len,
                            char detail[200])
{
    tree_t t = {.document = document, .at = lxb_dom_interface_node(document)};
    xml_sax_t sax = {.start = on_start, .end = on_end, .text = on_text, .restart = on_restart, .ctx = &t};
    t.sax = &sax; // cppcheck-suppress autoVariables
    buf_init(&t.text, MAX_DOCUMENT);
    read_status_t status = xml_sax_read(&sax, text, len);
    buf_free(&t.text);
    if (status == READ_OK && t.n_nodes > MAX_NODES) status = READ_TOO_BIG;
    if (status == READ_TOO_BIG) snprintf(detail, 200, "too many nodes");
    return status;
}
