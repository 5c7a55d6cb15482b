// Insides of links, shared by link.c and link_context.c only.
#ifndef VEDETTE_SIMULATOR_LINK_INSIDE_H
#define VEDETTE_SIMULATOR_LINK_INSIDE_H

#include <event2/event_struct.h>
#include <netinet/in.h>
#include <openssl/ssl.h>

#include "simulator/link.h"

struct mosquitto;

struct message {
  size_t size;
  uint8_t bytes[LINK_MESSAGE];
};

struct link_context {
  struct event_base *base;
  SSL_CTX *tls;
  char address[INET6_ADDRSTRLEN + 32]; // numeric
  uint16_t port;
  uint16_t keepalive;
  uint32_t window;
  char *certificates;
  const char *distrust;          // why the broker's certificate was refused last; constant
  struct link *entered;          // the link that libmosquitto works for just now
  struct link_tag *acknowledged; // collected during one call into libmosquitto: at most window + reserve
  size_t acknowledged_count;
  struct message inbox[LINK_INBOX]; // the same with what was received
  size_t inbox_count;
  uint64_t missed;
};

enum link_state { LINK_IDLE, LINK_CONNECTING, LINK_ONLINE, LINK_CLOSING };

struct waiting {
  int mid;
  struct link_tag tag;
};

struct link {
  struct link_context *context;
  const char *credential;
  const struct link_owner *calls;
  void *owner;
  struct mosquitto *session;
  struct event event;
  int socket;     // that `event` is set for; -1: none
  short interest; // EV_READ, EV_WRITE as set
  enum link_state state;
  bool tcp_pending;
  bool was_online; // the connection was accepted
  bool accepted;   // set inside libmosquitto: CONNACK, …
  bool dropped;    // … connection closed
  int drop_code;
  int drop_errno;          // at that moment
  int refuse_code;         // CONNACK that was no yes
  double since;            // monotonic seconds when the state was entered
  struct waiting *waiting; // window + reserve
  size_t waiting_count;
};

#endif
