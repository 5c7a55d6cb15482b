#include "analysis/group.h"

#include "storage/intake.h"
#include "storage/marks.h"

#include <stdlib.h>
#include <string.h>

enum { VALUES_FIRST = 8192 };

void group_reset(struct group *group) {
  group->count = 0;
  group->rows = 0;
  group->noted_count = 0;
  group->value_count = 0;
  group->full = false;
  group->failed = false;
  memset(group->seen, 0, sizeof group->seen);
}

void group_free(struct group *group) {
  free(group->noted);
  free((void *)group->order);
  free(group->metrics);
  free(group->values);
  *group = (struct group){0};
}

bool group_add(struct group *group, const struct feed_batch *batch) {
  int64_t rows = (int64_t)batch->rows + batch->others;
  group->full = group->full || group->count == GROUP_BATCHES || (group->count > 0 && group->rows + rows > GROUP_ROWS);
  if (group->full) {
    return false;
  }
  group->batches[group->count++] = *batch;
  group->rows += rows;
  return true;
}

bool group_has_rows(const struct group *group) {
  return group->rows > 0;
}

struct list *group_keys(const struct group *group) {
  struct list *keys = list_new();
  for (size_t i = 0; keys != NULL && i < group->count; i++) {
    list_int(keys, intake_batch_key(group->batches[i].feed, group->batches[i].number));
  }
  return keys;
}

static size_t find_batch(const struct group *group, int64_t key) {
  size_t at = 0;
  while (at < group->count && intake_batch_key(group->batches[at].feed, group->batches[at].number) != key) {
    at++;
  }
  return at;
}

static struct noted *append(struct group *group) {
  if (group->noted_count == group->noted_room) {
    size_t room = group->noted_room ? group->noted_room * 2 : 1024;
    struct noted *grown = realloc(group->noted, room * sizeof *grown);
    if (grown == NULL) {
      group->failed = true;
      return NULL;
    }
    group->noted = grown;
    group->noted_room = room;
  }
  return &group->noted[group->noted_count++];
}

void group_expect(struct group *group, int64_t key, int32_t rows) {
  size_t batch = find_batch(group, key);
  if (batch < group->count) {
    group->batches[batch].rows = rows;
  }
}

static bool make_value_room(struct group *group, size_t more) {
  size_t room = group->value_room > 0 ? group->value_room : VALUES_FIRST;
  while (room < group->value_count + more) {
    room *= 2;
  }
  if (room == group->value_room) {
    return true;
  }
  int32_t *metrics = realloc(group->metrics, room * sizeof *metrics);
  group->metrics = metrics != NULL ? metrics : group->metrics;
  double *values = metrics != NULL ? realloc(group->values, room * sizeof *values) : NULL;
  group->values = values != NULL ? values : group->values;
  group->value_room = values != NULL ? room : group->value_room;
  return values != NULL;
}

// Where they lie is known when all are noted: see group_sort.
static void note_values(struct group *group, struct noted *noted, const struct feed_row *row) {
  size_t count = (size_t)row->value_count;
  if (!make_value_room(group, count)) {
    group->failed = true;
    return;
  }
  noted->first = group->value_count;
  noted->observation.values.count = (uint32_t)count;
  memcpy(&group->metrics[noted->first], row->metrics, count * sizeof *row->metrics);
  memcpy(&group->values[noted->first], row->values, count * sizeof *row->values);
  group->value_count += count;
}

void group_note(struct group *group, const struct feed_row *row) {
  size_t batch = find_batch(group, row->batch);
  if (batch == group->count) {
    return;
  }
  if (row->kind == FEED_REPORT) {
    group->seen[batch]++;
    if (row->size == 0) {
      return; // a further row of a message
    }
  }
  struct noted *noted = append(group);
  if (noted == NULL) {
    return;
  }
  static const enum observation_kind kinds[] = {OBSERVE_CONNECTIVITY, OBSERVE_REPORT,      OBSERVE_EVENT,
                                                OBSERVE_FIRMWARE,     OBSERVE_DEAD_LETTER, OBSERVE_UNKEPT,
                                                OBSERVE_LEVEL,        OBSERVE_TRAFFIC,     OBSERVE_VALUES};
  *noted = (struct noted){.batch = batch, .place = group->noted_count};
  struct observation *o = &noted->observation;
  o->kind = kinds[row->kind];
  o->device = row->device;
  o->publisher = row->publisher;
  o->time = row->time;
  o->received = row->received;
  o->boot = row->boot;
  o->sequence = row->sequence;
  o->marks = row->marks;
  o->size = row->size;
  o->code = row->code;
  o->count = row->count;
  o->level = row->level;
  o->until = row->until;
  o->retained = row->retained;
  o->will = row->kind == FEED_CONNECTIVITY && strcmp(row->text, "will") == 0;
  o->hashed = row->hash != NULL;
  if (row->hash != NULL) {
    memcpy(o->hash, row->hash, FIRMWARE_HASH);
  }
  if (row->kind == FEED_TRAFFIC) {
    const struct feed_traffic *t = &row->traffic;
    o->traffic = (struct observed_traffic){t->span,       t->bytes_out,   t->bytes_in,     t->packets_out,
                                           t->packets_in, t->connections, t->destinations, t->listening};
    return;
  }
  if (row->kind == FEED_VALUES) {
    note_values(group, noted, row);
    return;
  }
  // Subjects have at most 128 bytes, versions 64; details are ASCII: cutting never splits a character.
  size_t length = row->text_length < OBSERVATION_TEXT - 1 ? row->text_length : OBSERVATION_TEXT - 1;
  memcpy(o->text, row->text, length);
}

static int compare(const void *a, const void *b) {
  const struct noted *x = *(struct noted *const *)a;
  const struct noted *y = *(struct noted *const *)b;
  if (x->batch != y->batch) {
    return x->batch < y->batch ? -1 : 1;
  }
  if (x->observation.received != y->observation.received) {
    return x->observation.received < y->observation.received ? -1 : 1;
  }
  return x->place < y->place ? -1 : 1;
}

static int compare_keys(const void *a, const void *b) {
  const struct observation *x = &(*(struct noted *const *)a)->observation;
  const struct observation *y = &(*(struct noted *const *)b)->observation;
  const int64_t left[] = {x->device, x->time, x->publisher, x->boot, x->sequence};
  const int64_t right[] = {y->device, y->time, y->publisher, y->boot, y->sequence};
  int order = 0;
  for (size_t i = 0; order == 0 && i < sizeof left / sizeof left[0]; i++) {
    order = (left[i] > right[i]) - (left[i] < right[i]);
  }
  return order;
}

// Traffic came with a report, and is as old and as present as that. One without (it was erased meanwhile) is shown to nobody.
// Uses `order`.
static void join_traffic(struct group *group) {
  size_t reports = 0;
  bool any = false;
  for (size_t i = 0; i < group->noted_count; i++) {
    any = any || group->noted[i].observation.kind == OBSERVE_TRAFFIC;
    if (group->noted[i].observation.kind == OBSERVE_REPORT) {
      group->order[reports++] = &group->noted[i];
    }
  }
  if (!any) {
    return;
  }
  qsort((void *)group->order, reports, sizeof(void *), compare_keys);
  for (size_t i = 0; i < group->noted_count; i++) {
    struct noted *traffic = &group->noted[i];
    if (traffic->observation.kind == OBSERVE_TRAFFIC) {
      struct noted **found =
          (struct noted **)bsearch((void *)&traffic, (void *)group->order, reports, sizeof(void *), compare_keys);
      traffic->observation.received = found != NULL ? (*found)->observation.received : 0;
      traffic->observation.marks = found != NULL ? (*found)->observation.marks : MARK_HISTORICAL;
    }
  }
}

bool group_sort(struct group *group) {
  if (group->failed) {
    return false;
  }
  struct noted **order = (struct noted **)realloc((void *)group->order, (group->noted_count + 1) * sizeof(void *));
  if (order == NULL) {
    return false;
  }
  group->order = order;
  join_traffic(group);
  for (size_t i = 0; i < group->noted_count; i++) {
    struct observation *o = &group->noted[i].observation;
    if (o->kind == OBSERVE_VALUES) {
      o->values.metrics = &group->metrics[group->noted[i].first];
      o->values.values = &group->values[group->noted[i].first];
    }
    order[i] = &group->noted[i];
  }
  qsort((void *)order, group->noted_count, sizeof(void *), compare);
  return true;
}
