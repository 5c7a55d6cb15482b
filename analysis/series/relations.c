#include "analysis/series/relations.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
  ROWS_USED = 16,    // before distances are taken …
  ROWS_KNOWN = 36,   // … and before they are judged
  ROWS_MOST = 4096,  // rows that count
  USUAL_ROWS = 1000, // of which what is usual of the distance is learned
  USUAL_KNOWN = 10,
  YOUNG_ROWS = 400,
  THINNED = 8,
  LAG = 10,           // rows: how alike values are after so many tells how slow a metric is
  REFRESHED = 20,     // the factor is made anew after a twentieth of the rows …
  REFRESHED_MOST = 16 // … and after so many
};
static const double most_deviation = 8;   // of a metric, in standard deviations; more is no more
static const double most_value = 1e18;    // so that squares of differences are floats
static const double ridge = 0.01;         // in units of each metric's variance
static const double of_wandering = 10000; // (correlation time / rows)² times this is added to a metric's variance
static const double smoothing = 0.3;      // of the distance
                                          // of values, to see how slow they are
static const double least_kept = 0.001, most_kept = 0.995; // of a metric's variance after LAG rows, as it is used
static const double beyond = 2;                            // standard deviations of the distance above its mean that are usual
static const double margin = 1.06;
static const double of_metrics = 0.5; // metrics / rows times this is added to the limit: what rests on few rows has to be gross
static const double closed_below = 0.87;   // of the limit: then it is over
static const double learned_below = 0.9;   // of the limit
static const double constant_share = 0.01; // of its value: the standard deviation of what has never changed

struct metric {
  double mean, origin; // and the first value
  float recent[LAG];   // how far the last values were from the first, by their number
  float lag_variance;  // covariance of values LAG rows apart
  float scale;         // standard deviation, as in the factor
  float deviation;     // of the last row, in scales
  float pull;          // of the last row: its deviations seen through the factor
  bool live;           // it changes
};

struct relations {
  size_t count;
  size_t learned;                                // rows
  double rows;                                   // likewise, as many as count: up to ROWS_MOST
  double since;                                  // rows learned since the factor was made
  double unlearned;                              // rows one after the other that were not learned
  bool open;                                     // it is an alert
  bool factored;                                 // there is one
  double live;                                   // metrics
  double smoothed;                               // distance; below 0: none yet
  double usual_mean, usual_variance, usual_rows; // of the smoothed distance
  double expected;                               // distance, were the covariance the true one
  double square;                                 // of the last distance
  double *covariance;                            // packed lower triangle, raw units
  float *factor;                                 // likewise: Cholesky's, of the correlations with all that is added
  struct metric metrics[];
};

static size_t triangle(size_t count) {
  return count * (count + 1) / 2;
}

static size_t at(size_t row, size_t column) {
  return row * (row + 1) / 2 + column;
}

size_t relations_size(size_t count) {
  return sizeof(struct relations) + count * sizeof(struct metric) + triangle(count) * (sizeof(double) + sizeof(float));
}

static void prepare(struct relations *r, size_t count) {
  r->count = count;
  r->smoothed = -1;
  r->covariance = (double *)&r->metrics[count];
  r->factor = (float *)(void *)&r->covariance[triangle(count)];
}

struct relations *relations_new(size_t count) {
  if (count < RELATIONS_LEAST || count > RELATIONS_MOST) {
    return NULL;
  }
  struct relations *r = calloc(1, relations_size(count));
  if (r == NULL) {
    return NULL;
  }
  prepare(r, count);
  return r;
}

void relations_free(struct relations *r) {
  free(r);
}

// What is added to a metric's variance, which is 1. The correlation time is that of a process that forgets evenly.
static double added(const struct relations *r, const struct metric *m, double variance) {
  double kept = m->live ? (double)m->lag_variance / variance : 0;
  double time = LAG / -log(fmin(fmax(kept, least_kept), most_kept));
  return ridge + of_wandering * (time / r->rows) * (time / r->rows);
}

static void scale(struct relations *r) {
  r->live = 0;
  for (size_t i = 0; i < r->count; i++) {
    struct metric *m = &r->metrics[i];
    double deviation = sqrt(fmax(r->covariance[at(i, i)], 0));
    m->live = deviation > 1e-9 * (1 + fabs(m->mean));
    m->scale = (float)(m->live ? deviation : fmax(fabs(m->mean) * constant_share, 1e-6));
    r->live += m->live;
  }
}

// An entry of the matrix that is factored: correlations, shrunk, and on the diagonal what is added.
static double entry(const struct relations *r, size_t i, size_t j, double shrink) {
  const struct metric *a = &r->metrics[i];
  const struct metric *b = &r->metrics[j];
  if (i == j) {
    return 1 + added(r, a, r->covariance[at(i, i)]);
  }
  return a->live && b->live ? (1 - shrink) * r->covariance[at(i, j)] / ((double)a->scale * (double)b->scale) : 0;
}

// Of the distance, were the covariance the true one: the trace of M⁻¹ R. M differs from (1 - shrink) R on the diagonal only, so
// that the diagonal of M⁻¹ is enough, and that is what columns of the factor's inverse have as their squares' sums.
static double expected_square(const struct relations *r, double shrink) {
  float column[RELATIONS_MOST];
  double sum = 0;
  for (size_t j = 0; j < r->count; j++) {
    double square = 0;
    for (size_t i = j; i < r->count; i++) {
      const float *row = &r->factor[at(i, 0)];
      float value = i == j ? 1 : 0;
      for (size_t k = j; k < i; k++) {
        value -= row[k] * column[k];
      }
      column[i] = value / row[i];
      square += (double)column[i] * (double)column[i];
    }
    if (r->metrics[j].live) {
      double more = shrink + added(r, &r->metrics[j], r->covariance[at(j, j)]);
      sum += (1 - square * more) / (1 - shrink);
    }
  }
  return sum;
}

// Cholesky and Banachiewicz. What is added keeps the matrix positive; rounding is caught.
static void make_factor(struct relations *r) {
  scale(r);
  double shrink = r->live / (r->rows + r->live);
  for (size_t i = 0; i < r->count; i++) {
    float *row = &r->factor[at(i, 0)];
    for (size_t j = 0; j <= i; j++) {
      const float *other = &r->factor[at(j, 0)];
      double sum = entry(r, i, j, shrink);
      for (size_t k = 0; k < j; k++) {
        sum -= (double)row[k] * (double)other[k];
      }
      row[j] = (float)(i == j ? sqrt(fmax(sum, ridge / 2)) : sum / (double)other[j]);
    }
  }
  r->expected = sqrt(fmax(expected_square(r, shrink), 1e-6));
  r->factored = true;
  r->since = 0;
}

// NAN stays NAN.
static double limited(double value, double most) {
  return value > most ? most : value < -most ? -most : value;
}

// Four sums at a time: the compiler makes one instruction of them.
static float sum_of_products(const float *a, const float *b, size_t count) {
  float sums[4] = {0, 0, 0, 0};
  size_t k = 0;
  for (; k + 4 <= count; k += 4) {
    for (size_t lane = 0; lane < 4; lane++) {
      sums[lane] += a[k + lane] * b[k + lane];
    }
  }
  for (; k < count; k++) {
    sums[0] += a[k] * b[k];
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// Forward substitution: `pull` becomes the deviations seen through the factor. A reading that is missing is what the metrics
// before it let expect. Returns the distance, in units of the expected one.
static double measure(struct relations *r, const double *values) {
  float pulls[RELATIONS_MOST];
  double square = 0;
  for (size_t i = 0; i < r->count; i++) {
    struct metric *m = &r->metrics[i];
    const float *row = &r->factor[at(i, 0)];
    float told = sum_of_products(row, pulls, i); // by the metrics before it
    double off = limited((values[i] - m->mean) / (double)m->scale, most_deviation);
    m->deviation = isnan(off) ? told : (float)off;
    m->pull = pulls[i] = (m->deviation - told) / row[i];
    square += (double)pulls[i] * (double)pulls[i];
  }
  r->square = square;
  return sqrt(square) / r->expected;
}

// How unusual the distance is, in units of the limit; what is usual is learned from what is below it.
static double judge(struct relations *r, double distance) {
  double over = 0;
  r->smoothed = r->smoothed < 0 ? distance : r->smoothed + smoothing * (distance - r->smoothed);
  if (r->rows >= ROWS_KNOWN && r->usual_rows >= USUAL_KNOWN) {
    double usual = r->usual_mean + beyond * sqrt(r->usual_variance);
    over = r->smoothed / (margin * (1 + of_metrics * r->live / r->rows) * (usual > 1e-9 ? usual : 1e-9));
  }
  if (over < 1) {
    double weight = 1 / (r->usual_rows + 1 < USUAL_ROWS ? r->usual_rows + 1 : USUAL_ROWS);
    double off = r->smoothed - r->usual_mean;
    r->usual_mean += weight * off;
    r->usual_variance = (1 - weight) * (r->usual_variance + weight * off * off);
    r->usual_rows++;
  }
  return over;
}

// `most`: how far a value may be from the mean. `before`: how far it was from it LAG rows ago, or NAN.
static void learn_metric(struct metric *m, double off, double weight, double most, double before) {
  m->mean += weight * off;
  if (!isnan(before)) {
    m->lag_variance = (float)((1 - weight) * (double)m->lag_variance + weight * off * limited(before - weight * off, most));
  }
}

// `recent`: of the same metrics, LAG rows ago; NAN: there was none.
static void learn_covariance(struct relations *r, const double *off, const double *most, const double *recent, double rows) {
  double weight = rows / fmin(r->rows + rows, ROWS_MOST);
  for (size_t i = 0; i < r->count; i++) {
    double *row = &r->covariance[at(i, 0)];
    for (size_t j = 0; r->rows > 0 && j <= i; j++) {
      row[j] = (1 - weight) * (row[j] + weight * off[i] * off[j]);
    }
    learn_metric(&r->metrics[i], off[i], weight, most[i], recent[i]);
  }
  r->rows = fmin(r->rows + rows, ROWS_MOST);
  r->since++;
}

static void learn_row(struct relations *r, const double *values, double rows) {
  double off[RELATIONS_MOST];
  double most[RELATIONS_MOST];
  double recent[RELATIONS_MOST];
  const size_t place = r->learned % LAG;
  for (size_t i = 0; i < r->count; i++) {
    struct metric *m = &r->metrics[i];
    most[i] = r->factored ? most_deviation * (double)m->scale : most_value;
    off[i] = isnan(values[i]) ? 0 : limited(values[i] - m->mean, most[i]);
    m->origin = r->learned == 0 ? off[i] : m->origin;
    recent[i] = r->learned < LAG ? NAN : m->origin + (double)m->recent[place] - m->mean;
    m->recent[place] = (float)(m->mean - m->origin + off[i]);
  }
  learn_covariance(r, off, most, recent, rows);
}

// Once much is known one row in eight is learned, and counts for eight; of the others it is kept what they were.
static void learn(struct relations *r, const double *values) {
  const unsigned apart = r->rows < YOUNG_ROWS ? 1 : THINNED;
  const size_t place = r->learned % LAG;
  if (r->learned % apart == 0) {
    learn_row(r, values, apart);
  } else {
    for (size_t i = 0; i < r->count; i++) {
      struct metric *m = &r->metrics[i];
      m->recent[place] = (float)(m->mean - m->origin) + m->deviation * m->scale;
    }
  }
  r->learned++;
}

// It has been unusual for longer than it was usual: that is what it is like now.
static void begin_anew(struct relations *r) {
  size_t count = r->count;
  memset(r, 0, relations_size(count));
  prepare(r, count);
}

double relations_observe(struct relations *r, const double *values) {
  double over = 0;
  if (r->rows >= ROWS_USED) {
    double apart = r->rows / REFRESHED;
    if (!r->factored || r->since > (apart < REFRESHED_MOST ? apart : REFRESHED_MOST)) {
      make_factor(r);
    }
    over = judge(r, measure(r, values));
  }
  double young = r->rows < YOUNG_ROWS ? 1 - r->rows / YOUNG_ROWS : 0;
  if (over < learned_below * (1 + young)) {
    learn(r, values);
    r->unlearned = 0;
  } else if (++r->unlearned > fmax(r->rows, YOUNG_ROWS)) {
    begin_anew(r);
  }
  r->open = over >= 1 || (r->open && over >= closed_below);
  double score = over / (1 + over);
  return r->open && score < 0.5 ? 0.5 : score;
}

double relations_deviation(const struct relations *r, size_t metric) {
  return (double)r->metrics[metric].deviation;
}

void relations_explain(const struct relations *r, double *shares) {
  double solved[RELATIONS_MOST] = {0};
  for (size_t i = r->count; i-- > 0;) {
    double sum = (double)r->metrics[i].pull;
    for (size_t k = i + 1; k < r->count; k++) {
      sum -= (double)r->factor[at(k, i)] * solved[k];
    }
    solved[i] = r->factored ? sum / (double)r->factor[at(i, i)] : 0;
  }
  for (size_t i = 0; i < r->count; i++) {
    shares[i] = r->square > 0 ? (double)r->metrics[i].deviation * solved[i] / r->square : 0;
  }
}
