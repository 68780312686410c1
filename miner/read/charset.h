// Charset: bytes of a document -> valid UTF-8. The order of evidence: byte order mark; then valid UTF-8 with
// at least one multi-byte sequence and neither ESC nor NUL, which beats every declaration; then the declared
// encoding (HTTP header, then the document's own); then the default of its kind.
#ifndef RTM_MINER_CHARSET_H
#define RTM_MINER_CHARSET_H

#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"

// What the document is: where its own declaration stands, and what it is where nothing is declared.
typedef enum {
    CHARSET_HTML, // <meta charset>; windows-1252
    CHARSET_XML,  // <?xml encoding?>; UTF-8 if valid, else windows-1252
    CHARSET_JSON, // no declaration of its own; UTF-8, or UTF-16/32 by the pattern of NULs
} charset_kind_t;

// content_type: the header's value or NULL. *out: valid UTF-8 without a byte order mark, bad bytes replaced
// by U+FFFD; it may point into bytes (when these are valid UTF-8 already) and is then not NUL-terminated.
// Control characters, NUL too, stay as they are. *name (may be NULL): the encoding's name as WHATWG spells
// it, a constant. 0, or -1: the arena is full.
__attribute__((warn_unused_result)) int charset_to_utf8(arena_t *arena, const char *bytes, size_t len,
                                                        const char *content_type, charset_kind_t kind,
                                                        const char **out, size_t *out_len, const char **name);

// Writes one code point as UTF-8 (U+FFFD for what is none) to out, at most 4 bytes; returns their number.
size_t charset_put_utf8(char *out, uint32_t cp);

// What a code point means on the web: C1 controls are the characters of windows-1252 with that number (five
// of them none: they stay), as who wrote them meant.
uint32_t charset_meant(uint32_t cp);

// The first C1 control (two bytes) in s, valid UTF-8; NULL: there is none.
const char *charset_find_c1(const char *s, size_t len);

// Length of the longest prefix of s that is valid UTF-8 (RFC 3629: no surrogates, no overlong forms).
size_t charset_valid_prefix(const char *s, size_t len);

#endif
