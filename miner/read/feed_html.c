// Feed HTML: a look at the bytes; no tree is needed for that.
#include "miner/read/feed_html.h"

#include <string.h>
#include <strings.h>

#include "miner/read/text.h"
#include "miner/read/url.h"
#include "proto/limits.h"

typedef struct {
    const char *s;
    size_t len;
} span_t;

static bool contains(span_t s, const char *word)
{
    return s.len && memmem(s.s, s.len, word, strlen(word));
}

static bool has(const char *text, size_t len, const char *word)
{
    return memmem(text, len, word, strlen(word)) != NULL;
}

bool feed_is_html(const char *text, size_t len)
{
    size_t head = len < 2048 ? len : 2048;
    static const char *const marks[] = {"<!doctype html", "<html", "<head", "<body"};
    bool html = false;
    for (size_t i = 0; i + 14 < head && !html; i++) {
        for (size_t k = 0; text[i] == '<' && k < 4; k++)
            html = html || strncasecmp(text + i, marks[k], strlen(marks[k])) == 0;
    }
    return html && !has(text, len, "<feed") && !has(text, len, "<rss") && !has(text, len, "<rdf:RDF");
}

// The value of an attribute of the tag in [tag, end).
static span_t tag_attribute(const char *tag, const char *end, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = tag; p + n + 1 < end; p++) {
        if (!strchr(" \t\r\n\"'", *p) || strncasecmp(p + 1, name, n) != 0 || p[n + 1] != '=') continue;
        p += n + 2;
        char quote = p < end && (*p == '"' || *p == '\'') ? *p++ : ' ';
        const char *stop = memchr(p, quote, (size_t)(end - p));
        return (span_t){p, (size_t)((stop ? stop : end) - p)};
    }
    return (span_t){NULL, 0};
}

static const char *next_link(const char *p, const char *end)
{
    while ((p = memchr(p, '<', (size_t)(end - p))) && end - p > 5 && strncasecmp(p, "<link", 5) != 0) p++;
    return p && end - p > 5 ? p : NULL;
}

static const char *resolve(urls_t *urls, arena_t *arena, span_t href)
{
    const char *url = href.s ? text_decode_entities(arena, href.s, href.len, MAX_URL) : NULL;
    return url ? urls_resolve(urls, arena, url, strlen(url)) : NULL;
}

const char *feed_discover(arena_t *arena, const document_t *document, const char *text, size_t len)
{
    const char *end = text + len, *found = NULL;
    urls_t *urls = urls_of_thread();
    (void)urls_set_base(urls, document->url, document->url ? strlen(document->url) : 0);
    for (const char *p = text; !found && (p = next_link(p, end)); p++) {
        const char *stop = memchr(p, '>', (size_t)(end - p));
        if (!stop) break;
        span_t rel = tag_attribute(p, stop, "rel"), type = tag_attribute(p, stop, "type");
        span_t href = tag_attribute(p, stop, "href");
        if (contains(rel, "alternate") &&
            (contains(type, "rss+xml") || contains(type, "atom+xml") || contains(type, "feed+json")))
            found = resolve(urls, arena, href);
    }
    return found;
}
