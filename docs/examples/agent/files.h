// Files read whole, hashed, and the one file the agent writes: its boot counter.
#ifndef VEDETTE_AGENT_FILES_H
#define VEDETTE_AGENT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "docs/examples/agent/text.h"

// Memory that is kept from one reading to the next. Zero it first, free with files_free.
struct files_buffer {
  char *bytes;
  size_t size;
  size_t used;
};

// Reads `folder`/`name` (`folder` NULL: `name`) whole, up to 8 MiB. Returns its text, which lives in `buffer` until the next
// call; an empty text, errno set, when it cannot be read.
struct text files_read(struct files_buffer *buffer, const char *folder, const char *name);
void files_free(struct files_buffer *buffer);

// SHA-256 of a file, in pieces. False, errno set where there is one, if it cannot be read.
bool files_sha256(const char *path, uint8_t hash[32]);

// Takes the next boot number: reads the counter in `path` (a missing file is 0), adds one, and has the new value on the disk
// before it returns. 0 with one clear sentence in `error` if that fails.
uint64_t files_next_boot(const char *path, char *error, size_t error_size);

#endif
