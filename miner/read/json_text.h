// JSON text: strings as JSON writes them, for `fields`.
#ifndef RTM_MINER_JSON_TEXT_H
#define RTM_MINER_JSON_TEXT_H

#include "common/buf.h"

// Appends text (valid UTF-8; NUL bytes are left out) as a JSON string. 0, or -1 where it does not fit: out is
// then longer than before by a part of it.
__attribute__((warn_unused_result)) int json_text(buf_t *out, const char *text, size_t len);

#endif
