// What a simulated device measures: each value is a pure function of (device seed, metric, time), so a run can be repeated.
#ifndef VEDETTE_SIMULATOR_VALUES_H
#define VEDETTE_SIMULATOR_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Most metrics a simulated device has, the sparse one included.
enum { VALUES_MAX = 1000 };

enum value_type { VALUE_NUMBER, VALUE_INTEGER, VALUE_FLAG, VALUE_TEXT };

struct value {
  enum value_type type;
  double number;
  int64_t integer;
  bool flag;
  const char *text; // constant
};

enum value_kind { VALUE_GAUGE, VALUE_COUNTER, VALUE_STATE };

struct value_metric {
  char name[16];
  enum value_kind kind;
  const char *unit; // UCUM
};

// Describes metric `number` (from 0): temperature, energy, setpoint, queue, cpu_load, battery, door_open, humidity, then
// channel/009, channel/010, …
void values_metric(size_t number, struct value_metric *out);

// The sparse metric `mode` (a text), which only one report in ten carries.
void values_sparse_metric(struct value_metric *out);

// The value of metric `number` at `time` (microseconds since 1970); `zone` is the device's offset from UTC in hours.
struct value values_at(uint64_t seed, size_t number, int64_t time, double zone);

// The sparse metric; false where the device has nothing to say about it at that time.
bool values_sparse_at(uint64_t seed, int64_t time, struct value *out);

// A day's rhythm at `time`: -1 (before dawn) to 1 (in the afternoon), local time.
double values_rhythm(int64_t time, double zone);

#endif
