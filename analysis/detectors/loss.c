// Partial loss: holes in a publisher's own numbering. It alone knows how many it sent; what was rejected or shed was received,
// and is no loss. Numbers count after we were blind too: the broker or the device kept what was sent, or it is lost.
//
// Lost and sent are counted in windows of an hour and compared with the publisher's own usual share (an exponential mean over a
// day of windows). A window is bad when at least 20 are lost, at least 5 % of those sent, and chance explains it no more: by the
// normal approximation of the binomial distribution with its correction for continuity (Feller 1968, "An Introduction to
// Probability Theory and Its Applications", volume 1, chapter VII; as in the p-chart of Shewhart 1931) it is more than six
// standard deviations above the usual. Bad windows are learned only when there were three days of nothing else: losses come in
// bursts, and what is learned of one would hide the next. A quarter lost within the first part of a window is told before its
// end, half a minute later, so that what was only overtaken on its way fills its hole.
#include "analysis/detectors/loss.h"

#include "analysis/detectors/all.h"

#include <math.h>

enum {
  WINDOW_S = 3600,
  OVERTAKEN_S = 30,
  RETRY_S = 5,
  LOST_LEAST = 20,
  GROSS_LEAST = 40,
  SENT_LEARNED = 20,
  DAY = 24,
  ADOPTED = 72
};
static const int64_t second = 1000000;
static const double share_least = 0.05, share_gross = 0.25;
static const double deviations = 6;
static const double usual_least = 0.002; // nobody is taken to lose none at all

static int64_t window_end(const struct loss *l) {
  return ((int64_t)l->began + WINDOW_S) * second;
}

static bool is_improbable(const struct loss *l) {
  const double p = fmin(fmax((double)l->usual, usual_least), 0.99);
  const double n = l->sent;
  return l->lost - 0.5 - n * p >= deviations * sqrt(n * p * (1 - p));
}

static bool is_bad(const struct loss *l) {
  return l->lost >= LOST_LEAST && l->lost >= share_least * l->sent && is_improbable(l);
}

static bool is_gross(const struct context *context, const struct loss *l) {
  bool seen = context_seeing_since(context) / second <= l->began;
  return seen && l->lost >= GROSS_LEAST && l->lost >= share_gross * l->sent && is_improbable(l);
}

static void raise(struct context *context, struct device *device, const struct loss *l, int64_t at) {
  double took = seconds(at - (int64_t)l->began * second);
  struct explanation explanation = {
      .observed = json_pack("{s:i, s:I, s:f}", "lost", (int)l->lost, "sent", (json_int_t)l->sent, "within_s", took),
      .expected = json_pack("{s:f, s:f}", "lost", (double)l->usual * l->sent, "share", (double)l->usual),
      .baseline = json_pack("{s:s, s:i, s:i}", "of", "this device's own hours", "windows", (int)l->windows, "window_s", WINDOW_S),
      .clears_when = "two windows in a row have no more than usual lost",
  };
  alert_raise(context, device, ALERT_PARTIAL_LOSS, SEVERITY_WARNING, at, explanation,
              "%s sent %u reports within %.0f s by its own count, and %d of them never came; its usual share is %.1f %%.",
              device_credential(device), l->sent, took, (int)l->lost, 100 * (double)l->usual);
}

static void learn(struct loss *l, bool bad) {
  if (l->sent < SENT_LEARNED || (bad && l->row < ADOPTED)) {
    return;
  }
  l->windows = l->windows < DAY ? (uint8_t)(l->windows + 1) : DAY;
  l->usual += ((float)fmax(l->lost, 0) / (float)l->sent - l->usual) / (float)l->windows;
}

static void close_window(struct context *context, struct device *device, struct loss *l, int64_t at) {
  bool bad = is_bad(l);
  int after = bad ? (l->row > 0 ? l->row : 0) + 1 : (l->row < 0 ? l->row : 0) - 1;
  l->row = (int8_t)(after > INT8_MAX ? INT8_MAX : after < -INT8_MAX ? -INT8_MAX : after);
  if (bad) {
    raise(context, device, l, at);
  } else if (l->row <= -2) {
    alert_clear(context, device, ALERT_PARTIAL_LOSS, at, "no more than usual was lost in two windows");
  }
  learn(l, bad);
  // What was shed just now makes its hole in the next window. It may have had no number, so this is soon forgotten.
  l->lost = l->lost < 0 ? l->lost / 2 : 0;
  l->sent = 0;
  l->gross_s = 0;
  l->began = 0;
}

static void count(struct context *context, struct device *device, struct loss *l, struct numbering_step step, int64_t at) {
  if (step.sent == 0 && step.holes == 0) {
    return;
  }
  if (l->began == 0) {
    l->began = (uint32_t)(at / second);
    device_wake(context, device, window_end(l));
  }
  l->holes += (uint32_t)step.holes;
  l->sent += (uint32_t)step.sent;
  if (step.holes > 0 || l->lost > 0) { // one that is late may be missing in a window that is over
    l->lost += step.holes;
  }
  if (l->gross_s == 0 && step.holes > 0 && is_gross(context, l) && !alert_live(device, ALERT_PARTIAL_LOSS)) {
    int64_t into = at / second - l->began;
    l->gross_s = (uint16_t)(into < 1 ? 1 : into < WINDOW_S ? into : WINDOW_S);
    device_wake(context, device, ((int64_t)l->began + l->gross_s + OVERTAKEN_S) * second);
  }
}

static void receive_unnumbered(struct loss *l, int32_t messages) {
  if (l->numbering.boot != 0) {
    l->lost = l->lost > -INT32_MAX / 4 ? l->lost - messages : l->lost;
    l->holes -= (uint32_t)messages;
  }
}

static void observe(struct context *context, struct device *device, void *state, const struct observation *o) {
  struct loss *l = state;
  bool report = o->kind == OBSERVE_REPORT && !(o->marks & MARK_NO_SEQUENCE);
  bool letter = o->kind == OBSERVE_DEAD_LETTER && !(o->marks & MARK_HISTORICAL); // a replayed one was counted when it came
  if (!(o->roles & ROLE_PUBLISHER)) {
    return;
  }
  if (l->began != 0 && o->received >= window_end(l) && !context_recovering(context)) {
    close_window(context, device, l, window_end(l));
  }
  if (report || (letter && o->sequence > 0)) {
    count(context, device, l, numbering_take(&l->numbering, o), o->received);
  } else if (letter || o->kind == OBSERVE_UNKEPT) {
    receive_unnumbered(l, letter ? 1 : o->count);
  }
}

static void advance(struct context *context, struct device *device, void *state) {
  struct loss *l = state;
  const int64_t now = context_now(context);
  if (l->began == 0) {
    return;
  }
  if (now >= window_end(l) && !context_recovering(context)) {
    close_window(context, device, l, now);
    return;
  }
  int64_t due = now >= window_end(l) ? now + RETRY_S * second : window_end(l);
  int64_t gross_at = ((int64_t)l->began + l->gross_s + OVERTAKEN_S) * second;
  if (l->gross_s != 0 && now >= gross_at) {
    l->gross_s = 0;
    if (is_gross(context, l) && !context_recovering(context)) {
      raise(context, device, l, now);
    }
  } else if (l->gross_s != 0) {
    due = gross_at < due ? gross_at : due;
  }
  device_wake(context, device, due);
}

const struct detector detector_loss = {
    .name = "partial loss", .state_size = sizeof(struct loss), .version = 1, .observe = observe, .advance = advance};
