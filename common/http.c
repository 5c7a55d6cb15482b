#include "common/http.h"

#include "common/log.h"

#include <errno.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_LIMIT = 8192, TIMEOUT_S = 10 };

struct http {
  struct evhttp *server;
  struct http_source source;
};

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
    evhttp_free(http->server);
  }
  free(http);
}

void http_metric(struct evbuffer *out, const char *name, const char *type, const char *help, const char *labels, double value) {
  evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s%s %.17g\n", name, help, name, type, name, labels, value);
}
