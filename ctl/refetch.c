// Refetch: has sources mined again as if for the first time.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <yyjson.h>

#include "common/clock.h"
#include "ctl/ctl.h"

// ms since 1970 of "2026-11-25T09:30:00Z" (or without the seconds, or the date alone; UTC), of ms since 1970
// as the sink's log has them, or of a duration before now. -1: it is none.
static int64_t read_time(const char *text)
{
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d"};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        struct tm tm = {0};
        const char *end = strptime(text, formats[i], &tm);
        if (end && !*end) return (int64_t)timegm(&tm) * 1000;
    }
    char *end;
    long long ms = strtoll(text, &end, 10);
    if (*text && !*end && ms >= 0) return ms;
    int64_t span = conf_duration(text);
    return span < 0 ? -1 : clock_wall_ms() - span;
}

enum { MOST_ARGS = 3 };

// Asks until the broker has gone through all; sources: how many it refetched.
static int ask_all(ctl_t *ctl, const wire_arg_t *what, size_t n, int64_t *sources)
{
    char cursor[MAX_CURSOR + 1] = "";
    wire_arg_t args[MOST_ARGS + 1];
    memcpy(args, what, n * sizeof *args);
    args[n] = (wire_arg_t){.name = "cursor", .value = cursor};
    do {
        const wire_reply_t *reply;
        int result = ctl_ask(ctl, NULL, "refetch", args, n + 1, &reply);
        if (result != CTL_OK) return result;
        yyjson_doc *doc = yyjson_read(reply->json, strlen(reply->json), 0);
        *sources += yyjson_get_sint(yyjson_obj_get(yyjson_doc_get_root(doc), "sources"));
        yyjson_doc_free(doc);
        if (*reply->cursor && !strcmp(reply->cursor, cursor))
            return ctl_refuse("the broker's answer to refetch does not end");
        snprintf(cursor, sizeof cursor, "%s", reply->cursor);
    } while (*cursor);
    return CTL_OK;
}

int run_refetch(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    const char *since, *template;
    bool all;
    const conf_option_t own[] = {
        {"since", CONF_STR, "TIME", NULL,
         "sources stored since then: 2026-11-25T09:30:00Z, ms since 1970, or 2h ago", &since, 0, 0},
        {"template", CONF_STR, "NAME", NULL, "sources of this template", &template, 0, 0},
        {"all", CONF_FLAG, NULL, NULL, "all sources", &all, 0, 0}};
    ctl_parse(command, ctl, own, 3, argc, argv, 0, 0);
    int64_t ms = since ? read_time(since) : 0, sources = 0;
    char text[24];
    if ((!since && !template && !all) || (all && (since || template)) || ms < 0) {
        fprintf(stderr, "rtm-ctl refetch: %s\n",
                ms < 0
                    ? "--since: a time such as 2026-11-25T09:30:00Z, ms since 1970, or a duration such as 2h"
                    : "say what: --since TIME and/or --template NAME, or --all");
        return CTL_USAGE;
    }
    wire_arg_t args[MOST_ARGS];
    size_t n = 0;
    snprintf(text, sizeof text, "%lld", (long long)ms);
    if (since) args[n++] = (wire_arg_t){.name = "since", .value = text};
    if (template) args[n++] = (wire_arg_t){.name = "name", .value = template};
    if (all) args[n++] = (wire_arg_t){.name = "all", .value = "1"};
    int result = ask_all(ctl, args, n, &sources);
    if (result == CTL_OK)
        printf(ctl->json ? "{\"sources\":%lld}\n" : "%lld sources will be mined anew\n", (long long)sources);
    return result;
}
