#include "ingest/commit.h"

#include "ingest/summary.h"

// The clocks that were measured anew.
struct clocks {
  struct list *devices, *ahead, *drift, *times;
};

static bool clocks_measure(struct clocks *clocks, const struct batch *batch) {
  *clocks = (struct clocks){list_new(), list_new(), list_new(), list_new()};
  if (!clocks->devices || !clocks->ahead || !clocks->drift || !clocks->times) {
    return false;
  }
  for (size_t i = 0; i < batch->count; i++) {
    const struct message *message = &batch->messages[i];
    struct device *device = message->device;
    const Vedette__V1__Report *report = message->report;
    bool tells = message->outcome == OUTCOME_STORED && report != NULL && report->time > 0 && !message_historical(message) &&
                 !(message->marks & MARK_NO_CLOCK) && device == message->publisher;
    if (tells && clock_offset_observe(&device->clock, message->record.received, report->time)) {
      list_int(clocks->devices, device->id);
      list_int(clocks->ahead, device->clock.ahead);
      list_int(clocks->drift, (int64_t)((double)device->clock.drift * 1000));
      list_int(clocks->times, device->clock.measured);
    }
  }
  return true;
}

static void clocks_free(struct clocks *clocks) {
  list_free(clocks->devices);
  list_free(clocks->ahead);
  list_free(clocks->drift);
  list_free(clocks->times);
}

static struct script *make_script(const struct commit *commit, const struct batch *batch, const struct summary *summary,
                                  const struct sequence_lists *sequences, const struct clocks *clocks) {
  struct batch_counts counts = batch_count(batch);
  struct intake_batch row = {.erasure = commit->erasure,
                             .feed = commit->at->feed,
                             .number = commit->at->number,
                             .first_record = batch->first,
                             .next_record = batch->next,
                             .journaled = commit->journaled,
                             .received_to = commit->received_to,
                             .seeing_since = commit->seeing_since,
                             .reports = counts.reports,
                             .rows = counts.rows,
                             .connectivity = counts.connectivity,
                             .duplicates = counts.duplicates,
                             .rejected = counts.rejected,
                             .shed = counts.shed,
                             .days = summary->days,
                             .report = &batch->reports,
                             .traffic = &batch->traffic,
                             .event = &batch->events,
                             .firmware = &batch->firmware,
                             .connectivity_rows = &batch->connectivity,
                             .letters = &batch->letters,
                             .unkept_devices = summary->unkept_devices,
                             .unkept_reasons = summary->unkept_reasons,
                             .unkept_counts = summary->unkept_counts,
                             .ledger_devices = summary->devices,
                             .ledger_minutes = summary->minutes,
                             .ledger_terms = summary->terms,
                             .ledger_reasons = summary->reasons,
                             .ledger_counts = summary->counts,
                             .book_minutes = summary->book_minutes,
                             .received = summary->received,
                             .stored = summary->stored,
                             .duplicate = summary->duplicate,
                             .rejected_by_minute = summary->rejected,
                             .shed_by_minute = summary->shed,
                             .dead_letters = summary->letters,
                             .clock_devices = clocks->devices,
                             .clocks_ahead = clocks->ahead,
                             .clock_drifts = clocks->drift,
                             .clock_times = clocks->times};
  struct intake_sequences noted = {.publishers = sequences->publishers,
                                   .boots = sequences->boots,
                                   .firsts = sequences->firsts,
                                   .lasts = sequences->lasts,
                                   .sheds = sequences->sheds,
                                   .kept = sequences->kept,
                                   .stored = commit->stored,
                                   .arg = commit->arg};
  row.sequences = commit->sequences != NULL ? &noted : NULL;
  return intake_batch(&row);
}

struct script *commit_script(const struct commit *commit, const struct batch *batch) {
  struct script *script = NULL;
  struct summary summary = {0};
  struct clocks clocks = {0};
  struct sequence_lists sequences = {0};
  if (summary_make(&summary, batch) && clocks_measure(&clocks, batch) &&
      (commit->sequences == NULL || sequences_list(commit->sequences, &sequences))) {
    script = make_script(commit, batch, &summary, &sequences, &clocks);
  }
  summary_free(&summary);
  clocks_free(&clocks);
  sequence_lists_free(&sequences);
  return script;
}
