// JSON: documents of kind json, read by JSONPath. Also the lenient parse that JSON feeds share.
#ifndef RTM_MINER_JSON_H
#define RTM_MINER_JSON_H

#include <yyjson.h>

#include "miner/read/read.h"

typedef struct json_reader json_reader_t;

// Compiles the template's JSONPaths: `items` from the root, fields and key from the item (a selector that
// starts with `$$` counts from the document's root). A selector without `$` is relative to the item:
// "user.name" means
// "$.user.name". NULL: *error names the field. template must outlive the reader.
json_reader_t *json_reader_new(const template_t *template, template_error_t *error);
void json_reader_destroy(json_reader_t **reader);

// Without `items` the document's root is taken: an array's elements, or the root as the one item.
read_status_t json_items(json_reader_t *reader, arena_t *arena, const document_t *document, items_t *out);

// Parses JSON, all numbers as raw text so that they keep their digits. A BOM, any charset, lone surrogates,
// control characters in strings, and the `)]}'` guard are tolerated. NULL: *status and detail say why.
// It lives as long as the arena's content.
yyjson_doc *json_parse(arena_t *arena, const document_t *document, read_status_t *status, char detail[200]);

#endif
