// A publisher's own numbering: which numbers of the present boot have come, and how many are missing. What a publisher sends as
// reports is numbered 1, 2, 3, … within a boot, so a number that never comes is a report that was lost on its way.
//
// The last 64 numbers are known one by one; an older one that comes late is taken for one that was missing, since analysis sees
// no duplicate. A new boot starts anew, and so does a step of more than a million: nobody loses so many. Two boots that are sent
// in turns start anew with each turn: no hole is found then, and none is made up.
//
// Plain data of fixed size, part of a detector's state.
#ifndef VEDETTE_ANALYSIS_DETECTORS_NUMBERING_H
#define VEDETTE_ANALYSIS_DETECTORS_NUMBERING_H

#include "analysis/detector.h"

struct numbering {
  uint64_t recent;  // bit n: `highest` - n has come, or is from before we looked
  uint32_t boot;    // a hash of the present one; 0: none yet
  uint32_t highest; // the lowest 32 bits
};

// What a number changed: `sent` more that were sent, `holes` more (or fewer) that are missing.
struct numbering_step {
  int32_t sent, holes;
};

// Takes the number of a report, or of a dead letter that has one. Only a report that is not historical begins a boot.
struct numbering_step numbering_take(struct numbering *numbering, const struct observation *observation);

// Of a boot or another large number, never 0.
uint32_t numbering_hash(int64_t number);

#endif
