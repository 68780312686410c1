// CRC-32C (Castagnoli), as in RFC 3720, appendix B.4.
#ifndef RTM_SINK_CRC32C_H
#define RTM_SINK_CRC32C_H

#include <stddef.h>
#include <stdint.h>

// The checksum of what crc is of, followed by bytes; crc is 0 at the start. Any thread, after one first call.
uint32_t crc32c(uint32_t crc, const void *bytes, size_t len);
// The same without the processor's help, for the test that holds one against the other.
uint32_t crc32c_by_tables(uint32_t crc, const void *bytes, size_t len);

#endif
