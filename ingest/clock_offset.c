#include "ingest/clock_offset.h"

#include <math.h>

static const int64_t first_us = 60 * INT64_C(1000000);   // the first window is short: an estimate soon
static const int64_t window_us = 600 * INT64_C(1000000); // long enough for a few reports of most devices
static const double step_us = 1e6;                       // the clock was set when it moved by more than this …
static const double wander_ppm = 500;                    // … beyond what a poor crystal does
static const float weight = 0.25F;                       // of the newest drift

static void close_window(struct clock_offset *clock) {
  int64_t at = clock->window;
  int64_t ahead = -clock->least;
  if (clock->measured != 0) {
    double span = (double)(at - clock->measured) / 1e6; // seconds
    double moved = (double)(ahead - clock->ahead);
    bool set = fabs(moved) > step_us + wander_ppm * span;
    clock->drift = set ? 0 : clock->drift + weight * ((float)(moved / span) - clock->drift);
  }
  clock->ahead = ahead;
  clock->measured = at;
}

bool clock_offset_observe(struct clock_offset *clock, int64_t received, int64_t time) {
  int64_t way = received - time;
  int64_t width = clock->measured == 0 ? first_us : window_us;
  if (clock->window != 0 && received < clock->window + width) {
    clock->least = way < clock->least ? way : clock->least;
    return false;
  }
  bool closed = clock->window != 0;
  if (closed) {
    close_window(clock);
  }
  clock->window = received;
  clock->least = way;
  return closed;
}
