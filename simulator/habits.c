// A device's clock, pace, radio and reconnecting: what is usual, and what faults make of it.
#include <math.h>

#include "simulator/sim.h"

int64_t device_clock(const struct device *device) {
  const struct fault_run *run = fault_of(device, FAULT_CLOCK);
  int64_t now = sim_time();
  if (run == NULL) {
    return now;
  }
  const struct fault_parameters *with = &run->fault->with;
  if (with->unset) {
    return now > device->booted ? now - device->booted : 1;
  }
  double drifted = with->drift / 1e6 * (double)(now - run->started); // microseconds
  return now + (int64_t)llround(with->offset * 1e6 + drifted);
}

double habits_interval(const struct device *device) {
  const struct options *options = device->sim->options;
  const struct fault_run *flood = fault_of(device, FAULT_FLOOD);
  const struct fault_run *pace = fault_of(device, FAULT_PACE);
  bool load = options->rate > 0;
  double usual = load ? (double)options->devices / options->rate : options->cadence;
  if (pace != NULL) {
    usual /= pace->fault->with.factor;
  }
  if (flood == NULL) {
    return load && pace == NULL ? -1 : usual;
  }
  return flood->fault->with.rate > 0 ? 1 / flood->fault->with.rate : usual / flood->fault->with.factor;
}

// Doubles from the least to the most wait; the jitter keeps a fleet from coming back all at once.
double habits_retry_wait(struct device *device) {
  const struct options *options = device->sim->options;
  const struct fault_run *rejoin = fault_of(device, FAULT_REJOIN);
  double jitter = random_between(&device->sim->random, 0.5, 1.5);
  if (rejoin != NULL) {
    return rejoin->fault->with.after * (rejoin->fault->with.jitter ? jitter : 1);
  }
  double wait = device->backoff * jitter;
  device->backoff = fmin(2 * device->backoff, options->backoff_most);
  return fmin(wait, options->backoff_most);
}

// Two states (Gilbert 1960): a burst ends with probability 1 / length after each lost report, and begins as often as makes the
// share come out.
bool habits_lose_report(struct device *device) {
  struct fault_run *run = fault_of(device, FAULT_LOSS);
  if (run == NULL) {
    return false;
  }
  const struct fault_parameters *with = &run->fault->with;
  double chance = random_unit(random_next(&run->random));
  run->losing = run->losing ? chance >= 1 / with->burst : chance < with->share / (1 - with->share) / with->burst;
  return run->losing;
}
