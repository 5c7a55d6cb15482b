// One file of the journal: a header, then records back to back, in a memory mapping. Used by journal.c and by tools that read
// journals.
//
// Layout, little-endian, offsets in bytes:
//   header (64): "VDJRNL01", journal id (16), number of the first record (8), file size (8), CRC-32C of these 40 bytes (4), zero
//   record: CRC-32C of the rest of the record (4), body length (4), number (8), received, Unix microseconds (8), topic length
//   (2),
//           flags (1), zero (5); then the body: topic, payload; padded with zeros to a multiple of 8
// A record is whole when its number is the expected one and its checksum fits; the first that is not is the end of the file.
#ifndef VEDETTE_INGEST_SEGMENT_H
#define VEDETTE_INGEST_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SEGMENT_HEADER = 64, RECORD_HEADER = 32, JOURNAL_ID = 16 };
enum { RECORD_DUP = 1, RECORD_RETAINED = 2, RECORD_REPLAY = 4 }; // REPLAY: a dead letter that was handed back

// A record as it lies in the mapping; pointers are valid while the segment is mapped. The payload has no terminator.
struct record {
  uint64_t number;
  int64_t received; // Unix microseconds
  uint8_t flags;
  const char *topic;
  size_t topic_length;
  const uint8_t *payload;
  size_t payload_length;
};

struct segment {
  struct segment *next; // newer
  uint64_t first;       // number of the first record
  size_t size;          // of the file, bytes
  uint8_t *map;
  int fd;
  char *path;
};

// Makes a file of `size` bytes, allocated on the disk and mapped, in which no record can be yet. One that an earlier process left
// at `path` is taken over. NULL on failure, errno set, and nothing is left.
struct segment *segment_allocate(const char *path, size_t size);
// Makes it the file `path` for the records from `first` on: header written and synced. False on failure, errno set; it may be
// begun again.
bool segment_begin(struct segment *segment, const char *path, const uint8_t *id, uint64_t first);
// Maps an existing file. NULL where it was not finished (errno ENODATA), is not a segment (EINVAL), is of another journal than
// `id` (ESTALE), or cannot be read.
struct segment *segment_open(const char *path, const uint8_t *id);
// Reads an existing file into memory of its own, for tools: it is not changed, and may be written to, cut off or be on a broken
// disk meanwhile. *unreadable: bytes that the disk did not give, zeros here. NULL as above, for any journal, or EFBIG.
struct segment *segment_load(const char *path, size_t *unreadable);
void segment_close(struct segment *segment); // unmaps; accepts NULL

const uint8_t *segment_id(const struct segment *segment); // of the journal; JOURNAL_ID bytes

// Bytes that a record takes in the file.
size_t record_size(size_t topic_length, size_t payload_length);
// Writes `record` at `offset`; the caller has made sure that it fits. The checksum is written last.
void record_write(struct segment *segment, size_t offset, const struct record *record);
// Reads the record at `offset`, which has to have `number`. Returns its size, or 0 where the records end.
size_t record_read(const struct segment *segment, size_t offset, uint64_t number, struct record *record);

// What lies where the records end, which should have gone on with `number` at `offset`: nothing, the remains of a torn write, or
// whole records, so that it is the one at `offset` that was damaged.
enum segment_tail { TAIL_EMPTY, TAIL_TORN, TAIL_RECORDS };
enum segment_tail segment_tail(const struct segment *segment, size_t offset, uint64_t number);

#endif
