// Item: puts one item together from the raw matches of its fields: typed values into the item's own columns
// (title, url, author, summary or description, content, image, published or published_at or date) and all
// others into the JSON object `fields`; then defaults, filters, key and content hash. HTML and JSON share it.
#ifndef RTM_MINER_ITEM_H
#define RTM_MINER_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "miner/read/read.h"
#include "miner/read/url.h"
#include "proto/template.h"

typedef struct item_writer item_writer_t;

enum { ITEM_KEY = -1 }; // the index of template->key among the fields

// For the fields of a list's items, or (detail) of a detail page. Compiles `match` patterns. NULL: *error
// says why.
item_writer_t *item_writer_new(const template_t *template, bool detail, template_error_t *error);
void item_writer_destroy(item_writer_t **writer);

// A new document, of some n items: forgets the keys of the last one. arena and urls (whose base is set) are
// used until the next call.
void item_document(item_writer_t *writer, arena_t *arena, urls_t *urls, size_t n);
// A new item.
void item_begin(item_writer_t *writer);
// One raw match (valid UTF-8) of fields[index], or of the key (ITEM_KEY). Call again for the further matches
// of a field with `all` or of type list. READ_OK also where the match gives no value; `item_has` tells.
read_status_t item_put(item_writer_t *writer, int index, const char *raw, size_t len);
// The same for a match that ends with NUL and lives as long as the document's arena: it is not copied.
read_status_t item_put_kept(item_writer_t *writer, int index, const char *raw, size_t len);
// The same for a JSON value that is to stand in `fields` as it is (a number, an object, an array, true,
// false) and lives as long as the document's arena. Only for fields that are no column of the item and have
// no type of their own (field_t.typed). json ends with NUL.
read_status_t item_put_json(item_writer_t *writer, int index, const char *json, size_t len);
// The field has a value already.
bool item_has(const item_writer_t *writer, int index);
// Whether it has none, but words that are a relative date, which the template lets count.
bool item_counts_back(const item_writer_t *writer, int index);
// The field's text is one line, so line breaks need not be kept.
bool item_is_one_line(const item_writer_t *writer, int index);
// The column of an item that the field is, e.g. "title", or NULL: it goes to `fields`.
const char *item_column(const field_t *field);
// Finishes the item: *out lives in the arena. *keep is false when a filter dropped it or it has nothing at
// all.
read_status_t item_end(item_writer_t *writer, item_t *out, bool *keep);

#endif
