// The middle of ingest without broker, journal and store: prepared reports go through the batch as journal records would, and
// what the store numbers (metrics, sets) is numbered here. Single thread.
#ifndef VEDETTE_BENCH_RIG_H
#define VEDETTE_BENCH_RIG_H

#include "ingest/batch.h"
#include "tests/bench/stock.h"

struct rig {
  struct stock *stock;
  struct directory *directory;
  struct batch batch;
  char (*topics)[STOCK_TOPIC]; // by device
  uint32_t devices;
  size_t next;     // report that the next batch begins with
  int32_t metrics; // numbered so far
  int16_t sets;
};

// Makes the reports and registers their devices. False when memory runs out.
bool rig_open(struct rig *rig, const struct stock_shape *shape, size_t batch_size);
void rig_close(struct rig *rig);

// Whether another batch can be made.
bool rig_has_more(const struct rig *rig);
// The four steps of the next batch, in this order. False when memory runs out, or a report was not taken as it should.
bool rig_add(struct rig *rig);
void rig_number_metrics(struct rig *rig);
bool rig_rows(struct rig *rig);
bool rig_encode(struct rig *rig);

#endif
