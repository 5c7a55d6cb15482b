// A device's clock that is bad, jumps or drifts: one alert, which says which of them.
//
// Bad is what ingest marks (ahead of ours by more than 300 s, behind by more than seven days, no time at all from a device that
// had one in this boot), on three reports in a row, or on two that are a minute apart.
//
// Jumps and drift are seen in device time less receipt. A report can only be late, never early, so of each window (ten minutes
// and ten reports at least) the largest difference tells best: the minimum filter of clock synchronisation (Paxson 1998, "On
// calibrating measurements of packet transit times"). A jump forward by more than 60 s is evident at once, since no delay looks
// like it. One backward looks like delay: it is believed when a whole window was later by that much, and equally late all the
// time; a backlog that is being handed over is not, it becomes less late. What is received while we recover from having been
// blind, and within a quarter of an hour of it, is not measured. A clock that is set right, to within 60 s of ours, is no jump.
// Drift is the change from day to day: more than 100 ppm, once the clock is wrong by more than 30 s.
//
// Only what a device reports of itself is looked at: whose clock a gateway's reports for its children show, nobody knows.
#include "analysis/detectors/all.h"
#include "analysis/detectors/numbering.h"

#include <math.h>

enum {
  IN_A_ROW = 3,
  BAD_S = 60,
  GOOD_S = 600,
  WINDOW_S = 600,
  WINDOW_REPORTS = 10,
  SETTLED_S = 3600,
  DAY_S = 86400,
  AFTER_BLIND_S = 900
};
enum reason { NONE, BAD, JUMPED, DRIFTING };
static const int64_t second = 1000000;
static const double jump = 60;          // seconds
static const double drift_most = 100;   // microseconds a second
static const double drifted_least = 30; // seconds

struct own_clock {
  float base;          // device time less ours, seconds
  float before;        // likewise, before it jumped
  float most, least;   // of the window
  float anchor, drift; // `base` when drift was measured last; microseconds a second
  // Seconds since 1970.
  uint32_t window_at, anchor_at, jumped_at; // `window_at` 0: none is open
  uint32_t since, since_time;               // receipt and device time of the first report of the row, see `row`
  uint32_t boot : 16;                       // a hash
  uint32_t reports : 4;                     // in the window, up to 15
  uint32_t row : 4;                         // reports in a row that are as `bad` says, likewise
  uint32_t bad : 1;
  uint32_t had : 1;   // it had a clock in this boot
  uint32_t known : 1; // `base` is
  uint32_t reason : 2;
};
_Static_assert(sizeof(struct own_clock) <= 48, "a device's clock");

static uint32_t whole_seconds(int64_t us) {
  return (uint32_t)(us / second);
}

static uint32_t passed(uint32_t since, uint32_t at) {
  return at > since ? at - since : 0; // workers' batches may come in another order than their messages
}

static double offset_of(const struct observation *o) {
  return -seconds(o->received - o->time);
}

static bool is_drifting(const struct own_clock *c) {
  return fabs((double)c->drift) > drift_most && fabs((double)c->base) > drifted_least;
}

// --- raise and clear

static struct explanation explain(const struct own_clock *c, const struct observation *o, const char *what) {
  return (struct explanation){
      .observed =
          json_pack("{s:s, s:f, s:f}", "clock", what, "offset_s", o->time > 0 ? offset_of(o) : 0, "drift_ppm", (double)c->drift),
      .expected = json_pack("{s:f, s:f}", "offset_s", (double)c->base, "jump_below_s", jump),
      .baseline = json_pack("{s:s, s:i}", "of",
                            c->known ? "this device's own clock, the least delayed report of each window" : "our clock",
                            "window_s", WINDOW_S),
      .report = o,
      .clears_when = "its clock has been good for ten minutes; after a jump, when it is back or an hour has passed",
  };
}

static void raise_bad(struct context *context, struct device *device, struct own_clock *c, const struct observation *o) {
  const char *name = device_credential(device);
  c->reason = BAD;
  if (o->marks & MARK_NO_CLOCK) {
    alert_raise(context, device, ALERT_CLOCK, SEVERITY_WARNING, o->received, explain(c, o, "none"),
                "%s reports without a valid time, and had one before.", name);
    return;
  }
  bool ahead = (o->marks & MARK_AHEAD) != 0;
  alert_raise(context, device, ALERT_CLOCK, SEVERITY_WARNING, o->received, explain(c, o, ahead ? "ahead" : "behind"),
              "The clock of %s is bad: it is %.0f s %s.", name, fabs(offset_of(o)), ahead ? "ahead" : "behind");
}

static void raise_jump(struct context *context, struct device *device, struct own_clock *c, const struct observation *o) {
  double by = (double)c->base - (double)c->before;
  c->reason = JUMPED;
  alert_raise(context, device, ALERT_CLOCK, SEVERITY_WARNING, o->received, explain(c, o, "jumped"),
              "The clock of %s jumped %s by %.0f s: it is %.0f s %s ours now.", device_credential(device),
              by > 0 ? "forward" : "backward", fabs(by), fabs((double)c->base), c->base > 0 ? "ahead of" : "behind");
}

static void raise_drift(struct context *context, struct device *device, struct own_clock *c, const struct observation *o) {
  c->reason = DRIFTING;
  alert_raise(context, device, ALERT_CLOCK, SEVERITY_WARNING, o->received, explain(c, o, "drifting"),
              "The clock of %s drifts by %.0f microseconds a second, %.1f s a day: it is %.0f s %s ours now.",
              device_credential(device), (double)c->drift, (double)c->drift * DAY_S / 1e6, fabs((double)c->base),
              c->base > 0 ? "ahead of" : "behind");
}

static bool is_over(const struct own_clock *c, uint32_t at) {
  switch ((enum reason)c->reason) {
  case JUMPED: return fabs((double)c->base - (double)c->before) <= jump || passed(c->jumped_at, at) >= SETTLED_S;
  case DRIFTING: return !is_drifting(c);
  default: return true;
  }
}

static void consider_clear(struct context *context, struct device *device, struct own_clock *c, int64_t received) {
  uint32_t at = whole_seconds(received);
  if (alert_live(device, ALERT_CLOCK) && !c->bad && c->row >= IN_A_ROW && passed(c->since, at) >= GOOD_S && is_over(c, at)) {
    static const char *const why[] = {"its clock is good again", "its clock is good again",
                                      "its clock is back, or has kept its new time", "its clock drifts no more"};
    alert_clear(context, device, ALERT_CLOCK, received, why[c->reason]);
    c->reason = NONE;
  }
}

// --- what ingest marks

static void begin_row(struct own_clock *c, const struct observation *o, bool bad) {
  c->bad = bad;
  c->row = 1;
  c->since = whole_seconds(o->received);
  c->since_time = whole_seconds(o->time);
}

// Time by the device runs faster than ours: it hands over what it kept.
static bool is_backlog(const struct context *context, const struct own_clock *c, const struct observation *o) {
  double theirs = seconds(o->time) - c->since_time;
  double ours = seconds(o->received) - c->since;
  return o->received < context_seeing_since(context) + AFTER_BLIND_S * second || theirs > 1.5 * ours + 5;
}

static void count_row(struct context *context, struct device *device, struct own_clock *c, const struct observation *o,
                      bool bad) {
  if (c->row == 0 || c->bad != bad) {
    begin_row(c, o, bad);
  } else if (c->row < 15) {
    c->row++;
  }
  bool enough = c->row >= IN_A_ROW || (c->row > 1 && passed(c->since, whole_seconds(o->received)) >= BAD_S);
  bool late = (o->marks & MARK_BEHIND) && is_backlog(context, c, o);
  if (bad && enough && !late && !alert_live(device, ALERT_CLOCK)) {
    raise_bad(context, device, c, o);
  }
}

// --- jumps and drift

static void set_base(struct own_clock *c, double base, uint32_t at) {
  c->base = c->anchor = (float)base;
  c->anchor_at = at;
  c->drift = 0;
  c->known = true;
  c->window_at = 0;
}

static void take_jump(struct context *context, struct device *device, struct own_clock *c, const struct observation *o,
                      double to) {
  uint32_t at = whole_seconds(o->received);
  bool live = alert_live(device, ALERT_CLOCK);
  bool right = fabs(to) <= jump && fabs((double)c->base) > jump;
  c->before = right ? (float)to : live && c->reason == JUMPED ? c->before : c->base;
  c->jumped_at = at;
  set_base(c, to, at);
  begin_row(c, o, false);
  if (!right && !live) {
    raise_jump(context, device, c, o);
  }
}

static void close_window(struct context *context, struct device *device, struct own_clock *c, const struct observation *o) {
  uint32_t at = whole_seconds(o->received);
  double most = (double)c->most;
  c->window_at = 0;
  if (!c->known) {
    set_base(c, most, at);
    return;
  }
  if (most < (double)c->base - jump) {
    if (most - (double)c->least <= jump) {
      take_jump(context, device, c, o, most);
    }
    return;
  }
  c->base = c->most;
  if (passed(c->anchor_at, at) >= DAY_S) {
    c->drift = (float)((most - (double)c->anchor) / (at - c->anchor_at) * 1e6);
    c->anchor = c->most;
    c->anchor_at = at;
    if (is_drifting(c) && !alert_live(device, ALERT_CLOCK)) {
      raise_drift(context, device, c, o);
    }
  }
}

static void measure(struct context *context, struct device *device, struct own_clock *c, const struct observation *o) {
  const uint32_t at = whole_seconds(o->received);
  const float offset = (float)offset_of(o);
  if (context_recovering(context) || o->received < context_seeing_since(context) + AFTER_BLIND_S * second) {
    return;
  }
  if (c->known && (double)offset > (double)c->base + jump) {
    take_jump(context, device, c, o, (double)offset);
    return;
  }
  if (c->window_at == 0) {
    c->window_at = at;
    c->most = c->least = offset;
    c->reports = 0;
  }
  c->most = fmaxf(c->most, offset);
  c->least = fminf(c->least, offset);
  c->reports = c->reports < 15 ? c->reports + 1U : 15U;
  if (c->reports >= WINDOW_REPORTS && passed(c->window_at, at) >= WINDOW_S) {
    close_window(context, device, c, o);
  }
}

static void observe(struct context *context, struct device *device, void *state, const struct observation *o) {
  struct own_clock *c = state;
  if (o->kind != OBSERVE_REPORT || o->publisher != o->device || (o->marks & MARK_HISTORICAL)) {
    return;
  }
  uint32_t boot = numbering_hash(o->boot) & UINT16_MAX;
  if (boot != c->boot) {
    c->boot = boot & UINT16_MAX;
    c->had = false; // without a battery of its own it has none until it asked for the time
  }
  bool bad = o->marks & (MARK_AHEAD | MARK_BEHIND | MARK_NO_CLOCK);
  if ((o->marks & MARK_NO_CLOCK) && !c->had) {
    return;
  }
  count_row(context, device, c, o, bad);
  if (!bad) {
    c->had = true;
    measure(context, device, c, o);
    consider_clear(context, device, c, o->received);
  }
}

const struct detector detector_clock = {
    .name = "clock", .state_size = sizeof(struct own_clock), .version = 1, .observe = observe};
