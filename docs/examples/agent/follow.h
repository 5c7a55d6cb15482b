// Follows a log from its current end, never giving a line twice: a file, across rotation, or the output of journalctl.
#ifndef VEDETTE_AGENT_FOLLOW_H
#define VEDETTE_AGENT_FOLLOW_H

#include "docs/examples/agent/text.h"

// Called with each complete line. Lines past 4 KiB are passed over.
typedef void follow_line(void *context, struct text line);

struct follow;

// Follows the file at `path`. Without the file yet, it is followed from its beginning once it appears. NULL without memory.
struct follow *follow_file(const char *path);

// Follows the authentication messages of systemd's journal through a journalctl process of our own, which ends with us.
// NULL, errno set, where it cannot be started.
struct follow *follow_journalctl(void);

// Gives all lines written since the last call, at most 1 MiB at once, and never waits. Returns -1, errno set, if the log can no
// longer be read; calling again is allowed and may succeed.
int follow_read(struct follow *follow, follow_line *line, void *context);

void follow_close(struct follow *follow);

#endif
