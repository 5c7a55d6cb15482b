#include "analysis/context.h"

#include "analysis/cohorts.h"
#include "analysis/fleet_alerts.h"
#include "analysis/storms.h"
#include "common/log.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t second = 1000000;

enum { RANKS_A_SECOND = 100 }; // each walks the fleet: in a mass outage the first alerts have a rank, the others do without

const char *severity_name(enum severity severity) {
  static const char *const names[] = {"info", "warning", "major", "critical"};
  return names[severity];
}

static void show(struct context *context, struct device *device, const struct observation *observation) {
  if (device == NULL || !device->active) {
    return;
  }
  device->dirty = true;
  for (size_t i = 0; i < detector_count; i++) {
    if (detectors[i]->observe != NULL) {
      detectors[i]->observe(context, device, device_state(device, i), observation);
    }
  }
}

// What a device says it runs is one of its attributes.
static void note_firmware(struct context *context, const struct observation *o) {
  struct device *device = fleet_find(context->fleet, o->device);
  if (device == NULL || o->text[0] == '\0' || (o->marks & MARK_HISTORICAL)) {
    return;
  }
  const struct label *before = device->firmware;
  fleet_run(context->fleet, device, o->text);
  if (device->firmware != before && context->cohorts != NULL) {
    cohorts_recount(context->cohorts, false);
  }
}

void context_observe(struct context *context, const struct observation *observation) {
  struct observation seen = *observation;
  if (seen.kind == OBSERVE_FIRMWARE) {
    note_firmware(context, observation);
  }
  bool both = seen.device == seen.publisher;
  seen.roles = both ? ROLE_SUBJECT | ROLE_PUBLISHER : ROLE_SUBJECT;
  show(context, fleet_find(context->fleet, seen.device), &seen);
  if (!both) {
    seen.roles = ROLE_PUBLISHER;
    show(context, fleet_find(context->fleet, seen.publisher), &seen);
  }
}

void context_resume(struct context *context) {
  struct device *device;
  struct device *next;
  HASH_ITER(hh, context->fleet->devices, device, next) {
    device_wake(context, device, 0);
  }
}

void context_advance(struct context *context, int64_t now, int64_t seeing_since) {
  context->now = now > context->now ? now : context->now;
  recovery_watch(context, seeing_since);
  context->seeing_since = seeing_since;
  context->saw = seeing_since < context->now ? context->now : context->saw;
  maintenance_advance(context);
  if (context->now / second != context->second) {
    context->second = context->now / second;
    context->ranks = 0;
  }
  for (struct timer *timer; (timer = timers_next(&context->fleet->timers, context->now)) != NULL;) {
    struct device *device = device_of_timer(timer);
    device->dirty = true; // what time alone changes
    for (size_t i = 0; device->active && i < detector_count; i++) {
      if (detectors[i]->advance != NULL) {
        detectors[i]->advance(context, device, device_state(device, i));
      }
    }
  }
  if (context->cohorts != NULL && !context->suppressed) {
    cohorts_advance(context->cohorts, context);
  }
  if (context->storms != NULL && !context->suppressed) {
    storms_advance(context->storms, context);
  }
}

void context_born(struct context *context, struct device *device, int64_t at, bool absent) {
  if (context->storms != NULL && !context->suppressed && !context_in_maintenance(context, device)) {
    storms_birth(context->storms, device, at, absent);
  }
}

static void effect_free(struct effect *effect) {
  free(effect->key);
  free(effect->sentence);
  free(effect->explanation);
}

void context_settle(struct context *context) {
  for (size_t i = 0; i < context->count; i++) {
    effect_free(&context->effects[i]);
  }
  context->count = 0;
  context->maintenance.result = false;
}

void context_free(struct context *context) {
  context_settle(context);
  fleet_alerts_forget(context);
  maintenance_forget(context);
  free(context->effects);
  context->effects = NULL;
  context->room = 0;
}

void context_effect(struct context *context, struct effect effect) {
  if (context->suppressed) {
    effect_free(&effect);
    return;
  }
  if (context->count == context->room) {
    size_t room = context->room ? context->room * 2 : 64;
    struct effect *grown = realloc(context->effects, room * sizeof *grown);
    if (grown == NULL) {
      log_error("out of memory for the effects of a step; leaving", "effects=%zu", context->count);
      abort();
    }
    context->effects = grown;
    context->room = room;
  }
  context->effects[context->count++] = effect;
}

const struct config_analysis *context_config(const struct context *context) {
  return context->config;
}

int64_t context_now(const struct context *context) {
  return context->now;
}

int64_t context_blind_for(const struct context *context) {
  return context->blind;
}

int64_t context_seeing_since(const struct context *context) {
  return context->seeing_since;
}

int32_t device_id(const struct device *device) {
  return device->id;
}

const char *device_credential(const struct device *device) {
  return device->credential;
}

bool device_critical(const struct device *device) {
  return device->critical;
}

enum device_class device_class(const struct device *device) {
  return device->model->class;
}

int64_t device_created(const struct device *device) {
  return device->created_at;
}

int64_t device_next_visit(const struct device *device) {
  return device->next_visit;
}

void *device_state_of(struct device *device, const struct detector *detector) {
  size_t at = 0;
  while (at < detector_count && detectors[at] != detector) {
    at++;
  }
  return at < detector_count ? device_state(device, at) : NULL;
}

void device_wake(struct context *context, struct device *device, int64_t at) {
  if (!timers_arm(&context->fleet->timers, &device->timer, at)) {
    log_error("out of memory for a device's timer; leaving", "device=%d", (int)device->id);
    abort();
  }
}

const struct device *device_gateway(const struct context *context, const struct device *device) {
  return device->gateway == 0 ? NULL : fleet_find(context->fleet, device->gateway);
}

struct device *device_child(const struct device *gateway, const struct device *after) {
  return after == NULL ? gateway->children : after->sibling;
}

const char *device_connectivity(const struct device *device) {
  return device->connectivity;
}

int device_release(const struct context *context, const struct device *device, const uint8_t *hash) {
  struct release key = {.key.model = device->model->id};
  struct release *found = NULL;
  // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): the key is initialised, uthash reads it byte by byte
  HASH_FIND(hh, context->fleet->releases, &key.key, sizeof key.key, found);
  if (found == NULL) {
    return -1;
  }
  memcpy(key.key.hash, hash, FIRMWARE_HASH);
  HASH_FIND(hh, context->fleet->releases, &key.key, sizeof key.key, found);
  return found != NULL;
}

static json_t *time_json(int64_t us) {
  char text[64];
  char whole[32];
  time_t at = (time_t)(us / second);
  struct tm utc;
  gmtime_r(&at, &utc);
  strftime(whole, sizeof whole, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(text, sizeof text, "%s.%06dZ", whole, (int)(us % second < 0 ? 0 : us % second));
  return json_string(text);
}

static void set(json_t *object, const char *key, json_t *value) {
  if (value != NULL) {
    json_object_set_new(object, key, value);
  }
}

char *explanation_text(const struct explanation *explanation) {
  json_t *object = json_object();
  const struct observation *report = explanation->report;
  set(object, "observed", explanation->observed);
  set(object, "expected", explanation->expected);
  set(object, "baseline", explanation->baseline);
  set(object, "rank", explanation->rank);
  set(object, "clears_when", json_string(explanation->clears_when));
  if (report != NULL) {
    set(object, "reports",
        json_pack("[{s:i, s:I, s:I, s:o, s:o}]", "publisher", (int)report->publisher, "boot", (json_int_t)report->boot,
                  "sequence", (json_int_t)report->sequence, "time", time_json(report->time), "received",
                  time_json(report->received)));
  }
  char *text = json_dumps(object, JSON_COMPACT);
  json_decref(object);
  return text;
}

void alert_raise(struct context *context, struct device *device, enum alert_kind kind, enum severity severity, int64_t at,
                 struct explanation explanation, const char *sentence, ...) {
  uint32_t bit = UINT32_C(1) << kind;
  char *text = NULL;
  va_list args;
  char *reasons = explanation_text(&explanation);
  if ((device->live | device->withheld) & bit) {
    free(reasons);
    return;
  }
  device->dirty = true;
  device_wake(context, device, context->now);
  if (maintenance_withholds(context, device, kind)) {
    device->withheld |= bit;
    free(reasons);
    return;
  }
  va_start(args, sentence);
  int length = vasprintf(&text, sentence, args);
  va_end(args);
  device->live |= bit;
  context_effect(context, (struct effect){.kind = EFFECT_RAISE,
                                          .device = device->id,
                                          .at = at,
                                          .name = alert_kind_name(kind),
                                          .severity = severity,
                                          .sentence = length < 0 ? NULL : text,
                                          .explanation = reasons});
}

void alert_clear(struct context *context, struct device *device, enum alert_kind kind, int64_t at, const char *why) {
  uint32_t bit = UINT32_C(1) << kind;
  device->withheld &= ~bit;
  if (!(device->live & bit)) {
    return;
  }
  device->live &= ~bit;
  device->dirty = true;
  context_effect(
      context, (struct effect){
                   .kind = EFFECT_CLEAR, .device = device->id, .at = at, .name = alert_kind_name(kind), .sentence = strdup(why)});
}

bool alert_live(const struct device *device, enum alert_kind kind) {
  return ((device->live | device->withheld) >> kind & 1) != 0;
}

static bool is_absent(const char *connectivity) {
  return strcmp(connectivity, "silent") == 0 || strcmp(connectivity, "link lost") == 0;
}

void connectivity_set(struct context *context, struct device *device, const char *state, int64_t at, const char *reason) {
  const char *name = connectivity_name(state);
  if (device->connectivity == name) {
    return;
  }
  bool was = is_absent(device->connectivity);
  device->connectivity = name;
  if (context->cohorts != NULL && !context->suppressed && was != is_absent(name)) {
    if (was) {
      cohorts_present(context->cohorts, device);
    } else {
      cohorts_absent(context->cohorts, device, at, context_in_maintenance(context, device));
    }
  }
  device->dirty = true;
  context_effect(
      context,
      (struct effect){.kind = EFFECT_CONNECTIVITY, .device = device->id, .at = at, .name = name, .sentence = strdup(reason)});
}

void context_blind(struct context *context, int64_t began, int64_t ended, const char *away) {
  context_effect(context, (struct effect){.kind = EFFECT_BLIND, .at = began, .until = ended, .name = away});
}

void completeness_note(struct context *context, struct device *device, int64_t hour, const char *reason,
                       struct completeness_counts counts) {
  context_effect(
      context, (struct effect){.kind = EFFECT_COMPLETENESS, .device = device->id, .at = hour, .name = reason, .counts = counts});
}

bool context_may_rank(struct context *context) {
  return !context->suppressed && context->ranks++ < RANKS_A_SECOND;
}

json_t *rank_among_peers(struct context *context, const struct device *device, const struct detector *detector,
                         double (*value)(const void *state), const char *unit) {
  size_t at = 0;
  if (!context_may_rank(context)) {
    return NULL;
  }
  while (at < detector_count && detectors[at] != detector) {
    at++;
  }
  struct device *peer;
  struct device *next;
  int peers = 0;
  int larger = 0;
  double own = 0;
  HASH_ITER(hh, context->fleet->devices, peer, next) {
    if (peer->id == device->id) {
      own = value(device_state(peer, at));
    }
  }
  HASH_ITER(hh, context->fleet->devices, peer, next) {
    if (peer->model == device->model && peer->active) {
      peers++;
      larger += peer->id != device->id && value(device_state(peer, at)) > own;
    }
  }
  return json_pack("{s:i, s:i, s:s}", "place", larger + 1, "of", peers, "by", unit);
}
