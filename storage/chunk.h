// Chunks: reports of one device, publisher and metric set in one row of store.packed, column by column (storage/pack.h, migration
// 0011). No state; one thread each.
#ifndef VEDETTE_STORAGE_CHUNK_H
#define VEDETTE_STORAGE_CHUNK_H

#include "storage/copy.h"
#include "storage/pack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHUNK_MOST = 256 }; // reports in a chunk: more gain little, and a reader unpacks whole chunks

// A row of store.report. Times are Unix microseconds.
struct chunk_report {
  int64_t time, received, boot, sequence, batch;
  int32_t device, publisher, size;
  int16_t set, marks;
  size_t count;         // metrics of the set
  const double *values; // of each …
  const bool *nulls;    // … unless it has none
  const char **texts;   // of each, NULL for none; NULL: no texts at all
};

// Appends one chunk to a COPY of store.packed. `bits` is scratch and is used again. `count` is at least 1 and at most CHUNK_MOST;
// the reports are in order of time.
void chunk_append(struct copy *out, struct bits *bits, const struct chunk_report *const *reports, size_t count);

#endif
