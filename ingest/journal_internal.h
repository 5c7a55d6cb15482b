// Shared by journal.c (appending, reading, syncing), journal_room.c (making and removing files) and journal_recover.c (what
// happens before that).
#ifndef VEDETTE_INGEST_JOURNAL_INTERNAL_H
#define VEDETTE_INGEST_JOURNAL_INTERNAL_H

#include "ingest/journal.h"

#include <pthread.h>
#include <stdbool.h>

struct journal {
  struct config_journal config;
  journal_ready ready;
  void *arg;
  uint8_t id[JOURNAL_ID];
  char id_text[37];
  int folder, id_file; // descriptors: the folder, locked, and its file `id`

  pthread_mutex_t mutex; // guards all below but the reader
  pthread_cond_t changed;
  pthread_t syncer;
  bool syncer_runs, stop, retired;
  struct segment *oldest, *newest;
  size_t end;        // offset behind the last record of `newest`
  uint64_t head;     // number of the next record
  uint64_t synced;   // records below are on the disk
  int64_t sync_at;   // when the first that is not has to be; steady clock, as `try_at`
  uint64_t released; // records below are stored
  int64_t received;  // of the last record; never goes back
  uint64_t group;    // first record of the group that is synced next
  int64_t group_received;
  struct histogram sync_times;

  // While the sync thread runs it alone opens, closes and removes files of segments, so what it syncs cannot be closed.
  struct segment *spare; // the next segment, not begun; NULL: to be made
  struct segment *gone;  // to be removed, oldest first
  bool no_room, told;    // the last attempt to make the spare failed; which was logged
  int64_t try_at;        // when to make it

  // Reader, on the loop's thread.
  struct segment *at;
  size_t offset;
  uint64_t number;
  int64_t passed; // when the last record it passed was received
};

// Fills id, segments, end, head and received from the folder, which it makes if need be. False on failure, logged.
bool journal_recover(struct journal *journal);

// The functions of journal_room.c want the mutex held. These two give it back while they work on the disk.
void journal_make_spare(struct journal *journal);
void journal_remove_gone(struct journal *journal);
// Removes what journal_recover set aside, and sees to it that no removed file comes back. Without the mutex.
bool journal_remove_aside(const struct journal *journal);
// Begins the spare segment, for records from `head` on. While no sync thread runs it makes the spare too. False on failure,
// logged.
bool journal_begin_segment(struct journal *journal);
// Takes the oldest segment out, if it is not the newest, all of it is stored and the reader is behind it.
bool journal_give_up_oldest(struct journal *journal);

// Logs errno and a file of the journal; returns false.
bool journal_complain(const struct journal *journal, const char *what, const char *name);
// Path of a file in the journal's folder; to be freed.
char *journal_path(const struct journal *journal, const char *name);

#endif
