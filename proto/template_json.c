// Template JSON: typed getters that know where they stand.
#include "proto/template_json.h"

#include <lexbor/url/url.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/check.h"
#include "common/map.h"
#include "proto/limits.h"

enum { MAX_MEMBERS = 60, MAX_WORD = 40 };

void path_member(char out[MAX_PATH], const char *path, const char *name)
{
    snprintf(out, MAX_PATH, "%.80s%s%.40s", path, *path ? "." : "", name);
}

void path_index(char out[MAX_PATH], const char *path, size_t i)
{
    snprintf(out, MAX_PATH, "%.100s[%zu]", path, i);
}

// -- what was probably meant ----------------------------------------------------------------------

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Insertions, deletions, replacements and swaps of neighbours that turn a into b; both shorter than MAX_WORD.
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][MAX_WORD + 1], la = strlen(a), lb = strlen(b);
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= lb; j++) last[j] = j;
    for (size_t i = 1; i <= la; i++) {
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[lb];
}

const char *nearest(const char *word, const char *const *words)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) < 4 ? 2 : 3; // less than this
    if (strlen(word) >= MAX_WORD) return NULL;
    for (; *words; words++) {
        size_t d = strlen(*words) < MAX_WORD ? distance(word, *words) : best_distance;
        if (d >= best_distance) continue;
        best_distance = d;
        best = *words;
    }
    return best;
}

// "a", "b" or "c" into out; as many as fit.
static const char *enumerate(char *out, size_t size, const char *const *words)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; words[i]; i++) {
        const char *between = i == 0 ? "" : words[i + 1] ? ", " : " or ";
        if (at + strlen(between) + strlen(words[i]) + sizeof ", ...\"\"" > size) {
            snprintf(out + at, size - at, ", ...");
            break;
        }
        at += (size_t)snprintf(out + at, size - at, "%s\"%s\"", between, words[i]);
    }
    return out;
}

// What members are called elsewhere.
static const char *translated(const char *name, const char *const *words)
{
    static const char *const others[][2] = {{"interval", "every"},   {"frequency", "every"},
                                            {"schedule", "cron"},    {"enabled", "disabled"},
                                            {"active", "disabled"},  {"description", "comment"},
                                            {"notes", "comment"},    {"type", "kind"},
                                            {"item", "items"},       {"list", "items"},
                                            {"id", "key"},           {"guid", "key"},
                                            {"next_page", "next"},   {"pagination", "next"},
                                            {"max_pages", "pages"},  {"filter", "keep"},
                                            {"filters", "keep"},     {"include", "keep"},
                                            {"exclude", "drop"},     {"details", "detail"},
                                            {"locale", "dates"},     {"user_agent", "headers"},
                                            {"params", "query"},     {"data", "body"},
                                            {"link", "follow"},      {"url", "follow"},
                                            {"css", "select"},       {"xpath", "select"},
                                            {"path", "select"},      {"attr", "select"},
                                            {"attribute", "select"}, {"regex", "match"},
                                            {"pattern", "match"},    {"multiple", "all"},
                                            {"template", "format"},  {"delay", "gap"},
                                            {"max", "max_attempts"}, {"attempts", "max_attempts"}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(others[i][0], name) != 0) continue;
        for (size_t k = 0; words[k]; k++)
            if (strcmp(words[k], others[i][1]) == 0) return words[k];
    }
    return NULL;
}

// -- objects --------------------------------------------------------------------------------------

static int refuse_member(parse_t *p, const char *path, const char *name, const member_t *rows, size_t n)
{
    const char *words[MAX_MEMBERS + 1];
    CHECK(n <= MAX_MEMBERS);
    for (size_t i = 0; i < n; i++) words[i] = rows[i].name;
    words[n] = NULL;
    const char *meant = nearest(name, words);
    if (!meant) meant = translated(name, words);
    char where[MAX_PATH];
    path_member(where, path, name);
    if (meant) return template_fail(p->error, where, "there is no such member; did you mean `%s`?", meant);
    char known[180];
    return template_fail(p->error, where, "there is no such member; known here: %s",
                         enumerate(known, sizeof known, words));
}

int read_members(parse_t *p, yyjson_val *object, const char *path, const member_t *rows, size_t n)
{
    if (!yyjson_is_obj(object)) return template_fail(p->error, path, "must be an object {...}");
    uint64_t seen = 0;
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, index, count, key, value)
    {
        const char *name = yyjson_get_str(key);
        size_t row = 0;
        while (row < n && strcmp(rows[row].name, name) != 0) row++;
        if (row == n) return refuse_member(p, path, name, rows, n);
        char where[MAX_PATH];
        path_member(where, path, name);
        if (seen >> row & 1) return template_fail(p->error, where, "is given twice");
        seen |= UINT64_C(1) << row;
        if (rows[row].read(p, value, where) != 0) return -1;
    }
    return 0;
}

// -- values ---------------------------------------------------------------------------------------

int read_bool(parse_t *p, yyjson_val *value, const char *path, bool *out)
{
    if (!yyjson_is_bool(value)) return template_fail(p->error, path, "must be true or false");
    *out = yyjson_get_bool(value);
    return 0;
}

int read_text(parse_t *p, yyjson_val *value, const char *path, size_t max, const char **out)
{
    const char *s = yyjson_get_str(value);
    if (!s)
        return template_fail(p->error, path, "must be a string \"...\", not %s", yyjson_get_type_desc(value));
    size_t len = yyjson_get_len(value);
    if (len == 0) return template_fail(p->error, path, "is empty");
    if (len > max) return template_fail(p->error, path, "has %zu bytes; at most %zu are allowed", len, max);
    if (strlen(s) != len) return template_fail(p->error, path, "holds a NUL character");
    *out = arena_strndup(p->arena, s, len);
    return *out ? 0 : template_fail(p->error, path, "the template is too big");
}

int read_texts(parse_t *p, yyjson_val *value, const char *path, size_t max, size_t max_n, const char ***out,
               size_t *n)
{
    bool list = yyjson_is_arr(value);
    size_t count = list ? yyjson_arr_size(value) : 1;
    if (!list && !yyjson_is_str(value))
        return template_fail(p->error, path, "must be a string or a list of strings, not %s",
                             yyjson_get_type_desc(value));
    if (count == 0) return template_fail(p->error, path, "is an empty list");
    if (count > max_n)
        return template_fail(p->error, path, "has %zu entries; at most %zu are allowed", count, max_n);
    *out = arena_calloc(p->arena, count, sizeof **out);
    if (!*out) return template_fail(p->error, path, "the template is too big");
    *n = count;
    if (!list) return read_text(p, value, path, max, *out);
    size_t i, all;
    yyjson_val *entry;
    yyjson_arr_foreach(value, i, all, entry)
    {
        char where[MAX_PATH];
        path_index(where, path, i);
        if (read_text(p, entry, where, max, &(*out)[i]) != 0) return -1;
    }
    return 0;
}

int read_word(parse_t *p, yyjson_val *value, const char *path, const char *const *words, int *out)
{
    char known[180];
    const char *word = yyjson_get_str(value);
    if (!word)
        return template_fail(p->error, path, "must be one of %s", enumerate(known, sizeof known, words));
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0) return *out = i, 0;
    const char *meant = nearest(word, words);
    if (meant)
        return template_fail(p->error, path, "\"%.40s\" is not known; did you mean \"%s\"?", word, meant);
    return template_fail(p->error, path, "\"%.40s\" is not known; use %s", word,
                         enumerate(known, sizeof known, words));
}

// ms as people write it, with the largest unit that fits.
static const char *duration_text(char out[32], int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (ms == 0 || ms % units[i].ms != 0) continue;
        snprintf(out, 32, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
        return out;
    }
    snprintf(out, 32, "%lldms", (long long)ms);
    return out;
}

static int64_t unit_ms(const char *unit)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(units[i].name, unit) == 0) return units[i].ms;
    return 0;
}

int read_duration(parse_t *p, yyjson_val *value, const char *path, int64_t low, int64_t high, int64_t *out)
{
    const char *s = yyjson_get_str(value);
    char *unit = NULL;
    char bound[32];
    double number = s && *s >= '0' && *s <= '9' ? strtod(s, &unit) : -1;
    int64_t ms = unit ? unit_ms(unit) : 0;
    if (!ms || !(number >= 0 && number <= 1e9) || strspn(s, "0123456789.") != strlen(s) - strlen(unit))
        return template_fail(p->error, path, "must be a duration such as \"30s\", \"5m\", \"1h\" or \"1d\"");
    number *= (double)ms;
    if (number < (double)low)
        return template_fail(p->error, path, "\"%.20s\" is too short; at least \"%s\"", s,
                             duration_text(bound, low));
    if (number > (double)high)
        return template_fail(p->error, path, "\"%.20s\" is too long; at most \"%s\"", s,
                             duration_text(bound, high));
    *out = (int64_t)(number + 0.5);
    return 0;
}

// -- URLs -----------------------------------------------------------------------------------------

static lxb_status_t hash_part(const lxb_char_t *data, size_t len, void *ctx)
{
    return XXH3_64bits_update(ctx, data, len) == XXH_OK ? LXB_STATUS_OK : LXB_STATUS_ERROR;
}

// What is wrong with a URL, or NULL; then *hash is that of its normal form.
static const char *url_problem(lxb_url_parser_t *parser, const char *text, XXH3_state_t *state,
                               uint64_t *hash)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7F)
            return "holds a space or control character; write it as %20";
    lxb_url_parser_clean(parser);
    lxb_url_t *url = lxb_url_parse(parser, NULL, (const lxb_char_t *)text, strlen(text));
    if (!url)
        return strstr(text, "://") ? "is no valid URL"
                                   : "is no absolute URL; it must start with http:// or https://";
    if (url->scheme.type != LXB_URL_SCHEMEL_TYPE_HTTP && url->scheme.type != LXB_URL_SCHEMEL_TYPE_HTTPS)
        return "must start with http:// or https://";
    if (strncmp(strchr(text, ':'), "://", 3) != 0) return "must start with http:// or https://";
    if (url->username.length || url->password.length)
        return "holds a user name or password, which must not stand in a URL";
    if (url->host.type == LXB_URL_HOST_TYPE_EMPTY || url->host.type == LXB_URL_HOST_TYPE__UNDEF)
        return "has no host";
    XXH3_64bits_reset(state);
    if (lxb_url_serialize(url, hash_part, state, false) != LXB_STATUS_OK) return "is no valid URL";
    *hash = XXH3_64bits_digest(state);
    return NULL;
}

static int check_url(parse_t *p, lxb_url_parser_t *parser, XXH3_state_t *state, map_t *known, size_t i,
                     const char *where)
{
    uint64_t hash = 0;
    const char *url = p->t->urls[i];
    const char *problem = url_problem(parser, url, state, &hash);
    if (problem) return template_fail(p->error, where, "\"%.100s\" %s", url, problem);
    const char **first = map_get(known, hash);
    if (first)
        return template_fail(p->error, where, "\"%.100s\" stands twice; it is also urls[%zu]", url,
                             (size_t)(first - p->t->urls));
    map_put(known, hash, &p->t->urls[i]);
    return 0;
}

int read_urls(parse_t *p, yyjson_val *value, const char *path)
{
    if (p->t->n_urls) return template_fail(p->error, path, "give either `url` or `urls`");
    if (read_texts(p, value, path, MAX_URL, MAX_TEMPLATE_URLS, &p->t->urls, &p->t->n_urls) != 0) return -1;
    lxb_url_parser_t *parser = lxb_url_parser_create();
    XXH3_state_t *state = XXH3_createState();
    map_t known;
    map_init(&known);
    CHECK(state && lxb_url_parser_init(parser, NULL) == LXB_STATUS_OK);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->t->n_urls; i++) {
        char where[MAX_PATH];
        path_index(where, path, i);
        rc = check_url(p, parser, state, &known, i, yyjson_is_arr(value) ? where : path);
    }
    map_free(&known);
    XXH3_freeState(state);
    lxb_url_parser_memory_destroy(parser);
    lxb_url_parser_destroy(parser, true);
    return rc;
}
