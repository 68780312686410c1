// JSONPath: queries per RFC 9535, compiled and run over yyjson values.
#ifndef RTM_MINER_JSONPATH_H
#define RTM_MINER_JSONPATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

enum {
    JSONPATH_MAX_QUERY = 2048,    // bytes
    JSONPATH_MAX_NODES = 1 << 17, // in one result
    JSONPATH_MAX_WORK = 20000000, // values looked at in one document: some 0.2 s
    JSONPATH_MAX_DEPTH = 3000,    // of recursion: levels of the document under `..`, segments, nested filters
};

typedef struct jsonpath jsonpath_t;

typedef struct {
    size_t offset;  // byte in the query where it went wrong
    char text[160]; // what is wrong
} jsonpath_error_t;

typedef enum {
    JSONPATH_OK,
    JSONPATH_TOO_COMPLEX, // a bound above was passed; nothing is in out
} jsonpath_status_t;

// The nodes that a query selected, in order. Borrowed from the document. Zero it before its first use; it can
// be used again and again.
typedef struct {
    yyjson_val **nodes;
    size_t n, cap;
} nodelist_t;
void nodelist_free(nodelist_t *list);

// Compiles query (UTF-8, len bytes). NULL: not a well-formed, well-typed query (RFC 9535, 2.1); *error says
// why.
jsonpath_t *jsonpath_new(const char *query, size_t len, jsonpath_error_t *error);
void jsonpath_destroy(jsonpath_t **path);

// Runs path with root as `$`. Numbers in the document may be yyjson numbers or raw text. Children of objects
// come in document order. Takes the values looked at from *work (JSONPATH_MAX_WORK is a good start). Not for
// two threads at once.
jsonpath_status_t jsonpath_select(jsonpath_t *path, yyjson_val *root, int64_t *work, nodelist_t *out);
// The same behind the first `names` segments of path, which have led from root to node.
jsonpath_status_t jsonpath_select_from(jsonpath_t *path, size_t names, yyjson_val *root, yyjson_val *node,
                                       int64_t *work, nodelist_t *out);
// Does path consist of that many segments?
bool jsonpath_has_length(const jsonpath_t *path, size_t segments);

#endif
