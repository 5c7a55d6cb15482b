// Which values came lately, and how far a new one lies from them.
//
// Two grids of 64 bins, the second shifted by half a bin, over a range that doubles when a value falls outside and is halved when
// most of it is empty. A bin is known while it was visited in one of the last four generations; how long a generation is, is the
// caller's. One that was visited again after a while is established: it is known for eight to sixteen generations. The distance
// to the nearest known bin, as a share of the range that is known, is what is new about a value; 0 for one like those before.
// Distance to anything seen, not deviation from a mean, is what patterns that were seen have in common with the best detectors of
// the Numenta Anomaly Benchmark (Ahmad et al. 2017); a z-score floods where tails are heavy.
//
// A value far outside is made known step by step, so that a single one does not blind for the rest.
// Constant time; plain data that may be copied byte by byte; nothing is allocated.
#ifndef VEDETTE_ANALYSIS_SERIES_NOVELTY_H
#define VEDETTE_ANALYSIS_SERIES_NOVELTY_H

#include <stdbool.h>
#include <stdint.h>

enum { NOVELTY_GRIDS = 2, NOVELTY_GENERATIONS = 4 };

struct novelty {
  double low, width;                                   // where the first bin begins; of each bin. width 0: nothing was seen
  uint64_t recent[NOVELTY_GRIDS][NOVELTY_GENERATIONS]; // a bit a bin; generation 0 is the present one
  uint64_t established[NOVELTY_GRIDS][2];              // likewise, of the present eight generations and of the eight before
};

struct novelty_band {
  double low, high; // known values around, or the nearest ones; both 0 before anything was seen
};

// How far x lies from what is known; 0 before anything was seen.
double novelty_distance(const struct novelty *novelty, double x);
// Makes x known, or what is nearest to it within 64 known ranges. |x| is at most 1e300.
void novelty_learn(struct novelty *novelty, double x);
// A new generation begins; `era`: with it eight are over.
void novelty_age(struct novelty *novelty, bool era);
enum { NOVELTY_ERA = 8 };
// From the lowest known value to the highest; of a constant the width of a bin; 0 before anything was seen.
double novelty_range(const struct novelty *novelty);
struct novelty_band novelty_band(const struct novelty *novelty);

#endif
