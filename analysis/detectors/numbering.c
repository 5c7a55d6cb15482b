#include "analysis/detectors/numbering.h"

enum { RECENT = 64, STEP_MOST = 1000000 };

uint32_t numbering_hash(int64_t number) {
  uint64_t bits = (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15); // Knuth's multiplicative hashing
  return (uint32_t)(bits >> 32) | 1;
}

// One that is not beyond the highest: `at` numbers before it.
static struct numbering_step take_late(struct numbering *n, uint32_t at, bool historical) {
  if (at >= RECENT) {
    // What is historical may be the replay of a dead letter, whose number came long ago.
    return (struct numbering_step){.holes = historical ? 0 : -1};
  }
  uint64_t bit = UINT64_C(1) << at;
  bool missing = (n->recent & bit) == 0;
  n->recent |= bit;
  return (struct numbering_step){.holes = missing ? -1 : 0};
}

struct numbering_step numbering_take(struct numbering *n, const struct observation *o) {
  const uint32_t boot = numbering_hash(o->boot);
  const bool historical = (o->marks & MARK_HISTORICAL) != 0;
  const int32_t step = (int32_t)((uint32_t)o->sequence - n->highest);
  const bool far = step > STEP_MOST || step < -STEP_MOST;
  if (n->boot != boot || far) {
    if (o->kind == OBSERVE_REPORT && !historical) {
      *n = (struct numbering){.recent = UINT64_MAX, .boot = boot, .highest = (uint32_t)o->sequence};
    }
    return (struct numbering_step){0};
  }
  if (step <= 0) {
    return take_late(n, (uint32_t)-step, historical);
  }
  n->recent = (step < RECENT ? n->recent << step : 0) | 1;
  n->highest = (uint32_t)o->sequence;
  return (struct numbering_step){.sent = step, .holes = step - 1};
}
