// Ctl: parsing with the options that all commands take, and asking the broker.
#include "ctl/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "ctl/print.h"

enum { OWN_OPTIONS_MAX = 16, LINE = 2048 };

int ctl_refuse(const char *fmt, ...)
{
    char line[LINE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    fflush(stdout);
    fputs("rtm-ctl: ", stderr);
    term_print(stderr, line, false);
    fputc('\n', stderr);
    return CTL_REFUSED;
}

int ctl_read(buf_t *out, const char *path, size_t max)
{
    char chunk[16384];
    size_t n;
    bool standard_input = !strcmp(path, "-");
    FILE *in = standard_input ? stdin : fopen(path, "re");
    buf_init(out, max);
    if (!in) return ctl_refuse("%s: %s", path, strerror(errno));
    int result = CTL_OK;
    while (result == CTL_OK && (n = fread(chunk, 1, sizeof chunk, in)) > 0)
        if (buf_append(out, chunk, n)) result = ctl_refuse("%s: larger than %zu KiB", path, max >> 10);
    if (result == CTL_OK && ferror(in)) result = ctl_refuse("%s: %s", path, strerror(errno));
    if (!standard_input) fclose(in);
    return result;
}

int ctl_parse(const command_t *command, ctl_t *ctl, const conf_option_t *own, size_t n_own, int argc,
              char **argv, int min, int max)
{
    const conf_option_t shared[] = {
        {"json", CONF_FLAG, NULL, NULL, "print JSON, for programs", &ctl->json, 0, 0},
        {"broker", CONF_STR, "ENDPOINT", CTL_BROKER, "the broker, or several separated by commas",
         &ctl->broker, 0, 0},
        {"reach", CONF_DURATION, "DURATION", CTL_REACH, "how long to try to reach it", &ctl->reach_ms, 0, 0},
    };
    enum { N_SHARED = sizeof shared / sizeof *shared };
    conf_option_t options[OWN_OPTIONS_MAX + N_SHARED];
    char program[64];
    CHECK(n_own <= OWN_OPTIONS_MAX);
    if (n_own) memcpy(options, own, n_own * sizeof *own);
    memcpy(options + n_own, shared, sizeof shared);
    snprintf(program, sizeof program, "rtm-ctl %s", command->name);
    char usage[128];
    snprintf(usage, sizeof usage, "%s%s[OPTIONS]", command->usage, *command->usage ? " " : "");
    conf_t conf = {.program = program,
                   .usage = usage,
                   .about = command->about ? command->about : command->summary,
                   .options = options,
                   .n_options = n_own + N_SHARED};
    int first = conf_parse(&conf, argc, argv), n = argc - first;
    if (n >= min && n <= max) return first;
    fprintf(stderr, "rtm-ctl %s: %s; usage: rtm-ctl %s %s (--help says more)\n", command->name,
            n < min ? "something is missing" : "too many arguments", command->name, usage);
    exit(CTL_USAGE);
}

static int tell_refusal(const char *subject, const wire_reply_t *reply)
{
    const char *what = *reply->message ? reply->message : "refused";
    return ctl_refuse("%s%s%s%s%s", subject ? subject : "", subject ? ": " : "", reply->field,
                      *reply->field ? ": " : "", what);
}

int ctl_call(ctl_t *ctl, const char *subject, const char *command, const wire_arg_t *args, size_t n_args,
             const wire_reply_t **reply)
{
    char err[LINE];
    if (!ctl->link) ctl->link = link_new(ctl->broker, err, sizeof err);
    if (!ctl->link) {
        ctl_refuse("--broker: %s", err);
        return CTL_USAGE;
    }
    if (ctl->patience_ms) link_set_patience(ctl->link, ctl->patience_ms);
    int rc = link_call(ctl->link, ctl->reach_ms, command, args, n_args, reply, err, sizeof err);
    if (rc) {
        ctl_refuse("%s%s%s", rc == -2 && subject ? subject : "", rc == -2 && subject ? ": " : "", err);
        return rc == -2 ? CTL_REFUSED : CTL_UNREACHABLE;
    }
    return CTL_OK;
}

int ctl_ask(ctl_t *ctl, const char *subject, const char *command, const wire_arg_t *args, size_t n_args,
            const wire_reply_t **reply)
{
    int result = ctl_call(ctl, subject, command, args, n_args, reply);
    return result == CTL_OK && (*reply)->code ? tell_refusal(subject, *reply) : result;
}

int ctl_table_of(ctl_t *ctl, const char *command, const wire_arg_t *own, size_t n_own, int64_t limit,
                 const char *none)
{
    print_t print;
    char cursor[MAX_CURSOR + 1] = "", left[24];
    int result = CTL_OK;
    CHECK(n_own <= CTL_ARGS_MAX);
    print_begin(&print, stdout, ctl->json, clock_wall_ms());
    do {
        wire_arg_t args[CTL_ARGS_MAX + 2];
        const wire_reply_t *reply;
        size_t n = n_own;
        if (n_own) memcpy(args, own, n_own * sizeof *own);
        if (*cursor) args[n++] = (wire_arg_t){.name = "cursor", .value = cursor};
        if (limit) {
            snprintf(left, sizeof left, "%lld", (long long)limit - (long long)print.rows);
            args[n++] = (wire_arg_t){.name = "limit", .value = left};
        }
        result = ctl_ask(ctl, NULL, command, args, n, &reply);
        if (result != CTL_OK) return result;
        yyjson_doc *doc = yyjson_read(reply->json, strlen(reply->json), 0);
        if (print_page(&print, yyjson_doc_get_root(doc)))
            result = ctl_refuse("the broker's answer to %s is not understood", command);
        else if (*reply->cursor && !strcmp(reply->cursor, cursor))
            result = ctl_refuse("the broker's answer to %s does not end", command);
        else if (*reply->message && !ctl->json)
            ctl_refuse("%s", reply->message); // a note, for people
        snprintf(cursor, sizeof cursor, "%s", reply->cursor);
        yyjson_doc_free(doc);
    } while (result == CTL_OK && *cursor && (!limit || print.rows < (size_t)limit));
    if (result == CTL_OK) print_end(&print, none);
    return result;
}

int ctl_table(ctl_t *ctl, const char *command, const char *name, int64_t limit, const char *none)
{
    wire_arg_t arg = {.name = "name", .value = name};
    return ctl_table_of(ctl, command, &arg, name ? 1 : 0, limit, none);
}
