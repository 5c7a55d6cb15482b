// The simulator's scenario reader: every file is either a scenario or one clear line.
#include "simulator/scenario.h"
#include "tests/fuzz/input.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char error[512] = "";
  struct scenario *scenario = scenario_load(input_file(data, size), error, sizeof error);
  if (scenario == NULL) {
    CHECK(error[0] != '\0' && strlen(error) < sizeof error);
    return 0;
  }
  for (size_t i = 0; i < scenario->fault_count; i++) {
    const struct fault *fault = &scenario->faults[i];
    CHECK(fault->name != NULL && fault->kind < FAULT_KINDS && fault_kind_name(fault->kind) != NULL);
    CHECK(isfinite(fault->start) && isfinite(fault->duration) && isfinite(fault->spread));
    const struct fault_parameters *with = &fault->with;
    CHECK(fault->kind != FAULT_UNPLUG || !with->nights || (fault->duration >= 0 && fault->duration < with->period));
    CHECK(fault->kind != FAULT_LOSS || with->share / (1 - with->share) <= with->burst * (1 + 1e-9));
    CHECK(fault->kind != FAULT_FLAP || with->down < with->interval);
    CHECK(fault->expect == NULL || fault->expect[0] != '\0');
  }
  scenario_free(scenario);
  return 0;
}
