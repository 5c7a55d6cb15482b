// How far each feed has been analysed. Event time is where the slowest of them stands. The loop's thread only.
#ifndef VEDETTE_ANALYSIS_CLOCKS_H
#define VEDETTE_ANALYSIS_CLOCKS_H

#include <stdint.h>
#include <uthash.h>

struct clock {
  int32_t feed;
  int64_t number;                    // of the last batch
  int64_t received_to, seeing_since; // as the batch says, Unix microseconds
  UT_hash_handle hh;
};

// The feed's clock, made if need be; NULL when memory ran out.
struct clock *clocks_get(struct clock **clocks, int32_t feed);
void clocks_remove(struct clock **clocks, int32_t feed);
void clocks_clear(struct clock **clocks);

// The earliest received_to, INT64_MAX without feeds; *since is the latest seeing_since: all of them have seen from then on.
int64_t clocks_low(struct clock *clocks, int64_t *since);

#endif
