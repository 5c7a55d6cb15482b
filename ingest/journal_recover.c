// What happens before a journal takes messages: making or finding its folder, reading it back, cutting a torn tail, handing over
// what a retired predecessor left.
#include "common/log.h"
#include "ingest/journal_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static void set_id(struct journal *journal) {
  char *out = journal->id_text;
  for (int i = 0; i < JOURNAL_ID; i++) {
    out += sprintf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", journal->id[i]);
  }
}

// Reads the folder's id, or draws one for a new folder: a new folder is a new feed.
static bool load_id(struct journal *journal, bool *is_new) {
  journal->id_file = openat(journal->folder, "id", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (journal->id_file < 0) {
    return journal_complain(journal, "the journal's id cannot be read", "id");
  }
  ssize_t size = pread(journal->id_file, journal->id, JOURNAL_ID, 0);
  *is_new = size == 0;
  if (*is_new) {
    if (getrandom(journal->id, JOURNAL_ID, 0) != JOURNAL_ID ||
        pwrite(journal->id_file, journal->id, JOURNAL_ID, 0) != JOURNAL_ID || fsync(journal->id_file) != 0 ||
        fsync(journal->folder) != 0) {
      return journal_complain(journal, "the journal's id cannot be written", "id");
    }
  } else if (size != JOURNAL_ID) {
    errno = EINVAL;
    return journal_complain(journal, "the journal's id is damaged; move the folder away to begin a new journal", "id");
  }
  set_id(journal);
  return true;
}

static int is_segment(const struct dirent *entry) {
  size_t length = strlen(entry->d_name);
  return length == 20 && strcmp(entry->d_name + 16, ".vdj") == 0;
}

// A file of a journal that is no segment any more. What was in it is missing in the numbering, which the reader says.
static bool set_aside(const struct journal *journal, const char *name) {
  char aside[64];
  log_error("the head of a journal segment is damaged; the file is set aside", "file=%s new_name=%s.damaged", name, name);
  snprintf(aside, sizeof aside, "%.40s.damaged", name);
  return renameat(journal->folder, name, journal->folder, aside) == 0;
}

// Opens a segment and appends it to the list. False if the journal cannot be used without it, logged.
static bool load_segment(struct journal *journal, const char *name, bool last) {
  char *path = journal_path(journal, name);
  if (path == NULL) {
    return false;
  }
  struct segment *segment = segment_open(path, journal->id);
  int why = segment ? 0 : errno;
  bool ok = true;
  if (segment != NULL && segment->first != strtoull(name, NULL, 16)) {
    segment_close(segment);
    why = EINVAL;
  }
  if (why == 0) {
    *(journal->newest ? &journal->newest->next : &journal->oldest) = segment;
    journal->newest = segment;
  } else if (why == ENODATA && last) {
    // The process died while it made the file; nothing was acknowledged out of it.
    log_warn("an unfinished journal segment is removed", "file=%s", name);
    ok = unlink(path) == 0;
  } else {
    errno = why;
    ok = ((why == EINVAL || why == ENODATA) && set_aside(journal, name)) ||
         journal_complain(journal, "a journal segment cannot be used", name);
  }
  free(path);
  return ok;
}

static bool load_segments(struct journal *journal) {
  struct dirent **names = NULL;
  int count = scandir(journal->config.folder, &names, is_segment, alphasort);
  bool ok = count >= 0;
  for (int i = 0; i < count; i++) {
    ok = ok && load_segment(journal, names[i]->d_name, i == count - 1);
    free(names[i]);
  }
  free(names);
  return ok;
}

// Finds the end of the newest segment; what follows it is cleared, so that no remains of a torn write are ever taken for records.
static void find_end(struct journal *journal) {
  struct segment *last = journal->newest;
  struct record record;
  size_t size;
  journal->head = last->first;
  journal->end = SEGMENT_HEADER;
  while ((size = record_read(last, journal->end, journal->head, &record)) > 0) {
    journal->end += size;
    journal->head++;
    journal->received = record.received;
  }
  enum segment_tail tail = segment_tail(last, journal->end, journal->head);
  if (tail != TAIL_EMPTY) {
    memset(last->map + journal->end, 0, last->size - journal->end);
    log_warn("torn tail of the journal cut off", "file=%s after_record=%" PRIu64 " whole_records_cut=%s", last->path,
             journal->head, tail == TAIL_RECORDS ? "yes" : "no");
  }
}

// Removes a retired journal's folder after its records were handed over. `next` goes first: a folder without it is only to be
// removed.
static void remove_folder(const struct journal *journal, const char *name) {
  char *path = journal_path(journal, name);
  DIR *dir = path ? opendir(path) : NULL;
  if (dir != NULL && unlinkat(dirfd(dir), "next", 0) != 0 && errno != ENOENT) {
    journal_complain(journal, "a file of the retired journal cannot be removed", "next");
  }
  for (struct dirent *entry = dir ? readdir(dir) : NULL; entry != NULL; entry = readdir(dir)) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && unlinkat(dirfd(dir), entry->d_name, 0) != 0) {
      journal_complain(journal, "a file of the retired journal cannot be removed", entry->d_name);
    }
  }
  if (dir != NULL) {
    closedir(dir);
  }
  if (path == NULL || rmdir(path) != 0) {
    journal_complain(journal, "the retired journal cannot be removed", name);
  }
  free(path);
}

// Appends the records that the retired journal in `retired/` had not stored. Done twice after a crash, the store refuses the
// repeats.
static bool hand_over(struct journal *journal) {
  char *path = journal_path(journal, "retired");
  struct journal old = {.config = {.folder = path}, .folder = -1, .id_file = -1};
  struct stat info;
  if (path == NULL || stat(path, &info) != 0) {
    free(path);
    return path != NULL;
  }
  uint64_t next = 0;
  uint64_t handed = 0;
  old.folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int mark = old.folder < 0 ? -1 : openat(old.folder, "next", O_RDONLY | O_CLOEXEC);
  if (old.folder >= 0 && mark < 0 && errno == ENOENT) { // an earlier start died while it removed the folder
    close(old.folder);
    remove_folder(journal, "retired");
    free(path);
    return true;
  }
  bool is_new;
  bool ok = mark >= 0 && read(mark, &next, sizeof next) == sizeof next && load_id(&old, &is_new) && load_segments(&old);
  for (struct segment *s = old.oldest; ok && s != NULL; s = s->next) {
    struct record record;
    size_t size;
    size_t offset = SEGMENT_HEADER;
    uint64_t number = s->first;
    for (; ok && (size = record_read(s, offset, number, &record)) > 0; number++, offset += size) {
      if (number >= next) {
        ok = journal_append(journal, record.topic, record.topic_length, record.payload, record.payload_length, record.flags);
        handed++;
      }
    }
    if (ok && s->next != NULL && number < s->next->first) {
      log_error("records of the retired journal are damaged: they are lost", "file=%s first=%" PRIu64 " next=%" PRIu64, s->path,
                number, s->next->first);
    }
  }
  for (struct segment *s = old.oldest, *after; s != NULL; s = after) {
    after = s->next;
    segment_close(s);
  }
  if (ok) {
    log_warn("the records of the retired journal are handed over to a new one", "old=%s new=%s records=%" PRIu64, old.id_text,
             journal->id_text, handed);
    ok = fdatasync(journal->newest->fd) == 0; // older segments were synced when they were left
    journal->synced = journal->head;
  } else {
    journal_complain(journal, "the retired journal cannot be read", "retired");
  }
  close(old.id_file >= 0 ? old.id_file : -1);
  close(mark);
  close(old.folder);
  if (ok) {
    remove_folder(journal, "retired");
  }
  free(path);
  return ok;
}

static bool move_segments(const struct journal *journal) {
  struct dirent **names = NULL;
  int count = scandir(journal->config.folder, &names, is_segment, alphasort);
  bool ok = count >= 0;
  for (int i = 0; i < count; i++) {
    char to[64];
    snprintf(to, sizeof to, "retired/%.40s", names[i]->d_name);
    ok = ok && renameat(journal->folder, names[i]->d_name, journal->folder, to) == 0;
    free(names[i]);
  }
  free(names);
  return ok;
}

// Puts a retired journal aside, into `retired/`. A death may come between any two steps: `retire` stays until the last of them,
// in which it becomes `next`, and the next start goes on.
static bool put_aside(const struct journal *journal) {
  uint64_t next;
  int mark = openat(journal->folder, "retire", O_RDONLY | O_CLOEXEC);
  if (mark < 0) {
    return errno == ENOENT || journal_complain(journal, "the journal's retirement cannot be read", "retire");
  }
  bool whole = read(mark, &next, sizeof next) == sizeof next;
  close(mark);
  if (!whole) { // it died while it wrote that; the store will tell it again
    return unlinkat(journal->folder, "retire", 0) == 0 || journal_complain(journal, "a file cannot be removed", "retire");
  }
  bool ok = (mkdirat(journal->folder, "retired", 0700) == 0 || errno == EEXIST) && move_segments(journal) &&
            (renameat(journal->folder, "id", journal->folder, "retired/id") == 0 || errno == ENOENT) &&
            renameat(journal->folder, "retire", journal->folder, "retired/next") == 0 && fsync(journal->folder) == 0;
  return ok || journal_complain(journal, "the retired journal cannot be put aside", "retired");
}

bool journal_recover(struct journal *journal) {
  bool is_new = false;
  if (mkdir(journal->config.folder, 0700) != 0 && errno != EEXIST) {
    return journal_complain(journal, "the journal's folder cannot be made", "");
  }
  journal->folder = open(journal->config.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (journal->folder < 0) {
    return journal_complain(journal, "the journal's folder cannot be opened", "");
  }
  if (flock(journal->folder, LOCK_EX | LOCK_NB) != 0) { // before anything in it is touched
    return journal_complain(journal, "the journal is in use by another process", "");
  }
  if (!put_aside(journal) || !load_id(journal, &is_new) || !load_segments(journal)) {
    return false;
  }
  pthread_mutex_lock(&journal->mutex);
  bool there = journal->newest != NULL || journal_begin_segment(journal);
  pthread_mutex_unlock(&journal->mutex);
  if (!there) {
    return false;
  }
  find_end(journal);
  if (fdatasync(journal->newest->fd) != 0) {
    return journal_complain(journal, "the journal cannot be synced", "");
  }
  journal->synced = journal->head;
  log_info("journal opened", "id=%s new=%s records=%" PRIu64 " oldest=%" PRIu64, journal->id_text, is_new ? "yes" : "no",
           journal->head, journal->oldest->first);
  return hand_over(journal);
}

void journal_retire(struct journal *journal, uint64_t next) {
  pthread_mutex_lock(&journal->mutex);
  journal->retired = true; // nothing is acknowledged any more
  int mark = openat(journal->folder, "retire", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (mark < 0 || write(mark, &next, sizeof next) != sizeof next || fsync(mark) != 0 || fsync(journal->folder) != 0) {
    journal_complain(journal, "the journal cannot be marked as retired", "retire");
  }
  if (mark >= 0) {
    close(mark);
  }
  pthread_mutex_unlock(&journal->mutex);
}
