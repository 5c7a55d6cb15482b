#include "ingest/journal.h"

#include "common/log.h"
#include "common/loop.h"
#include "ingest/journal_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// A disk that fails to sync has lost what we cannot know: the process ends rather than acknowledge on sand.
static void sync_or_die(int fd) {
  if (fdatasync(fd) != 0) {
    log_error("the journal cannot be synced; leaving", "errno=%d", errno);
    _exit(1);
  }
}

// Waits until something changes, at most until `until` on the steady clock; 0: for ever.
static void wait_until(struct journal *journal, int64_t until) {
  struct timespec time = {.tv_sec = (time_t)(until / 1000000), .tv_nsec = (long)(until % 1000000) * 1000};
  if (until == 0) {
    pthread_cond_wait(&journal->changed, &journal->mutex);
  } else {
    pthread_cond_timedwait(&journal->changed, &journal->mutex, &time);
  }
}

static void sync_newest(struct journal *journal) {
  int fd = journal->newest->fd; // older segments were synced when they were left
  uint64_t head = journal->head;
  journal->sync_at = clock_steady_us() + (int64_t)journal->config.sync_ms * 1000; // of what comes meanwhile
  int64_t oldest = journal->group_received;
  journal->group = head;
  pthread_mutex_unlock(&journal->mutex);
  sync_or_die(fd);
  pthread_mutex_lock(&journal->mutex);
  histogram_time(&journal->sync_times, clock_wall_us() - oldest);
  journal->synced = head > journal->synced ? head : journal->synced;
}

// Does the next thing that is due; false if there is none, with the time of the next in *until.
static bool sync_step(struct journal *journal, int64_t *until) {
  int64_t now = clock_steady_us();
  bool unsynced = journal->synced < journal->head;
  if (unsynced && (journal->stop || now >= journal->sync_at)) {
    sync_newest(journal);
  } else if (journal->gone != NULL) {
    journal_remove_gone(journal);
  } else if (journal->spare == NULL && !journal->stop && now >= journal->try_at) {
    journal_make_spare(journal);
  } else {
    *until = unsynced ? journal->sync_at : 0;
    if (journal->spare == NULL && (*until == 0 || journal->try_at < *until)) {
      *until = journal->try_at;
    }
    return false;
  }
  return true;
}

// Group sync: the first unsynced record waits sync_ms for others to join it.
static void *sync_loop(void *arg) {
  struct journal *journal = arg;
  int64_t until;
  pthread_mutex_lock(&journal->mutex);
  while (!journal->stop || journal->synced < journal->head) {
    if (sync_step(journal, &until)) {
      pthread_cond_broadcast(&journal->changed);
      journal->ready(journal->arg);
    } else {
      wait_until(journal, until);
    }
  }
  pthread_mutex_unlock(&journal->mutex);
  return NULL;
}

static bool start_syncer(struct journal *journal) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  journal->syncer_runs = pthread_create(&journal->syncer, NULL, sync_loop, journal) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return journal->syncer_runs;
}

struct journal *journal_open(const struct config_journal *config, journal_ready ready, void *arg) {
  struct journal *journal = calloc(1, sizeof *journal);
  if (journal == NULL) {
    return NULL;
  }
  pthread_condattr_t steady;
  journal->config = *config;
  journal->ready = ready;
  journal->arg = arg;
  journal->folder = journal->id_file = -1;
  pthread_mutex_init(&journal->mutex, NULL);
  pthread_condattr_init(&steady);
  pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
  pthread_cond_init(&journal->changed, &steady);
  pthread_condattr_destroy(&steady);
  signal(SIGXFSZ, SIG_IGN); // a file that may not grow is a full disk
  bool recovered = journal_recover(journal);
  if (recovered && journal->spare == NULL) {
    pthread_mutex_lock(&journal->mutex);
    journal_make_spare(journal);
    pthread_mutex_unlock(&journal->mutex);
  }
  journal->group = journal->head;
  if (!recovered || !start_syncer(journal)) {
    journal_close(journal);
    return NULL;
  }
  journal->at = journal->oldest;
  journal->offset = SEGMENT_HEADER;
  journal->number = journal->oldest->first;
  return journal;
}

void journal_close(struct journal *journal) {
  if (journal == NULL) {
    return;
  }
  if (journal->syncer_runs) {
    pthread_mutex_lock(&journal->mutex);
    journal->stop = true;
    pthread_cond_broadcast(&journal->changed);
    pthread_mutex_unlock(&journal->mutex);
    pthread_join(journal->syncer, NULL);
  }
  pthread_mutex_lock(&journal->mutex);
  while (journal->gone != NULL) {
    journal_remove_gone(journal);
  }
  pthread_mutex_unlock(&journal->mutex);
  for (struct segment *s = journal->oldest, *next; s != NULL; s = next) {
    next = s->next;
    segment_close(s);
  }
  segment_close(journal->spare);
  if (journal->id_file >= 0) {
    close(journal->id_file);
  }
  if (journal->folder >= 0) {
    close(journal->folder);
  }
  pthread_cond_destroy(&journal->changed);
  pthread_mutex_destroy(&journal->mutex);
  free(journal);
}

const char *journal_id(const struct journal *journal) {
  return journal->id_text;
}

// Begins the next segment; the mutex is held. The one that is left is synced, so that only the newest can ever be torn.
static bool leave_segment(struct journal *journal) {
  sync_or_die(journal->newest->fd);
  journal->synced = journal->group = journal->head;
  return journal_begin_segment(journal);
}

// Makes room for `size` bytes; the mutex is held.
static bool make_room(struct journal *journal, size_t size) {
  if (size > ((size_t)journal->config.segment_mib << 20) - SEGMENT_HEADER) {
    log_error("a message is larger than a journal segment", "bytes=%zu", size);
    return false;
  }
  while (journal->newest->size - journal->end < size) {
    if (journal->spare == NULL && journal->syncer_runs && !journal->stop && !journal->no_room) {
      pthread_cond_wait(&journal->changed, &journal->mutex); // it is in the making
      continue;
    }
    if (!leave_segment(journal)) {
      return false;
    }
  }
  return true;
}

bool journal_append(struct journal *journal, const char *topic, size_t topic_length, const void *payload, size_t payload_length,
                    uint8_t flags) {
  size_t size = record_size(topic_length, payload_length);
  pthread_mutex_lock(&journal->mutex);
  if (journal->retired || topic_length > UINT16_MAX || !make_room(journal, size)) {
    pthread_mutex_unlock(&journal->mutex);
    return false;
  }
  int64_t now = clock_wall_us();
  journal->received = now > journal->received ? now : journal->received;
  struct record record = {.number = journal->head,
                          .received = journal->received,
                          .flags = flags,
                          .topic = topic,
                          .topic_length = topic_length,
                          .payload = payload,
                          .payload_length = payload_length};
  record_write(journal->newest, journal->end, &record);
  journal->end += size;
  if (record.number == journal->group) {
    journal->group_received = record.received;
  }
  bool first = journal->head++ == journal->synced;
  if (first) {
    journal->sync_at = clock_steady_us() + (int64_t)journal->config.sync_ms * 1000;
    pthread_cond_broadcast(&journal->changed);
  }
  while (journal->config.sync_ms == 0 && journal->syncer_runs && journal->synced <= record.number) {
    pthread_cond_wait(&journal->changed, &journal->mutex);
  }
  pthread_mutex_unlock(&journal->mutex);
  return true;
}

uint64_t journal_oldest(const struct journal *journal) {
  return journal->oldest->first; // only the loop's thread removes segments
}

uint64_t journal_head(struct journal *journal) {
  pthread_mutex_lock(&journal->mutex);
  uint64_t head = journal->head;
  pthread_mutex_unlock(&journal->mutex);
  return head;
}

bool journal_seek(struct journal *journal, uint64_t number) {
  pthread_mutex_lock(&journal->mutex);
  uint64_t synced = journal->synced;
  bool at_head = number == journal->head;
  size_t end = journal->end;
  struct segment *at = journal->oldest;
  while (at->next != NULL && at->next->first <= number) {
    at = at->next;
  }
  pthread_mutex_unlock(&journal->mutex);
  if (number < journal->oldest->first || number > synced) {
    return false;
  }
  struct record record;
  size_t offset = at_head ? end : SEGMENT_HEADER;
  for (uint64_t n = at->first; !at_head && n < number; n++) {
    size_t size = record_read(at, offset, n, &record);
    if (size == 0) {
      break; // nothing behind it can be found: the reader stands at a damaged place
    }
    offset += size;
    journal->passed = record.received;
  }
  journal->at = at;
  journal->offset = offset;
  journal->number = number;
  return true;
}

// Whether there is a record for the reader, which then stands at it in the right segment; the mutex is held.
static bool is_readable(struct journal *journal) {
  struct segment *next = journal->at->next;
  if (journal->number < journal->synced && next != NULL && next->first == journal->number) {
    journal->at = next;
    journal->offset = SEGMENT_HEADER;
  }
  return journal->number < journal->synced;
}

bool journal_next(struct journal *journal, struct record *record) {
  pthread_mutex_lock(&journal->mutex);
  bool there = is_readable(journal);
  pthread_mutex_unlock(&journal->mutex);
  size_t size = there ? record_read(journal->at, journal->offset, journal->number, record) : 0;
  if (size > 0) {
    journal->offset += size;
    journal->number++;
    journal->passed = record->received;
  }
  return size > 0;
}

uint64_t journal_damaged(struct journal *journal) {
  struct record record;
  uint64_t behind = 0;
  pthread_mutex_lock(&journal->mutex);
  if (is_readable(journal) && record_read(journal->at, journal->offset, journal->number, &record) == 0) {
    // The newest segment is left, so that the next start takes no damaged record for its torn end.
    if (journal->at->next == NULL && journal->spare != NULL && leave_segment(journal)) {
      log_warn("a new journal segment is begun behind a damaged record", "record=%" PRIu64, journal->number);
    }
    if (journal->at->next != NULL) {
      behind = journal->at->next->first;
      log_error("records of the journal are damaged: they are lost", "file=%s first=%" PRIu64 " next=%" PRIu64, journal->at->path,
                journal->number, behind);
    }
  }
  pthread_mutex_unlock(&journal->mutex);
  return behind;
}

bool journal_turn(struct journal *journal, uint64_t *below) {
  pthread_mutex_lock(&journal->mutex);
  bool fresh = journal->end == SEGMENT_HEADER || (journal->spare != NULL && leave_segment(journal));
  *below = journal->newest->first;
  pthread_mutex_unlock(&journal->mutex);
  return fresh;
}

bool journal_forget(struct journal *journal, uint64_t below) {
  pthread_mutex_lock(&journal->mutex);
  if (journal->at->next != NULL && journal->at->next->first == journal->number) {
    journal->at = journal->at->next;
    journal->offset = SEGMENT_HEADER;
  }
  while (journal->oldest->first < below && journal_give_up_oldest(journal)) {}
  bool forgotten = journal->oldest->first >= below && journal->gone == NULL;
  pthread_mutex_unlock(&journal->mutex);
  return forgotten && journal_remove_aside(journal);
}

void journal_release(struct journal *journal, uint64_t number) {
  uint64_t kept = 0;
  pthread_mutex_lock(&journal->mutex);
  journal->released = number;
  for (struct segment *s = journal->oldest; s->next != NULL && s->next->first <= number; s = s->next) {
    kept += s->size;
  }
  for (size_t size = journal->oldest->size; kept > (uint64_t)journal->config.keep_mib << 20; size = journal->oldest->size) {
    if (!journal_give_up_oldest(journal)) {
      break;
    }
    kept -= size;
  }
  pthread_mutex_unlock(&journal->mutex);
}

uint64_t journal_pending_bytes(struct journal *journal) {
  pthread_mutex_lock(&journal->mutex);
  uint64_t pending = 0;
  for (struct segment *s = journal->at; s != NULL; s = s->next) {
    pending += s->next != NULL ? s->size : journal->end;
  }
  pending -= journal->offset < pending ? journal->offset : pending;
  pthread_mutex_unlock(&journal->mutex);
  return pending;
}

void journal_sync_times(struct journal *journal, struct histogram *times) {
  pthread_mutex_lock(&journal->mutex);
  *times = journal->sync_times;
  pthread_mutex_unlock(&journal->mutex);
}

int64_t journal_received_to(struct journal *journal, uint64_t next) {
  struct record record;
  int64_t received = 0;
  pthread_mutex_lock(&journal->mutex);
  if (next < journal->head && next == journal->number) {
    bool beyond = journal->at->next != NULL && journal->at->next->first == next;
    size_t size = record_read(beyond ? journal->at->next : journal->at, beyond ? SEGMENT_HEADER : journal->offset, next, &record);
    received = size > 0 ? record.received : journal->passed;
  } else if (next == journal->head) {
    int64_t now = clock_wall_us();
    journal->received = now > journal->received ? now : journal->received;
    received = journal->received;
  }
  pthread_mutex_unlock(&journal->mutex);
  return received;
}
