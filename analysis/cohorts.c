#include "analysis/cohorts.h"

#include "analysis/fleet_alerts.h"
#include "common/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  MINUTES = 10,        // within which they go
  SETTLE_S = 60,       // from the first sign until a cause is sought
  LEAST = 10,          // fewer are no cohort's outage
  RECENT_MOST = 65536, // who went lately; beyond, only counts
  CAUSES_MOST = 8,     // sought at a time
  HOURS = 24,
  COUNTED_S = 60, // between two counts
  NAMED = 10,     // devices in an explanation
};
static const int64_t second = 1000000;
static const double share_least = 0.2;  // of those who were there
static const double usual_a_day = 0.01; // owners who unplug, before it is learned
static const double day_weight = 1.0 / 7;
static const double above = 6;       // standard deviations of a Poisson count
static const double explained = 0.5; // F1 of a cause
static const double over = 0.1;      // of those who went: the rest is back

struct cohort {
  struct {
    enum attribute attribute;
    int32_t value;
  } key;
  uint32_t members, absent; // heard once; of them absent now
  uint16_t fresh[MINUTES];  // became absent, by minute
  int64_t minute;           // the newest of these, minutes since 1970
  float usual[HOURS];       // absences an hour, by hour of the day (UTC); 0: not learned
  uint32_t this_hour;
  int64_t hour;                 // the present one, hours since 1970
  uint32_t tally;               // of those who went lately
  uint32_t went, absent_before; // at the alert that is live
  char *alert;                  // its key; NULL: none is live
  struct device *one;           // a member, for words
  UT_hash_handle hh;
};

struct gone {
  struct device *device;
  int64_t at;
  bool explained;
};

struct cohorts {
  struct cohort *all;
  struct gone *recent; // a ring
  size_t count, next;
  bool stale, anew;   // to be counted again; with the alerts that the store says are live
  int64_t counted_at; // event time
  int64_t judge_at;   // a cause is sought then; 0: nothing to explain
  int64_t looked_at;  // at the live alerts
};

struct cohorts *cohorts_new(void) {
  struct cohorts *cohorts = calloc(1, sizeof *cohorts);
  if (cohorts != NULL && (cohorts->recent = calloc(RECENT_MOST, sizeof *cohorts->recent)) == NULL) {
    free(cohorts);
    return NULL;
  }
  if (cohorts != NULL) {
    cohorts_recount(cohorts, true);
  }
  return cohorts;
}

void cohorts_free(struct cohorts *cohorts) {
  struct cohort *cohort;
  struct cohort *next;
  if (cohorts == NULL) {
    return;
  }
  HASH_ITER(hh, cohorts->all, cohort, next) {
    HASH_DEL(cohorts->all, cohort); // NOLINT(clang-analyzer-unix.Malloc): it cannot follow uthash
    free(cohort->alert);
    free(cohort);
  }
  free(cohorts->recent);
  free(cohorts);
}

void cohorts_recount(struct cohorts *cohorts, bool anew) {
  cohorts->stale = true;
  if (anew) {
    cohorts->anew = true;
    cohorts->count = cohorts->next = 0; // of devices that are no more
    cohorts->judge_at = 0;
  }
}

// The device's cohort by an attribute, made if need be; NULL: it has none.
static struct cohort *cohort_of(struct cohorts *cohorts, const struct device *device, enum attribute attribute) {
  struct cohort *cohort = NULL;
  struct cohort key;
  memset(&key, 0, sizeof key);
  key.key.attribute = attribute;
  key.key.value = attribute_of(device, attribute);
  if (key.key.value == 0) {
    return NULL;
  }
  HASH_FIND(hh, cohorts->all, &key.key, sizeof key.key, cohort);
  if (cohort == NULL && (cohort = calloc(1, sizeof *cohort)) != NULL) {
    cohort->key = key.key;
    HASH_ADD(hh, cohorts->all, key, sizeof cohort->key, cohort);
  } else if (cohort == NULL) {
    log_error("out of memory for a cohort; it is not watched", "attribute=%d", (int)attribute);
  }
  return cohort;
}

static bool is_absent(const struct device *device) {
  return strcmp(device->connectivity, "silent") == 0 || strcmp(device->connectivity, "link lost") == 0;
}

static void recount(struct cohorts *cohorts, struct context *context) {
  struct cohort *cohort;
  struct cohort *next;
  HASH_ITER(hh, cohorts->all, cohort, next) {
    cohort->members = cohort->absent = 0;
    cohort->one = NULL;
  }
  for (struct device *device = context->fleet->devices; device != NULL; device = device->hh.next) {
    bool counts = device->active && strcmp(device->connectivity, "never seen") != 0;
    for (int a = 0; counts && a < ATTRIBUTES; a++) {
      if ((cohort = cohort_of(cohorts, device, (enum attribute)a)) != NULL) {
        cohort->members++;
        cohort->absent += is_absent(device);
        cohort->one = device;
      }
    }
  }
  cohorts->stale = false;
  cohorts->counted_at = context->now;
}

// --- what is usual

static double usual_an_hour(const struct cohort *cohort, int64_t hour) {
  double prior = usual_a_day * cohort->members / HOURS;
  return fmax(prior, (double)cohort->usual[hour % HOURS]);
}

static void roll(struct cohort *cohort, int64_t at) {
  int64_t minute = at / second / 60;
  int64_t hour = minute / 60;
  for (int64_t m = minute - cohort->minute < MINUTES ? cohort->minute + 1 : minute - MINUTES + 1; m <= minute; m++) {
    cohort->fresh[m % MINUTES] = 0;
  }
  cohort->minute = minute > cohort->minute ? minute : cohort->minute;
  if (hour > cohort->hour) {
    float *usual = &cohort->usual[cohort->hour % HOURS];
    if (cohort->hour != 0 && cohort->alert == NULL) { // an outage teaches nothing
      *usual += (float)((cohort->this_hour - (double)*usual) * day_weight);
    }
    cohort->this_hour = 0;
    cohort->hour = hour;
  }
}

static uint32_t fresh(const struct cohort *cohort) {
  uint32_t sum = 0;
  for (int i = 0; i < MINUTES; i++) {
    sum += cohort->fresh[i];
  }
  return sum;
}

// Whether so many of it who went in the last minutes are beyond what is usual.
static bool is_outage(const struct cohort *cohort, uint32_t went) {
  double expected = usual_an_hour(cohort, cohort->hour) * MINUTES / 60;
  double there = (double)cohort->members - cohort->absent + went;
  return went >= LEAST && went >= share_least * there && went >= expected + above * sqrt(expected) + 1;
}

// --- who goes and comes

void cohorts_absent(struct cohorts *cohorts, struct device *device, int64_t at, bool maintained) {
  if (!maintained) {
    cohorts->recent[cohorts->next] = (struct gone){.device = device, .at = at};
    cohorts->next = (cohorts->next + 1) % RECENT_MOST;
    cohorts->count += cohorts->count < RECENT_MOST;
  }
  for (int a = 0; a < ATTRIBUTES; a++) {
    struct cohort *cohort = cohort_of(cohorts, device, (enum attribute)a);
    if (cohort == NULL) {
      continue;
    }
    cohort->absent++;
    if (maintained) {
      continue;
    }
    roll(cohort, at);
    uint16_t *now = &cohort->fresh[cohort->minute % MINUTES];
    *now = *now < UINT16_MAX ? (uint16_t)(*now + 1) : UINT16_MAX;
    cohort->this_hour++;
    if (cohorts->judge_at == 0 && cohort->alert == NULL && is_outage(cohort, fresh(cohort))) {
      cohorts->judge_at = at + SETTLE_S * second;
    }
  }
}

void cohorts_present(struct cohorts *cohorts, const struct device *device) {
  for (int a = 0; a < ATTRIBUTES; a++) {
    struct cohort *cohort = cohort_of(cohorts, device, (enum attribute)a);
    if (cohort != NULL && cohort->absent > 0) {
      cohort->absent--;
    }
  }
}

// --- the cause

static bool counts(const struct gone *gone, int64_t since) {
  return gone->at >= since && !gone->explained && gone->device->active && is_absent(gone->device);
}

// Tallies the recent ones that nothing explains yet, by cohort; returns how many there are.
static uint32_t tally(struct cohorts *cohorts, int64_t since) {
  uint32_t all = 0;
  for (struct cohort *cohort = cohorts->all; cohort != NULL; cohort = cohort->hh.next) {
    cohort->tally = 0;
  }
  for (size_t i = 0; i < cohorts->count; i++) {
    bool counted = counts(&cohorts->recent[i], since);
    all += counted;
    for (int a = 0; counted && a < ATTRIBUTES; a++) {
      struct cohort *cohort = cohort_of(cohorts, cohorts->recent[i].device, (enum attribute)a);
      if (cohort != NULL) {
        cohort->tally++;
      }
    }
  }
  return all;
}

struct cause {
  struct cohort *cohort;
  uint32_t went;
  double score; // F1
};

static struct cause find_cause(struct cohorts *cohorts, int64_t since) {
  struct cause best = {0};
  const uint32_t all = tally(cohorts, since);
  for (struct cohort *cohort = cohorts->all; cohort != NULL; cohort = cohort->hh.next) {
    uint32_t went = cohort->alert == NULL ? cohort->tally : 0;
    double there = fmax((double)cohort->members - cohort->absent + went, went);
    double score = went > 0 ? 2.0 * went / (there + all) : 0;
    bool better = score > best.score + 1e-9 ||
                  (best.cohort != NULL && fabs(score - best.score) <= 1e-9 && cohort->key.attribute < best.cohort->key.attribute);
    if (is_outage(cohort, went) && better) {
      best = (struct cause){.cohort = cohort, .went = went, .score = score};
    }
  }
  return best;
}

static json_t *mark_explained(struct cohorts *cohorts, const struct cohort *cohort, int64_t since) {
  json_t *names = json_array();
  for (size_t i = 0; i < cohorts->count; i++) {
    struct gone *gone = &cohorts->recent[i];
    if (counts(gone, since) && attribute_of(gone->device, cohort->key.attribute) == cohort->key.value) {
      gone->explained = true;
      if (json_array_size(names) < NAMED) {
        json_array_append_new(names, json_string(device_credential(gone->device)));
      }
    }
  }
  return names;
}

static void raise(struct cohorts *cohorts, struct context *context, const struct cause *cause, int64_t since) {
  struct cohort *cohort = cause->cohort;
  char words[160];
  char key[160];
  double expected = usual_an_hour(cohort, cohort->hour) * MINUTES / 60;
  uint32_t there = cohort->members - cohort->absent + cause->went;
  if (cohort->one == NULL ||
      (cohort->alert = strdup(attribute_key(cohort->one, cohort->key.attribute, key, sizeof key))) == NULL) {
    return;
  }
  cohort->went = cause->went;
  cohort->absent_before = cohort->absent > cause->went ? cohort->absent - cause->went : 0;
  attribute_words(context, cohort->one, cohort->key.attribute, words, sizeof words);
  json_t *names = mark_explained(cohorts, cohort, since);
  fleet_alert_raise(context, ALERT_COHORT_SILENT, cohort->alert, SEVERITY_CRITICAL, context->now,
                    (struct explanation){
                        .observed = json_pack("{s:s, s:i, s:i, s:f, s:o}", "cohort", words, "silent", (int)cause->went, "of",
                                              (int)there, "explains", cause->score, "devices", names),
                        .expected = json_pack("{s:f}", "silent_within_ten_minutes", expected),
                        .baseline = json_pack("{s:s}", "of", "this cohort's own absences at this hour of the day"),
                        .clears_when = "nine in ten of them are heard again",
                    },
                    "%u of %u devices of %s fell silent within %d minutes; usual are %.1f.", cause->went, there, words, MINUTES,
                    expected);
}

static void judge(struct cohorts *cohorts, struct context *context) {
  const int64_t since = context->now - (MINUTES * 60 + SETTLE_S) * second;
  for (int i = 0; i < CAUSES_MOST; i++) {
    struct cause cause = find_cause(cohorts, since);
    if (cause.cohort == NULL || (i > 0 && cause.score < explained)) {
      return;
    }
    raise(cohorts, context, &cause, since);
  }
}

static void look_at_alerts(struct cohorts *cohorts, struct context *context) {
  for (struct cohort *cohort = cohorts->all; cohort != NULL; cohort = cohort->hh.next) {
    if (cohort->alert != NULL && cohort->absent <= cohort->absent_before + over * cohort->went) {
      fleet_alert_clear(context, ALERT_COHORT_SILENT, cohort->alert, context->now, "nine in ten of them are heard again");
      free(cohort->alert);
      cohort->alert = NULL;
    }
  }
}

// Which alerts are live, as the store says.
static void take_up(struct cohorts *cohorts, const struct context *context) {
  char key[160];
  cohorts->anew = false;
  for (struct cohort *cohort = cohorts->all; cohort != NULL; cohort = cohort->hh.next) {
    free(cohort->alert);
    cohort->alert = NULL;
    if (cohort->one != NULL &&
        fleet_alert_live(context, ALERT_COHORT_SILENT, attribute_key(cohort->one, cohort->key.attribute, key, sizeof key))) {
      cohort->alert = strdup(key);
      cohort->went = cohort->members;
      cohort->absent_before = 0;
    }
  }
}

void cohorts_advance(struct cohorts *cohorts, struct context *context) {
  if (cohorts->stale && (cohorts->anew || context->now - cohorts->counted_at >= COUNTED_S * second)) {
    recount(cohorts, context);
  }
  if (cohorts->anew) {
    take_up(cohorts, context);
  }
  if (cohorts->judge_at != 0 && context->now >= cohorts->judge_at && !context_recovering(context)) {
    cohorts->judge_at = 0;
    judge(cohorts, context);
  }
  if (context->now - cohorts->looked_at >= second) {
    cohorts->looked_at = context->now;
    look_at_alerts(cohorts, context);
  }
}
