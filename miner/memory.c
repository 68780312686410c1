// Memory: "items=30 fills=100,98,- anchors=0a1b...", see the header.
#include "miner/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"

static uint32_t number(const char *s, uint32_t max)
{
    unsigned long n = strtoul(s, NULL, 10);
    return n > max ? max : (uint32_t)n;
}

static void parse_fills(memory_t *m, const char *s)
{
    for (; m->n_fills < MAX_FIELDS; s++) {
        m->fills[m->n_fills++] = *s >= '0' && *s <= '9' ? (uint8_t)number(s, 100) : FILL_UNKNOWN;
        s += strcspn(s, ", ");
        if (*s != ',') break;
    }
}

static void parse_anchors(memory_t *m, const char *s)
{
    char digits[5] = "", *end;
    for (; m->n_anchors < MAX_ANCHORS && strcspn(s, " ") >= 4; s += 4) {
        memcpy(digits, s, 4);
        unsigned long anchor = strtoul(digits, &end, 16);
        if (*end) break;
        m->anchors[m->n_anchors++] = (uint16_t)anchor;
    }
}

static const char *after(const char *word, const char *name)
{
    size_t len = strlen(name);
    return strncmp(word, name, len) == 0 ? word + len : NULL;
}

void memory_parse(memory_t *m, const char *text)
{
    *m = (memory_t){.items = 0};
    for (const char *word = text ? text : "", *value; *word; word += strcspn(word, " ")) {
        word += strspn(word, " ");
        if ((value = after(word, "items=")))
            m->items = number(value, UINT32_MAX);
        else if ((value = after(word, "pages=")))
            m->pages = number(value, MAX_PAGES);
        else if ((value = after(word, "told=")))
            m->told = (uint8_t)number(value, UINT8_MAX);
        else if ((value = after(word, "details=")))
            m->details = number(value, 100);
        else if ((value = after(word, "bare=")))
            m->bare = number(value, UINT16_MAX);
        else if ((value = after(word, "found=")))
            m->found = *value == '1';
        else if ((value = after(word, "fills=")))
            m->n_fills = 0, parse_fills(m, value);
        else if ((value = after(word, "anchors=")))
            m->n_anchors = 0, parse_anchors(m, value);
    }
}

void memory_write(const memory_t *m, char out[MAX_MEMORY + 1])
{
    buf_t text;
    buf_init(&text, MAX_MEMORY);
    int rc = buf_printf(&text, "items=%u", m->items);
    if (m->pages) rc |= buf_printf(&text, " pages=%u", m->pages);
    if (m->told) rc |= buf_printf(&text, " told=%u", m->told);
    if (m->details) rc |= buf_printf(&text, " details=%u", m->details);
    if (m->bare) rc |= buf_printf(&text, " bare=%u", m->bare);
    if (m->found) rc |= buf_puts(&text, " found=1");
    for (uint32_t i = 0; i < m->n_fills; i++) {
        rc |= buf_puts(&text, i ? "," : " fills=");
        rc |= m->fills[i] == FILL_UNKNOWN ? buf_puts(&text, "-") : buf_printf(&text, "%u", m->fills[i]);
    }
    for (uint32_t i = 0; i < m->n_anchors; i++)
        rc |= buf_printf(&text, "%s%04x", i ? "" : " anchors=", m->anchors[i]);
    CHECK(rc == 0); // MAX_MEMORY has room for MAX_FIELDS fills and MAX_ANCHORS anchors
    memcpy(out, text.data, text.len);
    out[text.len] = 0;
    buf_free(&text);
}

uint16_t memory_anchor(uint64_t key_hash)
{
    return (uint16_t)(key_hash >> 48);
}

bool memory_has_anchor(const memory_t *m, uint64_t key_hash)
{
    for (uint32_t i = 0; i < m->n_anchors; i++)
        if (m->anchors[i] == memory_anchor(key_hash)) return true;
    return false;
}
