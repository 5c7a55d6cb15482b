// The simulator's reader of recorded series: times never go backwards, and a cell is a finite number or missing.
#include "simulator/recording.h"
#include "tests/fuzz/input.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char error[512] = "";
  struct recording *recording = recording_load(input_file(data, size), error, sizeof error);
  if (recording == NULL) {
    CHECK(error[0] != '\0' && strlen(error) < sizeof error);
    return 0;
  }
  CHECK(recording->metric_count <= RECORDING_METRICS);
  for (size_t i = 0; i < recording->row_count; i++) {
    CHECK(i == 0 || recording->times[i - 1] <= recording->times[i]);
    for (size_t m = 0; m < recording->metric_count; m++) {
      CHECK(!isinf(recording->values[i * recording->metric_count + m]));
    }
  }
  recording_free(recording);
  return 0;
}
