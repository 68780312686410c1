// Wire: one table-driven codec for all messages. Encoding goes straight to msgpack-c's packer. Decoding first
// walks the bytes (check_value): every length fits what is there, nesting is bounded. Then it walks them
// again, straight into the message; msgpack-c's own objects would take 24 bytes for each byte of a hostile
// frame.
#include "proto/wire.h"

#include <msgpack.h>
#include <string.h>

#include "common/check.h"

typedef enum {
    WIRE_KIND_U64,
    WIRE_KIND_I64,
    WIRE_KIND_BOOL,
    WIRE_KIND_STR,
    WIRE_KIND_BIN,
    WIRE_KIND_IDS,
    WIRE_KIND_ROWS
} wire_kind_t;

typedef struct wire_table wire_table_t;

typedef struct {
    const char *name;
    wire_kind_t kind;
    size_t offset, max;
    const wire_table_t *rows; // of WIRE_KIND_ROWS
} wire_field_t;

struct wire_table {
    const char *name;
    const wire_field_t *fields;
    size_t n_fields, size;
};

typedef struct {
    void *v;
    size_t n;
} rows_t; // the layout that every ROWS and IDS member shares

// -- tables made from the X-macros ------------------------------------------------------------------

#define FIELD(T, kind, name, arg) \
    {#name, WIRE_KIND_##kind, offsetof(T, name), FIELD_MAX_##kind(arg), FIELD_ROWS_##kind(arg)},
#define FIELD_MAX_U64(arg)   0
#define FIELD_MAX_I64(arg)   0
#define FIELD_MAX_BOOL(arg)  0
#define FIELD_MAX_STR(arg)   (arg)
#define FIELD_MAX_BIN(arg)   (arg)
#define FIELD_MAX_IDS(arg)   (arg)
#define FIELD_MAX_ROWS(arg)  MAX_WIRE_ROWS
#define FIELD_ROWS_U64(arg)  NULL
#define FIELD_ROWS_I64(arg)  NULL
#define FIELD_ROWS_BOOL(arg) NULL
#define FIELD_ROWS_STR(arg)  NULL
#define FIELD_ROWS_BIN(arg)  NULL
#define FIELD_ROWS_IDS(arg)  NULL
#define FIELD_ROWS_ROWS(arg) &row_##arg

#define ROW_TABLE(row_name, list)                                                                    \
    static const wire_field_t row_fields_##row_name[] = {list(FIELD, wire_##row_name##_t)};          \
    static const wire_table_t row_##row_name = {#row_name, row_fields_##row_name,                    \
                                                sizeof row_fields_##row_name / sizeof(wire_field_t), \
                                                sizeof(wire_##row_name##_t)};
WIRE_ROW_TYPES(ROW_TABLE)

#define MESSAGE_FIELDS(TYPE, lower) \
    static const wire_field_t fields_##lower[] = {WIRE_##TYPE(FIELD, wire_##lower##_t)};
WIRE_MESSAGE_TYPES(MESSAGE_FIELDS)

#define MESSAGE_TABLE(TYPE, lower) \
    {#TYPE, fields_##lower, sizeof fields_##lower / sizeof(wire_field_t), sizeof(wire_##lower##_t)},
static const wire_table_t messages[WIRE_TYPE_COUNT] = {{"NONE", NULL, 0, 0},
                                                       WIRE_MESSAGE_TYPES(MESSAGE_TABLE)};

#define ROW_POINTER(row_name, list) &row_##row_name,
static const wire_table_t *const row_tables[] = {WIRE_ROW_TYPES(ROW_POINTER)};

// -- names ------------------------------------------------------------------------------------------

#define NAME(name) #name,
#define NAME_LOOKUP(function, list)                                               \
    const char *function(uint64_t value)                                          \
    {                                                                             \
        static const char *const names[] = {list(NAME)};                          \
        return value < sizeof names / sizeof names[0] ? names[value] : "unknown"; \
    }
NAME_LOOKUP(wire_result_name, WIRE_RESULTS)
NAME_LOOKUP(error_class_name, ERROR_CLASSES)
NAME_LOOKUP(wire_cause_name, WIRE_CAUSES)
NAME_LOOKUP(wire_miner_state_name, WIRE_MINER_STATES)
NAME_LOOKUP(wire_verdict_name, WIRE_VERDICT_NAMES)
NAME_LOOKUP(wire_continuity_name, WIRE_CONTINUITIES)
NAME_LOOKUP(wire_gap_reason_name, WIRE_GAP_REASONS)

const char *wire_type_name(wire_type_t type)
{
    return type < WIRE_TYPE_COUNT ? messages[type].name : "NONE";
}

void wire_visit_members(void (*visit)(void *, const char *, const char *), void *context)
{
    for (size_t m = 1; m < WIRE_TYPE_COUNT; m++)
        for (size_t f = 0; f < messages[m].n_fields; f++)
            visit(context, messages[m].name, messages[m].fields[f].name);
    for (size_t r = 0; r < sizeof row_tables / sizeof row_tables[0]; r++)
        for (size_t f = 0; f < row_tables[r]->n_fields; f++)
            visit(context, row_tables[r]->name, row_tables[r]->fields[f].name);
}

// -- encoding ---------------------------------------------------------------------------------------

static int pack_write(void *data, const char *bytes, size_t len)
{
    return buf_append(data, bytes, len);
}

static const void *member(const wire_field_t *f, const void *base)
{
    return (const char *)base + f->offset;
}

static bool is_zero(const wire_field_t *f, const void *base)
{
    const void *p = member(f, base);
    switch (f->kind) {
    case WIRE_KIND_U64:
    case WIRE_KIND_I64: return *(const uint64_t *)p == 0;
    case WIRE_KIND_BOOL: return !*(const bool *)p;
    case WIRE_KIND_STR: return !*(const char *const *)p || !**(const char *const *)p;
    case WIRE_KIND_BIN: return ((const wire_bin_t *)p)->len == 0;
    case WIRE_KIND_IDS:
    case WIRE_KIND_ROWS: return ((const rows_t *)p)->n == 0;
    }
    return true;
}

static int pack_text(msgpack_packer *pk, const char *s)
{
    size_t len = s ? strlen(s) : 0;
    return msgpack_pack_str(pk, len) || msgpack_pack_str_body(pk, s ? s : "", len);
}

static int pack_row(msgpack_packer *pk, const wire_table_t *table, const void *row);

static int pack_member(msgpack_packer *pk, const wire_field_t *f, const void *base)
{
    const void *p = member(f, base);
    const rows_t *rows = p;
    const wire_bin_t *bin = p;
    switch (f->kind) {
    case WIRE_KIND_U64: return msgpack_pack_uint64(pk, *(const uint64_t *)p);
    case WIRE_KIND_I64: return msgpack_pack_int64(pk, *(const int64_t *)p);
    case WIRE_KIND_BOOL: return *(const bool *)p ? msgpack_pack_true(pk) : msgpack_pack_false(pk);
    case WIRE_KIND_STR: return pack_text(pk, *(const char *const *)p);
    case WIRE_KIND_BIN:
        return msgpack_pack_bin(pk, bin->len) || msgpack_pack_bin_body(pk, bin->data, bin->len);
    case WIRE_KIND_IDS:
        if (msgpack_pack_array(pk, rows->n)) return -1;
        for (size_t i = 0; i < rows->n; i++)
            if (msgpack_pack_uint64(pk, ((const uint64_t *)rows->v)[i])) return -1;
        return 0;
    case WIRE_KIND_ROWS:
        if (msgpack_pack_array(pk, rows->n)) return -1;
        for (size_t i = 0; i < rows->n; i++)
            if (pack_row(pk, f->rows, (const char *)rows->v + i * f->rows->size)) return -1;
        return 0;
    }
    return -1;
}

static int pack_row(msgpack_packer *pk, const wire_table_t *table, const void *row)
{
    size_t n = table->n_fields;
    while (n > 0 && is_zero(&table->fields[n - 1], row)) n--;
    if (msgpack_pack_array(pk, n)) return -1;
    for (size_t i = 0; i < n; i++)
        if (pack_member(pk, &table->fields[i], row)) return -1;
    return 0;
}

static int pack_message(msgpack_packer *pk, const wire_table_t *table, const void *message)
{
    size_t n = 0;
    for (size_t i = 0; i < table->n_fields; i++) n += !is_zero(&table->fields[i], message);
    if (msgpack_pack_array(pk, 2) || pack_text(pk, table->name) || msgpack_pack_map(pk, n)) return -1;
    for (size_t i = 0; i < table->n_fields; i++) {
        if (is_zero(&table->fields[i], message)) continue;
        if (pack_text(pk, table->fields[i].name) || pack_member(pk, &table->fields[i], message)) return -1;
    }
    return 0;
}

int wire_encode(buf_t *out, wire_type_t type, const void *message)
{
    size_t before = out->len;
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, pack_write);
    if (pack_message(&pk, &messages[type], message)) {
        out->len = before;
        return -1;
    }
    return 0;
}

static size_t text_size(const char *s)
{
    return (s ? strlen(s) : 0) + 5;
}

size_t wire_item_size(const wire_item_t *i)
{
    return 64 + text_size(i->key) + text_size(i->url) + text_size(i->title) + text_size(i->author) +
           text_size(i->summary) + text_size(i->content) + text_size(i->image) + text_size(i->fields) +
           text_size(i->url_norm);
}

// -- checking ---------------------------------------------------------------------------------------

typedef struct {
    const uint8_t *p, *end;
} cursor_t;

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    while (n--) v = v << 8 | *p++;
    return v;
}

// What follows a type byte: bytes to skip (with those of the length itself), and how many values are nested
// in it. -1: the byte is none of msgpack's, or ext, which rtm does not use.
static int head_of(const cursor_t *c, uint64_t *skip, uint64_t *children)
{
    uint8_t b = *c->p;
    size_t left = (size_t)(c->end - c->p);
    size_t width = 0;
    *skip = 0;
    *children = 0;
    if (b <= 0x7f || b >= 0xe0 || b == 0xc0 || b == 0xc2 || b == 0xc3) return 0;
    if ((b & 0xf0) == 0x80) return *children = 2 * (uint64_t)(b & 0x0f), 0;
    if ((b & 0xf0) == 0x90) return *children = b & 0x0f, 0;
    if ((b & 0xe0) == 0xa0) return *skip = b & 0x1f, 0;
    switch (b) {
    case 0xca: *skip = 4; return 0;
    case 0xcb: *skip = 8; return 0;
    case 0xcc:
    case 0xd0: *skip = 1; return 0;
    case 0xcd:
    case 0xd1: *skip = 2; return 0;
    case 0xce:
    case 0xd2: *skip = 4; return 0;
    case 0xcf:
    case 0xd3: *skip = 8; return 0;
    case 0xc4:
    case 0xd9: width = 1; break;
    case 0xc5:
    case 0xda:
    case 0xdc:
    case 0xde: width = 2; break;
    case 0xc6:
    case 0xdb:
    case 0xdd:
    case 0xdf: width = 4; break;
    default: return -1;
    }
    if (left < 1 + width) return -1;
    uint64_t n = big_endian(c->p + 1, width);
    *skip = width;
    if (b >= 0xdc)
        *children = b >= 0xde ? 2 * n : n;
    else
        *skip += n;
    return 0;
}

static int check_value(cursor_t *c, int depth)
{
    uint64_t skip, children;
    if (c->p >= c->end || depth > MAX_WIRE_DEPTH || head_of(c, &skip, &children)) return -1;
    c->p++;
    if (skip > (uint64_t)(c->end - c->p)) return -1;
    c->p += skip;
    if (children > (uint64_t)(c->end - c->p)) return -1;
    for (uint64_t i = 0; i < children; i++)
        if (check_value(c, depth + 1)) return -1;
    return 0;
}

// -- decoding ---------------------------------------------------------------------------------------

enum { BAD_REQUEST = 400, TOO_LARGE = 413 };

typedef struct {
    arena_t *arena;
    const char *why;
} decoder_t;

static int refuse(decoder_t *d, int code, const char *why)
{
    d->why = why;
    return code;
}

// One value as it stands in the bytes; of arrays and maps only the head, their entries follow. The bytes have
// passed check_value.
typedef struct {
    enum {
        VALUE_NIL,
        VALUE_BOOL,
        VALUE_UINT,
        VALUE_NEGATIVE,
        VALUE_STR,
        VALUE_BIN,
        VALUE_ARRAY,
        VALUE_MAP,
        VALUE_OTHER
    } kind;
    uint64_t n;       // number, or length in bytes, or entries
    int64_t negative; // VALUE_NEGATIVE
    const char *bytes;
} value_t;

static value_t signed_value(int64_t v)
{
    return v < 0 ? (value_t){.kind = VALUE_NEGATIVE, .negative = v}
                 : (value_t){.kind = VALUE_UINT, .n = (uint64_t)v};
}

// The number in the width bytes behind the type byte.
static value_t number(const uint8_t *p, uint8_t type)
{
    size_t width = (size_t)1 << (type & 3);
    uint64_t v = big_endian(p, width);
    if (type < 0xd0) return (value_t){.kind = VALUE_UINT, .n = v};
    return signed_value((int64_t)(v << (64 - 8 * width)) >> (64 - 8 * width));
}

static int kind_of(uint8_t b)
{
    if ((b & 0xe0) == 0xa0 || (b >= 0xd9 && b <= 0xdb)) return VALUE_STR;
    if (b >= 0xc4 && b <= 0xc6) return VALUE_BIN;
    if ((b & 0xf0) == 0x90 || b == 0xdc || b == 0xdd) return VALUE_ARRAY;
    if ((b & 0xf0) == 0x80 || b == 0xde || b == 0xdf) return VALUE_MAP;
    return b == 0xc0 ? VALUE_NIL : b == 0xc2 || b == 0xc3 ? VALUE_BOOL : VALUE_OTHER;
}

// Takes a value, but not what is nested in it.
static value_t take(cursor_t *c)
{
    const uint8_t *p = c->p;
    uint64_t skip, children;
    CHECK(head_of(c, &skip, &children) == 0);
    c->p += 1 + skip;
    if (*p <= 0x7f) return (value_t){.kind = VALUE_UINT, .n = *p};
    if (*p >= 0xe0) return signed_value((int8_t)*p);
    if (*p >= 0xcc && *p <= 0xd3) return number(p + 1, *p);
    value_t v = {.kind = kind_of(*p)};
    if (v.kind == VALUE_BOOL) v.n = *p & 1;
    if (v.kind == VALUE_ARRAY) v.n = children;
    if (v.kind == VALUE_MAP) v.n = children / 2;
    if (v.kind == VALUE_STR || v.kind == VALUE_BIN) {
        size_t width = (size_t)1 << (*p & 3); // of the length, for c4 c5 c6; d9 da db are one further
        if (v.kind == VALUE_STR) width = (*p & 0xe0) == 0xa0 ? 0 : width >> 1;
        v.n = skip - width;
        v.bytes = (const char *)p + 1 + width;
    }
    return v;
}

// Passes over a value and all that is nested in it. The depth is bounded, so is the recursion.
static void pass_over(cursor_t *c)
{
    value_t v = take(c);
    uint64_t n = v.kind == VALUE_MAP ? 2 * v.n : v.kind == VALUE_ARRAY ? v.n : 0;
    while (n--) pass_over(c);
}

static int unpack_int(decoder_t *d, wire_kind_t kind, const value_t *v, void *to)
{
    if (v->kind == VALUE_UINT) {
        if (kind == WIRE_KIND_I64 && v->n > INT64_MAX)
            return refuse(d, BAD_REQUEST, "a number is out of range");
        *(uint64_t *)to = v->n;
        return 0;
    }
    if (v->kind != VALUE_NEGATIVE || kind != WIRE_KIND_I64)
        return refuse(d, BAD_REQUEST, "a member that must be a number is none");
    *(int64_t *)to = v->negative;
    return 0;
}

static int unpack_text(decoder_t *d, const wire_field_t *f, const value_t *v, const char **to)
{
    if (v->kind != VALUE_STR) return refuse(d, BAD_REQUEST, "a member that must be a string is none");
    if (v->n > f->max) return refuse(d, BAD_REQUEST, "a string is longer than its bound");
    if (v->n && memchr(v->bytes, 0, v->n)) return refuse(d, BAD_REQUEST, "a string holds a NUL");
    *to = v->n ? arena_strndup(d->arena, v->bytes, v->n) : "";
    return *to ? 0 : refuse(d, TOO_LARGE, "the message needs too much memory");
}

static int unpack_bin(decoder_t *d, const wire_field_t *f, const value_t *v, wire_bin_t *to)
{
    if (v->kind != VALUE_BIN) return refuse(d, BAD_REQUEST, "a member that must be binary is not");
    if (v->n > f->max) return refuse(d, BAD_REQUEST, "a binary member is longer than its bound");
    void *copy = arena_strndup(d->arena, v->bytes, v->n);
    if (!copy) return refuse(d, TOO_LARGE, "the message needs too much memory");
    *to = (wire_bin_t){copy, v->n};
    return 0;
}

static int unpack_member(decoder_t *d, const wire_field_t *f, cursor_t *c, void *base);

static void absent_member(const wire_field_t *f, void *base)
{
    if (f->kind == WIRE_KIND_STR) *(const char **)((char *)base + f->offset) = "";
}

static int unpack_row(decoder_t *d, const wire_table_t *t, cursor_t *c, void *row)
{
    value_t v = take(c);
    if (v.kind != VALUE_ARRAY) return refuse(d, BAD_REQUEST, "a row is no array");
    for (size_t i = 0; i < t->n_fields; i++) {
        int code = 0;
        if (i < v.n)
            code = unpack_member(d, &t->fields[i], c, row);
        else
            absent_member(&t->fields[i], row);
        if (code) return code;
    }
    for (uint64_t i = t->n_fields; i < v.n; i++) pass_over(c); // what a later version has more
    return 0;
}

static int unpack_id(decoder_t *d, cursor_t *c, void *to)
{
    value_t v = take(c);
    return unpack_int(d, WIRE_KIND_U64, &v, to);
}

static int unpack_rows(decoder_t *d, const wire_field_t *f, const value_t *head, cursor_t *c, rows_t *to)
{
    if (head->kind != VALUE_ARRAY) return refuse(d, BAD_REQUEST, "a member that must be an array is none");
    size_t n = head->n, size = f->kind == WIRE_KIND_IDS ? sizeof(uint64_t) : f->rows->size;
    if (n > f->max) return refuse(d, BAD_REQUEST, "an array has more entries than its bound");
    char *v = arena_calloc(d->arena, n, size);
    if (!v) return refuse(d, TOO_LARGE, "the message needs too much memory");
    for (size_t i = 0; i < n; i++) {
        int code = f->kind == WIRE_KIND_IDS ? unpack_id(d, c, v + i * size)
                                            : unpack_row(d, f->rows, c, v + i * size);
        if (code) return code;
    }
    *to = (rows_t){v, n};
    return 0;
}

static int unpack_member(decoder_t *d, const wire_field_t *f, cursor_t *c, void *base)
{
    void *to = (char *)base + f->offset;
    value_t v = take(c);
    if (v.kind == VALUE_NIL) {
        absent_member(f, base);
        return 0;
    }
    switch (f->kind) {
    case WIRE_KIND_U64:
    case WIRE_KIND_I64: return unpack_int(d, f->kind, &v, to);
    case WIRE_KIND_BOOL:
        if (v.kind != VALUE_BOOL) return refuse(d, BAD_REQUEST, "a member that must be a boolean is none");
        *(bool *)to = v.n;
        return 0;
    case WIRE_KIND_STR: return unpack_text(d, f, &v, to);
    case WIRE_KIND_BIN: return unpack_bin(d, f, &v, to);
    case WIRE_KIND_IDS:
    case WIRE_KIND_ROWS: return unpack_rows(d, f, &v, c, to);
    }
    return refuse(d, BAD_REQUEST, "a member of an unknown kind");
}

static bool str_is(const value_t *v, const char *s)
{
    size_t len = strlen(s);
    return v->kind == VALUE_STR && v->n == len && !memcmp(v->bytes, s, len);
}

static wire_type_t type_of(const value_t *v)
{
    for (size_t t = 1; t < WIRE_TYPE_COUNT; t++)
        if (str_is(v, messages[t].name)) return (wire_type_t)t;
    return WIRE_NONE;
}

// A member of the message: its name, then its value.
static int unpack_named(decoder_t *d, const wire_table_t *t, cursor_t *c, void *message)
{
    const uint8_t *at = c->p;
    value_t name = take(c);
    if (name.kind == VALUE_ARRAY || name.kind == VALUE_MAP) {
        c->p = at;
        pass_over(c);
    }
    for (size_t f = 0; f < t->n_fields; f++)
        if (str_is(&name, t->fields[f].name)) return unpack_member(d, &t->fields[f], c, message);
    pass_over(c);
    return 0;
}

static int unpack_message(decoder_t *d, cursor_t *c, wire_type_t *type, void **message)
{
    static const char form[] = "the message is not [TYPE, {...}]";
    value_t root = take(c);
    if (root.kind != VALUE_ARRAY || root.n != 2) return refuse(d, BAD_REQUEST, form);
    const uint8_t *at = c->p;
    value_t name = take(c);
    if (name.kind == VALUE_ARRAY || name.kind == VALUE_MAP) {
        c->p = at;
        pass_over(c);
    }
    value_t map = take(c);
    if (map.kind != VALUE_MAP) return refuse(d, BAD_REQUEST, form);
    *type = type_of(&name);
    if (*type == WIRE_NONE) return refuse(d, BAD_REQUEST, "unknown message type");
    const wire_table_t *t = &messages[*type];
    *message = arena_calloc(d->arena, 1, t->size);
    if (!*message) return refuse(d, TOO_LARGE, "the message needs too much memory");
    for (size_t f = 0; f < t->n_fields; f++) absent_member(&t->fields[f], *message);
    for (uint64_t i = 0; i < map.n; i++) {
        int code = unpack_named(d, t, c, *message);
        if (code) return code;
    }
    return 0;
}

int wire_decode(arena_t *arena, const void *bytes, size_t len, wire_type_t *type, void **message,
                const char **why)
{
    decoder_t d = {arena, ""};
    cursor_t c = {bytes, (const uint8_t *)bytes + len};
    *type = WIRE_NONE;
    int code = len == 0 || check_value(&c, 0) || c.p != c.end
                   ? refuse(&d, BAD_REQUEST, "the frame is not one msgpack value")
                   : 0;
    c.p = bytes;
    if (code == 0) code = unpack_message(&d, &c, type, message);
    *why = d.why;
    return code;
}
