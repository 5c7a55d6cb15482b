#include "ingest/summary.h"

#include <stdlib.h>
#include <string.h>

struct exception {
  int32_t device;
  int64_t minute; // Unix microseconds; 0 where no minute is asked for
  const char *term;
  int reason;
  int64_t count;
};

static int compare_exceptions(const void *a, const void *b) {
  const struct exception *x = a;
  const struct exception *y = b;
  if (x->device != y->device) {
    return x->device < y->device ? -1 : 1;
  }
  if (x->minute != y->minute) {
    return x->minute < y->minute ? -1 : 1;
  }
  int terms = strcmp(x->term, y->term);
  return terms != 0 ? terms : x->reason - y->reason;
}

// Sorts exceptions and adds up those that are alike. Returns how many remain.
static size_t merge(struct exception *list, size_t count) {
  size_t merged = 0;
  qsort(list, count, sizeof *list, compare_exceptions);
  for (size_t i = 0; i < count; i++) {
    if (merged > 0 && compare_exceptions(&list[merged - 1], &list[i]) == 0) {
      list[merged - 1].count++;
    } else {
      list[merged++] = list[i];
    }
  }
  return merged;
}

static const char *term_of(enum outcome outcome) {
  switch (outcome) {
  case OUTCOME_DUPLICATE: return "duplicate";
  case OUTCOME_SHED: return "shed";
  default: return "rejected";
  }
}

// One exception a message that is not stored. Returns how many.
static size_t gather_exceptions(const struct batch *batch, struct exception *out) {
  const int64_t minute = 60 * INT64_C(1000000);
  size_t count = 0;
  for (size_t i = 0; i < batch->count; i++) {
    const struct message *message = &batch->messages[i];
    if (message->outcome != OUTCOME_STORED) {
      out[count] = (struct exception){
          .device = message->publisher ? message->publisher->id : 0,
          .minute = message->record.received - message->record.received % minute,
          .term = term_of(message->outcome),
          .reason = message->outcome == OUTCOME_DUPLICATE ? 0 : (int)message->verdict.reason,
          .count = 1,
      };
      count++;
    }
  }
  return merge(out, count);
}

// What analysis would not learn from rows or dead letters. Returns how many.
static size_t gather_unkept(const struct batch *batch, struct exception *out) {
  size_t count = 0;
  for (size_t i = 0; i < batch->count; i++) {
    const struct message *message = &batch->messages[i];
    bool dropped = message->outcome == OUTCOME_REJECTED && message->letter == LETTER_DROPPED;
    if (message->publisher != NULL && (dropped || message->outcome == OUTCOME_SHED)) {
      out[count] =
          (struct exception){.device = message->publisher->id, .term = "", .reason = (int)message->verdict.reason, .count = 1};
      count++;
    }
  }
  return merge(out, count);
}

static void list_days(struct list *days, const struct batch *batch) {
  enum { SEEN = 16 };
  int64_t seen[SEEN];
  size_t count = 0;
  for (size_t i = 0; i < batch->row_count; i++) {
    int64_t day = batch->rows[i].time / INT64_C(86400000000);
    size_t at = 0;
    while (at < count && seen[at] != day) {
      at++;
    }
    if (at == count) {
      list_int(days, day);
      if (count < SEEN) {
        seen[count++] = day;
      } // beyond, a day may be listed twice, which harms nobody
    }
  }
}

bool summary_make(struct summary *summary, const struct batch *batch) {
  struct list **all[] = {&summary->days,    &summary->devices,        &summary->minutes,        &summary->terms,
                         &summary->reasons, &summary->counts,         &summary->book_minutes,   &summary->received,
                         &summary->stored,  &summary->duplicate,      &summary->rejected,       &summary->shed,
                         &summary->letters, &summary->unkept_devices, &summary->unkept_reasons, &summary->unkept_counts};
  bool whole = true;
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    *all[i] = list_new();
    whole &= *all[i] != NULL;
  }
  struct exception *exceptions = region_zalloc(batch->scratch, batch->count, sizeof *exceptions);
  if (!whole || exceptions == NULL) {
    return false;
  }
  list_days(summary->days, batch);
  size_t count = gather_exceptions(batch, exceptions);
  for (size_t i = 0; i < count; i++) {
    list_int(summary->devices, exceptions[i].device);
    list_int(summary->minutes, exceptions[i].minute);
    list_text(summary->terms, exceptions[i].term);
    list_int(summary->reasons, exceptions[i].reason);
    list_int(summary->counts, exceptions[i].count);
  }
  for (size_t i = 0; i < batch->minute_count; i++) {
    list_int(summary->book_minutes, batch->minutes[i].start);
    list_int(summary->received, (int64_t)batch->minutes[i].received);
    list_int(summary->stored, (int64_t)batch->minutes[i].stored);
    list_int(summary->duplicate, (int64_t)batch->minutes[i].duplicate);
    list_int(summary->rejected, (int64_t)batch->minutes[i].rejected);
    list_int(summary->shed, (int64_t)batch->minutes[i].shed);
    list_int(summary->letters, (int64_t)batch->minutes[i].letters);
  }
  count = gather_unkept(batch, exceptions);
  for (size_t i = 0; i < count; i++) {
    list_int(summary->unkept_devices, exceptions[i].device);
    list_int(summary->unkept_reasons, exceptions[i].reason);
    list_int(summary->unkept_counts, exceptions[i].count);
  }
  return true;
}

void summary_free(struct summary *summary) {
  list_free(summary->days);
  list_free(summary->devices);
  list_free(summary->minutes);
  list_free(summary->terms);
  list_free(summary->reasons);
  list_free(summary->counts);
  list_free(summary->book_minutes);
  list_free(summary->received);
  list_free(summary->stored);
  list_free(summary->duplicate);
  list_free(summary->rejected);
  list_free(summary->shed);
  list_free(summary->letters);
  list_free(summary->unkept_devices);
  list_free(summary->unkept_reasons);
  list_free(summary->unkept_counts);
}
