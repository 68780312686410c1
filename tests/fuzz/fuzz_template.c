// needs: miner/read proto common
// Any bytes as a template: parsed or refused with a message, and what is parsed compiles or is refused.
#include <stdint.h>
#include <stdlib.h>

#include "miner/read/read.h"
#include "proto/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_t *arena = arena_new(16 << 20);
    template_error_t error = {.text = ""};
    template_t *template = template_parse(arena, (const char *)data, size, &error);
    if (!template && !*error.text) abort();
    reader_t *reader = template ? reader_new(template, &error) : NULL;
    if (!reader && !*error.text) abort();
    reader_destroy(&reader);
    arena_destroy(&arena);
    return 0;
}
