// One metric of one device: what is usual, and how unusual each new value is.
//
// Two views are looked at, the value and its difference from what is usual at this time of the day: how far each lies from
// anything seen lately (novelty.h). Their geometric mean, over the five last samples, is compared with that of the last 120
// steps: only what is worse than all of them is news. The more news there was, the less each counts. Beside it stands what no
// single value shows: that the series is quieter than ever (activity.h).
//
// Memory and time are counted in steps: a sample, where they come less often than every five minutes, else five minutes. So a
// series with a sample a second remembers weeks too. What does not come changes nothing: missing is not zero.
//
// No clock, no allocation, no state but its own: the same samples give the same scores. Plain data of fixed size.
#ifndef VEDETTE_ANALYSIS_SERIES_SERIES_H
#define VEDETTE_ANALYSIS_SERIES_SERIES_H

#include "analysis/series/activity.h"
#include "analysis/series/novelty.h"
#include "analysis/series/profile.h"

enum { SERIES_VERSION = 1, SERIES_VIEWS = 2, SERIES_HELD = 5, SERIES_BLOCKS = 6, SERIES_BLOCK_STEPS = 20 };

// What kind of series it is, as its samples show, or as was declared.
enum series_kind {
  SERIES_NEW,      // too few samples
  SERIES_CONSTANT, // has never changed
  SERIES_SWITCH,   // one of two values
  SERIES_SPARSE,   // zero nearly always
  SERIES_COUNTER,  // only grows, and begins at zero again: looked at is its rate, a second
  SERIES_GAUGE
};

struct series {
  uint8_t version;                       // SERIES_VERSION
  uint8_t counter;                       // 1: taken for a counter, 2: declared to be one, 3: declared to be none
  bool whole, third;                     // all values are integers; there were more than two different ones
  uint8_t behind;                        // samples one after the other that were older than the newest
  uint8_t block_steps;                   // of the present block
  uint8_t ages;                          // generations that are over
  uint8_t falls;                         // of a counter, that are no new beginning
  uint16_t generation;                   // steps of the present one
  uint16_t rises;                        // one after the other
  uint32_t began;                        // when the first sample came, seconds since 1970; 0: none came
  uint32_t samples, steps, changes;      // seen; whole steps; samples that differ from the one before
  float zeros;                           // share of the values, of the last 1,000
  float progress;                        // of the present step
  float news;                            // how much there was, halving after 2,000 steps
  float worst[SERIES_BLOCKS];            // of each of the last blocks of steps
  float held[SERIES_VIEWS][SERIES_HELD]; // how far the last samples lay from what was known
  int64_t time;                          // of the newest sample, microseconds
  double last;                           // the newest value, as it came
  double looked;                         // the newest that was looked at: of a counter its rate
  double grain;                          // the smallest change ever; INFINITY: it has never changed
  double first, other;                   // the first two different values; `other` only after a change
  struct novelty views[SERIES_VIEWS];
  struct profile profile;
  struct activity activity;
};
_Static_assert(sizeof(struct series) <= 700, "a million series take 0.7 GB");

enum series_cause { SERIES_VALUE, SERIES_TIME_OF_DAY, SERIES_LOW, SERIES_CALM, SERIES_BUSY };

// What is said of a sample. `score`: 0 nothing, 1 most; where there are few series an alert is due from 0.5 on. `chance`: that a
// sample of a series with which nothing is wrong is as unusual as this one, or more; for installations with many. The rest
// explains it and is valid with a score above 0 or a chance below 1.
struct series_finding {
  double score, chance;
  enum series_cause cause;
  double looked;            // at: the value, of a counter its rate
  struct novelty_band band; // what is usual; of SERIES_TIME_OF_DAY about now
  double steps, longest;    // SERIES_LOW: how long it has been below its mean, and how long at most before
};

// `counter`: 0 not declared, 1 declared to be a counter, -1 declared to be none.
void series_init(struct series *series, int counter);
// A sample at `time` (microseconds since 1970) in a time zone that is `zone_s` seconds east of UTC then. Samples that are not
// newer than the newest are left out; when the time has gone back for good, it is followed.
struct series_finding series_observe(struct series *series, double value, int64_t time, int32_t zone_s);
// Enough was seen for something to be said.
bool series_is_warm(const struct series *series);
// The highest score in the present block of steps (0) and in those before it, whether it was told or not.
double series_block_score(const struct series *series, int block);
enum series_kind series_kind(const struct series *series);
const char *series_kind_name(enum series_kind kind);

#endif
