#include "ingest/lag.h"

static void observe_message(struct lag *lag, const struct message *message, int64_t now) {
  const Vedette__V1__Report *report = message->report;
  int64_t received = message->record.received;
  if (message->outcome != OUTCOME_STORED || report == NULL) {
    return;
  }
  histogram_time(&lag->received_committed, now - received);
  if (!message_historical(message) && time_marks(report->time, received, false) == 0) {
    histogram_time(&lag->device_received, received - report->time);
    histogram_time(&lag->device_committed, now - report->time);
  }
}

void lag_observe(struct lag *lag, const struct batch *batch, int64_t now, int64_t transaction) {
  if (batch->count == 0) {
    return;
  }
  histogram_size(&lag->batch_records, batch->count);
  histogram_time(&lag->transaction, transaction);
  for (size_t i = 0; i < batch->count; i++) {
    observe_message(lag, &batch->messages[i], now);
  }
}

void lag_write(struct evbuffer *out, const struct lag *lag) {
  histogram_write_times(out, "vedette_ingest_device_to_received_seconds",
                        "From a report's device time to its receipt, of reports whose clock is good.", &lag->device_received);
  histogram_write_times(out, "vedette_ingest_received_to_committed_seconds", "From the receipt of a report to its commit.",
                        &lag->received_committed);
  histogram_write_times(out, "vedette_ingest_device_to_committed_seconds",
                        "From a report's device time to its commit, of reports whose clock is good.", &lag->device_committed);
  histogram_write_sizes(out, "vedette_ingest_batch_records", "Journal records of a committed batch.", &lag->batch_records);
  histogram_write_times(out, "vedette_ingest_transaction_seconds", "Time that the transaction of a batch took.",
                        &lag->transaction);
}
