#include "common/histogram.h"

#include <inttypes.h>

// `unit` and `step` are what one unit and the first bound are in what Prometheus is told.
static void write(struct evbuffer *out, const char *name, const char *help, const struct histogram *histogram, double unit,
                  double step) {
  uint64_t below = 0;
  evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name);
  for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
    below += histogram->counts[i];
    evbuffer_add_printf(out, "%s_bucket{le=\"%.10g\"} %" PRIu64 "\n", name, (double)(UINT64_C(1) << i) * step, below);
  }
  below += histogram->counts[HISTOGRAM_BUCKETS];
  evbuffer_add_printf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.17g\n%s_count %" PRIu64 "\n", name, below, name,
                      (double)histogram->sum * unit, name, below);
}

void histogram_write_times(struct evbuffer *out, const char *name, const char *help, const struct histogram *histogram) {
  write(out, name, help, histogram, 1e-6, 1e-3);
}

void histogram_write_sizes(struct evbuffer *out, const char *name, const char *help, const struct histogram *histogram) {
  write(out, name, help, histogram, 1, 1);
}
