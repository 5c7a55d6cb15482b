// Recorded telemetry from files, row by row, through whatever scores it, into files of scores.
//
// A file is comma-separated with a heading. Its first column may be `timestamp` (Unix seconds, or YYYY-MM-DD HH:MM:SS, taken as
// UTC); all others are metrics. An empty field is a reading that is missing. Where there is no time, rows are taken as five
// minutes apart. What is written has the columns timestamp (where there was one) and anomaly_score, a row for each row.
#ifndef VEDETTE_ANALYSIS_EVAL_REPLAY_H
#define VEDETTE_ANALYSIS_EVAL_REPLAY_H

#include <stdint.h>

#include "cli/cli.h"

// What scores rows. Files come in the order of their names; those of one folder are devices of one model.
struct replay_scorer {
  // A file of so many metrics begins. False when memory ran out.
  bool (*begin)(void *arg, const char *folder, const char *const *metrics, size_t count);
  // Of one row: values (NAN: missing), microseconds since 1970. From 0 to 1; an alert is due from 0.5 on.
  double (*row)(void *arg, const double *values, int64_t time);
  void *arg;
};

struct replay_counts {
  unsigned long files, rows, alerts; // alerts: rows with 0.5 or more
};

// Scores every *.csv below `data` (below data/data, where there is such a folder) into a file of the same name below `out`, which
// is made. Returns the exit code; what is wrong is said.
int replay_folder(struct cli *cli, const char *data, const char *out, const struct replay_scorer *scorer,
                  struct replay_counts *counts);

#endif
