// Page: items in commit order, some at a time, as JSON. Transactions commit in another order than they began,
// so a reader that goes by an id or a time misses rows. Here a row is readable once its transaction's id is
// below that of every transaction that still runs: nothing can come in front of it any more. A position is
// such an id with a row's key; who goes on from the position of the last row seen misses nothing, and sees a
// row again only when it has changed.
#ifndef RTM_SINK_PAGE_H
#define RTM_SINK_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"
#include "sink/pg.h"

enum {
    POSITION_KEY = 3 * MAX_KEY, // a key may have grown when it was cleaned
    POSITION_TEXT = 20 + 1 + 16 + 1 + 4 * ((POSITION_KEY + 2) / 3) + 1,
    PAGE_ROWS = 1000,
    PAGE_WORDS = 8, // of a text query
};

// In front of the first row behind it.
typedef struct {
    uint64_t tx;
    int64_t source; // INT64_MIN with an empty key: in front of all rows of tx
    size_t key_len;
    char key[POSITION_KEY];
} position_t;

position_t position_of_tx(uint64_t tx);
// "TX" or "TX.SOURCE.KEY", the key as base64url. 0, or -1: it is no position.
int position_parse(position_t *position, const char *text);
void position_print(const position_t *position, char out[POSITION_TEXT]);
// Below, at, above 0.
int position_compare(const position_t *a, const position_t *b);

typedef struct {
    const position_t *from; // NULL: from the end that the order begins with
    bool newest;            // newest first, towards older rows
    int rows;               // at most, up to PAGE_ROWS
    size_t bytes;           // of texts, about; one row is always given
    // filters, or NULL
    const char *template_name, *source, *since,
        *words; // source: hex id or URL; since: time, or an age as "2h"
} page_query_t;

// A row; valid during the call.
typedef struct {
    position_t position;
    const char *template_name, *source_url; // "" if not known
    uint64_t source;
    const char *json; // an object
    size_t json_len;
} page_row_t;
typedef void page_row_fn(void *context, const page_row_t *row);

typedef struct {
    size_t rows;
    bool more;       // another page may follow at once
    bool settled;    // no other transaction runs: all that is committed was readable
    position_t next; // where to go on
} page_end_t;

// Opens a connection for reading.
pg_status_t page_open(pg_t *pg);
// The position behind all that is readable now.
pg_status_t page_now(pg_t *pg, position_t *now);
// Hands each row to `row`. PG_REFUSED: the query is at fault, pg_reason says what is.
pg_status_t page_read(pg_t *pg, const page_query_t *query, page_row_fn *row, void *context, page_end_t *end);

#endif
