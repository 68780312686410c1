// Text: markup -> text as a browser shows it, and clean-up of text that is stored. White space is folded,
// blocks and <br> become line breaks, hidden parts (script, style, template, head, [hidden], ...) are left
// out.
#ifndef RTM_MINER_TEXT_H
#define RTM_MINER_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/arena.h"

struct lxb_dom_node;

// All results are NUL-terminated valid UTF-8 in arena, trimmed, of at most max bytes (cut between code
// points), without control characters other than line feed; "" for nothing. NULL: the arena is full.

// How line breaks are treated.
typedef enum {
    TEXT_LINE,  // they become spaces: titles, names, keys
    TEXT_LINES, // they stay (at most one empty line in a row): summaries, contents
} text_mode_t;

// Plain text: white space folded (line feeds are line breaks), bad UTF-8 replaced. No markup or entities are
// looked for.
const char *text_clean(arena_t *arena, const char *s, size_t len, text_mode_t mode, size_t max);
// The same, for s that is valid UTF-8, ends with NUL and lives as long as the arena: s itself where there is
// nothing to clean.
const char *text_clean_kept(arena_t *arena, const char *s, size_t len, text_mode_t mode, size_t max);
const char *text_verbatim_kept(arena_t *arena, const char *s, size_t len, size_t max);
// Like text_clean, but white space stays as it is: values of attributes, JSON strings, html.
const char *text_verbatim(arena_t *arena, const char *s, size_t len, size_t max);
// Has s no control characters but line feeds and tabs? Then text_verbatim keeps it as it is.
bool text_is_clean(const char *s, size_t len);
// The text of an HTML fragment: tags stripped, entities decoded once, script and style left out. Linear in
// len, builds no tree.
const char *text_from_html(arena_t *arena, const char *html, size_t len, text_mode_t mode, size_t max);
// The text of an element of a parsed page with what it holds. When node itself is hidden (a <script>, a
// <title>), its text is taken nevertheless: who selects it means it.
const char *text_of_node(arena_t *arena, const struct lxb_dom_node *node, text_mode_t mode, size_t max);

// Length of s cut to at most max bytes without splitting a code point.
size_t text_cut(const char *s, size_t len, size_t max);

#endif
