// How often clean series look unusual: simulated series of twelve kinds, a sample every five minutes, nothing wrong with any.
//
//   bench_series_clean --series N --days N [--seed N]
//
// N series of each kind. Prints a line of JSON for each kind: in 1,000 series and days, after the first day, samples that are at
// least 1, 2, 4, … times as new as an alert has to be; and how many there were of a stated chance, in units of what was stated.
// At the end each series gets one sample that lies so many known ranges outside of what is known: how many of these have a chance
// of no more than five a day of 100,000 series leave. The same seed gives the same figures.
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/series/series.h"
#include "tests/bench/connectivity/chance.h"
#include "tests/bench/options.h"

enum { DAY_STEPS = 288, STEP_S = 300, OCTAVES = 10, DECADES = 9, SIZES = 4 };

struct counts {
  double octaves[OCTAVES]; // of newness
  double decades[DECADES]; // of a chance of at most 10^-i
  double found[SIZES];     // series in which what was injected was found
};
static const double sizes[SIZES] = {0.5, 1, 2, 4};
static const double budget = 5 / (100000.0 * DAY_STEPS);
static const int64_t second = 1000000;
static const int64_t start = INT64_C(20000) * 86400 * 1000000;

// What a simulated series is like, and where it stands.
struct habit {
  double level, amplitude, scatter, phase; // of a daily rhythm; scatter: standard deviation
  double on, off, rate;                    // chances a step: to go on, to go off; of an event
  double walk, count;
  bool is_on;
};

struct kind {
  const char *name;
  bool counter;
  double (*next)(struct habit *habit, struct chance *chance, long step);
};

static double of_day(const struct habit *habit, long step) {
  return sin(2 * M_PI * (double)step / DAY_STEPS + habit->phase);
}

static double noise(struct habit *habit, struct chance *chance, long step) {
  (void)step;
  return habit->level + habit->scatter * chance_normal(chance);
}

static double daily(struct habit *habit, struct chance *chance, long step) {
  return habit->amplitude * of_day(habit, step) + noise(habit, chance, step);
}

static double weekly(struct habit *habit, struct chance *chance, long step) {
  bool weekend = step / DAY_STEPS % 7 >= 5;
  return (weekend ? 0.4 : 1) * habit->amplitude * of_day(habit, step) + noise(habit, chance, step);
}

static double drift(struct habit *habit, struct chance *chance, long step) {
  return habit->level * (double)step / (60.0 * DAY_STEPS) + noise(habit, chance, step); // doubles in sixty days
}

static double walk(struct habit *habit, struct chance *chance, long step) {
  (void)step;
  habit->walk = 0.999 * habit->walk + 0.05 * habit->scatter * chance_normal(chance);
  return habit->level + habit->walk + 0.1 * habit->scatter * chance_normal(chance);
}

static double lognormal(struct habit *habit, struct chance *chance, long step) {
  (void)step;
  return habit->level * exp(0.5 * chance_normal(chance));
}

static double pareto(struct habit *habit, struct chance *chance, long step) {
  (void)step;
  return habit->level * pow(chance_share(chance), -1 / 2.5);
}

static double counter(struct habit *habit, struct chance *chance, long step) {
  double grown = habit->level * (1 + 0.3 * of_day(habit, step)) * (1 + 0.1 * chance_normal(chance));
  habit->count = chance_share(chance) < 0.0005 ? 0 : habit->count + fmax(grown, 0);
  return floor(habit->count);
}

static double constant(struct habit *habit, struct chance *chance, long step) {
  (void)chance;
  (void)step;
  return habit->level;
}

static double switching(struct habit *habit, struct chance *chance, long step) {
  (void)step;
  habit->is_on = habit->is_on ? chance_share(chance) >= habit->off : chance_share(chance) < habit->on;
  return habit->is_on;
}

static double events(struct habit *habit, struct chance *chance, long step) {
  (void)step;
  return chance_share(chance) < habit->rate ? 1 + floor(chance_exponential(chance, 2)) : 0;
}

static double quantised(struct habit *habit, struct chance *chance, long step) {
  return floor(noise(habit, chance, step) / 2) * 2;
}

static const struct kind kinds[] = {
    {"noise", false, noise},      {"daily rhythm", false, daily}, {"weekly rhythm", false, weekly},
    {"drift", false, drift},      {"random walk", false, walk},   {"lognormal", false, lognormal},
    {"Pareto", false, pareto},    {"counter", true, counter},     {"constant", false, constant},
    {"switch", false, switching}, {"events", false, events},      {"quantised", false, quantised}};

static struct habit draw_habit(struct chance *chance) {
  double level = chance_between(chance, 10, 100);
  return (struct habit){.level = level,
                        .amplitude = level * chance_between(chance, 0.1, 0.5),
                        .scatter = level * chance_between(chance, 0.01, 0.06),
                        .phase = chance_between(chance, 0, 2 * M_PI),
                        .on = chance_between(chance, 0.001, 0.021),
                        .off = chance_between(chance, 0.001, 0.021),
                        .rate = chance_between(chance, 0.002, 0.052)};
}

static void inject(const struct series *series, long step, struct counts *counts) {
  struct novelty_band band = novelty_band(&series->views[0]);
  for (int i = 0; i < SIZES; i++) {
    struct series copy = *series;
    double value = band.high + sizes[i] * (band.high - band.low);
    value = series_kind(series) == SERIES_COUNTER ? series->last + value * STEP_S : value;
    counts->found[i] += series_observe(&copy, value, start + step * STEP_S * second, 0).chance <= budget;
  }
}

static void watch(const struct kind *kind, struct chance *chance, long days, struct counts *counts) {
  struct series series;
  struct habit habit = draw_habit(chance);
  series_init(&series, kind->counter ? 1 : 0);
  for (long step = 0; step < days * DAY_STEPS; step++) {
    double value = kind->next(&habit, chance, step);
    struct series_finding finding = series_observe(&series, value, start + step * STEP_S * second, 0);
    double times = finding.score < 1 ? finding.score / (1 - finding.score) : INFINITY;
    for (int i = 0; i < OCTAVES && step >= DAY_STEPS && times >= ldexp(1, i); i++) {
      counts->octaves[i]++;
    }
    for (int i = 0; i < DECADES && step >= DAY_STEPS && finding.chance <= pow(10, -i); i++) {
      counts->decades[i]++;
    }
  }
  inject(&series, days * DAY_STEPS, counts);
}

static void print(const struct kind *kind, const struct counts *counts, double series_days, double series) {
  printf("{\"kind\": \"%s\", \"series_days\": %.0f", kind->name, series_days);
  for (int i = 0; i < OCTAVES; i++) {
    printf(", \"%d\": %.3f", 1 << i, counts->octaves[i] * 1000 / series_days);
  }
  for (int i = 2; i < DECADES; i++) {
    printf(", \"chance %d\": %.3f, \"of chance %d\": %.0f", i, counts->decades[i] / (series_days * DAY_STEPS) * pow(10, i), i,
           counts->decades[i]);
  }
  for (int i = 0; i < SIZES; i++) {
    printf(", \"found %g\": %.3f", sizes[i], counts->found[i] / series);
  }
  printf("}\n");
  fflush(stdout);
}

int main(int argc, char **argv) {
  long series = 1000;
  long days = 30;
  long seed = 1;
  const struct option_row table[] = {
      {"series", NULL, &series, NULL}, {"days", NULL, &days, NULL}, {"seed", NULL, &seed, NULL}, {NULL, NULL, NULL, NULL}};
  if (!options_take(argc, argv, table) || series < 1 || days < 2) {
    fprintf(stderr, "bench_series_clean: --series from 1, --days from 2\n");
    return 2;
  }
  struct chance chance = {(uint64_t)seed};
  for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
    struct counts counts = {0};
    for (long i = 0; i < series; i++) {
      watch(&kinds[k], &chance, days, &counts);
    }
    print(&kinds[k], &counts, (double)(series * (days - 1)), (double)series);
  }
  return EXIT_SUCCESS;
}
