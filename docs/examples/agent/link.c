#include "docs/examples/agent/link.h"

#include <MQTTAsync.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "docs/examples/agent/text.h"

enum { KEEPALIVE_S = 30, CONNECT_TIMEOUT_S = 15 };

struct link {
  struct link_options options;
  MQTTAsync client;
  int wake;
  pthread_mutex_t lock; // guards what follows; never held while Paho is called, which holds a lock of its own when it calls us
  struct link_news news;
  char tls[192]; // last complaint of the TLS library
};

// Leaves a mark in the mailbox and wakes its owner. The lock is held. An eventfd's counter cannot overflow here.
static void wake(struct link *link) {
  uint64_t one = 1;
  ssize_t written = write(link->wake, &one, sizeof one);
  (void)written;
}

static void on_connected(void *context, MQTTAsync_successData *data) {
  struct link *link = context;
  (void)data;
  pthread_mutex_lock(&link->lock);
  link->news.connected = true;
  wake(link);
  pthread_mutex_unlock(&link->lock);
}

static void lose(struct link *link, const char *why) {
  pthread_mutex_lock(&link->lock);
  link->news.lost = true;
  snprintf(link->news.why, sizeof link->news.why, "%s", why);
  wake(link);
  pthread_mutex_unlock(&link->lock);
}

static void on_lost(void *context, char *cause) {
  lose(context, cause != NULL ? cause : "the broker closed the connection");
}

static void on_disconnected(void *context, MQTTAsync_successData *data) {
  (void)data;
  lose(context, "disconnected");
}

static void on_disconnect_failed(void *context, MQTTAsync_failureData *data) {
  (void)data;
  lose(context, "disconnected, not in order");
}

static void on_sent(void *context, MQTTAsync_successData *data) {
  struct link *link = context;
  pthread_mutex_lock(&link->lock);
  if (link->news.token_count < LINK_TOKENS_MAX) {
    link->news.tokens[link->news.token_count++] = data->token;
  }
  wake(link);
  pthread_mutex_unlock(&link->lock);
}

static int on_message(void *context, char *topic, int topic_size, MQTTAsync_message *message) {
  struct link *link = context;
  (void)topic_size; // one topic is subscribed, so every message is a notice
  pthread_mutex_lock(&link->lock);
  struct link_news *news = &link->news;
  if (message->payloadlen < 0 || message->payloadlen > LINK_NOTICE_BYTES || news->notice_count == LINK_NOTICES_MAX) {
    news->notices_dropped++;
  } else {
    struct link_notice *notice = &news->notices[news->notice_count++];
    notice->size = (size_t)message->payloadlen;
    memcpy(notice->bytes, message->payload, notice->size);
  }
  wake(link);
  pthread_mutex_unlock(&link->lock);
  MQTTAsync_freeMessage(&message);
  MQTTAsync_free(topic);
  return 1;
}

// OpenSSL's error lines, one call each: "C076…:error:0A000086:SSL routines:tls_post_…:certificate verify failed:../ssl/…:1889:".
// What a person needs is the part after the function's name.
static int on_tls_error(const char *text, size_t size, void *context) {
  struct link *link = context;
  struct text line = {text, text + size};
  const char *function = text_find(line, " routines:");
  struct text rest = {function != NULL ? function + 10 : text, line.end};
  const char *colon = function != NULL ? text_find(rest, ":") : NULL;
  rest.at = colon != NULL ? colon + 1 : rest.at;
  colon = text_find(rest, ":");
  rest.end = colon != NULL ? colon : rest.end;
  pthread_mutex_lock(&link->lock);
  text_clean(rest, link->tls, sizeof link->tls);
  pthread_mutex_unlock(&link->lock);
  return 1;
}

// Paho says little: "TCP/TLS connect failure" is also what a certificate for another name than the broker's comes to.
static void on_connect_failed(void *context, MQTTAsync_failureData *data) {
  struct link *link = context;
  const char *text = data != NULL && data->message != NULL ? data->message : "no answer from the broker";
  bool general = strcmp(text, "TCP/TLS connect failure") == 0;
  pthread_mutex_lock(&link->lock);
  link->news.failed = true;
  if (link->tls[0] != '\0') {
    snprintf(link->news.why, sizeof link->news.why, "TLS: %s", link->tls);
  } else {
    snprintf(link->news.why, sizeof link->news.why, "%s%s", text,
             general ? ": nothing listens there, or its certificate is for another name" : "");
  }
  wake(link);
  pthread_mutex_unlock(&link->lock);
}

struct link *link_create(const struct link_options *options, char *error, size_t error_size) {
  char address[300];
  struct link *link = calloc(1, sizeof *link);
  if (link == NULL) {
    snprintf(error, error_size, "out of memory");
    return NULL;
  }
  link->options = *options;
  pthread_mutex_init(&link->lock, NULL);
  link->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (link->wake < 0) {
    snprintf(error, error_size, "cannot make an event descriptor: %s", strerror(errno));
    goto failed;
  }
  snprintf(address, sizeof address, "ssl://%s", options->broker);
  MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
  create.MQTTVersion = MQTTVERSION_3_1_1;
  int result =
      MQTTAsync_createWithOptions(&link->client, address, options->credential, MQTTCLIENT_PERSISTENCE_NONE, NULL, &create);
  if (result == MQTTASYNC_SUCCESS) {
    result = MQTTAsync_setCallbacks(link->client, link, on_lost, on_message, NULL);
  }
  if (result != MQTTASYNC_SUCCESS) {
    snprintf(error, error_size, "cannot make an MQTT client for %s: %s", options->broker, MQTTAsync_strerror(result));
    goto failed;
  }
  return link;
failed:
  link_free(link);
  return NULL;
}

void link_free(struct link *link) {
  if (link == NULL) {
    return;
  }
  if (link->client != NULL) {
    MQTTAsync_destroy(&link->client);
  }
  if (link->wake >= 0) {
    close(link->wake);
  }
  pthread_mutex_destroy(&link->lock);
  free(link);
}

int link_descriptor(const struct link *link) {
  return link->wake;
}

void link_take(struct link *link, struct link_news *news) {
  uint64_t count = 0;
  pthread_mutex_lock(&link->lock);
  ssize_t got = read(link->wake, &count, sizeof count); // nothing to read is fine: there is no news then
  (void)got;
  *news = link->news;
  memset(&link->news, 0, sizeof link->news);
  pthread_mutex_unlock(&link->lock);
}

static MQTTAsync_SSLOptions tls_options(struct link *link) {
  MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
  tls.struct_version = 5;
  tls.trustStore = link->options.ca;
  tls.keyStore = link->options.cert;
  tls.privateKey = link->options.key;
  tls.disableDefaultTrustStore = 1;
  tls.enableServerCertAuth = 1;
  tls.verify = 1;                            // the name too, which Paho does not look at by itself
  tls.sslVersion = MQTT_SSL_VERSION_DEFAULT; // the best both know; Debian's OpenSSL refuses what is older than TLS 1.2
  tls.ssl_error_cb = on_tls_error;
  tls.ssl_error_context = link;
  return tls;
}

bool link_connect(struct link *link, const char *will_topic, const struct report_bytes *will) {
  MQTTAsync_SSLOptions tls = tls_options(link);
  MQTTAsync_willOptions last_will = MQTTAsync_willOptions_initializer;
  last_will.struct_version = 1; // the one with binary payloads
  last_will.topicName = will_topic;
  last_will.payload.data = will->bytes;
  last_will.payload.len = (int)will->size;
  last_will.retained = 1;
  last_will.qos = 1;
  // No automatic reconnect: it would repeat this connection's will, and the will has to carry the number of its own connection.
  MQTTAsync_connectOptions connect = MQTTAsync_connectOptions_initializer;
  connect.MQTTVersion = MQTTVERSION_3_1_1; // with the default, a later attempt may fall back to MQTT 3.1
  connect.keepAliveInterval = KEEPALIVE_S;
  connect.connectTimeout = CONNECT_TIMEOUT_S;
  connect.cleansession = 1; // what is unacknowledged is in our own queue
  connect.will = &last_will;
  connect.ssl = &tls;
  connect.onSuccess = on_connected;
  connect.onFailure = on_connect_failed;
  connect.context = link;
  pthread_mutex_lock(&link->lock);
  memset(&link->news, 0, sizeof link->news); // what is left belongs to the connection before
  link->tls[0] = '\0';
  pthread_mutex_unlock(&link->lock);
  return MQTTAsync_connect(link->client, &connect) == MQTTASYNC_SUCCESS;
}

int link_send(struct link *link, const char *topic, const struct report_bytes *message, bool retained) {
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  response.onSuccess = on_sent;
  response.context = link;
  int result = MQTTAsync_send(link->client, topic, (int)message->size, message->bytes, 1, retained ? 1 : 0, &response);
  return result == MQTTASYNC_SUCCESS ? response.token : -1;
}

bool link_subscribe(struct link *link, const char *topic) {
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  return MQTTAsync_subscribe(link->client, topic, 0, &response) == MQTTASYNC_SUCCESS;
}

bool link_disconnect(struct link *link) {
  MQTTAsync_disconnectOptions disconnect = MQTTAsync_disconnectOptions_initializer;
  disconnect.timeout = 1000;
  disconnect.onSuccess = on_disconnected;
  disconnect.onFailure = on_disconnect_failed;
  disconnect.context = link;
  return MQTTAsync_disconnect(link->client, &disconnect) == MQTTASYNC_SUCCESS;
}
