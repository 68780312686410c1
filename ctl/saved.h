// Saved: a document in a file, with what the server said of it in FILE.meta.json beside it, so that reading
// the file again gives what reading the web gave.
#ifndef RTM_CTL_SAVED_H
#define RTM_CTL_SAVED_H

#include <stdbool.h>

#include "common/buf.h"
#include "miner/read/read.h"

typedef struct {
    buf_t body;
    char *content_type, *url; // NULL: not known
    bool detail;              // it is a detail page
} saved_t;

// Writes document into the folder dir (made if missing) as NAME with an ending for what it holds. 0, or the
// exit code of a failure that was told.
int saved_write(const char *dir, const char *name, const document_t *document, bool detail);
// Reads the file at path ("-": standard input) with its meta.json, if there is one. The exit code; free out
// either way.
int saved_read(saved_t *out, const char *path);
void saved_free(saved_t *saved);

#endif
