// The transaction of a batch: its row, its rows, the books, and what was gathered beside them. The loop's thread only.
#ifndef VEDETTE_INGEST_COMMIT_H
#define VEDETTE_INGEST_COMMIT_H

#include "ingest/batch.h"
#include "ingest/sequences.h"
#include "storage/intake.h"

struct commit {
  int64_t erasure; // the newest that the directory knows
  const struct intake_position *at;
  uint64_t journaled;                // records that the journal holds
  int64_t received_to, seeing_since; // Unix microseconds
  const struct sequences *sequences; // NULL: they do not go with this batch
  link_rows stored;                  // takes how far reports are stored: publisher, boot, sequence
  void *arg;
};

// Makes the script of an encoded batch. NULL when memory ran out.
struct script *commit_script(const struct commit *commit, const struct batch *batch);

#endif
