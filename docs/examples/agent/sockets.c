#include "docs/examples/agent/sockets.h"

#include <stdlib.h>
#include <string.h>

enum { STATE_ESTABLISHED = 1, STATE_CLOSED = 7, STATE_LISTEN = 10 };

struct sockets {
  uint64_t connections;
  size_t peer_count;
  struct sockets_flow peers[SOCKETS_PEERS_MAX]; // `connections` is 1 in each until they are grouped
  uint8_t open[2][65536 / 8];                   // a bit a port, by transport
};

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// The kernel prints each 32-bit word of an address as the number it is in memory, so copying the number back restores its bytes.
static bool parse_address(struct text hex, struct sockets_address *out) {
  size_t digits = text_size(hex);
  if (digits != 8 && digits != 32) {
    return false;
  }
  out->size = (uint8_t)(digits / 2);
  for (size_t i = 0; i < digits / 8; i++) {
    struct text part = {hex.at + i * 8, hex.at + i * 8 + 8};
    uint64_t value = 0;
    if (!text_number(&part, 16, &value) || text_size(part) != 0) {
      return false;
    }
    uint32_t word = (uint32_t)value;
    memcpy(out->bytes + i * 4, &word, 4);
  }
  if (out->size == 16 && memcmp(out->bytes, mapped_prefix, sizeof mapped_prefix) == 0) {
    memmove(out->bytes, out->bytes + 12, 4);
    memset(out->bytes + 4, 0, 12);
    out->size = 4;
  }
  return true;
}

static bool parse_endpoint(struct text word, struct sockets_address *address, uint16_t *port) {
  const char *colon = text_find(word, ":");
  if (colon == NULL) {
    return false;
  }
  struct text number = {colon + 1, word.end};
  uint64_t value = 0;
  if (text_size(number) != 4 || !text_number(&number, 16, &value) || text_size(number) != 0) {
    return false;
  }
  *port = (uint16_t)value;
  return parse_address((struct text){word.at, colon}, address);
}

bool sockets_parse_line(struct text line, struct sockets_entry *out) {
  struct text word[4]; // "0:" local remote state
  for (size_t i = 0; i < 4; i++) {
    if (!text_word(&line, &word[i])) {
      return false;
    }
  }
  uint64_t slot = 0;
  uint64_t state = 0;
  memset(out, 0, sizeof *out);
  if (!text_number(&word[0], 10, &slot) || !text_is(word[0], ":") || text_size(word[3]) != 2 ||
      !text_number(&word[3], 16, &state) || text_size(word[3]) != 0) {
    return false;
  }
  out->state = (uint8_t)state;
  return parse_endpoint(word[1], &out->local, &out->local_port) && parse_endpoint(word[2], &out->remote, &out->remote_port);
}

static bool is_loopback(const struct sockets_address *address) {
  static const uint8_t loopback6[16] = {[15] = 1};
  return address->size == 4 ? address->bytes[0] == 127 : memcmp(address->bytes, loopback6, 16) == 0;
}

struct sockets *sockets_create(void) {
  return calloc(1, sizeof(struct sockets));
}

void sockets_free(struct sockets *sockets) {
  free(sockets);
}

static void add_peer(struct sockets *sockets, const struct sockets_entry *entry, enum sockets_transport transport) {
  sockets->connections++;
  if (sockets->peer_count < SOCKETS_PEERS_MAX) {
    sockets->peers[sockets->peer_count++] = (struct sockets_flow){entry->remote, entry->remote_port, transport, 1};
  }
}

void sockets_add(struct sockets *sockets, struct text table, enum sockets_transport transport) {
  uint8_t waiting = transport == SOCKETS_TCP ? STATE_LISTEN : STATE_CLOSED;
  struct text line;
  while (text_line(&table, &line)) {
    struct sockets_entry entry;
    if (!sockets_parse_line(line, &entry)) {
      continue;
    }
    if (entry.state == STATE_ESTABLISHED && !is_loopback(&entry.remote)) {
      add_peer(sockets, &entry, transport);
    } else if (entry.state == waiting && !is_loopback(&entry.local) && entry.local_port != 0) {
      sockets->open[transport][entry.local_port / 8] |= (uint8_t)(1U << (entry.local_port % 8));
    }
  }
}

// By address, then transport and port: puts what belongs to one flow, and all flows of one address, side by side.
static int by_peer(const void *left, const void *right) {
  const struct sockets_flow *a = left;
  const struct sockets_flow *b = right;
  if (a->address.size != b->address.size) {
    return a->address.size < b->address.size ? -1 : 1;
  }
  int order = memcmp(a->address.bytes, b->address.bytes, a->address.size);
  if (order != 0) {
    return order;
  }
  if (a->transport != b->transport) {
    return a->transport < b->transport ? -1 : 1;
  }
  return (a->port > b->port) - (a->port < b->port);
}

static int by_connections(const void *left, const void *right) {
  const struct sockets_flow *a = left;
  const struct sockets_flow *b = right;
  return a->connections != b->connections ? (a->connections > b->connections ? -1 : 1) : by_peer(left, right);
}

// Sorts the peers, merges those of one flow, and counts addresses. Leaves the flows in front of `peers`.
static size_t group_peers(struct sockets *sockets, uint32_t *addresses) {
  size_t flows = 0;
  *addresses = 0;
  qsort(sockets->peers, sockets->peer_count, sizeof sockets->peers[0], by_peer);
  for (size_t i = 0; i < sockets->peer_count; i++) {
    struct sockets_flow peer = sockets->peers[i];
    struct sockets_flow *last = flows > 0 ? &sockets->peers[flows - 1] : NULL;
    bool same_address = last != NULL && memcmp(&last->address, &peer.address, sizeof peer.address) == 0;
    *addresses += same_address ? 0 : 1;
    if (last != NULL && by_peer(last, &peer) == 0) {
      last->connections++;
    } else {
      sockets->peers[flows++] = peer;
    }
  }
  return flows;
}

static void list_ports(const uint8_t *open, struct sockets_ports *out) {
  out->count = 0;
  for (uint32_t port = 1; port < 65536 && out->count < SOCKETS_PORTS_MAX; port++) {
    if ((open[port / 8] >> (port % 8) & 1) != 0) {
      out->port[out->count++] = (uint16_t)port;
    }
  }
}

void sockets_summarise(struct sockets *sockets, struct sockets_summary *out) {
  memset(out, 0, sizeof *out);
  out->connections = (uint32_t)sockets->connections;
  size_t flows = group_peers(sockets, &out->destinations);
  qsort(sockets->peers, flows, sizeof sockets->peers[0], by_connections);
  out->flow_count = flows < SOCKETS_FLOWS_MAX ? flows : SOCKETS_FLOWS_MAX;
  memcpy(out->flows, sockets->peers, out->flow_count * sizeof out->flows[0]);
  list_ports(sockets->open[SOCKETS_TCP], &out->tcp);
  list_ports(sockets->open[SOCKETS_UDP], &out->udp);
  sockets->connections = 0;
  sockets->peer_count = 0;
  memset(sockets->open, 0, sizeof sockets->open);
}
