// After we were blind: nobody is judged until those who were there before are heard again, and what waited has come.
#include "analysis/context.h"

#include <string.h>

static const int64_t second = 1000000;

enum { SLOT_S = 20, LONGEST_S = 900 };  // how long it is counted who comes back; after the other one it is given up
static const double nearly_all = 0.995; // of those who are expected
static const double hardly_any = 0.002; // of them within a slot: whoever is there is there

bool context_recovering(const struct context *context) {
  return context->recovery.since != 0;
}

void context_returned(struct context *context) {
  context->recovery.returned++;
  context->recovery.slot++;
}

void context_waited(struct context *context, int64_t received) {
  context->recovery.waited_to = received > context->recovery.waited_to ? received : context->recovery.waited_to;
  context->recovery.slot++;
}

int64_t context_caught_up(const struct context *context) {
  int64_t waited_to = context->recovery.waited_to;
  return waited_to > context->seeing_since ? waited_to : context->seeing_since;
}

static uint32_t count_present(const struct fleet *fleet) {
  static const char *const present[] = {"online", "late", "flapping", "frozen"};
  uint32_t count = 0;
  for (const struct device *device = fleet->devices; device != NULL; device = device->hh.next) {
    for (size_t i = 0; i < sizeof present / sizeof *present; i++) {
      count += device->active && strcmp(device->connectivity, present[i]) == 0;
    }
  }
  return count;
}

void recovery_watch(struct context *context, int64_t seeing_since) {
  struct recovery *r = &context->recovery;
  if (seeing_since > context->seeing_since && context->seeing_since != 0) {
    context->blind = context->saw != 0 && seeing_since > context->saw ? seeing_since - context->saw : 0;
    *r = (struct recovery){.since = seeing_since, .slot_at = seeing_since, .expected = count_present(context->fleet)};
  } else if (r->since == 0) {
    return;
  } else if (r->returned >= nearly_all * r->expected || context->now - r->since >= LONGEST_S * second ||
             (context->now - r->slot_at >= SLOT_S * second && r->slot <= hardly_any * r->expected)) {
    r->since = 0;
  } else if (context->now - r->slot_at >= SLOT_S * second) {
    r->slot_at = context->now;
    r->slot = 0;
  }
}
