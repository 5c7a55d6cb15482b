// Decode, validate, admit, number, make rows, encode: the work of ingest on a report besides moving bytes. Run under callgrind
// for instructions (`--toggle-collect=passes_batch`), and alone for time.
//
//   bench_passes --reports N [--batch N] [--devices N] [--samples K]
//
// Prints one line of JSON: reports, and nanoseconds a report of each step.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/options.h"
#include "tests/bench/rig.h"

struct times {
  double add, metrics, rows, encode; // seconds
};

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

bool passes_batch(struct rig *rig, struct times *times);

// One batch. Not static, so that callgrind finds it by its name.
__attribute__((noinline)) bool passes_batch(struct rig *rig, struct times *times) {
  double at[5] = {seconds_now()};
  bool ok = rig_add(rig);
  at[1] = seconds_now();
  rig_number_metrics(rig);
  at[2] = seconds_now();
  ok = ok && rig_rows(rig);
  at[3] = seconds_now();
  ok = ok && rig_encode(rig);
  at[4] = seconds_now();
  times->add += at[1] - at[0];
  times->metrics += at[2] - at[1];
  times->rows += at[3] - at[2];
  times->encode += at[4] - at[3];
  return ok;
}

int main(int argc, char **argv) {
  long reports = 0;
  long batch = 2000;
  long devices = 200;
  long samples = 8;
  const struct option_row table[] = {{"reports", NULL, &reports, NULL},
                                     {"batch", NULL, &batch, NULL},
                                     {"devices", NULL, &devices, NULL},
                                     {"samples", NULL, &samples, NULL},
                                     {NULL, NULL, NULL, NULL}};
  if (!options_take(argc, argv, table)) {
    return 2;
  }
  if (reports < 1 || batch < 1 || devices < 1 || devices > 99999 || samples > 1000) {
    fprintf(stderr, "bench_passes: --reports is needed\n");
    return 2;
  }
  struct stock_shape shape = {.count = (size_t)reports, .devices = (uint32_t)devices, .samples = (uint32_t)samples};
  struct rig rig;
  struct times times = {0};
  bool ok = rig_open(&rig, &shape, (size_t)batch);
  while (ok && rig_has_more(&rig)) {
    ok = passes_batch(&rig, &times);
  }
  double each = 1e9 / (double)reports;
  if (ok) {
    printf("{\"reports\": %ld, \"add_ns\": %.1f, \"metrics_ns\": %.1f, \"rows_ns\": %.1f, \"encode_ns\": %.1f}\n", reports,
           times.add * each, times.metrics * each, times.rows * each, times.encode * each);
  } else {
    fprintf(stderr, "bench_passes: a report was not taken, or memory ran out\n");
  }
  rig_close(&rig);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
