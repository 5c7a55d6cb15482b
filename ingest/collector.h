// Takes records from the journal into batches, in order: the batch in work, and, while that is being committed, the one behind
// it, so that decoding and committing go on at the same time. The loop's thread only.
#ifndef VEDETTE_INGEST_COLLECTOR_H
#define VEDETTE_INGEST_COLLECTOR_H

#include "ingest/batch.h"
#include "ingest/journal.h"

struct collector;

// Batches of at most `most` records. `decoder` is asked after vedette/v1's. NULL when out of memory.
struct collector *collector_new(struct journal *journal, struct directory *directory, size_t most, struct decoder *decoder);
void collector_free(struct collector *collector);                                // accepts NULL
void collector_bury(struct collector *collector, struct tombstones *tombstones); // who was erased
void collector_allow(struct collector *collector, struct allowance device, struct allowance gateway);

struct batch *collector_batch(struct collector *collector); // the batch in work; another one after collector_committed

// Forgets what was taken and goes on with `record`, where the journal's reader stands.
void collector_start(struct collector *collector, uint64_t record);
// Takes what can be read into the batch in work.
void collector_fill(struct collector *collector);
bool collector_full(const struct collector *collector); // no further record would be taken into the batch in work

// Takes a few records into the batch behind the one in work. True if there may be more.
bool collector_ahead(struct collector *collector);
// The batch in work is committed: the one behind it takes its place.
void collector_committed(struct collector *collector);

// The batch in work is not committed yet, after all: what was taken ahead is put back. False if the journal's reader
// cannot go back.
bool collector_put_back(struct collector *collector);
// The same, and reads the batch's own records again; at most half of them if `halve`: the limit grows back with each committed
// batch.
bool collector_again(struct collector *collector, bool halve);

uint64_t collector_crowded(const struct collector *collector); // batches that ended early: out of memory, or of minutes
size_t collector_memory(const struct collector *collector);    // bytes that both batches take now …
size_t collector_memory_limit(void);                           // … and the most they may

#endif
