// The journal's files: the spare segment that is kept ready, the next one begun, the stored ones removed.
#include "common/log.h"
#include "common/loop.h"
#include "ingest/journal_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char spare_name[] = "spare"; // no segment's name: what dies here is found by the next start and taken over
static const int64_t try_again_us = 1000000;

bool journal_complain(const struct journal *journal, const char *what, const char *name) {
  char text[512];
  char quoted[600];
  int why = errno;
  snprintf(text, sizeof text, "%s/%s: %s", journal->config.folder, name, strerror(why));
  log_error(what, "error=%s", log_quote(quoted, sizeof quoted, text));
  return false;
}

char *journal_path(const struct journal *journal, const char *name) {
  char *path = NULL;
  return asprintf(&path, "%s/%s", journal->config.folder, name) < 0 ? NULL : path;
}

void journal_make_spare(struct journal *journal) {
  pthread_mutex_unlock(&journal->mutex);
  char *path = journal_path(journal, spare_name);
  struct segment *spare = path ? segment_allocate(path, (size_t)journal->config.segment_mib << 20) : NULL;
  int why = errno;
  free(path);
  pthread_mutex_lock(&journal->mutex);
  if (spare == NULL && !journal->told) {
    errno = why;
    journal_complain(journal, "the journal has no room for its next segment; free some disk space", spare_name);
  }
  journal->spare = spare;
  journal->no_room = journal->told = spare == NULL;
  journal->try_at = clock_steady_us() + try_again_us;
}

void journal_remove_gone(struct journal *journal) {
  struct segment *gone = journal->gone;
  pthread_mutex_unlock(&journal->mutex);
  if (unlink(gone->path) != 0) {
    log_warn("a stored journal segment cannot be removed", "file=%s errno=%d", gone->path, errno);
  }
  pthread_mutex_lock(&journal->mutex);
  journal->gone = gone->next; // only now: journal_forget waits for the file to be gone
  pthread_mutex_unlock(&journal->mutex);
  segment_close(gone);
  pthread_mutex_lock(&journal->mutex);
}

static int is_aside(const struct dirent *entry) {
  size_t length = strlen(entry->d_name);
  return length > 8 && strcmp(entry->d_name + length - 8, ".damaged") == 0;
}

bool journal_remove_aside(const struct journal *journal) {
  struct dirent **names = NULL;
  int count = scandir(journal->config.folder, &names, is_aside, alphasort);
  bool removed = count >= 0;
  for (int i = 0; i < count; i++) {
    removed = (unlinkat(journal->folder, names[i]->d_name, 0) == 0 || errno == ENOENT) && removed;
    free(names[i]);
  }
  free(names);
  return (removed && fsync(journal->folder) == 0) || journal_complain(journal, "what was forgotten cannot be removed", "");
}

static const char soil[] = "soiled"; // the file that says so

bool journal_note_soiled(struct journal *journal, bool soiled) {
  int mark = soiled ? openat(journal->folder, soil, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
  bool noted = soiled ? mark >= 0 : unlinkat(journal->folder, soil, 0) == 0 || errno == ENOENT;
  if (mark >= 0) {
    close(mark);
  }
  return (noted && fsync(journal->folder) == 0) || journal_complain(journal, "cannot be noted", soil);
}

bool journal_is_soiled(const struct journal *journal) {
  return faccessat(journal->folder, soil, F_OK, 0) == 0;
}

bool journal_begin_segment(struct journal *journal) {
  char name[40];
  if (journal->spare == NULL && !journal->syncer_runs) {
    journal_make_spare(journal);
  }
  struct segment *segment = journal->spare;
  if (segment == NULL) {
    return false; // which journal_make_spare has said
  }
  snprintf(name, sizeof name, "%016" PRIx64 ".vdj", journal->head);
  char *path = journal_path(journal, name);
  bool begun = path && segment_begin(segment, path, journal->id, journal->head) && fsync(journal->folder) == 0;
  free(path);
  if (!begun) {
    return journal_complain(journal, "a journal segment cannot be begun", name);
  }
  journal->spare = NULL;
  journal->try_at = 0;
  *(journal->newest ? &journal->newest->next : &journal->oldest) = segment;
  journal->newest = segment;
  journal->end = SEGMENT_HEADER;
  pthread_cond_broadcast(&journal->changed);
  return true;
}

bool journal_give_up_oldest(struct journal *journal) {
  struct segment *oldest = journal->oldest;
  if (oldest->next == NULL || oldest->next->first > journal->released || oldest == journal->at) {
    return false;
  }
  struct segment **last = &journal->gone;
  while (*last != NULL) {
    last = &(*last)->next;
  }
  journal->oldest = oldest->next;
  oldest->next = NULL;
  *last = oldest;
  pthread_cond_broadcast(&journal->changed);
  return true;
}

enum journal_room journal_room(struct journal *journal) {
  pthread_mutex_lock(&journal->mutex);
  if (journal->no_room && journal_give_up_oldest(journal)) {
    log_warn("a stored journal segment is given up for room", "oldest_record=%" PRIu64, journal->oldest->first);
    journal->no_room = false;
    journal->try_at = 0;
  }
  enum journal_room room = journal->spare ? ROOM_THERE : journal->no_room ? ROOM_NONE : ROOM_SOUGHT;
  pthread_mutex_unlock(&journal->mutex);
  return room;
}
