// The values of devices that are looked at as series: for each device and metric what was learned of it, and whether it is
// unusual now. The loop's thread only.
#ifndef VEDETTE_ANALYSIS_VALUES_H
#define VEDETTE_ANALYSIS_VALUES_H

#include "analysis/detector.h"
#include "analysis/series/series.h"

// Plain data: goes into checkpoints byte by byte. While it is unusual, `low` and `high` are what was usual before.
struct metric_value {
  struct series series;
  double low, high;
  int64_t since;  // event time at which it became unusual, microseconds; 0: it is usual
  uint8_t inside; // samples one after the other that were usual again
};

struct held_value {
  int32_t metric; // of the store; below 0: see the detector
  bool dirty;     // changed since the last checkpoint
  struct metric_value value;
};

// Of one device, in the order of the metrics.
struct value_list {
  struct held_value **list;
  uint32_t count, room;
};

enum value_turn { VALUE_AS_BEFORE, VALUE_UNUSUAL, VALUE_USUAL_AGAIN };

// The device's, made if need be. NULL: there are as many as there may be, or memory ran out.
struct held_value *values_get(struct context *context, struct device *device, int32_t metric, int counter);
// A sample: learned, and judged by the chance that one of all series that are there may have, so that no more than the configured
// number of alerts a day is false.
enum value_turn values_observe(struct context *context, struct held_value *held, double value, int64_t time,
                               struct series_finding *finding);
// What the store calls a metric; "a metric" where it is not known (yet).
const char *values_name(const struct context *context, int32_t metric);
struct value_list *values_of(struct device *device);
// Rank of its newest value among those of the devices of the same model; as rank_among_peers.
json_t *values_rank(struct context *context, const struct device *device, const struct held_value *held, const char *unit);
// From a checkpoint; one of another version is left out, and learned anew.
void values_load(struct context *context, struct device *device, int32_t metric, const uint8_t *state, size_t size);
void values_free(struct value_list *values);

#endif
