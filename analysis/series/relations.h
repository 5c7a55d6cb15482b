// The metrics of one device together: whether they stand to each other as they used to.
//
// What hides in relations no look at single metrics sees: each value is usual, the combination is not. The distance of a row from
// the device's own mean is measured with its own covariance (Mahalanobis; Hotelling 1947), smoothed, and compared with the
// distances that are usual. Covariances of few rows are shrunk towards none (Ledoit and Wolf 2004, here by p / (n + p)); a metric
// that wanders slowly has shown only part of its range in n rows, and counts for less by the square of its correlation time
// over n. What deviates is not learned.
//
// Rows are looked at from the 36th on. A row costs about p² / 2 multiplications, and p² more where it is learned; memory is
// 6 p² bytes and 80 a metric. Nothing is allocated but in relations_new. No clock.
#ifndef VEDETTE_ANALYSIS_SERIES_RELATIONS_H
#define VEDETTE_ANALYSIS_SERIES_RELATIONS_H

#include <stddef.h>

enum { RELATIONS_LEAST = 3, RELATIONS_MOST = 128 }; // metrics

struct relations;

// For so many metrics, RELATIONS_LEAST to RELATIONS_MOST. NULL when memory ran out.
struct relations *relations_new(size_t count);
void relations_free(struct relations *relations);
size_t relations_size(size_t count); // bytes

// A row: a value for each metric, NAN where it is missing. Returns how unusual it is, from 0 to 1; from 0.5 on it is an alert, as
// long as it lasts. 0 before enough is known.
double relations_observe(struct relations *relations, const double *values);
// Of the row looked at last: for each metric its share in the square of the distance; together they make 1, and one that holds
// the others back is below 0. All 0 before enough is known.
void relations_explain(const struct relations *relations, double *shares);
// Likewise, by how many standard deviations the metric differs from its own mean.
double relations_deviation(const struct relations *relations, size_t metric);

#endif
