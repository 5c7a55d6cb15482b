// Completeness: how many reports of each hour (UTC, event time) did not come, and what kept them. No alert, but rows in
// store.completeness, for devices that have shown a rhythm of half an hour at most.
//
// Expected is what the rhythm gives for the hour, from the moment the device was first heard and without the time that it was
// asleep or had said goodbye. The rhythm is the mean gap in its own complete hours (exponential over eight; over 48 in others),
// or its usual one (cadence.h) until there is one, and when that is half as long again. Holes in its numbering prove that there
// were more, and so do rejected and shed ones, up to a quarter above the rhythm. A report counts for the hour in which it was
// sent by the device's clock, less what that is usually behind, or in which it was received where the clock is not good.
//
// What is missing was first `rejected` or `shed`, as counted; then lost by the `network`, as the device's own numbering says;
// then kept by `us`, for the share of the hour of which we saw nothing; and the rest the `device` did not send. That rest has to
// be more than the scatter of its gaps explains: three standard deviations of a renewal process (Cox 1962, "Renewal Theory",
// section 3.3), and a tenth while it has no complete hour yet. Hours in which fewer than two or 2 % are missing have no row.
//
// An hour is closed two to three minutes after its end (or five after we were blind and see again), or sooner when a device that
// hands over a backlog is two hours ahead of it. What comes for it later is ignored: the row stays as it is. Hours more than a
// week after a device was last heard have none, and of a gap in event time only the last two days are told.
#include "analysis/detectors/all.h"
#include "analysis/detectors/connectivity.h"
#include "analysis/detectors/loss.h"
#include "vedette/v1/telemetry.pb-c.h"

#include <math.h>

enum {
  HOUR_S = 3600,
  CLOSE_S = 120,
  SPREAD_S = 60,
  SLOWEST_S = 1800,
  RETRY_S = 5,
  AFTER_BLIND_S = 300,
  TOLD_H = 48,
  GONE_H = 168,
  LEARN = 8,
  LEARN_INCOMPLETE = 48,
};
static const int64_t second = 1000000;
static const double share_least = 0.02, missing_least = 2;
static const double beyond_rhythm = 1.25; // rejected and shed ones count up to here
static const double slower = 1.5;         // times the usual gap: it has another rhythm now
static const double young = 0.1, deviations = 3;
static const double deviation_of_mean =
    1.5; // standard deviation by mean difference: 1.25 of a normal one, 1.6 of an exponential one, cut

// Of the hour [0] and of the one after it [1], up to when the first one is closed.
struct completeness {
  uint32_t hour; // since 1970; 0: nothing was heard yet
  uint32_t received[2];
  float usual;         // mean gap in complete hours, seconds; 0: there was none
  uint32_t away_since; // asleep or after a goodbye, seconds since 1970; 0: it is not
  uint16_t holes[2];   // of struct loss when it began; differences tell
  uint16_t rejected[2], shed[2];
  uint16_t away[2];                     // seconds
  uint16_t from : 12, second_begun : 1; // second of the hour in which it was first heard; the hour after it has begun
};
_Static_assert(sizeof(struct completeness) <= 40, "a device's completeness");

static int64_t begin_of(uint32_t hour) {
  return (int64_t)hour * HOUR_S * second;
}

// Not all at once.
static int64_t close_at(const struct device *device, const struct completeness *c) {
  return begin_of(c->hour + 1) + (CLOSE_S + device_id(device) % SPREAD_S) * second;
}

static const struct connectivity *connectivity_of(struct device *device) {
  return device_state_of(device, &detector_connectivity);
}

static uint16_t holes_of(struct device *device) {
  return (uint16_t)((const struct loss *)device_state_of(device, &detector_loss))->holes;
}

static uint16_t plus(uint16_t a, int64_t b) {
  return (uint16_t)(a + b > UINT16_MAX ? UINT16_MAX : a + b);
}

static bool has_rhythm(const struct connectivity *known) {
  return cadence_is_known(&known->reports) && !known->reports.changing && known->reports.usual > 0 &&
         known->reports.usual <= SLOWEST_S;
}

// --- what was expected and what is missing

struct sums {
  double rhythm, expected, received;
  double rejected, shed, network, us, device; // missing, by what kept them
};

static double take(double *rest, double most) {
  double taken = fmax(fmin(floor(most + 0.5), *rest), 0);
  *rest -= taken;
  return taken;
}

// By how much the number of gaps in the hour varies.
static double scatter(const struct connectivity *known, double rhythm) {
  double varies = deviation_of_mean * (double)known->reports.spread / (double)known->reports.usual;
  return deviations * varies * sqrt(rhythm);
}

// An outage lengthens the usual gap of the cadence for a while, and a complete hour's not at all.
static double usual_gap(const struct completeness *c, const struct connectivity *known) {
  double usual = (double)known->reports.usual;
  return c->usual > 0 && usual < slower * (double)c->usual ? (double)c->usual : usual;
}

static struct sums sum_up(const struct context *context, const struct completeness *c, const struct connectivity *known) {
  const double span = fmax(HOUR_S - c->from - c->away[0], 0);
  const double network = fmax((int16_t)(c->holes[1] - c->holes[0]), 0);
  struct sums s = {.received = c->received[0]};
  s.rhythm = floor(span / usual_gap(c, known) + 0.5);
  double refused = fmax(fmin(c->rejected[0] + c->shed[0], beyond_rhythm * s.rhythm - s.received), 0);
  s.expected = fmax(s.rhythm, s.received + network + floor(refused));
  double rest = fmax(s.expected - s.received, 0);
  double unseen = seconds(context_seeing_since(context) - begin_of(c->hour)) - c->from;
  s.rejected = take(&rest, c->rejected[0]);
  s.shed = take(&rest, c->shed[0]);
  s.network = take(&rest, network);
  s.us = take(&rest, span > 0 ? ceil(s.expected * fmin(fmax(unseen, 0) / span, 1)) : 0);
  s.device = rest > scatter(known, s.rhythm) + (c->usual > 0 ? 0 : young * s.rhythm) ? rest : 0;
  return s;
}

static void note(struct context *context, struct device *device, int64_t hour, const char *reason, double missing,
                 const struct sums *s) {
  if (missing > 0) {
    completeness_note(context, device, hour, reason,
                      (struct completeness_counts){
                          .missing = (int32_t)missing, .expected = (int32_t)s->expected, .received = (int32_t)s->received});
  }
}

static void learn(struct completeness *c, const struct sums *s, bool complete) {
  double span = HOUR_S - c->from - c->away[0];
  double sent = s->received + s->rejected + s->shed + s->network;
  if (span < SLOWEST_S || c->received[0] == 0 || (!complete && c->usual <= 0)) {
    return;
  }
  double gap = span / sent;
  double usual = (double)c->usual;
  double apart = fmin(gap, 2 * usual) - usual;
  c->usual = (float)(usual > 0 ? usual + apart / (complete ? LEARN : LEARN_INCOMPLETE) : gap);
}

static void judge(struct context *context, struct device *device, struct completeness *c) {
  const struct connectivity *known = connectivity_of(device);
  const int64_t hour = begin_of(c->hour);
  if (!has_rhythm(known) || hour - known->heard > (int64_t)GONE_H * HOUR_S * second) {
    c->usual = 0;
    return;
  }
  struct sums s = sum_up(context, c, known);
  double missing = s.rejected + s.shed + s.network + s.us + s.device;
  if (missing < fmax(missing_least, share_least * s.expected)) {
    learn(c, &s, true);
    return;
  }
  learn(c, &s, false); // if it stays so, it is its rhythm
  note(context, device, hour, "rejected", s.rejected, &s);
  note(context, device, hour, "shed", s.shed, &s);
  note(context, device, hour, "network", s.network, &s);
  note(context, device, hour, "us", s.us, &s);
  note(context, device, hour, "device", s.device, &s);
}

// --- hours pass

// The hour after the first one begins: what goes on is split. `at`: seconds.
static void begin_second(struct device *device, struct completeness *c, uint32_t at) {
  const uint32_t boundary = (c->hour + 1) * HOUR_S;
  if (c->second_begun || at < boundary) {
    return;
  }
  c->second_begun = 1;
  c->holes[1] = holes_of(device);
  if (c->away_since != 0 && c->away_since < boundary) {
    c->away[0] = plus(c->away[0], boundary - c->away_since);
    c->away_since = boundary;
  }
}

static void close_hour(struct context *context, struct device *device, struct completeness *c, uint32_t at) {
  begin_second(device, c, (c->hour + 1) * HOUR_S);
  judge(context, device, c);
  c->hour++;
  c->received[0] = c->received[1];
  c->rejected[0] = c->rejected[1];
  c->shed[0] = c->shed[1];
  c->away[0] = c->away[1];
  c->holes[0] = c->holes[1];
  c->received[1] = 0;
  c->rejected[1] = c->shed[1] = c->away[1] = 0;
  c->from = 0;
  c->second_begun = 0;
  begin_second(device, c, at);
}

// Closes what is over. False while that has to wait, for what comes late because we were blind.
static bool catch_up(struct context *context, struct device *device, struct completeness *c, int64_t now) {
  const uint32_t at = (uint32_t)(now / second);
  begin_second(device, c, at);
  if (at / HOUR_S > c->hour + TOLD_H) { // nothing is known of the hours between
    *c = (struct completeness){
        .hour = at / HOUR_S - TOLD_H, .usual = c->usual, .away_since = c->away_since, .holes = {holes_of(device)}};
    begin_second(device, c, at);
  }
  int64_t seen = context_seeing_since(context);
  bool waits = context_recovering(context) || (begin_of(c->hour) < seen && now < seen + AFTER_BLIND_S * second);
  if (now >= close_at(device, c) && waits) {
    return false;
  }
  while (now >= close_at(device, c)) {
    close_hour(context, device, c, at);
  }
  return true;
}

static void wake(struct context *context, struct device *device, const struct completeness *c) {
  if (has_rhythm(connectivity_of(device))) {
    device_wake(context, device, close_at(device, c));
  }
}

static void advance(struct context *context, struct device *device, void *state) {
  struct completeness *c = state;
  if (c->hour == 0) {
    return;
  }
  if (catch_up(context, device, c, context_now(context))) {
    wake(context, device, c);
  } else {
    device_wake(context, device, context_now(context) + RETRY_S * second);
  }
}

// --- what comes

static void note_away(struct completeness *c, const struct connectivity *known, uint32_t at) {
  bool away = known->base == ASLEEP || known->base == OFFLINE;
  if (away && c->away_since == 0) {
    c->away_since = at;
  } else if (!away && c->away_since != 0) {
    uint16_t *spent = &c->away[at / HOUR_S > c->hour];
    *spent = plus(*spent, at > c->away_since ? at - c->away_since : 0);
    c->away_since = 0;
  }
}

// The hour in which it was sent.
static uint32_t hour_of(const struct connectivity *known, const struct observation *o) {
  bool good = o->time > 0 && !(o->marks & (MARK_NO_CLOCK | MARK_AHEAD | MARK_BEHIND));
  int64_t sent = good ? o->time + (int64_t)((double)known->behind * 1e6) : o->received;
  return (uint32_t)((sent < o->received ? sent : o->received) / second / HOUR_S);
}

static void count_report(struct context *context, struct device *device, struct completeness *c, const struct observation *o) {
  const uint32_t hour = hour_of(connectivity_of(device), o);
  while (hour > c->hour + 1) {
    close_hour(context, device, c, (uint32_t)(o->received / second)); // what it kept comes in order
  }
  if (hour >= c->hour) {
    c->received[hour - c->hour]++;
  }
}

static void begin(struct context *context, struct device *device, struct completeness *c, const struct observation *o) {
  const uint32_t at = (uint32_t)(o->received / second);
  *c = (struct completeness){.hour = at / HOUR_S, .from = (at % HOUR_S) & 0xfff, .holes = {holes_of(device)}};
  wake(context, device, c);
}

// Before `loss` in the order of detectors: a hole counts for the hour in which it is found.
static void observe(struct context *context, struct device *device, void *state, const struct observation *o) {
  struct completeness *c = state;
  bool replayed = (o->marks & MARK_HISTORICAL) != 0;
  if (c->hour == 0 && (o->kind != OBSERVE_REPORT || replayed)) {
    return;
  }
  if (c->hour == 0) {
    begin(context, device, c, o);
  }
  catch_up(context, device, c, o->received);
  note_away(c, connectivity_of(device), (uint32_t)(o->received / second));
  size_t now = o->received >= begin_of(c->hour + 1);
  if (o->kind == OBSERVE_REPORT) {
    count_report(context, device, c, o);
  } else if (o->kind == OBSERVE_UNKEPT && o->code == VEDETTE__V1__REASON__REASON_SHED) {
    c->shed[now] = plus(c->shed[now], o->count);
  } else if (o->kind == OBSERVE_UNKEPT || (o->kind == OBSERVE_DEAD_LETTER && !replayed)) {
    c->rejected[now] = plus(c->rejected[now], o->count);
  }
}

const struct detector detector_completeness = {
    .name = "completeness", .state_size = sizeof(struct completeness), .version = 1, .observe = observe, .advance = advance};
