#include "docs/examples/agent/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/log.h"
#include "vedette/v1/telemetry.pb-c.h"

enum {
  RETRY_FIRST_MS = 2000,       // the first attempt after a loss comes within this …
  RETRY_MAX_MS = 60000,        // … doubled at each failure up to this
  STABLE_MS = 60000,           // a connection that held for this starts over at the first
  ACKNOWLEDGE_MS = 60000,      // a broker that takes longer is left
  HISTORICAL_AFTER_MS = 60000, // a report that waited for this describes the past
  GOODBYE_MS = 3000,
};

enum state { WAITING, CONNECTING, ONLINE, LEAVING, DISCONNECTING, OVER };

struct session {
  struct link *link;
  struct queue *queue; // not ours
  struct report_boot boot;
  uint64_t connection; // number within the boot; an attempt that fails uses one up too
  enum state state;
  unsigned failures;  // attempts since the last good connection
  uint64_t due_ms;    // WAITING: connect; LEAVING, DISCONNECTING: give up waiting
  uint64_t online_ms; // since when
  uint64_t sent_ms;   // when the report under way was sent
  int under_way;      // its token, -1: none
  int goodbye;        // token of the goodbye, -1: none
  bool leaving;
  char report_topic[192];
  char connectivity_topic[192];
  char notice_topic[192];
};

static uint64_t random_below(uint64_t bound) {
  uint64_t number = 0;
  ssize_t got = getrandom(&number, sizeof number, 0); // never short for so few bytes
  (void)got;
  return number % bound;
}

static int64_t device_time(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct session *session_create(const struct link_options *options, struct report_boot boot, struct queue *queue, uint64_t now_ms,
                               char *error, size_t error_size) {
  struct session *session = calloc(1, sizeof *session);
  if (session == NULL) {
    snprintf(error, error_size, "out of memory");
    return NULL;
  }
  session->link = link_create(options, error, error_size);
  if (session->link == NULL) {
    free(session);
    return NULL;
  }
  session->queue = queue;
  session->boot = boot;
  session->state = WAITING;
  session->due_ms = now_ms + random_below(RETRY_FIRST_MS); // power comes back to many devices at once
  session->under_way = -1;
  session->goodbye = -1;
  snprintf(session->report_topic, sizeof session->report_topic, "vedette/v1/%s/report", options->credential);
  snprintf(session->connectivity_topic, sizeof session->connectivity_topic, "vedette/v1/%s/connectivity", options->credential);
  snprintf(session->notice_topic, sizeof session->notice_topic, "vedette/v1/%s/notice", options->credential);
  return session;
}

void session_free(struct session *session) {
  if (session != NULL) {
    link_free(session->link);
    free(session);
  }
}

int session_descriptor(const struct session *session) {
  return link_descriptor(session->link);
}

// Full jitter: a whole fleet that lost one broker does not come back in one moment.
static void wait_to_retry(struct session *session, uint64_t now_ms, const char *what, const char *why) {
  char quoted[300];
  uint64_t bound = RETRY_FIRST_MS;
  for (unsigned i = 0; i < session->failures && bound < RETRY_MAX_MS; i++) {
    bound *= 2;
  }
  bound = bound < RETRY_MAX_MS ? bound : RETRY_MAX_MS;
  session->failures++;
  session->under_way = -1;
  session->state = session->leaving ? OVER : WAITING;
  session->due_ms = now_ms + 100 + random_below(bound);
  queue_retry(session->queue);
  if (!session->leaving) {
    log_warn(what, "why=%s retry_ms=%" PRIu64 " waiting=%zu", log_quote(quoted, sizeof quoted, why), session->due_ms - now_ms,
             queue_count(session->queue));
  }
}

static void start_connecting(struct session *session, uint64_t now_ms) {
  session->connection++;
  struct report_bytes will = report_connectivity(REPORT_OFFLINE, session->boot, session->connection, "will", 0);
  bool started = will.bytes != NULL && link_connect(session->link, session->connectivity_topic, &will);
  free(will.bytes);
  if (started) {
    session->state = CONNECTING;
  } else {
    wait_to_retry(session, now_ms, "cannot start to connect", "the MQTT client refused; is a certificate file missing?");
  }
}

static int send_connectivity(struct session *session, enum report_state state, const char *reason) {
  struct report_bytes message = report_connectivity(state, session->boot, session->connection, reason, device_time());
  int token = message.bytes != NULL ? link_send(session->link, session->connectivity_topic, &message, true) : -1;
  free(message.bytes);
  return token;
}

static void begin(struct session *session, uint64_t now_ms) {
  session->state = ONLINE;
  session->online_ms = now_ms;
  session->under_way = -1;
  log_info("connected", "connection=%" PRIu64 " waiting=%zu", session->connection, queue_count(session->queue));
  bool subscribed = link_subscribe(session->link, session->notice_topic);
  bool born = send_connectivity(session, REPORT_ONLINE, "") >= 0;
  if (!subscribed || !born) {
    log_warn("the connection went away at once", "connection=%" PRIu64, session->connection);
  }
}

static void tell_notice(const struct link_notice *from) {
  char quoted[300];
  Vedette__V1__Notice *notice = vedette__v1__notice__unpack(NULL, from->size, from->bytes);
  if (notice == NULL) {
    log_warn("a notice does not decode", "bytes=%zu", from->size);
    return;
  }
  if (notice->content_case == VEDETTE__V1__NOTICE__CONTENT_REFUSED && notice->refused != NULL) {
    log_warn("a report was refused", "reason=%d sequence=%" PRIu64 " detail=%s", (int)notice->refused->reason,
             notice->refused->sequence, log_quote(quoted, sizeof quoted, notice->refused->detail));
  }
  vedette__v1__notice__free_unpacked(notice, NULL);
}

static void handle_loss(struct session *session, const struct link_news *news, uint64_t now_ms) {
  if (session->online_ms != 0 && now_ms - session->online_ms >= STABLE_MS) {
    session->failures = 0;
  }
  session->online_ms = 0;
  wait_to_retry(session, now_ms, news->failed ? "cannot connect" : "connection lost", news->why);
}

static void handle_acknowledgement(struct session *session, int token) {
  if (token == session->under_way) {
    session->under_way = -1;
    queue_done(session->queue);
  } else if (token == session->goodbye) {
    session->goodbye = -1;
    session->due_ms = 0; // LEAVING is over
  }
}

// One report is under way at a time: order is kept, and what a lost connection leaves in doubt is a single report, which is sent
// again unchanged and recognised by Vedette.
static void send_next(struct session *session, uint64_t now_ms) {
  struct queue_item *item = queue_begin(session->queue);
  if (item == NULL) {
    return;
  }
  if (!item->tried && now_ms - item->made_ms > HISTORICAL_AFTER_MS) {
    report_mark_historical(&item->report);
  }
  item->tried = true;
  session->sent_ms = now_ms;
  session->under_way = link_send(session->link, session->report_topic, &item->report, false);
  if (session->under_way < 0) { // the loss itself is on its way to the mailbox
    queue_retry(session->queue);
  }
}

static void disconnect(struct session *session, uint64_t now_ms) {
  session->state = DISCONNECTING;
  session->due_ms = now_ms + GOODBYE_MS;
  if (!link_disconnect(session->link)) {
    session->due_ms = now_ms;
  }
}

static void do_what_is_due(struct session *session, uint64_t now_ms) {
  switch (session->state) {
  case WAITING:
    if (now_ms >= session->due_ms) {
      start_connecting(session, now_ms);
    }
    break;
  case ONLINE:
    if (session->under_way < 0) {
      send_next(session, now_ms);
    } else if (now_ms - session->sent_ms > ACKNOWLEDGE_MS) {
      log_warn("the broker does not acknowledge", "waited_s=%d", ACKNOWLEDGE_MS / 1000);
      disconnect(session, now_ms);
    }
    break;
  case LEAVING:
    if (now_ms >= session->due_ms) {
      disconnect(session, now_ms);
    }
    break;
  case DISCONNECTING:
    if (now_ms >= session->due_ms) {
      wait_to_retry(session, now_ms, "connection given up", "no answer to the disconnect");
    }
    break;
  case CONNECTING:
  case OVER: break;
  }
}

uint64_t session_step(struct session *session, uint64_t now_ms) {
  static struct link_news news; // large; the agent has one session and one thread that steps it
  link_take(session->link, &news);
  for (size_t i = 0; i < news.notice_count; i++) {
    tell_notice(&news.notices[i]);
  }
  if (news.connected && session->state == CONNECTING) {
    begin(session, now_ms);
  }
  for (size_t i = 0; i < news.token_count; i++) {
    handle_acknowledgement(session, news.tokens[i]);
  }
  if ((news.failed || news.lost) && session->state != WAITING && session->state != OVER) {
    handle_loss(session, &news, now_ms);
  }
  do_what_is_due(session, now_ms);
  switch (session->state) {
  case ONLINE: return session->under_way >= 0 ? session->sent_ms + ACKNOWLEDGE_MS + 1 : UINT64_MAX;
  case WAITING:
  case LEAVING:
  case DISCONNECTING: return session->due_ms;
  case CONNECTING:
  case OVER: break;
  }
  return UINT64_MAX;
}

void session_leave(struct session *session, uint64_t now_ms) {
  if (session->leaving) {
    return;
  }
  session->leaving = true;
  if (session->state == ONLINE) {
    session->state = LEAVING;
    session->due_ms = now_ms + GOODBYE_MS;
    session->goodbye = send_connectivity(session, REPORT_OFFLINE, "shutdown");
  } else if (session->state != DISCONNECTING) {
    session->state = OVER;
  }
}

bool session_is_over(const struct session *session) {
  return session->state == OVER;
}
