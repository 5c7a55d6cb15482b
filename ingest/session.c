#include "ingest/session.h"

#include "common/log.h"
#include "ingest/decode.h"
#include "ingest/subscriptions.h"

#include <MQTTAsync.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  RECEIVE_MAXIMUM = 1000,      // messages the broker may have in flight to us; Mosquitto 2.0.11 goes past it
  PACKET_MAXIMUM = 256 * 1024, // bytes; the broker's own limit is below
  KEEPALIVE_S = 10,            // a broker that no longer answers is noticed within 1.5 times this
  CONNECT_TIMEOUT_S = 10,
  TICK_MS = 250,
  BACKOFF_MOST_MS = 5000,
  STOP_MS = 2000,
  NOTICES_WAITING = 2000, // notices with Paho that are not written yet
};
static const unsigned session_expiry_s = 7 * 86400; // how long the broker keeps our session and its queue

enum link_state { DOWN, CONNECTING, UP };

struct session {
  struct loop *loop;
  struct journal *journal;
  const struct config_broker *broker;
  char *client_id, *uri;
  char **topics; // those of shared subscriptions first
  size_t topic_count;
  struct subscriptions *subscriptions; // Paho's receiving thread's once connecting; NULL: nothing is stale
  MQTTAsync client;
  struct event *tick;
  bool paused, stopping;
  loop_cb stopped;
  void *stopped_arg;
  int64_t retry_at, stop_by; // steady clock
  uint32_t backoff_ms;
  _Atomic int state;     // set by Paho's thread
  _Atomic int64_t since; // subscribed since; 0: not
  struct tombstones *tombstones;
  _Atomic uint64_t received, turned_away;
  _Atomic int notices; // with Paho, not written yet
  _Atomic int clears;  // likewise, of retained messages; not acknowledged
  atomic_bool clear_failed;
};

// --- on Paho's threads

// An empty message is how a retained one is cleared at the broker: it says nothing.
static bool says_nothing(const char *topic, size_t length, const MQTTAsync_message *message) {
  static const char end[] = "/connectivity";
  const size_t size = sizeof end - 1;
  return message->payloadlen == 0 && length > size && memcmp(topic + length - size, end, size) == 0;
}

static bool is_erased(struct session *session, const char *topic, size_t length) {
  const char *credential;
  size_t size;
  return topic_parse(topic, length, &credential, &size) != TOPIC_OTHER && tombstones_has(session->tombstones, credential, size);
}

static int on_message(void *context, char *topic, int topic_length, MQTTAsync_message *message) {
  struct session *session = context;
  size_t length = topic_length > 0 ? (size_t)topic_length : strlen(topic);
  bool nothing = says_nothing(topic, length, message);
  bool erased = !nothing && is_erased(session, topic, length);
  if (nothing || erased) {
    atomic_fetch_add(&session->turned_away, erased);
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    return 1;
  }
  uint8_t flags = (uint8_t)((message->dup ? RECORD_DUP : 0) | (message->retained ? RECORD_RETAINED : 0));
  if (!journal_append(session->journal, topic, length, message->payload, (size_t)message->payloadlen, flags)) {
    // Returning would acknowledge what is nowhere.
    log_error("a message cannot be journaled; leaving without acknowledging it", "bytes=%d", message->payloadlen);
    _exit(1);
  }
  atomic_fetch_add(&session->received, 1);
  MQTTAsync_freeMessage(&message);
  MQTTAsync_free(topic);
  return 1;
}

static void on_lost(void *context, char *cause) {
  struct session *session = context;
  (void)cause;
  atomic_store(&session->since, 0);
  atomic_store(&session->state, DOWN);
  log_warn("broker connection lost", "");
}

static void disconnect_now(struct session *session);

// Paho calls this success too when the broker refused one subscription of several, or all. Returns the place of the first that
// was refused, or how many there are.
static size_t first_refused(const struct session *session, const MQTTAsync_successData5 *response) {
  size_t answers = response->alt.sub.reasonCodes != NULL ? (size_t)response->alt.sub.reasonCodeCount : 0;
  size_t at = 0;
  while (at < session->topic_count && at < answers && response->alt.sub.reasonCodes[at] < MQTTREASONCODE_UNSPECIFIED_ERROR) {
    at++;
  }
  return at;
}

static void on_unsubscribed(void *context, MQTTAsync_successData5 *response) {
  struct session *session = context;
  (void)response;
  subscriptions_settle(session->subscriptions);
}

static void on_unsubscribe_failed(void *context, MQTTAsync_failureData5 *response) {
  (void)context; // the next connection tries again
  log_warn("a topic that is no longer mapped cannot be unsubscribed", "reason=%d", response ? (int)response->reasonCode : 0);
}

static void unsubscribe_stale(struct session *session) {
  size_t count = 0;
  char *const *stale = session->subscriptions != NULL ? subscriptions_stale(session->subscriptions, &count) : NULL;
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  if (count == 0) {
    return;
  }
  response.onSuccess5 = on_unsubscribed;
  response.onFailure5 = on_unsubscribe_failed;
  response.context = session;
  log_info("unsubscribing topics that are no longer mapped", "topics=%zu", count);
  if (MQTTAsync_unsubscribeMany(session->client, (int)count, stale, &response) != MQTTASYNC_SUCCESS) {
    on_unsubscribe_failed(session, NULL);
  }
}

static void on_subscribed(void *context, MQTTAsync_successData5 *response) {
  struct session *session = context;
  size_t refused = first_refused(session, response);
  if (refused < session->topic_count) {
    char quoted[300];
    log_error("the broker refuses a subscription; check its access list for ingest", "topic=%s",
              log_quote(quoted, sizeof quoted, session->topics[refused]));
    disconnect_now(session); // the tick tries again
    return;
  }
  atomic_store(&session->since, clock_wall_us());
  log_info("subscribed", "topic=%s filters=%zu", session->topics[0], session->topic_count);
  unsubscribe_stale(session);
}

static void on_subscribe_failed(void *context, MQTTAsync_failureData5 *response) {
  log_error("the subscription failed", "reason=%d", response ? (int)response->reasonCode : 0);
  disconnect_now(context); // the tick tries again
}

static void subscribe(struct session *session) {
  int count = (int)session->topic_count;
  int *qos = calloc(session->topic_count, sizeof *qos);
  MQTTSubscribe_options *options = calloc(session->topic_count, sizeof *options);
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  int failed = MQTTASYNC_FAILURE;
  for (int i = 0; qos != NULL && options != NULL && i < count; i++) {
    qos[i] = 1;
    options[i] = (MQTTSubscribe_options)MQTTSubscribe_options_initializer;
    options[i].retainHandling = 2; // retained messages do not belong on shared subscriptions
  }
  response.onSuccess5 = on_subscribed;
  response.onFailure5 = on_subscribe_failed;
  response.context = session;
  response.subscribeOptionsCount = count;
  response.subscribeOptionsList = options;
  if (qos != NULL && options != NULL) {
    options[count - 1].retainHandling = 1; // connectivity: only when the subscription is new
    failed = MQTTAsync_subscribeMany(session->client, count, session->topics, qos, &response);
  }
  if (failed != MQTTASYNC_SUCCESS) {
    log_error("cannot subscribe", "error=%s", MQTTAsync_strerror(failed));
  }
  free(qos);
  free(options);
}

static void on_connected(void *context, MQTTAsync_successData5 *response) {
  struct session *session = context;
  atomic_store(&session->state, UP);
  atomic_store(&session->notices, 0);      // of those that went down with the connection nothing may be heard
  if (atomic_load(&session->clears) > 0) { // Paho answers for these too, sooner or later; the store names them again
    atomic_store(&session->clear_failed, true);
  }
  log_info("broker connected", "session_present=%d", response->alt.connect.sessionPresent);
  subscribe(session);
}

static void on_connect_failed(void *context, MQTTAsync_failureData5 *response) {
  struct session *session = context;
  char quoted[300];
  atomic_store(&session->state, DOWN);
  log_warn("broker cannot be reached", "uri=%s code=%d reason=%d error=%s", session->uri, response ? response->code : 0,
           response ? (int)response->reasonCode : 0,
           log_quote(quoted, sizeof quoted, response && response->message ? response->message : ""));
}

static void on_disconnected(void *context, MQTTAsync_successData5 *response) {
  struct session *session = context;
  (void)response;
  atomic_store(&session->since, 0);
  atomic_store(&session->state, DOWN);
}

static void on_noticed(void *context, MQTTAsync_successData5 *response) {
  struct session *session = context;
  (void)response;
  atomic_fetch_sub(&session->notices, 1);
}

static void on_notice_failed(void *context, MQTTAsync_failureData5 *response) {
  (void)response;
  on_noticed(context, NULL);
}

static void on_cleared(void *context, MQTTAsync_successData5 *response) {
  struct session *session = context;
  (void)response;
  atomic_fetch_sub(&session->clears, 1);
}

static void on_clear_failed(void *context, MQTTAsync_failureData5 *response) {
  struct session *session = context;
  log_warn("the broker does not clear a retained message of an erased device; trying again", "reason=%d",
           response ? (int)response->reasonCode : 0);
  atomic_store(&session->clear_failed, true);
  on_cleared(context, NULL);
}

static void on_disconnect_failed(void *context, MQTTAsync_failureData5 *response) {
  (void)response;
  on_disconnected(context, NULL);
}

// --- on the loop's thread

static void set_properties(MQTTProperties *properties) {
  MQTTProperty expiry = {.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, .value.integer4 = session_expiry_s};
  MQTTProperty receive = {.identifier = MQTTPROPERTY_CODE_RECEIVE_MAXIMUM, .value.integer2 = RECEIVE_MAXIMUM};
  MQTTProperty packet = {.identifier = MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, .value.integer4 = PACKET_MAXIMUM};
  MQTTProperties_add(properties, &expiry);
  MQTTProperties_add(properties, &receive);
  MQTTProperties_add(properties, &packet);
}

static void connect_now(struct session *session) {
  MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer5;
  MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
  MQTTProperties properties = MQTTProperties_initializer;
  sigset_t all;
  sigset_t before;
  set_properties(&properties);
  tls.struct_version = 5;
  tls.trustStore = session->broker->ca;
  tls.keyStore = session->broker->certificate;
  tls.privateKey = session->broker->key;
  tls.enableServerCertAuth = 1;
  tls.verify = 1; // the host name too
  tls.sslVersion = MQTT_SSL_VERSION_TLS_1_2;
  options.cleanstart = 0;
  options.keepAliveInterval = KEEPALIVE_S;
  options.connectTimeout = CONNECT_TIMEOUT_S;
  options.connectProperties = &properties;
  options.ssl = &tls;
  options.onSuccess5 = on_connected;
  options.onFailure5 = on_connect_failed;
  options.context = session;
  atomic_store(&session->state, CONNECTING);
  sigfillset(&all); // Paho's threads inherit the mask; signals are the loop's
  pthread_sigmask(SIG_BLOCK, &all, &before);
  int failed = MQTTAsync_connect(session->client, &options);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  MQTTProperties_free(&properties);
  if (failed != MQTTASYNC_SUCCESS) {
    log_error("cannot connect to the broker", "error=%s", MQTTAsync_strerror(failed));
    atomic_store(&session->state, DOWN);
  }
}

static void disconnect_now(struct session *session) {
  MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer5;
  options.onSuccess5 = on_disconnected;
  options.onFailure5 = on_disconnect_failed;
  options.context = session;
  options.timeout = STOP_MS / 2;
  if (MQTTAsync_disconnect(session->client, &options) != MQTTASYNC_SUCCESS) {
    on_disconnected(session, NULL);
  }
}

static void finish_stop(struct session *session) {
  loop_cb stopped = session->stopped;
  session->stopped = NULL;
  stopped(session->stopped_arg);
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
  struct session *session = arg;
  int state = atomic_load(&session->state);
  int64_t now = clock_steady_us();
  (void)fd;
  (void)what;
  if (session->stopping) {
    if (session->stopped != NULL && (state == DOWN || now > session->stop_by)) {
      finish_stop(session);
    }
    return;
  }
  if (state == UP && session->paused && now >= session->retry_at) { // an attempt to connect outlived the pause's beginning
    session->retry_at = now + (int64_t)STOP_MS * 1000;
    disconnect_now(session);
  } else if (atomic_load(&session->since) != 0) {
    session->backoff_ms = TICK_MS;
  } else if (state == DOWN && !session->paused && now >= session->retry_at) {
    session->retry_at = now + (int64_t)session->backoff_ms * 1000;
    session->backoff_ms = session->backoff_ms * 2 > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : session->backoff_ms * 2;
    connect_now(session);
  }
}

static bool make_client(struct session *session) {
  MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer5;
  options.maxBufferedMessages = NOTICES_WAITING; // 100 by default, connected or not: a batch has more notices than that
  int failed = MQTTAsync_createWithOptions(&session->client, session->uri, session->client_id, MQTTCLIENT_PERSISTENCE_NONE, NULL,
                                           &options);
  if (failed == MQTTASYNC_SUCCESS) {
    failed = MQTTAsync_setCallbacks(session->client, session, on_lost, on_message, NULL);
  }
  if (failed != MQTTASYNC_SUCCESS) {
    log_error("the MQTT client cannot be made", "error=%s", MQTTAsync_strerror(failed));
  }
  return failed == MQTTASYNC_SUCCESS;
}

// Reports, JSON by mappings, connectivity. False when memory ran out.
static bool make_topics(struct session *session, const char *share, const struct mappings *mappings) {
  size_t count = mappings_count(mappings) + 2;
  session->topics = calloc(count, sizeof *session->topics);
  for (size_t i = 0; session->topics != NULL && i + 1 < count; i++) {
    const char *filter = i == 0 ? "vedette/v1/+/report" : mappings_filter(mappings, i - 1);
    if (asprintf(&session->topics[session->topic_count], "$share/%s/%s", share, filter) < 0) {
      session->topics[session->topic_count] = NULL;
      return false;
    }
    session->topic_count++;
  }
  return session->topics != NULL && (session->topics[session->topic_count++] = strdup("vedette/v1/+/connectivity")) != NULL;
}

struct session *session_new(struct loop *loop, const struct config *config, const struct mappings *mappings,
                            struct journal *journal, struct tombstones *tombstones) {
  struct session *session = calloc(1, sizeof *session);
  if (session == NULL) {
    return NULL;
  }
  struct timeval tick = loop_ms(TICK_MS);
  session->loop = loop;
  session->journal = journal;
  session->tombstones = tombstones;
  session->broker = &config->broker;
  session->backoff_ms = TICK_MS;
  unsetenv("MQTT_C_CLIENT_TRACE"); // it would print payloads
  MQTTAsync_init_options init = MQTTAsync_init_options_initializer;
  init.do_openssl_init = 1;
  MQTTAsync_global_init(&init);
  MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR); // else it writes lines a packet into memory that nobody reads
  // A slash, which no device's name can have: nobody can take our session over.
  if (asprintf(&session->client_id, "vedette/%s", config->ingest.worker) < 0 ||
      asprintf(&session->uri, "ssl://%s:%u", config->broker.host, config->broker.port) < 0 ||
      !make_topics(session, config->ingest.share, mappings) || !make_client(session) ||
      (session->tick = event_new(loop_base(loop), -1, EV_PERSIST, on_tick, session)) == NULL ||
      event_add(session->tick, &tick) != 0) {
    log_error("the broker session cannot be made", "errno=%d", errno);
    session_free(session);
    return NULL;
  }
  session->subscriptions = subscriptions_open(config->ingest.journal.folder, session->topics, session->topic_count);
  event_active(session->tick, EV_TIMEOUT, 0); // connects, unless we are paused by then
  return session;
}

void session_free(struct session *session) {
  if (session == NULL) {
    return;
  }
  if (session->tick != NULL) {
    event_free(session->tick);
  }
  if (session->client != NULL) {
    MQTTAsync_destroy(&session->client);
  }
  free(session->client_id);
  free(session->uri);
  subscriptions_free(session->subscriptions);
  for (size_t i = 0; i < session->topic_count; i++) {
    free(session->topics[i]);
  }
  free(session->topics);
  free(session);
}

void session_pause(struct session *session) {
  session->paused = true;
  disconnect_now(session);
}

void session_resume(struct session *session) {
  session->paused = false;
  session->retry_at = 0;
}

void session_reload(struct session *session) {
  if (!session->paused) {
    disconnect_now(session); // the tick connects again
    session->retry_at = 0;
  }
}

void session_stop(struct session *session, loop_cb done, void *arg) {
  session->stopping = true;
  session->stopped = done;
  session->stopped_arg = arg;
  session->stop_by = clock_steady_us() + (int64_t)STOP_MS * 1000;
  disconnect_now(session);
}

bool session_notify(struct session *session, const char *topic, const void *payload, size_t size) {
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  if (atomic_load(&session->since) == 0 || session->stopping || atomic_load(&session->notices) >= NOTICES_WAITING) {
    return false;
  }
  response.onSuccess5 = on_noticed;
  response.onFailure5 = on_notice_failed;
  response.context = session;
  atomic_fetch_add(&session->notices, 1);
  if (MQTTAsync_send(session->client, topic, (int)size, payload, 0, 0, &response) != MQTTASYNC_SUCCESS) {
    atomic_fetch_sub(&session->notices, 1);
    return false;
  }
  return true;
}

bool session_clear(struct session *session, const char *topic) {
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  if (atomic_load(&session->since) == 0 || session->stopping) {
    return false;
  }
  response.onSuccess5 = on_cleared;
  response.onFailure5 = on_clear_failed;
  response.context = session;
  atomic_fetch_add(&session->clears, 1);
  if (MQTTAsync_send(session->client, topic, 0, "", 1, 1, &response) != MQTTASYNC_SUCCESS) {
    atomic_fetch_sub(&session->clears, 1);
    return false;
  }
  return true;
}

int session_clearing(struct session *session) {
  return atomic_exchange(&session->clear_failed, false) ? -1 : atomic_load(&session->clears);
}

bool session_paused(const struct session *session) {
  return session->paused;
}

int64_t session_since(const struct session *session) {
  return atomic_load(&session->since);
}

uint64_t session_received(const struct session *session) {
  return atomic_load(&session->received);
}

uint64_t session_turned_away(const struct session *session) {
  return atomic_load(&session->turned_away);
}
