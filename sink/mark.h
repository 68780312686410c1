// Mark: how the sink knows its database again. Each commit writes its number into the database's table
// `marks`, and after it into a file in the spool's folder (without one it is only remembered). A database
// whose mark is behind was restored to an earlier state: what was committed since is gone.
#ifndef RTM_SINK_MARK_H
#define RTM_SINK_MARK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t sink;   // random, for good if there is a file
    uint64_t number; // of the latest commit that this sink knows to be durable; 0: none
    int fd;          // of the file, -1: none
} mark_t;

// folder: NULL: no file. A file that cannot be read or written is reported and done without.
void mark_open(mark_t *mark, const char *folder);
void mark_close(mark_t *mark);
// The commit with this number is durable.
void mark_set(mark_t *mark, uint64_t number);

#endif
