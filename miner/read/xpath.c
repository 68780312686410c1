// XPath: the copy's nodes are libxml2's structs in an arena of our own, pointing to lexbor's texts, so that
// making it is one pass and freeing it one call. What an evaluation may cost is bounded by libxml2's count of
// operations, to which the bytes that it allocates for strings are added.
#include "miner/read/xpath.h"

#include <lexbor/dom/dom.h>
#include <libxml/parserInternals.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/check.h"
#include "miner/read/effort.h"
#include "miner/read/xml_sax.h"
#include "miner/read/xpath_functions.h"
#include "miner/read/xpath_pool.h"

enum {
    MAX_NODES = 60000,   // of a copy: unions and comparisons of node sets take quadratic time
    MAX_COPY = 96 << 20, // bytes of a copy
    STEPS_PER_OP = 12,   // an operation of libxml2 costs as much as so many tests of a node
    BYTES_PER_OP = 128,  // allocated for strings
};

typedef lxb_dom_node_t node_t;

struct xpath {
    xmlXPathCompExprPtr expression;
};

// A page's copy. The page's document points to it (node.user), each node of the page to its twin.
typedef struct {
    arena_t *arena;
    xmlXPathContextPtr context; // NULL: the page cannot be copied
    xmlDoc *document;
    long n; // nodes
} copy_t;

// -- cost -----------------------------------------------------------------------------------------

// Most of libxml2's loops over sets of nodes neither count nor ask, so an evaluation may be broken off at any
// instruction: all that it allocates is in a pool, and it changes nothing else that is used afterwards.
static _Thread_local struct {
    volatile xmlXPathContextPtr context; // NULL: nothing is evaluated
    volatile bool in_libc;               // which is not left by a jump
    bool giving;                         // the result of the last one is still looked at, and in the pool
    sigjmp_buf end;
} running;

static void break_off(void)
{
    if (!running.context) return;
    if (!running.in_libc) siglongjmp(running.end, 1);
    running.context->opLimit = 1;
}

static void charge(size_t size)
{
    running.context->opCount += size / BYTES_PER_OP;
    if (effort_over()) break_off();
}

static void *or_break_off(void *p)
{
    if (!p) break_off();
    return p;
}

static void *count_malloc(size_t size)
{
    if (!running.context) return malloc(size);
    charge(size);
    return or_break_off(xpath_pool_alloc(size));
}

static void count_free(void *p)
{
    if (xpath_pool_has(p)) {
        xpath_pool_free(p);
        return;
    }
    running.in_libc = true; // which only matters while something is evaluated
    free(p);
    running.in_libc = false;
}

static void *count_realloc(void *old, size_t size)
{
    if (!old) return count_malloc(size);
    if (!xpath_pool_has(old)) {
        running.in_libc = true;
        void *p = realloc(old, size);
        running.in_libc = false;
        return p;
    }
    if (running.context) charge(size);
    return or_break_off(xpath_pool_realloc(old, size));
}

static char *count_strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char *copy = count_malloc(size);
    return copy ? memcpy(copy, s, size) : NULL;
}

static void install(void)
{
    CHECK(xmlMemSetup(count_free, count_malloc, count_realloc, count_strdup) == 0);
}

void xpath_setup(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}

static xmlXPathContextPtr new_context(xmlDoc *document, xmlStructuredErrorFunc on_error, void *ctx)
{
    xmlXPathContextPtr c = xmlXPathNewContext(document);
    CHECK(c);
    c->error = on_error;
    c->userData = ctx;
    xpath_functions(c);
    return c;
}

// -- compiling ------------------------------------------------------------------------------------

static bool begins_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_name(char c)
{
    return begins_name(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

static bool may_stand_before_parenthesis(const char *name, size_t len)
{
    static const char *const words[] = {"last",
                                        "position",
                                        "count",
                                        "id",
                                        "local-name",
                                        "namespace-uri",
                                        "name",
                                        "string",
                                        "concat",
                                        "starts-with",
                                        "contains",
                                        "substring-before",
                                        "translate",
                                        "substring",
                                        "string-length",
                                        "substring-after",
                                        "normalize-space",
                                        "boolean",
                                        "not",
                                        "true",
                                        "false",
                                        "lang",
                                        "number",
                                        "sum",
                                        "floor",
                                        "ceiling",
                                        "round",
                                        "comment",
                                        "text",
                                        "node",
                                        "and",
                                        "or",
                                        "div",
                                        "mod",
                                        "processing-instruction"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == len && memcmp(words[i], name, len) == 0) return true;
    return false;
}

static void to_lower(char *name, size_t len)
{
    for (; len--; name++)
        if (*name >= 'A' && *name <= 'Z') *name |= 0x20;
}

// Refuses what libxml2 would only find out when it comes to that part of the expression, and puts names into
// the case that they have in HTML. 0 or -1.
static int check_names(char *s, char *why, size_t size)
{
    for (; *s; s++) {
        if (*s == '"' || *s == '\'') {
            s = strchr(s + 1, *s);
            if (!s) return 0; // libxml2 will say so
        } else if (*s == '$') {
            return snprintf(why, size, "there are no variables"), -1;
        } else if (begins_name(*s)) {
            char *name = s;
            while (is_name(*s)) s++;
            size_t len = (size_t)(s - name), gap = strspn(s, " \t\r\n");
            if (s[0] == ':' && s[1] != ':')
                return snprintf(why, size, "prefixes are not known; write *[name()='a:b'] or local-name()"),
                       -1;
            if (s[gap] == '(' && !may_stand_before_parenthesis(name, len))
                return snprintf(why, size, "XPath 1.0 has no function %.*s()", (int)(len > 40 ? 40 : len),
                                name),
                       -1;
            to_lower(name, len);
            s--;
        }
    }
    return 0;
}

typedef struct {
    char *why;
    size_t size;
} report_t;

static void on_compile_error(void *ctx, xml_error_t error)
{
    report_t *r = ctx;
    const char *text = error->message ? error->message : "no valid XPath";
    int len = (int)strcspn(text, "\n");
    snprintf(r->why, r->size, "no valid XPath: %.*s (at character %d)", len, text, error->int1 + 1);
}

// Wrong types of arguments show only in an evaluation.
static bool can_be_evaluated(xmlXPathCompExprPtr expression, xmlXPathContextPtr c)
{
    xmlDoc *empty = xmlNewDoc(BAD_CAST "1.0");
    CHECK(empty);
    c->doc = empty;
    c->node = (xmlNodePtr)empty;
    c->contextSize = c->proximityPosition = 1;
    xmlXPathObjectPtr result = xmlXPathCompiledEval(expression, c);
    bool ok = result != NULL;
    xmlXPathFreeObject(result);
    xmlFreeDoc(empty);
    return ok;
}

static xmlXPathCompExprPtr compile(char *text, char *why, size_t size)
{
    report_t report = {why, size};
    snprintf(why, size, "no valid XPath");
    if (check_names(text, why, size) != 0) return NULL;
    xmlXPathContextPtr c = new_context(NULL, on_compile_error, &report);
    c->opLimit = 1000000;
    xmlXPathCompExprPtr expression = xmlXPathCtxtCompile(c, BAD_CAST text);
    if (expression && !can_be_evaluated(expression, c)) {
        xmlXPathFreeCompExpr(expression);
        expression = NULL;
    }
    xmlXPathFreeContext(c);
    return expression;
}

xpath_t *xpath_new(const char *text, size_t len, char *why, size_t size)
{
    xpath_setup();
    char *copy = xstrndup(text, len);
    xmlXPathCompExprPtr expression = compile(copy, why, size);
    free(copy);
    if (!expression) return NULL;
    xpath_t *xpath = xcalloc(1, sizeof *xpath);
    xpath->expression = expression;
    return xpath;
}

void xpath_destroy(xpath_t **xpath)
{
    if (!*xpath) return;
    xmlXPathFreeCompExpr((*xpath)->expression);
    free(*xpath);
    *xpath = NULL;
}

// -- the copy -------------------------------------------------------------------------------------

static void *copy_alloc(copy_t *copy, size_t size)
{
    return ++copy->n <= MAX_NODES ? arena_calloc(copy->arena, 1, size) : NULL;
}

static void append(xmlNode *parent, xmlNode *child)
{
    child->parent = parent;
    child->prev = parent->last;
    if (parent->last)
        parent->last->next = child;
    else
        parent->children = child;
    parent->last = child;
}

static xmlNode *copy_text(copy_t *copy, const lexbor_str_t *text, xmlElementType type)
{
    xmlNode *n = copy_alloc(copy, sizeof *n);
    if (!n) return NULL;
    n->type = type;
    n->name = type == XML_COMMENT_NODE ? xmlStringComment : xmlStringText;
    n->content = text && text->data ? text->data : (xmlChar *)"";
    n->doc = copy->document;
    n->psvi = (void *)copy->n;
    return n;
}

static int copy_attribute(copy_t *copy, xmlNode *element, lxb_dom_attr_t *from, xmlAttr **last)
{
    xmlAttr *a = copy_alloc(copy, sizeof *a);
    xmlNode *value = a ? copy_text(copy, from->value, XML_TEXT_NODE) : NULL;
    if (!value) return -1;
    a->_private = from;
    a->type = XML_ATTRIBUTE_NODE;
    a->psvi = (void *)copy->n;
    a->name = lxb_dom_attr_qualified_name(from, NULL);
    a->parent = element;
    a->doc = copy->document;
    a->children = a->last = value;
    value->parent = (xmlNode *)a;
    copy->n--; // no XPath has the text of an attribute as a node of its own
    a->prev = *last;
    if (*last)
        (*last)->next = a;
    else
        element->properties = a;
    *last = a;
    return 0;
}

// *out: the element's twin. Its number in the document stands where libxml2 looks for it when it sorts, and
// as all nodes' in psvi.
static int copy_element(copy_t *copy, node_t *from, xmlNode **out)
{
    xmlNode *n = copy_alloc(copy, sizeof *n);
    xmlAttr *last = NULL;
    if (!n) return -1;
    n->type = XML_ELEMENT_NODE;
    n->name = lxb_dom_element_local_name(lxb_dom_interface_element(from), NULL);
    n->doc = copy->document;
    n->content = (xmlChar *)-copy->n;
    n->psvi = (void *)copy->n;
    *out = n;
    for (lxb_dom_attr_t *a = lxb_dom_interface_element(from)->first_attr; a; a = a->next)
        if (copy_attribute(copy, n, a, &last) != 0) return -1;
    return 0;
}

// *out stays NULL for what XPath does not know.
static int copy_node(copy_t *copy, node_t *from, xmlNode **out)
{
    *out = NULL;
    switch (from->type) {
    case LXB_DOM_NODE_TYPE_ELEMENT:
        if (copy_element(copy, from, out) != 0) return -1;
        break;
    case LXB_DOM_NODE_TYPE_TEXT:
    case LXB_DOM_NODE_TYPE_COMMENT:
        *out = copy_text(copy, &lxb_dom_interface_character_data(from)->data,
                         from->type == LXB_DOM_NODE_TYPE_TEXT ? XML_TEXT_NODE : XML_COMMENT_NODE);
        if (!*out) return -1;
        break;
    default: return 0;
    }
    (*out)->_private = from;
    from->user = *out;
    return 0;
}

static int copy_tree(copy_t *copy, node_t *root)
{
    xmlNode *parent = (xmlNode *)copy->document;
    node_t *at = root->first_child;
    while (at) {
        xmlNode *twin;
        if (copy_node(copy, at, &twin) != 0) return -1;
        if (twin) append(parent, twin);
        if (twin && at->first_child) {
            parent = twin;
            at = at->first_child;
            continue;
        }
        while (at && !at->next) {
            at = at->parent == root ? NULL : at->parent;
            if (at) parent = parent->parent;
        }
        if (at) at = at->next;
    }
    return 0;
}

static void ignore_error(void *ctx, xml_error_t error)
{
    (void)ctx, (void)error;
}

static copy_t *make_copy(node_t *root)
{
    copy_t *copy = xcalloc(1, sizeof *copy);
    copy->arena = arena_new(MAX_COPY);
    copy->document = arena_calloc(copy->arena, 1, sizeof *copy->document);
    CHECK(copy->document);
    copy->document->type = XML_DOCUMENT_NODE;
    copy->document->doc = copy->document;
    copy->document->_private = root;
    if (copy_tree(copy, root) == 0) copy->context = new_context(copy->document, ignore_error, NULL);
    return copy;
}

void xpath_forget(node_t *root)
{
    copy_t *copy = root->user;
    if (!copy) return;
    root->user = NULL;
    xmlXPathFreeContext(copy->context);
    arena_destroy(&copy->arena);
    free(copy);
}

// -- evaluating -----------------------------------------------------------------------------------

static uintptr_t place(const xmlNode *n)
{
    switch (n->type) {
    case XML_ATTRIBUTE_NODE: return (uintptr_t)((const xmlAttr *)n)->psvi;
    case XML_ELEMENT_NODE:
    case XML_TEXT_NODE:
    case XML_COMMENT_NODE: return (uintptr_t)n->psvi;
    default: return 0;
    }
}

static int by_place(const void *a, const void *b)
{
    uintptr_t x = place(*(xmlNode *const *)a), y = place(*(xmlNode *const *)b);
    return (x > y) - (x < y);
}

// libxml2 puts a text before what an element before it holds, if the elements are numbered.
static void sort_nodes(const xmlNodeSet *set)
{
    int i = 1;
    while (i < set->nodeNr && place(set->nodeTab[i - 1]) <= place(set->nodeTab[i])) i++;
    if (i < set->nodeNr) qsort(set->nodeTab, (size_t)set->nodeNr, sizeof *set->nodeTab, by_place);
}

static void give_nodes(const xmlNodeSet *set, xpath_found_t found, void *ctx)
{
    if (set) sort_nodes(set);
    for (int i = 0; set && i < set->nodeNr; i++) {
        const xmlNode *n = set->nodeTab[i];
        if (n->type == XML_NAMESPACE_DECL) continue;
        const xmlNode *named = n->type == XML_TEXT_NODE && !n->_private ? n->parent : n;
        if (!found(ctx, named->_private)) return;
    }
}

static void give_text(xmlChar *text, xpath_found_t found, void *ctx)
{
    lxb_dom_text_t node = {.char_data.node.type = LXB_DOM_NODE_TYPE_TEXT};
    node.char_data.data = (lexbor_str_t){.data = text, .length = text ? strlen((char *)text) : 0};
    if (text && *text) found(ctx, lxb_dom_interface_node(&node));
    xmlFree(text);
}

static void give(const xmlXPathObject *result, xpath_found_t found, void *ctx)
{
    switch (result->type) {
    case XPATH_NODESET: give_nodes(result->nodesetval, found, ctx); break;
    case XPATH_STRING: give_text(xmlStrdup(result->stringval), found, ctx); break;
    case XPATH_BOOLEAN: give_text(xmlXPathCastBooleanToString(result->boolval), found, ctx); break;
    case XPATH_NUMBER:
        if (!isnan(result->floatval)) give_text(xmlXPathCastNumberToString(result->floatval), found, ctx);
        break;
    default: break;
    }
}

// Some operations look through whole sets of nodes for duplicates, so on large pages each costs more.
static int64_t op_cost(const copy_t *copy)
{
    return STEPS_PER_OP * (1 + copy->n / 5000);
}

static xmlXPathObjectPtr run(const xpath_t *xpath, xmlXPathContextPtr c)
{
    xmlXPathObjectPtr result = NULL;
    CHECK(!running.giving);
    xpath_pool_reset();
    effort_alarm(break_off);
    if (sigsetjmp(running.end, 0) == 0) {
        running.context = c;
        result = xmlXPathCompiledEval(xpath->expression, c);
        running.context = NULL;
        return result;
    }
    running.context = NULL;
    c->opCount = c->opLimit = ULONG_MAX; // nothing is left of the budget
    return NULL;
}

// NULL: the budget ran out. What it points to lives until the next one.
static xmlXPathObjectPtr evaluate(const xpath_t *xpath, copy_t *copy, node_t *scope, int64_t *steps)
{
    xmlXPathContextPtr c = copy->context;
    int64_t cost = op_cost(copy);
    if (!c || *steps < cost || effort_over()) return NULL;
    c->node = scope->type == LXB_DOM_NODE_TYPE_DOCUMENT ? (xmlNode *)copy->document : scope->user;
    c->opLimit = (unsigned long)(*steps / cost);
    c->opCount = 0;
    c->contextSize = c->proximityPosition = 1;
    if (!c->node) return NULL;
    xmlXPathObjectPtr result = run(xpath, c);
    *steps = c->opCount == ULONG_MAX ? 0 : *steps - (int64_t)c->opCount * cost;
    // these are in the pool, if there are any
    memset(&c->lastError, 0, sizeof c->lastError);
    c->tmpNsList = NULL;
    c->tmpNsNr = 0;
    return result;
}

int xpath_find(const xpath_t *xpath, node_t *scope, int64_t *steps, xpath_found_t found, void *ctx)
{
    node_t *root = scope->type == LXB_DOM_NODE_TYPE_DOCUMENT ? scope : &scope->owner_document->node;
    if (!root->user) root->user = make_copy(root);
    xmlXPathObjectPtr result = evaluate(xpath, root->user, scope, steps);
    if (!result) return -1;
    running.giving = true;
    give(result, found, ctx);
    running.giving = false;
    xmlXPathFreeObject(result);
    return 0;
}
