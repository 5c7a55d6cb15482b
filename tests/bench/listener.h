// One TLS client with a certificate of the given CA, on 127.0.0.1.
#ifndef VEDETTE_BENCH_LISTENER_H
#define VEDETTE_BENCH_LISTENER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

struct listener_files {
  const char *ca, *certificate, *key; // PEM
};

// Listens; -1 on failure, said on stderr.
int listener_open(uint16_t port);
// A server context that asks for a client certificate; NULL on failure, said on stderr.
SSL_CTX *listener_context(const struct listener_files *files);
// Waits up to `seconds` for one client and shakes hands; its socket does not block then. NULL on failure, said on stderr.
SSL *listener_accept(int listening, SSL_CTX *context, int seconds);

#endif
