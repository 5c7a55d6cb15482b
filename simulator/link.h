// One device's MQTT 3.1.1 session over mutual TLS: libmosquitto driven by libevent, without a thread of its own.
//
// All links of a process share one TLS context; each shows its own certificate. Single thread: that of the event base.
#ifndef VEDETTE_SIMULATOR_LINK_H
#define VEDETTE_SIMULATOR_LINK_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  LINK_RESERVE = 8, // messages beyond the window, for births and goodbyes
  LINK_ERROR = 256,
  LINK_MESSAGE = 1024, // bytes of a received message; a longer one is missed
  LINK_INBOX = 16      // messages received in one turn; what comes beyond is missed
};

struct link_settings {
  struct event_base *base;
  const char *host;
  uint16_t port;
  const char *ca;           // file
  const char *certificates; // folder of <credential>.crt and <credential>.key
  uint16_t keepalive;       // seconds
  uint32_t window;          // most messages a link may have unacknowledged
};

// What a message was, for its acknowledgement.
enum link_what {
  LINK_REPORT, // a report that is to be stored
  LINK_KEPT,   // the same of a device that keeps it and sends it again by itself
  LINK_BAD,    // a message on a report topic that is to be refused
  LINK_BIRTH,
  LINK_GOODBYE
};
struct link_tag {
  enum link_what what;
  uint64_t boot;
  uint64_t sequence;
};

// How a link calls its owner; always from the event loop or from within one of the functions below, never from inside
// libmosquitto.
struct link_owner {
  void (*online)(void *owner);                                   // the broker accepted the connection
  void (*acknowledged)(void *owner, const struct link_tag *tag); // PUBACK; may call link_publish and link_close
  void (*down)(void *owner, bool wanted,
               const char *reason); // the connection is gone; `wanted`: link_close or link_break asked for it
  void (*received)(void *owner, const uint8_t *bytes, size_t size); // on a subscribed topic; may call link_publish
};

struct link_context;
struct link_context *link_context_new(const struct link_settings *settings, char *error, size_t error_size);
// All links have to be freed before.
void link_context_free(struct link_context *context);

struct link;
// `credential` is kept. NULL: out of memory.
struct link *link_new(struct link_context *context, const char *credential, const struct link_owner *calls, void *owner);
void link_free(struct link *link);

// Starts to connect, with a retained last will. NULL, or why it failed at once (`down` is not called then).
const char *link_open(struct link *link, const char *will_topic, const void *will, size_t will_size);

bool link_online(const struct link *link);
// True while no connection is there or being made.
bool link_idle(const struct link *link);

// True if a report may be published: online and the window is not full.
bool link_has_room(const struct link *link);
// Reports (good and bad, without those that their device keeps) that are not acknowledged.
size_t link_reports_waiting(const struct link *link);
// Within `down`: whether the connection that is gone had been accepted by the broker.
bool link_was_online(const struct link *link);

// Publishes with QoS 1. What is not acknowledged when the connection breaks is sent again on the next one. 0, or -1: not taken.
int link_publish(struct link *link, const char *topic, const void *payload, size_t size, bool retain, const struct link_tag *tag);

// Subscribes with QoS 0, until the connection ends. 0 or -1.
int link_subscribe(struct link *link, const char *topic);
// Messages of all links that were not handed over: too long, or too many in one turn.
uint64_t link_missed(const struct link_context *context);

// Sends DISCONNECT behind what was published, then closes.
void link_close(struct link *link);

// Closes the socket without DISCONNECT: the broker publishes the will.
void link_break(struct link *link);

// Forgets what was not acknowledged, as a device does that loses its memory. The link has to be idle. 0, or -1: out of memory.
int link_forget(struct link *link);

// Keepalive and limits on how long connecting and closing may take; to be called about once a second. `now` is monotonic seconds.
void link_sweep(struct link *link, double now);

#endif
