// History: what became of polls, which errors recur, polling again, and copies of the broker's state.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "ctl/ctl.h"
#include "ctl/print.h"

int run_history(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    int64_t limit, id, task;
    bool failed;
    const conf_option_t own[] = {
        {"limit", CONF_INT, "N", "50", "print at most N rows, 0: all", &limit, 0, 0},
        {"failed", CONF_FLAG, NULL, NULL, "only polls that failed", &failed, 0, 0},
        {"id", CONF_INT, "ID", "0", "only this row", &id, 0, 0},
        {"task", CONF_INT, "ID", "0", "only what answers this task", &task, 0, 0},
    };
    int i = ctl_parse(command, ctl, own, 4, argc, argv, 0, 1);
    char text[24], task_id[24];
    wire_arg_t args[4];
    size_t n = 0;
    snprintf(text, sizeof text, "%" PRId64, id);
    if (i < argc) args[n++] = (wire_arg_t){.name = "name", .value = argv[i]};
    if (failed) args[n++] = (wire_arg_t){.name = "failed", .value = "1"};
    snprintf(task_id, sizeof task_id, "%" PRId64, task);
    if (task) args[n++] = (wire_arg_t){.name = "task", .value = task_id};
    if (id) args[n++] = (wire_arg_t){.name = "id", .value = text};
    return ctl_table_of(ctl, "history", args, n, limit, failed ? "No failed polls." : "No history yet.");
}

int run_errors(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    int64_t limit;
    const conf_option_t own[] = {
        {"limit", CONF_INT, "N", "50", "print at most N groups, 0: all", &limit, 0, 0}};
    int i = ctl_parse(command, ctl, own, 1, argc, argv, 0, 1);
    return ctl_table(ctl, "errors", i < argc ? argv[i] : NULL, limit, "No errors.");
}

// An answer that is one object: printed as it is.
static int print_answer(const ctl_t *ctl, const wire_reply_t *reply)
{
    yyjson_doc *doc = yyjson_read(reply->json, strlen(reply->json), 0);
    print_object(stdout, yyjson_doc_get_root(doc), ctl->json, clock_wall_ms());
    yyjson_doc_free(doc);
    return CTL_OK;
}

// The source of history's row id, in 17 bytes.
static int find_source(ctl_t *ctl, const char *id, char *source)
{
    wire_arg_t args[] = {{.name = "id", .value = id}};
    const wire_reply_t *reply;
    int result = ctl_ask(ctl, NULL, "history", args, 1, &reply);
    if (result != CTL_OK) return result;
    yyjson_doc *doc = yyjson_read(reply->json, strlen(reply->json), 0);
    yyjson_val *row = yyjson_arr_get_first(yyjson_doc_get_root(doc));
    const char *found = yyjson_get_str(yyjson_obj_get(row, "source"));
    if (found)
        snprintf(source, 17, "%s", found);
    else
        result =
            ctl_refuse("there is no row %s in the history (any more); `rtm-ctl history` shows the ids", id);
    yyjson_doc_free(doc);
    return result;
}

int run_replay(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    const char *id = argv[ctl_parse(command, ctl, NULL, 0, argc, argv, 1, 1)];
    char source[17], *end;
    const wire_reply_t *reply;
    if (strtoll(id, &end, 10) <= 0 || *end) {
        fprintf(stderr, "rtm-ctl replay: ID is a number from the first column of `rtm-ctl history`\n");
        return CTL_USAGE;
    }
    int result = find_source(ctl, id, source);
    if (result != CTL_OK) return result;
    wire_arg_t args[] = {{.name = "source", .value = source}, {.name = "id", .value = id}};
    result = ctl_ask(ctl, NULL, "replay", args, 2, &reply);
    return result == CTL_OK ? print_answer(ctl, reply) : result;
}

int run_backup(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    int64_t timeout_ms;
    const conf_option_t own[] = {
        {"timeout", CONF_DURATION, "DURATION", "10m", "give up after this", &timeout_ms, 0, 0}};
    const char *file = argv[ctl_parse(command, ctl, own, 1, argc, argv, 1, 1)];
    wire_arg_t args[] = {{.name = "file", .value = file}};
    const wire_reply_t *reply;
    ctl->patience_ms = timeout_ms;
    int result = ctl_ask(ctl, NULL, "backup", args, 1, &reply);
    return result == CTL_OK ? print_answer(ctl, reply) : result;
}
