// When a series is quieter or busier than it ever was: it stays below its mean for longer than ever before, or changes less, or
// more, than ever before. Each is told once, and only by a factor. What stops is seen by no look at single values.
//
// Time is counted in steps (see series.h). Plain data that may be copied byte by byte; constant time, nothing is allocated.
#ifndef VEDETTE_ANALYSIS_SERIES_ACTIVITY_H
#define VEDETTE_ANALYSIS_SERIES_ACTIVITY_H

#include <stdbool.h>
#include <stdint.h>

enum { ACTIVITY_BLOCKS = 8 };

struct activity {
  double mean;                   // of the last 2,000 steps
  uint32_t above_at;             // step at which it was last above its mean
  uint32_t longest;              // stay below it, steps
  uint8_t stays;                 // below it, as far as counted
  bool told;                     // the present stay
  uint8_t block_steps;           // of the present block …
  uint8_t filled;                // blocks, as many as there are
  uint32_t block_count;          // … changes in the present one …
  float block_sum;               // … and their sum
  float blocks[ACTIVITY_BLOCKS]; // mean change of each of the last blocks
  float least, most;             // mean change of all of them together, ever; INFINITY and 0 before there was one
  uint32_t told_at;              // step at which one of the two was told last; 0: never
};

enum activity_kind { ACTIVITY_NONE, ACTIVITY_LOW, ACTIVITY_CALM, ACTIVITY_BUSY };

struct activity_finding {
  enum activity_kind kind;
  bool news;     // it is told now
  double chance; // of it, at each step (tail.h); 1 where none can be stated: how long a series stays low has any tail, and what
                 // is busy is a count
};

void activity_init(struct activity *activity);
// A value, and how much it differs from the one before. `step`: steps since the series began, of which `share` belongs to this
// sample; `closed`: a step is over. What is told is told at one sample; its chance is given for as long as it lasts.
struct activity_finding activity_observe(struct activity *activity, double value, double change, uint32_t step, double share,
                                         bool closed);
// How long it has been below its mean, and how long it usually is at most; steps.
uint32_t activity_low_for(const struct activity *activity, uint32_t step);

#endif
