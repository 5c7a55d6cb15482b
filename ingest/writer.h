// From the journal to the store: takes records in order, makes batches of them, commits each exactly once. The loop's thread
// only.
#ifndef VEDETTE_INGEST_WRITER_H
#define VEDETTE_INGEST_WRITER_H

#include "common/config.h"
#include "common/loop.h"
#include "ingest/erasing.h"
#include "ingest/journal.h"
#include "ingest/lag.h"
#include "ingest/mapping.h"
#include "ingest/notices.h"
#include "ingest/tombstones.h"

#include <stdbool.h>

struct writer;

struct writer_events {
  // Since when the broker session has been without a break (Unix microseconds); `received_to` while there is none.
  int64_t (*seeing_since)(int64_t received_to, void *arg);
  // Publishes a notice towards a device; false: not now.
  bool (*notice)(const char *topic, const void *payload, size_t size, void *arg);
  void (*drained)(void *arg); // after writer_drain
  struct erasing_broker broker;
  void *arg;
};

struct writer_stats {
  uint64_t batches, reports, connectivity, duplicates, rejected, shed; // committed by this process
  uint64_t rejected_by[16];                                            // by vedette.v1.Reason
  uint64_t replayed;                                                   // dead letters handed back to the journal
  uint64_t retries;                                                    // batches that were tried again
  struct notice_stats notices;
  bool connected;
  uint64_t next_record; // first that is not committed
  // The batch that is being filled or committed; memory: with the one read ahead.
  size_t batch_records, batch_memory, batch_memory_most; // bytes; the last: most at a commit
  uint64_t crowded; // batches that ended early: no memory for another message, or too many minutes spanned
};

struct writer *writer_new(struct loop *loop, const struct config *config, struct mappings *mappings, struct journal *journal,
                          struct tombstones *tombstones, const struct writer_events *events);
void writer_free(struct writer *writer); // accepts NULL

// Records have become readable.
void writer_wake(struct writer *writer);
// Commits what the journal holds, then calls `drained` (after 5 s at the latest: the rest stays in the journal).
void writer_drain(struct writer *writer);

struct writer_stats writer_stats(const struct writer *writer);
const struct lag *writer_lag(const struct writer *writer);

#endif
