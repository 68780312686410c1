// CSS direction: the first letter that has a direction decides where an element leaves it open.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "miner/read/css_direction.h"

#include <lexbor/dom/dom.h>
#include <lexbor/html/html.h>
#include <pcre2.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "common/check.h"
#include "miner/read/css_parts.h"

typedef lxb_dom_node_t node_t;
typedef enum { OPEN, LTR, RTL } direction_t;

static pcre2_code *letter; // with a direction; group 1: from left to right

static void compile(void)
{
    int error;
    size_t at;
    letter = pcre2_compile((PCRE2_SPTR) "(\\p{bidiL})|[\\p{bidiR}\\p{bidiAL}]", PCRE2_ZERO_TERMINATED,
                           PCRE2_UTF, &error, &at, NULL);
    CHECK(letter);
}

static direction_t of_text(const lexbor_str_t *text, int64_t *steps)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, compile);
    if (!text || !text->data) return OPEN;
    *steps -= (int64_t)(text->length / 16);
    pcre2_match_data *match = pcre2_match_data_create(2, NULL);
    CHECK(match);
    int n = pcre2_match(letter, text->data, text->length, 0, PCRE2_NO_UTF_CHECK, match, NULL);
    pcre2_match_data_free(match);
    return n == 2 ? LTR : n == 1 ? RTL : OPEN;
}

static bool is_tag(const node_t *n, lxb_tag_id_t tag)
{
    return n->local_name == tag && n->ns == LXB_NS_HTML;
}

// Whether the text in n says something of what n stands in.
static bool counts(const node_t *n)
{
    return n->type == LXB_DOM_NODE_TYPE_ELEMENT && !is_tag(n, LXB_TAG_BDI) && !is_tag(n, LXB_TAG_SCRIPT) &&
           !is_tag(n, LXB_TAG_STYLE) && !is_tag(n, LXB_TAG_TEXTAREA) &&
           !css_attribute_is(n, "dir", "ltr rtl auto");
}

static direction_t of_content(const node_t *root, int64_t *steps)
{
    for (const node_t *n = root->first_child; n && *steps > 0;) {
        css_step(steps);
        bool text = n->type == LXB_DOM_NODE_TYPE_TEXT;
        direction_t d = text ? of_text(&((const lxb_dom_character_data_t *)n)->data, steps) : OPEN;
        if (d) return d;
        if (n->first_child && counts(n)) {
            n = n->first_child;
            continue;
        }
        while (n != root && !n->next) n = n->parent;
        n = n == root ? NULL : n->next;
    }
    return OPEN;
}

static direction_t of_input(const node_t *n, int64_t *steps)
{
    static const char no_text[] =
        "number range date month week time datetime-local color checkbox radio file image";
    lxb_dom_attr_t *value =
        lxb_dom_element_attr_by_name(lxb_dom_interface_element(n), (const lxb_char_t *)"value", 5);
    return value && !css_attribute_is(n, "type", no_text) ? of_text(value->value, steps) : OPEN;
}

static direction_t direction(const node_t *n, int64_t *steps)
{
    for (; n && n->type == LXB_DOM_NODE_TYPE_ELEMENT && *steps > 0; n = n->parent) {
        css_step(steps);
        if (css_attribute_is(n, "dir", "ltr")) return LTR;
        if (css_attribute_is(n, "dir", "rtl")) return RTL;
        bool automatic = css_attribute_is(n, "dir", "auto");
        if (automatic && is_tag(n, LXB_TAG_INPUT)) return of_input(n, steps);
        if (automatic || is_tag(n, LXB_TAG_BDI)) return of_content(n, steps);
        if (is_tag(n, LXB_TAG_INPUT) && css_attribute_is(n, "type", "tel")) return LTR;
    }
    return LTR;
}

bool css_direction_is(const node_t *element, const char *name, size_t len, int64_t *steps)
{
    bool rtl = direction(element, steps) == RTL;
    return len == 3 && strncasecmp(name, rtl ? "rtl" : "ltr", 3) == 0;
}
