// What kind of series it is, from its samples alone. Part of series.c.
#ifndef VEDETTE_ANALYSIS_SERIES_KIND_H
#define VEDETTE_ANALYSIS_SERIES_KIND_H

#include "analysis/series/series.h"

enum kind_turn { KIND_STAYS, KIND_IS_COUNTER, KIND_IS_NO_COUNTER };

bool kind_is_counter(const struct series *series); // taken for one, or declared to be one
bool kind_is_sparse(const struct series *series);
// A sample, as it came. When it shows that the series is, or is not, a counter, all that was learned is of another quantity.
enum kind_turn kind_learn(struct series *series, double value);

#endif
