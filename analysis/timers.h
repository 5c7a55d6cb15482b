// When devices are to be looked at next: a heap by event time, so that a device that is not due costs nothing. The loop's thread
// only.
#ifndef VEDETTE_ANALYSIS_TIMERS_H
#define VEDETTE_ANALYSIS_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Part of what is awaited. `slot` is its place in the heap from 1; 0: it is not awaited.
struct timer {
  int64_t due; // event time, Unix microseconds
  uint32_t slot;
};

struct timers {
  struct timer **heap; // heap[0] is the first
  size_t count, room;
};

// Has it wake at `at`, or sooner where it was to be sooner. False when memory ran out.
bool timers_arm(struct timers *timers, struct timer *timer, int64_t at);
void timers_disarm(struct timers *timers, struct timer *timer);
// The first that is due at `now`, which is awaited no longer; NULL: none.
struct timer *timers_next(struct timers *timers, int64_t now);
void timers_free(struct timers *timers); // the timers are the caller's

#endif
