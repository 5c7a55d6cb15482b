#include "simulator/plan.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "simulator/random.h"
#include "simulator/values.h"

struct candidate {
  struct member *member;
  bool touched; // has another fault already
  uint64_t lot;
};

struct planning {
  const struct plan_settings *settings;
  struct plan *plan;
  size_t room;
  bool *touched; // by member
  struct candidate *candidates;
  char *error;
  size_t error_size;
};

static int fail(struct planning *p, const struct fault *fault, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct planning *p, const struct fault *fault, const char *format, ...) {
  int used = snprintf(p->error, p->error_size, "%s:%d: fault `%.60s`: field `devices`: ", p->settings->scenario->path,
                      fault->line, fault->name);
  if (used > 0 && (size_t)used < p->error_size) {
    va_list args;
    va_start(args, format);
    vsnprintf(p->error + used, p->error_size - (size_t)used, format, args);
    va_end(args);
  }
  return -1;
}

static bool recorded_has(const struct recordings *recordings, const char *credential, const char *metric) {
  for (size_t i = 0; recordings != NULL && i < recordings->count; i++) {
    const struct recording *item = recordings->items[i];
    for (size_t m = 0; strcmp(item->credential, credential) == 0 && m < item->metric_count; m++) {
      if (strcmp(item->metrics[m], metric) == 0) {
        return true;
      }
    }
  }
  return false;
}

// Flags can only freeze; the other faults of values are sums.
static bool has_metric(const struct planning *p, const struct member *member, const char *metric, bool flags) {
  if (member->number == 0) {
    return recorded_has(p->settings->recordings, member->credential, metric);
  }
  for (size_t i = 0; i < p->settings->samples; i++) {
    struct value_metric known;
    values_metric(i, &known);
    if (strcmp(known.name, metric) == 0 && (flags || known.kind != VALUE_STATE)) {
      return true;
    }
  }
  return false;
}

// Why this device cannot have this fault, or NULL.
static const char *unfit(const struct planning *p, const struct fault *fault, const struct member *member) {
  if (member->gateway != NULL) {
    return "is a child without a connection of its own; name its gateway";
  }
  if ((fault->kind == FAULT_FLOOD || fault->kind == FAULT_PACE) && member->number == 0) {
    return "is a recording, which keeps its own pace; `flood` and `pace` are for simulated devices";
  }
  if (fault->kind == FAULT_TRAFFIC && !member->model->traffic) {
    return "is of a model that does not report its traffic";
  }
  if (fault->kind == FAULT_VALUE && !has_metric(p, member, fault->with.metric, false)) {
    return "has no number or integer metric of that name";
  }
  if (fault->kind == FAULT_FROZEN && fault->with.metric != NULL && !has_metric(p, member, fault->with.metric, true)) {
    return "has no metric of that name that could freeze";
  }
  if (fault->kind == FAULT_DRAIN && !has_metric(p, member, "battery", false)) {
    return "has no metric `battery`";
  }
  return NULL;
}

static bool matches(const struct selection *selection, const struct member *member) {
  return (selection->model == NULL || strcmp(selection->model, member->model->name) == 0) &&
         (selection->region == NULL || strcmp(selection->region, member->place->region) == 0) &&
         (selection->site == NULL || strcmp(selection->site, member->place->site) == 0) &&
         (selection->firmware == NULL || strcmp(selection->firmware, member->version) == 0);
}

static int assign(struct planning *p, const struct fault *fault, struct member *member) {
  struct plan *plan = p->plan;
  if (plan->count == p->room) {
    size_t room = p->room == 0 ? 64 : 2 * p->room;
    struct assignment *items = realloc(plan->items, room * sizeof *items);
    if (items == NULL) {
      return fail(p, fault, "out of memory");
    }
    plan->items = items;
    p->room = room;
  }
  uint64_t lot = random_text(random_pair(p->settings->seed, member->seed), fault->name);
  double wait = fault->spread * random_unit(lot);
  plan->items[plan->count++] = (struct assignment){.fault = fault, .member = member, .start = fault->start + wait};
  p->touched[member - p->settings->fleet->members] = true;
  return 0;
}

static struct member *named(const struct fleet *fleet, const char *name) {
  char *end = NULL;
  unsigned long number = strtoul(name, &end, 10);
  for (size_t i = 0; *end == '\0' && number > 0 && i < fleet->count; i++) {
    if (fleet->members[i].number == number) {
      return &fleet->members[i];
    }
  }
  return fleet_find(fleet, name);
}

static int assign_named(struct planning *p, const struct fault *fault) {
  for (size_t i = 0; i < fault->devices.name_count; i++) {
    struct member *member = named(p->settings->fleet, fault->devices.names[i]);
    if (member == NULL) {
      return fail(p, fault, "there is no device `%.60s` in this run; more --devices or another name is needed",
                  fault->devices.names[i]);
    }
    const char *why = unfit(p, fault, member);
    if (why != NULL) {
      return fail(p, fault, "`%s` %s", member->credential, why);
    }
    if (assign(p, fault, member) != 0) {
      return -1;
    }
  }
  return 0;
}

static int by_lot(const void *a, const void *b) {
  const struct candidate *x = a;
  const struct candidate *y = b;
  if (x->touched != y->touched) {
    return x->touched ? 1 : -1;
  }
  bool x_gateway = x->member->children[0] != NULL;
  bool y_gateway = y->member->children[0] != NULL;
  if (x_gateway != y_gateway) {
    return x_gateway ? 1 : -1;
  }
  return x->lot < y->lot ? -1 : x->lot > y->lot;
}

// Recordings are drawn only when asked for by their model.
static size_t collect(struct planning *p, const struct fault *fault) {
  const struct fleet *fleet = p->settings->fleet;
  uint64_t own = random_text(p->settings->seed, fault->name);
  size_t count = 0;
  for (size_t i = 0; i < fleet->count; i++) {
    struct member *member = &fleet->members[i];
    if ((member->number > 0 || fault->devices.model != NULL) && matches(&fault->devices, member) &&
        unfit(p, fault, member) == NULL) {
      p->candidates[count++] = (struct candidate){member, p->touched[i], random_pair(own, member->seed)};
    }
  }
  return count;
}

static int assign_drawn(struct planning *p, const struct fault *fault) {
  const struct selection *devices = &fault->devices;
  size_t count = collect(p, fault);
  if (count == 0 || (devices->by == SELECT_COUNT && devices->count > count)) {
    return fail(p, fault, "%zu devices of this run can have this fault, which is too few", count);
  }
  if (devices->by == SELECT_EVERY) {
    for (size_t i = devices->count; i <= count; i += devices->count) {
      if (assign(p, fault, p->candidates[i - 1].member) != 0) {
        return -1;
      }
    }
    return 0;
  }
  size_t wanted = devices->by == SELECT_COUNT ? devices->count : (size_t)ceil(devices->share * (double)count - 1e-9);
  qsort(p->candidates, count, sizeof *p->candidates, by_lot);
  for (size_t i = 0; i < wanted; i++) {
    if (assign(p, fault, p->candidates[i].member) != 0) {
      return -1;
    }
  }
  return 0;
}

static int assign_all(struct planning *p) {
  const struct scenario *scenario = p->settings->scenario;
  for (int named_ones = 1; named_ones >= 0; named_ones--) { // named devices first, so that lots avoid them
    for (size_t i = 0; i < scenario->fault_count; i++) {
      const struct fault *fault = &scenario->faults[i];
      if ((fault->devices.by == SELECT_NAMES) != (named_ones == 1)) {
        continue;
      }
      if ((named_ones == 1 ? assign_named(p, fault) : assign_drawn(p, fault)) != 0) {
        return -1;
      }
    }
  }
  return 0;
}

struct plan *plan_new(const struct plan_settings *settings, char *error, size_t error_size) {
  size_t members = settings->fleet->count;
  struct planning p = {.settings = settings, .error = error, .error_size = error_size};
  p.plan = calloc(1, sizeof *p.plan);
  p.touched = calloc(members + 1, sizeof *p.touched);
  p.candidates = calloc(members + 1, sizeof *p.candidates);
  int rc = -1;
  if (p.plan == NULL || p.touched == NULL || p.candidates == NULL) {
    snprintf(error, error_size, "%s: out of memory", settings->scenario->path);
  } else {
    rc = assign_all(&p);
  }
  free(p.touched);
  free(p.candidates);
  if (rc != 0) {
    plan_free(p.plan);
    return NULL;
  }
  return p.plan;
}

void plan_free(struct plan *plan) {
  if (plan == NULL) {
    return;
  }
  free(plan->items);
  free(plan);
}

void plan_print(const struct plan *plan, FILE *out) {
  for (size_t i = 0; i < plan->count; i++) {
    const struct assignment *item = &plan->items[i];
    const struct fault_parameters *with = &item->fault->with;
    char end[32] = "the end";
    char again[48] = "";
    if (item->fault->duration >= 0) {
      snprintf(end, sizeof end, "%.1f s", item->start + item->fault->duration);
    }
    if (item->fault->kind == FAULT_UNPLUG && with->nights) {
      snprintf(again, sizeof again, ", again each %.1f s", with->period);
    }
    fprintf(out, "%-24s %-15s %-24s %.1f s to %s%s\n", item->fault->name, fault_kind_name(item->fault->kind),
            item->member->credential, item->start, end, again);
  }
}
