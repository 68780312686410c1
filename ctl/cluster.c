// Cluster: what runs and how it goes: miners, sources, status, wait, health.
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "ctl/ctl.h"
#include "ctl/get.h"
#include "ctl/print.h"
#include "proto/limits.h"

int run_miners(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    ctl_parse(command, ctl, NULL, 0, argc, argv, 0, 0);
    return ctl_table(ctl, "miners", NULL, 0,
                     "No miners: rtm-miner --broker ENDPOINT --sink ENDPOINT starts one.");
}

int run_sources(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    int64_t limit;
    const conf_option_t own[] = {
        {"limit", CONF_INT, "N", "0", "print at most N sources, 0: all", &limit, 0, 0}};
    int i = ctl_parse(command, ctl, own, 1, argc, argv, 0, 1);
    return ctl_table(ctl, "sources", i < argc ? argv[i] : NULL, limit, "No sources.");
}

int run_gaps(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    int i = ctl_parse(command, ctl, NULL, 0, argc, argv, 0, 1);
    return ctl_table(ctl, "gaps", i < argc ? argv[i] : NULL, 0, "No gaps.");
}

int run_status(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    ctl_parse(command, ctl, NULL, 0, argc, argv, 0, 0);
    const wire_reply_t *reply;
    int result = ctl_ask(ctl, NULL, "status", NULL, 0, &reply);
    if (result != CTL_OK) return result;
    yyjson_doc *doc = yyjson_read(reply->json, strlen(reply->json), 0);
    yyjson_val *status = yyjson_doc_get_root(doc);
    int64_t now = yyjson_get_sint(yyjson_obj_get(status, "now"));
    print_object(stdout, status, ctl->json, now ? now : clock_wall_ms());
    yyjson_doc_free(doc);
    return CTL_OK;
}

// -- wait -----------------------------------------------------------------------------------------

typedef struct {
    uint64_t sources, stored; // enabled ones
    char example[256];        // one that is not stored, and why
} progress_t;

static const char *text_of(yyjson_val *row, const char *member)
{
    const char *text = yyjson_get_str(yyjson_obj_get(row, member));
    return text ? text : "";
}

static void count_source(progress_t *progress, yyjson_val *row)
{
    if (!strcmp(text_of(row, "state"), "disabled")) return;
    progress->sources++;
    if (yyjson_get_sint(yyjson_obj_get(row, "last_stored_ms")) > 0) {
        progress->stored++;
    } else if (!progress->example[0]) {
        const char *error = text_of(row, "last_error");
        bool failed = *error && strcmp(error, "none");
        snprintf(progress->example, sizeof progress->example, "%.180s: %.60s", text_of(row, "url"),
                 failed ? error : "nothing stored yet");
    }
}

static int count_sources(ctl_t *ctl, const char *name, progress_t *progress)
{
    char cursor[MAX_CURSOR + 1] = "";
    *progress = (progress_t){0};
    do {
        wire_arg_t args[2] = {{.name = "name", .value = name}, {.name = "cursor", .value = cursor}};
        const wire_reply_t *reply;
        int result = ctl_ask(ctl, NULL, "sources", args, *cursor ? 2 : 1, &reply);
        if (result != CTL_OK) return result;
        yyjson_doc *doc = yyjson_read(reply->json, strlen(reply->json), 0);
        yyjson_arr_iter rows = yyjson_arr_iter_with(yyjson_doc_get_root(doc));
        for (yyjson_val *row; (row = yyjson_arr_iter_next(&rows));) count_source(progress, row);
        snprintf(cursor, sizeof cursor, "%s", reply->cursor);
        yyjson_doc_free(doc);
    } while (*cursor);
    return CTL_OK;
}

static void tell_progress(const ctl_t *ctl, const char *name, const progress_t *p, int64_t ms)
{
    if (ctl->json) {
        printf("{\"sources\":%llu,\"stored\":%llu,\"ms\":%lld}\n", (unsigned long long)p->sources,
               (unsigned long long)p->stored, (long long)ms);
        return;
    }
    char span[TERM_SPAN_MAX];
    term_print(stdout, name, false);
    printf(": %llu of %llu sources stored after %s\n", (unsigned long long)p->stored,
           (unsigned long long)p->sources, term_span(ms, span));
}

static void pause_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

int run_wait(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    enum { PAUSE_FIRST_MS = 50, PAUSE_MAX_MS = 1000 };
    int64_t timeout_ms;
    const conf_option_t own[] = {
        {"timeout", CONF_DURATION, "DURATION", "30s", "give up after this", &timeout_ms, 0, 0}};
    const char *name = argv[ctl_parse(command, ctl, own, 1, argc, argv, 1, 1)];
    int64_t start = clock_mono_ms(), deadline = start + timeout_ms, pause = PAUSE_FIRST_MS;
    bool tty = isatty(STDERR_FILENO);
    progress_t p;
    for (;;) {
        int result = count_sources(ctl, name, &p);
        if (result != CTL_OK) return result;
        if (tty)
            fprintf(stderr, "\r%llu of %llu sources stored ", (unsigned long long)p.stored,
                    (unsigned long long)p.sources);
        int64_t left = deadline - clock_mono_ms();
        if (p.stored == p.sources || left <= 0) break;
        pause_ms(pause < left ? pause : left);
        if (pause < PAUSE_MAX_MS) pause += pause / 2;
    }
    if (tty) fputs("\r\033[K", stderr);
    if (!p.sources) return ctl_refuse("%s has no enabled source to wait for", name);
    tell_progress(ctl, name, &p, clock_mono_ms() - start);
    if (p.stored == p.sources) return CTL_OK;
    return ctl_refuse("%s: %llu sources are not stored yet, e.g. %s", name,
                      (unsigned long long)(p.sources - p.stored), p.example);
}

// -- health ---------------------------------------------------------------------------------------

int run_health(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    enum { HEALTH_MAX = 4096 };
    const char *at = argv[ctl_parse(command, ctl, NULL, 0, argc, argv, 1, 1)];
    char url[MAX_NAME + 32], failure[64];
    get_t get;
    if (strlen(at) > MAX_NAME) return ctl_refuse("that is no HOST:PORT");
    snprintf(url, sizeof url, "http://%s/healthz", at);
    get_init(&get, &(fetch_options_t){
                       .max_document = HEALTH_MAX, .allow_private = true, .user_agent = GET_USER_AGENT});
    int result = CTL_OK;
    if (!get_url(&get, url, ctl->reach_ms)) {
        term_print(stdout, get.body, true);
    } else {
        ctl_refuse("%s: %s", url, get_failure(&get, failure));
        result = get.status ? CTL_REFUSED : CTL_UNREACHABLE;
    }
    get_free(&get);
    return result;
}
