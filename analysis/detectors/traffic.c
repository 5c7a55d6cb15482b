// What a device says of its own network traffic, against its own history: bytes and packets each way a second, open connections,
// distinct destinations, listening ports. The same quantities as AWS IoT Device Defender's device-side metrics all-bytes-out,
// all-bytes-in, all-packets-out, all-packets-in, num-established-tcp-connections, destination-ip-addresses (their number) and
// num-listening-tcp-ports with num-listening-udp-ports, as rates where those are sums over a time that the device chooses.
//
// Each is a series (analysis/series/series.h) and raises an alert of its own when it is more unusual than the budget of alerts
// allows (analysis/values.h).
#include "analysis/detectors/all.h"

#include "analysis/detectors/unusual.h"
#include "analysis/values.h"

enum { QUANTITIES = 7 };

struct quantity {
  const char *unit;
  bool a_second; // it is divided by the interval
  enum alert_kind kind;
  double (*of)(const struct observed_traffic *traffic);
};

#define QUANTITY(name)                                                                                                           \
  static double name(const struct observed_traffic *traffic) {                                                                   \
    return (double)traffic->name;                                                                                                \
  }
QUANTITY(bytes_out)
QUANTITY(bytes_in)
QUANTITY(packets_out)
QUANTITY(packets_in)
QUANTITY(connections)
QUANTITY(destinations)
QUANTITY(listening)

// Their metrics are -1, -2, … in this order, in checkpoints too: add at the end.
static const struct quantity quantities[QUANTITIES] = {
    {"bytes/s", true, ALERT_BYTES_OUT, bytes_out},          {"bytes/s", true, ALERT_BYTES_IN, bytes_in},
    {"packets/s", true, ALERT_PACKETS_OUT, packets_out},    {"packets/s", true, ALERT_PACKETS_IN, packets_in},
    {"connections", false, ALERT_CONNECTIONS, connections}, {"destinations", false, ALERT_DESTINATIONS, destinations},
    {"ports", false, ALERT_LISTENING_PORTS, listening},
};

static void look(struct context *context, struct device *device, int at, const struct observation *o) {
  const struct quantity *q = &quantities[at];
  struct series_finding finding;
  double value = q->of(&o->traffic) / (q->a_second ? seconds(o->traffic.span) : 1);
  struct held_value *held = values_get(context, device, -1 - at, -1);
  if (held == NULL) {
    return;
  }
  switch (values_observe(context, held, value, o->time, &finding)) {
  case VALUE_UNUSUAL:
    unusual_raise(context, device, &(struct unusual){q->kind, alert_kind_name(q->kind), q->unit}, held, &finding, o);
    return;
  case VALUE_USUAL_AGAIN: alert_clear(context, device, q->kind, o->received, "it is as before, or has been so for a day"); return;
  case VALUE_AS_BEFORE: return;
  }
}

static void observe(struct context *context, struct device *device, void *state, const struct observation *o) {
  (void)state; // it is with the values
  bool present = o->kind == OBSERVE_TRAFFIC && (o->marks & MARK_HISTORICAL) == 0 && o->traffic.span > 0;
  for (int at = 0; present && (o->roles & ROLE_PUBLISHER) && at < QUANTITIES; at++) {
    look(context, device, at, o);
  }
}

const struct detector detector_traffic = {.name = "traffic", .version = 1, .observe = observe};
