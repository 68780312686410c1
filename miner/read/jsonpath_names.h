// JSONPath names: where many paths lead to, by one pass over each object on their way, as far as they are
// nothing but names. Most fields' paths are: "$.id", "$.user.name".
#ifndef RTM_MINER_JSONPATH_NAMES_H
#define RTM_MINER_JSONPATH_NAMES_H

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

#include "miner/read/jsonpath.h"

typedef struct jsonpath_names jsonpath_names_t;

jsonpath_names_t *jsonpath_names_new(void);
void jsonpath_names_destroy(jsonpath_names_t **names);

// Has the names that path starts with (*taken of them; path must outlive names) looked for, too. Their place
// in what jsonpath_names_find finds.
int jsonpath_names_add(jsonpath_names_t *names, const jsonpath_t *path, size_t *taken);

// What all paths lead to with root as `$`, by their places, NULL where nothing is: valid until the next call.
// Of members of one name the first counts. Takes the members looked at from *work; NULL: there is not enough.
yyjson_val *const *jsonpath_names_find(jsonpath_names_t *names, yyjson_val *root, int64_t *work);

#endif
