// The truth file: what the simulator really did, as JSON lines, each on the disk's way as it happens.
#ifndef VEDETTE_SIMULATOR_TRUTH_H
#define VEDETTE_SIMULATOR_TRUTH_H

#include <stddef.h>
#include <stdint.h>

struct truth;

struct truth_line {
  const char *fault;
  const char *kind;
  const char *device;
  const char *through; // a child's gateway that has the fault, or NULL
  const char *expect;  // what the scenario says that ought to come of it, or NULL
  int64_t start;       // microseconds since 1970
  int64_t end;         // 0: goes on
};

// Opens `path` for appending. NULL with a sentence in `error`.
struct truth *truth_open(const char *path, char *error, size_t error_size);
// Closes; NULL is fine.
void truth_close(struct truth *truth);

// Writes a line: at the start of a fault with `end` 0 (null in the file), and once more with both times at its end.
// A NULL truth writes nothing. A failed write is logged once.
void truth_write(struct truth *truth, const struct truth_line *line);

// Writes a text as a JSON string with its quotes; cut to fit. Returns `out`.
const char *truth_quote(char *out, size_t size, const char *text);

// Formats microseconds since 1970 as RFC 3339 UTC with milliseconds. `out` has room for 32 bytes.
void truth_time(int64_t time, char *out);

#endif
