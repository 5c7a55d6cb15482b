// How long messages take on their way, and how large batches are: histograms for /metrics. The loop's thread only.
#ifndef VEDETTE_INGEST_LAG_H
#define VEDETTE_INGEST_LAG_H

#include "common/histogram.h"
#include "ingest/batch.h"

struct lag {
  // Of stored reports. The first and the last only of those whose clock is good (no mark, not historical).
  struct histogram device_received, received_committed, device_committed;
  struct histogram batch_records, transaction; // of committed batches that are not empty; and from BEGIN to the answer of COMMIT
};

// Observes a batch that was committed at `now` (wall clock) in a transaction of `transaction` microseconds. One pass over its
// messages, no clock is read.
void lag_observe(struct lag *lag, const struct batch *batch, int64_t now, int64_t transaction);

void lag_write(struct evbuffer *out, const struct lag *lag);

#endif
