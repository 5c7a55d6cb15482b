#include "ingest/admission.h"

#include <math.h>

// Device clocks count only within what the wire contract takes for sane: 7 days back, 5 minutes ahead of receipt.
static const int64_t behind_us = 7 * INT64_C(86400000000);
static const int64_t ahead_us = 5 * INT64_C(60000000);
static const double reserve = 0.1; // of a bucket, for what is urgent

// Microseconds that the device's clock advanced since its latest message. Only a new latest time counts: nobody earns twice.
static int64_t clock_advance(struct bucket *bucket, int64_t received, int64_t time) {
  if (time < received - behind_us || time > received + ahead_us || time <= bucket->time) {
    return 0;
  }
  int64_t before = bucket->time == 0 ? time : bucket->time;
  bucket->time = time;
  return time - before;
}

void bucket_fill(struct bucket *bucket, const struct allowance *allowance, int64_t received, int64_t time) {
  int64_t advance = clock_advance(bucket, received, time);
  if (bucket->received == 0) {
    bucket->tokens = allowance->burst;
    bucket->received = received;
    return;
  }
  int64_t passed = received - bucket->received;
  passed = passed > advance ? passed : advance;
  bucket->tokens = fmin(allowance->burst, bucket->tokens + (double)passed / 1e6 * allowance->rate);
  bucket->received = received;
}

bool bucket_has(const struct bucket *bucket, const struct allowance *allowance, bool urgent) {
  return allowance->rate == 0 || bucket->tokens >= 1 + (urgent ? 0 : reserve * allowance->burst);
}

void bucket_take(struct bucket *bucket, const struct allowance *allowance) {
  if (allowance->rate > 0) {
    bucket->tokens -= 1;
  }
}
