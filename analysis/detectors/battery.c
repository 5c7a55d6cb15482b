// Battery: how much is left, by the metric that the registry names for the model (percent), and whether it lasts until somebody
// comes (the device's next visit; 30 days where nobody knows).
//
// The trend is a regression line with weights that fade over ten days, kept by its moments (West 1979, "Updating mean and
// variance estimates"; the line's error after Draper and Smith 1998, "Applied Regression Analysis", section 1.4). One reading an
// hour is taken, and six of them count as one: neighbours are alike, by the day's temperature and by whole percents. A reading
// far from the line moves it only a little. The alert comes when three days were seen (or one, and a fall of 10 points), and two
// standard errors above the line there is still nothing left at the visit. Below 10 % it comes at once.
//
// A rise by more than 10 points over the lowest since is a new battery, or charging: the line begins anew. Whoever is charged
// again and again, at least every ten days, is forecast only when a charge has not come for twice as long as usual.
#include "analysis/detectors/all.h"

#include <math.h>

enum { POINT_S = 3600, CHARGE_S = 6 * 3600, MAJOR = 1, HABIT = 2, ALIKE = 6 };
static const double day = 86400;
static const double memory_days = 10, habit_days = 10, horizon_days = 30;
static const double rise = 10, fall = 10, low_most = 10, above = 5; // points
static const double seen_days = 3, seen_fast_days = 1;
static const double variance_least = 0.09; // of whole percents: 1/12
static const double outlier_least = 5;     // points

struct battery {
  float weight, when, level; // of all readings; their means: days from the last one, percent
  float tt, tl, ll;          // sums of squares and products around the means
  float first, low, last;    // reading since it began anew; lowest since; the last
  float between;             // charges, days
  uint32_t last_at, began;   // seconds since 1970; 0: none
  uint32_t charged_at;       // the last rise; 0: none
  uint8_t charges;           // one after the other, as a habit
  uint8_t flags;
};
_Static_assert(sizeof(struct battery) <= 64, "a device's battery");

// --- the line

static double slope(const struct battery *b) { // points a day
  return b->tt > 0 ? (double)b->tl / (double)b->tt : 0;
}

static double at_days(const struct battery *b, double days) {
  return (double)b->level + slope(b) * (days - (double)b->when);
}

static double variance(const struct battery *b) {
  double rest = (double)b->ll - slope(b) * (double)b->tl;
  return fmax(rest / fmax((double)b->weight - 2, 1), variance_least);
}

static double error_at(const struct battery *b, double days) {
  double away = days - (double)b->when;
  return b->tt > 0 ? sqrt(ALIKE * variance(b) * (1 / (double)b->weight + away * away / (double)b->tt)) : INFINITY;
}

static void add_point(struct battery *b, double level, uint32_t at) {
  double passed = b->last_at > 0 ? (at - b->last_at) / day : 0;
  float keep = (float)exp(-passed / memory_days);
  b->when -= (float)passed;
  if (b->weight > 12) {
    double line = at_days(b, 0);
    double far = fmax(outlier_least, 4 * sqrt(variance(b)));
    level = fmin(fmax(level, line - far), line + far);
  }
  b->weight = b->weight * keep + 1;
  b->tt *= keep;
  b->tl *= keep;
  b->ll *= keep;
  float days = -b->when;
  float points = (float)level - b->level;
  b->when += days / b->weight;
  b->level += points / b->weight;
  b->tt += days * -b->when;
  b->tl += days * ((float)level - b->level);
  b->ll += points * ((float)level - b->level);
  b->last_at = at;
}

static void begin_anew(struct battery *b, double level, uint32_t at) {
  double days = (at - b->charged_at) / day;
  if (b->began != 0 && (b->charged_at == 0 || at - b->charged_at >= CHARGE_S)) {
    bool habit = b->charged_at != 0 && days <= habit_days;
    b->charges = habit ? (uint8_t)(b->charges < UINT8_MAX ? b->charges + 1 : UINT8_MAX) : 0;
    b->between = (float)fmax(days, habit && b->charges > 1 ? 0.75 * (double)b->between : 0);
  }
  *b = (struct battery){.first = (float)level,
                        .low = (float)level,
                        .began = at,
                        .charged_at = b->began != 0 ? at : 0,
                        .between = b->between,
                        .charges = b->charges,
                        .flags = b->flags};
}

// --- judging

static double visit_days(const struct device *device, int64_t now) {
  int64_t visit = device_next_visit(device);
  return visit > now ? seconds(visit - now) / day : horizon_days;
}

static bool is_judged(const struct battery *b, uint32_t at) {
  double seen = ((double)at - b->began) / day;
  bool charged = b->charges >= HABIT && ((double)at - b->charged_at) / day < 2 * (double)b->between + 1;
  return !charged && (seen >= seen_days || (seen >= seen_fast_days && (double)(b->first - b->last) >= fall));
}

static struct explanation explain(const struct battery *b, const struct observation *o, double visit) {
  bool line = b->tt > 0;
  return (struct explanation){
      .observed = json_pack("{s:f, s:f}", "level", o->level, "points_a_day", slope(b)),
      .expected = json_pack("{s:f, s:f, s:f}", "lasts_for_days", visit, "level_then", line ? at_days(b, visit) : o->level,
                            "standard_error", line ? error_at(b, visit) : 0.0),
      .baseline = json_pack("{s:s, s:f}", "of", "this device's own battery", "days", (b->last_at - b->began) / day),
      .report = o,
      .clears_when = "it is above 15 % and lasts until the next visit",
  };
}

static void tell_low(struct context *context, struct device *device, struct battery *b, const struct observation *o,
                     double visit) {
  if (alert_live(device, ALERT_BATTERY) && (b->flags & MAJOR)) {
    return;
  }
  alert_clear(context, device, ALERT_BATTERY, o->received, "it is below 10 % now, which is worse");
  b->flags |= MAJOR;
  alert_raise(context, device, ALERT_BATTERY, SEVERITY_MAJOR, o->received, explain(b, o, visit),
              "%s has %.0f %% of its battery left.", device_credential(device), o->level);
}

static void tell_forecast(struct context *context, struct device *device, struct battery *b, const struct observation *o,
                          double visit) {
  if (alert_live(device, ALERT_BATTERY) || at_days(b, visit) + 2 * error_at(b, visit) >= 0) {
    return;
  }
  b->flags &= (uint8_t)~MAJOR;
  alert_raise(
      context, device, ALERT_BATTERY, SEVERITY_WARNING, o->received, explain(b, o, visit),
      "%s has %.0f %% of its battery left and loses %.1f points a day: it is empty in %.0f days, and has to last for %.0f.",
      device_credential(device), o->level, -slope(b), -at_days(b, 0) / slope(b), visit);
}

static void judge(struct context *context, struct device *device, struct battery *b, const struct observation *o) {
  double visit = visit_days(device, o->received);
  bool judged = is_judged(b, (uint32_t)(o->received / 1000000));
  if (o->level < low_most) {
    tell_low(context, device, b, o, visit);
  } else if (judged) {
    tell_forecast(context, device, b, o, visit);
  }
  bool lasts = !judged || at_days(b, visit) >= above;
  if (o->level >= low_most + above && lasts) {
    alert_clear(context, device, ALERT_BATTERY, o->received, "there is enough left until the next visit");
  }
}

static void observe(struct context *context, struct device *device, void *state, const struct observation *o) {
  struct battery *b = state;
  const uint32_t at = (uint32_t)(o->received / 1000000);
  bool sane = o->level >= 0 && o->level <= 100;
  if (o->kind != OBSERVE_LEVEL || !(o->roles & ROLE_SUBJECT) || (o->marks & MARK_HISTORICAL) || !sane) {
    return;
  }
  if (b->began == 0 || o->level > (double)b->low + rise) {
    begin_anew(b, o->level, at);
  }
  b->low = fminf(b->low, (float)o->level);
  b->last = (float)o->level;
  if (b->last_at == 0 || at >= b->last_at + POINT_S) {
    add_point(b, o->level, at);
  }
  judge(context, device, b, o);
}

const struct detector detector_battery = {
    .name = "battery", .state_size = sizeof(struct battery), .version = 1, .observe = observe};
