// The MQTT connection, over Paho's asynchronous client. Paho calls back on threads of its own: everything that happens is put
// into one mailbox, and the owner's thread, woken through a descriptor, takes it out. No function here waits for the network.
#ifndef VEDETTE_AGENT_LINK_H
#define VEDETTE_AGENT_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "docs/examples/agent/report.h"

enum { LINK_NOTICES_MAX = 8, LINK_NOTICE_BYTES = 1024, LINK_TOKENS_MAX = 16 };

struct link_options {
  const char *broker; // HOST:PORT
  const char *ca;     // PEM files
  const char *cert;
  const char *key;
  const char *credential; // client id too, which brokers set up for Vedette replace by the certificate's name
};

struct link_notice {
  size_t size;
  uint8_t bytes[LINK_NOTICE_BYTES];
};

// What happened since the last link_take.
struct link_news {
  bool connected;
  bool failed;                 // the attempt to connect, `why` says why
  bool lost;                   // the connection, or it was given up
  size_t token_count;          // messages of link_send that the broker now has …
  int tokens[LINK_TOKENS_MAX]; // … these; an owner has no more than a few under way
  char why[256];
  size_t notice_count;
  size_t notices_dropped; // there were more than fit
  struct link_notice notices[LINK_NOTICES_MAX];
};

struct link;

// Makes the client; nothing is sent yet. Block all signals first: Paho's threads inherit the mask. NULL with a sentence in
// `error`.
struct link *link_create(const struct link_options *options, char *error, size_t error_size);
void link_free(struct link *link); // NULL is allowed

int link_descriptor(const struct link *link); // readable when there is news

// Takes the news out of the mailbox.
void link_take(struct link *link, struct link_news *news);

// Starts to connect, with a will. News: connected or failed. False if it could not even start.
bool link_connect(struct link *link, const char *will_topic, const struct report_bytes *will);

// Sends a message at QoS 1. Returns its token, which `news.tokens` names once the broker has it; -1 if there is no connection.
int link_send(struct link *link, const char *topic, const struct report_bytes *message, bool retained);

bool link_subscribe(struct link *link, const char *topic);

// Starts to disconnect; the broker will not send the will. News: lost. False if there is nothing to disconnect.
bool link_disconnect(struct link *link);

#endif
