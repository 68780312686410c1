// Memory: what is remembered of a source from poll to poll, wherever the next one runs: what its list is
// usually like, and which items it began with. As text it is part of the source's soft state (PROTOCOL.md,
// `memory`), which the broker keeps and hands on.
#ifndef RTM_MINER_MEMORY_H
#define RTM_MINER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"

enum {
    MAX_ANCHORS = 32,
    PAGE_ANCHORS = 16, // enough for a list of one page; there are very many of these
    FILL_UNKNOWN = 255,
};

typedef struct {
    uint32_t items;            // that the list usually has; 0: never seen, or always empty
    uint32_t pages;            // that the next poll is to read at least: details of items on them are missing
    uint32_t n_fills;          // fields of the template, in its order
    uint8_t fills[MAX_FIELDS]; // percentage of the items that had the field, or FILL_UNKNOWN
    uint32_t details;          // percentage of detail pages that had what they should have; 0: unknown
    uint32_t bare;             // of the latest of them, in a row, that had not
    bool found;                // what is fetched is a feed that the page at the source's URL names
    uint8_t told;              // the continuity that the sink knows
    uint32_t n_anchors;
    uint16_t anchors[MAX_ANCHORS]; // of the list's first items, in its order
} memory_t;

// What text says; what it does not say, or wrongly, is as if nothing was ever seen. text may be NULL.
void memory_parse(memory_t *memory, const char *text);
// Writes at most MAX_MEMORY bytes and a NUL.
void memory_write(const memory_t *memory, char out[MAX_MEMORY + 1]);

// A key's anchor; and whether it is among memory's.
uint16_t memory_anchor(uint64_t key_hash);
bool memory_has_anchor(const memory_t *memory, uint64_t key_hash);

#endif
