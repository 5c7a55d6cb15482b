#include "analysis/context.h"

#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t second = 1000000;

enum { RANKS_A_SWEEP = 100 }; // each walks the fleet: in a mass outage the first alerts have a rank, the others do without

const char *severity_name(enum severity severity) {
  static const char *const names[] = {"info", "warning", "major", "critical"};
  return names[severity];
}

double seconds(int64_t us) {
  return (double)us / 1e6;
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

void context_observe(struct context *context, const struct observation *observation) {
  struct observation seen = *observation;
  bool both = seen.device == seen.publisher;
  seen.roles = both ? ROLE_SUBJECT | ROLE_PUBLISHER : ROLE_SUBJECT;
  show(context, fleet_find(context->fleet, seen.device), &seen);
  if (!both) {
    seen.roles = ROLE_PUBLISHER;
    show(context, fleet_find(context->fleet, seen.publisher), &seen);
  }
}

void context_advance(struct context *context, int64_t now, int64_t seeing_since) {
  struct device *device;
  struct device *next;
  context->now = now > context->now ? now : context->now;
  context->seeing_since = seeing_since;
  if (context->now - context->swept < second) {
    return;
  }
  context->swept = context->now;
  context->ranks = 0;
  HASH_ITER(hh, context->fleet->devices, device, next) {
    device->dirty |= device->live != 0; // what may clear by time alone changes its state by time alone
    for (size_t i = 0; device->active && i < detector_count; i++) {
      if (detectors[i]->advance != NULL) {
        detectors[i]->advance(context, device, device_state(device, i));
      }
    }
  }
}

static void effect_free(struct effect *effect) {
  free(effect->sentence);
  free(effect->explanation);
}

void context_settle(struct context *context) {
  for (size_t i = 0; i < context->count; i++) {
    effect_free(&context->effects[i]);
  }
  context->count = 0;
}

void context_free(struct context *context) {
  context_settle(context);
  free(context->effects);
  context->effects = NULL;
  context->room = 0;
}

// Appends an effect; takes its strings over. An effect that memory does not hold ends the process: the step is not committed and
// is done again after the restart.
static void append(struct context *context, struct effect effect) {
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

const struct device *device_gateway(const struct context *context, const struct device *device) {
  return device->gateway == 0 ? NULL : fleet_find(context->fleet, device->gateway);
}

const char *device_connectivity(const struct device *device) {
  return device->connectivity;
}

int device_release(const struct context *context, const struct device *device, const uint8_t *hash) {
  struct release key = {.key.model = device->model};
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

static char *explain(const struct explanation *explanation) {
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

void alert_raise(struct context *context, struct device *device, const char *kind, enum severity severity, int64_t at,
                 struct explanation explanation, const char *sentence, ...) {
  uint32_t bit = kind_bit(kind);
  char *text = NULL;
  va_list args;
  char *reasons = explain(&explanation);
  if (bit == 0 || (device->live & bit)) {
    free(reasons);
    return;
  }
  va_start(args, sentence);
  int length = vasprintf(&text, sentence, args);
  va_end(args);
  device->live |= bit;
  device->dirty = true;
  append(context, (struct effect){.kind = EFFECT_RAISE,
                                  .device = device->id,
                                  .at = at,
                                  .name = kind,
                                  .severity = severity,
                                  .sentence = length < 0 ? NULL : text,
                                  .explanation = reasons});
}

void alert_clear(struct context *context, struct device *device, const char *kind, int64_t at, const char *why) {
  uint32_t bit = kind_bit(kind);
  if (!(device->live & bit)) {
    return;
  }
  device->live &= ~bit;
  device->dirty = true;
  append(context, (struct effect){.kind = EFFECT_CLEAR, .device = device->id, .at = at, .name = kind, .sentence = strdup(why)});
}

bool alert_live(const struct device *device, const char *kind) {
  return (device->live & kind_bit(kind)) != 0;
}

void connectivity_set(struct context *context, struct device *device, const char *state, int64_t at, const char *reason) {
  const char *name = connectivity_name(state);
  if (device->connectivity == name) {
    return;
  }
  device->connectivity = name;
  device->dirty = true;
  append(context,
         (struct effect){.kind = EFFECT_CONNECTIVITY, .device = device->id, .at = at, .name = name, .sentence = strdup(reason)});
}

json_t *rank_among_peers(struct context *context, const struct device *device, const struct detector *detector,
                         double (*value)(const void *state), const char *unit) {
  size_t at = 0;
  if (context->suppressed || context->ranks++ >= RANKS_A_SWEEP) {
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
