// Template: the user's JSON document, parsed and checked: what to poll, when, and how to read it.
// TEMPLATES.md is the reference of the language. The struct says what was written; the compiled form of its
// selectors lives in the reader (miner/read/read.h).
#ifndef RTM_PROTO_TEMPLATE_H
#define RTM_PROTO_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/zone.h"
#include "proto/cron.h"

typedef enum {
    KIND_HTML,
    KIND_FEED,
    KIND_JSON,
    KIND_SITEMAP,
    KIND_PAGE,
    KIND_STREAM,
    KIND_AUTO
} template_kind_t;
typedef enum { TYPE_TEXT, TYPE_HTML, TYPE_URL, TYPE_INTEGER, TYPE_NUMBER, TYPE_TIME, TYPE_LIST } field_type_t;
typedef enum { ORDER_NEWEST, ORDER_RANKED, ORDER_NONE } item_order_t;
typedef enum { MODE_SCHEDULED, MODE_TRIGGERED, MODE_CONTINUOUS } template_mode_t;
typedef enum { CATCH_UP_LATEST, CATCH_UP_SKIP } catch_up_t;
typedef enum { PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH, PRIORITY_CRITICAL } priority_t;

typedef enum { DATE_ORDER_USUAL, DATE_ORDER_DMY, DATE_ORDER_MDY, DATE_ORDER_YMD } date_order_t;

// How dates are meant that leave it open.
typedef struct {
    bool zoned;         // `timezone` was given
    const zone_t *zone; // of dates that name none; NULL: UTC. It is the process's: zone_shared
    date_order_t order; // of three numbers
    bool relative;      // "3 hours ago", "yesterday 10:30" are dates of what was just published
} date_sense_t;

// One value to read from an item or a page.
typedef struct {
    const char *name; // "title"; "key" for the item's key
    field_type_t type;
    bool typed;             // `type` was given, not implied
    const char **selectors; // alternatives, the first that matches is taken
    size_t n_selectors;
    const char *match;         // PCRE2 pattern or NULL; group 1 (or the whole match) is the value
    const char *format;        // "https://x/{id}": made of other fields of the item; or NULL
    const char *default_text;  // value where nothing matches, or NULL
    bool markup;               // what is selected is HTML as a text: its text is taken
    bool all;                  // all matches (joined, or a list), not just the first
    bool required;             // an item without it is dropped (the prototype's title)
    bool tracked;              // counts for a revision (see `track`)
    bool untracked;            // does not, unless `track` names it
    const date_sense_t *dates; // the template's, or NULL: the usual
} field_t;

// The prototype's pageFilters: a page whose `selector` text equals `value` is dropped.
typedef struct {
    const char *selector, *value;
} page_filter_t;

// `keep` and `drop`: an item is wanted if for each field of `keep` one of its patterns matches, and none of
// `drop`.
typedef struct {
    const char *field;
    const char **patterns; // PCRE2
    size_t n_patterns;
    bool drop;
} filter_t;

// What becomes of a poll that fails: attempt n+1 comes after initial_ms * coefficient^(n-1), at most max_ms,
// with full jitter, until max_attempts, the source's next due, or a class in non_retryable (a set of bits 1
// << class).
typedef struct {
    uint32_t max_attempts;
    int64_t initial_ms, max_ms;
    double coefficient;
    uint64_t non_retryable;
} retry_policy_t;

// Active hours, minutes of a local week that begins on Monday; the last may end in the next one.
typedef struct {
    int32_t from, to;
} week_span_t;

// How pages are asked for. Method and body are the lists' only; details are fetched with GET.
typedef struct {
    const char *method;           // NULL: GET
    const char *query;            // "a=1&b=2", encoded, of the URLs that the template names; or NULL
    const char *body, *body_type; // or NULL; body_type NULL: a header says it
    size_t body_len;
    const char *secret; // file in the miner's folder of secrets: "user:password" or a token; or NULL
    bool bearer;        // it is a token
    bool cookies;       // each source keeps its own
    const char *ca;     // file in the folder of secrets: whom to trust; or NULL: the system's list
    bool insecure;      // certificates are not checked
    bool tls13;         // nothing below TLS 1.3
} template_request_t;

typedef struct {
    const char *name;
    const char *source_label; // the prototype's `source`, as written, or NULL
    template_kind_t kind;
    bool disabled;
    const char **urls;
    size_t n_urls;

    const char *script; // kind json: what holds the JSON within a page, or NULL: the document is JSON
    const char **items; // selectors of one item, alternatives; for json a JSONPath
    size_t n_items;
    field_t *key; // or NULL: guid, url, hash
    field_t *fields;
    size_t n_fields;

    // further pages of a list
    field_t *next;       // the next page's URL, or what `format` makes one of in place of {}; or NULL
    uint32_t pages;      // of one poll, at most
    uint32_t first_page; // the number of the first one, where pages are counted

    date_sense_t dates;

    bool may_be_empty; // a list without items says nothing

    // kind stream
    const char **events; // types of the events that are read; n_events 0: all
    size_t n_events;
    const char *offset; // JSONPath in an event of the position to resume from, or NULL: the event's id
    const char *resume; // URL to resume from, with {} for the position; or NULL: it goes as Last-Event-ID

    // list -> detail
    const char *follow;          // the field that holds the detail page's URL, or NULL: no details
    template_kind_t detail_kind; // html or json
    const char *detail_script;   // as `script`, of the detail page
    const char **detail_items;   // kind json: what of the document is meant; n_detail_items 0: all of it
    size_t n_detail_items;
    field_t *detail_fields;
    size_t n_detail_fields;
    page_filter_t *page_filters; // on the detail page
    size_t n_page_filters;

    const char **url_drops; // an item whose url contains one of these is dropped
    size_t n_url_drops;
    filter_t *filters; // on the list's items
    size_t n_filters;
    filter_t *detail_filters; // on the detail page's fields
    size_t n_detail_filters;
    bool hold; // a detail page can say that an item is not wanted: items are stored with their details only
    item_order_t order;
    const char **track; // names of the fields whose change is a revision; n_track 0: the default by type
    size_t n_track;

    // schedule
    template_mode_t mode;
    int64_t every_ms; // between two polls of a source; where the mode or `cron` has no period, about that
    cron_t *cron;     // or NULL
    const char *cron_text; // as written
    const char *timezone;  // of cron and windows
    week_span_t *windows;  // sorted, apart from each other; n_windows 0: always active
    size_t n_windows;
    int64_t min_gap_ms; // continuous: from a poll's end to the next one's start
    catch_up_t catch_up;
    int64_t fresh_within_ms; // the promise
    int64_t timeout_ms;      // of one request
    priority_t priority;

    // policies
    const char **depends_on, **blocks; // names of templates
    size_t n_depends_on, n_blocks;
    uint32_t max_concurrent; // polls of the template at once in the cluster; 0: no limit
    int64_t deadline_ms;     // a due is to be stored within this time; 0: none
    retry_policy_t retry;
    uint32_t max_consecutive_failures; // then the source is quarantined; 0: never

    // retention in Postgres; 0: all items are kept
    int64_t keep_age_ms;
    uint64_t keep_items;

    // politeness
    uint32_t host_concurrency; // requests at once to one host
    int64_t host_gap_ms;       // least time between two request starts at one host
    bool ignore_robots;        // `politeness.robots` is false

    const char **headers; // "Name: value" of each request
    size_t n_headers;
    template_request_t request;
} template_t;

typedef struct {
    char field[128]; // "fields.points.match", or "" where the whole document is meant
    int line;        // 1-based line of a JSON syntax error, else 0
    char text[256];  // what is wrong and what would be right
} template_error_t;

// Parses and checks json (any of the accepted dialects). The template lives in arena. NULL: *error says why.
// It checks everything but the selectors, which reader_new checks, and `timezone`, which template_zone does.
// Pure, but for the file of the time zone that `dates` names.
template_t *template_parse(arena_t *arena, const char *json, size_t len, template_error_t *error);

// The zone of `cron` and `windows`, UTC: NULL; read from the system's files and shared by the process. 0, or
// -1 with *error.
int template_zone(const template_t *t, const zone_t **zone, template_error_t *error);

// Whether two templates (as JSON) find the same items in the same documents, as far as their members say:
// then they differ in schedule and manners only.
bool template_reads_alike(const char *json, const char *other);

// XXH3-64 of name, and of name \0 url: the ids that every process computes for itself.
uint64_t template_id(const char *name);
uint64_t source_id(const char *template_name, const char *url);

// Fills *error; always returns -1.
__attribute__((format(printf, 3, 4))) int template_fail(template_error_t *error, const char *field,
                                                        const char *fmt, ...);

// The word for an enum's value, as templates spell it.
const char *template_kind_name(template_kind_t kind);
const char *priority_name(priority_t priority);

#endif
