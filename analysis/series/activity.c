#include "analysis/series/activity.h"

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
static const float factor_of_change = 1.5F; // less than the least mean change before, or more than the most

void activity_init(struct activity *a) {
  *a = (struct activity){.least = INFINITY};
}

uint32_t activity_low_for(const struct activity *a, uint32_t step) {
  return step - a->above_at;
}

static bool observe_level(struct activity *a, double value, uint32_t step) {
  uint32_t stay = activity_low_for(a, step);
  if (value > a->mean) {
    if (stay > 1) {
      a->stays = a->stays < UINT8_MAX ? (uint8_t)(a->stays + 1) : a->stays;
      a->longest = stay > a->longest ? stay : a->longest;
    }
    a->above_at = step;
    a->told = false;
    return false;
  }
  bool news = !a->told && a->stays >= STAYS_KNOWN && stay > STAY_LEAST && stay >= low_factor * a->longest;
  a->told |= news;
  return news;
}

static float mean_change(const struct activity *a) {
  float sum = 0;
  for (int i = 0; i < ACTIVITY_BLOCKS; i++) {
    sum += a->blocks[i];
  }
  return sum / ACTIVITY_BLOCKS;
}

static enum activity_kind judge_changes(struct activity *a, uint32_t step) {
  enum activity_kind kind = ACTIVITY_NONE;
  float change = mean_change(a);
  if (step > CHANGES_KNOWN && (a->told_at == 0 || step - a->told_at > TOLD_APART)) {
    kind = change * factor_of_change < a->least                 ? ACTIVITY_CALM
           : a->most > 0 && change > a->most * factor_of_change ? ACTIVITY_BUSY
                                                                : kind;
  }
  a->told_at = kind != ACTIVITY_NONE ? step : a->told_at;
  a->least = fminf(change, a->least);
  a->most = fmaxf(change, a->most);
  return kind;
}

static enum activity_kind close_block(struct activity *a, uint32_t step) {
  memmove(&a->blocks[1], &a->blocks[0], (ACTIVITY_BLOCKS - 1) * sizeof a->blocks[0]);
  a->blocks[0] = a->block_count > 0 ? a->block_sum / (float)a->block_count : 0;
  a->block_steps = 0;
  a->block_count = 0;
  a->block_sum = 0;
  a->filled = a->filled < ACTIVITY_BLOCKS ? (uint8_t)(a->filled + 1) : a->filled;
  return a->filled == ACTIVITY_BLOCKS ? judge_changes(a, step) : ACTIVITY_NONE;
}

enum activity_kind activity_observe(struct activity *a, double value, double change, uint32_t step, double share, bool closed) {
  a->mean += (value - a->mean) * fmax(1.0 / (step + 1.0), share / MEAN_STEPS);
  a->block_sum += (float)fabs(change);
  a->block_count++;
  bool low = observe_level(a, value, step);
  enum activity_kind kind = closed && ++a->block_steps >= BLOCK_STEPS ? close_block(a, step) : ACTIVITY_NONE;
  return low ? ACTIVITY_LOW : kind;
}
