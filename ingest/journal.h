// The journal: the local log that a message is in before the broker gets its acknowledgement. See docs/architecture.md.
//
// Promise: what journal_append has taken is stored exactly once across the death of any process; across a power cut too with
// sync_ms 0, otherwise at most the last sync_ms may be lost, and shows as sequence gaps.
//
// Threads: journal_append from any thread; a thread of the journal's own syncs, makes the next segment in advance and removes the
// files of those that the loop's thread gave up; everything else belongs to the loop's thread.
// Records are shown to the reader only once they are on the disk, so that the store never knows a record that a power cut can
// take back.
#ifndef VEDETTE_INGEST_JOURNAL_H
#define VEDETTE_INGEST_JOURNAL_H

#include "common/config.h"
#include "common/histogram.h"
#include "ingest/segment.h"

struct journal;

// Called on the sync thread when records have become readable.
typedef void (*journal_ready)(void *arg);

// Opens or makes the journal in `config->folder`, locks it, recovers it (a torn tail is cut off and logged), hands over the rest
// of a retired predecessor, and starts the sync thread. NULL on failure, logged.
struct journal *journal_open(const struct config_journal *config, journal_ready ready, void *arg);
void journal_close(struct journal *journal); // syncs what is left; accepts NULL

const char *journal_id(const struct journal *journal); // UUID as text

// Whether the next segment is allocated. The disk being full, one call gives up one stored segment for it (of those that are kept
// for keep_mib); when there is none left, ROOM_NONE: whoever appends has to stop within one segment, and may go on at ROOM_THERE.
// `ready` is called at each change.
enum journal_room { ROOM_THERE, ROOM_SOUGHT, ROOM_NONE };
enum journal_room journal_room(struct journal *journal);

// Appends a message. False: it is not in the journal and must not be acknowledged (disk full or broken; logged).
_Bool journal_append(struct journal *journal, const char *topic, size_t topic_length, const void *payload, size_t payload_length,
                     uint8_t flags);

uint64_t journal_oldest(const struct journal *journal); // number of the oldest record kept
uint64_t journal_head(struct journal *journal);         // number that the next message gets

// Puts the reader at record `number`. False if it is not kept (any more).
_Bool journal_seek(struct journal *journal, uint64_t number);
// The next record on the disk; false when there is none now or it is damaged. Pointers hold until journal_release passes the
// record.
_Bool journal_next(struct journal *journal, struct record *record);
// When the record that the reader stands at is damaged: the number behind the last one that is lost with it, which is the rest of
// its segment; seek there to go on. 0: it is not damaged, or there is no room yet to go on behind it.
uint64_t journal_damaged(struct journal *journal);

// All records below `number` are stored: older segments may go, but for keep_mib of them.
void journal_release(struct journal *journal, uint64_t number);
// Begins a new segment, so that what was appended until now can be removed by itself: records below *below. False: not now.
_Bool journal_turn(struct journal *journal, uint64_t *below);
// Removes segments of records below `below` that are stored, whatever keep_mib says, and damaged ones that were set aside. True
// when there are none left, on the disk either.
_Bool journal_forget(struct journal *journal, uint64_t below);
// Notes, beyond the life of this process, that records have to be forgotten; or that none has to any more.
_Bool journal_note_soiled(struct journal *journal, _Bool soiled);
_Bool journal_is_soiled(const struct journal *journal);

uint64_t journal_pending_bytes(struct journal *journal); // of records that are not released, roughly
// From the receipt of a record to its being on the disk: the oldest record of each group that was synced.
void journal_sync_times(struct journal *journal, struct histogram *times);

// The time up to which everything received has a number below `next`, where the reader stands: that of record `next`, or now if
// there is none yet; that of the last one which was read if it is damaged.
int64_t journal_received_to(struct journal *journal, uint64_t next);

// This journal was retired in the store, which has its records below `next`. The next journal_open starts a new journal (a new
// feed) and hands the others over. The process has to end after this.
void journal_retire(struct journal *journal, uint64_t next);

#endif
