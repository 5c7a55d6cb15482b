// What a batch row says of its batch as a whole: the days it touches and the ledger's exceptions. The loop's thread only.
#ifndef VEDETTE_INGEST_SUMMARY_H
#define VEDETTE_INGEST_SUMMARY_H

#include "ingest/batch.h"
#include "storage/list.h"

#include <stdbool.h>

// The days; then, one entry for each device, minute of receipt, term and reason that is not `stored`: the ledger's exceptions.
struct summary {
  struct list *days, *devices, *minutes, *terms, *reasons, *counts;
  // The books, one entry for each minute.
  struct list *book_minutes, *received, *stored, *duplicate, *rejected, *shed, *letters;
  // Devices with messages that neither a row nor a dead letter tells of: one entry for each device and reason.
  struct list *unkept_devices, *unkept_reasons, *unkept_counts;
};

// Fills the summary. False when memory ran out; free it in any case.
bool summary_make(struct summary *summary, const struct batch *batch);
void summary_free(struct summary *summary);

#endif
