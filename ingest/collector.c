#include "ingest/collector.h"

#include <stdlib.h>

enum { AHEAD_RECORDS = 64 }; // a step of reading ahead, about 0.1 ms: the connection to the store has to be fed in between

struct collector {
  struct journal *journal;
  struct directory *directory;
  struct batch batches[2];
  struct batch *work, *ahead;
  size_t room; // records that a batch may have …
  size_t most; // … and those that it may have now: halved while a row is hunted that the store refuses
  uint64_t crowded;
};

struct collector *collector_new(struct journal *journal, struct directory *directory, size_t most, struct decoder *decoder) {
  struct collector *collector = calloc(1, sizeof *collector);
  if (collector == NULL) {
    return NULL;
  }
  collector->journal = journal;
  collector->directory = directory;
  collector->room = collector->most = most;
  collector->work = &collector->batches[0];
  collector->ahead = &collector->batches[1];
  for (size_t i = 0; i < 2; i++) {
    if (!batch_init(&collector->batches[i], most)) {
      collector_free(collector);
      return NULL;
    }
    batch_add_decoder(&collector->batches[i], decoder);
  }
  return collector;
}

void collector_free(struct collector *collector) {
  if (collector != NULL) {
    batch_destroy(&collector->batches[0]);
    batch_destroy(&collector->batches[1]);
    free(collector);
  }
}

void collector_bury(struct collector *collector, struct tombstones *tombstones) {
  for (size_t i = 0; i < 2; i++) {
    collector->batches[i].tombstones = tombstones;
  }
}

void collector_allow(struct collector *collector, struct allowance device, struct allowance gateway) {
  for (size_t i = 0; i < 2; i++) {
    collector->batches[i].device = device;
    collector->batches[i].gateway = gateway;
  }
}

struct batch *collector_batch(struct collector *collector) {
  return collector->work;
}

void collector_start(struct collector *collector, uint64_t record) {
  collector->most = collector->room;
  for (size_t i = 0; i < 2; i++) {
    batch_reset(&collector->batches[i], record);
  }
}

// Takes up to `most` records in all. True if it stopped for that.
static bool take(struct collector *collector, struct batch *batch, size_t most) {
  struct record record;
  while (batch->count < most && journal_next(collector->journal, &record)) {
    if (!batch_add(batch, collector->directory, &record)) {
      journal_seek(collector->journal, record.number);
      collector->crowded++;
      return false;
    }
  }
  return batch->count == most;
}

void collector_fill(struct collector *collector) {
  take(collector, collector->work, collector->most);
}

bool collector_full(const struct collector *collector) {
  return collector->work->count >= collector->most;
}

bool collector_ahead(struct collector *collector) {
  struct batch *ahead = collector->ahead;
  size_t step = ahead->count + AHEAD_RECORDS;
  if (ahead->count == 0) {
    batch_reset(ahead, collector->work->next);
  }
  return take(collector, ahead, step < collector->most ? step : collector->most) && ahead->count < collector->most;
}

void collector_committed(struct collector *collector) {
  struct batch *done = collector->work;
  const uint64_t next = done->next;
  batch_remember(done);
  collector->work = collector->ahead;
  collector->ahead = done;
  collector->most = collector->most * 2 < collector->room ? collector->most * 2 : collector->room;
  if (collector->work->count == 0) {
    batch_reset(collector->work, next);
  }
  batch_suspect(collector->work);
  batch_reset(done, collector->work->next);
}

bool collector_put_back(struct collector *collector) {
  batch_reset(collector->ahead, collector->work->next);
  return journal_seek(collector->journal, collector->work->next);
}

bool collector_again(struct collector *collector, bool halve) {
  struct batch *work = collector->work;
  const uint64_t first = work->first;
  if (halve && work->count > 1) {
    collector->most = work->count / 2;
  }
  batch_reset(work, first);
  batch_reset(collector->ahead, first);
  if (!journal_seek(collector->journal, first)) {
    return false;
  }
  collector_fill(collector);
  return true;
}

uint64_t collector_crowded(const struct collector *collector) {
  return collector->crowded;
}

size_t collector_memory(const struct collector *collector) {
  return batch_memory(collector->work) + batch_memory(collector->ahead);
}

size_t collector_memory_limit(void) {
  return 2 * batch_memory_limit();
}
