// How a group is analysed: batch by batch, each with what it says of time and of our own health.
#include "analysis/worker_internal.h"

#include "common/log.h"

#include <inttypes.h>

// Event time is where the slowest live worker stands; we see since the last of them began to.
static void advance_time(struct worker *worker) {
  int64_t since;
  int64_t now = clocks_low(worker->clocks, &since);
  if (now != INT64_MAX) {
    context_advance(&worker->context, now, since);
    health_advance(&worker->health, &worker->context, now, since);
  }
}

static void tell_loss(struct worker *worker, const struct feed_batch *batch) {
  struct device *self = fleet_find(&worker->fleet, 0);
  int64_t records = batch->next_record - batch->first_record;
  if (self == NULL || batch->kind != 'l') {
    return;
  }
  alert_raise(&worker->context, self, ALERT_RECORDS_LOST, SEVERITY_CRITICAL, batch->received_to,
              (struct explanation){.observed = json_pack("{s:I, s:i, s:I}", "records", (json_int_t)records, "feed",
                                                         (int)batch->feed, "first_record", (json_int_t)batch->first_record),
                                   .expected = json_pack("{s:i}", "records", 0),
                                   .baseline = json_pack("{s:s}", "of", "fixed rule: what is journaled is stored"),
                                   .clears_when = "a person acknowledges it"},
              "At least %" PRId64 " journaled messages of feed %" PRId32
              " are not in the store, and its journal cannot bring them any more.",
              records, batch->feed);
}

static void check_rows(struct worker *worker, const struct feed_batch *batch, int32_t seen) {
  struct device *self = fleet_find(&worker->fleet, 0);
  if (seen == batch->rows || self == NULL) {
    return;
  }
  log_error("a batch's rows do not add up", "feed=%" PRId32 " batch=%" PRId64 " rows=%" PRId32 " seen=%" PRId32, batch->feed,
            batch->number, batch->rows, seen);
  alert_raise(
      &worker->context, self, ALERT_ROWS_MISSING, SEVERITY_CRITICAL, batch->received_to,
      (struct explanation){.observed = json_pack("{s:i}", "rows", (int)seen),
                           .expected = json_pack("{s:i}", "rows", (int)batch->rows),
                           .baseline = json_pack("{s:s}", "of", "fixed rule: a batch has the rows that its worker counted"),
                           .clears_when = "a person acknowledges it"},
      "Batch %" PRId64 " of feed %" PRId32 " has %" PRId32 " rows, its worker counted %" PRId32 ".", batch->number, batch->feed,
      seen, batch->rows);
}

static void pass_clock(struct worker *worker, const struct feed_batch *batch) {
  struct clock *clock = clocks_get(&worker->clocks, batch->feed);
  if (clock == NULL) {
    return;
  }
  clock->number = batch->number;
  if (batch->retired) {
    clocks_remove(&worker->clocks, batch->feed); // it holds time back no longer
    return;
  }
  clock->received_to = batch->received_to;
  clock->seeing_since = batch->seeing_since;
}

bool worker_knows_all(const struct worker *worker) {
  const struct group *group = &worker->group;
  bool all = true;
  for (size_t i = 0; all && i < group->noted_count; i++) {
    const struct observation *o = &group->noted[i].observation;
    all = fleet_find(&worker->fleet, o->device) != NULL &&
          (o->publisher == o->device || fleet_find(&worker->fleet, o->publisher) != NULL);
  }
  return all;
}

// What a batch brings may have waited while its worker was away: the detectors have to know that before they are shown it, not
// with the next advance of time, or they take the backlog for what is sent now, and the outage for the devices' own gaps.
static void pass_sight(struct worker *worker, const struct feed_batch *batch) {
  struct clock *clock = clocks_get(&worker->clocks, batch->feed);
  int64_t since;
  if (clock == NULL || worker->context.now == 0 || batch->seeing_since <= clock->seeing_since) {
    return;
  }
  clock->seeing_since = batch->seeing_since;
  clocks_low(worker->clocks, &since);
  context_advance(&worker->context, worker->context.now, since);
}

bool worker_analyse(struct worker *worker, bool replay) {
  struct group *group = &worker->group;
  size_t at = 0;
  if (!group_sort(group)) {
    return false;
  }
  worker->context.suppressed = replay;
  for (size_t i = 0; i < group->count; i++) {
    pass_sight(worker, &group->batches[i]);
    for (; at < group->noted_count && group->order[at]->batch == i; at++) {
      context_observe(&worker->context, &group->order[at]->observation);
      worker->stats.reports += group->order[at]->observation.kind == OBSERVE_REPORT && !replay;
    }
    tell_loss(worker, &group->batches[i]);
    check_rows(worker, &group->batches[i], group->seen[i]);
    pass_clock(worker, &group->batches[i]);
    health_batch(&worker->health, &worker->context, group->batches[i].received_to, group->batches[i].committed_at);
    advance_time(worker);
    worker->step = replay ? group->batches[i].step : worker->step + 1;
    group->batches[i].step = worker->step;
  }
  worker->stats.observations += group->noted_count;
  return true;
}
