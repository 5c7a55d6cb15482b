#include "ingest/replay.h"

#include "common/log.h"
#include "common/loop.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
  CLAIM_MOST = 200,          // letters a claim …
  CLAIM_BYTES = 1024 * 1024, // … and about so many bytes of payload
  APPEND_US = 50000,         // with sync_ms 0 each append waits for the disk: the loop stands still no longer than this
  LOOK_US = 2000000,         // how often the store is asked whether letters are queued …
  GO_ON_US = 100000,         // … and the pause between two claims while there are: live traffic goes first
};

struct replay {
  struct journal *journal;
  int64_t held[CLAIM_MOST]; // letters that are appended and not yet said to be replayed …
  size_t count;
  uint64_t until;  // … whose records are below this number
  bool marking;    // the script that runs says so
  int64_t next_us; // steady clock: when to ask for letters again
  uint64_t replayed;
};

struct replay *replay_new(struct journal *journal) {
  struct replay *replay = calloc(1, sizeof *replay);
  if (replay != NULL) {
    replay->journal = journal;
  }
  return replay;
}

void replay_free(struct replay *replay) {
  free(replay);
}

// Appends what was claimed. What there is no time for stays claimed, and comes again with the next claim.
static void take_letters(const PGresult *rows, void *arg) {
  struct replay *replay = arg;
  const int64_t began = clock_steady_us();
  for (int i = 0; i < PQntuples(rows) && replay->count < CLAIM_MOST && clock_steady_us() - began < APPEND_US; i++) {
    uint64_t id;
    memcpy(&id, PQgetvalue(rows, i, 0), sizeof id);
    if (!journal_append(replay->journal, PQgetvalue(rows, i, 1), (size_t)PQgetlength(rows, i, 1), PQgetvalue(rows, i, 2),
                        (size_t)PQgetlength(rows, i, 2), RECORD_REPLAY)) {
      break;
    }
    replay->held[replay->count++] = (int64_t)be64toh(id);
  }
  replay->until = journal_head(replay->journal); // Paho's thread appends too: at least our last record
}

static struct script *mark(struct replay *replay, int32_t feed) {
  struct list *ids = list_new();
  if (ids == NULL) {
    return NULL;
  }
  for (size_t i = 0; i < replay->count; i++) {
    list_int(ids, replay->held[i]);
  }
  struct script *script = intake_letters_replayed(feed, ids);
  list_free(ids);
  return script;
}

struct script *replay_ask(struct replay *replay, int32_t feed, uint64_t readable, bool draining) {
  replay->marking = replay->count > 0;
  if (replay->marking) {
    return readable >= replay->until ? mark(replay, feed) : NULL;
  }
  if (draining || clock_steady_us() < replay->next_us) {
    return NULL;
  }
  return intake_claim_letters(feed, CLAIM_MOST, CLAIM_BYTES, take_letters, replay);
}

void replay_done(struct replay *replay, bool fine) {
  bool more = fine && replay->count > 0;
  if (fine && replay->marking) {
    log_info("dead letters are back in the journal", "letters=%zu", replay->count);
    replay->replayed += replay->count;
    replay->count = 0;
  }
  replay->next_us = clock_steady_us() + (more ? GO_ON_US : LOOK_US);
}

uint64_t replay_count(const struct replay *replay) {
  return replay->replayed;
}
