// Reports that are made before a clock starts: valid ones of devices dev-00001, dev-00002, … in turn, with the metrics of
// vedette-sim, numbered without a hole.
#ifndef VEDETTE_BENCH_STOCK_H
#define VEDETTE_BENCH_STOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STOCK_TOPIC = 64 };     // bytes of a topic, with its zero
enum { STOCK_LATE = 1 << 21 }; // from this sequence on all take 4 bytes, up to 128 times this

struct stock_shape {
  size_t count;     // reports
  uint32_t devices; // 1 to 99,999
  uint32_t samples; // a report
  uint64_t first;   // sequence of each device's first report; 0: 1
  bool json;        // the same content as a JSON text, for peers that read no protobuf
};

struct stock_report {
  uint32_t device;   // from 0
  uint64_t sequence; // counted up from the first
  const uint8_t *payload;
  size_t size;
};

struct stock;

// Makes all reports; their boot counter is the present second, so that no two stocks have a report in common, and their times
// begin at the present. NULL when memory runs out.
struct stock *stock_make(const struct stock_shape *shape);
void stock_free(struct stock *stock); // accepts NULL

size_t stock_count(const struct stock *stock);
// Report `index`; its payload is the stock's.
struct stock_report stock_get(const struct stock *stock, size_t index);

// Writes the name, and the report topic, of a device.
void stock_credential(uint32_t device, char out[STOCK_TOPIC]);
void stock_topic(uint32_t device, char out[STOCK_TOPIC]);

#endif
