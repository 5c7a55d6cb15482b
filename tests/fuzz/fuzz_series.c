// Samples of any values at any times: scores stay scores, nothing overflows, and the same input gives the same scores.
#include "analysis/series/relations.h"
#include "analysis/series/series.h"
#include "tests/fuzz/input.h"

#include <math.h>
#include <string.h>

enum { METRICS = 4 };

static void one_series(const uint8_t *data, size_t size) {
  struct series series[2];
  int64_t time = 0;
  if (size < 1) {
    return;
  }
  series_init(&series[0], data[0] % 3 - 1);
  series_init(&series[1], data[0] % 3 - 1);
  for (size_t at = 1; at + 12 <= size; at += 12) {
    double value;
    int32_t gap;
    memcpy(&value, data + at, 8);
    memcpy(&gap, data + at + 8, 4);
    time += (int64_t)gap * 1000;
    struct series_finding finding = series_observe(&series[0], value, time, gap % 50400);
    CHECK(finding.score >= 0 && finding.score <= 1);
    CHECK(finding.score == series_observe(&series[1], value, time, gap % 50400).score);
    CHECK(isfinite(series[0].looked) && isfinite(series[0].news) && series[0].progress <= 1);
  }
  CHECK(series[0].samples == series[1].samples && series[0].views[0].recent[0][0] == series[1].views[0].recent[0][0]);
}

static void many_metrics(const uint8_t *data, size_t size) {
  double row[METRICS];
  double shares[METRICS];
  struct relations *relations = relations_new(METRICS);
  CHECK(relations != NULL);
  for (size_t at = 0; at + sizeof row <= size; at += sizeof row) {
    memcpy(row, data + at, sizeof row);
    double score = relations_observe(relations, row);
    CHECK(score >= 0 && score <= 1);
    relations_explain(relations, shares);
    for (int i = 0; i < METRICS; i++) {
      CHECK(isfinite(shares[i]));
    }
  }
  relations_free(relations);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 0 && data[0] % 2 == 0) {
    one_series(data + 1, size - 1);
  } else if (size > 0) {
    many_metrics(data + 1, size - 1);
  }
  return 0;
}
