#include "analysis/series/novelty.h"

#include <math.h>
#include <stdbool.h>

enum { BINS = 64, HALF = BINS / 2, NARROW_BELOW = 15 };
static const double first_share = 1e-3;      // of the first value: the range to begin with …
static const double reach_of_learning = 64;  // known ranges beyond the known values; of a single value …
static const double reach_of_constant = 1e9; // … so many times itself, or 1
static const double first_smallest = 1e-9;   // … of which a value is at least this

static double first_width(double x) {
  return fmax(fabs(x), first_smallest) * first_share / BINS;
}

static uint64_t known(const struct novelty *n, int grid) {
  const uint64_t *recent = n->recent[grid];
  return recent[0] | recent[1] | recent[2] | recent[3] | n->established[grid][0] | n->established[grid][1];
}
_Static_assert(NOVELTY_GENERATIONS == 4, "as known() and age_grid() have it");

static int lowest(uint64_t bits) {
  return __builtin_ctzll(bits);
}

static int highest(uint64_t bits) {
  return BINS - 1 - __builtin_clzll(bits);
}

// Where x is, in bins of the grid; below 0 and above BINS outside.
static double place(const struct novelty *n, int grid, double x) {
  return (x - n->low) / n->width + (grid == 0 ? 0 : 0.5);
}

static double begin_of(const struct novelty *n, int grid, int bin) {
  return n->low + ((double)bin - (grid == 0 ? 0 : 0.5)) * n->width;
}

// Bits 2i and 2i + 1 become bit i.
static uint64_t merge_pairs(uint64_t bits) {
  bits = (bits | bits >> 1) & UINT64_C(0x5555555555555555);
  bits = (bits | bits >> 1) & UINT64_C(0x3333333333333333);
  bits = (bits | bits >> 2) & UINT64_C(0x0f0f0f0f0f0f0f0f);
  bits = (bits | bits >> 4) & UINT64_C(0x00ff00ff00ff00ff);
  bits = (bits | bits >> 8) & UINT64_C(0x0000ffff0000ffff);
  return (bits | bits >> 16) & UINT64_C(0x00000000ffffffff);
}

// Bit i, of the lower half, becomes bits 2i and 2i + 1.
static uint64_t split_pairs(uint64_t bits) {
  bits &= UINT64_C(0x00000000ffffffff);
  bits = (bits | bits << 16) & UINT64_C(0x0000ffff0000ffff);
  bits = (bits | bits << 8) & UINT64_C(0x00ff00ff00ff00ff);
  bits = (bits | bits << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
  bits = (bits | bits << 2) & UINT64_C(0x3333333333333333);
  bits = (bits | bits << 1) & UINT64_C(0x5555555555555555);
  return bits | bits << 1;
}

// To bins of twice the width, over a range that goes on downwards or upwards. Bin i of the second grid is around the lower end of
// bin i of the first: there 2i - 1 and 2i become one.
static void widen_grid(uint64_t *bits, int grid, bool down) {
  uint64_t merged = grid == 0 ? merge_pairs(*bits) : merge_pairs(*bits << 1) | (*bits >> (BINS - 1)) << HALF;
  uint64_t beyond = merged >> HALF != 0 ? UINT64_C(1) << (BINS - 1) : 0;
  *bits = down ? merged << HALF | beyond : merged;
}

// To bins of half the width, over the lower half of the range or the upper one. Each known bin becomes two.
static void narrow_grid(uint64_t *bits, int grid, bool up) {
  uint64_t split = split_pairs(up ? *bits >> HALF : *bits);
  *bits = grid == 0 ? split : split >> 1;
}

static void regrid(struct novelty *n, void (*change)(uint64_t *bits, int grid, bool way), bool way) {
  for (int grid = 0; grid < NOVELTY_GRIDS; grid++) {
    for (int i = 0; i < NOVELTY_GENERATIONS; i++) {
      change(&n->recent[grid][i], grid, way);
    }
    change(&n->established[grid][0], grid, way);
    change(&n->established[grid][1], grid, way);
  }
}

static void widen(struct novelty *n, bool down) {
  n->low -= down ? BINS * n->width : 0;
  n->width *= 2;
  regrid(n, widen_grid, down);
}

static void narrow(struct novelty *n, bool up) {
  n->low += up ? HALF * n->width : 0;
  n->width /= 2;
  regrid(n, narrow_grid, up);
}

// Of the second grid's bins known ones may lie in a half in which none of the first grid's is: they are forgotten.
static bool can_narrow(const struct novelty *n, bool *up) {
  uint64_t bits = known(n, 0);
  if (bits == 0 || highest(bits) - lowest(bits) >= NARROW_BELOW - 1 || n->width / 2 < first_width(n->low)) {
    return false;
  }
  *up = lowest(bits) >= HALF;
  return *up || highest(bits) < HALF;
}

double novelty_range(const struct novelty *n) {
  uint64_t bits = known(n, 0);
  return bits == 0 ? 0 : (highest(bits) - lowest(bits) + 1) * n->width;
}

struct novelty_band novelty_band(const struct novelty *n) {
  uint64_t bits = known(n, 0);
  if (bits == 0) {
    return (struct novelty_band){0, 0};
  }
  return (struct novelty_band){begin_of(n, 0, lowest(bits)), begin_of(n, 0, highest(bits) + 1)};
}

static double distance(const struct novelty *n, int grid, double x) {
  uint64_t bits = known(n, grid);
  double at = place(n, grid, x);
  int bin = at < 0 ? -1 : at < BINS ? (int)at : BINS;
  if (bits == 0 || (bin >= 0 && bin < BINS && (bits >> bin & 1) != 0)) {
    return 0;
  }
  uint64_t below = bin <= 0 ? 0 : bin >= BINS ? bits : bits & (UINT64_MAX >> (BINS - bin));
  uint64_t above = bin < 0 ? bits : bin >= BINS - 1 ? 0 : bits & (UINT64_MAX << (bin + 1));
  double down = below == 0 ? INFINITY : x - begin_of(n, grid, highest(below) + 1);
  double up = above == 0 ? INFINITY : begin_of(n, grid, lowest(above)) - x;
  return fmax(fmin(down, up), 0);
}

double novelty_distance(const struct novelty *n, double x) {
  return n->width == 0 ? 0 : (distance(n, 0, x) + distance(n, 1, x)) / NOVELTY_GRIDS;
}

// One value far outside does not make the others one bin. What has only been one value so far has no range to go by.
static double near_known(const struct novelty *n, double x) {
  uint64_t bits = known(n, 0);
  struct novelty_band band = novelty_band(n);
  if (bits == 0) {
    return x;
  }
  bool constant = (bits & (bits - 1)) == 0;
  double reach = constant ? reach_of_constant * fmax(fabs(band.low), 1) : reach_of_learning * novelty_range(n);
  return fmax(fmin(x, band.low + novelty_range(n) + reach), band.low - reach);
}

void novelty_learn(struct novelty *n, double x) {
  if (n->width == 0) {
    n->width = first_width(x);
    n->low = x - HALF * n->width;
  }
  if (x < n->low || x >= n->low + BINS * n->width) {
    x = near_known(n, x);
  }
  while (x < n->low || x >= n->low + BINS * n->width) {
    widen(n, x < n->low);
  }
  for (int grid = 0; grid < NOVELTY_GRIDS; grid++) {
    double at = place(n, grid, x);
    n->recent[grid][0] |= UINT64_C(1) << (at < BINS - 1 ? (int)at : BINS - 1);
  }
}

// What was seen now and in an earlier generation is established.
static void age_grid(uint64_t recent[NOVELTY_GENERATIONS], uint64_t established[2], bool era) {
  established[0] |= recent[0] & (recent[1] | recent[2] | recent[3] | established[0] | established[1]);
  recent[3] = recent[2];
  recent[2] = recent[1];
  recent[1] = recent[0];
  recent[0] = 0;
  if (era) {
    established[1] = established[0];
    established[0] = 0;
  }
}

void novelty_age(struct novelty *n, bool era) {
  bool up;
  for (int grid = 0; grid < NOVELTY_GRIDS; grid++) {
    age_grid(n->recent[grid], n->established[grid], era);
  }
  while (can_narrow(n, &up)) {
    narrow(n, up);
  }
}
