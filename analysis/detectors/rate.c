// Message rate and volume against the device's own history.
//
// Messages and bytes are counted in windows of receipt time. Mean and variance of past windows are exponential (weights 1/n, at
// least 1/256; West 1979, "Updating mean and variance estimates"). A window is abnormal when it exceeds both the mean by so many
// standard deviations (no fewer than a Poisson count would have) and the mean by a factor. Two abnormal windows, or one that
// passes twice the limit before it ends, raise; two normal ones clear. Abnormal windows are not learned from, until there are so
// many that they are the new normal.
#include "analysis/detectors/all.h"

#include <math.h>
#include <string.h>

enum { WINDOWS_LEARNED = 5, WEIGHT_LEAST = 256, NEW_NORMAL = 360, EMPTY_MOST = 64, CALM = 2, RAISE = 2 };

struct series {
  double mean, variance; // a window
  uint32_t windows;      // learned from
  uint16_t over, calm;   // in a row
};

struct rate {
  int64_t start; // of the present window; 0: none yet
  uint32_t messages;
  uint64_t bytes;
  struct series message, byte;
};

static double limit_of(const struct config_rate *config, const struct series *s, double least_sd, double least) {
  double sd = sqrt(fmax(s->variance, least_sd * least_sd));
  return fmax(s->mean + config->deviations * sd, config->ratio * s->mean + least);
}

// Counts scatter at least as Poisson's do; bytes at least as by a tenth of their mean.
static double message_limit(const struct config_rate *config, const struct series *s) {
  return limit_of(config, s, sqrt(fmax(s->mean, 1)), 5);
}

static double byte_limit(const struct config_rate *config, const struct series *s) {
  return limit_of(config, s, s->mean / 10, 2048);
}

static void learn(struct series *s, double value) {
  double weight = s->windows < WEIGHT_LEAST ? 1.0 / (s->windows + 1) : 1.0 / WEIGHT_LEAST;
  double delta = value - s->mean;
  s->mean += weight * delta;
  s->variance = (1 - weight) * (s->variance + weight * delta * delta);
  if (s->windows < UINT32_MAX) {
    s->windows++;
  }
}

static void judge(struct series *s, double value, double limit) {
  bool over = s->windows >= WINDOWS_LEARNED && value > limit;
  s->over = over ? (uint16_t)(s->over + (s->over < UINT16_MAX)) : 0;
  s->calm = over ? 0 : (uint16_t)(s->calm + (s->calm < UINT16_MAX));
  if (!over || s->over > NEW_NORMAL) {
    learn(s, value);
  }
}

static double message_mean(const void *state) {
  return ((const struct rate *)state)->message.mean;
}

static void raise(struct context *context, struct device *device, const struct rate *r, const struct observation *o, bool bytes,
                  double value, double limit, int64_t at) {
  const enum alert_kind kind = bytes ? ALERT_MESSAGE_VOLUME : ALERT_MESSAGE_RATE;
  const struct series *s = bytes ? &r->byte : &r->message;
  if (alert_live(device, kind)) {
    return;
  }
  uint32_t window = context_config(context)->rate.window_s;
  const char *unit = bytes ? "bytes" : "messages";
  struct explanation explanation = {
      .observed = json_pack("{s:f, s:s, s:i}", "value", value, "unit", unit, "window_s", (int)window),
      .expected = json_pack("{s:f, s:f}", "mean", s->mean, "limit", limit),
      .baseline = json_pack("{s:s, s:i, s:i, s:f}", "of", "this device's own windows", "windows", (int)s->windows, "window_s",
                            (int)window, "standard_deviation", sqrt(s->variance)),
      .rank = rank_among_peers(context, device, &detector_rate, message_mean, "mean messages a window, most first"),
      .report = o,
      .clears_when = "two windows in a row are below the limit",
  };
  alert_raise(context, device, kind, SEVERITY_MAJOR, at, explanation,
              "%s sent %.0f %s within %u s; its own usual is %.1f, the limit %.1f.", device_credential(device), value, unit,
              window, s->mean, limit);
}

static void clear(struct context *context, struct device *device, struct rate *r, int64_t at) {
  if (r->message.calm >= CALM) {
    alert_clear(context, device, ALERT_MESSAGE_RATE, at, "the rate is back to its usual");
  }
  if (r->byte.calm >= CALM) {
    alert_clear(context, device, ALERT_MESSAGE_VOLUME, at, "the volume is back to its usual");
  }
}

// Judges what the present window holds so far: at its end, or before it when it is gross.
static void consider(struct context *context, struct device *device, const struct rate *r, const struct observation *o,
                     int64_t at, bool at_end) {
  const struct config_rate *config = &context_config(context)->rate;
  double messages = message_limit(config, &r->message);
  double bytes = byte_limit(config, &r->byte);
  bool known = r->message.windows >= WINDOWS_LEARNED;
  bool many = at_end ? r->message.over >= RAISE : known && r->messages > 2 * messages;
  bool much = at_end ? r->byte.over >= RAISE : known && (double)r->bytes > 2 * bytes;
  if (many) {
    raise(context, device, r, o, false, r->messages, messages, at);
  } else if (much && !alert_live(device, ALERT_MESSAGE_RATE)) {
    raise(context, device, r, o, true, (double)r->bytes, bytes, at);
  }
}

// Closes windows that ended at or before `at`.
static void roll(struct context *context, struct device *device, struct rate *r, int64_t at, const struct observation *o) {
  const struct config_rate *config = &context_config(context)->rate;
  int64_t width = (int64_t)config->window_s * 1000000;
  if (r->start == 0 || at < r->start + width) {
    return;
  }
  judge(&r->message, r->messages, message_limit(config, &r->message));
  judge(&r->byte, (double)r->bytes, byte_limit(config, &r->byte));
  consider(context, device, r, o, r->start + width, true);
  r->messages = 0;
  r->bytes = 0;
  int64_t empty = (at - r->start) / width - 1;
  for (int64_t i = 0; i < empty && i < EMPTY_MOST; i++) {
    judge(&r->message, 0, INFINITY);
    judge(&r->byte, 0, INFINITY);
  }
  r->start += (empty + 1) * width;
  clear(context, device, r, r->start);
}

// After we were blind the broker and the devices hand over what waited: old by the device's clock, and no present rate.
static bool is_backlog(const struct context *context, const struct observation *o) {
  const int64_t second = 1000000;
  bool late = o->kind == OBSERVE_REPORT && (o->marks & 6) == 0 && o->received - o->time > 20 * second;
  return (o->marks & 1) || (late && o->received < context_seeing_since(context) + 600 * second);
}

static void observe(struct context *context, struct device *device, void *state, const struct observation *o) {
  struct rate *r = state;
  bool message = o->kind == OBSERVE_REPORT || o->kind == OBSERVE_DEAD_LETTER || o->kind == OBSERVE_UNKEPT;
  if (!message || !(o->roles & ROLE_PUBLISHER) || is_backlog(context, o)) {
    return;
  }
  int64_t width = (int64_t)context_config(context)->rate.window_s * 1000000;
  if (r->start == 0) {
    r->start = o->received - o->received % width;
  }
  roll(context, device, r, o->received, o);
  uint32_t count = o->kind == OBSERVE_UNKEPT ? (uint32_t)o->count : 1;
  r->messages = r->messages > UINT32_MAX - count ? UINT32_MAX : r->messages + count;
  r->bytes += (uint64_t)o->size;
  consider(context, device, r, o, o->received, false);
}

static void advance(struct context *context, struct device *device, void *state) {
  struct rate *r = state;
  if (alert_live(device, ALERT_MESSAGE_RATE) || alert_live(device, ALERT_MESSAGE_VOLUME)) {
    roll(context, device, r, context_now(context), NULL);
    device_wake(context, device, r->start + (int64_t)context_config(context)->rate.window_s * 1000000);
  }
}

const struct detector detector_rate = {
    .name = "message rate", .state_size = sizeof(struct rate), .version = 1, .observe = observe, .advance = advance};
