#include "analysis/series/series.h"

#include "analysis/series/kind.h"
#include "analysis/series/tail.h"

#include <math.h>
#include <string.h>

enum {
  STEP_S = 300,
  WARM_STEPS = 50, // before anything is said
  GENERATION_STEPS = 875,
  NEWS_HALVES = 2000,
  BEHIND_MOST = 16,
  DAY_STEPS = 86400 / STEP_S,
  REMEMBERED_STEPS = NOVELTY_GENERATIONS * GENERATION_STEPS,
  ALIKE_A_DAY = 10 // values of a day that are not like their neighbours
};
static const double largest = 1e36; // values beyond are taken as this: floats hold it
static const int64_t second = 1000000;
static const int64_t day_s = 86400;
static const double floor_of_views = 0.002; // below this nothing is told apart
static const double of_news = 0.15;         // what each news takes off the next
static const double threshold = 0.0036;     // from which on it is an alert: scores are scaled to it
static const double told_by_value = 0.05;   // so far from all values the time of day says no more
static const double activity_score = 0.75;
static const double most_away = 1;        // farther away is not more
static const double gross = 0.99;         // what is said of a series in its first day
static const double few_grains = 16;      // over a range of no more than so many steps, one more is nothing new
static const double constant_share = 0.1; // a constant may change by so much …
static const double constant_whole = 2;   // … and an integer by so much, without being unusual
static const double constant_range = 0.5; // of its value: what a change of a constant is measured by

void series_init(struct series *s, int counter) {
  memset(s, 0, sizeof *s);
  s->version = SERIES_VERSION;
  s->counter = counter > 0 ? 2 : counter < 0 ? 3 : 0;
  s->grain = INFINITY;
  s->whole = true;
  activity_init(&s->activity);
}

// What was learned is of another quantity: all but the kind is forgotten.
static void begin_anew(struct series *s, uint8_t counter) {
  struct series anew;
  series_init(&anew, 0);
  anew.counter = counter;
  anew.last = s->last;
  anew.time = s->time;
  anew.began = s->began;
  anew.whole = s->whole;
  *s = anew;
}

// Of a counter the rate, a second, since the sample before; NAN where it begins anew: nobody knows how far it had come.
static double looked_at(const struct series *s, double value, double gap_s) {
  if (!kind_is_counter(s)) {
    return value;
  }
  return s->began == 0 || value < s->last ? NAN : (value - s->last) / gap_s;
}

// Of a step, that a sample stands for that came `gap_s` after the one before; and whether with it a step is over.
static double pass_time(struct series *s, double gap_s, bool *closed) {
  double share = gap_s < STEP_S ? gap_s / STEP_S : 1;
  s->progress += (float)share;
  *closed = s->progress >= 1;
  if (*closed) {
    s->progress -= 1;
    s->steps++;
  }
  return share;
}

// What a change is measured by at least, and what of it is none.
static void set_floors(const struct series *s, double *least, double *ignored) {
  if (isinf(s->grain)) {
    double level = fabs(s->looked);
    *least = fmax(constant_range * level, s->whole ? constant_whole : 0);
    *ignored = fmax(constant_share * level, s->whole ? constant_whole : 0);
    return;
  }
  *least = 0;
  *ignored = novelty_range(&s->views[SERIES_VALUE]) <= few_grains * s->grain ? s->grain : 0;
}

// How far a value lies from what its view knows, as a share of the known range.
static double away_of(const struct series *s, enum series_cause view, double y) {
  double least;
  double ignored;
  double distance = novelty_distance(&s->views[view], y);
  if (distance == 0) {
    return 0;
  }
  set_floors(s, &least, &ignored);
  return distance > ignored ? (distance - ignored) / fmax(novelty_range(&s->views[view]), least) : 0;
}

// The view's largest of the last samples.
static double hold(struct series *s, int view, double away) {
  float *held = s->held[view];
  float most = 0;
  held[s->samples % SERIES_HELD] = away < most_away ? (float)away : (float)most_away;
  for (int i = 0; i < SERIES_HELD; i++) {
    most = held[i] > most ? held[i] : most;
  }
  return (double)most;
}

// Values of which the view's range is: of a sparse series those that are not zero. Those of the time of the day are of as many
// days, and neighbours are alike.
static double seen_by(const struct series *s, enum series_cause view) {
  double steps = fmin(s->steps, REMEMBERED_STEPS);
  steps *= kind_is_sparse(s) ? 1 - (double)s->zeros : 1;
  return view == SERIES_VALUE ? steps : steps * ALIKE_A_DAY / DAY_STEPS;
}

// A constant changes for the first time with the chance of one in as many as were seen; how much is known of others only.
static double chance_of(const struct series *s, enum series_cause view, double y, double away) {
  if (isinf(s->grain)) {
    return 1 / (seen_by(s, SERIES_VALUE) + 1) / (1 + away);
  }
  struct novelty_band band = novelty_band(&s->views[view]);
  double often = kind_is_sparse(s) ? 1 - (double)s->zeros : 1; // it is not zero
  double typical = view == SERIES_VALUE ? s->activity.mean / often : 0;
  typical = fmin(fmax(typical, band.low), band.high);
  double side = y > typical ? typical - band.low : band.high - typical;
  double extent = side > 0 ? (band.high - band.low) / side : INFINITY;
  return SERIES_VIEWS * often * tail_chance(seen_by(s, view), extent, away);
}

// What is said of a sample that is new in some view, before it is known.
static void explain(const struct series *s, const double y[SERIES_VIEWS], const double away[SERIES_VIEWS],
                    struct series_finding *finding) {
  bool of_day = away[SERIES_VALUE] < told_by_value && away[SERIES_TIME_OF_DAY] > away[SERIES_VALUE];
  double usual = y[SERIES_VALUE] - y[SERIES_TIME_OF_DAY];
  struct novelty_band now = novelty_band(&s->views[SERIES_TIME_OF_DAY]);
  finding->cause = of_day ? SERIES_TIME_OF_DAY : SERIES_VALUE;
  finding->band = of_day ? (struct novelty_band){usual + now.low, usual + now.high} : novelty_band(&s->views[SERIES_VALUE]);
  for (int view = 0; view < SERIES_VIEWS; view++) {
    if (away[view] > 0) {
      finding->chance = fmin(finding->chance, chance_of(s, (enum series_cause)view, y[view], away[view]));
    }
  }
}

// How new the sample is in all views together.
static double look(struct series *s, const double y[SERIES_VIEWS], bool warm, struct series_finding *finding) {
  double away[SERIES_VIEWS] = {0};
  double product = 1;
  bool news = false;
  for (int view = 0; view < SERIES_VIEWS; view++) {
    away[view] = warm ? away_of(s, (enum series_cause)view, y[view]) : 0;
    news = news || away[view] > 0;
    product *= hold(s, view, away[view]) + floor_of_views;
  }
  if (news) {
    explain(s, y, away, finding);
  }
  for (int view = 0; view < SERIES_VIEWS; view++) {
    novelty_learn(&s->views[view], y[view]);
  }
  return sqrt(product);
}

static void age(struct series *s) {
  if (++s->generation < GENERATION_STEPS) {
    return;
  }
  s->generation = 0;
  s->ages++;
  for (int view = 0; view < SERIES_VIEWS; view++) {
    novelty_age(&s->views[view], s->ages % NOVELTY_ERA == 0);
  }
}

// Whether it is worse than all of the last blocks; it is one of them from now on.
static bool is_worst(struct series *s, double newness, bool closed) {
  bool worst = true;
  for (int i = 0; i < SERIES_BLOCKS; i++) {
    worst = worst && (float)newness > s->worst[i];
  }
  if (closed && ++s->block_steps >= SERIES_BLOCK_STEPS) {
    s->block_steps = 0;
    memmove(&s->worst[1], &s->worst[0], (SERIES_BLOCKS - 1) * sizeof s->worst[0]);
    s->worst[0] = 0;
  }
  s->worst[0] = fmaxf(s->worst[0], (float)newness);
  return worst;
}

// The newness of news, less what there was of it lately; 0: no news.
static double judge_news(struct series *s, double newness, double share, bool closed) {
  s->news -= s->news * (float)(M_LN2 / NEWS_HALVES * share);
  bool news = is_worst(s, newness, closed) && newness > floor_of_views * 1.003;
  double left = news ? newness / (1 + of_news * (double)s->news) : 0;
  s->news += news ? 1 : 0;
  return left;
}

static double scaled(double newness) {
  return newness / (newness + threshold);
}

bool series_is_warm(const struct series *s) {
  return s->steps >= WARM_STEPS && s->samples >= WARM_STEPS;
}

double series_block_score(const struct series *s, int block) {
  double newness = (double)s->worst[block];
  return newness > floor_of_views * 1.003 ? scaled(newness) : 0;
}

// It has few values, or changes rarely: others show in their values when they are busy, and these are calm by chance.
static bool is_coarse(const struct series *s) {
  bool few = novelty_range(&s->views[SERIES_VALUE]) <= few_grains * s->grain;
  return s->changes > 0 && (!s->third || kind_is_sparse(s) || few);
}

static void add_activity(struct series *s, double x, double share, bool closed, struct series_finding *finding) {
  static const enum series_cause causes[] = {SERIES_VALUE, SERIES_LOW, SERIES_CALM, SERIES_BUSY};
  double change = s->samples > 0 ? x - s->looked : 0;
  uint32_t longest = s->activity.longest;
  struct activity_finding found = activity_observe(&s->activity, x, change, s->steps, share, closed);
  bool coarse = found.kind != ACTIVITY_NONE && is_coarse(s);
  bool says = found.kind != ACTIVITY_NONE && (found.kind != ACTIVITY_BUSY || coarse);
  found.chance = coarse ? 1 : found.chance;
  bool news = says && found.news && finding->score < activity_score;
  if (news || (says && found.chance < finding->chance)) {
    finding->score = news ? activity_score : finding->score;
    finding->cause = causes[found.kind];
    finding->steps = activity_low_for(&s->activity, s->steps);
    finding->longest = longest;
    finding->band = novelty_band(&s->views[SERIES_VALUE]);
  }
  finding->chance = says ? fmin(finding->chance, found.chance) : finding->chance;
}

static struct series_finding find(struct series *s, double x, double usual, double share, bool closed) {
  struct series_finding finding = {.looked = x, .chance = 1};
  const double y[SERIES_VIEWS] = {x, x - usual};
  bool warm = series_is_warm(s);
  double newness = judge_news(s, look(s, y, warm, &finding), share, closed);
  finding.score = warm && newness > 0 ? scaled(newness) : 0;
  add_activity(s, x, share, closed, &finding);
  if (!warm) {
    finding.score = 0;
    finding.chance = 1;
  }
  return finding;
}

// Whether the sample is newer than the newest, or the time has gone back for good.
static bool accept_time(struct series *s, int64_t time) {
  if (s->samples == 0 || time > s->time) {
    s->behind = 0;
    return true;
  }
  return time < s->time && ++s->behind >= BEHIND_MOST;
}

static void remember(struct series *s, double value, int64_t time) {
  s->last = value;
  s->time = time;
  if (s->began == 0 || time / second < s->began) { // it went back for good
    s->began = (uint32_t)(time / second);
  }
}

struct series_finding series_observe(struct series *s, double value, int64_t time, int32_t zone_s) {
  struct series_finding finding = {.chance = 1};
  bool closed;
  if (isnan(value) || !accept_time(s, time)) {
    return finding;
  }
  value = fmax(fmin(value, largest), -largest);
  double gap_s = s->began != 0 && time > s->time ? (double)(time - s->time) / (double)second : STEP_S;
  enum kind_turn turn = kind_learn(s, value);
  if (turn != KIND_STAYS) {
    begin_anew(s, turn == KIND_IS_COUNTER ? 1 : 3);
  }
  double x = looked_at(s, value, gap_s);
  if (isnan(x)) {
    remember(s, value, time);
    return finding;
  }
  if (s->samples == 0) {
    s->profile.origin = x;
    s->looked = x;
  }
  double share = pass_time(s, gap_s, &closed);
  int slot = profile_slot(time / second + zone_s);
  finding = find(s, x, profile_usual(&s->profile, slot, x), share, closed);
  if (time / second - s->began < day_s) {
    finding.score = finding.score < gross ? 0 : finding.score;
    finding.chance = 1; // neighbours are alike: of a day that is not over nobody knows how little was seen
  }
  profile_learn(&s->profile, slot, x, share, closed);
  if (closed) {
    age(s);
  }
  s->grain = x != s->looked ? fmin(s->grain, fabs(x - s->looked)) : s->grain;
  s->looked = x;
  s->samples++;
  remember(s, value, time);
  return finding;
}
