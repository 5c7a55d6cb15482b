// The agent's parsers of /proc, /sys and os-release: each reads the same text.
#include "docs/examples/agent/host.h"
#include "docs/examples/agent/netdev.h"
#include "docs/examples/agent/sockets.h"
#include "tests/fuzz/input.h"

#include <string.h>

static void parse_host(struct text text) {
  struct host_load load;
  struct host_memory memory;
  double number;
  char version[65];
  char part[32];
  host_parse_load(text, &load);
  host_parse_memory(text, &memory);
  host_parse_uptime(text, &number);
  if (host_parse_temperature(text, &number)) {
    CHECK(number >= -100 && number <= 250);
  }
  host_parse_version(text, version, sizeof version);
  host_name_part(text, part, sizeof part);
  CHECK(strnlen(part, sizeof part) < sizeof part);
}

static void parse_sockets(struct text text) {
  static struct sockets *sockets;
  struct sockets_summary summary;
  struct sockets_entry entry;
  if (sockets == NULL) {
    sockets = sockets_create();
    CHECK(sockets != NULL);
  }
  sockets_parse_line(text, &entry);
  sockets_add(sockets, text, SOCKETS_TCP);
  sockets_add(sockets, text, SOCKETS_UDP);
  sockets_summarise(sockets, &summary);
  CHECK(summary.flow_count <= SOCKETS_FLOWS_MAX && summary.tcp.count <= SOCKETS_PORTS_MAX);
  CHECK(summary.udp.count <= SOCKETS_PORTS_MAX && summary.destinations <= summary.connections);
  for (size_t i = 1; i < summary.tcp.count; i++) {
    CHECK(summary.tcp.port[i - 1] < summary.tcp.port[i]);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *copy = malloc(size + 1); // of exactly this size: a read behind it is seen
  CHECK(copy != NULL);
  memcpy(copy + 1, data, size);
  struct text text = {.at = copy + 1, .end = copy + 1 + size};
  struct netdev before;
  struct netdev after;
  parse_host(text);
  parse_sockets(text);
  netdev_parse(text, &before);
  netdev_parse((struct text){.at = text.at + size / 2, .end = text.end}, &after);
  CHECK(before.count <= NETDEV_MAX && after.count <= NETDEV_MAX);
  netdev_between(&before, &after);
  free(copy);
  return 0;
}
