#include "analysis/commit.h"

#include <string.h>

enum { LISTS = 37 };

// Where the lists of a commit are, to make and to free them all.
static void find_lists(struct feed_commit *c, struct list **out[LISTS]) {
  struct list **all[LISTS] = {&c->steps,
                              &c->feeds,
                              &c->numbers,
                              &c->rows,
                              &c->alert_actions,
                              &c->alert_devices,
                              &c->alert_kinds,
                              &c->alert_keys,
                              &c->alert_severities,
                              &c->alert_times,
                              &c->alert_sentences,
                              &c->alert_explanations,
                              &c->change_devices,
                              &c->change_times,
                              &c->change_states,
                              &c->change_reasons,
                              &c->blind_began,
                              &c->blind_ended,
                              &c->blind_reasons,
                              &c->window_ids,
                              &c->window_withheld,
                              &c->window_missing,
                              &c->missing_devices,
                              &c->missing_hours,
                              &c->missing_reasons,
                              &c->missing_counts,
                              &c->missing_expected,
                              &c->missing_received,
                              &c->state_devices,
                              &c->states,
                              &c->series_devices,
                              &c->series_metrics,
                              &c->series_states,
                              &c->clock_feeds,
                              &c->clock_numbers,
                              &c->clock_received,
                              &c->clock_seeing};
  memcpy((void *)out, (void *)all, sizeof all);
}

// False when memory ran out.
static bool make_lists(struct feed_commit *c) {
  struct list **all[LISTS];
  bool whole = true;
  find_lists(c, all);
  for (size_t i = 0; i < LISTS; i++) {
    *all[i] = list_new();
    whole &= *all[i] != NULL;
  }
  return whole;
}

static void free_lists(struct feed_commit *c) {
  struct list **all[LISTS];
  find_lists(c, all);
  for (size_t i = 0; i < LISTS; i++) {
    list_free(*all[i]);
  }
}

static void list_steps(struct feed_commit *c, const struct group *group) {
  for (size_t i = 0; i < group->count; i++) {
    list_int(c->steps, group->batches[i].step);
    list_int(c->feeds, group->batches[i].feed);
    list_int(c->numbers, group->batches[i].number);
    list_int(c->rows, group->seen[i]);
  }
}

static void list_missing(struct feed_commit *c, const struct effect *effect) {
  list_int(c->missing_devices, effect->device);
  list_int(c->missing_hours, effect->at);
  list_text(c->missing_reasons, effect->name);
  list_int(c->missing_counts, effect->counts.missing);
  list_int(c->missing_expected, effect->counts.expected);
  list_int(c->missing_received, effect->counts.received);
}

static void list_effects(struct feed_commit *c, const struct context *context) {
  for (size_t i = 0; i < context->count; i++) {
    const struct effect *effect = &context->effects[i];
    if (effect->kind == EFFECT_CONNECTIVITY) {
      list_int(c->change_devices, effect->device);
      list_int(c->change_times, effect->at);
      list_text(c->change_states, effect->name);
      list_text(c->change_reasons, effect->sentence);
      continue;
    }
    if (effect->kind == EFFECT_BLIND) {
      list_int(c->blind_began, effect->at);
      list_int(c->blind_ended, effect->until);
      list_text(c->blind_reasons, effect->name);
      continue;
    }
    if (effect->kind == EFFECT_COMPLETENESS) {
      list_missing(c, effect);
      continue;
    }
    list_text(c->alert_actions, effect->kind == EFFECT_RAISE ? "raise" : "clear");
    list_int(c->alert_devices, effect->device);
    list_text(c->alert_kinds, effect->name);
    list_text(c->alert_keys, effect->key != NULL ? effect->key : "");
    list_text(c->alert_severities, severity_name(effect->severity));
    list_int(c->alert_times, effect->at);
    list_text(c->alert_sentences, effect->sentence);
    list_text(c->alert_explanations, effect->explanation);
  }
}

static void list_windows(struct feed_commit *c, const struct context *context) {
  for (struct window *window = context->maintenance.windows; window != NULL; window = window->hh.next) {
    if (window->dirty) {
      list_int(c->window_ids, window->id);
      list_int(c->window_withheld, window->withheld);
      list_text(c->window_missing, window->judged ? decimal(window->missing).text : NULL);
      window->dirty = false;
    }
  }
}

static void list_series(struct feed_commit *c, struct device *device) {
  for (uint32_t i = 0; i < device->values.count; i++) {
    struct held_value *held = device->values.list[i];
    if (held->dirty) {
      list_int(c->series_devices, device->id);
      list_int(c->series_metrics, held->metric);
      list_bytes(c->series_states, (const uint8_t *)&held->value, sizeof held->value);
      held->dirty = false;
    }
  }
}

static void list_states(struct feed_commit *c, const struct context *context, struct clock *clocks) {
  struct device *device;
  struct device *next;
  struct clock *clock;
  struct clock *next_clock;
  HASH_ITER(hh, context->fleet->devices, device, next) {
    if (device->dirty) {
      list_int(c->state_devices, device->id);
      list_bytes(c->states, device->state, fleet_state_size());
      device->dirty = false;
    }
    list_series(c, device);
  }
  for (struct model *model = context->fleet->models; model != NULL; model = model->hh.next) {
    if (model->dirty) {
      list_int(c->state_devices, -model->id);
      list_bytes(c->states, &model->learned, sizeof model->learned);
      model->dirty = false;
    }
  }
  HASH_ITER(hh, clocks, clock, next_clock) {
    list_int(c->clock_feeds, clock->feed);
    list_int(c->clock_numbers, clock->number);
    list_int(c->clock_received, clock->received_to);
    list_int(c->clock_seeing, clock->seeing_since);
  }
}

struct script *commit_script(int64_t erasure, int16_t lane, int64_t step, const struct group *group,
                             const struct context *context, struct clock *clocks, bool checkpoint) {
  struct feed_commit c = {.erasure = erasure,
                          .lane = lane,
                          .step = step,
                          .with_checkpoint = checkpoint,
                          .checkpoint = step,
                          .version = (int32_t)fleet_state_version()};
  struct script *script = NULL;
  if (make_lists(&c)) {
    list_steps(&c, group);
    list_effects(&c, context);
    if (checkpoint) {
      list_states(&c, context, clocks);
      list_windows(&c, context);
    }
    script = feed_commit(&c);
  }
  free_lists(&c);
  return script;
}
