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

void activity_init(struct activity *s) {
  *s = (struct activity){.least = INFINITY};
}

uint32_t activity_low_for(const struct activity *s, uint32_t step) {
  return step - s->above_at;
}

static bool observe_level(struct activity *s, double value, uint32_t step) {
  uint32_t stay = activity_low_for(s, step);
  if (value > s->mean) {
    if (stay > 1) {
      s->stays = s->stays < UINT8_MAX ? (uint8_t)(s->stays + 1) : s->stays;
      s->longest = stay > s->longest ? stay : s->longest;
    }
    s->above_at = step;
    s->told = false;
    return false;
  }
  bool news = !s->told && s->stays >= STAYS_KNOWN && stay > STAY_LEAST && stay >= low_factor * s->longest;
  s->told |= news;
  return news;
}

static float mean_change(const struct activity *s) {
  float sum = 0;
  for (int i = 0; i < ACTIVITY_BLOCKS; i++) {
    sum += s->blocks[i];
  }
  return sum / ACTIVITY_BLOCKS;
}

static enum activity_kind judge_changes(struct activity *s, uint32_t step) {
  enum activity_kind kind = ACTIVITY_NONE;
  float change = mean_change(s);
  if (step > CHANGES_KNOWN && (s->told_at == 0 || step - s->told_at > TOLD_APART)) {
    kind = change * factor_of_change < s->least                 ? ACTIVITY_CALM
           : s->most > 0 && change > s->most * factor_of_change ? ACTIVITY_BUSY
                                                                : kind;
  }
  s->told_at = kind != ACTIVITY_NONE ? step : s->told_at;
  s->least = fminf(change, s->least);
  s->most = fmaxf(change, s->most);
  return kind;
}

static enum activity_kind close_block(struct activity *s, uint32_t step) {
  memmove(&s->blocks[1], &s->blocks[0], (ACTIVITY_BLOCKS - 1) * sizeof s->blocks[0]);
  s->blocks[0] = s->block_count > 0 ? s->block_sum / (float)s->block_count : 0;
  s->block_steps = 0;
  s->block_count = 0;
  s->block_sum = 0;
  s->filled = s->filled < ACTIVITY_BLOCKS ? (uint8_t)(s->filled + 1) : s->filled;
  return s->filled == ACTIVITY_BLOCKS ? judge_changes(s, step) : ACTIVITY_NONE;
}

enum activity_kind activity_observe(struct activity *s, double value, double change, uint32_t step, double share, bool closed) {
  s->mean += (value - s->mean) * fmax(1.0 / (step + 1.0), share / MEAN_STEPS);
  s->block_sum += (float)fabs(change);
  s->block_count++;
  bool low = observe_level(s, value, step);
  enum activity_kind kind = closed && ++s->block_steps >= BLOCK_STEPS ? close_block(s, step) : ACTIVITY_NONE;
  return low ? ACTIVITY_LOW : kind;
}
