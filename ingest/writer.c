// The writer is a machine of phases. Each phase either runs a script and goes on when it is done, or goes on at once:
//
//   CLOSED → OPENING → IDLE → COLLECT → REFRESH → METRICS → DECLARE → SETS → PROBE → COMMIT → IDLE …
//
// While a batch is in COMMIT the collector reads and decodes the next one ahead; all that is asked of the store about it waits.
//
// When the connection is lost the batches in memory are dropped: after OPENING the store says where to go on, and the journal is
// read again from there. So a commit whose outcome was not known needs no special case.
#include "ingest/writer.h"

#include "common/log.h"
#include "ingest/collector.h"
#include "ingest/commit.h"
#include "ingest/notices.h"
#include "ingest/registry.h"
#include "ingest/replay.h"
#include "ingest/resolve.h"
#include "storage/intake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  HEARTBEAT_US = 1000000, // an idle worker commits an empty batch this often: time advances by batches
  REFRESH_US = 2000000,   // how often the registry is looked at for changes
  DRAIN_MS = 5000,
  RETRY_MS = 500,
  PROBES_MOST = 20, // a batch that meets a repeat again and again points to something else
};

enum phase {
  CLOSED,
  OPENING,
  LOST_RECORDS,
  IDLE,
  REFRESHING,
  REPLAYING,
  ERASING,
  METRICS,
  DECLARE,
  SETS,
  PROBE,
  COMMIT,
  WAITING
};

struct writer {
  struct loop *loop;
  struct journal *journal;
  struct writer_events events;
  struct link *link;
  struct event *timer; // age of a batch, heart-beat, retries
  struct event *ahead; // a step of reading ahead, in each turn of the loop while a batch is being committed
  char *worker;
  struct config_batch limits;
  enum phase phase;
  struct intake_position position;
  struct directory *directory;
  struct registry *registry;
  struct collector *collector;
  struct resolve *resolve;
  struct sequences *sequences;
  bool noting; // they go with the batch that is being committed
  struct notices *notices;
  struct replay *replay;
  struct erasing *erasing;
  bool probe_all; // the store met a repeat: ask it about every row
  bool closed;    // the batch takes no more records: it waits for the registry
  bool draining;
  unsigned probes;
  unsigned refused;                   // times that the store refused the message that stands alone
  int64_t committed_us, refreshed_us; // steady clock
  int64_t begun_us;                   // when the transaction of the batch was; steady clock
  struct lag lag;
  struct writer_stats stats;
};

static void proceed(struct writer *writer);
static void idle(struct writer *writer);
static void wait_for(struct writer *writer, uint32_t ms);

// What follows a script of the present phase.
static void on_done(const struct link_result *result, void *arg);

static void run(struct writer *writer, enum phase phase, struct script *script) {
  writer->phase = phase;
  if (!link_run(writer->link, script, on_done, writer)) {
    log_error("a script cannot be run; trying again", "phase=%d", (int)phase);
    writer->phase = phase == OPENING || phase == LOST_RECORDS ? OPENING : WAITING;
    wait_for(writer, RETRY_MS);
  }
}

static struct batch *in_work(const struct writer *writer) {
  return collector_batch(writer->collector);
}

static void wait_for(struct writer *writer, uint32_t ms) {
  struct timeval wait = loop_ms(ms);
  event_add(writer->timer, &wait);
}

static void on_up(void *arg) {
  struct writer *writer = arg;
  writer->stats.connected = true;
  registry_forget(writer->registry); // the database may be another one, restored from a backup
  collector_start(writer->collector, 0);
  writer->closed = false;
  sequences_clear(writer->sequences); // the store takes up what it lacks
  run(writer, OPENING, intake_open(journal_id(writer->journal), writer->worker, &writer->position));
}

static void on_down(void *arg) {
  struct writer *writer = arg;
  writer->stats.connected = false;
  writer->phase = CLOSED;
  event_del(writer->timer);
}

// Tells the store that the journal cannot bring the records from `first` up to `next`, then goes on behind them.
static void lose(struct writer *writer, uint64_t first, uint64_t next) {
  const struct intake_position *at = &writer->position;
  journal_seek(writer->journal, next); // where the row's time is read
  run(writer, LOST_RECORDS, intake_lost(at->feed, at->number, first, next, journal_received_to(writer->journal, next)));
}

// The feed is open: put the journal's reader where the store ends.
static void opened(struct writer *writer) {
  struct intake_position *at = &writer->position;
  if (at->retired) {
    log_error("this worker's journal was retired in the store; leaving, the next start begins a new one with what is left",
              "journal=%s next_record=%" PRIu64, journal_id(writer->journal), at->record);
    journal_retire(writer->journal, at->record);
    _exit(1);
  }
  uint64_t oldest = journal_oldest(writer->journal);
  if (at->record < oldest) {
    log_error("the store lacks records that the journal no longer keeps: they are lost", "first=%" PRIu64 " next=%" PRIu64,
              at->record, oldest);
    lose(writer, at->record, oldest);
    return;
  }
  if (!journal_seek(writer->journal, at->record)) {
    log_error("the store has more records than this journal: its folder was replaced; leaving, the next start begins a new one",
              "journal=%s next_record=%" PRIu64, journal_id(writer->journal), at->record);
    // What the store has under these numbers is another history: everything is handed over, and the store tells the repeats.
    journal_retire(writer->journal, 0);
    _exit(1);
  }
  log_info("feed opened", "feed=%" PRId32 " batch=%" PRId64 " record=%" PRIu64, at->feed, at->number, at->record);
  writer->stats.next_record = at->record;
  journal_release(writer->journal, at->record);
  collector_start(writer->collector, at->record);
  erasing_start(writer->erasing, at->erased_to);
  run(writer, REFRESHING, registry_ask(writer->registry));
}

static void read_ahead(struct writer *writer) {
  struct timeval at_once = {0};
  evtimer_add(writer->ahead, &at_once); // by way of the loop: what waits at descriptors goes first
}

static void on_ahead(evutil_socket_t fd, short what, void *arg) {
  struct writer *writer = arg;
  (void)fd;
  (void)what;
  if (writer->phase == COMMIT && collector_ahead(writer->collector)) {
    read_ahead(writer);
  }
}

static bool batch_due(const struct writer *writer) {
  const struct batch *batch = in_work(writer);
  if (batch->count == 0) {
    return clock_steady_us() - writer->committed_us >= HEARTBEAT_US;
  }
  int64_t age = clock_wall_us() - batch->messages[0].record.received;
  return collector_full(writer->collector) || writer->draining || age >= (int64_t)writer->limits.age_ms * 1000 || age < 0;
}

static void build_and_commit(struct writer *writer) {
  struct batch *batch = in_work(writer);
  struct intake_position *at = &writer->position;
  if (!batch_encode(batch, intake_batch_key(at->feed, at->number)) || (batch->buries && !erasing_soiled(writer->erasing))) {
    log_error("a batch cannot be made; trying again", "");
    writer->phase = WAITING;
    wait_for(writer, RETRY_MS);
    return;
  }
  int64_t received_to = journal_received_to(writer->journal, batch->next);
  if (received_to == 0 && batch->count > 0) {
    received_to = batch->messages[batch->count - 1].record.received;
  }
  sequences_take(writer->sequences, batch);
  writer->noting = writer->draining || sequences_due(writer->sequences, clock_steady_us());
  notices_begin(writer->notices);
  struct commit commit = {.erasure = registry_erasure(writer->registry),
                          .at = at,
                          .journaled = journal_head(writer->journal),
                          .received_to = received_to,
                          .seeing_since = writer->events.seeing_since(received_to, writer->events.arg),
                          .sequences = writer->noting ? writer->sequences : NULL,
                          .stored = notices_take,
                          .arg = writer->notices};
  writer->begun_us = clock_steady_us();
  run(writer, COMMIT, commit_script(&commit, batch));
  read_ahead(writer);
}

static void committed(struct writer *writer) {
  struct batch *batch = in_work(writer);
  struct batch_counts counts = batch_count(batch);
  notices_committed(writer->notices, batch, writer->directory, writer->sequences);
  sequences_committed(writer->sequences, writer->noting, clock_steady_us());
  for (size_t i = 0; i < batch->count; i++) {
    if (batch->messages[i].outcome == OUTCOME_REJECTED) {
      writer->stats.rejected_by[(unsigned)batch->messages[i].verdict.reason % 16]++;
    }
  }
  writer->stats.batches++;
  writer->stats.reports += counts.reports;
  writer->stats.connectivity += counts.connectivity;
  writer->stats.duplicates += counts.duplicates;
  writer->stats.rejected += counts.rejected;
  writer->stats.shed += counts.shed;
  writer->stats.next_record = batch->next;
  writer->position.number++;
  writer->committed_us = clock_steady_us();
  lag_observe(&writer->lag, batch, clock_wall_us(), writer->committed_us - writer->begun_us);
  size_t memory = collector_memory(writer->collector);
  writer->stats.batch_memory_most = memory > writer->stats.batch_memory_most ? memory : writer->stats.batch_memory_most;
  writer->probe_all = false;
  writer->probes = 0;
  writer->refused = 0;
  writer->closed = false;
  journal_release(writer->journal, batch->next);
  collector_committed(writer->collector);
}

static void must_go_back(struct writer *writer, bool gone_back) {
  if (!gone_back) {
    log_error("the journal's reader cannot go back; leaving", "record=%" PRIu64, in_work(writer)->first);
    _exit(1);
  }
}

// The store refused a row. Halve the batch until the message stands alone, then keep it as a dead letter.
static void hunt_poison(struct writer *writer, const struct link_result *result) {
  struct batch *batch = in_work(writer);
  if (batch->count > 1) {
    must_go_back(writer, collector_again(writer->collector, true));
    writer->phase = METRICS;
    return;
  }
  // Alone, it gets a second chance: a constraint may have been broken by something that passes.
  if (batch->count == 1 && batch->messages[0].outcome != OUTCOME_REJECTED && writer->refused++ > 0) {
    log_error("the store refuses a message; kept as a dead letter", "sqlstate=%s record=%" PRIu64, result->sqlstate,
              batch->first);
    message_reject(&batch->messages[0], VEDETTE__V1__REASON__REASON_FIELD,
                   region_printf(batch->region, "the store refused it (%s)", result->sqlstate));
    writer->phase = SETS;
    return;
  }
  writer->phase = WAITING;
  wait_for(writer, RETRY_MS);
}

static void commit_failed(struct writer *writer, const struct link_result *result) {
  char quoted[300];
  bool repeat = strcmp(result->sqlstate, "23505") == 0;
  bool foreign = strcmp(result->sqlstate, "22P04") == 0; // rows of another number of columns
  bool data = (strncmp(result->sqlstate, "22", 2) == 0 && !foreign) || strncmp(result->sqlstate, "23", 2) == 0;
  writer->stats.retries++;
  must_go_back(writer, collector_put_back(writer->collector));
  if (strcmp(result->sqlstate, STORE_ERASED) == 0) {
    log_info("devices were erased: reading the registry again before the batch is stored", "batch=%" PRId64,
             writer->position.number);
    run(writer, REFRESHING, registry_ask(writer->registry));
    return;
  }
  if (foreign) {
    log_error("the store does not take rows of this form: it is of another version than this program; trying again, install both "
              "of one version",
              "version=%s", VEDETTE_VERSION);
  }
  log_warn("a batch was refused", "sqlstate=%s batch=%" PRId64 " records=%zu error=%s", result->sqlstate, writer->position.number,
           in_work(writer)->count, log_quote(quoted, sizeof quoted, result->message));
  if (repeat && strncmp(result->constraint, "batch_pkey", 10) == 0) {
    // Somebody took our number: retired, or an earlier commit of ours went through after all. The store knows.
    run(writer, OPENING, intake_open(journal_id(writer->journal), writer->worker, &writer->position));
  } else if (repeat && writer->probes++ < PROBES_MOST) {
    writer->probe_all = true;
    writer->phase = PROBE;
    proceed(writer);
  } else if (data) {
    hunt_poison(writer, result);
    proceed(writer);
  } else {
    writer->phase = WAITING; // deadlock, time-out, disk full, …: nothing is lost by trying again
    wait_for(writer, RETRY_MS);
  }
}

static void on_done(const struct link_result *result, void *arg) {
  struct writer *writer = arg;
  char quoted[300];
  if (result->outcome == LINK_LOST) {
    return; // on_down follows
  }
  if (result->outcome == LINK_FAILED && writer->phase == COMMIT) {
    commit_failed(writer, result);
    return;
  }
  if (result->outcome == LINK_FAILED) {
    log_error("the store refuses a step; trying again", "phase=%d sqlstate=%s error=%s", (int)writer->phase, result->sqlstate,
              log_quote(quoted, sizeof quoted, result->message));
    if (writer->phase == REPLAYING) { // the letters stay claimed and come again
      replay_done(writer->replay, false);
      idle(writer);
      return;
    }
    erasing_told(writer->erasing, false);
    // Without the registry every device would be a stranger, and its reports dead letters.
    bool unready = writer->phase == REFRESHING && !registry_known(writer->registry);
    writer->phase = writer->phase == OPENING || writer->phase == LOST_RECORDS || unready ? OPENING : WAITING;
    wait_for(writer, RETRY_MS);
    return;
  }
  proceed(writer);
}

static void finish_drain(struct writer *writer) {
  writer->draining = false;
  writer->events.drained(writer->events.arg);
}

// Nothing runs: see what there is to do.
static void idle(struct writer *writer) {
  int64_t now = clock_steady_us();
  writer->phase = IDLE;
  if (!writer->closed) {
    collector_fill(writer->collector);
  }
  const struct batch *batch = in_work(writer);
  uint64_t behind = batch->count == 0 ? journal_damaged(writer->journal) : 0;
  if (behind > 0) {
    lose(writer, batch->first, behind);
    return;
  }
  struct script *letters = replay_ask(writer->replay, writer->position.feed, batch->next, writer->draining);
  if (letters != NULL) {
    run(writer, REPLAYING, letters);
    return;
  }
  struct script *erased = erasing_next(writer->erasing, writer->position.feed, registry_erasure(writer->registry));
  if (erased != NULL) {
    run(writer, ERASING, erased);
    return;
  }
  if (writer->draining && batch->count == 0) {
    finish_drain(writer);
    return;
  }
  // Whoever is unknown may have been registered since: nobody is refused before the registry was asked after the message came.
  bool due = writer->closed || batch_due(writer);
  bool strangers = due && !writer->closed && batch_unknown(batch) > 0;
  writer->closed = writer->closed || strangers;
  if (strangers || now - writer->refreshed_us > REFRESH_US) {
    run(writer, REFRESHING, registry_ask(writer->registry));
  } else if (due) {
    writer->phase = METRICS;
    proceed(writer);
  } else {
    wait_for(writer, writer->limits.age_ms);
  }
}

// Runs `script` in `phase`, or skips the phase when there is nothing to ask. True if it runs.
static bool ask(struct writer *writer, enum phase phase, struct script *script) {
  writer->phase = phase;
  if (script == NULL) {
    return false;
  }
  run(writer, phase, script);
  return true;
}

// Looks at the batch in work with the registry as it is now: whoever was erased has no messages in it any more.
static void readmit(struct writer *writer) {
  if (registry_answered(writer->registry)) {
    must_go_back(writer, collector_again(writer->collector, false));
  } else {
    batch_readmit(in_work(writer), writer->directory);
  }
}

// Goes on after the present phase is done.
static void proceed(struct writer *writer) {
  struct batch *batch = in_work(writer);
  switch (writer->phase) {
  case OPENING: opened(writer); return;
  case LOST_RECORDS: run(writer, OPENING, intake_open(journal_id(writer->journal), writer->worker, &writer->position)); return;
  case REFRESHING:
    writer->refreshed_us = clock_steady_us();
    readmit(writer);
    idle(writer);
    return;
  case ERASING:
    erasing_told(writer->erasing, true);
    idle(writer);
    return;
  case REPLAYING:
    replay_done(writer->replay, true);
    idle(writer);
    return;
  case METRICS:
    if (resolve_metrics_next(writer->resolve, batch) && ask(writer, METRICS, resolve_metrics(writer->resolve))) {
      return; // comes back here until all have numbers
    }
    if (ask(writer, DECLARE, resolve_declarations(writer->resolve, batch))) {
      return;
    }
    writer->phase = SETS;
    proceed(writer);
    return;
  case DECLARE:
    resolve_declared(writer->resolve);
    writer->phase = SETS;
    proceed(writer);
    return;
  case SETS:
    if (!resolve_rows(writer->resolve, batch)) {
      writer->phase = WAITING;
      wait_for(writer, RETRY_MS);
      return;
    }
    if (ask(writer, SETS, resolve_sets(writer->resolve, batch))) {
      return;
    }
    if (ask(writer, PROBE, resolve_repeats(writer->resolve, batch, writer->probe_all))) {
      writer->probe_all = false;
      return;
    }
    build_and_commit(writer);
    return;
  case PROBE:
    if (writer->probe_all) { // came here from a refused commit
      writer->probe_all = false;
      if (ask(writer, PROBE, resolve_repeats(writer->resolve, batch, true))) {
        return;
      }
    }
    resolve_repeated(writer->resolve, batch);
    build_and_commit(writer);
    return;
  case COMMIT:
    committed(writer);
    idle(writer);
    return;
  default: return;
  }
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
  struct writer *writer = arg;
  (void)fd;
  (void)what;
  if (!link_is_idle(writer->link)) {
    return;
  }
  if (writer->phase == OPENING) {
    run(writer, OPENING, intake_open(journal_id(writer->journal), writer->worker, &writer->position));
  } else if (writer->phase == WAITING && in_work(writer)->count > 0) {
    must_go_back(writer, collector_again(writer->collector, false));
    writer->phase = METRICS;
    proceed(writer);
  } else {
    idle(writer);
  }
}

static void on_drain_late(evutil_socket_t fd, short what, void *arg) {
  struct writer *writer = arg;
  (void)fd;
  (void)what;
  if (writer->draining) {
    log_warn("stopping with records left in the journal", "next_record=%" PRIu64, writer->stats.next_record);
    finish_drain(writer);
  }
}

struct writer *writer_new(struct loop *loop, const struct config *config, struct mappings *mappings, struct journal *journal,
                          struct tombstones *tombstones, const struct writer_events *events) {
  char conninfo[1024];
  struct writer *writer = calloc(1, sizeof *writer);
  if (writer == NULL || !config_conninfo(&config->store, "vedette_ingest", conninfo, sizeof conninfo)) {
    free(writer);
    return NULL;
  }
  writer->loop = loop;
  writer->journal = journal;
  writer->events = *events;
  writer->limits = config->ingest.batch;
  writer->worker = strdup(config->ingest.worker);
  writer->directory = directory_new();
  if (writer->directory != NULL) {
    writer->collector = collector_new(journal, writer->directory, writer->limits.records, mappings_decoder(mappings));
  }
  writer->resolve = resolve_new();
  writer->sequences = sequences_new(writer->limits.records);
  writer->notices = notices_new(sequences_room(writer->limits.records), events->notice, events->arg);
  writer->replay = replay_new(journal);
  writer->erasing = erasing_new(journal, &events->broker);
  writer->registry = registry_new(writer->worker, writer->directory, tombstones, writer->erasing);
  writer->timer = evtimer_new(loop_base(loop), on_timer, writer);
  writer->ahead = evtimer_new(loop_base(loop), on_ahead, writer);
  struct link_events link_events = {.up = on_up, .down = on_down, .arg = writer};
  writer->link = link_new(loop, conninfo, "vedette-ingest", &link_events);
  if (!writer->worker || !writer->directory || !writer->resolve || !writer->sequences || !writer->notices || !writer->replay ||
      !writer->erasing || !writer->registry || !writer->timer || !writer->ahead || !writer->link || !writer->collector) {
    writer_free(writer);
    return NULL;
  }
  collector_bury(writer->collector, tombstones);
  const struct config_admission *admission = &config->ingest.admission;
  collector_allow(writer->collector, (struct allowance){admission->device_rate, admission->device_burst},
                  (struct allowance){admission->gateway_rate, admission->gateway_burst});
  return writer;
}

void writer_free(struct writer *writer) {
  if (writer == NULL) {
    return;
  }
  link_free(writer->link);
  if (writer->timer != NULL) {
    event_free(writer->timer);
  }
  if (writer->ahead != NULL) {
    event_free(writer->ahead);
  }
  collector_free(writer->collector);
  resolve_free(writer->resolve);
  sequences_free(writer->sequences);
  notices_free(writer->notices);
  replay_free(writer->replay);
  registry_free(writer->registry);
  erasing_free(writer->erasing);
  directory_free(writer->directory);
  free(writer->worker);
  free(writer);
}

void writer_wake(struct writer *writer) {
  if (writer->phase == IDLE && link_is_idle(writer->link)) {
    idle(writer);
  } else if (writer->phase == COMMIT) {
    read_ahead(writer);
  }
}

void writer_drain(struct writer *writer) {
  struct timeval limit = loop_ms(DRAIN_MS);
  writer->draining = true;
  if (event_base_once(loop_base(writer->loop), -1, EV_TIMEOUT, on_drain_late, writer, &limit) != 0) {
    finish_drain(writer);
    return;
  }
  writer_wake(writer);
}

struct writer_stats writer_stats(const struct writer *writer) {
  struct writer_stats stats = writer->stats;
  stats.notices = notices_stats(writer->notices);
  stats.batch_records = in_work(writer)->count;
  stats.batch_memory = collector_memory(writer->collector);
  stats.crowded = collector_crowded(writer->collector);
  stats.replayed = replay_count(writer->replay);
  return stats;
}

const struct lag *writer_lag(const struct writer *writer) {
  return &writer->lag;
}
