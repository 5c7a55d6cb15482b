// A Paho client that does nothing: connects as vedette-ingest does (ingest/session.c), counts and acknowledges.
//
//   bench_paho_null --port P --ca FILE --cert FILE --key FILE --client NAME [--quiet]
//                   (--count N [--skip N] | --settle S --seconds S)
//
// With --count it measures from the first message after those to skip to the N-th of all; otherwise for `seconds` that begin
// `settle` seconds after the first message. Prints one line of JSON: messages, seconds, CPU of this process in them. Ends its
// session at the broker.
#include <MQTTAsync.h>
#include <inttypes.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/bench/options.h"

enum { RECEIVE_MAXIMUM = 1000, PACKET_MAXIMUM = 256 * 1024, KEEPALIVE_S = 30, LONGEST_S = 120, SESSION_S = 3600 };

struct point {
  uint64_t messages;
  int64_t wall_us, user_us, system_us;
};

struct null_client {
  MQTTAsync client;
  uint64_t skip;  // not measured
  uint64_t count; // stop after so many; 0: no such limit
  _Atomic uint64_t messages;
  struct point first, last; // written on Paho's thread before `began`, `ended`
  sem_t began, ended, left;
  _Atomic int failed;
};

static int64_t micros(struct timeval time) {
  return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

static struct point point_now(uint64_t messages) {
  struct rusage used;
  struct timespec now;
  getrusage(RUSAGE_SELF, &used);
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (struct point){.messages = messages,
                        .wall_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000,
                        .user_us = micros(used.ru_utime),
                        .system_us = micros(used.ru_stime)};
}

// --- on Paho's threads

static int on_message(void *context, char *topic, int topic_length, MQTTAsync_message *message) {
  struct null_client *null = context;
  uint64_t messages = atomic_fetch_add(&null->messages, 1) + 1;
  (void)topic_length;
  if (messages == null->skip + 1) {
    null->first = point_now(messages);
    sem_post(&null->began);
  }
  if (messages == null->count) {
    null->last = point_now(messages);
    sem_post(&null->ended);
  }
  MQTTAsync_freeMessage(&message);
  MQTTAsync_free(topic);
  return 1;
}

static void fail(struct null_client *null, const char *what) {
  fprintf(stderr, "bench_paho_null: %s\n", what);
  atomic_store(&null->failed, 1);
  sem_post(&null->began);
  sem_post(&null->ended);
  sem_post(&null->left);
}

static void on_lost(void *context, char *cause) {
  (void)cause;
  fail(context, "the broker closed the connection");
}

static void on_connect_failed(void *context, MQTTAsync_failureData5 *response) {
  (void)response;
  fail(context, "the broker refused the connection, or is not there");
}

static void on_left(void *context, MQTTAsync_successData5 *response) {
  struct null_client *null = context;
  (void)response;
  sem_post(&null->left);
}

static void on_connected(void *context, MQTTAsync_successData5 *response) {
  struct null_client *null = context;
  char *topics[] = {"$share/vedette/vedette/v1/+/report", "vedette/v1/+/connectivity"};
  int qos[] = {1, 1};
  MQTTSubscribe_options options[2] = {MQTTSubscribe_options_initializer, MQTTSubscribe_options_initializer};
  MQTTAsync_responseOptions reply = MQTTAsync_responseOptions_initializer;
  (void)response;
  options[0].retainHandling = 2;
  options[1].retainHandling = 1;
  reply.context = null;
  reply.subscribeOptionsCount = 2;
  reply.subscribeOptionsList = options;
  if (MQTTAsync_subscribeMany(null->client, 2, topics, qos, &reply) != MQTTASYNC_SUCCESS) {
    fail(null, "cannot subscribe");
  }
}

// --- on the main thread

static void set_properties(MQTTProperties *properties) {
  MQTTProperty expiry = {.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, .value.integer4 = SESSION_S};
  MQTTProperty receive = {.identifier = MQTTPROPERTY_CODE_RECEIVE_MAXIMUM, .value.integer2 = RECEIVE_MAXIMUM};
  MQTTProperty packet = {.identifier = MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, .value.integer4 = PACKET_MAXIMUM};
  MQTTProperties_add(properties, &expiry);
  MQTTProperties_add(properties, &receive);
  MQTTProperties_add(properties, &packet);
}

static bool connect_client(struct null_client *null, const char *ca, const char *certificate, const char *key) {
  MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer5;
  MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
  MQTTProperties properties = MQTTProperties_initializer;
  set_properties(&properties);
  tls.struct_version = 5;
  tls.trustStore = ca;
  tls.keyStore = certificate;
  tls.privateKey = key;
  tls.enableServerCertAuth = 1;
  tls.verify = 1;
  tls.sslVersion = MQTT_SSL_VERSION_TLS_1_2;
  options.cleanstart = 0;
  options.keepAliveInterval = KEEPALIVE_S;
  options.connectProperties = &properties;
  options.ssl = &tls;
  options.onSuccess5 = on_connected;
  options.onFailure5 = on_connect_failed;
  options.context = null;
  int failed = MQTTAsync_connect(null->client, &options);
  MQTTProperties_free(&properties);
  return failed == MQTTASYNC_SUCCESS;
}

static void leave(struct null_client *null) {
  MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer5;
  MQTTProperty expiry = {.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, .value.integer4 = 0};
  struct timespec until;
  MQTTProperties_add(&options.properties, &expiry);
  options.onSuccess5 = on_left;
  options.context = null;
  options.timeout = 1000;
  MQTTAsync_setCallbacks(null->client, null, NULL, on_message, NULL);
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 3;
  if (MQTTAsync_disconnect(null->client, &options) == MQTTASYNC_SUCCESS) {
    while (sem_timedwait(&null->left, &until) != 0 && null->failed == 0) {
      struct timespec now;
      clock_gettime(CLOCK_REALTIME, &now);
      if (now.tv_sec > until.tv_sec) {
        break;
      }
    }
  }
  MQTTProperties_free(&options.properties);
}

static bool wait_for(struct null_client *null, sem_t *what) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += LONGEST_S;
  if (sem_timedwait(what, &until) != 0) {
    fprintf(stderr, "bench_paho_null: %" PRIu64 " messages within %d s\n", atomic_load(&null->messages), LONGEST_S);
    return false;
  }
  return atomic_load(&null->failed) == 0;
}

static void pause_s(long seconds) {
  struct timespec wait = {.tv_sec = seconds};
  nanosleep(&wait, NULL);
}

static bool measure(struct null_client *null, long settle, long seconds) {
  if (!wait_for(null, &null->began)) {
    return false;
  }
  if (null->count > 0) {
    return wait_for(null, &null->ended);
  }
  pause_s(settle);
  null->first = point_now(atomic_load(&null->messages));
  pause_s(seconds);
  null->last = point_now(atomic_load(&null->messages));
  return atomic_load(&null->failed) == 0;
}

static void print(const struct null_client *null) {
  const struct point *a = &null->first;
  const struct point *b = &null->last;
  printf("{\"messages\": %" PRIu64 ", \"seconds\": %.6f, \"user_us\": %" PRId64 ", \"system_us\": %" PRId64 "}\n",
         b->messages - a->messages, (double)(b->wall_us - a->wall_us) / 1e6, b->user_us - a->user_us,
         b->system_us - a->system_us);
  fflush(stdout);
}

int main(int argc, char **argv) {
  static struct null_client null;
  const char *ca = NULL;
  const char *certificate = NULL;
  const char *key = NULL;
  const char *client = "vedette/ingest-1";
  bool quiet = false;
  long port = 0;
  long count = 0;
  long skip = 0;
  long settle = 2;
  long seconds = 0;
  const struct option_row rows[] = {
      {"quiet", NULL, NULL, &quiet},      {"port", NULL, &port, NULL}, {"ca", &ca, NULL, NULL},
      {"cert", &certificate, NULL, NULL}, {"key", &key, NULL, NULL},   {"client", &client, NULL, NULL},
      {"count", NULL, &count, NULL},      {"skip", NULL, &skip, NULL}, {"settle", NULL, &settle, NULL},
      {"seconds", NULL, &seconds, NULL},  {NULL, NULL, NULL, NULL}};
  if (!options_take(argc, argv, rows)) {
    return 2;
  }
  if (port < 1 || port > 65535 || ca == NULL || certificate == NULL || key == NULL || (count > 0) == (seconds > 0) ||
      settle + seconds > LONGEST_S) {
    fprintf(stderr, "bench_paho_null: --port, --ca, --cert, --key and either --count or --seconds are needed\n");
    return 2;
  }
  char uri[64];
  snprintf(uri, sizeof uri, "ssl://127.0.0.1:%ld", port);
  null.skip = (uint64_t)skip;
  null.count = (uint64_t)count;
  sem_init(&null.began, 0, 0);
  sem_init(&null.ended, 0, 0);
  sem_init(&null.left, 0, 0);
  MQTTAsync_init_options init = MQTTAsync_init_options_initializer;
  MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer5;
  init.do_openssl_init = 1;
  MQTTAsync_global_init(&init);
  if (quiet) {
    MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
  }
  bool ok = MQTTAsync_createWithOptions(&null.client, uri, client, MQTTCLIENT_PERSISTENCE_NONE, NULL, &create) == 0 &&
            MQTTAsync_setCallbacks(null.client, &null, on_lost, on_message, NULL) == 0 &&
            connect_client(&null, ca, certificate, key) && measure(&null, settle, seconds);
  if (ok) {
    print(&null);
    leave(&null);
  }
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
