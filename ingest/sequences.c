#include "ingest/sequences.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <xxhash.h>

#undef HASH_FUNCTION // uthash looks at it where it is used
#define HASH_FUNCTION(key, size, hash) ((hash) = (unsigned)XXH3_64bits(key, size))

// A row a publisher and interval is what this costs the store; who asks how far its reports are stored is answered sooner.
static const int64_t interval_us = 10000000;
static const int64_t asked_us = 2000000;
enum { ROOM = 32768 };                                   // runs; more than that many publishers go sooner
static const uint64_t sequence_most = UINT64_C(1) << 62; // a range's end must fit too

// What a run belongs to; compared byte by byte, so without holes.
struct run_key {
  int64_t boot;
  int32_t publisher;
  int32_t shed;
};

struct run {
  struct run_key key;
  int64_t first, last;
  int64_t kept_from; // 0: the publisher does not ask
  bool random;       // the boot
};

// The newest run of each key.
struct newest {
  struct run_key key;
  size_t run;
  UT_hash_handle hh;
};

struct runs {
  struct run *runs;
  struct newest *pool, *by_key;
  size_t count, keys, room;
  bool asked; // one of them is
};

struct sequences {
  struct runs pending; // of committed batches
  struct runs current; // of the batch that is being committed
  size_t most;
  bool irregular; // the batch has what neither rows nor dead letters tell
  int64_t noted_at;
};

static bool runs_init(struct runs *runs, size_t room) {
  *runs = (struct runs){.room = room, .runs = calloc(room, sizeof *runs->runs), .pool = calloc(room, sizeof *runs->pool)};
  return runs->runs != NULL && runs->pool != NULL;
}

static void runs_clear(struct runs *runs) {
  HASH_CLEAR(hh, runs->by_key);
  runs->count = 0;
  runs->keys = 0;
  runs->asked = false;
}

static void runs_destroy(struct runs *runs) {
  runs_clear(runs);
  free(runs->runs);
  free(runs->pool);
}

static struct newest *runs_find(const struct runs *runs, const struct run_key *key) {
  struct newest *newest = NULL;
  HASH_FIND(hh, runs->by_key, key, sizeof *key, newest);
  return newest;
}

// Extends the newest run of its key, or begins another; the caller has made sure of the room.
static void runs_add(struct runs *runs, const struct run *added) {
  struct newest *newest = runs_find(runs, &added->key);
  runs->asked |= added->kept_from > 0;
  if (newest != NULL) {
    struct run *run = &runs->runs[newest->run];
    run->kept_from = added->kept_from > run->kept_from ? added->kept_from : run->kept_from;
    if (added->first >= run->first && added->first <= run->last + 1) {
      run->last = added->last > run->last ? added->last : run->last;
      return;
    }
  } else {
    newest = &runs->pool[runs->keys++];
    newest->key = added->key;
    HASH_ADD(hh, runs->by_key, key, sizeof newest->key, newest);
  }
  newest->run = runs->count;
  runs->runs[runs->count++] = *added;
}

struct sequences *sequences_new(size_t most) {
  struct sequences *sequences = calloc(1, sizeof *sequences);
  if (sequences == NULL) {
    return NULL;
  }
  sequences->most = most;
  if (!runs_init(&sequences->pending, ROOM + 2 * most) || !runs_init(&sequences->current, most)) {
    sequences_free(sequences);
    return NULL;
  }
  return sequences;
}

void sequences_free(struct sequences *sequences) {
  if (sequences != NULL) {
    runs_destroy(&sequences->pending);
    runs_destroy(&sequences->current);
    free(sequences);
  }
}

void sequences_clear(struct sequences *sequences) {
  runs_clear(&sequences->pending);
  runs_clear(&sequences->current);
}

static bool is_numbered(const struct message *message) {
  return message->publisher != NULL && message->report != NULL && message->boot != 0 && message->sequence > 0 &&
         message->sequence < sequence_most;
}

void sequences_take(struct sequences *sequences, const struct batch *batch) {
  runs_clear(&sequences->current);
  sequences->irregular = false;
  for (size_t i = 0; i < batch->count; i++) {
    const struct message *message = &batch->messages[i];
    bool shed = message->outcome == OUTCOME_SHED;
    sequences->irregular |= shed || message->letter == LETTER_DROPPED;
    if (!is_numbered(message)) {
      continue;
    }
    const Vedette__V1__Report *report = message->report;
    int64_t kept = report->kept_from > 0 && report->kept_from < sequence_most ? (int64_t)report->kept_from : 1;
    runs_add(&sequences->current, &(struct run){.key = {message->boot, message->publisher->id, shed},
                                                .first = (int64_t)message->sequence,
                                                .last = (int64_t)message->sequence,
                                                .kept_from = report->wants_stored ? kept : 0,
                                                .random = report->boot_case == VEDETTE__V1__REPORT__BOOT_BOOT_RANDOM});
  }
}

size_t sequences_room(size_t most) {
  return ROOM + 3 * most; // pending and current
}

bool sequences_due(const struct sequences *sequences, int64_t now) {
  bool asked = sequences->pending.asked || sequences->current.asked;
  size_t gathered = sequences->pending.count + sequences->current.count;
  return sequences->irregular || gathered + sequences->most > sequences->pending.room ||
         (gathered > 0 && now - sequences->noted_at >= (asked ? asked_us : interval_us));
}

static void list_runs(const struct runs *runs, struct sequence_lists *lists) {
  for (size_t i = 0; i < runs->count; i++) {
    const struct run *run = &runs->runs[i];
    list_int(lists->publishers, run->key.publisher);
    list_int(lists->boots, run->key.boot);
    list_int(lists->firsts, run->first);
    list_int(lists->lasts, run->last);
    list_text(lists->sheds, run->key.shed ? "true" : "false");
    list_int(lists->kept, run->kept_from);
  }
}

bool sequences_list(const struct sequences *sequences, struct sequence_lists *lists) {
  *lists = (struct sequence_lists){list_new(), list_new(), list_new(), list_new(), list_new(), list_new()};
  if (!lists->publishers || !lists->boots || !lists->firsts || !lists->lasts || !lists->sheds || !lists->kept) {
    return false;
  }
  list_runs(&sequences->pending, lists);
  list_runs(&sequences->current, lists);
  return true;
}

void sequence_lists_free(struct sequence_lists *lists) {
  list_free(lists->publishers);
  list_free(lists->boots);
  list_free(lists->firsts);
  list_free(lists->lasts);
  list_free(lists->sheds);
  list_free(lists->kept);
}

void sequences_committed(struct sequences *sequences, bool noted, int64_t now) {
  if (noted) {
    runs_clear(&sequences->pending);
    sequences->noted_at = now;
  }
  for (size_t i = 0; !noted && i < sequences->current.count; i++) {
    runs_add(&sequences->pending, &sequences->current.runs[i]);
  }
  runs_clear(&sequences->current);
}

bool sequences_random(const struct sequences *sequences, int32_t publisher, int64_t boot) {
  struct run_key key = {.boot = boot, .publisher = publisher};
  const struct newest *found = runs_find(&sequences->current, &key);
  if (found != NULL) {
    return sequences->current.runs[found->run].random;
  }
  found = runs_find(&sequences->pending, &key);
  return found != NULL && sequences->pending.runs[found->run].random;
}
