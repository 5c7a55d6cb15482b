// PUBLISH packets (QoS 1) of a stock, back to back as they go over the wire, laid out before the clock starts. Devices may say
// everything twice: the repeat follows at once, as another packet.
#ifndef VEDETTE_BENCH_FRAMES_H
#define VEDETTE_BENCH_FRAMES_H

#include "tests/bench/stock.h"

struct frames_repeats {
  uint32_t devices; // the first so many devices send every report twice
  bool marked;      // the second packet has the DUP flag
};

struct frames {
  uint8_t *bytes;
  size_t *ends; // of each packet in `bytes`
  size_t count;
  bool mqtt5;
};

// Lays the packets out for MQTT 5 or 3.1.1. False when memory runs out.
bool frames_lay(struct frames *frames, const struct stock *stock, const struct frames_repeats *repeats, bool mqtt5);
void frames_free(struct frames *frames);

// Makes a report's packet another report's: same device and samples, a higher sequence and another time, which must take as many
// bytes as the old ones do (STOCK_LATE for the sequence). For protobuf only.
void frames_renew(struct frames *frames, size_t index, uint16_t id, uint64_t sequence, int64_t time);

// Where packet `index` begins.
size_t frames_start(const struct frames *frames, size_t index);
// The packet identifier of packet `index`: 1 … 65,535 and again.
uint16_t frames_id(size_t index);

#endif
