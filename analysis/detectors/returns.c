// Who did not return from maintenance: found once after a window, told in one alert, until all of them are back.
#include "analysis/detectors/returns.h"

#include "analysis/context.h"
#include "analysis/detectors/all.h"
#include "analysis/detectors/connectivity.h"
#include "analysis/fleet_alerts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NAMED = 10, NAME = 130, EXPLAINED = 100 };       // credentials have 128 bytes at most
static const int64_t before = INT64_C(86400) * 1000000; // who was heard so long before it began is expected back
static const int64_t longest = INT64_C(3600) * 1000000; // nobody is waited for longer
static const int64_t unknown = INT64_C(300) * 1000000;  // patience with who is away and has shown no rhythm

// When anything came of it last.
static int64_t last_heard(const struct connectivity *c) {
  return c->heard > c->online_at ? c->heard : c->online_at;
}

bool returns_is_awaited(const struct window *window, struct device *device) {
  const struct connectivity *c = device_state_of(device, &detector_connectivity);
  bool might_come = c->base == ONLINE || c->base == LATE || c->base == SILENT || c->base == LINK_LOST;
  return might_come && last_heard(c) >= window->begins - before && last_heard(c) < window->ends;
}

int64_t returns_patience(const struct context *context, const struct window *window) {
  int64_t most = 0;
  for (struct device *device = context->fleet->devices; device != NULL; device = device->hh.next) {
    const struct connectivity *c = device_state_of(device, &detector_connectivity);
    if (!window_is_of(window, device) || !returns_is_awaited(window, device)) {
      continue;
    }
    int64_t own = (int64_t)(device_patience(context, device, &c->reports) * 1e6);
    own = own == 0 && c->base != ONLINE ? unknown : own;
    most = own > most ? own : most;
  }
  return most < longest ? most : longest;
}

struct missing {
  int32_t count, expected;
  json_t *credentials; // of the first EXPLAINED
  char named[NAMED * NAME];
};

static void note(struct missing *missing, const struct window *window, struct device *device) {
  struct upkeep *upkeep = device_state_of(device, &detector_maintenance);
  size_t length = strlen(missing->named);
  if (missing->count < NAMED) {
    (void)snprintf(missing->named + length, sizeof missing->named - length, "%s%s", length > 0 ? ", " : "", device->credential);
  }
  if (missing->count < EXPLAINED) {
    json_array_append_new(missing->credentials, json_string(device->credential));
  }
  missing->count++;
  upkeep->listed = window->id;
  device->dirty = true;
}

static void list_missing(const struct context *context, const struct window *window, struct missing *missing) {
  for (struct device *device = context->fleet->devices; device != NULL; device = device->hh.next) {
    const struct connectivity *c = device_state_of(device, &detector_connectivity);
    const struct upkeep *upkeep = device_state_of(device, &detector_maintenance);
    if (!window_is_of(window, device) || last_heard(c) < window->begins - before) {
      continue;
    }
    missing->expected++;
    // Who is listed already, or is worked on by others, is no news.
    if (returns_is_awaited(window, device) && c->base != ONLINE && upkeep->listed == 0 &&
        !context_in_maintenance(context, device)) {
      note(missing, window, device);
    }
  }
}

static void raise(struct context *context, const struct window *window, const struct missing *missing) {
  char key[32];
  char others[40] = "";
  (void)snprintf(key, sizeof key, "maintenance:%" PRIu32, window->id);
  if (missing->count > NAMED) {
    (void)snprintf(others, sizeof others, " and %" PRId32 " others", missing->count - NAMED);
  }
  fleet_alert_raise(
      context, ALERT_DID_NOT_RETURN, key, SEVERITY_MAJOR, context->now,
      (struct explanation){
          .observed = json_pack("{s:i, s:O}", "missing", (int)missing->count, "devices", missing->credentials),
          .expected = json_pack("{s:i, s:f}", "devices_back", (int)missing->expected, "within_s", seconds(window->patience)),
          .baseline = json_pack("{s:s, s:i, s:s}", "of", "who was heard within a day before the window, or in it", "window",
                                (int)window->id, "reason", window->reason),
          .clears_when = "all of them are heard again"},
      "%" PRId32 " of %" PRId32 " devices did not come back from maintenance (%s): %s%s.", missing->count, missing->expected,
      window->reason, missing->named, others);
}

void returns_judge(struct context *context, struct window *window) {
  struct missing missing = {.credentials = json_array()};
  list_missing(context, window, &missing);
  if (missing.count > 0) {
    raise(context, window, &missing);
  }
  json_decref(missing.credentials);
  window->missing = missing.count;
  window->listed = (uint32_t)missing.count;
  window->judged = window->dirty = true;
}

void returns_over(struct context *context, const struct window *window) {
  char key[32];
  (void)snprintf(key, sizeof key, "maintenance:%" PRIu32, window->id);
  fleet_alert_clear(context, ALERT_DID_NOT_RETURN, key, context->now, "all who were missing are back, or retired");
}

// --- the detector

// A device is back when its connectivity says so: its gateway may have brought it back.
static void advance(struct context *context, struct device *device, void *state) {
  const struct upkeep *upkeep = state;
  if (upkeep->listed == 0) {
    return; // as nearly always
  }
  const struct connectivity *c = device_state_of(device, &detector_connectivity);
  if (c->base != LATE && c->base != SILENT && c->base != LINK_LOST) {
    maintenance_returned(context, device);
  }
}

static void observe(struct context *context, struct device *device, void *state, const struct observation *o) {
  (void)o;
  advance(context, device, state);
}

const struct detector detector_maintenance = {
    .name = "did not return", .state_size = sizeof(struct upkeep), .version = 1, .observe = observe, .advance = advance};
