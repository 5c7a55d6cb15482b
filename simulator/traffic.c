#include "simulator/traffic.h"

#include "simulator/random.h"
#include "simulator/values.h"

// Addresses of the documentation ranges (RFC 5737, RFC 3849): nobody's.
static const uint8_t cloud[4] = {192, 0, 2, 10};
static const uint8_t resolver[4] = {192, 0, 2, 53};
static const uint8_t clock_server[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 0x7b};

static void flow(struct draft *draft, const uint8_t *address, size_t size, uint32_t port, Vedette__V1__Transport transport,
                 double in, double out) {
  Vedette__V1__Flow *flow = draft_flow(draft, address, size, port, transport);
  if (flow != NULL) {
    flow->bytes_in = (uint64_t)in;
    flow->bytes_out = (uint64_t)out;
  }
}

void traffic_fill(struct draft *draft, uint64_t seed, int64_t time, uint64_t interval, double zone) {
  uint64_t now = random_pair(seed ^ 0x7472616666696321U, (uint64_t)time);
  double seconds = (double)interval / 1e6;
  double level = 1 + 0.3 * values_rhythm(time, zone);
  double out = seconds * level * (160 + 80 * random_unit(random_pair(seed, 21))) * (1 + 0.05 * random_normal(now));
  double in = out * (0.35 + 0.1 * random_unit(random_mix(now)));
  double names = seconds * 4;

  Vedette__V1__Traffic *traffic = draft_traffic(draft);
  traffic->interval = interval;
  traffic->bytes_out = (uint64_t)(out + names);
  traffic->bytes_in = (uint64_t)(in + 2 * names);
  traffic->packets_out = traffic->bytes_out / 240 + 1;
  traffic->packets_in = traffic->bytes_in / 120 + 1;
  traffic->connections = 1 + (uint32_t)(now >> 62) / 3;
  traffic->destinations = 3;
  flow(draft, cloud, sizeof cloud, 8883, VEDETTE__V1__TRANSPORT__TRANSPORT_TCP, in, out);
  flow(draft, resolver, sizeof resolver, 53, VEDETTE__V1__TRANSPORT__TRANSPORT_UDP, 1.5 * names, 0.7 * names);
  flow(draft, clock_server, sizeof clock_server, 123, VEDETTE__V1__TRANSPORT__TRANSPORT_UDP, 0.5 * names, 0.3 * names);
  draft_listen(draft, false, 443);
  draft_listen(draft, true, 5353);
}
