#include "storage/pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  KIND_BITS = 2,
  EXPONENT_BITS = 5,
  WIDTH_BITS = 7,
  ODD_BITS = 11,
  LENGTH_BITS = 7,
  HEAD_BITS = KIND_BITS + 1 + EXPONENT_BITS + WIDTH_BITS + ODD_BITS
};
enum { ODD_COST = ODD_BITS + 1 + 64 }; // bits of a double that stands alone
enum { DECIMALS_MOST = 15 };           // a double has no more digits that are sure

static const int64_t powers[] = {
    1,         10,         100,         1000,         10000,         100000,         1000000,         10000000,
    100000000, 1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000, 1000000000000000};
enum { POWERS = sizeof powers / sizeof *powers };

// --- strings of bits

void bits_clear(struct bits *bits) {
  bits->count = 0;
  bits->broken = false;
}

void bits_free(struct bits *bits) {
  free(bits->data);
  *bits = (struct bits){0};
}

static bool bits_room(struct bits *bits, size_t more) {
  size_t wanted = (bits->count + more + 7) / 8;
  if (wanted <= bits->size || bits->broken) {
    return !bits->broken;
  }
  uint8_t *grown = realloc(bits->data, wanted * 2);
  if (grown == NULL) {
    bits->broken = true;
    return false;
  }
  bits->data = grown;
  bits->size = wanted * 2;
  return true;
}

static void bits_put(struct bits *bits, uint64_t value, unsigned width) {
  if (!bits_room(bits, width)) {
    return;
  }
  for (unsigned left = width; left > 0;) {
    unsigned room = 8 - (unsigned)(bits->count & 7), part = room < left ? room : left;
    uint8_t *byte = &bits->data[bits->count / 8];
    // The next bits of `value` at the top of a byte; what stands above them was written before and is shifted out.
    uint8_t top = (uint8_t)(left < 8 ? value << (8 - left) : value >> (left - 8));
    *byte = (uint8_t)((room == 8 ? 0U : *byte & (0xff00U >> (8 - room))) | ((unsigned)top >> (8 - room)));
    bits->count += part;
    left -= part;
  }
}

// Reads bits of a peer: never past `count`.
struct reader {
  const uint8_t *data;
  size_t at, count;
  bool failed;
};

static uint64_t take(struct reader *reader, unsigned width) {
  if (reader->failed || reader->count - reader->at < width) {
    reader->failed = true;
    return 0;
  }
  uint64_t value = 0;
  for (unsigned left = width; left > 0;) {
    unsigned room = 8 - (unsigned)(reader->at & 7), part = room < left ? room : left;
    uint8_t top = (uint8_t)((unsigned)reader->data[reader->at / 8] << (8 - room)); // what is not read yet, at the top
    value = (value << part) | ((unsigned)top >> (8 - part));
    reader->at += part;
    left -= part;
  }
  return value;
}

static unsigned length_of(uint64_t value) {
  return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
}

// Bits of two's complement that `value` needs.
static unsigned signed_length(uint64_t value) {
  return value == 0 ? 0 : 1 + length_of(value >> 63 != 0 ? ~value : value);
}

static void put_signed(struct bits *bits, uint64_t value) {
  unsigned length = signed_length(value);
  bits_put(bits, length, LENGTH_BITS);
  bits_put(bits, value, length);
}

static uint64_t take_signed(struct reader *reader) {
  unsigned length = (unsigned)take(reader, LENGTH_BITS);
  if (length > 64) {
    reader->failed = true;
    return 0;
  }
  uint64_t value = take(reader, length);
  bool negative = length > 0 && value >> (length - 1) != 0;
  return negative && length < 64 ? value | UINT64_MAX << length : value;
}

// --- a column of integers

// How a column is written: which of its numbers stand alone, and the rest as `base + number * 10^exponent`.
struct plan {
  enum pack_kind kind;
  bool delta;
  unsigned exponent, width;
  uint64_t base, first; // two's complement
  uint64_t bits;        // what it costs, with its head
};

// The plain plan: each number beside the smallest. A range beyond an int64 is written as it is.
static struct plan plan_frame(const int64_t *values, size_t count) {
  int64_t least = INT64_MAX, most = INT64_MIN;
  for (size_t i = 0; i < count; i++) {
    least = values[i] < least ? values[i] : least;
    most = values[i] > most ? values[i] : most;
  }
  struct plan plan = {.width = length_of((uint64_t)most - (uint64_t)least), .base = (uint64_t)least};
  if (count == 0 || plan.width == 64) {
    plan.base = 0;
  }
  plan.bits = HEAD_BITS + LENGTH_BITS + signed_length(plan.base) + count * plan.width;
  return plan;
}

// Differences of neighbours. The cost is UINT64_MAX where one does not fit.
static struct plan plan_delta(const int64_t *values, size_t count) {
  int64_t least = INT64_MAX, most = INT64_MIN;
  struct plan plan = {.delta = true, .bits = UINT64_MAX};
  if (count < 2) {
    return plan;
  }
  for (size_t i = 1; i < count; i++) {
    int64_t step;
    if (__builtin_sub_overflow(values[i], values[i - 1], &step)) {
      return plan;
    }
    least = step < least ? step : least;
    most = step > most ? step : most;
  }
  plan.width = length_of((uint64_t)most - (uint64_t)least);
  if (plan.width >= 63) {
    return plan;
  }
  plan.base = (uint64_t)least;
  plan.first = (uint64_t)values[0];
  plan.bits = HEAD_BITS + 2 * LENGTH_BITS + signed_length(plan.base) + signed_length(plan.first) + (count - 1) * plan.width;
  return plan;
}

// The `i`-th number of a plan, before division by its power of ten. Differences begin at 1.
static uint64_t number(const struct plan *plan, const int64_t *values, size_t i) {
  uint64_t value = (uint64_t)values[i];
  return (plan->delta ? value - (uint64_t)values[i - 1] : value) - plan->base;
}

// Takes out the power of ten that all numbers share: whole seconds in microseconds, for example.
static void plan_scale(struct plan *plan, const int64_t *values, size_t count) {
  unsigned shared = plan->width == 64 ? 0 : POWERS - 1;
  for (size_t i = plan->delta; i < count && shared > 0; i++) {
    uint64_t rest = number(plan, values, i);
    while (shared > 0 && rest % (uint64_t)powers[shared] != 0) {
      shared--;
    }
  }
  if (shared > 0 && plan->width > 0) {
    uint64_t most = 0;
    for (size_t i = plan->delta; i < count; i++) {
      uint64_t one = number(plan, values, i);
      most = one > most ? one : most;
    }
    plan->bits -= (count - plan->delta) * plan->width;
    plan->width = length_of(most / (uint64_t)powers[shared]);
    plan->exponent = shared;
    plan->bits += (count - plan->delta) * plan->width;
  }
}

static void put_head(struct bits *bits, const struct plan *plan, size_t odd) {
  bits_put(bits, plan->kind, KIND_BITS);
  bits_put(bits, plan->delta, 1);
  bits_put(bits, plan->exponent, EXPONENT_BITS);
  bits_put(bits, plan->width, WIDTH_BITS);
  bits_put(bits, odd, ODD_BITS);
  put_signed(bits, plan->base);
  if (plan->delta) {
    put_signed(bits, plan->first);
  }
}

static void put_numbers(struct bits *bits, const struct plan *plan, const int64_t *values, size_t count) {
  uint64_t unit = plan->kind == PACK_WHOLE ? (uint64_t)powers[plan->exponent] : 1;
  for (size_t i = plan->delta; i < count && plan->width > 0; i++) {
    bits_put(bits, number(plan, values, i) / unit, plan->width);
  }
}

void pack_integers(struct bits *bits, const int64_t *values, size_t count) {
  struct plan frame = plan_frame(values, count), delta = plan_delta(values, count);
  plan_scale(&frame, values, count);
  if (delta.bits != UINT64_MAX) {
    plan_scale(&delta, values, count);
  }
  const struct plan *plan = delta.bits < frame.bits ? &delta : &frame;
  put_head(bits, plan, 0);
  put_numbers(bits, plan, values, count);
}

// --- a column of doubles

static uint64_t pattern_of(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static double double_of(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// The integer that divided by 10^exponent is exactly `value`. False if there is none.
static bool decimal_of(double value, unsigned exponent, int64_t *integer) {
  double scaled = nearbyint(value * (double)powers[exponent]);
  if (!(fabs(scaled) < 0x1p53)) {
    return false;
  }
  *integer = (int64_t)scaled;
  return pattern_of((double)*integer / (double)powers[exponent]) == pattern_of(value);
}

// The least exponent for `value`, not below `from`; DECIMALS_MOST + 1 if there is none.
static unsigned decimals_of(double value, unsigned from) {
  int64_t integer;
  while (from <= DECIMALS_MOST && !decimal_of(value, from, &integer)) {
    from++;
  }
  return from;
}

// A column on its way to integers: those that have none stand alone, and count as their neighbour.
struct column {
  int64_t integers[PACK_MOST];
  bool odd[PACK_MOST];
  size_t odds;
  struct plan plan;
};

// What of a column stands alone: `numbers` are what does not.
static void plan_column(struct column *column, size_t count, enum pack_kind kind, unsigned exponent, size_t nulls) {
  struct plan frame = plan_frame(column->integers, count), delta = plan_delta(column->integers, count);
  column->plan = delta.bits < frame.bits ? delta : frame;
  column->plan.kind = kind;
  column->plan.exponent = exponent;
  column->plan.bits += column->odds * ODD_COST - nulls * 64;
}

// Fills a column by decimals of `exponent`, or by patterns.
static void fill_column(struct column *column, const double *values, const bool *nulls, size_t count, enum pack_kind kind,
                        unsigned exponent) {
  size_t null_count = 0, known = count; // `known`: the first that has an integer
  column->odds = 0;
  for (size_t i = 0; i < count; i++) {
    bool null = nulls != NULL && nulls[i];
    int64_t integer = 0;
    bool has = !null && (kind == PACK_PATTERN || decimal_of(values[i], exponent, &integer));
    if (has && kind == PACK_PATTERN) {
      integer = (int64_t)pattern_of(values[i]);
    }
    known = has && known == count ? i : known;
    column->integers[i] = has ? integer : i > 0 ? column->integers[i - 1] : 0;
    column->odd[i] = !has;
    column->odds += !has;
    null_count += null;
  }
  for (size_t i = 0; known < count && i < known; i++) {
    column->integers[i] = column->integers[known];
  }
  plan_column(column, count, kind, exponent, null_count);
}

// Which exponents the values of a column need, as bits.
static uint32_t exponents_of(const double *values, const bool *nulls, size_t count) {
  uint32_t seen = 0;
  unsigned last = 0;
  for (size_t i = 0; i < count; i++) {
    if (nulls != NULL && nulls[i]) {
      continue;
    }
    // Most values have as many decimals as the one before, or fewer, which that exponent serves as well.
    int64_t integer;
    if (seen != 0 && last <= DECIMALS_MOST && decimal_of(values[i], last, &integer)) {
      continue;
    }
    unsigned exponent = decimals_of(values[i], 0);
    seen |= 1u << exponent;
    last = exponent <= DECIMALS_MOST && exponent > last ? exponent : last;
  }
  return seen;
}

void pack_doubles(struct bits *bits, const double *values, const bool *nulls, size_t count) {
  struct column columns[2], *best = &columns[0], *other = &columns[1];
  uint32_t exponents = exponents_of(values, nulls, count);
  fill_column(best, values, nulls, count, PACK_PATTERN, 0);
  for (unsigned exponent = 0; exponent <= DECIMALS_MOST; exponent++) {
    if ((exponents & 1u << exponent) == 0) {
      continue;
    }
    fill_column(other, values, nulls, count, PACK_DECIMAL, exponent);
    if (other->plan.bits < best->plan.bits) {
      struct column *swap = best;
      best = other;
      other = swap;
    }
  }
  put_head(bits, &best->plan, best->odds);
  put_numbers(bits, &best->plan, best->integers, count);
  for (size_t i = 0; i < count && best->odds > 0; i++) {
    if (best->odd[i]) {
      bool null = nulls != NULL && nulls[i];
      bits_put(bits, i, ODD_BITS);
      bits_put(bits, null, 1);
      if (!null) {
        bits_put(bits, pattern_of(values[i]), 64);
      }
    }
  }
}

// --- and back

struct head {
  struct plan plan;
  size_t odd;
};

static struct head take_head(struct reader *reader) {
  struct head head = {0};
  head.plan.kind = (enum pack_kind)take(reader, KIND_BITS);
  head.plan.delta = take(reader, 1) != 0;
  head.plan.exponent = (unsigned)take(reader, EXPONENT_BITS);
  head.plan.width = (unsigned)take(reader, WIDTH_BITS);
  head.odd = take(reader, ODD_BITS);
  head.plan.base = take_signed(reader);
  head.plan.first = head.plan.delta ? take_signed(reader) : 0;
  if (head.plan.kind > PACK_PATTERN || head.plan.exponent >= POWERS || head.plan.width > 64) {
    reader->failed = true;
  }
  return head;
}

static bool take_integers(struct reader *reader, const struct plan *plan, int64_t *values, size_t count) {
  if (reader->failed) {
    return false;
  }
  uint64_t unit = plan->kind == PACK_WHOLE ? (uint64_t)powers[plan->exponent] : 1, sum = plan->first;
  for (size_t i = 0; i < count; i++) {
    if (plan->delta && i == 0) {
      values[i] = (int64_t)sum;
      continue;
    }
    uint64_t integer = plan->base + take(reader, plan->width) * unit;
    sum += integer;
    values[i] = (int64_t)(plan->delta ? sum : integer);
  }
  return !reader->failed;
}

bool unpack_integers(const uint8_t *data, size_t bit_count, int64_t *values, size_t count) {
  struct reader reader = {.data = data, .count = bit_count};
  struct head head = take_head(&reader);
  return head.plan.kind == PACK_WHOLE && head.odd == 0 && count <= PACK_MOST &&
         take_integers(&reader, &head.plan, values, count) && reader.at == bit_count;
}

bool unpack_doubles(const uint8_t *data, size_t bit_count, double *values, bool *nulls, size_t count) {
  struct reader reader = {.data = data, .count = bit_count};
  struct head head = take_head(&reader);
  int64_t integers[PACK_MOST];
  if (head.plan.kind == PACK_WHOLE || count > PACK_MOST || !take_integers(&reader, &head.plan, integers, count)) {
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    nulls[i] = false;
    values[i] = head.plan.kind == PACK_PATTERN ? double_of((uint64_t)integers[i])
                                               : (double)integers[i] / (double)powers[head.plan.exponent];
  }
  for (size_t i = 0; i < head.odd; i++) {
    size_t place = take(&reader, ODD_BITS);
    bool null = take(&reader, 1) != 0;
    uint64_t pattern = null ? 0 : take(&reader, 64);
    if (reader.failed || place >= count) {
      return false;
    }
    nulls[place] = null;
    values[place] = double_of(pattern);
  }
  return !reader.failed && reader.at == bit_count;
}
