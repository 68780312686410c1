// Records: small things that must survive a restart, kept as JSON documents under a kind and an id: troubles
// of sources, back-offs of hosts, tasks, dead letters, miners that may hold leases. The store knows nothing
// of them.
#ifndef RTM_BROKER_RECORDS_H
#define RTM_BROKER_RECORDS_H

#include <stdint.h>

#include <yyjson.h>

struct broker;

#define RECORD_TROUBLE "trouble" // id: the source
#define RECORD_HOST    "host"    // id: hash of the lane's host
#define RECORD_TASK    "task"    // id: the task's
#define RECORD_LETTER  "letter"  // id: the letter's
#define RECORD_LESSEE  "lessee"  // id: hash of the miner's name

// Stores doc (freed) under kind and id, in place of what was there.
void record_put(struct broker *broker, const char *kind, uint64_t id, yyjson_mut_doc *doc);
void record_drop(struct broker *broker, const char *kind, uint64_t id);
// A new document whose root is an object.
yyjson_mut_doc *record_new(void);

#endif
