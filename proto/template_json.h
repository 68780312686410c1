// Template JSON: reading members of a template's document, with the one clear message where something is
// wrong. Shared by the dialects; nothing outside proto/template*.c needs it.
#ifndef RTM_PROTO_TEMPLATE_JSON_H
#define RTM_PROTO_TEMPLATE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#include "common/arena.h"
#include "proto/template.h"

enum { MAX_PATH = 128 }; // of a member: "fields.points.match"

typedef struct {
    arena_t *arena;
    template_error_t *error;
    template_t *t;
    field_t *field; // whose object form is being read
    bool kind_given, detail_kind_given, order_given, gap_given, max_failures_given, catch_up_given;
} parse_t;

// One member that an object may have. read gets the member's path; 0, or -1 with the error filled.
typedef struct {
    const char *name;
    int (*read)(parse_t *p, yyjson_val *value, const char *path);
} member_t;

// Reads each member of object by its row. Refuses unknown ones (with what was probably meant) and repeated
// ones.
int read_members(parse_t *p, yyjson_val *object, const char *path, const member_t *rows, size_t n);

// path.name, path[i]; cut to MAX_PATH. An empty path gives the name alone.
void path_member(char out[MAX_PATH], const char *path, const char *name);
void path_index(char out[MAX_PATH], const char *path, size_t i);

int read_bool(parse_t *p, yyjson_val *value, const char *path, bool *out);
// A string of 1 to max bytes.
int read_text(parse_t *p, yyjson_val *value, const char *path, size_t max, const char **out);
// A string, or a list of 1 to max_n strings.
int read_texts(parse_t *p, yyjson_val *value, const char *path, size_t max, size_t max_n, const char ***out,
               size_t *n);
// "30s", "5m", "1h", "1d", "200ms" -> ms, between the bounds.
int read_duration(parse_t *p, yyjson_val *value, const char *path, int64_t least, int64_t most, int64_t *out);
// One word of a NULL-terminated list -> its index.
int read_word(parse_t *p, yyjson_val *value, const char *path, const char *const *words, int *out);
// A list of at most max URLs (http or https, no credentials), all different -> t->urls.
int read_urls(parse_t *p, yyjson_val *value, const char *path);
// The word of the list that was probably meant, or NULL. words is NULL-terminated.
const char *nearest(const char *word, const char *const *words);

// The dialects.
int template_native(parse_t *p, yyjson_val *root);
int template_prototype(parse_t *p, yyjson_val *root);
bool template_is_prototype(yyjson_val *root);

// The member `retention`.
int member_retention(parse_t *p, yyjson_val *value, const char *path);

// The member `dates`, and what follows from it for the fields (template_dates.c).
int member_dates(parse_t *p, yyjson_val *value, const char *path);
void template_dates(template_t *t);

// Fills in what kind page leaves out: `items` is the page, its selection the field `content`.
int template_page(parse_t *p);

// Policies (template_policy.c).
int member_depends_on(parse_t *p, yyjson_val *value, const char *path);
int member_blocks(parse_t *p, yyjson_val *value, const char *path);
int member_max_concurrent(parse_t *p, yyjson_val *value, const char *path);
int member_deadline(parse_t *p, yyjson_val *value, const char *path);
int member_retry(parse_t *p, yyjson_val *value, const char *path);
int member_max_failures(parse_t *p, yyjson_val *value, const char *path);
int template_policy_complete(parse_t *p);

// Kind stream: its members, and its checks (for other kinds: that they are not there).
int member_events(parse_t *p, yyjson_val *value, const char *path);
int member_offset(parse_t *p, yyjson_val *value, const char *path);
int member_resume(parse_t *p, yyjson_val *value, const char *path);
int template_stream(parse_t *p);

// Members of requests (template_request.c), and their checks.
int member_method(parse_t *p, yyjson_val *value, const char *path);
int member_headers(parse_t *p, yyjson_val *value, const char *path);
int member_query(parse_t *p, yyjson_val *value, const char *path);
int member_body(parse_t *p, yyjson_val *value, const char *path);
int member_auth(parse_t *p, yyjson_val *value, const char *path);
int member_cookies(parse_t *p, yyjson_val *value, const char *path);
int member_tls(parse_t *p, yyjson_val *value, const char *path);
int template_request(parse_t *p);

// Members of the schedule (template_schedule.c).
int member_mode(parse_t *p, yyjson_val *value, const char *path);
int member_every(parse_t *p, yyjson_val *value, const char *path);
int member_cron(parse_t *p, yyjson_val *value, const char *path);
int member_timezone(parse_t *p, yyjson_val *value, const char *path);
int member_windows(parse_t *p, yyjson_val *value, const char *path);
int member_min_gap(parse_t *p, yyjson_val *value, const char *path);
int member_catch_up(parse_t *p, yyjson_val *value, const char *path);
int member_fresh_within(parse_t *p, yyjson_val *value, const char *path);
int member_timeout(parse_t *p, yyjson_val *value, const char *path);
int member_priority(parse_t *p, yyjson_val *value, const char *path);
// Checks of the schedule as a whole, and its defaults.
int template_schedule(parse_t *p);

// Checks of a whole template and what follows from what was given.
int template_complete(parse_t *p);

#endif
