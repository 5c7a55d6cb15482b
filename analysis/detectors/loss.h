// What is kept of a publisher's losses; completeness reads how many numbers are missing.
#ifndef VEDETTE_ANALYSIS_DETECTORS_LOSS_H
#define VEDETTE_ANALYSIS_DETECTORS_LOSS_H

#include "analysis/detectors/numbering.h"

struct loss {
  struct numbering numbering;
  uint32_t holes;   // all that are missing, counted on and on; differences tell
  uint32_t began;   // the window, seconds since 1970; 0: none is open
  int32_t lost;     // in the window; below 0: received, and the hole that it makes in the numbering was not seen yet
  uint32_t sent;    // as above, those that were lost too
  float usual;      // share that is lost
  uint16_t gross_s; // into the window, when so many were missing that its end is not awaited; 0: they are not
  int8_t row;       // windows in a row: with too many lost, or, below 0, without
  uint8_t windows;  // learned from, up to a day's
};
_Static_assert(sizeof(struct loss) <= 40, "a publisher's losses");

#endif
