// Print: answers of the broker, as JSON for programs or as tables for people. Nothing here knows a command:
// how a cell looks follows from its column's name ("..._ms" is a time or a span, "..._kib" a size) and type.
#ifndef RTM_CTL_PRINT_H
#define RTM_CTL_PRINT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <yyjson.h>

#include "ctl/term.h"

#define PRINT_COLUMNS_MAX 96

typedef struct {
    FILE *out;
    term_t term;
    bool json;
    int64_t now_ms; // broker ms, for "12 s ago"
    size_t rows;    // printed so far
    size_t n;       // columns, known with the first page
    struct print_column {
        char name[64];
        size_t width;
        bool right, shown;
    } columns[PRINT_COLUMNS_MAX];
} print_t;

void print_begin(print_t *print, FILE *out, bool json, int64_t now_ms);
// A page of a table: an array of flat objects with the same members. The first page decides on the columns.
// 0; -1: it is not of that form.
int print_page(print_t *print, yyjson_val *rows);
// none: what is said (on stderr) where no row came.
void print_end(print_t *print, const char *none);

// One object: JSON as it is, or a line for each member.
void print_object(FILE *out, yyjson_val *object, bool json, int64_t now_ms);
// Any value as one line of JSON.
void print_json(FILE *out, yyjson_val *value);

#endif
