// Runs a simulation from start to end.
#ifndef VEDETTE_SIMULATOR_RUN_H
#define VEDETTE_SIMULATOR_RUN_H

#include "simulator/fleet.h"
#include "simulator/options.h"
#include "simulator/plan.h"
#include "simulator/recording.h"
#include "simulator/scenario.h"

struct run_settings {
  const struct options *options;
  const struct fleet *fleet;
  const struct recordings *recordings;
  const struct scenario *scenario; // NULL: none
  const struct plan *plan;         // NULL: none
};

// Returns the exit code: 0 fine, 1 failed, 2 wrong configuration (after one clear line).
int run_simulation(const struct run_settings *settings);

#endif
