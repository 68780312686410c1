// DOM: lexbor follows the HTML standard to the letter, and that lets small documents grow to gigabytes or
// take minutes (formatting elements reopened in each block, scopes searched through deep stacks, attributes
// compared pairwise). So each token passes a counter on its way to the tree builder.
#include "miner/read/dom.h"

#include <lexbor/dom/dom.h>
#include <lexbor/html/html.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "miner/read/charset.h"
#include "miner/read/dom_xml.h"
#include "miner/read/xpath.h"

enum {
    CHUNK = 64 << 10,      // bytes between two looks at an unfinished token
    MAX_DEPTH = 4096,      // open elements
    MAX_FORMATTING = 256,  // open formatting elements, all of which each block may reopen
    MAX_ATTRIBUTES = 4096, // of one tag
    MAX_ROOTS = 64,        // <html> and <body> tags: each adds its attributes to those of the first
    MAX_WORK = 40000000,   // steps through open elements and bytes copied, about 0.1 s
    MAX_TREE = 192 << 20,  // bytes of nodes
    USUAL_TREE = 4 << 20,  // memory that is kept from page to page
    LOOK_EVERY = 256,      // tokens between two looks at the memory
};

struct dom {
    lxb_html_document_t *document;
    lxb_html_tokenizer_token_f build; // the tree builder's callback
    void *build_ctx;
    lxb_html_tree_t *tree;
    size_t work, tokens, roots;
    bool has_base;       // there is a <base> tag
    const char *problem; // what was too much, or NULL
};

dom_t *dom_new(void)
{
    return xcalloc(1, sizeof(dom_t));
}

void dom_destroy(dom_t **dom)
{
    if (!*dom) return;
    if ((*dom)->document) xpath_forget(lxb_dom_interface_node((*dom)->document));
    if ((*dom)->document) lxb_html_document_destroy((*dom)->document);
    free(*dom);
    *dom = NULL;
}

static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;

static void end_of_thread(void *value)
{
    dom_t *dom = value;
    dom_destroy(&dom);
}

static void make_key(void)
{
    CHECK(pthread_key_create(&thread_key, end_of_thread) == 0);
}

dom_t *dom_of_thread(void)
{
    pthread_once(&thread_once, make_key);
    dom_t *dom = pthread_getspecific(thread_key);
    if (!dom) CHECK(pthread_setspecific(thread_key, dom = dom_new()) == 0);
    return dom;
}

static size_t tree_bytes(const dom_t *dom)
{
    const lexbor_mem_t *nodes = dom->document->dom_document.mraw->mem,
                       *text = dom->document->dom_document.text->mem;
    return nodes->chunk_length * nodes->chunk_min_size + text->chunk_length * text->chunk_min_size;
}

void dom_clean(dom_t *dom)
{
    if (!dom->document) return;
    xpath_forget(lxb_dom_interface_node(dom->document));
    if (tree_bytes(dom) > USUAL_TREE)
        dom->document = lxb_html_document_destroy(dom->document);
    else
        lxb_html_document_clean(dom->document);
}

// Text that goes on behind an ignored tag is appended to the text before it, which is copied for that.
static size_t copied_text(const lxb_html_tree_t *tree)
{
    size_t depth = lexbor_array_length(tree->open_elements);
    const lxb_dom_node_t *open = depth ? lexbor_array_get(tree->open_elements, depth - 1) : NULL;
    const lxb_dom_node_t *last = open ? open->last_child : NULL;
    if (!last || last->type != LXB_DOM_NODE_TYPE_TEXT) return 0;
    return ((const lxb_dom_character_data_t *)last)->data.length / 32;
}

// lexbor notes each error of the markup, without bound and in small steps. Nobody reads them.
static void forget_errors(dom_t *dom)
{
    lexbor_array_obj_clean(dom->tree->parse_errors);
    lexbor_array_obj_clean(dom->tree->tkz_ref->parse_errors);
}

static const char *excess(dom_t *dom, const lxb_html_token_t *token)
{
    size_t depth = lexbor_array_length(dom->tree->open_elements);
    size_t formatting = lexbor_array_length(dom->tree->active_formatting);
    dom->work += depth + formatting + (token->tag_id == LXB_TAG__TEXT ? copied_text(dom->tree) : 0);
    dom->roots += token->tag_id == LXB_TAG_HTML || token->tag_id == LXB_TAG_BODY;
    dom->has_base |= token->tag_id == LXB_TAG_BASE;
    if (dom->roots > MAX_ROOTS) return "too many <html> and <body> tags";
    if (depth > MAX_DEPTH) return "elements nest too deeply";
    if (formatting > MAX_FORMATTING) return "too many formatting elements are open";
    if (dom->work > MAX_WORK) return "the markup takes too many steps to parse";
    if (++dom->tokens % LOOK_EVERY) return NULL;
    forget_errors(dom);
    return tree_bytes(dom) > MAX_TREE ? "too many nodes" : NULL;
}

static lxb_html_token_t *count_token(lxb_html_tokenizer_t *tkz, lxb_html_token_t *token, void *ctx)
{
    dom_t *dom = ctx;
    dom->problem = excess(dom, token);
    if (!dom->problem) return dom->build(tkz, token, dom->build_ctx);
    tkz->status = LXB_STATUS_ABORTED;
    return NULL;
}

static bool has_too_many_attributes(const lxb_html_tokenizer_t *tkz)
{
    size_t n = 0;
    for (const lxb_html_token_attr_t *a = tkz->token ? tkz->token->attr_first : NULL; a; a = a->next)
        if (++n > MAX_ATTRIBUTES) return true;
    return false;
}

static lxb_status_t feed(dom_t *dom, lxb_html_tokenizer_t *tkz, const char *html, size_t len)
{
    lxb_status_t status = LXB_STATUS_OK;
    for (size_t at = 0, n; at < len && status == LXB_STATUS_OK; at += n) {
        n = len - at < CHUNK ? len - at : CHUNK;
        status = lxb_html_document_parse_chunk(dom->document, (const lxb_char_t *)html + at, n);
        if (status != LXB_STATUS_OK || !has_too_many_attributes(tkz)) continue;
        dom->problem = "a tag has too many attributes";
        return LXB_STATUS_ABORTED;
    }
    return status;
}

read_status_t dom_parse(dom_t *dom, const char *html, size_t len, lxb_dom_node_t **root, char detail[200])
{
    if (!dom->document) dom->document = lxb_html_document_create();
    CHECK(dom->document && lxb_html_document_parse_chunk_begin(dom->document) == LXB_STATUS_OK);
    lxb_html_parser_t *parser = dom->document->dom_document.parser;
    lxb_html_tokenizer_t *tkz = parser->tkz;
    dom->tree = parser->tree;
    dom->work = dom->tokens = dom->roots = 0;
    dom->has_base = false;
    dom->problem = NULL;
    if (tkz->callback_token_done != count_token) {
        dom->build = tkz->callback_token_done;
        dom->build_ctx = tkz->callback_token_ctx;
    }
    lxb_html_tokenizer_callback_token_done_set(tkz, count_token, dom);
    lxb_status_t status = feed(dom, tkz, html, len);
    if (status == LXB_STATUS_OK) status = lxb_html_document_parse_chunk_end(dom->document);
    lxb_html_tokenizer_callback_token_done_set(tkz, dom->build, dom->build_ctx);
    *root = lxb_dom_interface_node(dom->document);
    if (status == LXB_STATUS_OK) return READ_OK;
    // what is left of a parse that stopped half-way is not used again
    dom->document = lxb_html_document_destroy(dom->document);
    *root = NULL;
    snprintf(detail, 200, "%s", dom->problem ? dom->problem : "the page cannot be parsed");
    return dom->problem ? READ_TOO_BIG : READ_PARSE;
}

static read_status_t parse_xml(dom_t *dom, const char *text, size_t len, lxb_dom_node_t **root,
                               char detail[200])
{
    if (!dom->document) dom->document = lxb_html_document_create();
    CHECK(dom->document);
    dom->has_base = false;
    read_status_t status = dom_xml_build(dom->document, text, len, detail);
    *root = lxb_dom_interface_node(dom->document);
    if (status == READ_OK) return READ_OK;
    dom->document = lxb_html_document_destroy(dom->document);
    *root = NULL;
    return status;
}

static bool looks_like_json(const char *s, size_t len)
{
    while (len && (*s == ' ' || *s == '\t' || *s == '\r' || *s == '\n')) s++, len--;
    return len && (*s == '{' || *s == '[');
}

read_status_t dom_read(dom_t *dom, arena_t *arena, const document_t *document, lxb_dom_node_t **root,
                       size_t *len, char detail[200])
{
    bool xml = dom_is_xml(document);
    const char *text;
    *root = NULL;
    if (charset_to_utf8(arena, document->bytes, document->len, document->content_type,
                        xml ? CHARSET_XML : CHARSET_HTML, &text, len, NULL) != 0)
        return snprintf(detail, 200, "the page takes too much memory"), READ_TOO_BIG;
    if (!memchr(text, '<', *len))
        return snprintf(detail, 200, "there is no markup in it%s",
                        looks_like_json(text, *len)
                            ? "; it looks like JSON: kind `json`, and selectors that start with `$`"
                            : ""),
               READ_NOT_THIS_KIND;
    return xml ? parse_xml(dom, text, *len, root, detail) : dom_parse(dom, text, *len, root, detail);
}

lxb_dom_node_t *dom_next(lxb_dom_node_t *node)
{
    if (node->first_child) return node->first_child;
    while (node && !node->next) node = node->parent;
    return node ? node->next : NULL;
}

static const char *find_base(const dom_t *dom, size_t *len)
{
    if (!dom->has_base) return NULL;
    for (lxb_dom_node_t *n = lxb_dom_interface_node(dom->document); n; n = dom_next(n)) {
        if (n->local_name != LXB_TAG_BASE || n->type != LXB_DOM_NODE_TYPE_ELEMENT) continue;
        lxb_dom_attr_t *href =
            lxb_dom_element_attr_by_name(lxb_dom_interface_element(n), (const lxb_char_t *)"href", 4);
        const lxb_char_t *value = href ? lxb_dom_attr_value(href, len) : NULL;
        if (value) return (const char *)value;
    }
    return NULL;
}

void dom_set_base(const dom_t *dom, urls_t *urls, const char *url)
{
    size_t len = 0;
    (void)urls_set_base(urls, url, url ? strlen(url) : 0);
    const char *href = find_base(dom, &len);
    if (href) (void)urls_move_base(urls, href, len);
}
