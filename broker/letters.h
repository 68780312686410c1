// Letters: dead letters: work that was given up: tasks whose attempts are used up, sources in quarantine.
// Those of one source and error are one letter with a count. Bounded: the oldest is dropped, and counted.
#ifndef RTM_BROKER_LETTERS_H
#define RTM_BROKER_LETTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <yyjson.h>

#include "common/map.h"
#include "proto/wire.h"

enum { LETTERS_KEPT = 10000, LETTER_DETAIL = 240 };

typedef enum { LETTER_TASK, LETTER_QUARANTINE } letter_kind_t;

typedef struct letter {
    uint64_t id, source, task; // task: the latest, 0: none
    letter_kind_t kind;
    char template_name[MAX_NAME + 1], detail[LETTER_DETAIL];
    error_class_t error;
    uint64_t count;
    int64_t first, last;            // broker ms
    uint64_t place;                 // grows with each letter that is put
    struct letter *previous, *next; // by place
} letter_t;

typedef struct {
    map_t by_id, by_key;
    letter_t *oldest, *newest;
    uint64_t next_id, places;
    uint64_t dropped; // as there were too many, ever
} letters_t;

struct broker;

void letters_init(letters_t *letters);
void letters_free(letters_t *letters);
const char *letter_kind_name(letter_kind_t kind);

void letter_put(struct broker *broker, letter_kind_t kind, const char *template_name, uint64_t source,
                error_class_t error, const char *detail);
void letter_load(struct broker *broker, uint64_t id, yyjson_val *record);
void letters_start(struct broker *broker); // after the last was loaded, and all sources
letter_t *letter_find(const letters_t *letters, uint64_t id);
// The letter is done with (retried, dropped).
void letter_remove(struct broker *broker, letter_t *letter);
void letters_drop_source(struct broker *broker, uint64_t source, letter_kind_t kind);

#endif
