#include "common/crc32c.h"

#include <string.h>

enum { POLYNOMIAL = (int)0x82F63B78 }; // reversed 0x1EDC6F41

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size) {
  const unsigned char *byte = data;
  crc = ~crc;
  while (size-- > 0) {
    crc ^= *byte++;
    for (int bit = 0; bit < 8; bit++) {
      crc = (crc >> 1) ^ ((uint32_t)POLYNOMIAL & (0U - (crc & 1U)));
    }
  }
  return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const void *data, size_t size) {
  const unsigned char *byte = data;
  uint64_t state = (uint32_t)~crc;
  for (; size >= 8; size -= 8, byte += 8) {
    uint64_t word;
    memcpy(&word, byte, 8);
    state = __builtin_ia32_crc32di(state, word);
  }
  while (size-- > 0) {
    state = __builtin_ia32_crc32qi((uint32_t)state, *byte++);
  }
  return ~(uint32_t)state;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) {
    return crc32c_sse42(crc, data, size);
  }
#endif
  return crc32c_portable(crc, data, size);
}
