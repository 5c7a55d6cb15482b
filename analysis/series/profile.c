#include "analysis/series/profile.h"

#include <math.h>

enum { DAY_S = 86400, SLOT_S = DAY_S / PROFILE_SLOTS, STEPS_COUNTED = 100 };

int profile_slot(int64_t local_s) {
  int64_t of_day = local_s % DAY_S;
  return (int)((of_day < 0 ? of_day + DAY_S : of_day) / SLOT_S);
}

double profile_usual(const struct profile *p, int slot, double otherwise) {
  return p->seen[slot] == 0 ? otherwise : p->origin + (double)p->mean[slot];
}

void profile_learn(struct profile *p, int slot, double value, double share, bool closed) {
  float off = (float)(value - p->origin);
  uint8_t *seen = &p->seen[slot];
  if (*seen == 0) {
    p->mean[slot] = off;
  } else {
    p->mean[slot] += (off - p->mean[slot]) * (float)(share / (*seen + 1));
  }
  *seen = (closed || *seen == 0) && *seen < STEPS_COUNTED ? (uint8_t)(*seen + 1) : *seen;
}
