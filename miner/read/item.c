// Item: one slot per field collects its values until the item ends; then columns, `fields`, key and hash
// follow.
#include "miner/read/item.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "miner/read/date_relative.h"
#include "miner/read/identity.h"
#include "miner/read/json_text.h"
#include "miner/read/text.h"
#include "miner/read/value.h"
#include "proto/limits.h"

enum { MAX_VALUES = 1000 }; // of one field with `all` or of type list; further ones are left out

typedef enum {
    COL_NONE,
    COL_TEXT,
    COL_FIRST, // of several values
    COL_PUBLISHED
} column_t;

static const struct {
    const char *field, *column;
    column_t kind;
    size_t place; // in the item
    bool one_line;
    size_t max; // bytes
} columns[] = {
    {"title", "title", COL_TEXT, offsetof(item_t, title), true, MAX_TITLE},
    {"url", "url", COL_FIRST, offsetof(item_t, url), true, MAX_URL},
    {"author", "author", COL_TEXT, offsetof(item_t, author), true, MAX_TITLE},
    {"summary", "summary", COL_TEXT, offsetof(item_t, summary), false, MAX_SUMMARY},
    {"description", "summary", COL_TEXT, offsetof(item_t, summary), false, MAX_SUMMARY},
    {"content", "content", COL_TEXT, offsetof(item_t, content), false, MAX_CONTENT},
    {"image", "image", COL_FIRST, offsetof(item_t, image), true, MAX_URL},
    {"published", "published", COL_PUBLISHED, 0, true, MAX_TITLE},
    {"published_at", "published", COL_PUBLISHED, 0, true, MAX_TITLE},
    {"date", "published", COL_PUBLISHED, 0, true, MAX_TITLE},
};

// One value of a field.
typedef struct piece {
    struct piece *next;
    const char *text;
    size_t len;
    bool json; // stands in `fields` as it is
} piece_t;

// A field and what the present item has of it.
typedef struct {
    const field_t *field;
    value_rule_t *rule;
    column_t column;
    size_t place; // of the column
    char *name;   // in JSON, between a comma and a colon
    size_t name_len;
    bool one_line, many;
    bool plain;       // its text only has to be clean,
    text_mode_t mode; // in this way
    bool times;       // are needed as texts
    size_t max;
    size_t n;             // of its values
    piece_t first, *last; // if there are any
    int64_t ms;           // of a time
    const char *unread;   // text that was no date
} slot_t;

struct item_writer {
    const template_t *template;
    slot_t *slots; // of the fields, then of the key
    size_t n_slots;
    slot_t *key;    // or NULL
    bool completes; // some have a format or a default,
    bool requires;  // or have to be there
    arena_t *arena;
    urls_t *urls;
    identity_t identity;
    bool detail;
    buf_t json; // `fields` in the making
};

const char *item_column(const field_t *field)
{
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        if (strcmp(columns[i].field, field->name) == 0) return columns[i].column;
    return NULL;
}

static text_mode_t mode_of(const slot_t *s)
{
    return s->field->type == TYPE_TEXT && !s->one_line ? TEXT_LINES : TEXT_LINE;
}

// The values of a field.
static const piece_t *pieces(const slot_t *s)
{
    return s->n ? &s->first : NULL;
}

static bool slot_init(slot_t *s, const field_t *field, const char *where, template_error_t *error)
{
    char path[MAX_NAME + 40];
    snprintf(path, sizeof path, "%s%s", where, where[strlen(where) - 1] == '.' ? field->name : "");
    *s = (slot_t){.field = field,
                  .many = field->all || field->type == TYPE_LIST,
                  .max = MAX_FIELDS_JSON / 4,
                  .ms = TIME_NONE};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        if (strcmp(columns[i].field, field->name) != 0) continue;
        s->column = columns[i].kind;
        s->place = columns[i].place;
        s->one_line = columns[i].one_line;
        s->max = columns[i].max;
    }
    buf_t name;
    buf_init(&name, 8 * MAX_NAME);
    CHECK(buf_append(&name, ",", 1) == 0 && json_text(&name, field->name, strlen(field->name)) == 0 &&
          buf_append(&name, ":", 1) == 0);
    s->name = name.data;
    s->name_len = name.len;
    s->plain = (field->type == TYPE_TEXT || field->type == TYPE_LIST) && !field->match && !field->markup;
    s->rule = value_rule_new(field, path, error);
    if (s->rule) return true;
    free(s->name);
    return false;
}

static void slot_free(slot_t *s)
{
    value_rule_destroy(&s->rule);
    free(s->name);
}

// What need not be looked at for each item.
static void look_ahead(item_writer_t *w)
{
    bool formats = w->key && w->key->field->format;
    w->completes = w->key && (w->key->field->format || w->key->field->default_text);
    for (size_t i = 0; i < w->n_slots; i++) {
        const field_t *field = w->slots[i].field;
        formats = formats || field->format;
        w->completes = w->completes || field->format || field->default_text;
    }
    for (size_t i = 0; i < w->n_slots; i++) {
        slot_t *s = &w->slots[i];
        s->times = s->column != COL_PUBLISHED || s->field->tracked || formats;
        s->mode = mode_of(s);
        w->requires = w->requires || s->field->required;
    }
}

item_writer_t *item_writer_new(const template_t *t, bool detail, template_error_t *error)
{
    item_writer_t *w = xcalloc(1, sizeof *w);
    const field_t *fields = detail ? t->detail_fields : t->fields;
    size_t n = detail ? t->n_detail_fields : t->n_fields;
    w->template = t;
    w->detail = detail;
    w->slots = xcalloc(n + 1, sizeof *w->slots);
    buf_init(&w->json, MAX_FIELDS_JSON);
    identity_init(&w->identity, NULL, 0);
    bool ok = true;
    for (; ok && w->n_slots < n; w->n_slots += ok)
        ok = slot_init(&w->slots[w->n_slots], &fields[w->n_slots], detail ? "detail.fields." : "fields.",
                       error);
    if (ok && !detail && t->key) {
        w->key = &w->slots[n];
        ok = slot_init(w->key, t->key, "key", error);
        w->key->column = COL_NONE;
        w->key->one_line = true;
        w->key->max = MAX_URL;
        w->key->times = true;
        w->key->mode = TEXT_LINE;
    }
    look_ahead(w);
    if (!ok) item_writer_destroy(&w);
    return w;
}

void item_writer_destroy(item_writer_t **writer)
{
    item_writer_t *w = *writer;
    if (!w) return;
    for (size_t i = 0; i < w->n_slots; i++) slot_free(&w->slots[i]);
    if (w->key) slot_free(w->key);
    identity_free(&w->identity);
    buf_free(&w->json);
    free(w->slots);
    free(w);
    *writer = NULL;
}

void item_document(item_writer_t *w, arena_t *arena, urls_t *urls, size_t n)
{
    identity_restart(&w->identity, arena, n);
    w->arena = arena;
    w->urls = urls;
}

static void slot_reset(slot_t *s)
{
    s->n = 0;
    s->ms = TIME_NONE;
    s->unread = NULL;
}

void item_begin(item_writer_t *w)
{
    for (size_t i = 0; i < w->n_slots; i++) slot_reset(&w->slots[i]);
    if (w->key) slot_reset(w->key);
}

// -- collecting -----------------------------------------------------------------------------------

static slot_t *slot_at(const item_writer_t *w, int index)
{
    return index == ITEM_KEY ? w->key : &w->slots[index];
}

static read_status_t add_piece(item_writer_t *w, slot_t *s, const char *text, size_t len, bool json)
{
    if (s->n >= (s->many ? MAX_VALUES : 1)) return READ_OK;
    piece_t *piece = s->n ? arena_alloc(w->arena, sizeof *piece) : &s->first;
    if (!piece) return READ_TOO_BIG;
    *piece = (piece_t){.text = text, .len = len, .json = json};
    if (s->n) s->last->next = piece;
    s->last = piece;
    s->n++;
    return READ_OK;
}

static read_status_t take_time(item_writer_t *w, slot_t *s, const value_t *value)
{
    const char *text = s->times ? value_time_text(w->arena, value->ms) : value->text;
    if (s->n == 0) s->ms = value->ms;
    return text ? add_piece(w, s, text, strlen(text), false) : READ_TOO_BIG;
}

static read_status_t take_value(item_writer_t *w, slot_t *s, value_status_t status, const value_t *value)
{
    switch (status) {
    case VALUE_OK:
        return s->field->type == TYPE_TIME ? take_time(w, s, value)
                                           : add_piece(w, s, value->text, value->len, false);
    case VALUE_NONE:
        if (s->field->type == TYPE_TIME && !s->unread && value->text && *value->text) s->unread = value->text;
        return READ_OK;
    case VALUE_EFFORT: return READ_TOO_COMPLEX;
    case VALUE_NO_SPACE: break;
    }
    return READ_TOO_BIG;
}

// value_read, faster for what most fields are.
static read_status_t put_plain(item_writer_t *w, slot_t *s, const char *raw, size_t len)
{
    const char *text = text_clean_kept(w->arena, raw, len, s->mode, s->max);
    if (!text) return READ_TOO_BIG;
    if (text != raw) len = strlen(text);
    return len ? add_piece(w, s, text, len, false) : READ_OK;
}

static read_status_t put(item_writer_t *w, slot_t *s, const char *raw, size_t len, bool kept)
{
    value_t value = {.ms = TIME_NONE};
    if (s->n && !s->many) return READ_OK;
    value_status_t status =
        value_read(s->rule, w->urls, w->arena, raw, len, kept, s->one_line, s->max, &value);
    return take_value(w, s, status, &value);
}

read_status_t item_put(item_writer_t *w, int index, const char *raw, size_t len)
{
    return put(w, slot_at(w, index), raw, len, false);
}

read_status_t item_put_kept(item_writer_t *w, int index, const char *raw, size_t len)
{
    slot_t *s = slot_at(w, index);
    return s->plain && (!s->n || s->many) ? put_plain(w, s, raw, len) : put(w, s, raw, len, true);
}

read_status_t item_put_json(item_writer_t *w, int index, const char *json, size_t len)
{
    return add_piece(w, slot_at(w, index), json, len, true);
}

bool item_has(const item_writer_t *w, int index)
{
    return slot_at(w, index)->n > 0;
}

bool item_counts_back(const item_writer_t *w, int index)
{
    const slot_t *s = slot_at(w, index);
    return s->column == COL_PUBLISHED && s->n == 0 && s->unread && s->field->dates &&
           s->field->dates->relative && date_is_relative(s->unread, s->field->dates);
}

bool item_is_one_line(const item_writer_t *w, int index)
{
    const slot_t *s = slot_at(w, index);
    return s->one_line || s->field->type != TYPE_TEXT;
}

static const slot_t *slot_named(const item_writer_t *w, const char *name, size_t len)
{
    for (size_t i = 0; i < w->n_slots; i++)
        if (strlen(w->slots[i].field->name) == len && memcmp(w->slots[i].field->name, name, len) == 0)
            return &w->slots[i];
    return NULL;
}

// A value within a URL: what would end its place in it is escaped.
static int append_escaped(buf_t *out, const char *s)
{
    int rc = 0;
    for (; *s && rc == 0; s++)
        rc = strchr(" \"#%<>?[\\]^`{|}&", *s) ? buf_printf(out, "%%%02X", (unsigned char)*s)
                                              : buf_append(out, s, 1);
    return rc;
}

// Expands the format into out. 1: a field that it names has no value.
static int expand(const item_writer_t *w, const field_t *field, buf_t *out)
{
    for (const char *at = field->format; *at;) {
        size_t plain = strcspn(at, "{"), len;
        if (buf_append(out, at, plain) != 0) return 1;
        if (!*(at += plain)) break;
        len = strcspn(++at, "}");
        const slot_t *s = slot_named(w, at, len);
        if (!s || s->n == 0) return 1;
        int rc = field->type == TYPE_URL ? append_escaped(out, s->first.text) : buf_puts(out, s->first.text);
        if (rc != 0) return 1;
        at += len + 1;
    }
    return 0;
}

static read_status_t put_format(item_writer_t *w, slot_t *s)
{
    if (s->n || !s->field->format) return READ_OK;
    value_t value = {.ms = TIME_NONE};
    value_status_t status = VALUE_NONE;
    buf_t out;
    buf_init(&out, s->max);
    if (expand(w, s->field, &out) == 0 && out.len)
        status =
            value_read(s->rule, w->urls, w->arena, out.data, out.len, false, s->one_line, s->max, &value);
    buf_free(&out);
    return take_value(w, s, status, &value);
}

static read_status_t put_default(item_writer_t *w, slot_t *s)
{
    if (s->n || !s->field->default_text) return READ_OK;
    const char *text = s->field->default_text;
    value_t value = {.text = text, .len = strlen(text), .ms = TIME_NONE};
    value_status_t status = value_convert(s->field, w->urls, w->arena, &value);
    return take_value(w, s, status, &value);
}

// -- columns --------------------------------------------------------------------------------------

static const char *join(arena_t *arena, const slot_t *s, size_t *len)
{
    const char *between = s->one_line ? ", " : "\n";
    size_t most = 0, gap = strlen(between);
    for (const piece_t *p = pieces(s); p; p = p->next) most += p->len + gap;
    char *out = arena_alloc(arena, most + 1), *at = out;
    if (!out) return NULL;
    for (const piece_t *p = pieces(s); p && (size_t)(at - out) < s->max; p = p->next) {
        if (at > out) at = stpcpy(at, between);
        at = mempcpy(at, p->text, p->len);
    }
    *at = '\0';
    *len = (size_t)(at - out);
    return out;
}

// All values of a field as one text; *len is its length. NULL: the arena is full.
static const char *whole(arena_t *arena, const slot_t *s, size_t *len)
{
    if (s->n > 1) return join(arena, s, len);
    *len = s->first.len;
    return s->first.text;
}

static read_status_t fill_column(item_writer_t *w, const slot_t *s, item_t *item)
{
    size_t len;
    if (s->column == COL_PUBLISHED && s->n) item->published_ms = s->ms;
    if (s->column == COL_PUBLISHED && !s->n) item->undated = s->unread;
    if (s->n == 0 || s->column == COL_NONE || s->column == COL_PUBLISHED) return READ_OK;
    const char *text = s->column == COL_FIRST ? s->first.text : whole(w->arena, s, &len);
    if (!text) return READ_TOO_BIG;
    memcpy((char *)item + s->place, &text, sizeof text);
    return READ_OK;
}

// -- `fields` -------------------------------------------------------------------------------------

static int json_value(buf_t *out, const slot_t *s, const char *text, size_t len, bool verbatim)
{
    bool number = s->field->type == TYPE_INTEGER || s->field->type == TYPE_NUMBER;
    return verbatim || number ? buf_append(out, text, len) : json_text(out, text, len);
}

static int json_list(buf_t *out, const slot_t *s)
{
    int rc = buf_append(out, "[", 1);
    for (const piece_t *p = pieces(s); p && rc == 0; p = p->next) {
        if (p != &s->first) rc = buf_append(out, ",", 1);
        if (rc == 0) rc = json_value(out, s, p->text, p->len, p->json);
    }
    return rc == 0 ? buf_append(out, "]", 1) : -1;
}

static bool is_list(const slot_t *s)
{
    field_type_t type = s->field->type;
    return type == TYPE_LIST || (s->field->all && type != TYPE_TEXT && type != TYPE_HTML) ||
           (s->field->all && s->n && s->first.json);
}

static int json_member(item_writer_t *w, const slot_t *s)
{
    buf_t *out = &w->json;
    size_t len;
    if (buf_append(out, s->name, s->name_len) != 0) return -1;
    if (s->n == 0) return json_text(out, s->unread, strlen(s->unread));
    if (is_list(s)) return json_list(out, s);
    const char *text = whole(w->arena, s, &len);
    return text ? json_value(out, s, text, len, s->first.json) : -1;
}

// A member that does not fit any more is left out: the others are worth more than nothing.
static void write_field(item_writer_t *w, const slot_t *s)
{
    size_t before = w->json.len;
    bool shown = s->n ? s->column == COL_NONE : s->unread != NULL;
    if (shown && (json_member(w, s) != 0 || w->json.len >= MAX_FIELDS_JSON)) w->json.len = before;
}

static read_status_t end_fields(item_writer_t *w, item_t *item)
{
    if (w->json.len == 0) return READ_OK;
    if (buf_append(&w->json, "}", 1) != 0) return READ_TOO_BIG;
    w->json.data[0] = '{'; // the first comma
    item->fields = arena_strndup(w->arena, w->json.data, w->json.len);
    return item->fields ? READ_OK : READ_TOO_BIG;
}

// -- the end --------------------------------------------------------------------------------------

static uint64_t mix_slot(uint64_t hash, const slot_t *s)
{
    for (const piece_t *p = pieces(s); p; p = p->next) hash = identity_mix(hash, p->text, p->len);
    return identity_mix(hash, NULL, 0);
}

static bool is_wanted(const item_writer_t *w, const item_t *item)
{
    for (size_t i = 0; w->requires && i < w->n_slots; i++)
        if (w->slots[i].field->required && w->slots[i].n == 0) return false;
    if (w->detail) return true;
    return item->title || item->url || item->summary || item->content || item->fields ||
           (w->key && w->key->n);
}

static read_status_t complete(item_writer_t *w, slot_t *s)
{
    read_status_t status = put_format(w, s);
    return status == READ_OK ? put_default(w, s) : status;
}

// Fields with a format come second: they may use the defaults of the others.
static read_status_t complete_all(item_writer_t *w)
{
    for (int with_format = 0; with_format < 2; with_format++) {
        for (size_t i = 0; i < w->n_slots; i++) {
            if ((w->slots[i].field->format != NULL) != with_format) continue;
            read_status_t status = complete(w, &w->slots[i]);
            if (status != READ_OK) return status;
        }
    }
    return w->key ? complete(w, w->key) : READ_OK;
}

static read_status_t fill(item_writer_t *w, item_t *item)
{
    read_status_t status = w->completes ? complete_all(w) : READ_OK;
    buf_reset(&w->json);
    for (size_t i = 0; status == READ_OK && i < w->n_slots; i++) {
        const slot_t *s = &w->slots[i];
        status = fill_column(w, s, item);
        if (s->field->tracked) item->content_hash = mix_slot(item->content_hash, s);
        write_field(w, s);
    }
    return status == READ_OK ? end_fields(w, item) : status;
}

read_status_t item_end(item_writer_t *w, item_t *item, bool *keep)
{
    *item = (item_t){.published_ms = TIME_NONE};
    read_status_t status = fill(w, item);
    *keep = status == READ_OK && is_wanted(w, item);
    if (!*keep || w->detail) return status;
    int rc = identity_assign(&w->identity, item, w->key && w->key->n ? w->key->first.text : NULL, NULL);
    *keep = rc == 0;
    return rc < 0 ? READ_TOO_BIG : READ_OK;
}
