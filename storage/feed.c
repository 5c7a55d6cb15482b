#include "storage/feed.h"

#include "storage/copy.h"
#include "storage/fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- start

static void take_models(const PGresult *rows, void *arg) {
  struct feed_registry *registry = arg;
  registry->batteries = false;
  for (int i = 0; i < PQntuples(rows); i++) {
    registry->batteries |= field_bool(rows, i, 5);
    const struct feed_model model = {.id = field_int4(rows, i, 0),
                                     .name = PQgetvalue(rows, i, 4),
                                     .class = PQgetvalue(rows, i, 1)[0],
                                     .cadence = (double)field_int8(rows, i, 2) / 1e6,
                                     .patience = (double)field_int8(rows, i, 3) / 1e6};
    registry->model(&model, registry->arg);
  }
}

static void take_devices(const PGresult *rows, void *arg) {
  const struct feed_registry *registry = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    const struct feed_device device = {.id = field_int4(rows, i, 0),
                                       .credential = PQgetvalue(rows, i, 1),
                                       .model = field_int4(rows, i, 2),
                                       .gateway = field_int4(rows, i, 3),
                                       .active = field_bool(rows, i, 4),
                                       .critical = field_bool(rows, i, 5),
                                       .region = PQgetvalue(rows, i, 6),
                                       .site = PQgetvalue(rows, i, 7),
                                       .created_at = field_time(rows, i, 8),
                                       .next_visit = PQgetisnull(rows, i, 9) ? 0 : field_time(rows, i, 9)};
    registry->device(&device, registry->arg);
  }
}

static void take_releases(const PGresult *rows, void *arg) {
  const struct feed_registry *registry = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    registry->release(field_int4(rows, i, 0), (const uint8_t *)PQgetvalue(rows, i, 1), registry->arg);
  }
}

static void take_metrics(const PGresult *rows, void *arg) {
  struct feed_registry *registry = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    registry->metrics = field_int4(rows, i, 0);
    registry->metric(registry->metrics, PQgetvalue(rows, i, 1), registry->arg);
  }
}

static const char *given_text(const PGresult *rows, int row, int column) {
  return PQgetisnull(rows, row, column) ? NULL : PQgetvalue(rows, row, column);
}

static void take_windows(const PGresult *rows, void *arg) {
  const struct feed_registry *registry = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    const struct feed_window window = {.id = field_int8(rows, i, 0),
                                       .device = field_int4(rows, i, 1),
                                       .model = field_int4(rows, i, 2),
                                       .region = given_text(rows, i, 3),
                                       .site = given_text(rows, i, 4),
                                       .firmware = given_text(rows, i, 5),
                                       .reason = PQgetvalue(rows, i, 6),
                                       .begins = field_time(rows, i, 7),
                                       .ends = field_time(rows, i, 8),
                                       .withheld = field_int8(rows, i, 9)};
    registry->window(&window, registry->arg);
  }
  registry->window(NULL, registry->arg);
}

static void take_erasure(const PGresult *rows, void *arg) {
  struct feed_registry *registry = arg;
  registry->erasure = field_int8(rows, 0, 0);
}

static void take_snapshot(const PGresult *rows, void *arg) {
  struct feed_registry *registry = arg;
  snprintf(registry->snapshot, sizeof registry->snapshot, "%s", PQgetvalue(rows, 0, 0));
}

struct script *feed_registry(struct feed_registry *registry) {
  struct script *script = script_new();
  struct decimal most = decimal(FEED_WINDOWS + 1);
  const char *parameters[] = {registry->snapshot};
  const char *windows[] = {most.text};
  struct decimal highest = decimal(registry->metrics);
  const char *metrics[] = {highest.text};
  script_add(script, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL, NULL, NULL);
  script_add_binary(script,
                    "SELECT id, class, (extract(epoch FROM cadence) * 1000000)::bigint,"
                    " (extract(epoch FROM patience) * 1000000)::bigint, name, battery IS NOT NULL FROM store.model",
                    0, NULL, take_models, registry);
  script_add_binary(script,
                    "SELECT id, credential, model, gateway, life = 'active', critical, coalesce(region, ''), coalesce(site, ''),"
                    " created_at, next_visit FROM store.device WHERE changed >= $1::xid8 ORDER BY id",
                    1, parameters, take_devices, registry);
  script_add_binary(script, "SELECT model, image_hash FROM store.firmware_release", 0, NULL, take_releases, registry);
  script_add_binary(script, "SELECT id, name FROM store.metric WHERE id > $1 ORDER BY id", 1, metrics, take_metrics, registry);
  script_add_binary(
      script,
      "SELECT id, device, model, region, site, firmware, left(reason, 512), begins, ends, withheld"
      " FROM store.maintenance WHERE missing IS NULL AND ends > now() - interval '2 days' ORDER BY begins, id LIMIT $1",
      1, windows, take_windows, registry);
  script_add_binary(script, "SELECT coalesce(max(id), 0) FROM store.erasure", 0, NULL, take_erasure, registry);
  script_add(script, "SELECT pg_snapshot_xmin(pg_current_snapshot())", 0, NULL, take_snapshot, registry);
  script_add(script, "COMMIT", 0, NULL, NULL, NULL);
  return script;
}

static void take_checkpoint(const PGresult *rows, void *arg) {
  struct feed_start *start = arg;
  start->checkpoint = PQntuples(rows) > 0 ? field_int8(rows, 0, 0) : 0;
  start->version = PQntuples(rows) > 0 ? field_int4(rows, 0, 1) : 0;
}

static void take_clocks(const PGresult *rows, void *arg) {
  const struct feed_start *start = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    start->feed(field_int4(rows, i, 0), field_int8(rows, i, 1), field_int8(rows, i, 2), field_int8(rows, i, 3), start->arg);
  }
}

static void take_states(const PGresult *rows, void *arg) {
  const struct feed_start *start = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    start->state(field_int4(rows, i, 0), (const uint8_t *)PQgetvalue(rows, i, 1), (size_t)PQgetlength(rows, i, 1), start->arg);
  }
}

static void take_series(const PGresult *rows, void *arg) {
  const struct feed_start *start = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    start->series(field_int4(rows, i, 0), field_int4(rows, i, 1), (const uint8_t *)PQgetvalue(rows, i, 2),
                  (size_t)PQgetlength(rows, i, 2), start->arg);
  }
}

static void take_running(const PGresult *rows, void *arg) {
  const struct feed_start *start = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    start->firmware(field_int4(rows, i, 0), PQgetvalue(rows, i, 1), start->arg);
  }
}

static void take_committed(const PGresult *rows, void *arg) {
  struct feed_start *start = arg;
  start->committed = field_int8(rows, 0, 0);
}

static void take_connectivity(const PGresult *rows, void *arg) {
  const struct feed_start *start = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    start->connectivity(field_int4(rows, i, 0), PQgetvalue(rows, i, 1), start->arg);
  }
}

static void take_alerts(const PGresult *rows, void *arg) {
  const struct feed_start *start = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    start->live_alert(field_int4(rows, i, 0), PQgetvalue(rows, i, 1), PQgetvalue(rows, i, 2), start->arg);
  }
}

struct script *feed_start(int16_t lane, struct feed_start *start) {
  struct script *script = script_new();
  struct decimal l = decimal(lane);
  const char *parameters[] = {l.text};
  script_add(script, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL, NULL, NULL);
  script_add_binary(script, "SELECT step, version FROM store.checkpoint WHERE lane = $1", 1, parameters, take_checkpoint, start);
  script_add_binary(script,
                    "SELECT (f->>0)::integer, (f->>1)::bigint, (f->>2)::bigint, (f->>3)::bigint"
                    " FROM store.checkpoint, jsonb_array_elements(feeds) AS f WHERE lane = $1",
                    1, parameters, take_clocks, start);
  script_add_binary(script, "SELECT device, state FROM store.detector_state WHERE lane = $1", 1, parameters, take_states, start);
  script_add_binary(script, "SELECT device, metric, state FROM store.series_state WHERE lane = $1 ORDER BY device, metric", 1,
                    parameters, take_series, start);
  script_add_binary(script, "SELECT DISTINCT ON (device) device, version FROM store.firmware ORDER BY device, time DESC", 0, NULL,
                    take_running, start);
  script_add_binary(script, "SELECT coalesce(max(step), 0) FROM store.analysed_batch WHERE lane = $1", 1, parameters,
                    take_committed, start);
  script_add(script, "COMMIT", 0, NULL, NULL, NULL);
  return script;
}

static void take_blind(const PGresult *rows, void *arg) {
  const struct feed_start *start = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    start->blind(field_time(rows, i, 0), PQgetvalue(rows, i, 1), start->arg);
  }
}

struct script *feed_live(struct feed_start *start) {
  struct script *script = script_new();
  script_add_binary(script, "SELECT device, state FROM store.connectivity_now", 0, NULL, take_connectivity, start);
  script_add_binary(
      script, "SELECT device, kind, key FROM store.alert WHERE state IN ('open', 'acknowledged') AND (key = '' OR device = 0)", 0,
      NULL, take_alerts, start);
  script_add_binary(script, "SELECT began, reason FROM store.blind_interval WHERE ended IS NULL", 0, NULL, take_blind, start);
  return script;
}

// --- batches

#define BATCH_COLUMNS                                                                                                            \
  "b.feed, b.number, b.kind, b.first_record, b.next_record, b.received_to, b.seeing_since, b.committed_at, b.rows,"              \
  " b.connectivity + b.rejected + b.reports, f.retired_at IS NOT NULL AND NOT EXISTS (SELECT FROM store.batch n"                 \
  " WHERE n.feed = b.feed AND n.number > b.number)"

static void take_batches(const PGresult *rows, void *arg) {
  const struct feed_batches *batches = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    struct feed_batch batch = {
        .step = field_int8(rows, i, 0),
        .feed = field_int4(rows, i, 1),
        .number = field_int8(rows, i, 2),
        .kind = PQgetvalue(rows, i, 3)[0],
        .first_record = field_int8(rows, i, 4),
        .next_record = field_int8(rows, i, 5),
        .received_to = field_time(rows, i, 6),
        .seeing_since = field_time(rows, i, 7),
        .committed_at = field_time(rows, i, 8),
        .rows = field_int4(rows, i, 9),
        .others = field_int4(rows, i, 10),
        .retired = field_bool(rows, i, 11),
    };
    batches->batch(&batch, batches->arg);
  }
}

struct script *feed_replay(int16_t lane, int64_t after, int limit, struct feed_batches *batches) {
  struct script *script = script_new();
  struct decimal n[] = {decimal(lane), decimal(after), decimal(limit)};
  const char *parameters[] = {n[0].text, n[1].text, n[2].text};
  script_add_binary(script,
                    "SELECT a.step, " BATCH_COLUMNS
                    " FROM store.analysed_batch a JOIN store.batch b ON b.feed = a.feed AND b.number = a.number"
                    " JOIN store.feed f ON f.id = b.feed WHERE a.lane = $1 AND a.step > $2 ORDER BY a.step LIMIT $3",
                    3, parameters, take_batches, batches);
  return script;
}

struct script *feed_next(int16_t lane, int limit, struct feed_batches *batches) {
  struct script *script = script_new();
  struct decimal n[] = {decimal(lane), decimal(limit)};
  const char *parameters[] = {n[0].text, n[1].text};
  script_add_binary(
      script,
      "SELECT 0::bigint, b.* FROM store.feed f CROSS JOIN LATERAL (SELECT " BATCH_COLUMNS " FROM store.batch b"
      " WHERE b.feed = f.id AND b.number > coalesce((SELECT max(a.number) FROM store.analysed_batch a"
      " WHERE a.lane = $1 AND a.feed = f.id), 0) ORDER BY b.number LIMIT $2) b ORDER BY b.received_to, b.feed, b.number",
      2, parameters, take_batches, batches);
  return script;
}

// --- commit

static void add_alerts(struct script *script, const struct feed_commit *c) {
  const char *parameters[] = {list_literal(c->alert_actions),   list_literal(c->alert_devices),     list_literal(c->alert_kinds),
                              list_literal(c->alert_keys),      list_literal(c->alert_severities),  list_literal(c->alert_times),
                              list_literal(c->alert_sentences), list_literal(c->alert_explanations)};
  script_add(script,
             "SELECT CASE u.action WHEN 'raise'"
             " THEN store.raise_alert(u.device, u.kind, u.key, u.severity, " UNIX_TIME(
                 "u.at") ", u.sentence, u.explanation::jsonb)"
                         " ELSE store.clear_alert(u.device, u.kind, u.key, " UNIX_TIME(
                             "u.at") ", u.sentence) END"
                                     " FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bigint[],"
                                     " $7::text[], $8::text[])"
                                     " AS u(action, device, kind, key, severity, at, sentence, explanation)",
             8, parameters, NULL, NULL);
}

static void add_changes(struct script *script, const struct feed_commit *c) {
  struct decimal step = decimal(c->step);
  const char *parameters[] = {step.text, list_literal(c->change_devices), list_literal(c->change_times),
                              list_literal(c->change_states), list_literal(c->change_reasons)};
  script_add(
      script,
      "WITH change AS (SELECT u.*, " UNIX_TIME(
          "u.at") " AS time FROM unnest($2::integer[], $3::bigint[], $4::text[], $5::text[])"
                  " WITH ORDINALITY AS u(device, at, state, reason, place) WHERE NOT store.is_erased(u.device)),"
                  " history AS (INSERT INTO store.connectivity_change (device, step, place, at, state, reason)"
                  " SELECT device, $1, place, time, state, reason FROM change)"
                  " INSERT INTO store.connectivity_now (device, state, since, reason)"
                  " SELECT DISTINCT ON (device) device, state, time, reason FROM change ORDER BY device, place DESC"
                  " ON CONFLICT (device) DO UPDATE SET state = excluded.state, since = excluded.since, reason = excluded.reason",
      5, parameters, NULL, NULL);
}

static void add_blind(struct script *script, const struct feed_commit *c) {
  const char *parameters[] = {list_literal(c->blind_began), list_literal(c->blind_ended), list_literal(c->blind_reasons)};
  script_add(script,
             "INSERT INTO store.blind_interval (began, ended, reason)"
             " SELECT DISTINCT ON (u.began) " UNIX_TIME("u.began") ", CASE WHEN u.ended <> 0 THEN " UNIX_TIME(
                 "u.ended") " END, u.reason FROM unnest($1::bigint[], $2::bigint[], $3::text[])"
                            " WITH ORDINALITY AS u(began, ended, reason, place) ORDER BY u.began, u.place DESC"
                            " ON CONFLICT (began) DO UPDATE SET ended = excluded.ended",
             3, parameters, NULL, NULL);
}

static void add_windows(struct script *script, const struct feed_commit *c) {
  const char *parameters[] = {list_literal(c->window_ids), list_literal(c->window_withheld), list_literal(c->window_missing)};
  script_add(script,
             "UPDATE store.maintenance w SET withheld = u.withheld, missing = coalesce(u.missing, w.missing)"
             " FROM unnest($1::bigint[], $2::bigint[], $3::integer[]) AS u(id, withheld, missing) WHERE w.id = u.id",
             3, parameters, NULL, NULL);
}

static void add_missing(struct script *script, const struct feed_commit *c) {
  const char *parameters[] = {list_literal(c->missing_devices),  list_literal(c->missing_hours),
                              list_literal(c->missing_reasons),  list_literal(c->missing_counts),
                              list_literal(c->missing_expected), list_literal(c->missing_received)};
  script_add(
      script,
      "INSERT INTO store.completeness (device, hour, reason, missing, expected, received)"
      " SELECT u.device, " UNIX_TIME(
          "u.hour") ", u.reason, u.missing, u.expected, u.received"
                    " FROM unnest($1::integer[], $2::bigint[], $3::text[], $4::integer[], $5::integer[], $6::integer[])"
                    " AS u(device, hour, reason, missing, expected, received) WHERE NOT store.is_erased(u.device)"
                    " ON CONFLICT (device, hour, reason) DO UPDATE SET missing = excluded.missing, expected = excluded.expected,"
                    " received = excluded.received",
      6, parameters, NULL, NULL);
}

static void add_checkpoint(struct script *script, const struct feed_commit *c) {
  struct decimal n[] = {decimal(c->lane), decimal(c->checkpoint), decimal(c->version)};
  const char *states[] = {n[0].text, list_literal(c->state_devices), list_literal(c->states)};
  script_add(script,
             "INSERT INTO store.detector_state (lane, device, state) SELECT $1, u.device, u.state"
             " FROM unnest($2::integer[], $3::bytea[]) AS u(device, state) WHERE NOT store.is_erased(u.device)"
             " ON CONFLICT (lane, device) DO UPDATE SET state = excluded.state",
             3, states, NULL, NULL);
  const char *series[] = {n[0].text, list_literal(c->series_devices), list_literal(c->series_metrics),
                          list_literal(c->series_states)};
  script_add(script,
             "INSERT INTO store.series_state (lane, device, metric, state) SELECT $1, u.device, u.metric, u.state"
             " FROM unnest($2::integer[], $3::integer[], $4::bytea[]) AS u(device, metric, state)"
             " WHERE NOT store.is_erased(u.device)"
             " ON CONFLICT (lane, device, metric) DO UPDATE SET state = excluded.state",
             4, series, NULL, NULL);
  const char *clocks[] = {n[0].text,
                          n[1].text,
                          n[2].text,
                          list_literal(c->clock_feeds),
                          list_literal(c->clock_numbers),
                          list_literal(c->clock_received),
                          list_literal(c->clock_seeing)};
  script_add(
      script,
      "INSERT INTO store.checkpoint (lane, step, version, feeds, taken_at)"
      " SELECT $1, $2, $3, coalesce(jsonb_agg(jsonb_build_array(u.feed, u.number, u.received, u.seeing) ORDER BY u.feed), '[]'),"
      " clock_timestamp() FROM unnest($4::integer[], $5::bigint[], $6::bigint[], $7::bigint[]) AS u(feed, number, received, "
      "seeing)"
      " ON CONFLICT (lane) DO UPDATE SET step = excluded.step, version = excluded.version, feeds = excluded.feeds,"
      " taken_at = excluded.taken_at",
      7, clocks, NULL, NULL);
}

struct script *feed_commit(const struct feed_commit *c) {
  struct script *script = script_new();
  struct decimal lane = decimal(c->lane);
  struct decimal erasure = decimal(c->erasure);
  const char *fence[] = {erasure.text};
  const char *steps[] = {lane.text, list_literal(c->steps), list_literal(c->feeds), list_literal(c->numbers),
                         list_literal(c->rows)};
  script_add(script, "BEGIN", 0, NULL, NULL, NULL);
  script_add(script, "SELECT store.fence($1)", 1, fence, NULL, NULL); // what is erased from here on waits for our commit
  script_add(script,
             "INSERT INTO store.analysed_batch (lane, step, feed, number, rows) SELECT $1, u.step, u.feed, u.number, u.rows"
             " FROM unnest($2::bigint[], $3::integer[], $4::bigint[], $5::integer[]) AS u(step, feed, number, rows)",
             5, steps, NULL, NULL);
  const char *batches[] = {steps[2], steps[3]};
  script_add(script,
             "SELECT store.note_batches(ARRAY(SELECT store.batch_key(u.feed, u.number)"
             " FROM unnest($1::integer[], $2::bigint[]) AS u(feed, number)))",
             2, batches, NULL, NULL);
  if (list_count(c->alert_actions) > 0) {
    add_alerts(script, c);
  }
  if (list_count(c->change_devices) > 0) {
    add_changes(script, c);
  }
  if (list_count(c->blind_began) > 0) {
    add_blind(script, c);
  }
  if (list_count(c->window_ids) > 0) {
    add_windows(script, c);
  }
  if (list_count(c->missing_devices) > 0) {
    add_missing(script, c);
  }
  if (c->with_checkpoint) {
    add_checkpoint(script, c);
  }
  script_add(script, "COMMIT", 0, NULL, NULL, NULL);
  return script;
}
