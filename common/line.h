// Line: a text from elsewhere as one line that can be logged, stored and printed: valid UTF-8 without control
// characters.
#ifndef RTM_COMMON_LINE_H
#define RTM_COMMON_LINE_H

#include <stddef.h>

// Copies text (NULL: none) into out of size bytes, cut between characters if it is too long. Runs of white
// space and control characters become one space, none at the ends; bytes that are not UTF-8 become '?'.
// Returns out.
char *line_copy(char *out, size_t size, const char *text);

#endif
