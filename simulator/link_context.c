// What all links share: the TLS context and the broker's address.
#include <arpa/inet.h>
#include <mosquitto.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "simulator/link_inside.h"

// OpenSSL asks for the client's certificate in the middle of a handshake and names only the connection; everything is on one
// thread, so the link whose handshake goes on is the one that was entered last.
static int show_certificate(SSL *ssl, void *arg) {
  struct link_context *context = arg;
  if (context->entered == NULL) {
    return 0;
  }
  char path[1024];
  const char *credential = context->entered->credential;
  snprintf(path, sizeof path, "%s/%s.crt", context->certificates, credential);
  int ok = SSL_use_certificate_chain_file(ssl, path);
  if (ok == 1) {
    snprintf(path, sizeof path, "%s/%s.key", context->certificates, credential);
    ok = SSL_use_PrivateKey_file(ssl, path, SSL_FILETYPE_PEM);
  }
  if (ok != 1) {
    char quoted[1100];
    log_error("certificate or key cannot be used", "file=%s", log_quote(quoted, sizeof quoted, path));
  }
  return ok == 1 ? 1 : 0;
}

// Keeps the reason: libmosquitto only says that there was a TLS error.
static int note_distrust(int trusted, X509_STORE_CTX *chain) {
  const SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
  struct link_context *context = ssl != NULL ? SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)) : NULL;
  if (trusted == 0 && context != NULL) {
    context->distrust = X509_verify_cert_error_string(X509_STORE_CTX_get_error(chain));
  }
  return trusted;
}

static int expect_host(SSL_CTX *tls, const char *host) {
  X509_VERIFY_PARAM *expected = SSL_CTX_get0_param(tls);
  unsigned char address[16];
  bool numeric = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
  return numeric ? X509_VERIFY_PARAM_set1_ip_asc(expected, host) : X509_VERIFY_PARAM_set1_host(expected, host, 0);
}

static SSL_CTX *tls_new(struct link_context *context, const struct link_settings *settings, char *error, size_t error_size) {
  SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
  if (tls == NULL || SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1 || expect_host(tls, settings->host) != 1) {
    snprintf(error, error_size, "TLS cannot be set up (OpenSSL)");
    SSL_CTX_free(tls);
    return NULL;
  }
  if (SSL_CTX_load_verify_file(tls, settings->ca) != 1) {
    snprintf(error, error_size, "%s: no CA certificate can be read from it; give the broker's CA with --ca", settings->ca);
    SSL_CTX_free(tls);
    return NULL;
  }
  SSL_CTX_set_app_data(tls, context);
  SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, note_distrust);
  SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_cert_cb(tls, show_certificate, context);
  return tls;
}

// libmosquitto resolves at each connect, and waits for the answer; so the name is resolved once, here.
static int resolve(struct link_context *context, const char *host, char *error, size_t error_size) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;
  int rc = getaddrinfo(host, NULL, &hints, &found);
  if (rc == 0) {
    rc = getnameinfo(found->ai_addr, found->ai_addrlen, context->address, sizeof context->address, NULL, 0, NI_NUMERICHOST);
    freeaddrinfo(found);
  }
  if (rc != 0) {
    snprintf(error, error_size, "--broker: host `%.100s` cannot be resolved: %s", host, gai_strerror(rc));
    return -1;
  }
  return 0;
}

struct link_context *link_context_new(const struct link_settings *settings, char *error, size_t error_size) {
  struct link_context *context = calloc(1, sizeof *context);
  if (context == NULL) {
    snprintf(error, error_size, "out of memory");
    return NULL;
  }
  mosquitto_lib_init();
  context->base = settings->base;
  context->port = settings->port;
  context->keepalive = settings->keepalive;
  context->window = settings->window;
  context->certificates = strdup(settings->certificates);
  context->acknowledged = calloc(settings->window + LINK_RESERVE, sizeof *context->acknowledged);
  context->tls = tls_new(context, settings, error, error_size);
  if (context->tls == NULL || resolve(context, settings->host, error, error_size) != 0) {
    goto failed;
  }
  if (context->certificates == NULL || context->acknowledged == NULL) {
    snprintf(error, error_size, "out of memory");
    goto failed;
  }
  return context;
failed:
  link_context_free(context);
  return NULL;
}

void link_context_free(struct link_context *context) {
  if (context == NULL) {
    return;
  }
  SSL_CTX_free(context->tls);
  free(context->certificates);
  free(context->acknowledged);
  free(context);
  mosquitto_lib_cleanup();
}
