// What a device says of its own network traffic, against its own history: bytes and packets each way a second, open connections,
// distinct destinations, listening ports. The same quantities as AWS IoT Device Defender's device-side metrics all-bytes-out,
// all-bytes-in, all-packets-out, all-packets-in, num-established-tcp-connections, destination-ip-addresses (their number) and
// num-listening-tcp-ports with num-listening-udp-ports, as rates where those are sums over a time that the device chooses.
//
// Each is a series (analysis/series/series.h) and raises an alert of its own when it is more unusual than the budget of alerts
// allows (analysis/values.h).
#include "analysis/detectors/all.h"

#include "analysis/values.h"

#include <math.h>

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

static const char *why(const struct series_finding *finding) {
  switch (finding->cause) {
  case SERIES_TIME_OF_DAY: return "unusual at this time of the day";
  case SERIES_LOW: return "low for longer than ever";
  case SERIES_CALM: return "more even than ever";
  case SERIES_BUSY: return "busier than ever";
  default: return "outside of all that was seen";
  }
}

static void raise(struct context *context, struct device *device, const struct quantity *q, const struct held_value *held,
                  const struct series_finding *finding, const struct observation *o) {
  const struct series *series = &held->value.series;
  double days = (seconds(o->time) - series->began) / 86400;
  struct explanation explanation = {
      .observed = json_pack("{s:f, s:s}", "value", finding->looked, "unit", q->unit),
      .expected = json_pack("{s:f, s:f, s:s}", "low", finding->band.low, "high", finding->band.high, "unit", q->unit),
      .baseline = json_pack("{s:s, s:f, s:i, s:s, s:f, s:f}", "of", "this device's own history", "days", days, "samples",
                            (int)series->samples, "kind", series_kind_name(series_kind(series)), "chance", finding->chance,
                            "score", finding->score),
      .rank = values_rank(context, device, held, q->unit),
      .report = o,
      .clears_when = "three values in a row are within what was usual before, or it has been so for a day",
  };
  alert_raise(context, device, q->kind, SEVERITY_MAJOR, o->received, explanation,
              "%s: %s is %.4g %s, %s; in %.1f days it was %.4g to %.4g.", device_credential(device), alert_kind_name(q->kind),
              finding->looked, q->unit, why(finding), days, finding->band.low, finding->band.high);
}

static void look(struct context *context, struct device *device, int at, const struct observation *o) {
  const struct quantity *q = &quantities[at];
  struct series_finding finding;
  double value = q->of(&o->traffic) / (q->a_second ? seconds(o->traffic.span) : 1);
  struct held_value *held = values_get(context, device, -1 - at, -1);
  if (held == NULL) {
    return;
  }
  switch (values_observe(context, held, value, o->time, &finding)) {
  case VALUE_UNUSUAL: raise(context, device, q, held, &finding, o); return;
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
