// vedette-ingest: MQTT session → journal → store. This file puts the parts together and looks after their health.
#include "common/daemon.h"
#include "common/http.h"
#include "common/log.h"
#include "ingest/collector.h"
#include "ingest/session.h"
#include "ingest/writer.h"
#include "vedette/v1/telemetry.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WATCH_MS = 1000, EXIT_CONFIGURATION = 2 };

struct ingest {
  struct config *config;
  struct mappings *mappings;
  struct loop *loop;
  struct loop_bell *changed; // rung by the journal's sync thread
  struct journal *journal;
  struct tombstones *tombstones;
  struct session *session;
  struct writer *writer;
  struct http *http;
  struct event *watch;
  uint64_t pauses; // at the high mark, or for want of room
  bool full;       // we are away from the broker because the journal's disk has no room
};

static void on_drained(void *arg) {
  struct ingest *ingest = arg;
  loop_exit(ingest->loop);
}

static void on_session_stopped(void *arg) {
  struct ingest *ingest = arg;
  writer_drain(ingest->writer);
}

// First leave the broker, then commit what is journaled, then go.
static void on_stop(void *arg) {
  struct ingest *ingest = arg;
  session_stop(ingest->session, on_session_stopped, ingest);
}

static void on_reload(void *arg) {
  struct ingest *ingest = arg;
  session_reload(ingest->session);
}

static bool send_notice(const char *topic, const void *payload, size_t size, void *arg) {
  const struct ingest *ingest = arg;
  return session_notify(ingest->session, topic, payload, size);
}

static bool clear_retained(const char *topic, void *arg) {
  const struct ingest *ingest = arg;
  return session_clear(ingest->session, topic);
}

static int clearing(void *arg) {
  const struct ingest *ingest = arg;
  return session_clearing(ingest->session);
}

static void ring(void *arg) {
  loop_bell_ring(arg);
}

static int64_t seeing_since(int64_t received_to, void *arg) {
  const struct ingest *ingest = arg;
  int64_t since = session_since(ingest->session);
  return since == 0 || since > received_to ? received_to : since;
}

// Back-pressure: above the high mark, or when the journal's disk is full, we leave the broker, which keeps our session and
// queues; below the low mark and with room again we return.
static void balance(struct ingest *ingest) {
  const struct config_journal *marks = &ingest->config->ingest.journal;
  bool paused = session_paused(ingest->session);
  enum journal_room room = journal_room(ingest->journal);
  uint64_t pending = journal_pending_bytes(ingest->journal);
  bool above = pending > (uint64_t)(paused ? marks->low_mib : marks->high_mib) << 20;
  if (room == ROOM_NONE && !ingest->full) {
    log_error("the disk of the journal is full: away from the broker until there is room", "needed_mib=%" PRIu32,
              marks->segment_mib);
    ingest->full = true;
  } else if (room == ROOM_THERE && ingest->full) {
    log_info("the journal has room again", "");
    ingest->full = false;
  }
  if (!paused && above) {
    log_warn("the journal is above its high mark: leaving the broker", "pending_mib=%" PRIu64, pending >> 20);
  }
  if (!paused && (above || ingest->full)) {
    ingest->pauses++;
    session_pause(ingest->session);
  } else if (paused && !above && !ingest->full) {
    log_info("the journal can take more: back to the broker", "pending_mib=%" PRIu64, pending >> 20);
    session_resume(ingest->session);
  }
}

static void on_watch(evutil_socket_t fd, short what, void *arg) {
  (void)fd;
  (void)what;
  balance(arg);
}

static void on_journal(void *arg) {
  struct ingest *ingest = arg;
  balance(ingest);
  writer_wake(ingest->writer);
}

static const char *reason_label(size_t reason) {
  const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(&vedette__v1__reason__descriptor, (int)reason);
  return value ? value->name : "REASON_UNSPECIFIED";
}

static void gauge(struct evbuffer *out, const char *name, const char *help, double value) {
  http_metric(out, name, "gauge", help, "", value);
}

// Every queue with its bound, its marks and a counter of how often it was full.
static void write_queues(struct evbuffer *out, const struct ingest *ingest, const struct writer_stats *stats) {
  const struct config_ingest *config = &ingest->config->ingest;
  gauge(out, "vedette_ingest_journal_records", "Journaled messages not yet committed.",
        (double)(journal_head(ingest->journal) - stats->next_record));
  gauge(out, "vedette_ingest_journal_pending_bytes", "Journal not yet read for the store.",
        (double)journal_pending_bytes(ingest->journal));
  gauge(out, "vedette_ingest_journal_high_mark_bytes", "Pending bytes above which the worker leaves the broker.",
        (double)config->journal.high_mib * 1048576);
  gauge(out, "vedette_ingest_journal_low_mark_bytes", "Pending bytes below which it returns.",
        (double)config->journal.low_mib * 1048576);
  gauge(out, "vedette_ingest_paused", "1 while the worker stays away from the broker because of the high mark.",
        session_paused(ingest->session));
  http_metric(out, "vedette_ingest_pauses_total", "counter", "Times that the high mark was passed.", "", (double)ingest->pauses);
  gauge(out, "vedette_ingest_batch_fill_records", "Records in the batch under way.", (double)stats->batch_records);
  gauge(out, "vedette_ingest_batch_limit_records", "Records that end a batch.", (double)config->batch.records);
  gauge(out, "vedette_ingest_batch_memory_bytes", "Memory of the batch under way and of the one read ahead.",
        (double)stats->batch_memory);
  gauge(out, "vedette_ingest_batch_memory_most_bytes", "The most that they took when a batch was committed.",
        (double)stats->batch_memory_most);
  gauge(out, "vedette_ingest_batch_memory_limit_bytes", "Memory that they may take.", (double)collector_memory_limit());
  http_metric(out, "vedette_ingest_batches_crowded_total", "counter",
              "Batches that ended before their limit of records and age: no memory for another message, or too many minutes.", "",
              (double)stats->crowded);
}

static void write_metrics(struct evbuffer *out, void *arg) {
  const struct ingest *ingest = arg;
  struct writer_stats stats = writer_stats(ingest->writer);
  struct histogram synced;
  http_metric(out, "vedette_ingest_received_total", "counter", "Messages journaled.", "",
              (double)session_received(ingest->session));
  http_metric(out, "vedette_ingest_turned_away_total", "counter", "Messages of erased devices, let go before the journal.", "",
              (double)session_turned_away(ingest->session));
  http_metric(out, "vedette_ingest_reports_total", "counter", "Reports stored.", "", (double)stats.reports);
  http_metric(out, "vedette_ingest_connectivity_total", "counter", "Connectivity messages stored.", "",
              (double)stats.connectivity);
  http_metric(out, "vedette_ingest_duplicates_total", "counter", "Messages that were stored before.", "",
              (double)stats.duplicates);
  http_metric(out, "vedette_ingest_shed_total", "counter", "Messages left out because their sender exceeded its rate.", "",
              (double)stats.shed);
  http_metric(out, "vedette_ingest_batches_total", "counter", "Batches committed.", "", (double)stats.batches);
  http_metric(out, "vedette_ingest_batch_retries_total", "counter", "Batches tried again.", "", (double)stats.retries);
  http_metric(out, "vedette_ingest_replayed_total", "counter", "Dead letters handed back to the journal.", "",
              (double)stats.replayed);
  http_metric(out, "vedette_ingest_notices_total", "counter", "Notices sent to devices.", "", (double)stats.notices.sent);
  http_metric(out, "vedette_ingest_notices_withheld_total", "counter", "Notices not sent: over the limit, or the broker is away.",
              "", (double)stats.notices.withheld);
  gauge(out, "vedette_ingest_broker_connected", "1 while subscribed at the broker.", session_since(ingest->session) != 0);
  gauge(out, "vedette_ingest_store_connected", "1 while connected to PostgreSQL.", stats.connected);
  gauge(out, "vedette_ingest_journal_full", "1 while the journal's disk is full and the broker is left for it.", ingest->full);
  write_queues(out, ingest, &stats);
  journal_sync_times(ingest->journal, &synced);
  histogram_write_times(out, "vedette_ingest_received_to_journaled_seconds",
                        "From receipt to being on the disk; the oldest record of each group that was synced.", &synced);
  lag_write(out, writer_lag(ingest->writer));
  evbuffer_add_printf(out,
                      "# HELP vedette_ingest_rejected_total Messages rejected.\n# TYPE vedette_ingest_rejected_total counter\n");
  for (size_t i = 1; i <= VEDETTE__V1__REASON__REASON_SHED; i++) {
    evbuffer_add_printf(out, "vedette_ingest_rejected_total{reason=\"%s\"} %" PRIu64 "\n", reason_label(i), stats.rejected_by[i]);
  }
}

static bool is_ready(char *why, size_t size, void *arg) {
  const struct ingest *ingest = arg;
  bool broker = session_since(ingest->session) != 0;
  bool store = writer_stats(ingest->writer).connected;
  const char *away = ingest->full ? "the journal's disk is full" : "not subscribed at the broker";
  snprintf(why, size, "%s%s%s", broker ? "" : away, broker || store ? "" : "; ", store ? "" : "not connected to PostgreSQL");
  return broker && store;
}

static bool start(struct ingest *ingest) {
  struct config_ingest *config = &ingest->config->ingest;
  struct writer_events events = {.seeing_since = seeing_since,
                                 .notice = send_notice,
                                 .drained = on_drained,
                                 .broker = {.clear = clear_retained, .clearing = clearing, .arg = ingest},
                                 .arg = ingest};
  struct http_source source = {.metrics = write_metrics, .ready = is_ready, .arg = ingest};
  struct timeval tick = loop_ms(WATCH_MS);
  ingest->loop = loop_new(on_stop, on_reload, ingest);
  if (ingest->loop == NULL || (ingest->changed = loop_bell_new(ingest->loop, on_journal, ingest)) == NULL) {
    return false;
  }
  ingest->journal = journal_open(&config->journal, ring, ingest->changed);
  if (ingest->journal == NULL) {
    return false;
  }
  ingest->tombstones = tombstones_new();
  if (ingest->tombstones == NULL) {
    return false;
  }
  ingest->writer = writer_new(ingest->loop, ingest->config, ingest->mappings, ingest->journal, ingest->tombstones, &events);
  ingest->session = session_new(ingest->loop, ingest->config, ingest->mappings, ingest->journal, ingest->tombstones);
  if (ingest->writer == NULL || ingest->session == NULL) {
    return false;
  }
  balance(ingest); // before the session connects
  ingest->http = http_open(ingest->loop, &config->http, &source);
  ingest->watch = event_new(loop_base(ingest->loop), -1, EV_PERSIST, on_watch, ingest);
  return ingest->http != NULL && ingest->watch != NULL && event_add(ingest->watch, &tick) == 0;
}

static void stop(struct ingest *ingest) {
  if (ingest->watch != NULL) {
    event_free(ingest->watch);
  }
  http_close(ingest->http);
  session_free(ingest->session);
  writer_free(ingest->writer);
  journal_close(ingest->journal);
  tombstones_free(ingest->tombstones);
  loop_bell_free(ingest->changed);
  loop_free(ingest->loop);
  mappings_free(ingest->mappings);
  config_free(ingest->config);
}

int main(int argc, char **argv) {
  struct ingest ingest = {0};
  int status;
  ingest.config =
      daemon_start(argc, argv, "vedette-ingest", "takes telemetry from an MQTT broker and stores it, losing nothing", &status);
  if (ingest.config == NULL) {
    return status;
  }
  char error[512];
  ingest.mappings = mappings_load(ingest.config->ingest.mappings, error, sizeof error);
  if (ingest.mappings == NULL) {
    fprintf(stderr, "vedette-ingest: %s\n", error);
    config_free(ingest.config);
    return EXIT_CONFIGURATION;
  }
  bool started = start(&ingest);
  if (started) {
    log_info("started", "worker=%s version=%s", ingest.config->ingest.worker, VEDETTE_VERSION);
    loop_run(ingest.loop);
    log_info("stopped", "");
  }
  stop(&ingest);
  return started ? EXIT_SUCCESS : EXIT_FAILURE;
}
