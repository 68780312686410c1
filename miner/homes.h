// Homes: which sink a source's items go to. Each miner reckons it for itself by rendezvous hashing: the sink
// whose hash with the source is the highest of those that are there. So all miners agree, and when a sink
// goes or comes only its own sources move.
#ifndef RTM_MINER_HOMES_H
#define RTM_MINER_HOMES_H

#include <stdatomic.h>
#include <stdint.h>

enum { MAX_PEERS = 8 }; // endpoints of one kind

// Written by the link's thread, read by the workers.
typedef struct {
    unsigned n;
    uint64_t salts[MAX_PEERS]; // of each sink's endpoint
    atomic_uint there;         // bit i: sink i is; none: all count
} homes_t;

// Adds a sink; the caller keeps to MAX_PEERS.
void homes_add(homes_t *homes, const char *endpoint);
void homes_set(homes_t *homes, unsigned sink, int there);
unsigned homes_of(const homes_t *homes, uint64_t source);

#endif
