#include "simulator/values.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "simulator/random.h"

static const double second = 1e6; // microseconds
static const double day = 86400.0;
static const double counters_since = 1704067200.0; // 2024-01-01: energy counters started here

enum {
  METRIC_TEMPERATURE,
  METRIC_ENERGY,
  METRIC_SETPOINT,
  METRIC_QUEUE,
  METRIC_CPU,
  METRIC_BATTERY,
  METRIC_DOOR,
  METRIC_HUMIDITY,
  METRIC_NAMED
};

static const struct value_metric named[METRIC_NAMED] = {
    [METRIC_TEMPERATURE] = {"temperature", VALUE_GAUGE, "Cel"},
    [METRIC_ENERGY] = {"energy", VALUE_COUNTER, "kW.h"},
    [METRIC_SETPOINT] = {"setpoint", VALUE_GAUGE, "Cel"},
    [METRIC_QUEUE] = {"queue", VALUE_GAUGE, "1"},
    [METRIC_CPU] = {"cpu_load", VALUE_GAUGE, "1"},
    [METRIC_BATTERY] = {"battery", VALUE_GAUGE, "%"},
    [METRIC_DOOR] = {"door_open", VALUE_STATE, "1"},
    [METRIC_HUMIDITY] = {"humidity", VALUE_GAUGE, "%"},
};

void values_metric(size_t number, struct value_metric *out) {
  if (number < METRIC_NAMED) {
    *out = named[number];
    return;
  }
  *out = (struct value_metric){.kind = VALUE_GAUGE, .unit = "1"};
  snprintf(out->name, sizeof out->name, "channel/%03u", (unsigned)(number + 1) % 10000);
}

void values_sparse_metric(struct value_metric *out) {
  *out = (struct value_metric){.name = "mode", .kind = VALUE_STATE, .unit = "1"};
}

double values_rhythm(int64_t time, double zone) {
  double local = (double)time / second + zone * 3600.0;
  return sin(2 * M_PI * (local - 9.0 * 3600.0) / day); // highest at 15:00, lowest at 03:00
}

// Slow random walk between -1 and 1: hashed knots every `period` seconds, joined smoothly.
static double drift(uint64_t seed, int64_t time, double period) {
  double place = (double)time / second / period;
  double knot = floor(place);
  double part = place - knot;
  double ease = part * part * (3 - 2 * part);
  double from = 2 * random_unit(random_pair(seed, (uint64_t)(int64_t)knot)) - 1;
  double to = 2 * random_unit(random_pair(seed, (uint64_t)(int64_t)knot + 1)) - 1;
  return from + (to - from) * ease;
}

// To so many parts of one: 100 keeps two decimals.
static double rounded(double value, double parts) {
  return round(value * parts) / parts;
}

// Energy grows for ever: a mean power with a daily swing below it, integrated in closed form.
static double energy(uint64_t seed, int64_t time, double zone) {
  double power = 0.15 + 1.2 * random_unit(random_pair(seed, 11)); // kW
  double swing = 0.6 * power * day / (2 * M_PI);
  double local = (double)time / second + zone * 3600.0 - 9.0 * 3600.0;
  double begin = counters_since + zone * 3600.0 - 9.0 * 3600.0;
  double used = power * (local - begin) - swing * (cos(2 * M_PI * local / day) - cos(2 * M_PI * begin / day));
  return fmax(0, floor(used / 3.6) / 1000.0); // kW·s to kW·h, whole Wh
}

static bool door(uint64_t seed, int64_t time, double zone) {
  int64_t slot = time / (int64_t)(600 * second);
  double chance = 0.015 + 0.015 * values_rhythm(time, zone);
  return random_unit(random_pair(seed, (uint64_t)slot)) < chance;
}

static double battery(uint64_t seed, int64_t time) {
  double period = (15 + 20 * random_unit(random_pair(seed, 12))) * day;
  double phase = random_unit(random_pair(seed, 13));
  double place = (double)time / second / period + phase;
  return rounded(100 - 75 * (place - floor(place)), 10);
}

static double channel(uint64_t seed, int64_t time, double noise) {
  double base = 10 + 90 * random_unit(random_pair(seed, 1));
  double period = 600 + 7000 * random_unit(random_pair(seed, 2));
  double phase = 2 * M_PI * random_unit(random_pair(seed, 3));
  return rounded(base * (1 + 0.1 * sin(2 * M_PI * (double)time / second / period + phase) + 0.01 * noise), 1000);
}

struct value values_at(uint64_t seed, size_t number, int64_t time, double zone) {
  uint64_t own = random_pair(seed, number);
  double noise = random_normal(random_pair(own, (uint64_t)time));
  struct value value = {.type = VALUE_NUMBER};
  switch (number) {
  case METRIC_TEMPERATURE:
    value.number =
        rounded(18 + 5 * random_unit(own) + 3.5 * values_rhythm(time, zone) + drift(own, time, 7200) + 0.1 * noise, 100);
    break;
  case METRIC_ENERGY: value.number = energy(seed, time, zone); break;
  case METRIC_SETPOINT: value.number = 18 + floor(random_unit(own) * 8) / 2; break;
  case METRIC_QUEUE:
    value.type = VALUE_INTEGER;
    value.integer = (int64_t)fmax(0, 4 + 2 * values_rhythm(time, zone) + 1.5 * noise);
    break;
  case METRIC_CPU:
    value.number =
        rounded(fmin(1, fmax(0.01, 0.22 + 0.08 * values_rhythm(time, zone) + 0.05 * drift(own, time, 900) + 0.03 * noise)), 1000);
    break;
  case METRIC_BATTERY: value.number = battery(seed, time); break;
  case METRIC_DOOR:
    value.type = VALUE_FLAG;
    value.flag = door(own, time, zone);
    break;
  case METRIC_HUMIDITY:
    value.number =
        rounded(fmin(100, fmax(5, 48 - 6 * values_rhythm(time, zone) + 8 * drift(own, time, 10800) + 0.4 * noise)), 10);
    break;
  default: value.number = channel(own, time, noise); break;
  }
  return value;
}

bool values_sparse_at(uint64_t seed, int64_t time, struct value *out) {
  static const char *const modes[] = {"auto", "eco", "manual", "holiday"};
  uint64_t own = random_pair(seed, 99);
  if (random_unit(random_pair(own, (uint64_t)time)) >= 0.1) {
    return false;
  }
  uint64_t slot = (uint64_t)(time / (int64_t)(21600 * second));
  *out = (struct value){.type = VALUE_TEXT, .text = modes[random_pair(own, slot) % 4]};
  return true;
}
