#include "analysis/cadence.h"

#include <math.h>

enum {
  GAPS_KNOWN = 8,
  MEAN_WEIGHT = 16,
  SPREAD_WEIGHT = 64,
  WINDOW_GAPS = 64, // a window has at least so many gaps …
  WINDOW_S = 86400, // … and takes at least so long
  WINDOWS_LEAST = 3,
  ABSENCES_ADOPTED = 3,
  BETWEEN_MOST = 100, // a rhythm comes again sooner
};
static const double day = 86400;
static const float short_of_usual = 0.5F; // gaps below this share of the usual one say nothing of the longest
static const double changing_usuals = 20; // usual gaps of before, while a new rhythm is learned
static const double margin = 1.25;        // of what lies beyond the usual gap: estimates scatter
static const double early = 16;           // usual gaps, shared by the number of gaps known, that a new device gets in addition

static void roll(struct cadence *c, uint32_t at) {
  if (c->window_began == 0) {
    c->window_began = at;
  }
  if (c->window_gaps >= WINDOW_GAPS && at > c->window_began && at - c->window_began >= WINDOW_S) {
    float took = (float)(at - c->window_began);
    c->window_s += (took - c->window_s) / (float)(c->windows + 1);
    c->at = (uint8_t)((c->at + 1) % CADENCE_WINDOWS);
    c->windows = c->windows < CADENCE_WINDOWS ? (uint8_t)(c->windows + 1) : CADENCE_WINDOWS;
    c->gaps -= c->windows == CADENCE_WINDOWS ? c->gaps / CADENCE_WINDOWS : 0;
    c->window_gaps = 0;
    c->longest[c->at] = 0;
    c->window_began = at;
  }
}

// By time, not by count: a flood teaches nobody to be fast.
static void learn_usual(struct cadence *c, float gap) {
  const float usual = c->usual;
  if (c->gaps < MEAN_WEIGHT) {
    c->usual = usual + (gap - usual) / (float)(c->gaps + 1);
  } else {
    float limited = gap < 4 * usual ? gap : 4 * usual;
    float share = gap < usual ? gap / usual : 1;
    c->usual = usual + (limited - usual) * share / MEAN_WEIGHT;
  }
}

void cadence_learn_spread(struct cadence *c, double gap) {
  float apart = fabsf((float)gap - c->usual);
  apart = apart < c->usual ? apart : c->usual;
  c->spread += (apart - c->spread) / (float)(c->gaps < SPREAD_WEIGHT ? c->gaps + 1 : SPREAD_WEIGHT);
}

// True once such gaps have come so often that they are the rhythm.
static bool is_adopted(struct cadence *c, double gap) {
  bool alike = c->between < BETWEEN_MOST && gap < 2 * (double)c->absence && gap > (double)c->absence / 2;
  c->absences = alike && c->absences < UINT8_MAX ? (uint8_t)(c->absences + 1) : 1;
  c->absence = (float)gap;
  c->between = 0;
  return c->absences >= ABSENCES_ADOPTED;
}

void cadence_learn(struct cadence *c, double gap, uint32_t at, bool absent, bool alive) {
  if (absent && !alive && !is_adopted(c, gap)) {
    return;
  }
  if (c->absences > 0 && !absent && c->between < BETWEEN_MOST) {
    c->between++;
  }
  roll(c, at);
  const float length = (float)gap;
  learn_usual(c, length);
  if (length < short_of_usual * c->usual) {
    return;
  }
  float *longest = &c->longest[c->at];
  *longest = length > *longest ? length : *longest;
  c->gaps++;
  c->window_gaps = c->window_gaps < UINT16_MAX ? (uint16_t)(c->window_gaps + 1) : UINT16_MAX;
}

void cadence_restart(struct cadence *c) {
  float longest = (float)cadence_longest(c);
  *c = (struct cadence){.usual = c->usual, .longest = {longest}, .changing = true};
}

uint32_t cadence_gaps(const struct cadence *c) {
  return c->gaps;
}

bool cadence_is_known(const struct cadence *c) {
  return cadence_gaps(c) >= GAPS_KNOWN;
}

static double seen_for(const struct cadence *c) {
  double seen = c->gaps * (double)c->usual;
  return c->windows > 0 ? fmax(seen, day) : seen;
}

bool cadence_is_settled(const struct cadence *c, double seen) {
  return cadence_is_known(c) && seen_for(c) >= seen;
}

double cadence_longest(const struct cadence *c) {
  double longest = 0;
  for (int i = 0; i < CADENCE_WINDOWS; i++) {
    longest = (double)c->longest[i] > longest ? (double)c->longest[i] : longest;
  }
  return longest;
}

double cadence_usual(const struct cadence *c, const struct cadence_prior *prior) {
  return cadence_gaps(c) > 0 ? (double)c->usual : prior->usual;
}

// What one day in 1 / rate exceeds, by the scatter of the windows' largest gaps (method of moments); 0: too few windows.
static double by_windows(const struct cadence *c, double rate) {
  double sum = 0;
  double squares = 0;
  int count = 0;
  for (int i = 0; i < CADENCE_WINDOWS; i++) {
    bool over = i != c->at && c->longest[i] > 0;
    sum += over ? (double)c->longest[i] : 0;
    squares += over ? (double)c->longest[i] * (double)c->longest[i] : 0;
    count += over;
  }
  if (count < WINDOWS_LEAST) {
    return 0;
  }
  double mean = sum / count;
  double scale = sqrt(fmax(squares / count - mean * mean, 0) * count / (count - 1)) * 0.78;
  return mean - 0.58 * scale + margin * scale * log(fmax(day / (double)c->window_s / rate, 10));
}

double cadence_patience(const struct cadence *c, const struct cadence_prior *prior) {
  const double usual = cadence_usual(c, prior);
  const uint32_t gaps = cadence_gaps(c);
  const double seen = seen_for(c);
  if (usual <= 0 || (prior->usual <= 0 && (gaps < GAPS_KNOWN || seen < prior->learn_s))) {
    return 0;
  }
  bool young = gaps * usual < GAPS_KNOWN * prior->usual; // it may have shown one side of it only
  double tolerated = prior->tolerated + early / fmax(gaps, GAPS_KNOWN);
  if (c->changing && gaps < GAPS_KNOWN) {
    tolerated = changing_usuals;
  }
  double patience = tolerated * (young ? fmax(usual, prior->usual) : usual);
  double excess = cadence_longest(c) - usual;
  if (gaps > 0 && excess > 0) {
    // The largest of n scatters; in the mean over devices that costs Γ(1 + factor), which 4 covers.
    double allowed = fmax(4 * day / usual / prior->rate, 10);
    double factor = log(allowed) / log(fmax(gaps, GAPS_KNOWN));
    patience = fmax(patience, usual + margin * excess * fmax(factor, 1.15));
  }
  patience = fmax(patience, by_windows(c, prior->rate)) * (seen < day ? fmax(prior->young, 1) : 1);
  return fmax(patience, 10 * prior->least) + prior->least;
}

double cadence_late(const struct cadence *c, const struct cadence_prior *prior) {
  double patience = cadence_patience(c, prior);
  double usual = cadence_usual(c, prior);
  double late = fmax(1.5 * usual, 1.1 * cadence_longest(c)) + prior->least;
  return fmin(late, patience);
}
