// Control: what the files of rtm-ctl's commands share: a request being answered, and how to answer it. A
// command is a function that reads its arguments and either refuses or writes the answer's JSON; control.c
// has the table.
#ifndef RTM_BROKER_CONTROL_H
#define RTM_BROKER_CONTROL_H

#include <yyjson.h>

#include "broker/state.h"

enum { PAGE_ROWS = 1000, PAGE_BYTES = 600 << 10, ROW_BYTES = 400 };

// One request being answered.
typedef struct {
    broker_t *broker;
    uint64_t peer;
    const wire_request_t *request;
    yyjson_mut_doc *doc;
    wire_reply_t reply;
    char message[1024], field[128], cursor[MAX_CURSOR + 1];
    size_t rows, bytes; // of the table, estimated
    bool asked;         // somebody else replies
} call_t;

// The argument's value, "" if it was not given.
const char *call_arg(const call_t *call, const char *name);
bool call_flag(const call_t *call, const char *name);
// The listing that argument `name` names; NULL: refused.
listing_t *call_listing(call_t *call);
// The id that 16 hexadecimal digits are; false: text is something else.
bool call_source_id(const char *text, uint64_t *id);
// The sources that text names: an id, or a URL (which several templates may have). At most max; how many.
size_t call_sources(const call_t *call, const char *text, source_t **sources, size_t max);
// Answers with code and a text; field: which argument or member of the template is meant.
__attribute__((format(printf, 4, 5))) void call_refuse(call_t *call, unsigned code, const char *field,
                                                       const char *fmt, ...);
// Sends what the call came to, and frees it.
void call_reply(call_t *call);
// The answer: an object, or a table (rows are added to it).
yyjson_mut_val *call_object(call_t *call);
yyjson_mut_val *call_table(call_t *call);
// Whether the table takes another row, with texts of so many bytes beside its numbers and names: then it
// counts. False: the page is full.
bool call_row(call_t *call, size_t texts);
void put_str(call_t *call, yyjson_mut_val *object, const char *key, const char *value);
void put_int(call_t *call, yyjson_mut_val *object, const char *key, int64_t value);
// 16 hex digits.
void put_id(call_t *call, yyjson_mut_val *object, const char *key, uint64_t id);
// A time, null where there is none.
void put_time(call_t *call, yyjson_mut_val *object, const char *key, int64_t ms);

// -- commands in files of their own
void command_gaps(call_t *call);
void command_history(call_t *call);
void command_errors(call_t *call);
void command_replay(call_t *call);
void command_backup(call_t *call);
void command_refetch(call_t *call);
void command_trigger(call_t *call);
void command_tasks(call_t *call);
void command_cancel(call_t *call);
void command_next(call_t *call);
void command_dlq(call_t *call);
void command_release(call_t *call);
void command_drain(call_t *call);
void command_miners(call_t *call);
void command_status(call_t *call);
void command_explain(call_t *call);

// Lets a source, or (NULL) all of a listing, out of quarantine; how many there were.
size_t release_sources(broker_t *broker, listing_t *listing, source_t *only);
// The best bound of a row's delay that the host's budget allows, ms.
int64_t reachable_bound(const template_t *template, const source_t *source);

#endif
