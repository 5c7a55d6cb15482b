// Flapping and reboot loops: a connection that is lost, or a device that boots, again and again. Both are counted in a sliding
// hour and compared with the device's own usual hour (exponential mean over a day); one alert stands until there was calm.
#include "analysis/detectors/connectivity.h"

#include <math.h>

enum { HOUR_S = 3600, CALM_S = 900, DROPS_LEAST = 6, BOOTS_LEAST = 4, HOURS_LEARNED = 24 };
static const int64_t second = 1000000;
static const double above_usual = 4; // times as many as in a usual hour

static void roll(struct connectivity *c, int64_t at) {
  uint32_t hour = (uint32_t)(at / second / HOUR_S);
  if (c->hour == 0 || hour < c->hour) {
    c->hour = c->hour == 0 ? hour : c->hour;
  } else if (hour > c->hour) {
    uint32_t passed = hour - c->hour;
    double fade = pow(1 - 1.0 / HOURS_LEARNED, passed - 1);
    c->usual_drops = (float)((c->usual_drops + (c->drops - c->usual_drops) / HOURS_LEARNED) * fade);
    c->usual_boots = (float)((c->usual_boots + (c->boots - c->usual_boots) / HOURS_LEARNED) * fade);
    c->drops_before = passed == 1 ? c->drops : 0;
    c->boots_before = passed == 1 ? c->boots : 0;
    c->drops = c->boots = 0;
    c->hour = hour;
  }
}

// In the hour up to `at`; the one before is taken as even.
static double sliding(const struct connectivity *c, int64_t at, uint16_t before, uint16_t now) {
  double into = seconds(at - (int64_t)c->hour * HOUR_S * second) / HOUR_S;
  return now + before * fmax(1 - into, 0);
}

static double calm_after(double count) {
  return fmax(CALM_S, 3 * HOUR_S / fmax(count, 1));
}

static void raise(struct context *context, struct device *device, const struct connectivity *c, enum alert_kind kind,
                  double count, double usual, int64_t at) {
  bool boots = kind == ALERT_REBOOT_LOOP;
  struct explanation explanation = {
      .observed = json_pack("{s:f}", boots ? "boots_an_hour" : "lost_connections_an_hour", count),
      .expected = json_pack("{s:f}", "a_usual_hour", usual),
      .baseline = json_pack("{s:s, s:i}", "of", "this device's own hours", "hours", HOURS_LEARNED),
      .clears_when = boots ? "it runs for a while without booting" : "its connection holds for a while",
  };
  alert_raise(context, device, kind, SEVERITY_WARNING, at, explanation,
              boots ? "%s booted %.0f times within an hour; its usual is %.1f."
                    : "%s lost its connection %.0f times within an hour; its usual is %.1f.",
              device_credential(device), count, usual);
  connectivity_show(context, device, c, at, boots ? "it boots again and again" : "its connection is lost again and again");
}

void flapping_drop(struct context *context, struct device *device, struct connectivity *c, int64_t at) {
  if (c->heard < context_seeing_since(context) || context_recovering(context)) {
    return; // all came anew: nothing that this device does
  }
  roll(c, at);
  c->drops = c->drops < UINT16_MAX ? (uint16_t)(c->drops + 1) : UINT16_MAX;
  c->dropped_at = (uint32_t)(at / second);
  double drops = sliding(c, at, c->drops_before, c->drops) - sliding(c, at, c->boots_before, c->boots);
  bool many = drops >= DROPS_LEAST && drops >= above_usual * (double)c->usual_drops + DROPS_LEAST - 1;
  if (many && !alert_live(device, ALERT_FLAPPING) && !alert_live(device, ALERT_REBOOT_LOOP)) {
    raise(context, device, c, ALERT_FLAPPING, drops, (double)c->usual_drops, at);
  }
}

void flapping_boot(struct context *context, struct device *device, struct connectivity *c, int64_t at) {
  roll(c, at);
  c->boots = c->boots < UINT16_MAX ? (uint16_t)(c->boots + 1) : UINT16_MAX;
  c->booted_at = (uint32_t)(at / second);
  double boots = sliding(c, at, c->boots_before, c->boots);
  if (boots >= BOOTS_LEAST && boots >= above_usual * (double)c->usual_boots + BOOTS_LEAST - 1 &&
      !alert_live(device, ALERT_REBOOT_LOOP)) {
    alert_clear(context, device, ALERT_FLAPPING, at, "it boots again and again, which is an alert of its own");
    raise(context, device, c, ALERT_REBOOT_LOOP, boots, (double)c->usual_boots, at);
  }
}

static void settle(struct context *context, struct device *device, const struct connectivity *c, enum alert_kind kind,
                   uint32_t last, double count) {
  int64_t calm = (int64_t)last * second + (int64_t)(calm_after(count) * 1e6);
  if (!alert_live(device, kind)) {
    return;
  }
  if (context_now(context) < calm) {
    device_wake(context, device, calm);
    return;
  }
  const char *why = kind == ALERT_REBOOT_LOOP ? "no boot for a while" : "its connection has held for a while";
  alert_clear(context, device, kind, context_now(context), why);
  connectivity_show(context, device, c, context_now(context), why);
}

void flapping_advance(struct context *context, struct device *device, struct connectivity *c) {
  settle(context, device, c, ALERT_FLAPPING, c->dropped_at, c->drops + c->drops_before);
  settle(context, device, c, ALERT_REBOOT_LOOP, c->booted_at, c->boots + c->boots_before);
}
