// What the fuzzers share: checks that hold in every build, and inputs as files for readers that want a path.
#ifndef VEDETTE_TESTS_FUZZ_INPUT_H
#define VEDETTE_TESTS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// libFuzzer calls this with each input; 0 always.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A finding unless `condition` holds.
#define CHECK(condition)                                                                                                         \
  do {                                                                                                                           \
    if (!(condition)) {                                                                                                          \
      abort();                                                                                                                   \
    }                                                                                                                            \
  } while (0)

// The path of a file in memory that holds the input; the next call writes over it.
const char *input_file(const uint8_t *data, size_t size);

// Reads every byte, so that the sanitizers see one that is out of bounds.
void input_touch(const void *data, size_t size);

#endif
