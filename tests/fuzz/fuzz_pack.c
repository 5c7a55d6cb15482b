// Packed columns: what was packed comes back to the bit; what is no column is refused and reads nothing outside.
#include "storage/pack.h"
#include "tests/fuzz/input.h"

#include <math.h>
#include <string.h>

static void there_and_back(const uint8_t *data, size_t size) {
  static struct bits bits;
  static double values[PACK_MOST], doubles[PACK_MOST];
  bool nulls[PACK_MOST], gone[PACK_MOST];
  int64_t integers[PACK_MOST];
  size_t count = size / 8 < PACK_MOST ? size / 8 : PACK_MOST;
  memcpy(values, data, count * 8);
  for (size_t i = 0; i < count; i++) {
    nulls[i] = !isfinite(values[i]); // the store has finite values only
  }
  bits_clear(&bits);
  pack_doubles(&bits, values, nulls, count);
  CHECK(!bits.broken && unpack_doubles(bits.data, bits.count, doubles, gone, count));
  for (size_t i = 0; i < count; i++) {
    CHECK(gone[i] == nulls[i] && (gone[i] || memcmp(&doubles[i], &values[i], 8) == 0));
  }
  memcpy(integers, data, count * 8);
  bits_clear(&bits);
  pack_integers(&bits, integers, count);
  CHECK(!bits.broken && unpack_integers(bits.data, bits.count, integers, count));
  CHECK(memcmp(integers, data, count * 8) == 0);
}

static void read_a_stranger(const uint8_t *data, size_t size) {
  double values[PACK_MOST];
  int64_t integers[PACK_MOST];
  bool nulls[PACK_MOST];
  if (size < 3) {
    return;
  }
  size_t count = (size_t)data[0] << 8 | data[1];
  size_t bit_count = (size - 3) * 8 - (size > 3 ? data[2] % 8 : 0);
  uint8_t *exact = malloc(size - 3); // of exactly this size: a read behind it is seen
  CHECK(exact != NULL || size == 3);
  if (size > 3) {
    memcpy(exact, data + 3, size - 3);
  }
  unpack_integers(exact, bit_count, integers, count);
  unpack_doubles(exact, bit_count, values, nulls, count);
  free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 0 && data[0] % 2 == 0) {
    there_and_back(data + 1, size - 1);
  } else if (size > 0) {
    read_a_stranger(data + 1, size - 1);
  }
  return 0;
}
