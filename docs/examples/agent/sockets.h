// Who talks to this machine: /proc/net/{tcp,tcp6,udp,udp6} as text in; connections, flows and open ports out.
#ifndef VEDETTE_AGENT_SOCKETS_H
#define VEDETTE_AGENT_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "docs/examples/agent/text.h"

enum {
  SOCKETS_FLOWS_MAX = 32,    // as Traffic.flows
  SOCKETS_PORTS_MAX = 128,   // as Traffic.listening_tcp
  SOCKETS_PEERS_MAX = 65536, // connections whose peers are told apart; further ones are only counted
};

enum sockets_transport { SOCKETS_TCP, SOCKETS_UDP };

struct sockets_address {
  uint8_t size; // 4 or 16
  uint8_t bytes[16];
};

// One line of such a table.
struct sockets_entry {
  struct sockets_address local;
  struct sockets_address remote;
  uint16_t local_port;
  uint16_t remote_port;
  uint8_t state; // as the kernel numbers them: 1 established, 7 closed (an unconnected UDP socket), 10 listening
};

struct sockets_flow {
  struct sockets_address address;
  uint16_t port;
  enum sockets_transport transport;
  uint32_t connections;
};

struct sockets_ports {
  size_t count;
  uint16_t port[SOCKETS_PORTS_MAX]; // ascending, each once; the lowest where there are more
};

struct sockets_summary {
  uint32_t connections;  // established TCP connections and connected UDP sockets, none over loopback
  uint32_t destinations; // distinct remote addresses among them
  size_t flow_count;
  struct sockets_flow flows[SOCKETS_FLOWS_MAX]; // those of most connections first
  struct sockets_ports tcp;                     // open to the network: not bound to a loopback address
  struct sockets_ports udp;
};

// Reads one line. IPv4 addresses inside IPv6 ones come out as IPv4. False for the heading and for what the kernel would not
// write.
bool sockets_parse_line(struct text line, struct sockets_entry *out);

// Collects the tables of one reading. Owned by the caller, for one thread.
struct sockets;
struct sockets *sockets_create(void); // NULL without memory
void sockets_free(struct sockets *sockets);

// Adds one table. What is past SOCKETS_PEERS_MAX counts as a connection, its peer is not kept.
void sockets_add(struct sockets *sockets, struct text table, enum sockets_transport transport);

// Sums up what was added, and empties `sockets` for the next reading.
void sockets_summarise(struct sockets *sockets, struct sockets_summary *out);

#endif
