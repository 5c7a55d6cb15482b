// What a series costs: memory, time a sample with few series and with a million, beside a moving average with bands, which is the
// least that one can do; and what relations cost a metric. Under callgrind for instructions (`--toggle-collect=cost_series` or
// `cost_relations`), and alone for time.
//
//   bench_series_cost --series N --warm STEPS --steps N --metrics N
//
// Each step gives every series one sample, in turn, so that with many series each is read from memory. Prints one line of JSON.
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "analysis/series/relations.h"
#include "analysis/series/series.h"
#include "tests/bench/options.h"

enum { NOISE = 4096, DAY_STEPS = 288, STEP_S = 300, ROWS_WARM = 500, ROWS = 2000 };
static const int64_t second = 1000000;
static const int64_t start = INT64_C(20000) * 86400 * 1000000;

struct bands {
  double mean, variance;
  uint32_t samples, out;
};

struct cost {
  long series, steps, metrics;
  double noise[NOISE], day[DAY_STEPS];
  struct series *known;
  struct bands *bands;
  double *rows; // (ROWS_WARM + ROWS) × metrics
  uint64_t found;
};

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void make_tables(struct cost *cost) {
  uint64_t bits = 42;
  for (int i = 0; i < NOISE; i++) {
    double sum = 0;
    for (int k = 0; k < 12; k++) {
      bits = bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
      sum += (double)(bits >> 11) / 9007199254740992.0;
    }
    cost->noise[i] = sum - 6;
  }
  for (int i = 0; i < DAY_STEPS; i++) {
    cost->day[i] = 20 + 5 * sin(2 * M_PI * i / DAY_STEPS);
  }
  for (long i = 0; i < (ROWS_WARM + ROWS) * cost->metrics; i++) {
    long row = i / cost->metrics;
    cost->rows[i] = cost->noise[(row * 13) % NOISE] * (double)(1 + i % cost->metrics) + cost->noise[(i * 7) % NOISE];
  }
}

static double value_of(const struct cost *cost, long series, long step) {
  return cost->day[(step + series) % DAY_STEPS] + cost->noise[((uint64_t)series * 2654435761U + (uint64_t)step * 7) % NOISE] / 3;
}

static void give_series(struct cost *cost, long from, long steps) {
  for (long step = from; step < from + steps; step++) {
    for (long i = 0; i < cost->series; i++) {
      cost->found += series_observe(&cost->known[i], value_of(cost, i, step), start + step * STEP_S * second, 3600).score >= 0.5;
    }
  }
}

// Functions of their own and not static, so that callgrind finds them by their names.
void cost_series(struct cost *cost, long from, long steps);
__attribute__((noinline)) void cost_series(struct cost *cost, long from, long steps) {
  give_series(cost, from, steps);
}

void cost_nothing(struct cost *cost, long from, long steps);
__attribute__((noinline)) void cost_nothing(struct cost *cost, long from, long steps) {
  for (long step = from; step < from + steps; step++) {
    for (long i = 0; i < cost->series; i++) {
      cost->found += value_of(cost, i, step) > 1e9;
    }
  }
}

// Exponential mean and variance (West 1979), out of four standard deviations.
static bool is_out(struct bands *bands, double value) {
  double off = value - bands->mean;
  bool out = bands->samples > 50 && off * off > 16 * bands->variance;
  double weight = bands->samples < 100 ? 1.0 / (bands->samples + 1) : 0.01;
  bands->mean += weight * off;
  bands->variance = (1 - weight) * (bands->variance + weight * off * off);
  bands->samples++;
  bands->out += out;
  return out;
}

void cost_bands(struct cost *cost, long from, long steps);
__attribute__((noinline)) void cost_bands(struct cost *cost, long from, long steps) {
  for (long step = from; step < from + steps; step++) {
    for (long i = 0; i < cost->series; i++) {
      cost->found += is_out(&cost->bands[i], value_of(cost, i, step));
    }
  }
}

void cost_relations(struct cost *cost, struct relations *relations, long from, long rows);
__attribute__((noinline)) void cost_relations(struct cost *cost, struct relations *relations, long from, long rows) {
  for (long row = from; row < from + rows; row++) {
    cost->found += relations_observe(relations, &cost->rows[row * cost->metrics]) >= 0.5;
  }
}

// Nanoseconds a sample.
static double timed(struct cost *cost, void (*pass)(struct cost *cost, long from, long steps), long from) {
  double begun = seconds_now();
  pass(cost, from, cost->steps);
  return (seconds_now() - begun) / (double)(cost->series * cost->steps) * 1e9;
}

static double timed_relations(struct cost *cost) {
  struct relations *relations = relations_new((size_t)cost->metrics);
  if (relations == NULL) {
    return NAN;
  }
  for (long row = 0; row < ROWS_WARM; row++) {
    relations_observe(relations, &cost->rows[row * cost->metrics]);
  }
  double begun = seconds_now();
  cost_relations(cost, relations, ROWS_WARM, ROWS);
  double ns = (seconds_now() - begun) / (double)(ROWS * cost->metrics) * 1e9;
  relations_free(relations);
  return ns;
}

static bool prepare(struct cost *cost) {
  cost->known = calloc((size_t)cost->series, sizeof *cost->known);
  cost->bands = calloc((size_t)cost->series, sizeof *cost->bands);
  cost->rows = calloc((size_t)(ROWS_WARM + ROWS) * (size_t)cost->metrics, sizeof *cost->rows);
  if (cost->known == NULL || cost->bands == NULL || cost->rows == NULL) {
    return false;
  }
  make_tables(cost);
  for (long i = 0; i < cost->series; i++) {
    series_init(&cost->known[i], 0);
  }
  return true;
}

static void measure(struct cost *cost, long warm) {
  give_series(cost, 0, warm);
  cost_bands(cost, 0, warm);
  uint64_t found = cost->found;
  double series_ns = timed(cost, cost_series, warm);
  found = cost->found - found;
  double nothing_ns = timed(cost, cost_nothing, warm);
  double bands_ns = timed(cost, cost_bands, warm);
  printf("{\"series\": %ld, \"samples\": %ld, \"bytes\": %zu, \"series_ns\": %.2f, \"bands_ns\": %.2f, \"alerts\": %" PRIu64
         ", \"metrics\": %ld, \"relations_ns\": %.2f, \"relations_bytes\": %zu, \"rows\": %d}\n",
         cost->series, cost->series * cost->steps, sizeof(struct series), series_ns - nothing_ns, bands_ns - nothing_ns, found,
         cost->metrics, timed_relations(cost), relations_size((size_t)cost->metrics), ROWS);
}

int main(int argc, char **argv) {
  struct cost cost = {.series = 10000, .steps = 100, .metrics = 8};
  long warm = 400;
  const struct option_row table[] = {{"series", NULL, &cost.series, NULL},
                                     {"steps", NULL, &cost.steps, NULL},
                                     {"warm", NULL, &warm, NULL},
                                     {"metrics", NULL, &cost.metrics, NULL},
                                     {NULL, NULL, NULL, NULL}};
  bool taken = options_take(argc, argv, table);
  bool sane = cost.series > 0 && cost.series <= 4000000 && cost.steps > 0 && cost.metrics >= RELATIONS_LEAST &&
              cost.metrics <= RELATIONS_MOST;
  if (!taken || !sane) {
    fprintf(stderr, "bench_series_cost: --series 1 to 4,000,000, --steps from 1, --metrics %d to %d\n", RELATIONS_LEAST,
            RELATIONS_MOST);
    return 2;
  }
  const bool ok = prepare(&cost);
  if (ok) {
    measure(&cost, warm);
  } else {
    fprintf(stderr, "bench_series_cost: out of memory\n");
  }
  free(cost.known);
  free(cost.bands);
  free(cost.rows);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
