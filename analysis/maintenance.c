#include "analysis/maintenance.h"

#include "analysis/context.h"
#include "analysis/detectors/all.h"
#include "analysis/detectors/returns.h"
#include "common/log.h"
#include "storage/feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- windows

static bool is_on(const struct window *window, int64_t now) {
  return !window->judged && window->begins <= now && now < window->ends;
}

bool window_is_of(const struct window *window, const struct device *device) {
  return device->id != 0 && device->active && (window->device == 0 || window->device == device->id) &&
         (window->model == 0 || window->model == device->model->id) &&
         (window->region == NULL || window->region == device->region) && (window->site == NULL || window->site == device->site) &&
         (window->firmware == NULL || window->firmware == device->firmware);
}

static struct window *find(const struct maintenance *maintenance, uint32_t id) {
  struct window *window = NULL;
  HASH_FIND_INT(maintenance->windows, &id, window);
  return window;
}

static struct window *make(struct maintenance *maintenance, uint32_t id, const char *reason) {
  struct window *window = calloc(1, sizeof *window);
  if (window == NULL || (window->reason = strdup(reason)) == NULL) {
    log_error("out of memory for a maintenance window; leaving", "window=%" PRIu32, id);
    abort();
  }
  window->id = id;
  HASH_ADD_INT(maintenance->windows, id, window);
  return window;
}

static void drop(struct maintenance *maintenance, struct window *window) {
  HASH_DEL(maintenance->windows, window); // NOLINT(clang-analyzer-unix.Malloc): it cannot follow uthash
  free(window->reason);
  free(window);
}

static void list_standing(struct context *context) {
  struct window **end = &context->maintenance.standing;
  for (struct window *window = context->maintenance.windows; window != NULL; window = window->hh.next) {
    if (!window->judged && window->begins <= context->now) {
      *end = window;
      end = &window->after;
    }
  }
  *end = NULL;
}

// Whatever was withheld is raised now where it still is so, unless something else withholds it.
static void release(struct context *context, const struct window *window) {
  struct device *device;
  struct device *next;
  HASH_ITER(hh, context->fleet->devices, device, next) {
    if (device->withheld != 0 || window_is_of(window, device)) {
      device->withheld = 0;
      device_wake(context, device, context->now);
    }
  }
}

// --- the store's answer

// False where the text of a condition that is given is none that a device could have.
static bool take_text(struct context *context, const struct label **label, const char *text) {
  *label = text != NULL ? fleet_label(context->fleet, text) : NULL;
  return text == NULL || *label != NULL;
}

static void forget_unread(struct context *context) {
  struct maintenance *maintenance = &context->maintenance;
  struct window *window;
  struct window *next;
  HASH_ITER(hh, maintenance->windows, window, next) {
    if (!window->read && !window->judged) {
      release(context, window); // it was taken back
      drop(maintenance, window);
    } else {
      window->read = false;
    }
  }
  maintenance->full = maintenance->full && maintenance->read > FEED_WINDOWS;
  maintenance->read = 0;
  list_standing(context);
}

// False, and said once, if there are too many.
static bool has_room(struct maintenance *maintenance, const struct feed_window *facts) {
  bool room = ++maintenance->read <= FEED_WINDOWS && facts->id > 0 && facts->id <= UINT32_MAX;
  if (!room && !maintenance->full) {
    log_warn("too many maintenance windows: this one and those that begin later are left out", "window=%" PRId64 " most=%d",
             facts->id, (int)FEED_WINDOWS);
    maintenance->full = true;
  }
  return room;
}

void maintenance_put(struct context *context, const struct feed_window *facts) {
  struct maintenance *maintenance = &context->maintenance;
  struct window new = {0};
  if (facts == NULL) {
    forget_unread(context);
    return;
  }
  if (!has_room(maintenance, facts)) {
    return;
  }
  bool whole = take_text(context, &new.region, facts->region) && take_text(context, &new.site, facts->site) &&
               take_text(context, &new.firmware, facts->firmware);
  bool any = facts->device != 0 || facts->model != 0 || new.region != NULL || new.site != NULL || new.firmware != NULL;
  if (!whole || !any) {
    return;
  }
  struct window *window = find(maintenance, (uint32_t)facts->id);
  if (window == NULL) {
    window = make(maintenance, (uint32_t)facts->id, facts->reason);
    window->withheld = facts->withheld;
  }
  window->device = facts->device;
  window->model = facts->model;
  window->region = new.region;
  window->site = new.site;
  window->firmware = new.firmware;
  window->over = window->over && window->ends == facts->ends;
  window->begins = facts->begins;
  window->ends = facts->ends;
  window->read = true;
}

// A window of which nothing is left but those who did not return.
static struct window *find_judged(struct context *context, uint32_t id) {
  struct window *window = find(&context->maintenance, id);
  if (window == NULL) {
    window = make(&context->maintenance, id, "");
    window->judged = true;
  }
  return window;
}

void maintenance_resume(struct context *context) {
  for (struct device *device = context->fleet->devices; device != NULL; device = device->hh.next) {
    struct upkeep *upkeep = device_state_of(device, &detector_maintenance);
    if (upkeep->listed != 0 && device->active) {
      find_judged(context, upkeep->listed)->listed++;
    }
  }
}

void maintenance_expect(struct context *context, enum alert_kind kind, const char *key) {
  unsigned id = 0;
  if (kind == ALERT_DID_NOT_RETURN &&
      sscanf(key, "maintenance:%u", &id) == 1) { // NOLINT(cert-err34-c): written by us, and 0 is none
    (void)find_judged(context, id);
  }
}

void maintenance_forget(struct context *context) {
  struct window *window;
  struct window *next;
  HASH_ITER(hh, context->maintenance.windows, window, next) {
    drop(&context->maintenance, window);
  }
  context->maintenance = (struct maintenance){0};
}

// --- what is withheld

static bool is_absence(enum alert_kind kind) {
  return kind == ALERT_SILENT || kind == ALERT_LINK_LOST;
}

bool context_in_maintenance(const struct context *context, const struct device *device) {
  const struct window *window = context->maintenance.standing;
  while (window != NULL && !(is_on(window, context->now) && window_is_of(window, device))) {
    window = window->after;
  }
  return window != NULL;
}

static void count(struct window *window, struct device *device, struct upkeep *upkeep, uint32_t bit) {
  if (upkeep->window != window->id) {
    upkeep->window = window->id;
    upkeep->counted = 0;
  }
  if (!(upkeep->counted & bit)) {
    upkeep->counted |= bit;
    device->dirty = true;
    window->withheld++;
    window->dirty = true;
  }
}

bool maintenance_withholds(struct context *context, struct device *device, enum alert_kind kind) {
  struct upkeep *upkeep = device_state_of(device, &detector_maintenance);
  struct window *on = NULL;
  bool awaited = is_absence(kind) && upkeep->listed != 0; // it is in an alert already
  if (context->maintenance.windows == NULL || !alert_kind_is_outage(kind)) {
    return false;
  }
  for (struct window *window = context->maintenance.standing; window != NULL; window = window->after) {
    if (window->judged || !window_is_of(window, device)) {
      continue;
    }
    if (!is_on(window, context->now)) {
      awaited |= is_absence(kind) && returns_is_awaited(window, device);
    } else if (on == NULL || window->id < on->id) {
      on = window; // of several that are on the oldest counts it
    }
  }
  if (on != NULL) {
    count(on, device, upkeep, UINT32_C(1) << kind);
  }
  return on != NULL || awaited;
}

// --- its end

static void look(struct context *context, struct window *window) {
  if (context->now < window->ends) {
    return;
  }
  if (!window->over) {
    window->over = true;
    window->patience = returns_patience(context, window);
    release(context, window);
  }
  // Those of whom we saw nothing at its end get their time from when we see again.
  int64_t from = context->seeing_since > window->ends ? context->seeing_since : window->ends;
  if (!context->suppressed && !context_recovering(context) && context->now >= from + window->patience) {
    returns_judge(context, window);
    context->maintenance.result = true;
  }
}

void maintenance_advance(struct context *context) {
  struct window *window;
  struct window *next;
  if (context->maintenance.windows == NULL) {
    return;
  }
  list_standing(context);
  HASH_ITER(hh, context->maintenance.windows, window, next) {
    if (!window->judged) {
      look(context, window);
    } else if (window->listed == 0 && !window->dirty && !context->suppressed) {
      returns_over(context, window);
      drop(&context->maintenance, window);
    }
  }
}

void maintenance_returned(struct context *context, struct device *device) {
  struct upkeep *upkeep = device_state_of(device, &detector_maintenance);
  struct window *window = upkeep->listed != 0 ? find(&context->maintenance, upkeep->listed) : NULL;
  if (window != NULL && window->listed > 0) {
    window->listed--;
  }
  device->dirty |= upkeep->listed != 0;
  upkeep->listed = 0;
}
