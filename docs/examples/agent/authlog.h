// Failed logins: lines of the system's authentication log in, a bounded tally out.
#ifndef VEDETTE_AGENT_AUTHLOG_H
#define VEDETTE_AGENT_AUTHLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "docs/examples/agent/text.h"

enum {
  AUTHLOG_SUBJECT_MAX = 129, // as Event.subject, and the terminator
  AUTHLOG_TALLY_MAX = 64,    // as Report.events
};

struct authlog_failure {
  uint32_t count;                    // how many alike
  uint8_t source_size;               // 4 or 16; 0: no address known
  uint8_t source[16];                // network order
  char subject[AUTHLOG_SUBJECT_MAX]; // user name as tried, cleaned for a report
};

// Reads one line of a syslog file (or of `journalctl --output=short`): sshd's "Failed password for [invalid user] X from ADDRESS
// port N", also when rsyslog has folded repetitions, and pam_unix's "authentication failure" of every other service (sshd's would
// count twice). User names are chosen by whoever tries to get in, so only the end of a line is believed. False for all other
// lines.
bool authlog_parse(struct text line, struct authlog_failure *out);

// Failures since the last report, those alike in one. What no longer fits is counted in the last place, without name and address.
struct authlog_tally {
  size_t count;
  struct authlog_failure failures[AUTHLOG_TALLY_MAX];
};

void authlog_tally_add(struct authlog_tally *tally, const struct authlog_failure *failure);

#endif
