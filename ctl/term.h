// Term: text on its way to a terminal. What comes from the web may hold escape sequences, direction overrides
// or bad UTF-8: all that is not printable comes out as \x1b, \u202e; widths count terminal columns.
#ifndef RTM_CTL_TERM_H
#define RTM_CTL_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/buf.h"

typedef struct {
    size_t columns; // width; 0: not a terminal, lines may have any length
    bool colour;
} term_t;

// What out is. COLUMNS, if set, gives the width; NO_COLOR, if not empty, forbids colour.
term_t term_of(FILE *out);

// Appends text[0 .. len), escaped. 0 or -1 as buf_append.
__attribute__((warn_unused_result)) int term_append(buf_t *out, const char *text, size_t len);
// Prints text escaped; lines: line feeds and tabs pass as they are.
void term_print(FILE *out, const char *text, bool lines);
// Writes JSON text so that a terminal is safe from it: what is not printable becomes \uXXXX, which is the
// same JSON.
void term_print_json(FILE *out, const char *json, size_t len);

// Columns of escaped text.
size_t term_width(const char *text, size_t len);
// How many bytes of escaped text fit into so many columns.
size_t term_fit(const char *text, size_t len, size_t columns);

#define TERM_SPAN_MAX 32
// "250 ms", "12 s", "3 min", "2 h", "5 d"; at most two significant parts, rounded down.
const char *term_span(int64_t ms, char out[TERM_SPAN_MAX]);
// "12 s ago", "in 5 s", "now"; a date beyond 30 days.
const char *term_when(int64_t ms, int64_t now_ms, char out[TERM_SPAN_MAX]);
// "12 KiB".
const char *term_size(uint64_t bytes, char out[TERM_SPAN_MAX]);

#endif
