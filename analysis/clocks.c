#include "analysis/clocks.h"

#include <stdlib.h>

struct clock *clocks_get(struct clock **clocks, int32_t feed) {
  struct clock *clock = NULL;
  HASH_FIND_INT(*clocks, &feed, clock);
  if (clock == NULL && (clock = calloc(1, sizeof *clock)) != NULL) {
    clock->feed = feed;
    HASH_ADD_INT(*clocks, feed, clock);
  }
  return clock;
}

void clocks_remove(struct clock **clocks, int32_t feed) {
  struct clock *clock = NULL;
  HASH_FIND_INT(*clocks, &feed, clock);
  if (clock != NULL) {
    HASH_DEL(*clocks, clock);
    free(clock);
  }
}

void clocks_clear(struct clock **clocks) {
  struct clock *clock;
  struct clock *next;
  HASH_ITER(hh, *clocks, clock, next) {
    HASH_DEL(*clocks, clock); // NOLINT(clang-analyzer-unix.Malloc): it cannot follow uthash
    free(clock);
  }
}

int64_t clocks_low(struct clock *clocks, int64_t *since) {
  struct clock *clock;
  struct clock *next;
  int64_t low = INT64_MAX;
  *since = 0;
  HASH_ITER(hh, clocks, clock, next) {
    low = clock->received_to < low ? clock->received_to : low;
    *since = clock->seeing_since > *since ? clock->seeing_since : *since;
  }
  return low;
}
