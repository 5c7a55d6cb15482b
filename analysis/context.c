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
static const double day = 86400;

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

// --- after we were blind

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

static void recover(struct context *context, int64_t seeing_since) {
  struct recovery *r = &context->recovery;
  if (seeing_since > context->seeing_since && context->seeing_since != 0) {
    context->blind = seeing_since > context->saw ? seeing_since - context->saw : 0;
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

void context_advance(struct context *context, int64_t now, int64_t seeing_since) {
  context->now = now > context->now ? now : context->now;
  recover(context, seeing_since);
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

// --- rhythm

static const double growth = 0.2; // of the trust's logarithm, with each false alarm
static const double trust_most = 8;
static const double lost_mains = 2.2; // usual gaps: one report is lost, the next comes a little late
static const double lost_others = 8;  // a radio may lose many

struct cadence_prior device_prior(const struct context *context, const struct device *device) {
  const struct model *model = device->model;
  return (struct cadence_prior){.usual = model->cadence > 0 ? model->cadence : (double)model->learned.usual,
                                .tolerated = model->class == CLASS_MAINS ? lost_mains : lost_others,
                                .least = context->config->connectivity.slack_s,
                                .rate = context->config->connectivity.rate,
                                .young = context->config->connectivity.young,
                                .learn_s = context->config->connectivity.learn_s};
}

// It shrinks with the days of devices that were not called silent wrongly.
static double trust_now(const struct context *context, const struct model *model) {
  double days = seconds(context->now - model->learned.relaxed_at) / day;
  double earned = growth * context->config->connectivity.rate * model->devices * days;
  return model->learned.trust > 1 ? fmax((double)model->learned.trust * exp(-earned), 1) : 1;
}

double device_patience(const struct context *context, const struct device *device, const struct cadence *cadence) {
  const struct cadence_prior prior = device_prior(context, device);
  const double given = device->model->patience;
  return given > 0 ? given : cadence_patience(cadence, &prior) * trust_now(context, device->model);
}

void device_false_alarm(struct context *context, struct device *device) {
  struct model *model = device->model;
  model->learned.trust = (float)fmin(trust_now(context, model) * exp(growth), trust_most);
  model->learned.relaxed_at = context->now;
  model->dirty = true;
}

void device_tell_usual(struct device *device, double usual) {
  struct model *model = device->model;
  double before = (double)model->learned.usual;
  model->learned.usual = (float)(before > 0 ? before * pow(usual / before, 0.1) : usual);
  model->dirty = true;
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

json_t *rank_among_peers(struct context *context, const struct device *device, const struct detector *detector,
                         double (*value)(const void *state), const char *unit) {
  size_t at = 0;
  if (context->suppressed || context->ranks++ >= RANKS_A_SECOND) {
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
