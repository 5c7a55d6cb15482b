#include "ingest/segment.h"

#include "common/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the journal is written as memory holds it, and is little-endian");

enum {
  SEGMENT_MOST = 1 << 30, // bytes of a file, as the configuration limits it
  COPY_BYTES = 1 << 20,
  PAGE_BYTES = 4096,
  BODY_MOST = 1 << 20,   // bytes of a record that is looked for; a message has fewer
  CANDIDATES_MOST = 100, // places that look like a record and are none, before looking ends
};

static const char magic[8] = {'V', 'D', 'J', 'R', 'N', 'L', '0', '1'};

struct header {
  char magic[8];
  uint8_t id[JOURNAL_ID];
  uint64_t first;
  uint64_t size;
  uint32_t crc;
  uint8_t zero[SEGMENT_HEADER - 44];
};
_Static_assert(sizeof(struct header) == SEGMENT_HEADER, "layout of the header");

struct prefix {
  uint32_t crc;
  uint32_t body;
  uint64_t number;
  int64_t received;
  uint16_t topic;
  uint8_t flags;
  uint8_t zero[5];
};
_Static_assert(sizeof(struct prefix) == RECORD_HEADER, "layout of a record's head");

// Maps a file, or memory for what will be read of one (fd −1).
static struct segment *segment_map(const char *path, int fd, size_t size) {
  struct segment *segment = calloc(1, sizeof *segment);
  if (segment == NULL) {
    return NULL;
  }
  segment->fd = fd;
  segment->size = size;
  segment->path = strdup(path);
  segment->map = mmap(NULL, size, PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
  if (segment->map == MAP_FAILED || segment->path == NULL) {
    segment->map = segment->map == MAP_FAILED ? NULL : segment->map;
    segment->fd = -1; // stays the caller's
    segment_close(segment);
    return NULL;
  }
  return segment;
}

struct segment *segment_allocate(const char *path, size_t size) {
  struct stat info;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return NULL;
  }
  int failed = fstat(fd, &info) != 0 || ((size_t)info.st_size != size && ftruncate(fd, 0) != 0) ? errno : 0;
  // Allocated before it is mapped: a full disk shows here and not as SIGBUS in the middle of a record.
  failed = failed ? failed : posix_fallocate(fd, 0, (off_t)size);
  failed = failed || fsync(fd) == 0 ? failed : errno;
  struct segment *segment = failed ? NULL : segment_map(path, fd, size);
  if (segment == NULL) {
    failed = failed ? failed : errno;
    unlink(path); // what it could get of the disk goes back
    close(fd);
    errno = failed;
  }
  return segment;
}

bool segment_begin(struct segment *segment, const char *path, const uint8_t *id, uint64_t first) {
  struct header header = {.first = first, .size = segment->size};
  char *name = strdup(path);
  memcpy(header.magic, magic, sizeof magic);
  memcpy(header.id, id, JOURNAL_ID);
  header.crc = crc32c(0, &header, offsetof(struct header, crc));
  memcpy(segment->map, &header, sizeof header);
  if (name == NULL || fsync(segment->fd) != 0 || rename(segment->path, path) != 0) {
    free(name);
    return false;
  }
  free(segment->path);
  segment->path = name;
  segment->first = first;
  return true;
}

static int check_header(const struct segment *segment, const uint8_t *id) {
  static const struct header unfinished;
  struct header header;
  memcpy(&header, segment->map, sizeof header);
  if (memcmp(&header, &unfinished, sizeof header) == 0) {
    return ENODATA;
  }
  if (memcmp(header.magic, magic, sizeof magic) != 0 || header.crc != crc32c(0, &header, offsetof(struct header, crc)) ||
      header.size != segment->size) {
    return EINVAL;
  }
  return id != NULL && memcmp(header.id, id, JOURNAL_ID) != 0 ? ESTALE : 0;
}

struct segment *segment_open(const char *path, const uint8_t *id) {
  struct stat info;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    return NULL;
  }
  int failed = ENODATA;
  if (fstat(fd, &info) != 0) {
    failed = errno;
  } else if (info.st_size >= SEGMENT_HEADER + RECORD_HEADER) {
    struct segment *segment = segment_map(path, fd, (size_t)info.st_size);
    failed = segment ? check_header(segment, id) : errno;
    if (segment != NULL && failed == 0) {
      segment->first = ((const struct header *)(const void *)segment->map)->first;
      return segment;
    }
    if (segment != NULL) {
      segment->fd = -1;
      segment_close(segment);
    }
  }
  close(fd);
  errno = failed;
  return NULL;
}

// Copies the file; what cannot be read is left out, page by page. Returns how much that is.
static size_t copy_file(int fd, uint8_t *to, size_t size) {
  size_t unreadable = 0;
  for (size_t at = 0; at < size;) {
    ssize_t got = pread(fd, to + at, size - at < COPY_BYTES ? size - at : COPY_BYTES, (off_t)at);
    if (got > 0) {
      at += (size_t)got;
    } else if (got == 0) {
      return unreadable + (size - at);
    } else if (errno != EINTR) {
      size_t page = PAGE_BYTES - at % PAGE_BYTES;
      page = page < size - at ? page : size - at;
      unreadable += page;
      at += page;
    }
  }
  return unreadable;
}

// Size of a file that may be a segment. Returns 0 or errno.
static int regular_size(int fd, size_t *size) {
  struct stat info;
  if (fstat(fd, &info) != 0) {
    return errno;
  }
  *size = (size_t)info.st_size;
  if (!S_ISREG(info.st_mode)) {
    return EINVAL;
  }
  return info.st_size > SEGMENT_MOST ? EFBIG : info.st_size < SEGMENT_HEADER + RECORD_HEADER ? ENODATA : 0;
}

struct segment *segment_load(const char *path, size_t *unreadable) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); // whatever it is, it does not hold us
  if (fd < 0) {
    return NULL;
  }
  size_t size = 0;
  struct segment *segment = NULL;
  int failed = regular_size(fd, &size);
  if (failed == 0) {
    segment = segment_map(path, -1, size);
    failed = segment ? 0 : ENOMEM;
  }
  if (segment != NULL) {
    *unreadable = copy_file(fd, segment->map, size);
    failed = check_header(segment, NULL);
    segment->first = ((const struct header *)(const void *)segment->map)->first;
  }
  close(fd);
  if (failed != 0) {
    segment_close(segment);
    errno = failed;
    return NULL;
  }
  return segment;
}

const uint8_t *segment_id(const struct segment *segment) {
  return segment->map + offsetof(struct header, id);
}

void segment_close(struct segment *segment) {
  if (segment == NULL) {
    return;
  }
  if (segment->map != NULL) {
    munmap(segment->map, segment->size);
  }
  if (segment->fd >= 0) {
    close(segment->fd);
  }
  free(segment->path);
  free(segment);
}

size_t record_size(size_t topic_length, size_t payload_length) {
  return (RECORD_HEADER + topic_length + payload_length + 7) & ~(size_t)7;
}

void record_write(struct segment *segment, size_t offset, const struct record *record) {
  uint8_t *at = segment->map + offset;
  size_t body = record->topic_length + record->payload_length;
  struct prefix prefix = {.body = (uint32_t)body,
                          .number = record->number,
                          .received = record->received,
                          .topic = (uint16_t)record->topic_length,
                          .flags = record->flags};
  memcpy(at + RECORD_HEADER, record->topic, record->topic_length);
  if (record->payload_length > 0) {
    memcpy(at + RECORD_HEADER + record->topic_length, record->payload, record->payload_length);
  }
  memcpy(at + 4, (const uint8_t *)&prefix + 4, RECORD_HEADER - 4);
  uint32_t crc = crc32c(0, at + 4, RECORD_HEADER - 4 + body);
  memcpy(at, &crc, sizeof crc);
}

size_t record_read(const struct segment *segment, size_t offset, uint64_t number, struct record *record) {
  struct prefix prefix;
  if (offset > segment->size || segment->size - offset < RECORD_HEADER) {
    return 0;
  }
  const uint8_t *at = segment->map + offset;
  memcpy(&prefix, at, sizeof prefix);
  if (prefix.number != number || prefix.body > segment->size - offset - RECORD_HEADER || prefix.topic > prefix.body ||
      prefix.crc != crc32c(0, at + 4, RECORD_HEADER - 4 + prefix.body)) {
    return 0;
  }
  *record = (struct record){
      .number = prefix.number,
      .received = prefix.received,
      .flags = prefix.flags,
      .topic = (const char *)at + RECORD_HEADER,
      .topic_length = prefix.topic,
      .payload = at + RECORD_HEADER + prefix.topic,
      .payload_length = prefix.body - prefix.topic,
  };
  return record_size(record->topic_length, record->payload_length);
}

enum segment_tail segment_tail(const struct segment *segment, size_t offset, uint64_t number) {
  enum segment_tail tail = TAIL_EMPTY;
  struct prefix prefix;
  struct record record;
  int candidates = 0;
  for (size_t at = offset; at < segment->size; at += 8) {
    uint64_t word = 0;
    memcpy(&word, segment->map + at, segment->size - at < sizeof word ? segment->size - at : sizeof word);
    if (word == 0) {
      continue;
    }
    tail = TAIL_TORN;
    if (segment->size - at < sizeof prefix) {
      continue;
    }
    memcpy(&prefix, segment->map + at, sizeof prefix);
    bool may_be = prefix.number > number && prefix.number - number <= segment->size / RECORD_HEADER && prefix.body <= BODY_MOST;
    if (may_be && record_read(segment, at, prefix.number, &record) > 0) {
      return TAIL_RECORDS;
    }
    candidates += may_be;
    if (candidates > CANDIDATES_MOST) {
      return TAIL_TORN;
    }
  }
  return tail;
}
