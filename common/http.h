// The small HTTP endpoint of a daemon, GET only, on loopback by default:
//   /metrics  Prometheus' text; what the daemon tells, then what every program has (common/process.h)
//   /healthz  200 as long as the process lives and its loop turns: the loop answers
//   /readyz   200 while the daemon does its work, else 503 and what is missing
// Bounds: 8 KiB of header, no body, 10 s of waiting, HTTP_CONNECTIONS_MOST connections: a further one takes the place of the
// oldest, so that nobody can keep others out by holding connections.
#ifndef VEDETTE_COMMON_HTTP_H
#define VEDETTE_COMMON_HTTP_H

#include "common/config.h"
#include "common/loop.h"

#include <event2/buffer.h>
#include <stdbool.h>

enum { HTTP_CONNECTIONS_MOST = 32 };

struct http;

struct http_source {
  // Writes the metrics in Prometheus' text format.
  void (*metrics)(struct evbuffer *out, void *arg);
  // True when the daemon does its work; `why` (may be left empty) says what is missing.
  bool (*ready)(char *why, size_t size, void *arg);
  void *arg;
};

// Listens where `config` says. With port 0 nothing is opened and a handle that does nothing is returned. NULL on failure, logged.
struct http *http_open(struct loop *loop, const struct config_http *config, const struct http_source *source);
void http_close(struct http *http);

// Writes one metric with its HELP and TYPE lines. `labels` is "" or `{name="value"}`.
void http_metric(struct evbuffer *out, const char *name, const char *type, const char *help, const char *labels, double value);

#endif
