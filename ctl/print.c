// Print: a page is laid out cell by cell into texts, then its columns are given widths, then lines are
// written.
#include "ctl/print.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

enum {
    CELL_MAX = 8192,   // bytes of one escaped cell
    COMFORTABLE = 20,  // columns of text are cut to this before columns are left out
    COLUMNS_LEAST = 5, // are shown in any case
    NARROWEST = 8,     // a column of text is not cut below
    GAP = 2,           // between columns
};

#define MOMENT_MS 100000000000 // `_ms` members above (1973) are moments, smaller ones are spans

// -- cells ----------------------------------------------------------------------------------------

static bool ends(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && !strcmp(name + n - m, suffix);
}

static void put(buf_t *out, const char *text)
{
    // a cell beyond its bound is cut there
    if (term_append(out, text, strlen(text))) return;
}

// A number's whole part, cut to what fits.
static int64_t whole_of(yyjson_val *value)
{
    double real = yyjson_get_real(value);
    if (yyjson_is_real(value)) return real > -9e18 && real < 9e18 ? (int64_t)real : 0;
    return yyjson_is_uint(value) && yyjson_get_uint(value) > INT64_MAX ? INT64_MAX : yyjson_get_sint(value);
}

static void put_number(buf_t *out, const char *column, yyjson_val *value, int64_t now_ms)
{
    char text[TERM_SPAN_MAX];
    int64_t n = whole_of(value);
    if (ends(column, "_ms") || !strcmp(column, "now"))
        put(out, n == 0 ? "-" : n > MOMENT_MS ? term_when(n, now_ms, text) : term_span(n, text));
    else if (ends(column, "_kib"))
        put(out, term_size((uint64_t)n << 10, text));
    else if (!strcmp(column, "bytes") || !strcmp(column, "unacked"))
        put(out, term_size((uint64_t)n, text));
    else if (!strcmp(column, "cpu"))
        snprintf(text, sizeof text, "%.1f %%", yyjson_get_num(value) / 10), put(out, text);
    else if (yyjson_is_real(value))
        snprintf(text, sizeof text, "%.2f", yyjson_get_real(value)), put(out, text);
    else
        snprintf(text, sizeof text, "%" PRId64, n), put(out, text);
}

static void put_value(buf_t *out, const char *column, yyjson_val *value, int64_t now_ms)
{
    if (yyjson_is_str(value)) {
        put(out, yyjson_get_len(value) ? yyjson_get_str(value) : "-");
    } else if (yyjson_is_raw(value)) {
        put(out, yyjson_get_raw(value)); // a number with all its digits
    } else if (yyjson_is_num(value)) {
        put_number(out, column, value, now_ms);
    } else if (yyjson_is_bool(value)) {
        put(out, yyjson_get_bool(value) ? "yes" : "no");
    } else if (yyjson_is_ctn(value)) {
        char *json = yyjson_val_write(value, 0, NULL);
        put(out, json ? json : "?");
        free(json);
    } else {
        put(out, "-");
    }
}

// The escaped text of a cell; the caller frees it.
static char *cell_text(const char *column, yyjson_val *value, int64_t now_ms)
{
    buf_t out;
    buf_init(&out, CELL_MAX);
    put_value(&out, column, value, now_ms);
    char *text = xstrndup(out.data ? out.data : "", out.len);
    buf_free(&out);
    return text;
}

// "last_polled_ms" -> "LAST POLLED".
static void heading(const char *name, char out[64])
{
    size_t n = strlen(name);
    if (ends(name, "_ms")) n -= 3;
    if (ends(name, "_kib")) n -= 4;
    if (n > 63) n = 63;
    for (size_t i = 0; i < n; i++) out[i] = name[i] == '_' ? ' ' : (char)toupper((unsigned char)name[i]);
    out[n] = '\0';
}

static const char *colour_of(const char *text)
{
    static const struct {
        const char *word, *colour;
    } words[] = {{"ok", "32"},
                 {"live", "32"},
                 {"alive", "32"},
                 {"failed", "31"},
                 {"dead", "31"},
                 {"gone", "31"},
                 {"quarantined", "31"},
                 {"draining", "33"},
                 {"overloaded", "33"},
                 {"disabled", "33"},
                 {"sink_backpressure", "33"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(text, words[i].word)) return words[i].colour;
    return NULL;
}

// -- widths ---------------------------------------------------------------------------------------

static int name_columns(print_t *print, yyjson_val *row)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(row);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        if (print->n == PRINT_COLUMNS_MAX) break;
        struct print_column *c = &print->columns[print->n++];
        char title[64];
        snprintf(c->name, sizeof c->name, "%s", yyjson_get_str(key));
        heading(c->name, title);
        c->width = strlen(title);
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        c->right = yyjson_is_num(value) || yyjson_is_raw(value);
        c->shown = true;
    }
    return print->n ? 0 : -1;
}

static size_t last_shown(const print_t *print)
{
    size_t last = print->n - 1;
    while (last && !print->columns[last].shown) last--;
    return last;
}

static size_t total(const print_t *print)
{
    size_t sum = 0;
    for (size_t i = 0; i < print->n; i++)
        if (print->columns[i].shown) sum += print->columns[i].width + (sum ? GAP : 0);
    return sum;
}

// Takes one from the width of the widest column of text that is wider than least; false: there is none.
static bool narrow(print_t *print, size_t least)
{
    struct print_column *widest = NULL;
    for (size_t i = 0; i < print->n; i++) {
        struct print_column *c = &print->columns[i];
        if (c->shown && !c->right && c->width > least && (!widest || c->width >= widest->width)) widest = c;
    }
    if (widest) widest->width--;
    return widest != NULL;
}

// Leaves out the last column; false: so few are left that they are worth more than their texts' width.
static bool leave_out(print_t *print)
{
    size_t last = last_shown(print);
    if (last < COLUMNS_LEAST) return false;
    print->columns[last].shown = false;
    return true;
}

static void fit_columns(print_t *print)
{
    while (print->term.columns && total(print) > print->term.columns)
        if (!narrow(print, COMFORTABLE) && !leave_out(print) && !narrow(print, NARROWEST)) return;
}

// -- tables ---------------------------------------------------------------------------------------

void print_begin(print_t *print, FILE *out, bool json, int64_t now_ms)
{
    *print = (print_t){.out = out, .term = term_of(out), .json = json, .now_ms = now_ms};
}

static void print_cell(print_t *print, const struct print_column *column, const char *text,
                       const char *colour, bool last)
{
    size_t len = strlen(text), width = term_width(text, len);
    bool cut = print->term.columns && width > column->width;
    if (cut) len = term_fit(text, len, column->width - 1), width = term_width(text, len) + 1;
    int pad = width < column->width ? (int)(column->width - width) : 0;
    if (column->right) fprintf(print->out, "%*s", pad, "");
    if (colour && print->term.colour) fprintf(print->out, "\033[%sm", colour);
    fprintf(print->out, "%.*s%s", (int)len, text, cut ? "…" : "");
    if (colour && print->term.colour) fputs("\033[0m", print->out);
    if (last)
        fputc('\n', print->out);
    else
        fprintf(print->out, "%*s", GAP + (column->right ? 0 : pad), "");
}

static void print_headings(print_t *print)
{
    size_t last = last_shown(print);
    for (size_t i = 0; i <= last; i++) {
        char title[64];
        heading(print->columns[i].name, title);
        print_cell(print, &print->columns[i], title, "1", i == last);
    }
}

// The texts of a page's cells, row by row; the caller frees them.
static char **lay_out(print_t *print, yyjson_val *rows, size_t n)
{
    char **cells = xcalloc(n * print->n, sizeof *cells);
    yyjson_arr_iter it = yyjson_arr_iter_with(rows);
    for (size_t r = 0; r < n; r++) {
        yyjson_val *row = yyjson_arr_iter_next(&it);
        for (size_t c = 0; c < print->n; c++) {
            const char *name = print->columns[c].name;
            cells[r * print->n + c] = cell_text(name, yyjson_obj_get(row, name), print->now_ms);
        }
    }
    return cells;
}

static void print_rows(print_t *print, char **cells, size_t n)
{
    size_t last = last_shown(print);
    for (size_t r = 0; r < n; r++)
        for (size_t c = 0; c <= last; c++) {
            const char *text = cells[r * print->n + c];
            print_cell(print, &print->columns[c], text, colour_of(text), c == last);
        }
}

static void print_table(print_t *print, yyjson_val *rows, size_t n)
{
    char **cells = lay_out(print, rows, n);
    if (!print->rows) {
        for (size_t i = 0; i < n * print->n; i++) {
            struct print_column *c = &print->columns[i % print->n];
            size_t width = term_width(cells[i], strlen(cells[i]));
            if (width > c->width) c->width = width;
        }
        fit_columns(print);
        print_headings(print);
    }
    print_rows(print, cells, n);
    for (size_t i = 0; i < n * print->n; i++) free(cells[i]);
    free(cells);
}

int print_page(print_t *print, yyjson_val *rows)
{
    if (!yyjson_is_arr(rows)) return -1;
    size_t n = yyjson_arr_size(rows);
    yyjson_arr_iter it = yyjson_arr_iter_with(rows);
    if (!n) return 0;
    if (print->json) {
        for (size_t i = 0; i < n; i++) {
            fputs(print->rows + i ? ",\n " : "[", print->out);
            print_json(print->out, yyjson_arr_iter_next(&it));
        }
    } else {
        if (!print->n && name_columns(print, yyjson_arr_get_first(rows))) return -1;
        print_table(print, rows, n);
    }
    print->rows += n;
    return 0;
}

void print_end(print_t *print, const char *none)
{
    if (print->json) {
        fputs(print->rows ? "]\n" : "[]\n", print->out);
        return;
    }
    fflush(print->out);
    if (!print->rows && none) fprintf(stderr, "%s\n", none);
    bool hidden = false;
    for (size_t i = 0; i < print->n; i++) {
        if (print->columns[i].shown) continue;
        fprintf(stderr, "%s%s", hidden ? ", " : "(too narrow for ", print->columns[i].name);
        hidden = true;
    }
    if (hidden) fputs("; --json has all)\n", stderr);
}

// -- objects --------------------------------------------------------------------------------------

void print_json(FILE *out, yyjson_val *value)
{
    size_t len;
    char *json = yyjson_val_write(value, 0, &len);
    if (json) term_print_json(out, json, len);
    free(json);
}

static size_t widest_name(yyjson_val *object)
{
    size_t widest = 0;
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        size_t n = yyjson_get_len(key);
        if (n > widest && n < 40) widest = n;
    }
    return widest;
}

// A member that is a list has a line for each element, the first behind its name.
static void print_list(FILE *out, yyjson_val *list, int indent, int64_t now_ms)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    if (!yyjson_arr_size(list)) fputc('-', out);
    for (yyjson_val *element; (element = yyjson_arr_iter_next(&it));) {
        char *text = cell_text("", element, now_ms);
        fprintf(out, "%s%*s%s", it.idx > 1 ? "\n" : "", it.idx > 1 ? indent : 0, "", text);
        free(text);
    }
}

// One that is an object becomes one line: "late 3, no_miner 2".
static void print_member(FILE *out, yyjson_val *key, yyjson_val *value, int indent, int64_t now_ms)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(value);
    const char *comma = "";
    if (yyjson_is_arr(value)) {
        print_list(out, value, indent, now_ms);
        return;
    }
    if (!yyjson_is_obj(value)) {
        char *text = cell_text(yyjson_get_str(key), value, now_ms);
        fputs(text, out);
        free(text);
        return;
    }
    if (!yyjson_obj_size(value)) fputc('-', out);
    for (yyjson_val *k; (k = yyjson_obj_iter_next(&it)); comma = ", ") {
        char *text = cell_text(yyjson_get_str(k), yyjson_obj_iter_get_val(k), now_ms);
        fputs(comma, out);
        term_print(out, yyjson_get_str(k), false);
        fprintf(out, " %s", text);
        free(text);
    }
}

void print_object(FILE *out, yyjson_val *object, bool json, int64_t now_ms)
{
    size_t widest = widest_name(object);
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    if (json) {
        print_json(out, object);
        fputc('\n', out);
        return;
    }
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        char *name = cell_text("", key, now_ms);
        size_t n = strlen(name);
        if (ends(name, "_ms")) name[n - 3] = '\0';
        if (ends(name, "_kib")) name[n - 4] = '\0';
        for (char *p = name; *p; p++)
            if (*p == '_') *p = ' ';
        fprintf(out, "%-*s  ", (int)widest, name);
        free(name);
        print_member(out, key, yyjson_obj_iter_get_val(key), (int)widest + 2, now_ms);
        fputc('\n', out);
    }
}
