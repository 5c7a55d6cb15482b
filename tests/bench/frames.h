// PUBLISH packets (QoS 1) of a stock, back to back as they go over the wire, laid out before the clock starts.
#ifndef VEDETTE_BENCH_FRAMES_H
#define VEDETTE_BENCH_FRAMES_H

#include "tests/bench/stock.h"

struct frames {
  uint8_t *bytes;
  size_t *ends; // of each packet in `bytes`
  size_t count;
};

// Lays the packets out for MQTT 5 or 3.1.1. False when memory runs out.
bool frames_lay(struct frames *frames, const struct stock *stock, bool mqtt5);
void frames_free(struct frames *frames);

// Where packet `index` begins.
size_t frames_start(const struct frames *frames, size_t index);
// The packet identifier of packet `index`: 1 … 65,535 and again.
uint16_t frames_id(size_t index);

#endif
