// The broker's side of one MQTT connection that does nothing but play prepared PUBLISH packets: as fast as the client takes them,
// no more under way than its Receive Maximum, many packets a TLS record. Answers CONNECT, SUBSCRIBE and PINGREQ.
#ifndef VEDETTE_BENCH_PLAYER_H
#define VEDETTE_BENCH_PLAYER_H

#include <openssl/ssl.h>

#include "tests/bench/frames.h"
#include "tests/bench/stock.h"

struct player_limits {
  size_t warm;          // messages that come first and are not measured; below the number of all
  void (*warmed)(void); // called when they are acknowledged; a pause of a second follows
  struct frames_repeats repeats;
  int again;     // seconds for which all is played again and again after the warm-up, as new reports; 0: once. The stock
                 // must begin at STOCK_LATE, have as many reports of each device, and be without repeats.
  size_t window; // messages under way at most; a smaller Receive Maximum of the client goes before
  int seconds;   // until all are acknowledged, and once more until the client leaves
};

struct player_result {
  size_t acknowledged;
  size_t bytes;  // of the packets, each counted once
  size_t window; // that was used
  bool mqtt5;
  int64_t first_us, last_us; // Unix microseconds: first byte after the warm-up sent, last PUBACK read
};

// Plays the whole stock from the first SUBSCRIBE on, then stays until the client leaves or `*stop` is set; `done` is called once
// all are acknowledged. False when the client breaks the protocol or leaves early, or time is over; said on stderr.
bool player_run(SSL *tls, const struct stock *stock, const struct player_limits *limits, const volatile int *stop,
                void (*done)(const struct player_result *result));

#endif
