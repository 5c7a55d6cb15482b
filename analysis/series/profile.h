// What a series usually is at this time of the day: a mean for each half an hour.
#ifndef VEDETTE_ANALYSIS_SERIES_PROFILE_H
#define VEDETTE_ANALYSIS_SERIES_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

enum { PROFILE_SLOTS = 48 };

struct profile {
  double origin; // means are relative to it, so that floats are fine enough
  float mean[PROFILE_SLOTS];
  uint8_t seen[PROFILE_SLOTS]; // steps, up to as many as count
};

int profile_slot(int64_t local_s); // of local time, seconds since 1970
// Of that slot; `otherwise` when nothing was seen in it.
double profile_usual(const struct profile *profile, int slot, double otherwise);
// `share`: of a step, that this sample stands for; `closed`: with it a step is over.
void profile_learn(struct profile *profile, int slot, double value, double share, bool closed);

#endif
