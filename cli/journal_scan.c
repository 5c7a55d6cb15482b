#include "cli/journal_scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

enum { AGAIN_MS = 50, AGAIN_MOST = 5 };

static int is_segment(const struct dirent *entry) {
  return strlen(entry->d_name) == 20 && strspn(entry->d_name, "0123456789abcdef") == 16 &&
         strcmp(entry->d_name + 16, ".vdj") == 0;
}

static void id_text(const uint8_t *id, char out[JOURNAL_ID_TEXT]) {
  for (int i = 0; i < JOURNAL_ID; i++) {
    out += sprintf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", id[i]);
  }
}

static void read_id(struct scan *scan, const char *folder) {
  uint8_t id[JOURNAL_ID + 1];
  char *path = NULL;
  int fd = asprintf(&path, "%s/id", folder) < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd >= 0 && read(fd, id, sizeof id) == JOURNAL_ID) {
    id_text(id, scan->id);
  }
  if (fd >= 0) {
    close(fd);
  }
  free(path);
}

static const char *describe(int why) {
  switch (why) {
  case EINVAL: return "its head is damaged, or it is no segment";
  case EFBIG: return "it is larger than a segment can be";
  default: return strerrordesc_np(why);
  }
}

// Loads a segment and checks its head. NULL with the state set.
static struct segment *load(const struct scan *scan, const char *folder, struct scan_file *file) {
  char id[JOURNAL_ID_TEXT];
  char *path = NULL;
  struct segment *segment = asprintf(&path, "%s/%s", folder, file->name) < 0 ? NULL : segment_load(path, &file->unreadable);
  int why = errno;
  free(path);
  if (segment == NULL) {
    file->state = why == ENODATA ? SCAN_UNBEGUN : why == ENOENT ? SCAN_REMOVED : SCAN_UNUSABLE;
    file->why = why == ENODATA ? "its head was never written" : why == ENOENT ? NULL : describe(why);
    return NULL;
  }
  id_text(segment_id(segment), id);
  file->size = segment->size;
  if (segment->first != file->first || (scan->id[0] != '\0' && strcmp(id, scan->id) != 0)) {
    file->state = SCAN_UNUSABLE;
    file->why = segment->first != file->first ? "its head names another first record than its name" : "it is of another journal";
    segment_close(segment);
    return NULL;
  }
  return segment;
}

// Reads records from where the file stands.
static void walk(const struct scan *scan, const struct segment *segment, struct scan_file *file) {
  struct record record;
  size_t size = 0;
  while ((size = record_read(segment, file->used, file->next, &record)) > 0) {
    file->first_received = file->next == file->first ? record.received : file->first_received;
    file->last_received = record.received;
    file->used += size;
    file->next++;
    if (scan->visit != NULL) {
      scan->visit(file, &record, scan->arg);
    }
  }
}

// What lies behind the last record of the newest segment. A worker may be writing it just now: what it writes is whole when it is
// read again.
static struct segment *judge_end(const struct scan *scan, const char *folder, struct segment *segment, struct scan_file *file) {
  enum segment_tail tail = segment_tail(segment, file->used, file->next);
  uint64_t stuck_at = file->next;
  for (int i = 0; tail != TAIL_EMPTY && file->next == stuck_at && i < AGAIN_MOST; i++) {
    cli_sleep_ms(AGAIN_MS);
    segment_close(segment);
    segment = load(scan, folder, file);
    if (segment == NULL) {
      return NULL;
    }
    walk(scan, segment, file);
    tail = segment_tail(segment, file->used, file->next);
  }
  if (tail != TAIL_EMPTY && file->next == stuck_at) {
    file->state = tail == TAIL_TORN ? SCAN_TORN : SCAN_DAMAGED;
    file->why = tail == TAIL_TORN ? "the remains of a write that was cut short" : "whole records follow the damaged one";
  }
  return segment;
}

static void scan_file(const struct scan *scan, const char *folder, struct scan_file *file, const struct scan_file *newer) {
  struct segment *segment = load(scan, folder, file);
  if (segment == NULL) {
    file->missing_to = newer ? newer->first : 0;
    if (newer != NULL && file->state == SCAN_UNBEGUN) {
      file->state = SCAN_UNUSABLE;
    }
    return;
  }
  file->used = SEGMENT_HEADER;
  walk(scan, segment, file);
  if (newer == NULL) {
    segment = judge_end(scan, folder, segment, file);
  } else if (file->next != newer->first) {
    file->state = SCAN_DAMAGED;
    file->missing_to = newer->first;
    file->why = file->next > newer->first ? "the next segment begins before this one ends" : "the next segment begins later";
  }
  if (file->unreadable > 0) {
    file->why = "the disk cannot read all of it";
    file->state = file->state == SCAN_WHOLE ? SCAN_WHOLE : SCAN_DAMAGED;
  }
  segment_close(segment);
}

bool scan_folder(struct scan *scan, const char *folder) {
  struct dirent **names = NULL;
  int count = scandir(folder, &names, is_segment, alphasort);
  if (count < 0) {
    return false;
  }
  read_id(scan, folder);
  scan->files = calloc((size_t)count + 1, sizeof *scan->files);
  bool ok = scan->files != NULL;
  for (int i = 0; i < count; i++) {
    if (ok) {
      (void)snprintf(scan->files[i].name, sizeof scan->files[i].name, "%.20s", names[i]->d_name);
      scan->files[i].first = scan->files[i].next = strtoull(names[i]->d_name, NULL, 16);
    }
    free(names[i]);
  }
  free((void *)names);
  for (int i = 0; ok && i < count; i++) {
    scan_file(scan, folder, &scan->files[i], i + 1 < count ? &scan->files[i + 1] : NULL);
    if (scan->progress) {
      fprintf(stderr, "\r\033[K%d of %d segments read", i + 1, count);
    }
  }
  if (scan->progress) {
    fputs("\r\033[K", stderr);
  }
  scan->count = (size_t)count;
  if (ok && count == 0 && scan->id[0] == '\0') {
    errno = ENOENT;
    return false;
  }
  return ok;
}

void scan_free(struct scan *scan) {
  free(scan->files);
  scan->files = NULL;
}
