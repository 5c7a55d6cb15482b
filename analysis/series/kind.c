#include "analysis/series/kind.h"

#include <math.h>

enum {
  ZEROS_OF = 1000,
  COUNTER_RISES = 100, // in a row: then it is one …
  COUNTER_FALLS = 3    // … until it has fallen so often without beginning anew
};
static const float sparse_share = 0.9F;

const char *series_kind_name(enum series_kind kind) {
  static const char *const names[] = {"new", "constant", "switch", "sparse", "counter", "gauge"};
  return names[kind];
}

bool kind_is_counter(const struct series *s) {
  return s->counter == 1 || s->counter == 2;
}

bool kind_is_sparse(const struct series *s) {
  return s->zeros > sparse_share && s->changes > 0;
}

enum series_kind series_kind(const struct series *s) {
  if (kind_is_counter(s)) {
    return SERIES_COUNTER;
  }
  if (!series_is_warm(s)) {
    return SERIES_NEW;
  }
  if (s->changes == 0) {
    return SERIES_CONSTANT;
  }
  if (!s->third) {
    return SERIES_SWITCH;
  }
  return kind_is_sparse(s) ? SERIES_SPARSE : SERIES_GAUGE;
}

// A fall of a counter to less than half is a new beginning.
static bool is_fall(const struct series *s, double value) {
  return value < s->last && (!kind_is_counter(s) || value > s->last / 2);
}

enum kind_turn kind_learn(struct series *s, double value) {
  s->whole = s->whole && value == floor(value);
  s->zeros += ((value == 0) - s->zeros) / (float)(s->samples < ZEROS_OF ? s->samples + 1 : ZEROS_OF);
  if (s->samples == 0) {
    s->first = value;
    return KIND_STAYS;
  }
  if (value == s->last) {
    return KIND_STAYS;
  }
  s->other = s->changes == 0 ? value : s->other;
  s->third = s->third || (value != s->first && value != s->other);
  s->changes++;
  if (kind_is_counter(s)) {
    s->falls = (uint8_t)(s->falls + is_fall(s, value));
  } else {
    s->rises = value > s->last && value >= 0 && s->rises < UINT16_MAX ? (uint16_t)(s->rises + 1) : 0;
  }
  if (s->counter == 0 && s->rises >= COUNTER_RISES) {
    return KIND_IS_COUNTER;
  }
  return s->counter == 1 && s->falls >= COUNTER_FALLS ? KIND_IS_NO_COUNTER : KIND_STAYS;
}
