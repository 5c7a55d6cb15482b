// libmosquitto 2.0 with an external loop has corners, each met here:
// - callbacks run inside its locks: they only note what happened, and settle() tells the owner after the call has returned;
// - during the TLS handshake mosquitto_want_write() is no guide: the handshake's own state says what to wait for;
// - a connection that fails in the handshake is reported as success: the socket's error and end of file are looked at;
// - each client opens a socket pair for a thread we do not have: session_new() makes that fail, which the library allows;
// - an error left in OpenSSL's queue by one connection makes the next one's calls fail: enter() clears it.
#include "simulator/link.h"

#include <errno.h>
#include <mosquitto.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "simulator/link_inside.h"

static const double connect_limit = 20; // seconds
static const double close_limit = 3;

static double monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void enter(struct link *link) {
  link->context->entered = link;
  link->context->acknowledged_count = 0;
  link->context->inbox_count = 0;
  ERR_clear_error();
}

static void on_connect(struct mosquitto *session, void *arg, int code) {
  (void)session;
  struct link *link = arg;
  link->accepted = code == 0;
  link->refuse_code = code;
}

static void on_disconnect(struct mosquitto *session, void *arg, int code) {
  (void)session;
  struct link *link = arg;
  link->dropped = true;
  link->drop_code = code;
  link->drop_errno = errno;
}

static void on_publish(struct mosquitto *session, void *arg, int mid) {
  (void)session;
  struct link *link = arg;
  struct link_context *context = link->context;
  for (size_t i = 0; i < link->waiting_count; i++) { // nearly always the first
    if (link->waiting[i].mid == mid) {
      context->acknowledged[context->acknowledged_count++] = link->waiting[i].tag;
      link->waiting_count--;
      memmove(&link->waiting[i], &link->waiting[i + 1], (link->waiting_count - i) * sizeof *link->waiting);
      return;
    }
  }
}

static void on_message(struct mosquitto *session, void *arg, const struct mosquitto_message *message) {
  (void)session;
  struct link *link = arg;
  struct link_context *context = link->context;
  if (message->payloadlen < 0 || message->payloadlen > LINK_MESSAGE || context->inbox_count == LINK_INBOX) {
    context->missed++;
    return;
  }
  struct message *copy = &context->inbox[context->inbox_count++];
  copy->size = (size_t)message->payloadlen;
  if (copy->size > 0) {
    memcpy(copy->bytes, message->payload, copy->size);
  }
}

// Makes a client without the socket pair (two descriptors, and a write a message that nobody reads).
static struct mosquitto *session_new(struct link *link) {
  struct rlimit limit;
  bool lowered = getrlimit(RLIMIT_NOFILE, &limit) == 0;
  struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
  lowered = lowered && setrlimit(RLIMIT_NOFILE, &none) == 0;
  struct mosquitto *session = mosquitto_new(link->credential, true, link);
  if (lowered && setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    mosquitto_destroy(session);
    return NULL;
  }
  if (session == NULL) {
    return NULL;
  }
  mosquitto_connect_callback_set(session, on_connect);
  mosquitto_disconnect_callback_set(session, on_disconnect);
  mosquitto_publish_callback_set(session, on_publish);
  mosquitto_message_callback_set(session, on_message);
  int rc = mosquitto_int_option(session, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V311);
  rc = rc != 0 ? rc : mosquitto_int_option(session, MOSQ_OPT_SEND_MAXIMUM, 0); // the window is ours
  rc = rc != 0 ? rc : mosquitto_int_option(session, MOSQ_OPT_TCP_NODELAY, 1);
  rc = rc != 0 ? rc : mosquitto_int_option(session, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
  rc = rc != 0 ? rc : mosquitto_void_option(session, MOSQ_OPT_SSL_CTX, link->context->tls);
  if (rc != 0) {
    mosquitto_destroy(session);
    return NULL;
  }
  return session;
}

struct link *link_new(struct link_context *context, const char *credential, const struct link_owner *calls, void *owner) {
  struct link *link = calloc(1, sizeof *link);
  if (link == NULL) {
    return NULL;
  }
  *link = (struct link){.context = context, .credential = credential, .calls = calls, .owner = owner, .socket = -1};
  link->waiting = calloc(context->window + LINK_RESERVE, sizeof *link->waiting);
  link->session = session_new(link);
  if (link->waiting == NULL || link->session == NULL) {
    link_free(link);
    return NULL;
  }
  return link;
}

static void unwatch(struct link *link) {
  if (link->socket >= 0) {
    event_del(&link->event);
    link->socket = -1;
    link->interest = 0;
  }
}

void link_free(struct link *link) {
  if (link == NULL) {
    return;
  }
  unwatch(link);
  if (link->session != NULL) {
    enter(link);
    mosquitto_destroy(link->session);
    link->context->entered = NULL;
  }
  free(link->waiting);
  free(link);
}

static void set_state(struct link *link, enum link_state state) {
  link->state = state;
  link->since = monotonic();
}

static void on_event(evutil_socket_t socket, short what, void *arg);

// Waits for what the session needs next.
static void watch(struct link *link) {
  int socket = mosquitto_socket(link->session);
  if (socket < 0 || link->state == LINK_IDLE) {
    unwatch(link);
    return;
  }
  const SSL *ssl = mosquitto_ssl_get(link->session);
  bool handshake = ssl == NULL || !SSL_is_init_finished(ssl);
  bool write = handshake ? link->tcp_pending || (ssl != NULL && SSL_want_write(ssl)) : mosquitto_want_write(link->session);
  short interest = (short)(EV_READ | (write ? EV_WRITE : 0));
  if (socket == link->socket && interest == link->interest) {
    return;
  }
  unwatch(link);
  if (event_assign(&link->event, link->context->base, socket, (short)(interest | EV_PERSIST), on_event, link) == 0 &&
      event_add(&link->event, NULL) == 0) {
    link->socket = socket;
    link->interest = interest;
  }
}

static void fall(struct link *link, const char *reason) {
  bool wanted = link->state == LINK_CLOSING;
  unwatch(link);
  link->tcp_pending = false;
  set_state(link, LINK_IDLE);
  link->calls->down(link->owner, wanted, reason);
}

static const char *drop_reason(struct link *link, int code) {
  if (link->refuse_code != 0) {
    return mosquitto_connack_string(link->refuse_code);
  }
  if (link->context->distrust != NULL) {
    const char *why = link->context->distrust;
    link->context->distrust = NULL;
    return why;
  }
  if (link->drop_code == MOSQ_ERR_ERRNO && link->drop_errno == EPROTO) {
    return "TLS alert: does the broker accept this device's certificate?";
  }
  code = link->drop_code != 0 ? link->drop_code : code;
  return code != 0 ? mosquitto_strerror(code) : "closed";
}

// After every call into libmosquitto: tells the owner what it noted, then waits for the next thing.
static void settle(struct link *link, int code) {
  struct link_context *context = link->context;
  context->entered = NULL;
  size_t count = context->acknowledged_count; // the owner may enter again, which only empties the lists
  size_t messages = context->inbox_count;
  for (size_t i = 0; i < count; i++) {
    struct link_tag tag = context->acknowledged[i];
    link->calls->acknowledged(link->owner, &tag);
  }
  for (size_t i = 0; i < messages; i++) {
    link->calls->received(link->owner, context->inbox[i].bytes, context->inbox[i].size);
  }
  bool gone = link->dropped || mosquitto_socket(link->session) < 0;
  if (gone && link->state != LINK_IDLE) {
    link->dropped = false;
    fall(link, drop_reason(link, code));
    return;
  }
  if (link->accepted) {
    link->accepted = false;
    if (link->state == LINK_CONNECTING) {
      set_state(link, LINK_ONLINE);
      link->was_online = true;
      link->calls->online(link->owner);
    }
  }
  watch(link);
}

// A handshake that cannot go on: libmosquitto does not tell.
static bool dead(const struct link *link) {
  const SSL *ssl = mosquitto_ssl_get(link->session);
  if (link->state != LINK_CONNECTING || ssl == NULL || SSL_is_init_finished(ssl)) {
    return false;
  }
  int error = 0;
  socklen_t size = sizeof error;
  char byte = 0;
  int socket = mosquitto_socket(link->session);
  if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
    return true;
  }
  ssize_t got = recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN);
}

static void on_event(evutil_socket_t socket, short what, void *arg) {
  (void)socket;
  struct link *link = arg;
  int rc = MOSQ_ERR_SUCCESS;
  const SSL *ssl = mosquitto_ssl_get(link->session);
  bool handshake = ssl == NULL || !SSL_is_init_finished(ssl);
  link->tcp_pending = link->tcp_pending && (what & EV_WRITE) == 0;
  enter(link);
  if ((what & EV_READ) != 0 || handshake) {
    rc = mosquitto_loop_read(link->session, 1);
  }
  if (rc == MOSQ_ERR_SUCCESS && mosquitto_socket(link->session) >= 0 && mosquitto_want_write(link->session)) {
    rc = mosquitto_loop_write(link->session, 1);
  }
  if (rc == MOSQ_ERR_SUCCESS && mosquitto_socket(link->session) >= 0 && dead(link)) {
    link->context->entered = NULL;
    fall(link, "the broker cannot be reached or ends the TLS handshake");
    return;
  }
  settle(link, rc);
}

const char *link_open(struct link *link, const char *will_topic, const void *will, size_t will_size) {
  struct link_context *context = link->context;
  unwatch(link);
  int rc = mosquitto_will_set(link->session, will_topic, (int)will_size, will, 1, true);
  if (rc != MOSQ_ERR_SUCCESS) {
    return mosquitto_strerror(rc);
  }
  link->accepted = false;
  link->was_online = false;
  link->refuse_code = 0;
  link->drop_code = 0;
  enter(link);
  rc = mosquitto_connect_async(link->session, context->address, context->port, context->keepalive);
  context->entered = NULL;
  link->dropped = false;
  if (rc != MOSQ_ERR_SUCCESS || mosquitto_socket(link->session) < 0) {
    set_state(link, LINK_IDLE);
    return drop_reason(link, rc);
  }
  link->tcp_pending = true;
  set_state(link, LINK_CONNECTING);
  watch(link);
  return NULL;
}

bool link_online(const struct link *link) {
  return link->state == LINK_ONLINE;
}

bool link_idle(const struct link *link) {
  return link->state == LINK_IDLE;
}

bool link_has_room(const struct link *link) {
  return link->state == LINK_ONLINE && link->waiting_count < link->context->window;
}

size_t link_reports_waiting(const struct link *link) {
  size_t count = 0;
  for (size_t i = 0; i < link->waiting_count; i++) {
    count += link->waiting[i].tag.what == LINK_REPORT || link->waiting[i].tag.what == LINK_BAD;
  }
  return count;
}

bool link_was_online(const struct link *link) {
  return link->was_online;
}

int link_publish(struct link *link, const char *topic, const void *payload, size_t size, bool retain,
                 const struct link_tag *tag) {
  if (link->state != LINK_ONLINE || link->waiting_count >= link->context->window + LINK_RESERVE) {
    return -1;
  }
  int mid = 0;
  enter(link);
  int rc = mosquitto_publish(link->session, &mid, topic, (int)size, payload, 1, retain);
  link->context->entered = NULL;
  // A write that fails here leaves the message with the library, which sends it again on the next connection.
  bool taken = rc == MOSQ_ERR_SUCCESS || rc == MOSQ_ERR_NO_CONN || rc == MOSQ_ERR_CONN_LOST || rc == MOSQ_ERR_ERRNO;
  if (taken) {
    link->waiting[link->waiting_count++] = (struct waiting){mid, *tag};
  }
  watch(link);
  return taken ? 0 : -1;
}

int link_subscribe(struct link *link, const char *topic) {
  enter(link);
  int rc = mosquitto_subscribe(link->session, NULL, topic, 0);
  link->context->entered = NULL;
  watch(link);
  return rc == MOSQ_ERR_SUCCESS ? 0 : -1;
}

uint64_t link_missed(const struct link_context *context) {
  return context->missed;
}

// Ends the connection without a word, in whatever state it is.
static void cut(struct link *link) {
  int socket = mosquitto_socket(link->session);
  if (shutdown(socket, SHUT_RDWR) != 0) {
    errno = 0; // not connected any more: as good as shut
  }
  enter(link);
  int rc = mosquitto_loop_read(link->session, 1);
  if (mosquitto_socket(link->session) >= 0 && !link->dropped) { // the library keeps the dead socket until it connects again
    link->context->entered = NULL;
    fall(link, "broken off");
    return;
  }
  settle(link, rc);
}

void link_break(struct link *link) {
  if (link->state == LINK_IDLE) {
    return;
  }
  set_state(link, LINK_CLOSING);
  cut(link);
}

void link_close(struct link *link) {
  if (link->state == LINK_CONNECTING) {
    link_break(link);
  } else if (link->state == LINK_ONLINE) {
    set_state(link, LINK_CLOSING);
    enter(link);
    int rc = mosquitto_disconnect(link->session);
    settle(link, rc);
  }
}

int link_forget(struct link *link) {
  struct mosquitto *fresh = session_new(link);
  if (fresh == NULL) {
    return -1;
  }
  unwatch(link);
  enter(link);
  mosquitto_destroy(link->session);
  link->context->entered = NULL;
  link->session = fresh;
  link->waiting_count = 0;
  return 0;
}

void link_sweep(struct link *link, double now) {
  if (link->state == LINK_IDLE) {
    return;
  }
  if ((link->state == LINK_CONNECTING && now - link->since > connect_limit) ||
      (link->state == LINK_CLOSING && now - link->since > close_limit)) {
    cut(link);
    return;
  }
  enter(link);
  int rc = mosquitto_loop_misc(link->session);
  settle(link, rc);
}
