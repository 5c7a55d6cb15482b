// Which numbers of their boots publishers were heard of, gathered over batches for store.sequence: so that holes are known
// without looking at every report, and so that a device that keeps its reports can be told how far they are stored. The loop's
// thread only.
#ifndef VEDETTE_INGEST_SEQUENCES_H
#define VEDETTE_INGEST_SEQUENCES_H

#include "ingest/batch.h"
#include "storage/list.h"

struct sequences;

// Most runs that ever go with one batch of at most `most` messages.
size_t sequences_room(size_t most);

struct sequences *sequences_new(size_t most);      // messages a batch; NULL out of memory
void sequences_free(struct sequences *sequences);  // accepts NULL
void sequences_clear(struct sequences *sequences); // forgets everything: the store takes it up by itself

// Takes the batch that is about to be committed, in place of the one taken before.
void sequences_take(struct sequences *sequences, const struct batch *batch);
// True if what was gathered should go with this batch: after ten seconds, after two where a publisher asks, when there is no
// room, or when the batch holds what the store could not find again by itself.
bool sequences_due(const struct sequences *sequences, int64_t now); // steady microseconds

// What was gathered, as arrays of one length.
struct sequence_lists {
  struct list *publishers, *boots, *firsts, *lasts, *sheds, *kept;
};
bool sequences_list(const struct sequences *sequences, struct sequence_lists *lists); // false: out of memory; free in any case
void sequence_lists_free(struct sequence_lists *lists);

// The batch is committed; `noted` if what was gathered went with it.
void sequences_committed(struct sequences *sequences, bool noted, int64_t now);

// True if the publisher's boot was given as a random number.
bool sequences_random(const struct sequences *sequences, int32_t publisher, int64_t boot);

#endif
