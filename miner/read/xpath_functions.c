// XPath functions: contains, substring-before and substring-after of libxml2 take quadratic time, which
// glibc's search does not; its id() needs a DTD, its lang() looks for xml:lang.
#include "miner/read/xpath_functions.h"

#include <lexbor/dom/dom.h>
#include <libxml/xpathInternals.h>
#include <string.h>

#include "miner/read/css_language.h"

enum { NODES_PER_OP = 8, LANGUAGE_STEPS = 1000 };

// -- search ---------------------------------------------------------------------------------------

typedef struct {
    xmlChar *text, *part;
    const char *at; // of part in text, or NULL
} search_t;

static bool pop_search(xmlXPathParserContextPtr ctxt, int nargs, search_t *s)
{
    if (nargs != 2) {
        xmlXPathSetArityError(ctxt);
        return false;
    }
    s->part = xmlXPathPopString(ctxt);
    s->text = xmlXPathPopString(ctxt);
    bool ok = s->part && s->text && ctxt->error == XPATH_EXPRESSION_OK;
    s->at = ok ? strstr((const char *)s->text, (const char *)s->part) : NULL;
    if (ok) return true;
    xmlFree(s->part), xmlFree(s->text);
    return false;
}

static void end_search(xmlXPathParserContextPtr ctxt, search_t *s, xmlXPathObjectPtr result)
{
    valuePush(ctxt, result);
    xmlFree(s->part), xmlFree(s->text);
}

static void contains(xmlXPathParserContextPtr ctxt, int nargs)
{
    search_t s;
    if (pop_search(ctxt, nargs, &s)) end_search(ctxt, &s, xmlXPathNewBoolean(s.at != NULL));
}

static void substring_before(xmlXPathParserContextPtr ctxt, int nargs)
{
    search_t s;
    if (!pop_search(ctxt, nargs, &s)) return;
    if (s.at) s.text[s.at - (const char *)s.text] = 0;
    end_search(ctxt, &s, xmlXPathNewString(s.at ? s.text : BAD_CAST ""));
}

static void substring_after(xmlXPathParserContextPtr ctxt, int nargs)
{
    search_t s;
    if (!pop_search(ctxt, nargs, &s)) return;
    const char *behind = s.at ? s.at + strlen((const char *)s.part) : "";
    end_search(ctxt, &s, xmlXPathNewString(BAD_CAST behind));
}

// -- id and lang ----------------------------------------------------------------------------------

static const char *id_of(const xmlNode *n)
{
    const xmlAttr *a = n->type == XML_ELEMENT_NODE ? n->properties : NULL;
    while (a && strcmp((const char *)a->name, "id") != 0) a = a->next;
    return a ? (const char *)a->children->content : NULL;
}

static xmlNode *next_node(xmlNode *n)
{
    if (n->children) return n->children;
    while (n && !n->next) n = n->parent;
    return n ? n->next : NULL;
}

// The first element that has this id.
static void add_with_id(xmlXPathParserContextPtr ctxt, const char *word, size_t len, xmlNodeSetPtr found)
{
    unsigned long seen = 0;
    for (xmlNode *n = ctxt->context->doc->children; n; n = next_node(n), seen++) {
        const char *id = id_of(n);
        if (!id || strncmp(id, word, len) != 0 || id[len]) continue;
        xmlXPathNodeSetAdd(found, n);
        break;
    }
    ctxt->context->opCount += seen / NODES_PER_OP;
}

static bool is_over(xmlXPathParserContextPtr ctxt)
{
    return ctxt->context->opLimit && ctxt->context->opCount > ctxt->context->opLimit;
}

static void add_with_ids(xmlXPathParserContextPtr ctxt, const char *words, xmlNodeSetPtr found)
{
    static const char spaces[] = " \t\r\n";
    while (*(words += strspn(words, spaces)) && !is_over(ctxt)) {
        size_t len = strcspn(words, spaces);
        add_with_id(ctxt, words, len, found);
        words += len;
    }
}

static void id(xmlXPathParserContextPtr ctxt, int nargs)
{
    CHECK_ARITY(1);
    xmlXPathObjectPtr of = valuePop(ctxt);
    xmlNodeSetPtr found = xmlXPathNodeSetCreate(NULL), from = of ? of->nodesetval : NULL;
    bool set = of && of->type == XPATH_NODESET;
    for (int i = 0; i < (!set ? 1 : from ? from->nodeNr : 0); i++) {
        xmlChar *ids = set ? xmlXPathCastNodeToString(from->nodeTab[i]) : xmlXPathCastToString(of);
        if (ids) add_with_ids(ctxt, (const char *)ids, found);
        xmlFree(ids);
    }
    xmlXPathFreeObject(of);
    valuePush(ctxt, xmlXPathWrapNodeSet(found));
    if (is_over(ctxt)) xmlXPatherror(ctxt, __FILE__, __LINE__, XPATH_OP_LIMIT_EXCEEDED);
}

// By the attribute `lang`, as :lang() does it.
static void lang(xmlXPathParserContextPtr ctxt, int nargs)
{
    CHECK_ARITY(1);
    int64_t steps = LANGUAGE_STEPS;
    xmlChar *language = xmlXPathPopString(ctxt);
    const xmlNode *n = ctxt->context->node;
    while (n && n->type != XML_ELEMENT_NODE) n = n->parent;
    bool is =
        language && n && css_language_is(n->_private, (char *)language, strlen((char *)language), &steps);
    xmlFree(language);
    valuePush(ctxt, xmlXPathNewBoolean(is));
}

// libxml2 keeps the function that it has, unless that is taken away first.
static void replace(xmlXPathContextPtr context, const char *name, xmlXPathFunction function)
{
    xmlXPathRegisterFunc(context, (const xmlChar *)name, NULL);
    xmlXPathRegisterFunc(context, (const xmlChar *)name, function);
}

void xpath_functions(xmlXPathContextPtr context)
{
    replace(context, "contains", contains);
    replace(context, "substring-before", substring_before);
    replace(context, "substring-after", substring_after);
    replace(context, "id", id);
    replace(context, "lang", lang);
}
