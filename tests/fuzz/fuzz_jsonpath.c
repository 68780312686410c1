// needs: miner/read proto common
// The first line is a JSONPath, the rest the document.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "miner/read/jsonpath.h"
#include "miner/read/jsonpath_names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// By way of its names a path leads to the same nodes.
static void check_names(jsonpath_t *path, yyjson_val *root, const nodelist_t *expected)
{
    static nodelist_t nodes;
    int64_t work = JSONPATH_MAX_WORK;
    size_t taken;
    jsonpath_names_t *names = jsonpath_names_new();
    int i = jsonpath_names_add(names, path, &taken);
    yyjson_val *const *found = jsonpath_names_find(names, root, &work);
    if (!found) abort();
    yyjson_val *v = found[i];
    nodes.n = 0;
    if (v && jsonpath_select_from(path, taken, root, v, &work, &nodes) != JSONPATH_OK) abort();
    if (nodes.n != expected->n) abort();
    if (nodes.n && memcmp(nodes.nodes, expected->nodes, nodes.n * sizeof(yyjson_val *)) != 0) abort();
    jsonpath_names_destroy(&names);
}

static void run(jsonpath_t *path, const char *json, size_t len)
{
    nodelist_t nodes = {0};
    int64_t work = 200000;
    yyjson_doc *doc = yyjson_read(json, len, YYJSON_READ_NUMBER_AS_RAW);
    if (doc && jsonpath_select(path, yyjson_doc_get_root(doc), &work, &nodes) == JSONPATH_OK) {
        for (size_t i = 0; i < nodes.n; i++) {
            if (!nodes.nodes[i] || yyjson_get_type(nodes.nodes[i]) == YYJSON_TYPE_NONE) abort();
        }
        check_names(path, yyjson_doc_get_root(doc), &nodes);
    }
    nodelist_free(&nodes);
    yyjson_doc_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char sample[] =
        "{\"a\":[1,-2.5,\"x\",null,{\"b\":[[],{}],\"a\":\"abc\"}],\"b\":{\"a\":true},\"c\":\"a.c\"}";
    const uint8_t *stop = memchr(data, '\n', size);
    size_t len = stop ? (size_t)(stop - data) : size;
    jsonpath_error_t error;
    jsonpath_t *path = jsonpath_new((const char *)data, len, &error);
    if (!path) {
        if (error.offset > len || !*error.text) abort();
        return 0;
    }
    run(path, sample, sizeof sample - 1);
    if (stop) run(path, (const char *)stop + 1, size - len - 1);
    jsonpath_destroy(&path);
    return 0;
}
