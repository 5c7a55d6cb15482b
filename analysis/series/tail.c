#include "analysis/series/tail.h"

#include <math.h>

static const double least_extent = 1.5; // of a symmetric range it is 2
static const double unsure = 1.2, of_few = 4;

double tail_chance(double seen, double extent, double beyond) {
  double wide = log(extent > least_extent ? extent : least_extent) * unsure * (1 + of_few / sqrt(seen + 1));
  double reach = log1p(beyond) / wide;
  return pow(seen + 1, -(1 + reach));
}
