// The session with the broker, through Paho MQTT C: MQTT 5 over mutual TLS, session kept, shared subscription for reports.
//
// Paho calls back on its own thread, under a lock of the whole process, and acknowledges when the callback returns. The callback
// appends to the journal and returns; should that fail the process ends, so that the message is never acknowledged. Everything
// else here belongs to the loop's thread.
#ifndef VEDETTE_INGEST_SESSION_H
#define VEDETTE_INGEST_SESSION_H

#include "common/config.h"
#include "common/loop.h"
#include "ingest/journal.h"
#include "ingest/mapping.h"
#include "ingest/tombstones.h"

#include <stdbool.h>

struct session;

// Connects when the loop runs, unless paused before, and reconnects with back-off until session_stop. Subscribes to the topics of
// vedette/v1 and of the mappings. NULL on failure, logged.
// What comes from erased devices is acknowledged and let go, before the journal.
struct session *session_new(struct loop *loop, const struct config *config, const struct mappings *mappings,
                            struct journal *journal, struct tombstones *tombstones);
void session_free(struct session *session); // after session_stop; accepts NULL

void session_pause(struct session *session);  // leaves the broker, the session is kept there
void session_resume(struct session *session); // and comes back
void session_reload(struct session *session); // reconnects with the certificates as they are now

// Leaves the broker; `done` runs on the loop's thread after the goodbye, or after 2 s. A callback
// may still come after that (Paho): the journal has to outlive session_free.
void session_stop(struct session *session, loop_cb done, void *arg);

// Publishes a notice with QoS 0. False: not now, we are not subscribed or too many wait to be sent.
bool session_notify(struct session *session, const char *topic, const void *payload, size_t size);

// Makes the broker forget the message that it retains for a topic. False: not now. How many were not acknowledged yet is
// session_clearing; −1 once after one failed, or the connection went down.
bool session_clear(struct session *session, const char *topic);
int session_clearing(struct session *session);

bool session_paused(const struct session *session);
// Since when we have been subscribed without a break, Unix microseconds; 0: we are not.
int64_t session_since(const struct session *session);
uint64_t session_received(const struct session *session);    // messages appended
uint64_t session_turned_away(const struct session *session); // of erased devices

#endif
