// How a device's clock stands to ours: a minimum filter. The report with the shortest way of a window tells best, so the least
// difference of receipt and device time in each window is taken; the change between windows is the drift. Pure functions.
#ifndef VEDETTE_INGEST_CLOCK_OFFSET_H
#define VEDETTE_INGEST_CLOCK_OFFSET_H

#include <stdbool.h>
#include <stdint.h>

struct clock_offset {
  int64_t window;   // began, Unix microseconds; 0: nothing was seen yet
  int64_t least;    // receipt less device time in this window, microseconds
  int64_t ahead;    // the estimate: device time less ours, microseconds
  int64_t measured; // when; 0: there is none yet
  float drift;      // microseconds a second (ppm)
};

// Shows a report. True when a window ended: there is a new estimate.
bool clock_offset_observe(struct clock_offset *clock, int64_t received, int64_t time);

#endif
