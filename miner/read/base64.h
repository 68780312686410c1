// Base64, as old feeds carry their contents.
#ifndef RTM_MINER_BASE64_H
#define RTM_MINER_BASE64_H

#include <stddef.h>

// Decodes len characters in place and returns how many bytes they gave. Characters that are none of base64's
// are passed over; it ends at the first '='.
size_t base64_decode(char *text, size_t len);

#endif
