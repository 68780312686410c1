// Records: to JSON and to the store.
#include "broker/records.h"

#include <stdlib.h>
#include <string.h>

#include "broker/letters.h"
#include "broker/outage.h"
#include "broker/state.h"
#include "broker/tasks.h"
#include "broker/trouble.h"
#include "common/check.h"

yyjson_mut_doc *record_new(void)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    CHECK(doc != NULL);
    yyjson_mut_doc_set_root(doc, yyjson_mut_obj(doc));
    return doc;
}

void record_put(broker_t *b, const char *kind, uint64_t id, yyjson_mut_doc *doc)
{
    char *json = yyjson_mut_write(doc, 0, NULL);
    CHECK(json != NULL);
    store_op_t op = {.kind = STORE_RECORD, .name = kind, .text = json, .number = (int64_t)id};
    broker_store(b, &op);
    free(json);
    yyjson_mut_doc_free(doc);
}

void record_drop(broker_t *b, const char *kind, uint64_t id)
{
    store_op_t op = {.kind = STORE_RECORD_GONE, .name = kind, .number = (int64_t)id};
    broker_store(b, &op);
}

void broker_load_record(broker_t *b, const char *kind, uint64_t id, const char *json)
{
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (!strcmp(kind, RECORD_TROUBLE)) trouble_load(b, id, root);
    if (!strcmp(kind, RECORD_HOST)) outage_load(b, id, root);
    if (!strcmp(kind, RECORD_TASK)) task_load(b, id, root);
    if (!strcmp(kind, RECORD_LETTER)) letter_load(b, id, root);
    if (!strcmp(kind, RECORD_LESSEE)) lessees_load(b, id);
    yyjson_doc_free(doc);
}
