// Messages of the wire contract, built from snapshots and packed.
#ifndef VEDETTE_AGENT_REPORT_H
#define VEDETTE_AGENT_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "docs/examples/agent/authlog.h"
#include "docs/examples/agent/snapshot.h"

// A packed message.
struct report_bytes {
  uint8_t *bytes; // owned by whoever holds the struct, freed with free()
  size_t size;
};

// Which run of the agent this is: a counter kept in a file, or a number drawn at the start. `value` is never 0.
struct report_boot {
  bool random;
  uint64_t value;
};

struct report_content {
  const char *credential;
  struct report_boot boot;
  uint64_t sequence;
  const struct snapshot *before; // traffic is counted from here
  const struct snapshot *now;
  const struct snapshot_firmware *firmware; // NULL: leave firmware and the metrics' declarations out
  const struct authlog_tally *logins;
};

enum report_state { REPORT_ONLINE, REPORT_OFFLINE };

// Builds and packs a report; bytes is NULL without memory.
struct report_bytes report_pack(const struct report_content *content);

// Makes a packed report a historical one, in place: the field is added at the end, which protobuf allows for every field.
// report_pack leaves room for it. Only before the report was first sent: afterwards it must stay the same to the byte.
void report_mark_historical(struct report_bytes *report);

// Packs a birth, goodbye or will. `time` is 0 for a will, which is written before it happens.
struct report_bytes report_connectivity(enum report_state state, struct report_boot boot, uint64_t connection, const char *reason,
                                        int64_t time);

#endif
