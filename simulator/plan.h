// Which device gets which fault: a scenario applied to a fleet.
#ifndef VEDETTE_SIMULATOR_PLAN_H
#define VEDETTE_SIMULATOR_PLAN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "simulator/fleet.h"
#include "simulator/recording.h"
#include "simulator/scenario.h"

struct assignment {
  const struct fault *fault;
  struct member *member;
  double start; // seconds on the scenario's clock, spread included
};

struct plan {
  struct assignment *items;
  size_t count;
};

struct plan_settings {
  const struct scenario *scenario;
  const struct fleet *fleet;
  const struct recordings *recordings;
  size_t samples; // metrics of a simulated device
  uint64_t seed;
};

// Chooses the devices. Named ones are taken as they are; those asked for by number or share are drawn by the seed, from devices
// that no other fault has while there are any, gateways last. NULL with a sentence in `error` that names file, line and fault.
struct plan *plan_new(const struct plan_settings *settings, char *error, size_t error_size);
void plan_free(struct plan *plan);

// Prints one line for each assignment: fault, kind, device, start and end.
void plan_print(const struct plan *plan, FILE *out);

#endif
