// Conf: one option table per program feeds the command line, the environment, --help, and the tests that hold
// the documents against it. Precedence: command line, then environment, then the table's default.
#ifndef RTM_COMMON_CONF_H
#define RTM_COMMON_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    CONF_STR,
    CONF_LIST,     // of texts, separated by commas; on the command line it may be given several times
    CONF_INT,      // decimal
    CONF_DURATION, // "250ms", "2s", "5m", "1h", "1d", stored as int64_t ms
    CONF_SIZE,     // "64K", "32M", "1G", stored as int64_t bytes
    CONF_FLAG,     // --name, or NAME=1 in the environment
} conf_type_t;

typedef struct {
    const char *name; // "slot": --slot, RTM_SLOT
    conf_type_t type;
    const char *value_name;    // "DURATION" in the help; NULL for flags
    const char *default_value; // as one would type it; NULL: none
    const char *help;          // one line
    void *target;              // const char ** / int64_t * / bool *
    int64_t min, max;          // of numbers, durations and sizes; both 0: any that is >= 0
} conf_option_t;

typedef struct {
    const char *program; // "rtm-broker"
    const char *usage;   // what follows the program's name: "[OPTIONS]"
    const char *about;   // a paragraph
    const conf_option_t *options;
    size_t n_options;
} conf_t;

// Reads environment and argv into the targets. Options may stand before and after operands; "--" ends them.
// Handles --help and --version (prints, exits 0). A bad option or value: prints one line, exits 2.
// Returns the index in argv of the first operand; operands are moved behind the options, in order.
int conf_parse(const conf_t *conf, int argc, char **argv);

// "1500ms", "2s" -> ms; -1 if it is none.
int64_t conf_duration(const char *text);
// "64K" -> bytes; -1 if it is none.
int64_t conf_size(const char *text);

#endif
