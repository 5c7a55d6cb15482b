// Hands dead letters that an operator queued back to the journal, a few at a time, as new records marked RECORD_REPLAY.
//
// A letter is claimed for the feed, appended, and said to be replayed once its record is on the disk. A worker that dies in
// between claims the same letters again when it is back (of a retired feed any worker does), so nothing queued is lost; a letter
// that was appended already is then in the journal twice: the second is a duplicate by its key, and counted, or, if it is
// rejected once more, a second dead letter. The loop's thread only.
#ifndef VEDETTE_INGEST_REPLAY_H
#define VEDETTE_INGEST_REPLAY_H

#include "ingest/journal.h"
#include "storage/intake.h"

#include <stdbool.h>

struct replay;

struct replay *replay_new(struct journal *journal);
void replay_free(struct replay *replay); // accepts NULL

// What there is to ask the store now; NULL: nothing. Records below `readable` are on the disk. No new letters when `draining`.
struct script *replay_ask(struct replay *replay, int32_t feed, uint64_t readable, bool draining);
// The script ran, or the store refused it. When the connection was lost it need not be called.
void replay_done(struct replay *replay, bool fine);

uint64_t replay_count(const struct replay *replay); // letters handed back by this process

#endif
