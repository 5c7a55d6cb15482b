// CRC-32C (Castagnoli), as RFC 3720 appendix B.4 defines it: the checksum of the journal. Reentrant.
#ifndef VEDETTE_COMMON_CRC32C_H
#define VEDETTE_COMMON_CRC32C_H

#include <stddef.h>
#include <stdint.h>

// Continues `crc` (0 to begin) over `size` bytes. Uses the processor's instruction where there is one.
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

// The portable way, to test the other against.
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif
