#include "analysis/storms.h"

#include "analysis/fleet_alerts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  MINUTE_S = 60,
  GATHER_S = 60,       // from the first sign until it is explained
  CALM_S = 120,        // below the limit for so long: it is over
  LEAST = 20,          // births a minute that are no storm
  RECENT_MOST = 65536, // births that are remembered
  DEVICES_LEAST = 10,  // of a firmware, for it to be judged
  MINUTES_LEARNED = 24 * 60,
};
static const int64_t second = 1000000;
static const double above = 10; // times the usual minute
static const double part_of_fleet = 0.02;
static const double again = 3;          // births a device: the same ones
static const double were_absent = 0.8;  // of those who come, in a return
static const double concentrated = 0.7; // F1 of an attribute, in a return
static const double moment_s = 2;       // within which four in five of a firmware come: no jitter
static const int64_t after_restart_s = 900;

enum cause { RESTART, RETURN, AGAIN, UNEXPLAINED };
static const char *const keys[] = {"broker", "return", "repeated", "unexplained"};

struct birth {
  struct device *device;
  int64_t at;
  bool absent;
};

struct storms {
  struct birth *recent; // a ring
  size_t count, next;
  int64_t minute;    // the present one, since 1970
  uint32_t births;   // in it
  double usual;      // a minute
  uint32_t minutes;  // learned from
  int64_t began;     // of the storm; 0: there is none
  int64_t last_high; // when it was above the limit
  const char *key;   // of its alert; NULL: not explained yet
};

struct storms *storms_new(void) {
  struct storms *storms = calloc(1, sizeof *storms);
  if (storms != NULL && (storms->recent = calloc(RECENT_MOST, sizeof *storms->recent)) == NULL) {
    free(storms);
    return NULL;
  }
  return storms;
}

void storms_free(struct storms *storms) {
  if (storms != NULL) {
    free(storms->recent);
    free(storms);
  }
}

void storms_forget(struct storms *storms) {
  storms->count = storms->next = 0;
  storms->began = 0;
  storms->key = NULL;
}

static void roll(struct storms *storms, int64_t at) {
  int64_t minute = at / second / MINUTE_S;
  if (storms->minute == 0) {
    storms->minute = minute;
  }
  for (int i = 0; storms->minute < minute && i < MINUTES_LEARNED; i++, storms->minute++) {
    double weight = 1.0 / (storms->minutes < MINUTES_LEARNED ? storms->minutes + 1 : MINUTES_LEARNED);
    if (storms->began == 0) { // a storm is not usual
      storms->usual += (storms->births - storms->usual) * weight;
      storms->minutes += storms->minutes < MINUTES_LEARNED;
    }
    storms->births = 0;
  }
  storms->minute = minute > storms->minute ? minute : storms->minute;
}

static uint32_t births_since(const struct storms *storms, int64_t since) {
  uint32_t births = 0;
  for (size_t i = 0; i < storms->count; i++) {
    size_t at = (storms->next + RECENT_MOST - 1 - i) % RECENT_MOST;
    if (storms->recent[at].at < since) {
      break; // they came in order, nearly
    }
    births++;
  }
  return births;
}

static double limit(const struct storms *storms, uint32_t fleet) {
  return fmax(fmax(LEAST, above * storms->usual), part_of_fleet * fleet);
}

void storms_birth(struct storms *storms, struct device *device, int64_t at, bool absent) {
  roll(storms, at);
  storms->births++;
  storms->recent[storms->next] = (struct birth){.device = device, .at = at, .absent = absent};
  storms->next = (storms->next + 1) % RECENT_MOST;
  storms->count += storms->count < RECENT_MOST;
}

// --- what it is

struct sight {
  struct birth *births; // in order of the device, then of time; the caller's
  size_t count, devices;
  size_t absent;
};

static int by_device(const void *x, const void *y) {
  const struct birth *a = x, *b = y;
  return a->device->id != b->device->id ? (a->device->id < b->device->id ? -1 : 1) : (a->at > b->at) - (a->at < b->at);
}

static struct sight gather(const struct storms *storms, int64_t since) {
  struct sight sight = {.births = calloc(storms->count + 1, sizeof(struct birth))};
  for (size_t i = 0; sight.births != NULL && i < storms->count; i++) {
    if (storms->recent[i].at >= since) {
      sight.absent += storms->recent[i].absent;
      sight.births[sight.count++] = storms->recent[i];
    }
  }
  if (sight.count > 0) {
    qsort(sight.births, sight.count, sizeof *sight.births, by_device);
  }
  for (size_t i = 0; i < sight.count; i++) {
    sight.devices += i == 0 || sight.births[i].device != sight.births[i - 1].device;
  }
  return sight;
}

struct value {
  int32_t value;
  struct device *one;
  uint32_t births;
};

static int by_value(const void *x, const void *y) {
  const struct value *a = x, *b = y;
  return (a->value > b->value) - (a->value < b->value);
}

// The value of an attribute that most births have: how many, and one of the devices.
static struct value commonest(const struct sight *sight, enum attribute attribute) {
  struct value best = {0};
  struct value *values = calloc(sight->count + 1, sizeof *values);
  for (size_t i = 0; values != NULL && i < sight->count; i++) {
    values[i] = (struct value){.value = attribute_of(sight->births[i].device, attribute), .one = sight->births[i].device};
  }
  if (values != NULL) {
    qsort(values, sight->count, sizeof *values, by_value);
  }
  for (size_t from = 0, to; values != NULL && from < sight->count; from = to) {
    for (to = from; to < sight->count && values[to].value == values[from].value; to++) {}
    if (values[from].value != 0 && to - from > best.births) {
      best = (struct value){values[from].value, values[from].one, (uint32_t)(to - from)};
    }
  }
  free(values);
  return best;
}

static uint32_t with_value(const struct context *context, enum attribute attribute, int32_t value) {
  uint32_t count = 0;
  for (const struct device *device = context->fleet->devices; device != NULL; device = device->hh.next) {
    count += device->active && attribute_of(device, attribute) == value;
  }
  return count;
}

// Where it returns from, in words; "": from nowhere in particular.
static double find_return(const struct context *context, const struct sight *sight, char *out, size_t size) {
  double best = 0;
  for (int a = ATTRIBUTE_GATEWAY; a <= ATTRIBUTE_REGION; a++) {
    struct value value = commonest(sight, (enum attribute)a);
    uint32_t all = value.births > 0 ? with_value(context, (enum attribute)a, value.value) : 0;
    double score = all > 0 ? 2.0 * fmin(value.births, all) / (all + (double)sight->devices) : 0;
    if (score > best) {
      best = score;
      attribute_words(context, value.one, (enum attribute)a, out, size);
    }
  }
  return best;
}

static enum cause cause_of(const struct context *context, const struct storms *storms, const struct sight *sight, char *from,
                           size_t size) {
  const int64_t since = context_seeing_since(context);
  if ((double)sight->count >= again * (double)sight->devices) {
    return AGAIN;
  }
  bool lately = since <= storms->began + GATHER_S * second && since > storms->began - after_restart_s * second;
  if (lately && context_blind_for(context) > 0) { // not our own start
    return RESTART;
  }
  bool returned = (double)sight->absent >= were_absent * (double)sight->count;
  return returned && find_return(context, sight, from, size) >= concentrated ? RETURN : UNEXPLAINED;
}

// --- firmware without jitter

struct arrival {
  const struct label *firmware;
  int64_t at;
};

static int by_firmware(const void *x, const void *y) {
  const struct arrival *a = x, *b = y;
  return a->firmware->id != b->firmware->id ? (a->firmware->id < b->firmware->id ? -1 : 1) : (a->at > b->at) - (a->at < b->at);
}

// Firmware of which four in five came within a moment, although the storm took longer; JSON array of versions.
static json_t *without_jitter(const struct sight *sight) {
  json_t *names = json_array();
  struct arrival *arrivals = calloc(sight->count + 1, sizeof *arrivals);
  size_t count = 0;
  for (size_t i = 0; arrivals != NULL && i < sight->count; i++) {
    bool first = i == 0 || sight->births[i].device != sight->births[i - 1].device;
    if (first && sight->births[i].device->firmware != NULL) {
      arrivals[count++] = (struct arrival){sight->births[i].device->firmware, sight->births[i].at};
    }
  }
  if (count > 0) {
    qsort(arrivals, count, sizeof *arrivals, by_firmware);
  }
  for (size_t from = 0, to; from < count; from = to) {
    for (to = from; to < count && arrivals[to].firmware == arrivals[from].firmware; to++) {}
    size_t most = (to - from) * 4 / 5;
    bool at_once = false;
    for (size_t i = from; to - from >= DEVICES_LEAST && i + most < to && !at_once; i++) {
      at_once = seconds(arrivals[i + most].at - arrivals[i].at) <= moment_s;
    }
    if (at_once) {
      json_array_append_new(names, json_string(arrivals[from].firmware->text));
    }
  }
  free(arrivals);
  return names;
}

static void list_names(const json_t *names, char *out, size_t size) {
  size_t used = 0;
  out[0] = '\0';
  for (size_t i = 0; i < json_array_size(names) && used + 70 < size; i++) {
    int wrote = snprintf(out + used, size - used, "%s%.64s", i > 0 ? ", " : "", json_string_value(json_array_get(names, i)));
    used += wrote > 0 ? (size_t)wrote : 0;
  }
}

static void say(struct storms *storms, struct context *context, const struct sight *sight) {
  char from[160] = "";
  char versions[300];
  char why[200];
  enum cause cause = cause_of(context, storms, sight, from, sizeof from);
  json_t *names = without_jitter(sight);
  list_names(names, versions, sizeof versions);
  switch (cause) {
  case RESTART: snprintf(why, sizeof why, "after the broker was away"); break;
  case RETURN: snprintf(why, sizeof why, "on the return of %.150s", from); break;
  case AGAIN: snprintf(why, sizeof why, "by the same devices again and again, as a fault of them or an attack would be"); break;
  default: snprintf(why, sizeof why, "and nothing here explains it: it may be an attack"); break;
  }
  storms->key = keys[cause];
  bool expected = cause == RESTART || cause == RETURN;
  bool jitter = json_array_size(names) == 0;
  fleet_alert_raise(
      context, ALERT_RECONNECT_STORM, storms->key,
      expected && jitter ? SEVERITY_INFO
      : expected         ? SEVERITY_WARNING
                         : SEVERITY_MAJOR,
      context->now,
      (struct explanation){
          .observed = json_pack("{s:i, s:i, s:s, s:o}", "connections", (int)sight->count, "devices", (int)sight->devices, "cause",
                                storms->key, "firmware_without_jitter", names),
          .expected = json_pack("{s:f}", "connections_a_minute", storms->usual),
          .baseline = json_pack("{s:s, s:i}", "of", "this installation's own minutes", "minutes", (int)storms->minutes),
          .clears_when = "devices connect at their usual rate for two minutes",
      },
      "%zu connections of %zu devices within two minutes, %s.%s%s", sight->count, sight->devices, why,
      jitter ? "" : " Without jitter came firmware ", versions);
}

static void explain(struct storms *storms, struct context *context) {
  struct sight sight = gather(storms, storms->began - MINUTE_S * second);
  if (sight.births != NULL && sight.count > 0) {
    say(storms, context, &sight);
  }
  free(sight.births);
}

void storms_advance(struct storms *storms, struct context *context) {
  const int64_t now = context->now;
  roll(storms, now);
  bool high = births_since(storms, now - MINUTE_S * second) >= limit(storms, HASH_COUNT(context->fleet->devices));
  storms->last_high = high ? now : storms->last_high;
  if (high && storms->began == 0 && storms->minutes > 0) {
    storms->began = now;
  } else if (storms->began != 0 && storms->key == NULL && now - storms->began >= GATHER_S * second) {
    explain(storms, context);
  } else if (storms->began != 0 && storms->key != NULL && now - storms->last_high >= CALM_S * second) {
    fleet_alert_clear(context, ALERT_RECONNECT_STORM, storms->key, now, "devices connect at their usual rate");
    storms->began = 0;
    storms->key = NULL;
  }
}
