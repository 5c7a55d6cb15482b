// What a device measures, each metric against its own history (analysis/series/series.h). An alert is raised when one is more
// unusual than the budget of alerts allows (analysis/values.h), and cleared when none is any more: a device has one at a time, of
// the metric that was first.
#include "analysis/detectors/all.h"

#include "analysis/detectors/unusual.h"
#include "analysis/values.h"

static bool any_unusual(const struct value_list *values) {
  bool any = false;
  for (uint32_t i = 0; i < values->count; i++) {
    any = any || (values->list[i]->metric > 0 && values->list[i]->value.since != 0);
  }
  return any;
}

static void look(struct context *context, struct device *device, int32_t metric, double value, const struct observation *o) {
  struct series_finding finding;
  struct held_value *held = values_get(context, device, metric, 0);
  if (held == NULL) {
    return;
  }
  // A clock that is none or ahead says nothing of when.
  int64_t time = (o->marks & (MARK_NO_CLOCK | MARK_AHEAD)) != 0 ? o->received : o->time;
  switch (values_observe(context, held, value, time, &finding)) {
  case VALUE_UNUSUAL:
    unusual_raise(context, device, &(struct unusual){ALERT_VALUE, values_name(context, metric), ""}, held, &finding, o);
    return;
  case VALUE_USUAL_AGAIN:
    if (!any_unusual(values_of(device))) {
      alert_clear(context, device, ALERT_VALUE, o->received, "it is as before, or has been so for a day");
    }
    return;
  case VALUE_AS_BEFORE: return;
  }
}

static void observe(struct context *context, struct device *device, void *state, const struct observation *o) {
  (void)state; // it is with the values
  if (o->kind != OBSERVE_VALUES || !(o->roles & ROLE_SUBJECT) || (o->marks & MARK_HISTORICAL) != 0) {
    return;
  }
  for (uint32_t i = 0; i < o->values.count; i++) {
    look(context, device, o->values.metrics[i], o->values.values[i], o);
  }
}

const struct detector detector_value = {.name = "value", .version = 1, .observe = observe};
