// What came of a kind of devices, judged by the truth.
#ifndef VEDETTE_BENCH_WITNESS_H
#define VEDETTE_BENCH_WITNESS_H

#include "analysis/context.h"
#include "tests/bench/connectivity/habits.h"

// Cadences from the beginning of an absence to its finding.
struct delays {
  double *list;
  size_t count, room;
  uint32_t absences; // found or not
};

struct tally {
  const struct habit *habit;
  struct actor *actors; // numbers from 1
  uint32_t devices;
  double device_days; // in which they were there
  uint64_t observations, rows, late;
  uint64_t false_silent[2], false_link; // silent: of devices whose model has a cadence in the registry, and of the others
  uint64_t true_silent, true_link;
  uint64_t early;         // of those, on the first day of a device
  uint64_t right, alerts; // alerts of the kind that is wanted, and all
  uint32_t devices_right; // that raised it exactly once
  uint32_t *raised;       // by device
  struct delays deaths, unplugs;
};

bool tally_begin(struct tally *tally, const struct habit *habit, struct actor *actors, uint32_t devices);
// Takes the effects that are in `context`, and forgets them there.
void tally_take(struct tally *tally, struct context *context);
// A device's absence is over, or the run is.
void tally_absence(struct tally *tally, const struct absence *absence, int64_t end);
void tally_end(struct tally *tally);

double delays_quantile(struct delays *delays, double share); // NAN: there are none
// The most that the mean of a Poisson distribution may be of which `count` came: 95 %, one-sided, exact (Garwood 1936).
double poisson_upper(uint64_t count);
// How likely more than `count` come of a mean.
double poisson_above(double mean, uint64_t count);

#endif
