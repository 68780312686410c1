// Shares: whose turn it is among classes of work that share turns by weight: low 1, normal 2, high 4,
// critical 8 of 15, and what a class does not need goes to the others. Self-clocked fair queueing (Golestani,
// 1994) with turns of one size: a class's next turn is marked with its last one's mark plus its stride, the
// least mark goes first, and a class that had nothing to do takes up at the mark of the turn that was given
// last.
#ifndef RTM_COMMON_SHARES_H
#define RTM_COMMON_SHARES_H

#include <stdint.h>

enum { SHARE_CLASSES = 4 };

// Zeroed: nobody had a turn yet.
typedef struct {
    uint64_t marks[SHARE_CLASSES]; // of each class's last turn
    uint64_t last;                 // of the last turn of all
} shares_t;

// class has something to do, and had nothing before.
void shares_join(shares_t *shares, int class);
// The class whose turn it is; wants: a bit for each that has something to do. -1: none has.
int shares_next(const shares_t *shares, unsigned wants);
// It takes its turn.
void shares_take(shares_t *shares, int class);

#endif
