// Conf: defaults, then the environment, then the command line, each through the same setter.
#include "common/conf.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

enum {
    EXIT_USAGE = 2,
    HELP_COLUMN = 30, // where the help texts start
};

typedef struct {
    const char *suffix;
    int64_t factor;
} unit_t;

static const unit_t durations[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
static const unit_t sizes[] = {{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

// -- values ---------------------------------------------------------------------------------------

// Decimal digits, then one of the suffixes; -1: not so, or it does not fit.
static int64_t scaled(const char *text, const unit_t *units, size_t n_units)
{
    char *end;
    if (!isdigit((unsigned char)*text)) return -1;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno) return -1;
    for (size_t i = 0; i < n_units; i++)
        if (!strcmp(end, units[i].suffix)) return n > INT64_MAX / units[i].factor ? -1 : n * units[i].factor;
    return -1;
}

int64_t conf_duration(const char *text)
{
    return scaled(text, durations, COUNT(durations));
}

int64_t conf_size(const char *text)
{
    return scaled(text, sizes, COUNT(sizes));
}

static int integer(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || *end || isspace((unsigned char)*text)) return -1;
    *value = n;
    return 0;
}

static bool in_range(const conf_option_t *o, int64_t value)
{
    if (o->min == 0 && o->max == 0) return value >= 0;
    return value >= o->min && value <= o->max;
}

static const char *const wanted[] = {
    [CONF_INT] = "a number",
    [CONF_DURATION] = "a duration such as 250ms, 2s, 5m, 1h",
    [CONF_SIZE] = "a size in bytes such as 64K, 32M, 1G",
    [CONF_FLAG] = "1 or 0",
};

// NULL, or what would have been right.
static const char *set_number(const conf_option_t *o, const char *text)
{
    int64_t value = -1;
    bool bad = false;
    if (o->type == CONF_INT)
        bad = integer(text, &value) != 0;
    else
        value = o->type == CONF_DURATION ? conf_duration(text) : conf_size(text), bad = value < 0;
    if (bad) return wanted[o->type];
    if (!in_range(o, value)) return "";
    *(int64_t *)o->target = value;
    return NULL;
}

static const char *set_value(const conf_option_t *o, const char *text)
{
    switch (o->type) {
    case CONF_STR:
    case CONF_LIST: *(const char **)o->target = text; return NULL;
    case CONF_FLAG:
        if (strcmp(text, "1") && strcmp(text, "0")) return wanted[CONF_FLAG];
        *(bool *)o->target = *text == '1';
        return NULL;
    case CONF_INT:
    case CONF_DURATION:
    case CONF_SIZE: return set_number(o, text);
    }
    return "";
}

_Noreturn __attribute__((format(printf, 2, 3))) static void usage_error(const conf_t *conf, const char *fmt,
                                                                        ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "%s: ", conf->program);
    vfprintf(stderr, fmt, args);
    fprintf(stderr, " (%s --help lists the options)\n", conf->program);
    va_end(args);
    exit(EXIT_USAGE);
}

// origin: how the user knows it, "--slot" or "RTM_SLOT".
static void set(const conf_t *conf, const conf_option_t *o, const char *origin, const char *text)
{
    const char *want = set_value(o, text);
    if (!want) return;
    if (*want) usage_error(conf, "%s: \"%s\" is not %s", origin, text, want);
    if (o->max == 0) usage_error(conf, "%s: \"%s\" must not be negative", origin, text);
    usage_error(conf, "%s: \"%s\" is not between %" PRId64 " and %" PRId64 "%s", origin, text, o->min, o->max,
                o->type == CONF_DURATION ? " ms"
                : o->type == CONF_SIZE   ? " bytes"
                                         : "");
}

// -- help -----------------------------------------------------------------------------------------

static void variable_name(const conf_option_t *o, char out[static 64])
{
    int n = snprintf(out, 64, "RTM_%s", o->name);
    CHECK(n > 0 && n < 64);
    for (char *p = out + 4; *p; p++) *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
}

static void print_option(const char *name, const char *value_name, const char *help)
{
    int n = printf("  --%s%s%s", name, value_name ? " " : "", value_name ? value_name : "");
    printf("%*s%s", n < HELP_COLUMN - 1 ? HELP_COLUMN - n : 2, "", help);
}

static void print_help(const conf_t *conf)
{
    printf("Usage: %s %s\n\n%s\n\nOptions (or, in the environment, the name in brackets):\n", conf->program,
           conf->usage, conf->about);
    for (size_t i = 0; i < conf->n_options; i++) {
        const conf_option_t *o = &conf->options[i];
        char variable[64];
        variable_name(o, variable);
        print_option(o->name, o->value_name, o->help);
        if (o->default_value && o->type != CONF_FLAG) printf("; default %s", o->default_value);
        printf(" [%s]\n", variable);
    }
    print_option("help", NULL, "print this and exit\n");
    print_option("version", NULL, "print the version and exit\n");
}

// -- parsing --------------------------------------------------------------------------------------

static const conf_option_t *find(const conf_t *conf, const char *name, size_t len)
{
    for (size_t i = 0; i < conf->n_options; i++)
        if (strlen(conf->options[i].name) == len && !strncmp(conf->options[i].name, name, len))
            return &conf->options[i];
    return NULL;
}

static void set_defaults(const conf_t *conf)
{
    for (size_t i = 0; i < conf->n_options; i++) {
        const conf_option_t *o = &conf->options[i];
        if (o->type == CONF_FLAG) *(bool *)o->target = false;
        if (o->type == CONF_STR || o->type == CONF_LIST) *(const char **)o->target = NULL;
        if (o->default_value) CHECK(set_value(o, o->default_value) == NULL);
    }
}

// An empty variable counts as unset, as compose files leave them.
static void read_environment(const conf_t *conf)
{
    for (size_t i = 0; i < conf->n_options; i++) {
        char variable[64];
        variable_name(&conf->options[i], variable);
        const char *text = getenv(variable);
        if (text && *text) set(conf, &conf->options[i], variable, text);
    }
}

// What the command line's lists were put together to; it stays for good, as all values do.
static struct text {
    struct text *next;
    char text[];
} * texts;

// A list goes on where the command line began it.
static void append(const conf_option_t *o, const char *text)
{
    const char *before = *(const char **)o->target;
    CHECK(before != NULL);
    size_t size = strlen(before) + strlen(text) + 2;
    struct text *both = xmalloc(sizeof *both + size);
    snprintf(both->text, size, "%s,%s", before, text);
    both->next = texts;
    texts = both;
    *(const char **)o->target = both->text;
}

// Takes the option at argv[i]; how many entries of argv it used. given: which options the command line had so
// far.
static int take_option(const conf_t *conf, char **argv, int argc, int i, bool *given)
{
    const char *name = argv[i] + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    if (!strcmp(name, "help")) {
        print_help(conf);
        exit(0);
    }
    if (!strcmp(name, "version")) {
        printf("%s %s\n", conf->program, RTM_VERSION);
        exit(0);
    }
    const conf_option_t *o = find(conf, name, len);
    if (argv[i][1] != '-' || !o) usage_error(conf, "unknown option %s", argv[i]);
    char origin[80];
    snprintf(origin, sizeof origin, "--%s", o->name);
    if (o->type == CONF_FLAG && !equals) {
        *(bool *)o->target = true;
        return 1;
    }
    if (!equals && i + 1 >= argc) usage_error(conf, "%s needs a value, %s", origin, o->value_name);
    const char *text = equals ? equals + 1 : argv[i + 1];
    if (o->type == CONF_LIST && given[o - conf->options])
        append(o, text);
    else
        set(conf, o, origin, text);
    given[o - conf->options] = true;
    return equals ? 1 : 2;
}

// Moves the n entries at argv[from] to argv[to], to <= from; what stood between goes behind them.
static void move_ahead(char **argv, int to, int from, int n)
{
    for (int k = 0; k < n; k++) {
        char *entry = argv[from + k];
        memmove(&argv[to + k + 1], &argv[to + k], (size_t)(from - to) * sizeof *argv);
        argv[to + k] = entry;
    }
}

int conf_parse(const conf_t *conf, int argc, char **argv)
{
    set_defaults(conf);
    read_environment(conf);
    int first_operand = 1;
    bool *given = xcalloc(conf->n_options + 1, sizeof *given);
    for (int i = 1; i < argc;) {
        bool is_option = argv[i][0] == '-' && argv[i][1];
        int used = 1;
        if (is_option && strcmp(argv[i], "--")) {
            used = take_option(conf, argv, argc, i, given);
        } else if (!is_option) {
            i++;
            continue;
        }
        bool end = !strcmp(argv[i], "--");
        move_ahead(argv, first_operand, i, used);
        first_operand += used;
        i += used;
        if (end) break;
    }
    free(given);
    return first_operand;
}
