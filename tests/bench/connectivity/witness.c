#include "tests/bench/connectivity/witness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double day_us = 86400e6;

bool tally_begin(struct tally *tally, const struct habit *habit, struct actor *actors, uint32_t devices) {
  *tally = (struct tally){.habit = habit, .actors = actors, .devices = devices};
  tally->raised = calloc(devices + 1, sizeof *tally->raised);
  return tally->raised != NULL;
}

// --- delays

static void note_delay(struct delays *delays, double cadences) {
  if (delays->count == delays->room) {
    size_t room = delays->room ? delays->room * 2 : 64;
    double *grown = realloc(delays->list, room * sizeof *grown);
    if (grown == NULL) {
      abort();
    }
    delays->list = grown;
    delays->room = room;
  }
  delays->list[delays->count++] = cadences;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a;
  double y = *(const double *)b;
  return (x > y) - (x < y);
}

double delays_quantile(struct delays *delays, double share) {
  if (delays->count == 0) {
    return NAN;
  }
  qsort(delays->list, delays->count, sizeof *delays->list, compare);
  return delays->list[(size_t)(share * (double)(delays->count - 1) + 0.5)];
}

// --- effects

static void judge_absent(struct tally *t, const struct context *context, const struct effect *effect) {
  const struct actor *actor = &t->actors[effect->device - 1];
  const struct absence *absence = actor_absence(actor, effect->at);
  const bool silent = effect->name[0] == 's';
  if (absence == NULL) {
    t->false_silent[(effect->device - 1) % 2] += silent;
    t->false_link += !silent;
    bool early = (double)(effect->at - actor->begins) < day_us;
    t->early += silent && early;
    return;
  }
  t->true_silent += silent;
  t->true_link += !silent;
  if (silent && !absence->willed) {
    note_delay(absence->cause == CAUSE_DEAD ? &t->deaths : &t->unplugs,
               (double)(context->now - absence->from) / 1e6 / actor->cadence);
  }
}

static void take(struct tally *t, const struct context *context, const struct effect *effect) {
  if (effect->kind == EFFECT_RAISE) {
    bool right = t->habit->alert != NULL && strcmp(effect->name, t->habit->alert) == 0;
    t->alerts += t->habit->may == NULL || strcmp(effect->name, t->habit->may) != 0;
    t->right += right;
    t->raised[effect->device] += right;
  }
  if (effect->kind != EFFECT_CONNECTIVITY) {
    return;
  }
  t->rows++;
  t->late += strcmp(effect->name, "late") == 0;
  if (strcmp(effect->name, "silent") == 0 || strcmp(effect->name, "link lost") == 0) {
    judge_absent(t, context, effect);
  }
}

void tally_take(struct tally *tally, struct context *context) {
  for (size_t i = 0; i < context->count; i++) {
    take(tally, context, &context->effects[i]);
  }
  context_settle(context);
}

void tally_absence(struct tally *tally, const struct absence *absence, int64_t end) {
  int64_t until = absence->until < end ? absence->until : end;
  if (absence->cause == CAUSE_NONE || absence->from >= end) {
    return;
  }
  tally->device_days -= (double)(until - absence->from) / day_us;
  tally->deaths.absences += absence->cause == CAUSE_DEAD;
  tally->unplugs.absences += absence->cause == CAUSE_UNPLUGGED && !absence->willed;
}

void tally_end(struct tally *tally) {
  for (uint32_t i = 0; i < tally->devices; i++) {
    const struct actor *actor = &tally->actors[i];
    tally->device_days += (double)(actor->ends - actor->begins) / day_us;
    tally_absence(tally, &actor->coming, actor->ends);
    tally->devices_right += tally->raised[i + 1] == 1;
  }
  free(tally->raised);
  tally->raised = NULL;
}

// --- Poisson

double poisson_above(double mean, uint64_t count) {
  double term = exp(-mean);
  double sum = term;
  for (uint64_t k = 1; k <= count; k++) {
    term *= mean / (double)k;
    sum += term;
  }
  return fmax(1 - sum, 0);
}

double poisson_upper(uint64_t count) {
  double low = (double)count;
  double high = low + 10 + 5 * sqrt(low + 1);
  for (int i = 0; i < 60; i++) {
    double middle = (low + high) / 2;
    *(poisson_above(middle, count) < 0.95 ? &low : &high) = middle;
  }
  return high;
}
