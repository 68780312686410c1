// Robots: the lines become flat tables of agents and rules, each with the number of its group. Paths and
// patterns are compared in one normal form: percent-encoded, but for what needs no encoding.
#include "miner/read/robots.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/check.h"

enum { MAX_PATH = 8192, MAX_AGENT = 200, MAX_DELAY_MS = 24 * 3600 * 1000 };

typedef struct {
    const char *token; // "*" for all
    size_t len;
    size_t group, delay_group; // a delay ends the second, not the first: RFC 9309 knows no delays
} agent_t;

typedef struct {
    const char *pattern; // normal form
    size_t len;
    bool allow, ends; // ends: `$`
    int line;
    size_t group;
} rule_t;

typedef struct {
    int64_t ms;
    size_t delay_group;
} delay_t;

struct robots {
    agent_t *agents;
    rule_t *rules;
    delay_t *delays;
    const char **sitemaps;
    size_t n_agents, n_rules, n_delays, n_sitemaps;
};

// -- lines ----------------------------------------------------------------------------------------

typedef struct {
    const char *s;
    size_t len;
} span_t;

typedef struct {
    const char *p, *end;
    int line;
    arena_t *arena;
    robots_t *robots;
    size_t group, delay_group;
    bool in_agents;   // no rule came since the last user-agent line
    bool after_delay; // but a delay did
    bool full;
} parser_t;

typedef enum { LINE_OTHER, LINE_AGENT, LINE_ALLOW, LINE_DISALLOW, LINE_DELAY, LINE_SITEMAP } line_kind_t;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f' || c == '\v' || c == '\0';
}

static span_t trim(span_t s)
{
    while (s.len && is_blank(*s.s)) s.s++, s.len--;
    while (s.len && is_blank(s.s[s.len - 1])) s.len--;
    return s;
}

// The next line without its comment. Lines end with CR, LF or both.
static bool next_line(parser_t *ps, span_t *line)
{
    if (ps->p >= ps->end) return false;
    const char *start = ps->p;
    while (ps->p < ps->end && *ps->p != '\n' && *ps->p != '\r') ps->p++;
    const char *comment = memchr(start, '#', (size_t)(ps->p - start));
    *line = trim((span_t){start, (size_t)((comment ? comment : ps->p) - start)});
    if (ps->end - ps->p > 1 && ps->p[0] == '\r' && ps->p[1] == '\n') ps->p++;
    ps->p++;
    ps->line++;
    return true;
}

// Key and value, separated by a colon, or by white space where somebody forgot it.
static bool split(span_t line, span_t *key, span_t *value)
{
    const char *colon = memchr(line.s, ':', line.len);
    size_t n = colon ? (size_t)(colon - line.s) : 0;
    if (!colon) {
        while (n < line.len && !is_blank(line.s[n])) n++;
        if (n == line.len) return false;
    }
    *key = trim((span_t){line.s, n});
    *value = trim((span_t){line.s + n + 1, line.len - n - 1});
    return true;
}

static line_kind_t kind_of(span_t key)
{
    // the misspellings are those that other parsers forgive as well
    static const struct {
        const char *name;
        line_kind_t kind;
    } names[] = {{"user-agent", LINE_AGENT},  {"useragent", LINE_AGENT},   {"user agent", LINE_AGENT},
                 {"allow", LINE_ALLOW},       {"disallow", LINE_DISALLOW}, {"dissallow", LINE_DISALLOW},
                 {"dissalow", LINE_DISALLOW}, {"disalow", LINE_DISALLOW},  {"diasllow", LINE_DISALLOW},
                 {"disallaw", LINE_DISALLOW}, {"crawl-delay", LINE_DELAY}, {"crawldelay", LINE_DELAY},
                 {"sitemap", LINE_SITEMAP},   {"site-map", LINE_SITEMAP}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (key.len == strlen(names[i].name) && strncasecmp(key.s, names[i].name, key.len) == 0)
            return names[i].kind;
    }
    return LINE_OTHER;
}

// -- normal form ----------------------------------------------------------------------------------

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~", c) != NULL);
}

// Others stand in no URL (RFC 3986, 2): who writes them means their percent-encoded form.
static bool is_in_urls(unsigned char c)
{
    return is_unreserved(c) || (c && strchr("%:/?#[]@!$&'()*+,;=", c) != NULL);
}

static size_t put_encoded(char *out, unsigned char c)
{
    static const char digits[] = "0123456789ABCDEF";
    out[0] = '%';
    out[1] = digits[c >> 4];
    out[2] = digits[c & 15];
    return 3;
}

// Writes s in normal form to out (room for 3 * len). A `*` stays one in a pattern, and is encoded in a path,
// so that only %2A in a pattern means it; the same for `$`. Within a query `:`, `/`, `?` and `@` mean the
// same whether they are encoded or not (RFC 3986, 3.4); in a path `/` does not.
static size_t normalize(span_t s, bool pattern, char *out)
{
    size_t n = 0;
    bool query = false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.s[i];
        if (c == '%' && i + 2 < s.len && hex(s.s[i + 1]) >= 0 && hex(s.s[i + 2]) >= 0) {
            c = (unsigned char)(hex(s.s[i + 1]) * 16 + hex(s.s[i + 2]));
            i += 2;
            if (is_unreserved(c) || (query && (c == ':' || c == '/' || c == '?' || c == '@')))
                out[n++] = (char)c;
            else
                n += put_encoded(out + n, c);
        } else if (!is_in_urls(c) || c == '$' || (c == '*' && !pattern)) {
            n += put_encoded(out + n, c);
        } else {
            out[n++] = (char)c;
            query = query || c == '?';
        }
    }
    return n;
}

// -- parsing --------------------------------------------------------------------------------------

// Room for one more element of *array, doubling it. NULL: the arena is full.
static void *grow(parser_t *ps, void *array, size_t n, size_t size)
{
    if (n && (n & (n - 1))) return array; // capacities are powers of two
    void *bigger = arena_alloc(ps->arena, (n ? 2 * n : 1) * size);
    if (!bigger) {
        ps->full = true;
        return NULL;
    }
    if (n) memcpy(bigger, array, n * size);
    return bigger;
}

// The product token at the beginning of a User-Agent (RFC 9309, 2.2.1), digits and other scripts admitted:
// who is named in part only is not named.
static size_t token_length(const char *s, size_t len)
{
    size_t n = 0;
    while (n < len && n < MAX_AGENT && s[n] != '.' && s[n] != '~' &&
           (is_unreserved((unsigned char)s[n]) || (unsigned char)s[n] >= 0x80))
        n++;
    return n;
}

static void add_agent(parser_t *ps, span_t value)
{
    robots_t *r = ps->robots;
    if (!ps->in_agents) ps->group++;
    if (!ps->in_agents || ps->after_delay) ps->delay_group++;
    ps->in_agents = true;
    ps->after_delay = false;
    bool all = value.len && *value.s == '*' && (value.len == 1 || is_blank(value.s[1]));
    size_t n = all ? 1 : token_length(value.s, value.len);
    agent_t *agents = n ? grow(ps, r->agents, r->n_agents, sizeof *agents) : NULL;
    const char *copy = agents ? arena_strndup(ps->arena, value.s, n) : NULL;
    if (!copy) return;
    r->agents = agents;
    r->agents[r->n_agents++] = (agent_t){copy, n, ps->group, ps->delay_group};
}

static void add_rule(parser_t *ps, span_t value, bool allow)
{
    robots_t *r = ps->robots;
    ps->in_agents = false;
    if (ps->group == 0 || value.len == 0) return;
    bool ends = value.s[value.len - 1] == '$';
    if (ends) value.len--;
    rule_t *rules = grow(ps, r->rules, r->n_rules, sizeof *rules);
    char *pattern = rules ? arena_alloc(ps->arena, 3 * value.len + 1) : NULL;
    if (!pattern) {
        ps->full = true;
        return;
    }
    size_t len = normalize(value, true, pattern);
    r->rules = rules;
    r->rules[r->n_rules++] = (rule_t){pattern, len, allow, ends, ps->line, ps->group};
}

static void add_delay(parser_t *ps, span_t value)
{
    robots_t *r = ps->robots;
    char text[32], *end;
    ps->after_delay = true;
    if (ps->group == 0 || value.len == 0 || value.len >= sizeof text) return;
    memcpy(text, value.s, value.len);
    text[value.len] = '\0';
    double seconds = strtod(text, &end);
    delay_t *delays = end > text && seconds >= 0 ? grow(ps, r->delays, r->n_delays, sizeof *delays) : NULL;
    if (!delays) return;
    int64_t ms = seconds * 1000 < MAX_DELAY_MS ? (int64_t)(seconds * 1000 + 0.5) : MAX_DELAY_MS;
    r->delays = delays;
    r->delays[r->n_delays++] = (delay_t){ms, ps->delay_group};
}

static void add_sitemap(parser_t *ps, span_t value)
{
    robots_t *r = ps->robots;
    const char **sitemaps = value.len ? grow(ps, r->sitemaps, r->n_sitemaps, sizeof *sitemaps) : NULL;
    const char *copy = sitemaps ? arena_strndup(ps->arena, value.s, value.len) : NULL;
    if (!copy) return;
    r->sitemaps = sitemaps;
    r->sitemaps[r->n_sitemaps++] = copy;
}

static void take_line(parser_t *ps, span_t line)
{
    span_t key, value;
    if (!split(line, &key, &value)) return;
    switch (kind_of(key)) {
    case LINE_AGENT: add_agent(ps, value); break;
    case LINE_ALLOW: add_rule(ps, value, true); break;
    case LINE_DISALLOW: add_rule(ps, value, false); break;
    case LINE_DELAY: add_delay(ps, value); break;
    case LINE_SITEMAP: add_sitemap(ps, value); break;
    case LINE_OTHER: break; // like delays and sitemaps, it does not end a group (RFC 9309, 2.2.4)
    }
}

// The length of the lines that end within len bytes: half a line could forbid more than the whole one.
static size_t whole_lines(const char *bytes, size_t len)
{
    while (len && bytes[len - 1] != '\n' && bytes[len - 1] != '\r') len--;
    return len;
}

robots_t *robots_parse(arena_t *arena, const char *bytes, size_t len)
{
    static const char bom[] = "\xEF\xBB\xBF";
    parser_t ps = {.arena = arena, .robots = arena_calloc(arena, 1, sizeof *ps.robots)};
    if (!ps.robots) return NULL;
    if (len > ROBOTS_MAX_BYTES) len = whole_lines(bytes, ROBOTS_MAX_BYTES);
    size_t skip = 0;
    while (skip < 3 && skip < len && bytes[skip] == bom[skip]) skip++;
    ps.p = bytes + skip;
    ps.end = bytes + len;
    span_t line;
    while (!ps.full && next_line(&ps, &line)) take_line(&ps, line);
    return ps.full ? NULL : ps.robots;
}

// -- asking ---------------------------------------------------------------------------------------

// Does the pattern match from the path's beginning? Each piece between stars is found as early as may be,
// which leaves most for the rest; the last one of a pattern with `$` must stand at the end.
static bool matches(const rule_t *rule, const char *path, size_t len)
{
    const char *p = rule->pattern, *end = p + rule->len, *at = path, *path_end = path + len;
    for (bool first = true;; first = false) {
        const char *star = p < end ? memchr(p, '*', (size_t)(end - p)) : NULL;
        size_t n = (size_t)((star ? star : end) - p), room = (size_t)(path_end - at);
        if (n > room) return false;
        if (first) {
            if (memcmp(at, p, n) != 0) return false;
        } else if (!star && rule->ends) {
            return memcmp(path_end - n, p, n) == 0;
        } else {
            at = n ? memmem(at, room, p, n) : at;
            if (!at) return false;
        }
        at += n;
        if (!star) return !rule->ends || at == path_end;
        p = star + 1;
    }
}

// The part of a URL that rules are about: path and query, without the fragment.
static span_t path_of(const char *url)
{
    const char *scheme = strstr(url, "://"), *slash = strchr(url, '/');
    if (scheme && slash == scheme + 1) {
        url = scheme + 3 + strcspn(scheme + 3, "/?#");
    }
    size_t len = strcspn(url, "#");
    return (span_t){url, len < MAX_PATH ? len : MAX_PATH};
}

// Does agents[i] name this agent (token), or (token NULL) all of them?
static bool names(const agent_t *agent, const char *token, size_t len)
{
    if (!token) return agent->len == 1 && *agent->token == '*';
    return agent->len == len && strncasecmp(agent->token, token, len) == 0;
}

// Behind a product's name there is nothing, its version or a comment; two words are no product's name.
static bool ends_product(const char *s)
{
    return *s == '/' || s[strspn(s, " \t")] == '(' || s[strspn(s, " \t")] == '\0';
}

// The agent's own token; NULL where no group is the agent's own, so that those of all hold.
static const char *effective_token(const robots_t *r, const char *agent, size_t *len)
{
    *len = token_length(agent, strlen(agent));
    if (!ends_product(agent + *len)) *len = 0;
    for (size_t i = 0; i < r->n_agents && *len; i++) {
        if (names(&r->agents[i], agent, *len)) return agent;
    }
    return NULL;
}

// Where groups and rules are walked side by side: both are in ascending order of group.
typedef struct {
    size_t at, group;
    bool ours; // the group names the agent
} walk_t;

static bool in_groups(const robots_t *r, walk_t *w, size_t group, const char *token, size_t len)
{
    if (w->group == group) return w->ours;
    *w = (walk_t){w->at, group, false};
    while (w->at < r->n_agents && r->agents[w->at].group < group) w->at++;
    for (; w->at < r->n_agents && r->agents[w->at].group == group; w->at++)
        w->ours = w->ours || names(&r->agents[w->at], token, len);
    return w->ours;
}

bool robots_allowed(const robots_t *r, const char *agent, const char *path, int *line)
{
    char normal[3 * MAX_PATH + 4] = "/";
    size_t len;
    walk_t walk = {.group = 0}; // no rule's
    span_t s = path_of(path);
    size_t n = s.len && *s.s == '/' ? 0 : 1; // "?a=b" and "" are below the root
    n += normalize(s, false, normal + n);
    const char *token = effective_token(r, agent, &len);
    const rule_t *best = NULL;
    if (line) *line = 0;
    if (n == 11 && memcmp(normal, "/robots.txt", 11) == 0) return true;
    for (size_t i = 0; i < r->n_rules; i++) {
        const rule_t *rule = &r->rules[i];
        size_t weight = rule->len + rule->ends, best_weight = best ? best->len + best->ends : 0;
        bool better = !best || weight > best_weight || (weight == best_weight && rule->allow && !best->allow);
        if (better && in_groups(r, &walk, rule->group, token, len) && matches(rule, normal, n)) best = rule;
    }
    if (best && line) *line = best->line;
    return !best || best->allow;
}

int64_t robots_crawl_delay_ms(const robots_t *r, const char *agent)
{
    size_t len;
    int64_t ms = -1;
    const char *token = effective_token(r, agent, &len);
    for (size_t i = 0, k = 0; i < r->n_delays; i++) {
        while (k < r->n_agents && r->agents[k].delay_group < r->delays[i].delay_group) k++;
        for (size_t a = k; a < r->n_agents && r->agents[a].delay_group == r->delays[i].delay_group; a++)
            if (names(&r->agents[a], token, len) && r->delays[i].ms > ms) ms = r->delays[i].ms;
    }
    return ms;
}

size_t robots_sitemaps(const robots_t *r, const char *const **urls)
{
    *urls = r->sitemaps;
    return r->n_sitemaps;
}
