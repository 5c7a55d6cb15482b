// The network traffic a simulated device has had since its previous report. A function of (seed, time), like the values.
#ifndef VEDETTE_SIMULATOR_TRAFFIC_H
#define VEDETTE_SIMULATOR_TRAFFIC_H

#include <stdint.h>

#include "simulator/draft.h"

// Fills the draft's traffic record for the interval (microseconds) that ends at `time`.
void traffic_fill(struct draft *draft, uint64_t seed, int64_t time, uint64_t interval, double zone);

#endif
