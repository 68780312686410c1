// Select: what a selector finds in a document, one line of JSON for each match. For working on selectors.
#include <lexbor/html/html.h>
#include <libxml/parser.h>
#include <libxml/xpathInternals.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/check.h"
#include "ctl/ctl.h"
#include "ctl/print.h"
#include "ctl/saved.h"
#include "miner/read/charset.h"
#include "miner/read/dom.h"
#include "miner/read/json.h"
#include "miner/read/jsonpath.h"
#include "miner/read/select.h"
#include "miner/read/text.h"
#include "miner/read/unpack.h"
#include "miner/read/xml_repair.h"
#include "miner/read/xml_sax.h"
#include "proto/limits.h"

enum { STEPS = 40000000, XML_OPERATIONS = 20000000, MAX_PREFIXES = 100, CPU_MS = 900 };

typedef struct {
    const char *text; // of the selector
    arena_t *arena;
    document_t document;
    selector_t *selector; // html
    size_t n;             // matches
} select_t;

// -- printing -------------------------------------------------------------------------------------

static void print_match(select_t *s, yyjson_mut_doc *doc, yyjson_mut_val *value)
{
    yyjson_doc *copy = yyjson_mut_val_imut_copy(value, NULL);
    if (copy) print_json(stdout, yyjson_doc_get_root(copy));
    if (copy) fputc('\n', stdout);
    s->n += copy != NULL;
    yyjson_doc_free(copy);
    yyjson_mut_doc_free(doc);
}

static void print_text(select_t *s, const char *text, size_t len)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    const char *clean = text_verbatim(s->arena, text, len, MAX_DOCUMENT);
    print_match(s, doc, yyjson_mut_str(doc, clean ? clean : ""));
}

static void add_text(select_t *s, yyjson_mut_doc *doc, yyjson_mut_val *o, const char *name, const char *text,
                     size_t len)
{
    const char *clean = text ? text_verbatim(s->arena, text, len, MAX_DOCUMENT) : NULL;
    if (clean) yyjson_mut_obj_add_strcpy(doc, o, name, clean);
}

// -- html -----------------------------------------------------------------------------------------

static yyjson_mut_val *html_attributes(select_t *s, yyjson_mut_doc *doc, lxb_dom_node_t *node)
{
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    for (lxb_dom_attr_t *a = lxb_dom_interface_element(node)->first_attr; a; a = a->next) {
        size_t len = 0;
        const char *value = (const char *)lxb_dom_attr_value(a, &len);
        const char *name = text_verbatim(s->arena, (const char *)lxb_dom_attr_qualified_name(a, NULL),
                                         strlen((const char *)lxb_dom_attr_qualified_name(a, NULL)), MAX_URL);
        const char *clean = text_verbatim(s->arena, value ? value : "", len, MAX_DOCUMENT);
        if (name && clean) yyjson_mut_obj_add(o, yyjson_mut_str(doc, name), yyjson_mut_str(doc, clean));
    }
    return o;
}

static void print_element(select_t *s, lxb_dom_node_t *node)
{
    raw_t html = {NULL, 0};
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    const char *text = text_of_node(s->arena, node, TEXT_LINES, MAX_CONTENT);
    const char *name =
        node->type == LXB_DOM_NODE_TYPE_ELEMENT
            ? (const char *)lxb_dom_element_qualified_name(lxb_dom_interface_element(node), NULL)
            : "";
    add_text(s, doc, o, "element", name, strlen(name));
    if (*name) yyjson_mut_obj_add_val(doc, o, "attributes", html_attributes(s, doc, node));
    add_text(s, doc, o, "text", text, text ? strlen(text) : 0);
    if (select_take(s->selector, node, TYPE_HTML, false, s->arena, &html) == READ_OK)
        add_text(s, doc, o, "html", html.text, html.len);
    print_match(s, doc, o);
}

// Memory is for one match at a time: there may be many, each within the others.
static bool on_html(void *ctx, lxb_dom_node_t *node)
{
    select_t *s = ctx;
    raw_t raw = {NULL, 0};
    arena_reset(s->arena);
    if (selector_is_plain(s->selector) && !select_is_leaf(node))
        print_element(s, node);
    else if (select_take(s->selector, node, TYPE_TEXT, false, s->arena, &raw) == READ_OK && raw.text)
        print_text(s, raw.text, raw.len);
    return true;
}

static int select_html(select_t *s)
{
    template_error_t error;
    char detail[200];
    size_t len;
    int64_t steps = STEPS;
    lxb_dom_node_t *root;
    s->selector = selector_new(s->text, "", &error);
    if (!s->selector) return ctl_refuse("%s", error.text);
    arena_t *page = arena_new(4 * (size_t)MAX_DOCUMENT);
    dom_t *dom = dom_new();
    int result = CTL_OK;
    if (dom_read(dom, page, &s->document, &root, &len, detail) != READ_OK)
        result = ctl_refuse("%s", detail);
    else if (select_each(s->selector, root, &steps, on_html, s) != READ_OK)
        result = ctl_refuse("too_complex: the selector takes too many steps on this page");
    dom_clean(dom);
    dom_destroy(&dom);
    selector_destroy(&s->selector);
    arena_destroy(&page);
    return result;
}

// -- json -----------------------------------------------------------------------------------------

static int run_jsonpath(select_t *s, jsonpath_t *path)
{
    read_status_t status;
    char detail[200] = "";
    int64_t work = JSONPATH_MAX_WORK;
    nodelist_t found = {.nodes = NULL};
    yyjson_doc *doc = json_parse(s->arena, &s->document, &status, detail);
    if (!doc) return ctl_refuse("%s: %s", read_status_name(status), detail);
    int result = CTL_OK;
    if (jsonpath_select(path, yyjson_doc_get_root(doc), &work, &found) != JSONPATH_OK)
        result = ctl_refuse("too_complex: the JSONPath takes too many steps on this document");
    for (; result == CTL_OK && s->n < found.n; s->n++) {
        print_json(stdout, found.nodes[s->n]);
        fputc('\n', stdout);
    }
    nodelist_free(&found);
    return result;
}

// As in templates, "a.b", ".a.b" and "[0]" are short for "$.a.b" and "$[0]".
static int select_json(select_t *s)
{
    jsonpath_error_t wrong;
    char text[MAX_SELECTOR + 8];
    const char *head = *s->text == '$' ? "" : strchr("[.", *s->text) ? "$" : "$.";
    int n = snprintf(text, sizeof text, "%s%s", head, s->text);
    if (n < 0 || (size_t)n >= sizeof text) return ctl_refuse("the JSONPath is too long");
    jsonpath_t *path = jsonpath_new(text, (size_t)n, &wrong);
    if (!path) return ctl_refuse("JSONPath \"%s\", at character %zu: %s", text, wrong.offset + 1, wrong.text);
    int result = run_jsonpath(s, path);
    jsonpath_destroy(&path);
    return result;
}

// -- xml ------------------------------------------------------------------------------------------

static void print_xml_element(select_t *s, xmlNodePtr node)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *o = yyjson_mut_obj(doc), *attributes = yyjson_mut_obj(doc);
    xmlChar *text = xmlNodeGetContent(node),
            *name = xmlBuildQName(node->name, node->ns ? node->ns->prefix : NULL, NULL, 0);
    add_text(s, doc, o, "element", (char *)name, strlen((char *)name));
    yyjson_mut_obj_add_val(doc, o, "attributes", attributes);
    for (xmlAttrPtr a = node->properties; a; a = a->next) {
        xmlChar *value = xmlNodeGetContent((xmlNodePtr)a),
                *full = xmlBuildQName(a->name, a->ns ? a->ns->prefix : NULL, NULL, 0);
        yyjson_mut_val *key = yyjson_mut_strcpy(doc, (const char *)full);
        if (value) yyjson_mut_obj_add(attributes, key, yyjson_mut_strcpy(doc, (const char *)value));
        if (full != a->name) xmlFree(full);
        xmlFree(value);
    }
    add_text(s, doc, o, "text", (char *)text, text ? strlen((char *)text) : 0);
    print_match(s, doc, o);
    if (name != node->name) xmlFree(name);
    xmlFree(text);
}

static void print_xml(select_t *s, xmlXPathObjectPtr found)
{
    const xmlNodeSet *set = found->type == XPATH_NODESET ? found->nodesetval : NULL;
    for (int i = 0; set && i < set->nodeNr; i++) {
        arena_reset(s->arena);
        if (set->nodeTab[i]->type == XML_ELEMENT_NODE) {
            print_xml_element(s, set->nodeTab[i]);
            continue;
        }
        xmlChar *text = xmlXPathCastNodeToString(set->nodeTab[i]);
        if (text) print_text(s, (char *)text, strlen((char *)text));
        xmlFree(text);
    }
    if (found->type == XPATH_NODESET) return;
    xmlChar *text = xmlXPathCastToString(found);
    if (text) print_text(s, (char *)text, strlen((char *)text));
    xmlFree(text);
}

// The prefixes that the document declares are known to the expression; of two meanings of one, the first.
// XPath has no default namespace, so that of the first element is `_`.
static void register_prefixes(xmlXPathContextPtr context, xmlNodePtr root)
{
    int left = MAX_PREFIXES;
    if (root->ns && !root->ns->prefix) xmlXPathRegisterNs(context, BAD_CAST "_", root->ns->href);
    for (xmlNodePtr n = root; n && left > 0;) {
        for (xmlNsPtr ns = n->type == XML_ELEMENT_NODE ? n->nsDef : NULL; ns && left > 0; ns = ns->next)
            if (ns->prefix && !xmlXPathNsLookup(context, ns->prefix))
                left -= xmlXPathRegisterNs(context, ns->prefix, ns->href) == 0;
        xmlNodePtr next = n->type == XML_ELEMENT_NODE ? n->children : NULL;
        while (!next && n && n != root) next = n->next, n = n->parent;
        n = next;
    }
}

static int run_xpath(select_t *s, xmlDocPtr doc, const char *expression)
{
    xmlXPathContextPtr context = xmlXPathNewContext(doc);
    CHECK(context);
    context->opLimit = XML_OPERATIONS;
    register_prefixes(context, xmlDocGetRootElement(doc));
    xmlXPathObjectPtr found = xmlXPathEval((const xmlChar *)expression, context);
    int result = CTL_OK;
    if (found)
        print_xml(s, found);
    else
        result = ctl_refuse("\"%s\": %.200s", expression,
                            context->lastError.message ? context->lastError.message : "no valid XPath");
    xmlNodePtr root = xmlDocGetRootElement(doc);
    if (result == CTL_OK && s->n == 0 && root->ns && !root->ns->prefix)
        fprintf(stderr, "(elements without a prefix are _:name here)\n");
    xmlXPathFreeObject(found);
    xmlXPathFreeContext(context);
    return result;
}

static void ignore(void *ctx, const char *fmt, ...)
{
    (void)ctx, (void)fmt;
}

static xmlDocPtr parse_xml(const char *text, size_t len, int options)
{
    xmlParserCtxtPtr parser = xmlNewParserCtxt();
    CHECK(parser);
    if (!options) parser->sax->serror = xml_stop_at_fatal;
    xmlDocPtr doc = xmlCtxtReadMemory(parser, text, (int)len, NULL, "UTF-8",
                                      options | XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlFreeParserCtxt(parser);
    return doc;
}

// As feeds are read: strictly if that can be, else repaired, without the element that the repair puts around.
static xmlDocPtr read_xml(const char *text, size_t len)
{
    size_t skip = xml_skip_dtd(text, len);
    xmlDocPtr doc = NULL;
    if (skip != SIZE_MAX && !xml_has_long_tag(text, len)) doc = parse_xml(text + skip, len - skip, 0);
    if (doc) return doc;
    buf_t repaired;
    buf_init(&repaired, 4 * (size_t)MAX_DOCUMENT);
    if (xml_repair(text, len, &repaired) == 0)
        doc = parse_xml(repaired.data, repaired.len, XML_PARSE_RECOVER);
    buf_free(&repaired);
    xmlNodePtr around = xmlDocGetRootElement(doc);
    for (xmlNodePtr n = around ? around->children : NULL, next; n; n = next) {
        next = n->next;
        if (n->type != XML_ELEMENT_NODE) continue;
        xmlUnlinkNode(n);
        xmlAddChild((xmlNodePtr)doc, n);
    }
    if (around) xmlUnlinkNode(around);
    xmlFreeNode(around);
    return doc;
}

static int select_xml(select_t *s)
{
    const char *expression = strncmp(s->text, "xpath:", 6) == 0 ? s->text + 6 : s->text;
    xmlSetGenericErrorFunc(NULL, ignore);
    const char *text;
    size_t len;
    arena_t *page = arena_new(4 * (size_t)MAX_DOCUMENT);
    xmlDocPtr doc = NULL;
    if (charset_to_utf8(page, s->document.bytes, s->document.len, s->document.content_type, CHARSET_XML,
                        &text, &len, NULL) == 0) {
        while (len && strchr(" \t\r\n", *text) && *text) text++, len--;
        doc = read_xml(text, len);
    }
    arena_destroy(&page);
    if (!xmlDocGetRootElement(doc)) {
        xmlFreeDoc(doc);
        return ctl_refuse("the document is no XML");
    }
    int result = run_xpath(s, doc, expression);
    xmlFreeDoc(doc);
    return result;
}

// -- the command ----------------------------------------------------------------------------------

// Whatever the selector and the document are: the CPU time is bounded.
static void on_cpu_time(int signal)
{
    static const char said[] = "rtm-ctl: too_complex: the selector takes too long on this document\n";
    (void)signal;
    (void)!write(STDERR_FILENO, said, sizeof said - 1);
    _exit(CTL_REFUSED);
}

static void bound_cpu_time(void)
{
    const struct itimerspec in = {.it_value = {.tv_nsec = CPU_MS * 1000000L}};
    struct sigaction action = {.sa_handler = on_cpu_time};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF};
    timer_t timer; // lasts as long as the program
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGPROF, &action, NULL) == 0);
    CHECK(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &in, NULL) == 0);
}

static bool starts_with(const document_t *d, size_t at, const char *word)
{
    return d->len - at >= strlen(word) && strncmp(d->bytes + at, word, strlen(word)) == 0;
}

// What the selector and the first bytes look like.
static const char *guess_kind(const select_t *s)
{
    static const char *const xml[] = {"<?xml", "<rss", "<feed", "<rdf:RDF", "<urlset", "<sitemapindex"};
    const document_t *d = &s->document;
    size_t at = d->len >= 3 && memcmp(d->bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    while (at < d->len && d->bytes[at] && strchr(" \t\r\n", d->bytes[at])) at++;
    if (*s->text == '$' || starts_with(d, at, "{") || starts_with(d, at, "[")) return "json";
    for (size_t i = 0; i < sizeof xml / sizeof *xml; i++)
        if (starts_with(d, at, xml[i])) return "xml";
    return "html";
}

static int select_in(select_t *s, const char *kind)
{
    if (!kind) kind = guess_kind(s);
    if (!*s->text) return ctl_refuse("the selector is empty");
    if (!strcmp(kind, "html")) return select_html(s);
    if (!strcmp(kind, "json")) return select_json(s);
    if (!strcmp(kind, "xml")) return select_xml(s);
    ctl_refuse("--kind %s: must be html, xml or json", kind);
    return CTL_USAGE;
}

static int unpack_document(arena_t *arena, document_t *document)
{
    char detail[200] = "";
    read_status_t status = unpack(arena, document, detail);
    return status == READ_OK ? CTL_OK : ctl_refuse("%s: %s", read_status_name(status), detail);
}

int run_select(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    const char *kind;
    select_t s = {.n = 0};
    saved_t saved;
    const conf_option_t own[] = {
        {"kind", CONF_STR, "KIND", NULL, "html, xml or json; without it the document is looked at", &kind, 0,
         0},
    };
    int first = ctl_parse(command, ctl, own, sizeof own / sizeof *own, argc, argv, 1, 2);
    const char *path = first + 1 < argc ? argv[first + 1] : "-";
    s.text = argv[first];
    int result = saved_read(&saved, path);
    s.document = (document_t){.bytes = saved.body.data ? saved.body.data : "",
                              .len = saved.body.len,
                              .content_type = saved.content_type,
                              .url = saved.url};
    s.arena = arena_new(4 * (size_t)MAX_DOCUMENT);
    arena_t *unpacked = arena_new(2 * (size_t)MAX_DOCUMENT);
    bound_cpu_time();
    if (result == CTL_OK) result = unpack_document(unpacked, &s.document);
    if (result == CTL_OK) result = select_in(&s, kind);
    if (result == CTL_OK && s.n == 0) fputs("(nothing matches)\n", stderr);
    arena_destroy(&s.arena);
    arena_destroy(&unpacked);
    saved_free(&saved);
    return result;
}
