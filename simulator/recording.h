// Recorded series: CSV files with a header `timestamp,metric1[,metric2…]`, one file a device.
#ifndef VEDETTE_SIMULATOR_RECORDING_H
#define VEDETTE_SIMULATOR_RECORDING_H

#include <stddef.h>
#include <stdint.h>

enum { RECORDING_METRICS = 1024, RECORDING_BYTES_MAX = 256 * 1024 * 1024, RECORDING_FILES_MAX = 4000 };

// One file in memory. Read only once made.
struct recording {
  char *path;
  char *credential; // set by recordings_find
  char **metrics;   // sanitised, unique
  size_t metric_count;
  size_t row_count;
  int64_t *times; // microseconds since 1970, in the order of the file (never backwards)
  double *values; // row_count × metric_count; NaN: missing
};

// Reads one file. NULL with one clear sentence in `error`, which names file, line and column.
struct recording *recording_load(const char *path, char *error, size_t error_size);
void recording_free(struct recording *recording);

// Reads a time cell: Unix seconds (fractions allowed) or `YYYY-MM-DD HH:MM:SS` (UTC; `T` and a final `Z` are accepted, fractions
// too). Returns 0 and the microseconds, or -1.
int recording_time(const char *text, int64_t *out);

// All recordings below a folder, in the order of their paths.
struct recordings {
  struct recording **items;
  size_t count;
};

// Reads every *.csv below `folder` and names the devices `<prefix><file stem>`; files with the same stem are told apart by the
// folders above them. Returns 0, or -1 with a sentence in `error`.
int recordings_find(const char *folder, const char *prefix, struct recordings *out, char *error, size_t error_size);
void recordings_free(struct recordings *recordings);

#endif
