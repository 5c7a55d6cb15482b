#include "common/http.h"

#include "common/log.h"
#include "common/process.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

enum { HEADER_LIMIT = 8192, TIMEOUT_S = 10 };

// libevent 2.1 counts no connections. We make the socket's bufferevent when it accepts one, and learn of its end by the callback
// of the connection that libevent hangs on it: known a moment later, and kept from being freed until then.
struct connection {
  TAILQ_ENTRY(connection) entry;
  struct http *http;
  struct bufferevent *socket; // ours too while `settle` is there
  struct event *settle;
};

struct http {
  struct evhttp *server;
  struct http_source source;
  TAILQ_HEAD(connections, connection) connections; // oldest first
  unsigned count;
  uint64_t closed; // to make room
};

static void settle(struct connection *connection) {
  event_free(connection->settle);
  connection->settle = NULL;
  bufferevent_decref(connection->socket);
}

static void forget(struct connection *connection) {
  if (connection->settle != NULL) {
    settle(connection);
  }
  TAILQ_REMOVE(&connection->http->connections, connection, entry);
  connection->http->count--;
  free(connection);
}

static void on_close(struct evhttp_connection *closed, void *arg) {
  (void)closed;
  forget(arg);
}

static void on_settle(evutil_socket_t fd, short what, void *arg) {
  struct connection *connection = arg;
  void *owner = NULL; // libevent's struct evhttp_connection, while there is one
  (void)fd;
  (void)what;
  bufferevent_getcb(connection->socket, NULL, NULL, NULL, &owner);
  if (owner == NULL) {
    forget(connection);
    return;
  }
  evhttp_connection_set_closecb(owner, on_close, connection);
  settle(connection);
}

// Shut down, not closed: libevent, which owns it, sees its end and frees it. To the end of the list, so that the next is another.
static void close_oldest(struct http *http) {
  struct connection *oldest = TAILQ_FIRST(&http->connections);
  TAILQ_REMOVE(&http->connections, oldest, entry);
  TAILQ_INSERT_TAIL(&http->connections, oldest, entry);
  http->closed++;
  shutdown(bufferevent_getfd(oldest->socket), SHUT_RDWR);
}

// Makes the bufferevent of a connection that is being accepted. With NULL libevent makes one of its own: then it is not counted.
static struct bufferevent *on_accept(struct event_base *base, void *arg) {
  struct http *http = arg;
  struct connection *connection = calloc(1, sizeof *connection);
  if (connection == NULL) {
    return NULL;
  }
  connection->http = http;
  connection->socket = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
  connection->settle = event_new(base, -1, 0, on_settle, connection);
  if (connection->socket == NULL || connection->settle == NULL) {
    if (connection->settle != NULL) {
      event_free(connection->settle);
    }
    struct bufferevent *socket = connection->socket;
    free(connection);
    return socket;
  }
  if (http->count >= HTTP_CONNECTIONS_MOST) {
    close_oldest(http);
  }
  bufferevent_incref(connection->socket);
  event_active(connection->settle, EV_TIMEOUT, 0);
  TAILQ_INSERT_TAIL(&http->connections, connection, entry);
  http->count++;
  return connection->socket;
}

static void reply(struct evhttp_request *request, int code, const char *reason, struct evbuffer *body) {
  evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  evhttp_send_reply(request, code, reason, body);
  if (body != NULL) {
    evbuffer_free(body);
  }
}

static void on_metrics(struct evhttp_request *request, void *arg) {
  struct http *http = arg;
  struct evbuffer *body = evbuffer_new();
  if (body != NULL) {
    http->source.metrics(body, http->source.arg);
    http_metric(body, "vedette_http_connections", "gauge", "Connections to this endpoint.", "", http->count);
    http_metric(body, "vedette_http_connections_limit", "gauge", "Connections this endpoint keeps.", "", HTTP_CONNECTIONS_MOST);
    http_metric(body, "vedette_http_connections_closed_total", "counter", "Connections closed to make room for newer ones.", "",
                (double)http->closed);
    http_metric(body, "vedette_log_left_out_total", "counter", "Log lines left out because of the limit a minute.", "",
                (double)log_left_out());
    process_write_metrics(body);
  }
  reply(request, body ? 200 : 503, body ? "OK" : "Out of memory", body);
}

static void on_healthz(struct evhttp_request *request, void *arg) {
  struct evbuffer *body = evbuffer_new();
  (void)arg;
  if (body != NULL) {
    evbuffer_add_printf(body, "alive\n");
  }
  reply(request, 200, "OK", body);
}

static void on_readyz(struct evhttp_request *request, void *arg) {
  struct http *http = arg;
  char why[256] = "";
  struct evbuffer *body = evbuffer_new();
  bool ready = http->source.ready(why, sizeof why, http->source.arg);
  if (body != NULL) {
    evbuffer_add_printf(body, "%s\n", ready ? "ready" : why);
  }
  reply(request, ready ? 200 : 503, ready ? "OK" : "Not ready", body);
}

struct http *http_open(struct loop *loop, const struct config_http *config, const struct http_source *source) {
  struct http *http = calloc(1, sizeof *http);
  if (http == NULL) {
    return NULL;
  }
  http->source = *source;
  TAILQ_INIT(&http->connections);
  if (config->port == 0) {
    return http;
  }
  http->server = evhttp_new(loop_base(loop));
  if (http->server == NULL || evhttp_bind_socket(http->server, config->address, config->port) != 0) {
    log_error("the HTTP endpoint cannot be opened", "address=%s port=%u error=\"%s\"", config->address, config->port,
              strerror(errno));
    http_close(http);
    return NULL;
  }
  evhttp_set_bevcb(http->server, on_accept, http);
  evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
  evhttp_set_max_headers_size(http->server, HEADER_LIMIT);
  evhttp_set_max_body_size(http->server, 0);
  evhttp_set_timeout(http->server, TIMEOUT_S);
  evhttp_set_cb(http->server, "/metrics", on_metrics, http);
  evhttp_set_cb(http->server, "/healthz", on_healthz, http);
  evhttp_set_cb(http->server, "/readyz", on_readyz, http);
  return http;
}

void http_close(struct http *http) {
  if (http != NULL && http->server != NULL) {
    evhttp_free(http->server);                 // and its connections
    while (!TAILQ_EMPTY(&http->connections)) { // not settled
      forget(TAILQ_FIRST(&http->connections));
    }
  }
  free(http);
}

void http_metric(struct evbuffer *out, const char *name, const char *type, const char *help, const char *labels, double value) {
  evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s%s %.17g\n", name, help, name, type, name, labels, value);
}
