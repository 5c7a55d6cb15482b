// Never seen: a device that is registered and active, and was never heard, `analysis.connectivity.never_seen_h` after it was
// registered (Vedette's clock, to the hour). Of a critical device that is an alert; the others are only counted, by their
// connectivity. A fixed rule, and no state of its own: what comes of the device is seen by connectivity.c, which clears the
// alert.
#include "analysis/detectors/all.h"
#include "analysis/detectors/connectivity.h"

enum { HOUR_S = 3600, RETRY_S = 60 };
static const int64_t second = 1000000;

static void advance(struct context *context, struct device *device, void *state) {
  const struct connectivity *c = device_state_of(device, &detector_connectivity);
  const int64_t limit = (int64_t)context_config(context)->connectivity.never_seen_h * HOUR_S * second;
  const int64_t created = device_created(device);
  const int64_t now = context_now(context);
  (void)state;
  if (created == 0 || c->base != NEVER_SEEN || !device_critical(device) || alert_live(device, ALERT_NEVER_SEEN)) {
    return;
  }
  if (now < created + limit || context_recovering(context)) { // what waited for us while we were blind comes first
    device_wake(context, device, now < created + limit ? created + limit : now + RETRY_S * second);
    return;
  }
  double hours = seconds(now - created) / HOUR_S;
  alert_raise(context, device, ALERT_NEVER_SEEN, SEVERITY_WARNING, now,
              (struct explanation){
                  .observed = json_pack("{s:f}", "registered_for_h", hours),
                  .expected = json_pack("{s:i}", "heard_within_h", (int)context_config(context)->connectivity.never_seen_h),
                  .baseline = json_pack("{s:s}", "of", "fixed limit"),
                  .clears_when = "it is heard for the first time",
              },
              "%s was registered %.0f hours ago and has never been heard.", device_credential(device), hours);
}

const struct detector detector_never_seen = {.name = "never seen", .state_size = 0, .version = 1, .advance = advance};
