// What a device keeps of its reports until Vedette says that they are stored: a list in the order they were made, bounded in
// reports and in bytes. Single thread.
//
// A cursor stands before the first report that is still to be sent; keep_rewind puts it back to the oldest one, to send all
// again.
#ifndef VEDETTE_SIMULATOR_KEEP_H
#define VEDETTE_SIMULATOR_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keep_limits {
  uint32_t reports;
  uint64_t bytes; // of the encoded reports
};

struct kept {
  struct kept *next; // younger
  uint64_t sequence;
  size_t size;
  bool sent; // at least once
  bool acknowledged;
  uint8_t bytes[];
};

struct keep;

// `limits` is kept. NULL: out of memory.
struct keep *keep_new(const struct keep_limits *limits);
void keep_free(struct keep *keep);

// Drops the oldest reports until one more of `size` bytes fits; one larger than the limit still gets its place, alone. Returns
// how many were dropped.
size_t keep_make_room(struct keep *keep, size_t size);

// Adds the youngest report, its bytes copied: `sequence` is above all that are kept. 0, or -1: out of memory.
int keep_add(struct keep *keep, uint64_t sequence, const uint8_t *bytes, size_t size);

// The next report that is to be sent, NULL at the end; keep_advance: it was.
const struct kept *keep_next(const struct keep *keep);
void keep_advance(struct keep *keep);
void keep_rewind(struct keep *keep);

// The broker has acknowledged it. False if it is not kept any more, or was acknowledged before.
bool keep_acknowledge(struct keep *keep, uint64_t sequence);

// Forgets all reports up to `sequence`. Returns how many, and in `unacknowledged` how many of them the broker has not
// acknowledged.
size_t keep_release(struct keep *keep, uint64_t sequence, size_t *unacknowledged);

size_t keep_count(const struct keep *keep);
uint64_t keep_oldest(const struct keep *keep); // sequence; 0: nothing is kept

#endif
