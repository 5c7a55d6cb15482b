// Reads a folder of journal segments (ingest/segment.h) as it is: nothing is changed or locked, a worker may have the journal
// open, and the files may hold anything.
#ifndef VEDETTE_CLI_JOURNAL_SCAN_H
#define VEDETTE_CLI_JOURNAL_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ingest/segment.h"

enum { JOURNAL_ID_TEXT = 37 };

enum scan_state {
  SCAN_WHOLE,
  SCAN_TORN,     // the newest ends with the remains of a write that a crash cut short: the next start cuts them off
  SCAN_REMOVED,  // by its worker, while we read: all of it is stored
  SCAN_UNBEGUN,  // a crash came before its head was written: the next start removes it
  SCAN_DAMAGED,  // records [next, missing_to) cannot be read
  SCAN_UNUSABLE, // as a whole, for the reason in `why`
};

// One segment.
struct scan_file {
  char name[21];
  enum scan_state state;
  const char *why; // a constant text; NULL: nothing to say
  size_t size;
  size_t used;                           // bytes with the head, up to the end of the last record that can be read
  size_t unreadable;                     // bytes that the disk did not give
  uint64_t first, next;                  // records [first, next) can be read
  uint64_t missing_to;                   // 0: not known
  int64_t first_received, last_received; // Unix microseconds; of records that can be read
};

struct scan {
  char id[JOURNAL_ID_TEXT]; // "" where the file `id` is missing or damaged
  struct scan_file *files;  // oldest first
  size_t count;
  bool progress;                                                                       // say on stderr how far it is
  void (*visit)(const struct scan_file *file, const struct record *record, void *arg); // each record; may be NULL
  void *arg;
};

// Reads everything below `folder` into *scan, whose visit, arg and progress are set. False with errno set where the folder cannot
// be read; ENOENT too where it has neither an id nor segments.
bool scan_folder(struct scan *scan, const char *folder);
void scan_free(struct scan *scan);

#endif
