#include "analysis/eval/quality.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "analysis/eval/replay.h"
#include "analysis/series/relations.h"
#include "analysis/series/series.h"
#include "cli/output.h"

// One file is a device.
struct device {
  struct series *series;       // one for each metric
  struct relations *relations; // NULL: too few metrics, or too many
  size_t count;
};

static bool has_relations(size_t count) {
  return count >= RELATIONS_LEAST && count <= RELATIONS_MOST;
}

// Among many metrics each has to be so much the more unusual, for the device to raise as few alerts as one with a single metric.
static double shared_score(double score, size_t count) {
  return score / (score + (1 - score) * (double)count);
}

static bool begin(void *arg, const char *folder, const char *const *metrics, size_t count) {
  struct device *device = arg;
  (void)folder;
  (void)metrics;
  struct series *series = realloc(device->series, (count + 1) * sizeof *series);
  if (series == NULL) {
    return false;
  }
  device->series = series;
  device->count = count;
  relations_free(device->relations);
  device->relations = has_relations(count) ? relations_new(count) : NULL;
  if (has_relations(count) && device->relations == NULL) {
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    series_init(&device->series[i], 0);
  }
  return true;
}

// The score with which an alert opens: one row for what is one incident. That of the relations lasts as long as they are wrong.
static double row(void *arg, const double *values, int64_t time) {
  struct device *device = arg;
  double score = 0;
  for (size_t i = 0; i < device->count; i++) {
    if (!isnan(values[i])) {
      score = fmax(score, series_observe(&device->series[i], values[i], time, 0).score);
    }
  }
  score = device->count > 1 ? shared_score(score, device->count) : score;
  return device->relations != NULL ? fmax(score, relations_observe(device->relations, values)) : score;
}

static int tell(struct cli *cli, const struct replay_counts *counts, double seconds) {
  if (cli->json) {
    return output_json(cli, json_pack("{s:I, s:I, s:I, s:f}", "files", (json_int_t)counts->files, "rows",
                                      (json_int_t)counts->rows, "alerts", (json_int_t)counts->alerts, "seconds", seconds));
  }
  printf("%lu files, %lu rows: an alert at %lu of them. %.2f s.\n", counts->files, counts->rows, counts->alerts, seconds);
  return CLI_FINE;
}

static int evaluate(struct cli *cli, const struct command *command, int argc, char **argv) {
  const char *data = NULL;
  const char *out = NULL;
  const struct option_spec specs[] = {{OPTION_TEXT, "data", &data, "DIR", "recorded telemetry, comma-separated", 0, 0},
                                      {OPTION_TEXT, "out", &out, "DIR", "where the scores go; it is made", 0, 0},
                                      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0) {
    return cli->code;
  }
  if (data == NULL || out == NULL) {
    return cli_fail(cli, CLI_WRONG, "--data DIR says what to read, --out DIR where the scores go");
  }
  struct timespec begun;
  struct timespec ended;
  struct device device = {0};
  struct replay_counts counts = {0};
  (void)clock_gettime(CLOCK_MONOTONIC, &begun);
  int code = replay_folder(cli, data, out, &(struct replay_scorer){begin, row, &device}, &counts);
  (void)clock_gettime(CLOCK_MONOTONIC, &ended);
  free(device.series);
  relations_free(device.relations);
  double seconds = (double)(ended.tv_sec - begun.tv_sec) + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9;
  return code == CLI_FINE ? tell(cli, &counts, seconds) : code;
}

int quality_nab(struct cli *cli, const struct command *command, int argc, char **argv) {
  return evaluate(cli, command, argc, argv);
}

int quality_intervals(struct cli *cli, const struct command *command, int argc, char **argv) {
  return evaluate(cli, command, argc, argv);
}
