// The agent's life with the broker: birth, reports in order, goodbye, and coming back with jitter. A state machine on the owner's
// thread that never waits: session_step does what is due.
#ifndef VEDETTE_AGENT_SESSION_H
#define VEDETTE_AGENT_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "docs/examples/agent/link.h"
#include "docs/examples/agent/queue.h"
#include "docs/examples/agent/report.h"

struct session;

// `queue` stays the caller's. NULL with a sentence in `error`.
struct session *session_create(const struct link_options *options, struct report_boot boot, struct queue *queue, uint64_t now_ms,
                               char *error, size_t error_size);
void session_free(struct session *session); // NULL is allowed

int session_descriptor(const struct session *session); // readable: call session_step

// Does what is due. Returns when it wants to be called again at the latest (monotonic milliseconds), UINT64_MAX for never.
uint64_t session_step(struct session *session, uint64_t now_ms);

// Says goodbye and disconnects; go on calling session_step until session_is_over, a few seconds at most.
void session_leave(struct session *session, uint64_t now_ms);
bool session_is_over(const struct session *session);

#endif
