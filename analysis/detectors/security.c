// Five signs of attack that need nothing but telemetry: an identity that does not fit, a burst of malformed messages, a flood
// that had to be shed, repeated login failures that the device reports, firmware that was never released.
#include "analysis/detectors/all.h"

#include "vedette/v1/telemetry.pb-c.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Counts in a sliding window, from two fixed ones: the previous one's share that the sliding window still covers is taken as
// even.
struct burst {
  int64_t start;
  uint32_t previous, current;
};

static void burst_roll(struct burst *b, int64_t at, int64_t width) {
  if (b->start == 0 || at - b->start >= 2 * width) {
    *b = (struct burst){.start = at - at % width};
  } else if (at - b->start >= width) {
    *b = (struct burst){.start = b->start + width, .previous = b->current};
  }
}

static double burst_add(struct burst *b, int64_t at, int64_t width, uint32_t count) {
  burst_roll(b, at, width);
  b->current = b->current > UINT32_MAX - count ? UINT32_MAX : b->current + count;
  double rest = 1.0 - (double)(at - b->start) / (double)width;
  return b->current + b->previous * fmax(rest, 0);
}

static bool burst_over(struct burst *b, int64_t at, int64_t width) {
  burst_roll(b, at, width);
  return b->current == 0 && b->previous == 0;
}

static int64_t window_us(const struct context *context) {
  return (int64_t)context_config(context)->security.window_s * 1000000;
}

// Clears an alert when its burst is over, and looks again when it may be.
static void clear_when_over(struct context *context, struct device *device, struct burst *b, enum alert_kind kind,
                            const char *why) {
  const int64_t width = window_us(context);
  if (!alert_live(device, kind)) {
    return;
  }
  if (burst_over(b, context_now(context), width)) {
    alert_clear(context, device, kind, context_now(context), why);
  } else {
    device_wake(context, device, b->start + (b->current > 0 ? 2 : 1) * width);
  }
}

static bool is_rejected(const struct observation *o) {
  return o->kind == OBSERVE_DEAD_LETTER || (o->kind == OBSERVE_UNKEPT && o->code != VEDETTE__V1__REASON__REASON_SHED);
}

// --- identity mismatch

struct identity {
  struct burst burst;
};

static void identity_observe(struct context *context, struct device *device, void *state, const struct observation *o) {
  struct identity *s = state;
  if (!is_rejected(o) || o->code != VEDETTE__V1__REASON__REASON_IDENTITY || (o->marks & 1)) {
    return;
  }
  double count = burst_add(&s->burst, o->received, window_us(context), (uint32_t)o->count);
  if (alert_live(device, ALERT_IDENTITY_MISMATCH)) {
    return;
  }
  alert_raise(context, device, ALERT_IDENTITY_MISMATCH, SEVERITY_MAJOR, o->received,
              (struct explanation){
                  .observed = json_pack("{s:f, s:s}", "messages", count, "claim", o->text),
                  .expected = json_pack("{s:i}", "messages", 0),
                  .baseline = json_pack("{s:s}", "of", "fixed rule: the payload names its publisher or one of its children"),
                  .report = o,
                  .clears_when = "no such message arrives for the length of the window"},
              "%s sent a report under an identity that is not its own: %s.", device_credential(device), o->text);
}

static void identity_advance(struct context *context, struct device *device, void *state) {
  struct identity *s = state;
  clear_when_over(context, device, &s->burst, ALERT_IDENTITY_MISMATCH, "no such message for the length of the window");
}

const struct detector detector_identity = {.name = "identity mismatch",
                                           .state_size = sizeof(struct identity),
                                           .version = 1,
                                           .observe = identity_observe,
                                           .advance = identity_advance};

// --- malformed burst

struct malformed {
  struct burst burst;
};

static bool is_malformed(int reason) {
  switch (reason) {
  case VEDETTE__V1__REASON__REASON_MALFORMED:
  case VEDETTE__V1__REASON__REASON_OVERSIZED:
  case VEDETTE__V1__REASON__REASON_BOOT:
  case VEDETTE__V1__REASON__REASON_METRIC_NAME:
  case VEDETTE__V1__REASON__REASON_VALUE:
  case VEDETTE__V1__REASON__REASON_FIELD:
  case VEDETTE__V1__REASON__REASON_TOO_MANY_METRICS: return true;
  default: return false;
  }
}

static void malformed_observe(struct context *context, struct device *device, void *state, const struct observation *o) {
  struct malformed *s = state;
  if (!is_rejected(o) || !is_malformed(o->code) || (o->marks & 1)) {
    return;
  }
  double count = burst_add(&s->burst, o->received, window_us(context), (uint32_t)o->count);
  uint32_t limit = context_config(context)->security.malformed;
  if (count < limit || alert_live(device, ALERT_MALFORMED_BURST)) {
    return;
  }
  alert_raise(context, device, ALERT_MALFORMED_BURST, SEVERITY_MAJOR, o->received,
              (struct explanation){.observed = json_pack("{s:f, s:s}", "rejected", count, "last_reason", o->text),
                                   .expected = json_pack("{s:i}", "rejected_below", (int)limit),
                                   .baseline = json_pack("{s:s, s:i}", "of", "fixed limit", "window_s",
                                                         (int)context_config(context)->security.window_s),
                                   .report = o,
                                   .clears_when = "no malformed message arrives for the length of the window"},
              "%s sent %.0f messages within %u s that had to be rejected; the last: %s.", device_credential(device), count,
              context_config(context)->security.window_s, o->text);
}

static void malformed_advance(struct context *context, struct device *device, void *state) {
  struct malformed *s = state;
  clear_when_over(context, device, &s->burst, ALERT_MALFORMED_BURST, "no malformed message for the length of the window");
}

const struct detector detector_malformed = {.name = "malformed burst",
                                            .state_size = sizeof(struct malformed),
                                            .version = 1,
                                            .observe = malformed_observe,
                                            .advance = malformed_advance};

// --- messages shed

struct shed {
  struct burst burst;
};

static void shed_observe(struct context *context, struct device *device, void *state, const struct observation *o) {
  struct shed *s = state;
  if (o->kind != OBSERVE_UNKEPT || o->code != VEDETTE__V1__REASON__REASON_SHED) {
    return;
  }
  double count = burst_add(&s->burst, o->received, window_us(context), (uint32_t)o->count);
  if (alert_live(device, ALERT_MESSAGES_SHED)) {
    return;
  }
  alert_raise(context, device, ALERT_MESSAGES_SHED, SEVERITY_MAJOR, o->received,
              (struct explanation){.observed = json_pack("{s:f}", "shed", count),
                                   .expected = json_pack("{s:i}", "shed", 0),
                                   .baseline = json_pack("{s:s}", "of", "the rates of ingest.admission"),
                                   .clears_when = "nothing is shed for the length of the window"},
              "%s sends more than it may; %.0f of its messages were not stored.", device_credential(device), count);
}

static void shed_advance(struct context *context, struct device *device, void *state) {
  struct shed *s = state;
  clear_when_over(context, device, &s->burst, ALERT_MESSAGES_SHED, "nothing was shed for the length of the window");
}

const struct detector detector_shed = {
    .name = "messages shed", .state_size = sizeof(struct shed), .version = 1, .observe = shed_observe, .advance = shed_advance};

// --- login failures

struct logins {
  struct burst burst;
};

static void logins_observe(struct context *context, struct device *device, void *state, const struct observation *o) {
  struct logins *s = state;
  if (o->kind != OBSERVE_EVENT || o->code != VEDETTE__V1__EVENT_KIND__EVENT_KIND_LOGIN_FAILED || !(o->roles & ROLE_SUBJECT) ||
      (o->marks & 1)) {
    return;
  }
  double count = burst_add(&s->burst, o->received, window_us(context), (uint32_t)o->count);
  uint32_t limit = context_config(context)->security.login_failures;
  if (count < limit || alert_live(device, ALERT_LOGIN_FAILURES)) {
    return;
  }
  alert_raise(context, device, ALERT_LOGIN_FAILURES, SEVERITY_MAJOR, o->received,
              (struct explanation){.observed = json_pack("{s:f, s:s}", "failures", count, "last_user", o->text),
                                   .expected = json_pack("{s:i}", "failures_below", (int)limit),
                                   .baseline = json_pack("{s:s, s:i}", "of", "fixed limit", "window_s",
                                                         (int)context_config(context)->security.window_s),
                                   .report = o,
                                   .clears_when = "no login fails for the length of the window"},
              "%.0f logins failed on %s within %u s, the last as %s.", count, device_credential(device),
              context_config(context)->security.window_s, o->text[0] ? o->text : "an unnamed user");
}

static void logins_advance(struct context *context, struct device *device, void *state) {
  struct logins *s = state;
  clear_when_over(context, device, &s->burst, ALERT_LOGIN_FAILURES, "no login failed for the length of the window");
}

const struct detector detector_logins = {.name = "login failures",
                                         .state_size = sizeof(struct logins),
                                         .version = 1,
                                         .observe = logins_observe,
                                         .advance = logins_advance};

// --- firmware not released

enum { LOOK_AGAIN_US = 10 * 1000000 }; // in the release list

struct firmware {
  bool known;
  uint8_t hash[FIRMWARE_HASH];
};

static void hex(char *out, const uint8_t *hash, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    snprintf(out + 2 * i, 3, "%02x", hash[i]);
  }
}

static void firmware_observe(struct context *context, struct device *device, void *state, const struct observation *o) {
  struct firmware *s = state;
  char digest[2 * FIRMWARE_HASH + 1];
  if (o->kind != OBSERVE_FIRMWARE || !o->hashed || !(o->roles & ROLE_SUBJECT) || (o->marks & 1)) {
    return;
  }
  s->known = true;
  memcpy(s->hash, o->hash, FIRMWARE_HASH);
  int released = device_release(context, device, s->hash);
  if (released == 1) {
    alert_clear(context, device, ALERT_FIRMWARE_NOT_RELEASED, o->received, "it runs a released image again");
  } else if (released == 0 && !alert_live(device, ALERT_FIRMWARE_NOT_RELEASED)) {
    hex(digest, s->hash, FIRMWARE_HASH);
    alert_raise(context, device, ALERT_FIRMWARE_NOT_RELEASED, SEVERITY_MAJOR, o->received,
                (struct explanation){.observed = json_pack("{s:s, s:s}", "version", o->text, "image_hash", digest),
                                     .expected = json_pack("{s:s}", "image_hash", "one of the releases registered for the model"),
                                     .baseline = json_pack("{s:s}", "of", "the model's release list"),
                                     .report = o,
                                     .clears_when = "it reports a released image, or the image is registered as a release"},
                "%s runs firmware %s with image %.16s…, which is not a release of its model.", device_credential(device), o->text,
                digest);
  }
}

static void firmware_advance(struct context *context, struct device *device, void *state) {
  const struct firmware *s = state;
  if (!alert_live(device, ALERT_FIRMWARE_NOT_RELEASED)) {
    return;
  }
  if (s->known && device_release(context, device, s->hash) == 1) {
    alert_clear(context, device, ALERT_FIRMWARE_NOT_RELEASED, context_now(context), "the image was registered as a release");
  } else {
    device_wake(context, device, context_now(context) + LOOK_AGAIN_US);
  }
}

const struct detector detector_firmware = {.name = "firmware not released",
                                           .state_size = sizeof(struct firmware),
                                           .version = 1,
                                           .observe = firmware_observe,
                                           .advance = firmware_advance};
