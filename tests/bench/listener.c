#include "tests/bench/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { HANDSHAKE_S = 10, READ_AHEAD = 64 * 1024 };

int listener_open(uint16_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int on = 1;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
      bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0) {
    return fd;
  }
  fprintf(stderr, "cannot listen on 127.0.0.1:%u: %s\n", port, strerror(errno));
  if (fd >= 0) {
    close(fd);
  }
  return -1;
}

SSL_CTX *listener_context(const struct listener_files *files) {
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  if (context != NULL && SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
      SSL_CTX_use_certificate_chain_file(context, files->certificate) == 1 &&
      SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) == 1 &&
      SSL_CTX_load_verify_locations(context, files->ca, NULL) == 1) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    // Many small records with one system call.
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD);
    return context;
  }
  fprintf(stderr, "the TLS files cannot be used: %s\n", ERR_error_string(ERR_get_error(), NULL));
  SSL_CTX_free(context);
  return NULL;
}

static int accept_within(int listening, int seconds) {
  struct pollfd wait = {.fd = listening, .events = POLLIN};
  int ready = poll(&wait, 1, seconds * 1000);
  if (ready <= 0) {
    fprintf(stderr, "nobody connected within %d s\n", seconds);
    return -1;
  }
  int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) {
    fprintf(stderr, "accept: %s\n", strerror(errno));
  }
  return fd;
}

// A congestion control that does not pace: with BBR, which some machines have as their default, the loopback is the bottleneck.
static const char unpaced[] = "reno";

static bool set_up(int fd) {
  struct timeval limit = {.tv_sec = HANDSHAKE_S};
  int on = 1;
  return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, unpaced, sizeof unpaced - 1) == 0 &&
         setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
         setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0;
}

SSL *listener_accept(int listening, SSL_CTX *context, int seconds) {
  int fd = accept_within(listening, seconds);
  if (fd < 0) {
    return NULL;
  }
  SSL *tls = SSL_new(context);
  if (tls != NULL && set_up(fd) && SSL_set_fd(tls, fd) == 1 && SSL_accept(tls) == 1 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0) {
    return tls;
  }
  fprintf(stderr, "the TLS handshake failed: %s\n", ERR_error_string(ERR_get_error(), NULL));
  SSL_free(tls);
  close(fd);
  return NULL;
}
