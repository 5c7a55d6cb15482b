// A group: some batches in the order in which they are analysed, and what their rows let the detectors observe.
#ifndef VEDETTE_ANALYSIS_GROUP_H
#define VEDETTE_ANALYSIS_GROUP_H

#include "analysis/detector.h"
#include "storage/feed.h"

enum { GROUP_BATCHES = 64, GROUP_ROWS = 20000 };

struct noted {
  struct observation observation;
  size_t batch; // place in the group
  size_t place; // as the store gave it: the last word where all else is equal
  size_t first; // VALUES: in the group's metrics and values
};

struct group {
  struct feed_batch batches[GROUP_BATCHES];
  int32_t seen[GROUP_BATCHES]; // rows of store.report found
  size_t count;
  int64_t rows;
  struct noted *noted;
  struct noted **order;
  size_t noted_count, noted_room;
  int32_t *metrics; // of all VALUES …
  double *values;   // … and for each its value
  size_t value_count, value_room;
  bool full;   // a batch was refused
  bool failed; // memory ran out
};

void group_reset(struct group *group);
void group_free(struct group *group);

// Adds a batch; false when the group is full. Then it takes no smaller one either: that would be before its turn.
bool group_add(struct group *group, const struct feed_batch *batch);
bool group_has_rows(const struct group *group);
struct list *group_keys(const struct group *group); // batch keys, for feed_rows; NULL out of memory

// How many rows of store.report a batch has, when its rows are read.
void group_expect(struct group *group, int64_t key, int32_t rows);
void group_note(struct group *group, const struct feed_row *row);
// Sorts what was noted: batch by batch, by receipt. False when memory ran out.
bool group_sort(struct group *group);

#endif
