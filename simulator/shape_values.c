// What the active faults make of the values of a report. First what is really so, then what a frozen device says instead.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/names.h"
#include "simulator/sim.h"

struct held {
  char metric[NAMES_METRIC_MAX + 1];
  struct value value; // no text
};

static void change_value(const struct fault_run *run, struct draft *draft) {
  const struct fault_parameters *with = &run->fault->with;
  size_t index = draft_find_number(draft, with->metric);
  if (index == draft_samples(draft)) {
    return; // a child's report, or a row without this value
  }
  bool spike = run->reports % with->one_in == 0;
  draft_add_to(draft, index, with->offset + (spike ? with->spike : 0));
}

// The battery's own slow fall is nothing beside this one, and it would jump when it is charged: both are left out.
static void drain(struct fault_run *run, struct draft *draft) {
  struct value value = {.type = VALUE_NUMBER};
  const char *metric = NULL;
  size_t index = draft_find_number(draft, "battery");
  if (index == draft_samples(draft) || !draft_value(draft, index, &metric, &value)) {
    return;
  }
  if (isnan(run->level)) {
    run->level = value.type == VALUE_INTEGER ? (double)value.integer : value.number;
  }
  double level = run->level - run->fault->with.rate * (sim_monotonic() - run->began) / 3600;
  value = (struct value){.type = VALUE_NUMBER, .number = fmax(0, round(level * 10) / 10)}; // to a tenth, as it is otherwise
  draft_set_sample(draft, index, &value);
}

// The value that is held for a metric. A device's reports are much alike, so it is nearly always at place `hint`.
static const struct value *held_value(const struct fault_run *run, const char *metric, size_t hint) {
  if (hint < run->held_count && strcmp(run->held[hint].metric, metric) == 0) {
    return &run->held[hint].value;
  }
  for (size_t i = 0; i < run->held_count; i++) {
    if (strcmp(run->held[i].metric, metric) == 0) {
      return &run->held[i].value;
    }
  }
  return NULL;
}

static void hold(struct fault_run *run, const char *metric, const struct value *value) {
  if (run->held_count == run->held_room) {
    size_t room = run->held_room == 0 ? 16 : 2 * run->held_room;
    struct held *more = room <= DRAFT_SAMPLES ? realloc(run->held, room * sizeof *more) : NULL;
    if (more == NULL) {
      return; // the next report holds it
    }
    run->held = more;
    run->held_room = room;
  }
  struct held *held = &run->held[run->held_count++];
  *held = (struct held){.value = *value};
  snprintf(held->metric, sizeof held->metric, "%s", metric);
}

static void freeze(struct fault_run *run, struct draft *draft) {
  const char *only = run->fault->with.metric;
  for (size_t i = 0; i < draft_samples(draft); i++) {
    struct value value;
    const char *metric = NULL;
    if (!draft_value(draft, i, &metric, &value) || value.type == VALUE_TEXT || (only != NULL && strcmp(only, metric) != 0)) {
      continue;
    }
    const struct value *held = held_value(run, metric, i);
    if (held != NULL) {
      draft_set_sample(draft, i, held);
    } else {
      hold(run, metric, &value);
    }
  }
}

void shape_values(const struct device *device, struct draft *draft) {
  for (size_t i = 0; i < device->active_count; i++) {
    struct fault_run *run = device->active[i];
    if (run->fault->kind == FAULT_VALUE) {
      change_value(run, draft);
    } else if (run->fault->kind == FAULT_DRAIN) {
      drain(run, draft);
    }
  }
  for (size_t i = 0; i < device->active_count; i++) {
    if (device->active[i]->fault->kind == FAULT_FROZEN) {
      freeze(device->active[i], draft);
    }
  }
}

void shape_values_forget(struct fault_run *run) {
  free(run->held);
  run->held = NULL;
  run->held_count = 0;
  run->held_room = 0;
}
