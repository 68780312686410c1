// Tasks: asking for polls, what waits and what was given up, why something does not run.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "ctl/ctl.h"
#include "ctl/print.h"
#include "ctl/when.h"

// Asks for one object and prints it.
static int print_one(ctl_t *ctl, const char *command, const wire_arg_t *args, size_t n)
{
    const wire_reply_t *reply;
    int result = ctl_ask(ctl, NULL, command, args, n, &reply);
    if (result != CTL_OK) return result;
    yyjson_doc *doc = yyjson_read(reply->json, strlen(reply->json), 0);
    print_object(stdout, yyjson_doc_get_root(doc), ctl->json, clock_wall_ms());
    yyjson_doc_free(doc);
    return CTL_OK;
}

typedef struct {
    wire_arg_t v[CTL_ARGS_MAX];
    char texts[CTL_ARGS_MAX][24];
    size_t n;
} args_t;

static void add_arg(args_t *a, const char *name, const char *value)
{
    if (value) a->v[a->n++] = (wire_arg_t){.name = name, .value = value};
}

// A time option, as `name`_ms or, relative, `relative`. -1: told why not.
static int add_when(args_t *a, const char *option, const char *text, const char *absolute,
                    const char *relative)
{
    when_t when;
    const char *error;
    if (!text) return 0;
    if (when_parse(text, &when, &error)) {
        fprintf(stderr, "rtm-ctl: %s: '%.80s' %s\n", option, text, error);
        return -1;
    }
    snprintf(a->texts[a->n], sizeof a->texts[0], "%" PRId64, when.ms);
    add_arg(a, when.relative ? relative : absolute, a->texts[a->n]);
    return 0;
}

int run_trigger(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    bool front, back;
    const char *at, *deadline, *priority;
    const conf_option_t own[] = {
        {"front", CONF_FLAG, NULL, NULL, "before all that waits with the same priority", &front, 0, 0},
        {"back", CONF_FLAG, NULL, NULL, "after all that waits (the default)", &back, 0, 0},
        {"at", CONF_STR, "TIME", NULL,
         "not before: +10m, 2026-11-25T10:00Z, \"2026-11-25 10:00 Europe/Berlin\"", &at, 0, 0},
        {"deadline", CONF_STR, "TIME", NULL,
         "to be stored by then: it is hurried in time, a miss is recorded", &deadline, 0, 0},
        {"priority", CONF_STR, "PRIORITY", NULL, "low, normal, high or critical; the template's otherwise",
         &priority, 0, 0},
    };
    int i = ctl_parse(command, ctl, own, sizeof own / sizeof *own, argc, argv, 1, 1);
    args_t args = {0};
    if (front && back) {
        fprintf(stderr, "rtm-ctl trigger: --front or --back, not both\n");
        return CTL_USAGE;
    }
    add_arg(&args, "name", argv[i]);
    add_arg(&args, "priority", priority);
    if (front) add_arg(&args, "front", "1");
    if (add_when(&args, "--at", at, "at_ms", "in_ms") ||
        add_when(&args, "--deadline", deadline, "deadline_ms", "deadline_in_ms"))
        return CTL_USAGE;
    return print_one(ctl, "trigger", args.v, args.n);
}

int run_tasks(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    int64_t limit;
    const conf_option_t own[] = {
        {"limit", CONF_INT, "N", "50", "print at most N tasks, 0: all", &limit, 0, 0}};
    int i = ctl_parse(command, ctl, own, 1, argc, argv, 0, 1);
    return ctl_table(ctl, "tasks", i < argc ? argv[i] : NULL, limit, "No tasks.");
}

int run_next(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    int64_t limit;
    char text[24];
    const conf_option_t own[] = {{"limit", CONF_INT, "N", "10", "print at most N", &limit, 1, 1000}};
    ctl_parse(command, ctl, own, 1, argc, argv, 0, 0);
    snprintf(text, sizeof text, "%" PRId64, limit);
    const wire_arg_t arg = {.name = "limit", .value = text};
    return ctl_table_of(ctl, "next", &arg, 1, limit, "Nothing is planned.");
}

// cancel ID, explain SOURCE, drain MINER
int run_one(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    int i = ctl_parse(command, ctl, NULL, 0, argc, argv, 1, 1);
    const char *name = !strcmp(command->name, "cancel")  ? "id"
                       : !strcmp(command->name, "drain") ? "name"
                                                         : "source";
    const wire_arg_t arg = {.name = name, .value = argv[i]};
    return print_one(ctl, command->name, &arg, 1);
}

static bool is_number(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text);
}

int run_dlq(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    int64_t limit;
    bool all;
    const conf_option_t own[] = {
        {"limit", CONF_INT, "N", "50", "list: print at most N letters, 0: all", &limit, 0, 0},
        {"all", CONF_FLAG, NULL, NULL, "retry, drop: all letters", &all, 0, 0},
    };
    int i = ctl_parse(command, ctl, own, 2, argc, argv, 0, 2);
    const char *action = i < argc ? argv[i] : "list", *which = i + 1 < argc ? argv[i + 1] : NULL;
    bool list = !strcmp(action, "list");
    args_t args = {0};
    add_arg(&args, "action", action);
    add_arg(&args, which && is_number(which) && !list ? "id" : "name", which);
    if (list) return ctl_table_of(ctl, "dlq", args.v, args.n, limit, "No dead letters.");
    if (!which && !all) {
        fprintf(stderr, "rtm-ctl dlq %s: say which: the ID of a letter, a template's NAME, or --all\n",
                action);
        return CTL_USAGE;
    }
    return print_one(ctl, "dlq", args.v, args.n);
}
