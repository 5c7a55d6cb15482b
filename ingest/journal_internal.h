// Shared by journal.c (appending, reading, syncing) and journal_recover.c (what happens before that).
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
  bool syncer_runs, stop, failed;
  struct segment *oldest, *newest;
  size_t end;       // offset behind the last record of `newest`
  uint64_t head;    // number of the next record
  uint64_t synced;  // records below are on the disk
  int64_t received; // of the last record; never goes back
  uint64_t group;   // first record of the group that is synced next
  int64_t group_received;
  struct histogram sync_times;

  // Reader, on the loop's thread.
  struct segment *at;
  size_t offset;
  uint64_t number;
};

// Fills id, segments, end, head and received from the folder, which it makes if need be. False on failure, logged.
bool journal_recover(struct journal *journal);
// Adds a segment for records from `head` on; the mutex is held, or no other thread runs yet. False on failure, logged.
bool journal_add_segment(struct journal *journal);
// Path of a file in the journal's folder; to be freed.
char *journal_path(const struct journal *journal, const char *name);

#endif
