// From messages to rows: samples grouped by time, sorted by key.
#include "ingest/batch.h"

#include <stdlib.h>
#include <string.h>

struct point {
  int64_t time;
  int32_t metric;
  const Vedette__V1__Sample *sample;
};

static int compare_points(const void *a, const void *b) {
  const struct point *x = a;
  const struct point *y = b;
  if (x->time != y->time) {
    return x->time < y->time ? -1 : 1;
  }
  return (x->metric > y->metric) - (x->metric < y->metric);
}

#define COMPARE(x, y)                                                                                                            \
  if ((x) != (y)) {                                                                                                              \
    return (x) < (y) ? -1 : 1;                                                                                                   \
  }

// By what a report is told by; equal ones by journal record. One order for all workers: crossed keys would deadlock.
static int compare_rows(const void *a, const void *b) {
  const struct row *x = a;
  const struct row *y = b;
  COMPARE(x->message->device->id, y->message->device->id)
  COMPARE(x->time, y->time)
  COMPARE(x->message->publisher->id, y->message->publisher->id)
  COMPARE(x->message->boot, y->message->boot)
  COMPARE(x->message->sequence, y->message->sequence)
  COMPARE(x->message->record.number, y->message->record.number)
  return 0;
}

static bool same_key(const struct row *x, const struct row *y) {
  return x->message->device == y->message->device && x->time == y->time && x->message->publisher == y->message->publisher &&
         x->message->boot == y->message->boot && x->message->sequence == y->message->sequence;
}

// Numbers a message's samples; rejects the message if a metric got no number. False: rejected.
static bool make_points(struct batch *batch, struct message *message, struct point *points) {
  const Vedette__V1__Report *report = message->report;
  for (size_t i = 0; i < report->n_samples; i++) {
    const Vedette__V1__Sample *sample = report->samples[i];
    const struct metric *metric = model_metric(message->device->model, sample->metric);
    if (metric == NULL || metric->id <= 0) {
      message_reject(message, VEDETTE__V1__REASON__REASON_TOO_MANY_METRICS,
                     region_printf(batch->region, "%s: the model has its %d metrics already", sample->metric, METRICS_LIMIT));
      return false;
    }
    points[i] = (struct point){.time = sample->time ? sample->time : report->time, .metric = metric->id, .sample = sample};
  }
  qsort(points, report->n_samples, sizeof *points, compare_points);
  for (size_t i = 1; i < report->n_samples; i++) {
    if (points[i].time == points[i - 1].time && points[i].metric == points[i - 1].metric) {
      message_reject(message, VEDETTE__V1__REASON__REASON_VALUE,
                     region_printf(batch->region, "%s stands twice at one time", points[i].sample->metric));
      return false;
    }
  }
  return true;
}

// One row from `count` points that share a time. False when memory ran out.
static bool make_row(struct batch *batch, struct message *message, const struct point *points, size_t count, int64_t time,
                     bool first) {
  struct row *row = &batch->rows[batch->row_count++];
  int marks = time_marks(time, message->record.received, message_historical(message)) | message->marks;
  *row = (struct row){.message = message, .time = time, .marks = (int16_t)marks, .first = first, .count = count};
  row->metrics = region_zalloc(batch->scratch, count, sizeof *row->metrics);
  row->samples = region_zalloc(batch->scratch, count, sizeof(Vedette__V1__Sample *));
  if (row->metrics == NULL || row->samples == NULL) {
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    row->metrics[i] = points[i].metric;
    row->samples[i] = points[i].sample;
  }
  row->set = count > 0 ? device_set(message->device, row->metrics, count) : NULL;
  return true;
}

static bool has_time(const struct point *points, size_t count, int64_t time) {
  size_t at = 0;
  while (at < count && points[at].time != time) {
    at++;
  }
  return at < count;
}

// A message always has a row at its own time, if need be one without samples: that row's key is the message's, under which its
// traffic, events and firmware are kept, and by which a repeat is told.
static bool make_rows(struct batch *batch, struct message *message) {
  const Vedette__V1__Report *report = message->report;
  size_t count = report->n_samples;
  struct point *points = region_zalloc(batch->scratch, count, sizeof *points);
  if (points == NULL) {
    return false;
  }
  if (!make_points(batch, message, points)) {
    return true;
  }
  bool own = !has_time(points, count, report->time);
  if (own && !make_row(batch, message, NULL, 0, report->time, true)) {
    return false;
  }
  for (size_t from = 0, to; from < count; from = to) {
    for (to = from + 1; to < count && points[to].time == points[from].time; to++) {}
    if (!make_row(batch, message, points + from, to - from, points[from].time, from == 0 && !own)) {
      return false;
    }
  }
  return true;
}

// Drops the rows of messages that are not to be stored (any more).
static void keep_stored(struct batch *batch) {
  size_t kept = 0;
  for (size_t i = 0; i < batch->row_count; i++) {
    if (batch->rows[i].message->outcome == OUTCOME_STORED) {
      batch->rows[kept++] = batch->rows[i];
    }
  }
  batch->row_count = kept;
}

static void mark_repeats(struct batch *batch) {
  const struct row *kept = NULL;
  for (size_t i = 0; i < batch->row_count; i++) {
    struct row *row = &batch->rows[i];
    if (row->message->outcome != OUTCOME_STORED) {
      continue;
    }
    if (kept != NULL && same_key(kept, row)) {
      if (kept->message->digest == row->message->digest) {
        row->message->outcome = OUTCOME_DUPLICATE;
      } else {
        message_reject(row->message, VEDETTE__V1__REASON__REASON_CONFLICT, "same boot, sequence and time, another content");
      }
      continue;
    }
    kept = row;
  }
}

bool batch_rows(struct batch *batch) {
  size_t most = 0;
  for (size_t i = 0; i < batch->count; i++) {
    const struct message *message = &batch->messages[i];
    if (message->outcome == OUTCOME_STORED && message->report != NULL) {
      most += message->report->n_samples + 1;
    }
  }
  batch->row_count = 0;
  region_reset(batch->scratch);
  batch->rows = region_zalloc(batch->scratch, most, sizeof *batch->rows);
  if (batch->rows == NULL) {
    return false;
  }
  for (size_t i = 0; i < batch->count; i++) {
    struct message *message = &batch->messages[i];
    if (message->outcome == OUTCOME_STORED && message->report != NULL && !make_rows(batch, message)) {
      return false;
    }
  }
  keep_stored(batch);
  qsort(batch->rows, batch->row_count, sizeof *batch->rows, compare_rows);
  mark_repeats(batch);
  keep_stored(batch);
  return true;
}
