// Backoffs: hosts that asked to be left alone, whether any source is there or not, for miners that join
// meanwhile. At most MAX_BACKOFFS; of more, those that are over first are forgotten.
#ifndef RTM_BROKER_BACKOFFS_H
#define RTM_BROKER_BACKOFFS_H

#include <stddef.h>
#include <stdint.h>

#include "common/heap.h"
#include "common/map.h"
#include "proto/wire.h"

enum { MAX_BACKOFFS = 4096 };

typedef struct {
    heap_t ends;
    map_t by_host;
} backoffs_t;

void backoffs_init(backoffs_t *backoffs);
void backoffs_free(backoffs_t *backoffs);
// host (see wire.h) is left alone until then (broker ms), or longer if that is known.
void backoffs_note(backoffs_t *backoffs, const char *host, int64_t until);
// Those that are not over at now; *n of them; the caller frees the array, the names are lent.
wire_host_t *backoffs_rows(backoffs_t *backoffs, int64_t now, size_t *n);

#endif
