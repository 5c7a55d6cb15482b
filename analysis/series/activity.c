#include "analysis/series/activity.h"

#include "analysis/series/tail.h"

#include <math.h>
#include <string.h>

enum {
  MEAN_STEPS = 2000,
  STAYS_KNOWN = 8,     // before a stay below the mean is judged
  STAY_LEAST = 20,     // steps: shorter ones are not told
  BLOCK_STEPS = 12,    // of which changes are averaged: eight blocks are eight hours
  CHANGES_KNOWN = 400, // steps before changes are judged
  TOLD_APART = 200     // steps between two tellings of them
};
static const double low_factor = 1.6;       // as long as the longest stay before
static const double smallest_change = 1e-6; // of the least before: less is no less
static const double factor_of_change = 1.5; // less than the least mean change before, or more than the most

void activity_init(struct activity *a) {
  *a = (struct activity){.least = INFINITY};
}

uint32_t activity_low_for(const struct activity *a, uint32_t step) {
  return step - a->above_at;
}

static struct activity_finding observe_level(struct activity *a, double value, uint32_t step) {
  struct activity_finding finding = {.chance = 1};
  uint32_t stay = activity_low_for(a, step);
  if (value > a->mean) {
    if (stay > 1) {
      a->stays = a->stays < UINT8_MAX ? (uint8_t)(a->stays + 1) : a->stays;
      a->longest = stay > a->longest ? stay : a->longest;
    }
    a->above_at = step;
    a->told = false;
  } else if (a->stays >= STAYS_KNOWN && stay > STAY_LEAST && stay >= low_factor * a->longest) {
    finding = (struct activity_finding){ACTIVITY_LOW, !a->told, 1};
    a->told = true;
  }
  return finding;
}

static float mean_change(const struct activity *a) {
  float sum = 0;
  for (int i = 0; i < ACTIVITY_BLOCKS; i++) {
    sum += a->blocks[i];
  }
  return sum / ACTIVITY_BLOCKS;
}

// The mean change of so many steps; as many windows were seen as fit into the time, and most of them were like the mean of the
// least and the most.
static struct activity_finding judge_changes(struct activity *a, uint32_t step) {
  struct activity_finding finding = {.chance = 1};
  const double windows = step / (double)(BLOCK_STEPS * ACTIVITY_BLOCKS);
  const double change = (double)mean_change(a);
  const double least = (double)a->least;
  const double most = (double)a->most;
  bool known = step > CHANGES_KNOWN && most > 0;
  if (known && change * factor_of_change < least) {
    double beyond = least / fmax(change, least * smallest_change) - 1;
    finding = (struct activity_finding){ACTIVITY_CALM, false, tail_chance(windows, sqrt(most / least), beyond)};
  } else if (known && change > most * factor_of_change) {
    finding.kind = ACTIVITY_BUSY;
  }
  finding.news = finding.kind != ACTIVITY_NONE && (a->told_at == 0 || step - a->told_at > TOLD_APART);
  a->told_at = finding.news ? step : a->told_at;
  a->least = fminf((float)change, a->least);
  a->most = fmaxf((float)change, a->most);
  return finding;
}

static struct activity_finding close_block(struct activity *a, uint32_t step) {
  memmove(&a->blocks[1], &a->blocks[0], (ACTIVITY_BLOCKS - 1) * sizeof a->blocks[0]);
  a->blocks[0] = a->block_count > 0 ? a->block_sum / (float)a->block_count : 0;
  a->block_steps = 0;
  a->block_count = 0;
  a->block_sum = 0;
  a->filled = a->filled < ACTIVITY_BLOCKS ? (uint8_t)(a->filled + 1) : a->filled;
  return a->filled == ACTIVITY_BLOCKS ? judge_changes(a, step) : (struct activity_finding){.chance = 1};
}

struct activity_finding activity_observe(struct activity *a, double value, double change, uint32_t step, double share,
                                         bool closed) {
  a->mean += (value - a->mean) * fmax(1.0 / (step + 1.0), share / MEAN_STEPS);
  a->block_sum += (float)fabs(change);
  a->block_count++;
  struct activity_finding finding = observe_level(a, value, step);
  if (closed && ++a->block_steps >= BLOCK_STEPS) {
    struct activity_finding changes = close_block(a, step);
    finding = changes.news || (!finding.news && changes.chance < finding.chance) ? changes : finding;
  }
  return finding;
}
