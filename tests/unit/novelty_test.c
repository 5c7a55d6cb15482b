// Novelty against a slow and obvious version of itself: an array of truth values for each bin, changed one by one.
#include "unit.h"

#include <math.h>

#include "analysis/series/novelty.h"

// As a share of the known range.
static double novelty_of(const struct novelty *n, double x, double least, double ignored) {
  double away = novelty_distance(n, x) - ignored;
  return away > 0 ? away / fmax(novelty_range(n), least) : 0;
}

enum { BINS = 64, AGES = NOVELTY_GENERATIONS + 2 };

struct plain {
  double low, width;
  bool known[NOVELTY_GRIDS][AGES][BINS]; // the generations, then the two eras
};

static uint64_t seed = 1;

static double drawn(void) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (double)(seed >> 11) / 9007199254740992.0;
}

static double first_width(double x) {
  return fmax(fabs(x), 1e-9) * 1e-3 / BINS;
}

static double middle_of(int grid, int bin) {
  return bin + (grid == 0 ? 0.5 : 0);
}

static bool is_known(const struct plain *p, int grid, int bin) {
  bool known = false;
  for (int age = 0; age < AGES; age++) {
    known = known || p->known[grid][age][bin];
  }
  return known;
}

static void span(const struct plain *p, int *lowest, int *highest) {
  *lowest = -1;
  for (int bin = 0; bin < BINS; bin++) {
    if (is_known(p, 0, bin)) {
      *lowest = *lowest < 0 ? bin : *lowest;
      *highest = bin;
    }
  }
}

// Every known bin goes where its middle lies in the new grid.
static void plain_widen(struct plain *p, bool down) {
  struct plain before = *p;
  memset(p->known, 0, sizeof p->known);
  p->low -= down ? BINS * p->width : 0;
  p->width *= 2;
  for (int grid = 0; grid < NOVELTY_GRIDS; grid++) {
    for (int age = 0; age < AGES; age++) {
      for (int bin = 0; bin < BINS; bin++) {
        double at = (middle_of(grid, bin) + (down ? BINS : 0)) / 2 + (grid == 0 ? 0 : 0.5);
        int to = (int)at < BINS ? (int)at : BINS - 1;
        p->known[grid][age][to] = p->known[grid][age][to] || before.known[grid][age][bin];
      }
    }
  }
}

static void plain_narrow(struct plain *p, bool up) {
  struct plain before = *p;
  memset(p->known, 0, sizeof p->known);
  p->low += up ? BINS * p->width / 2 : 0;
  p->width /= 2;
  for (int grid = 0; grid < NOVELTY_GRIDS; grid++) {
    for (int age = 0; age < AGES; age++) {
      for (int bin = up ? BINS / 2 : 0; bin < (up ? BINS : BINS / 2); bin++) {
        int to = 2 * (bin - (up ? BINS / 2 : 0)) - grid;
        for (int half = 0; half < 2 && before.known[grid][age][bin]; half++) {
          if (to + half >= 0) {
            p->known[grid][age][to + half] = true;
          }
        }
      }
    }
  }
}

static void plain_learn(struct plain *p, double x) {
  if (p->width == 0) {
    p->width = first_width(x);
    p->low = x - BINS * p->width / 2;
  } else {
    int lowest;
    int highest = 0;
    span(p, &lowest, &highest);
    double range = lowest < 0 ? 0 : (highest - lowest + 1) * p->width;
    double from = p->low + lowest * p->width;
    double reach = lowest == highest ? 1e9 * fmax(fabs(from), 1) : 64 * range;
    x = range == 0 ? x : x < from - reach ? from - reach : x > from + range + reach ? from + range + reach : x;
  }
  while (x < p->low || x >= p->low + BINS * p->width) {
    plain_widen(p, x < p->low);
  }
  for (int grid = 0; grid < NOVELTY_GRIDS; grid++) {
    int bin = (int)((x - p->low) / p->width + (grid == 0 ? 0 : 0.5));
    p->known[grid][0][bin < BINS ? bin : BINS - 1] = true;
  }
}

static void plain_age(struct plain *p, bool era) {
  int lowest;
  int highest;
  for (int grid = 0; grid < NOVELTY_GRIDS; grid++) {
    for (int bin = 0; bin < BINS; bin++) {
      bool before = false;
      for (int age = 1; age < AGES; age++) {
        before = before || p->known[grid][age][bin];
      }
      bool *eras = &p->known[grid][NOVELTY_GENERATIONS][bin];
      *eras = *eras || (p->known[grid][0][bin] && before);
      for (int age = NOVELTY_GENERATIONS - 1; age > 0; age--) {
        p->known[grid][age][bin] = p->known[grid][age - 1][bin];
      }
      p->known[grid][0][bin] = false;
      if (era) {
        p->known[grid][NOVELTY_GENERATIONS + 1][bin] = *eras;
        *eras = false;
      }
    }
  }
  for (;;) {
    span(p, &lowest, &highest);
    bool fits = lowest >= 0 && highest - lowest < 14 && (lowest >= BINS / 2 || highest < BINS / 2);
    if (!fits || p->width / 2 < first_width(p->low)) {
      return;
    }
    plain_narrow(p, lowest >= BINS / 2);
  }
}

static double plain_of(const struct plain *p, double x, double least, double ignored) {
  double away = 0;
  int lowest;
  int highest = 0;
  if (p->width == 0) {
    return 0;
  }
  for (int grid = 0; grid < NOVELTY_GRIDS; grid++) {
    double nearest = INFINITY;
    for (int bin = 0; bin < BINS; bin++) {
      double begin = p->low + (bin - (grid == 0 ? 0 : 0.5)) * p->width;
      double off = x < begin ? begin - x : x >= begin + p->width ? x - begin - p->width : 0;
      nearest = is_known(p, grid, bin) && off < nearest ? off : nearest;
    }
    away += isinf(nearest) ? 0 : nearest / NOVELTY_GRIDS;
  }
  span(p, &lowest, &highest);
  double range = lowest < 0 ? 0 : (highest - lowest + 1) * p->width;
  return away > ignored ? (away - ignored) / fmax(range, least) : 0;
}

// Several kinds of series: walks, noise, two levels, jumps by powers of ten in either direction.
static double next_value(int kind, double before) {
  switch (kind % 4) {
  case 0: return before + drawn() - 0.5;
  case 1: return drawn() * drawn() * 100;
  case 2: return drawn() < 0.5 ? 3 : 20 + drawn();
  default: return drawn() < 0.02 ? (drawn() - 0.5) * pow(10, drawn() * 12 - 3) : before + (drawn() - 0.5) / 100;
  }
}

static void same_as_plain(void **state) {
  (void)state;
  for (int series = 0; series < 200; series++) {
    struct novelty n = {0};
    struct plain p = {0};
    double x = drawn() * 100 - 50;
    for (int i = 0, ages = 0; i < 3000; i++) {
      double y = next_value(series + i / 1000, x);
      double fast = novelty_of(&n, y, 0.1, 0.01);
      double slow = plain_of(&p, y, 0.1, 0.01);
      assert_true(fabs(fast - slow) <= 1e-6 * (1 + slow));
      novelty_learn(&n, y);
      plain_learn(&p, y);
      assert_true(n.low == p.low && n.width == p.width);
      if (i % 40 == 39) {
        ages++;
        novelty_age(&n, ages % NOVELTY_ERA == 0);
        plain_age(&p, ages % NOVELTY_ERA == 0);
      }
      x = y;
    }
  }
}

static void forgets_what_came_once_and_keeps_what_came_again(void **state) {
  (void)state;
  struct novelty n = {0};
  int gone[2] = {0, 0};
  for (int again = 0; again < 2; again++) {
    n = (struct novelty){0};
    for (int generation = 1; generation <= 40 && gone[again] == 0; generation++) {
      for (int i = 0; i < 100; i++) {
        novelty_learn(&n, drawn());
      }
      if (generation == 1 || (again && generation == 3)) {
        novelty_learn(&n, 5);
      }
      novelty_age(&n, generation % NOVELTY_ERA == 0);
      gone[again] = novelty_of(&n, 5, 0, 0) > 0 ? generation : 0;
    }
  }
  assert_int_equal(gone[0], 4);
  assert_in_range(gone[1], 8, 16);
}

static void what_is_like_the_others_is_not_new(void **state) {
  (void)state;
  struct novelty n = {0};
  assert_true(novelty_of(&n, 7, 0, 0) == 0);
  for (int i = 0; i < 5000; i++) {
    novelty_learn(&n, drawn());
  }
  assert_true(novelty_of(&n, 0.5, 0, 0) == 0);
  assert_true(fabs(novelty_of(&n, 2, 0, 0) - 1) < 0.05); // as far outside as the range is wide
  assert_true(fabs(novelty_of(&n, -1, 0, 0) - 1) < 0.05);
  assert_true(novelty_of(&n, 2, 0, 1) < 0.05);
  struct novelty_band band = novelty_band(&n);
  assert_true(fabs(band.low) < 0.05 && fabs(band.high - 1) < 0.05);
}

static void survives_the_ends_of_the_numbers(void **state) {
  (void)state;
  const double ends[] = {0, -0.0, 5e-324, -5e-324, 1e300, -1e300, 1, 9007199254740992.0, 1e-300};
  struct novelty n = {0};
  for (int i = 0; i < 100000; i++) {
    double x = ends[(int)(drawn() * 9)];
    double away = novelty_of(&n, x, 0, 0);
    assert_true(away >= 0 && !isnan(away));
    novelty_learn(&n, x);
    assert_true(isfinite(n.low) && isfinite(n.width) && n.width > 0);
    if (i % 16 == 15) {
      novelty_age(&n, i % 128 == 127);
    }
  }
}

static void one_value_far_outside_does_not_blind(void **state) {
  (void)state;
  struct novelty n = {0};
  for (int i = 0; i < 1600; i++) {
    novelty_learn(&n, i == 200 ? 1e300 : drawn());
    if (i % 100 == 99) {
      novelty_age(&n, i % 800 == 799);
    }
  }
  assert_true(novelty_of(&n, 3, 0, 0) > 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(same_as_plain), cmocka_unit_test(forgets_what_came_once_and_keeps_what_came_again),
      cmocka_unit_test(what_is_like_the_others_is_not_new), cmocka_unit_test(survives_the_ends_of_the_numbers),
      cmocka_unit_test(one_value_far_outside_does_not_blind)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
