// Ship: what a worker's polls found, gathered into batches for the sink. A batch is closed when it is large
// or old enough, encoded here (so that the link does not have to), and remembered until its verdicts come.
#ifndef RTM_MINER_SHIP_H
#define RTM_MINER_SHIP_H

#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

typedef struct ship ship_t;

// Takes over frame (malloc): an encoded BATCH that lacks only its number, see ship_number. token names it for
// ship_verdicts.
typedef void ship_send_fn(void *context, uint64_t token, char *frame, size_t len);
enum { SHIP_POLL = UINT32_MAX }; // the index of what ship_add_poll added

// What the sink said of the item that owner added as its index.
typedef void ship_verdict_fn(void *owner, uint32_t index, wire_verdict_t verdict);

ship_t *ship_new(ship_send_fn *send, void *context);
// What is not closed or has no verdicts yet is forgotten.
void ship_destroy(ship_t **ship);

// Adds an item, with what its batch has to say of its template, source and poll (item->poll is set here);
// now: monotonic ms. Texts are copied, and cut where they pass the wire's bounds. owner must live until the
// verdict.
void ship_add(ship_t *ship, int64_t now, const wire_sink_template_t *template,
              const wire_sink_source_t *source, const wire_poll_t *poll, const wire_item_t *item, void *owner,
              uint32_t index);
// Adds a row of a poll without an item. Its verdict says only that it is stored.
void ship_add_poll(ship_t *ship, int64_t now, const wire_sink_template_t *template,
                   const wire_sink_source_t *source, const wire_poll_t *poll, void *owner);
// Closes the open batch if it is BATCH_LINGER_MS old.
void ship_tick(ship_t *ship, int64_t now);
// When ship_tick has to be called, monotonic ms; INT64_MAX: not.
int64_t ship_deadline(const ship_t *ship);
// The sink's answer: one verdict an item; beyond n: lacks_detail, which has details looked up again and means
// nothing else. A token that is not open is ignored.
void ship_verdicts(ship_t *ship, uint64_t token, const uint8_t *verdicts, size_t n, ship_verdict_fn *tell);

// Writes seq into a frame's placeholder.
void ship_number(char *frame, size_t len, uint64_t seq);

#endif
