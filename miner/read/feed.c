// Feed: what kind of feed a document is.
#include "miner/read/feed.h"

#include <stdio.h>
#include <string.h>

#include "miner/read/charset.h"
#include "miner/read/feed_html.h"
#include "miner/read/feed_json.h"
#include "miner/read/feed_xml.h"

// The first byte that says something is a JSON bracket.
static bool starts_as_json(const document_t *document)
{
    size_t i = 0;
    while (i < document->len && document->bytes[i] && strchr("\xEF\xBB\xBF \t\r\n", document->bytes[i])) i++;
    return i < document->len && (document->bytes[i] == '{' || document->bytes[i] == '[');
}

read_status_t feed_items(const template_t *template, arena_t *arena, const document_t *document, items_t *out)
{
    const char *text;
    size_t len;
    *out = (items_t){0};
    if (starts_as_json(document)) return feed_json_items(template, arena, document, out);
    if (charset_to_utf8(arena, document->bytes, document->len, document->content_type, CHARSET_XML, &text,
                        &len, NULL) != 0)
        return READ_TOO_BIG;
    while (len && (strchr(" \t\r\n", *text) || !*text)) text++, len--;
    while (len && !text[len - 1]) len--;
    if (len == 0) return READ_EMPTY_BODY;
    if (*text == '{' || *text == '[') return feed_json_items(template, arena, document, out);
    if (feed_is_html(text, len)) {
        snprintf(out->detail, sizeof out->detail, "an HTML page, no feed");
        out->next_url = feed_discover(arena, document, text, len);
        return READ_NOT_THIS_KIND;
    }
    if (!memchr(text, '<', len)) {
        snprintf(out->detail, sizeof out->detail, "neither XML nor JSON");
        return READ_NOT_THIS_KIND;
    }
    return feed_xml_items(template, arena, document, text, len, out);
}
