// Ctl: what the commands of rtm-ctl share: the options that all of them take, the way to the broker, and how
// refusals are told.
#ifndef RTM_CTL_CTL_H
#define RTM_CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"
#include "ctl/link.h"
#include "proto/wire.h"

enum { CTL_OK = 0, CTL_REFUSED = 1, CTL_USAGE = 2, CTL_UNREACHABLE = 3 };

#define CTL_BROKER "tcp://127.0.0.1:7440" // where a broker is looked for
enum { CTL_ARGS_MAX = 8 };

#define CTL_REACH "3s" // how long

typedef struct {
    const char *broker; // endpoints, separated by commas
    int64_t reach_ms;   // how long to try to reach one of them
    bool json;
    int64_t patience_ms; // how long an answer may take, 0: as long as is usual
    link_t *link;        // opened with the first call
} ctl_t;

typedef struct command command_t;
struct command {
    const char *name, *usage; // "add", "FILE..."
    const char *summary;      // one line of `rtm-ctl --help`
    const char *about;        // more for `rtm-ctl NAME --help`
    int (*run)(const command_t *command, ctl_t *ctl, int argc, char **argv);
};

// -- the commands ---------------------------------------------------------------------------------

int run_add(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_change(const command_t *command, ctl_t *ctl, int argc, char **argv); // remove, enable, disable
int run_list(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_show(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_miners(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_sources(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_gaps(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_history(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_errors(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_replay(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_trigger(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_tasks(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_next(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_one(const command_t *command, ctl_t *ctl, int argc, char **argv); // cancel, explain, drain
int run_dlq(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_refetch(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_backup(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_status(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_wait(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_health(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_try(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_select(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_url(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_tail(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_items(const command_t *command, ctl_t *ctl, int argc, char **argv);
int run_robots(const command_t *command, ctl_t *ctl, int argc, char **argv);

// -- for the commands -----------------------------------------------------------------------------

// Reads the common options and the command's own; the operands, of which there must be min to max, are then
// argv[result] and following. Exits as conf_parse does.
int ctl_parse(const command_t *command, ctl_t *ctl, const conf_option_t *own, size_t n_own, int argc,
              char **argv, int min, int max);

// Asks the broker. 0 and *reply (valid until the next call) when it said yes; else the refusal has been told
// on stderr, after subject (a file's name; may be NULL), and the result is the exit code.
int ctl_ask(ctl_t *ctl, const char *subject, const char *command, const wire_arg_t *args, size_t n_args,
            const wire_reply_t **reply);
// The same for whoever looks at the answer's code itself: 0 also where the broker refused.
int ctl_call(ctl_t *ctl, const char *subject, const char *command, const wire_arg_t *args, size_t n_args,
             const wire_reply_t **reply);
// Asks for a table and prints it, page by page. limit: rows at most, 0: all.
int ctl_table(ctl_t *ctl, const char *command, const char *name, int64_t limit, const char *none);
// The same with any arguments, at most CTL_ARGS_MAX.
int ctl_table_of(ctl_t *ctl, const char *command, const wire_arg_t *own, size_t n_own, int64_t limit,
                 const char *none);

// The whole file at path, "-" for standard input; out is initialised here and the caller's to free.
int ctl_read(buf_t *out, const char *path, size_t max);
// One line on stderr, "rtm-ctl: ...", escaped. Returns CTL_REFUSED.
__attribute__((format(printf, 1, 2))) int ctl_refuse(const char *fmt, ...);

#endif
