// Robots: whether a robots.txt lets a URL be fetched, and which of its lines says so.
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/get.h"
#include "ctl/print.h"
#include "miner/read/robots.h"
#include "miner/read/text.h"
#include "miner/robots_cache.h"
#include "proto/limits.h"

enum { ROBOTS_ARENA = 16 << 20, FETCH_TIMEOUT_MS = 10000 };

typedef struct {
    bool allowed;
    int line;         // that decided; 0: none
    const char *text; // of the line, or why there is none
    size_t len;
    int64_t delay_ms; // -1: none is named
    const char *const *sitemaps;
    size_t n_sitemaps;
} verdict_t;

// The text of a line; lines end as robots.c has them end.
static void find_line(const char *text, size_t len, verdict_t *v)
{
    int line = 1;
    size_t at = 0;
    for (; at < len && line < v->line; at++)
        if (text[at] == '\n' || (text[at] == '\r' && (at + 1 == len || text[at + 1] != '\n'))) line++;
    v->text = text + at;
    while (at + v->len < len && text[at + v->len] != '\n' && text[at + v->len] != '\r') v->len++;
}

static verdict_t judge(arena_t *arena, const char *text, size_t len, const char *agent, const char *url)
{
    verdict_t v = {.text = "no line is about it", .delay_ms = -1};
    robots_t *robots = robots_parse(arena, text, len);
    if (!robots) return v.text = "the file takes too much memory", v;
    v.allowed = robots_allowed(robots, agent, url, &v.line);
    v.delay_ms = robots_crawl_delay_ms(robots, agent);
    v.n_sitemaps = robots_sitemaps(robots, &v.sitemaps);
    if (v.line)
        find_line(text, len, &v);
    else
        v.len = strlen(v.text);
    return v;
}

static const char *clean(arena_t *arena, const char *text, size_t len)
{
    const char *line = text_clean(arena, text, len, TEXT_LINE, MAX_URL);
    return line ? line : "";
}

static void tell_json(const verdict_t *v, const char *url, arena_t *arena)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *o = yyjson_mut_obj(doc), *sitemaps = yyjson_mut_arr(doc);
    yyjson_mut_obj_add_str(doc, o, "url", url);
    yyjson_mut_obj_add_bool(doc, o, "allowed", v->allowed);
    yyjson_mut_obj_add_int(doc, o, "line", v->line);
    yyjson_mut_obj_add_str(doc, o, "rule", clean(arena, v->text, v->len));
    if (v->delay_ms >= 0) yyjson_mut_obj_add_int(doc, o, "crawl_delay_ms", v->delay_ms);
    for (size_t i = 0; i < v->n_sitemaps; i++)
        yyjson_mut_arr_add_str(doc, sitemaps, clean(arena, v->sitemaps[i], strlen(v->sitemaps[i])));
    if (v->n_sitemaps) yyjson_mut_obj_add_val(doc, o, "sitemaps", sitemaps);
    yyjson_doc *copy = yyjson_mut_val_imut_copy(o, NULL);
    print_json(stdout, yyjson_doc_get_root(copy));
    fputc('\n', stdout);
    yyjson_doc_free(copy);
    yyjson_mut_doc_free(doc);
}

static void tell_line(const char *what, const char *text)
{
    printf("%s: ", what);
    term_print(stdout, text, false);
    fputc('\n', stdout);
}

static void tell(const verdict_t *v, const char *url, bool json)
{
    char what[40];
    arena_t *arena = arena_new(ROBOTS_ARENA);
    if (json) {
        tell_json(v, url, arena);
    } else {
        int n = snprintf(what, sizeof what, "%s", v->allowed ? "allowed" : "forbidden");
        if (v->line) snprintf(what + n, sizeof what - (size_t)n, " by line %d", v->line);
        tell_line(what, clean(arena, v->text, v->len));
        if (v->delay_ms >= 0) printf("crawl delay: %g s\n", (double)v->delay_ms / 1000);
        for (size_t i = 0; i < v->n_sitemaps; i++)
            tell_line("sitemap", clean(arena, v->sitemaps[i], strlen(v->sitemaps[i])));
    }
    arena_destroy(&arena);
}

// The file as its host gives it (RFC 9309, 2.3.1): one that is missing allows, one that cannot be had
// forbids.
static verdict_t ask_host(get_t *get, arena_t *arena, const char *agent, const char *url, const char *at)
{
    char failure[64];
    if (get_url(get, at, FETCH_TIMEOUT_MS) == 0) return judge(arena, get->body, get->len, agent, url);
    verdict_t v = {.allowed = get->status >= 400 && get->status < 500, .delay_ms = -1};
    v.text = arena_printf(arena, "%s: %s", at, get_failure(get, failure));
    v.len = v.text ? strlen(v.text) : 0;
    return v;
}

int run_robots(const command_t *command, ctl_t *ctl, int argc, char **argv)
{
    const char *file, *agent;
    bool allow_private;
    char at[MAX_URL];
    const conf_option_t own[] = {
        {"file", CONF_STR, "ROBOTS", NULL, "a robots.txt (- for standard input) instead of the host's own",
         &file, 0, 0},
        {"agent", CONF_STR, "NAME", "rtm", "whose rules count", &agent, 0, 0},
        {"allow-private", CONF_FLAG, NULL, NULL, "fetch from private and loopback addresses too",
         &allow_private, 0, 0},
    };
    const char *url = argv[ctl_parse(command, ctl, own, sizeof own / sizeof *own, argc, argv, 1, 1)];
    if (robots_cache_url(url, at) != 0 && !(file && *url == '/'))
        return ctl_refuse("%s: no URL; it starts with http:// or https://%s", url,
                          file ? ", or is a path and starts with /" : "");
    arena_t *arena = arena_new(ROBOTS_ARENA);
    verdict_t verdict = {.allowed = false};
    get_t get = {.fetch = NULL};
    buf_t text;
    buf_init(&text, MAX_DOCUMENT);
    int result = file ? ctl_read(&text, file, MAX_DOCUMENT) : CTL_OK;
    if (result == CTL_OK && file) verdict = judge(arena, text.data ? text.data : "", text.len, agent, url);
    if (!file) {
        get_init(&get, &(fetch_options_t){.max_document = MAX_DOCUMENT,
                                          .allow_private = allow_private,
                                          .user_agent = GET_USER_AGENT});
        verdict = ask_host(&get, arena, agent, url, at);
    }
    if (result == CTL_OK) tell(&verdict, url, ctl->json);
    get_free(&get);
    buf_free(&text);
    arena_destroy(&arena);
    return result == CTL_OK && !verdict.allowed ? CTL_REFUSED : result;
}
