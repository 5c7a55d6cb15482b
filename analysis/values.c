#include "analysis/values.h"

#include "analysis/context.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
  STEPS_A_DAY = 288, // of a series: see series.h
  USUAL_AGAIN = 3,   // samples
  ROOM_FIRST = 8
};
static const double score_least = 0.5;
static const int64_t day = INT64_C(86400) * 1000000; // after which what is unusual is what it is like now

// The place of a metric in the list, or where it belongs.
static uint32_t place_of(const struct value_list *values, int32_t metric) {
  uint32_t low = 0;
  uint32_t high = values->count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (values->list[middle]->metric < metric) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static bool make_room(struct value_list *values) {
  if (values->count < values->room) {
    return true;
  }
  uint32_t room = values->room == 0 ? ROOM_FIRST : values->room * 2;
  struct held_value **grown = (struct held_value **)realloc((void *)values->list, room * sizeof(struct held_value *));
  if (grown == NULL) {
    return false;
  }
  values->list = grown;
  values->room = room;
  return true;
}

static struct held_value *insert(struct context *context, struct value_list *values, uint32_t place, int32_t metric) {
  struct fleet *fleet = context->fleet;
  if (fleet->series >= context->config->series_most || !make_room(values)) {
    return NULL;
  }
  struct held_value *held = calloc(1, sizeof *held);
  if (held != NULL) {
    memmove((void *)&values->list[place + 1], (void *)&values->list[place],
            (values->count - place) * sizeof(struct held_value *));
    held->metric = metric;
    values->list[place] = held;
    values->count++;
    fleet->series++;
  }
  return held;
}

struct held_value *values_get(struct context *context, struct device *device, int32_t metric, int counter) {
  struct value_list *values = &device->values;
  uint32_t place = place_of(values, metric);
  if (place < values->count && values->list[place]->metric == metric) {
    return values->list[place];
  }
  struct held_value *held = insert(context, values, place, metric);
  if (held != NULL) {
    series_init(&held->value.series, counter);
  } else if (!context->fleet->series_refused) {
    context->fleet->series_refused = true;
    log_warn("there are as many series as analysis.series_most allows: further ones are not looked at",
             "series=%" PRIu32 " device=%d", context->fleet->series, (int)device->id);
  }
  return held;
}

// The chance that one sample of one series may have.
static double chance_allowed(const struct context *context) {
  uint32_t series = context->fleet->series > 0 ? context->fleet->series : 1;
  return context->config->alerts_a_day / ((double)series * STEPS_A_DAY);
}

static enum value_turn judge_open(struct metric_value *value, double looked, int64_t time) {
  value->inside = looked >= value->low && looked <= value->high ? (uint8_t)(value->inside + 1) : 0;
  if (value->inside < USUAL_AGAIN && time - value->since < day) {
    return VALUE_AS_BEFORE;
  }
  value->since = 0;
  return VALUE_USUAL_AGAIN;
}

enum value_turn values_observe(struct context *context, struct held_value *held, double value, int64_t time,
                               struct series_finding *finding) {
  struct metric_value *known = &held->value;
  *finding = series_observe(&known->series, value, time, 0);
  held->dirty = true;
  if (known->since != 0) {
    return judge_open(known, finding->looked, time);
  }
  if (finding->score < score_least || finding->chance > chance_allowed(context)) {
    return VALUE_AS_BEFORE;
  }
  known->low = finding->band.low;
  known->high = finding->band.high;
  known->since = time;
  known->inside = 0;
  return VALUE_UNUSUAL;
}

const char *values_name(const struct context *context, int32_t metric) {
  const char *name = fleet_metric(context->fleet, metric);
  return name != NULL ? name : "a metric";
}

struct value_list *values_of(struct device *device) {
  return &device->values;
}

json_t *values_rank(struct context *context, const struct device *device, const struct held_value *held, const char *unit) {
  int peers = 0;
  int larger = 0;
  if (!context_may_rank(context)) {
    return NULL;
  }
  for (struct device *peer = context->fleet->devices; peer != NULL; peer = peer->hh.next) {
    const struct value_list *values = &peer->values;
    uint32_t place = place_of(values, held->metric);
    if (peer->model == device->model && peer->active && place < values->count && values->list[place]->metric == held->metric) {
      peers++;
      larger += values->list[place]->value.series.looked > held->value.series.looked;
    }
  }
  return json_pack("{s:i, s:i, s:s}", "place", larger + 1, "of", peers, "by", unit);
}

void values_load(struct context *context, struct device *device, int32_t metric, const uint8_t *state, size_t size) {
  struct value_list *values = &device->values;
  uint32_t place = place_of(values, metric);
  bool there = place < values->count && values->list[place]->metric == metric;
  if (size != sizeof(struct metric_value) || state[offsetof(struct metric_value, series.version)] != SERIES_VERSION) {
    return;
  }
  struct held_value *held = there ? values->list[place] : insert(context, values, place, metric);
  if (held != NULL) {
    memcpy(&held->value, state, size);
  }
}

void values_free(struct value_list *values) {
  for (uint32_t i = 0; i < values->count; i++) {
    free(values->list[i]);
  }
  free((void *)values->list);
  *values = (struct value_list){0};
}
