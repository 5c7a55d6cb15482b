// Histograms for /metrics: fixed buckets whose bounds double, so that an observation costs a few nanoseconds. Not thread-safe.
#ifndef VEDETTE_COMMON_HISTOGRAM_H
#define VEDETTE_COMMON_HISTOGRAM_H

#include <event2/buffer.h>
#include <stdint.h>

enum {
  HISTOGRAM_BUCKETS = 24, // bounds: step × 1, 2, 4, …, 2^23 (of milliseconds: 2.3 hours); more goes to the +Inf bucket
};

struct histogram {
  uint64_t counts[HISTOGRAM_BUCKETS + 1];
  uint64_t sum; // in the unit of the values
};

// Observes a time in microseconds; the first bound is a millisecond. A negative one (clocks differ) counts as 0.
static inline void histogram_time(struct histogram *histogram, int64_t us) {
  uint64_t value = us > 0 ? (uint64_t)us : 0;
  uint64_t steps = value == 0 ? 0 : (value - 1) / 1000;
  int bucket = steps == 0 ? 0 : 64 - __builtin_clzll(steps);
  histogram->counts[bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS]++;
  histogram->sum += value;
}

// Observes a number of things; the first bound is 1.
static inline void histogram_size(struct histogram *histogram, uint64_t size) {
  int bucket = size <= 1 ? 0 : 64 - __builtin_clzll(size - 1);
  histogram->counts[bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS]++;
  histogram->sum += size;
}

// Write a histogram of times (in seconds) or of sizes in Prometheus' text format, with its HELP and TYPE lines.
void histogram_write_times(struct evbuffer *out, const char *name, const char *help, const struct histogram *histogram);
void histogram_write_sizes(struct evbuffer *out, const char *name, const char *help, const struct histogram *histogram);

#endif
