#include "storage/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void take_position(const PGresult *rows, void *arg) {
  struct intake_position *position = arg;
  position->feed = (int32_t)strtol(PQgetvalue(rows, 0, 0), NULL, 10);
  position->number = strtoll(PQgetvalue(rows, 0, 1), NULL, 10);
  position->record = strtoull(PQgetvalue(rows, 0, 2), NULL, 10);
  position->retired = PQgetvalue(rows, 0, 3)[0] == 't';
}

static void take_erased_to(const PGresult *rows, void *arg) {
  struct intake_position *position = arg;
  position->erased_to = strtoll(PQgetvalue(rows, 0, 0), NULL, 10);
}

struct script *intake_open(const char *journal, const char *worker, struct intake_position *position) {
  struct script *script = script_new();
  const char *parameters[] = {journal, worker};
  script_add(script, "SELECT feed, next_number, next_record, retired FROM store.open_feed($1, $2)", 2, parameters, take_position,
             position);
  script_add(script, "SELECT erased_to FROM store.feed WHERE journal = $1", 1, parameters, take_erased_to, position);
  script_add(script, "SELECT store.recover_sequences($1)", 1, parameters, NULL, NULL);
  return script;
}

static void take_devices(const PGresult *rows, void *arg) {
  struct intake_devices *devices = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    const struct intake_device device = {.id = (int32_t)strtol(PQgetvalue(rows, i, 0), NULL, 10),
                                         .credential = PQgetvalue(rows, i, 1),
                                         .model = (int32_t)strtol(PQgetvalue(rows, i, 2), NULL, 10),
                                         .gateway = (int32_t)strtol(PQgetvalue(rows, i, 3), NULL, 10),
                                         .active = PQgetvalue(rows, i, 4)[0] == 't',
                                         .keep_us = strtoll(PQgetvalue(rows, i, 5), NULL, 10),
                                         .not_before = strtoll(PQgetvalue(rows, i, 6), NULL, 10)};
    devices->visit(&device, devices->arg);
  }
}

static void take_snapshot(const PGresult *rows, void *arg) {
  struct intake_devices *devices = arg;
  snprintf(devices->snapshot, sizeof devices->snapshot, "%s", PQgetvalue(rows, 0, 0));
}

static void take_kept(const PGresult *rows, void *arg) {
  const struct intake_devices *devices = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    devices->kept((int32_t)strtol(PQgetvalue(rows, i, 0), NULL, 10), strtoll(PQgetvalue(rows, i, 1), NULL, 10),
                  strtoll(PQgetvalue(rows, i, 2), NULL, 10), devices->arg);
  }
}

static void take_salt(const PGresult *rows, void *arg) {
  const struct intake_devices *devices = arg;
  if (PQntuples(rows) == 1 && PQgetlength(rows, 0, 0) == DIGEST_SIZE) {
    devices->salt((const uint8_t *)PQgetvalue(rows, 0, 0), devices->arg);
  }
}

static void take_tombstones(const PGresult *rows, void *arg) {
  const struct intake_devices *devices = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    if (PQgetlength(rows, i, 0) == DIGEST_SIZE) {
      devices->tombstone((const uint8_t *)PQgetvalue(rows, i, 0), devices->arg);
    }
  }
}

static void take_retained(const PGresult *rows, void *arg) {
  const struct intake_devices *devices = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    devices->retained((int32_t)strtol(PQgetvalue(rows, i, 0), NULL, 10), PQgetvalue(rows, i, 1), devices->arg);
  }
}

static void take_erasure(const PGresult *rows, void *arg) {
  struct intake_devices *devices = arg;
  devices->erasure = strtoll(PQgetvalue(rows, 0, 0), NULL, 10);
}

static void ask_erased(struct script *script, struct intake_devices *devices) {
  const char *parameters[] = {devices->snapshot};
  if (strcmp(devices->snapshot, "0") == 0) {
    script_add_binary(script, "SELECT salt FROM store.installation", 0, NULL, take_salt, devices);
  }
  script_add_binary(script, "SELECT digest FROM store.tombstone WHERE changed >= $1::xid8", 1, parameters, take_tombstones,
                    devices);
  script_add(script, "SELECT device, credential FROM store.erasing WHERE NOT cleared ORDER BY device LIMIT 100", 0, NULL,
             take_retained, devices);
  script_add(script, "SELECT coalesce(max(id), 0) FROM store.erasure", 0, NULL, take_erasure, devices);
}

struct script *intake_devices(struct intake_devices *devices) {
  struct script *script = script_new();
  const char *parameters[] = {devices->snapshot};
  const char *workers[] = {devices->worker};
  // All statements have one snapshot: what it does not see yet is at or above its xmin, and is asked for next time.
  script_add(script, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL, NULL, NULL);
  ask_erased(script, devices);
  script_add(script,
             "SELECT d.id, d.credential, d.model, coalesce(d.gateway, 0), d.life = 'active', store.keep_us(d.model),"
             " coalesce((extract(epoch FROM d.not_before) * 1000000)::bigint, 0)"
             " FROM store.device d WHERE d.changed >= $1::xid8",
             1, parameters, take_devices, devices);
  if (strcmp(devices->snapshot, "0") == 0) {
    script_add(script,
               "SELECT l.device, count(*), coalesce(sum(octet_length(l.payload)) FILTER (WHERE l.whole), 0)"
               " FROM store.dead_letter l JOIN store.feed f ON f.id = (l.batch >> 40)::integer"
               " WHERE f.worker = $1 AND l.received >= date_trunc('day', now(), 'UTC') AND l.marks & 1 = 0 GROUP BY l.device",
               1, workers, take_kept, devices);
  }
  script_add(script, "SELECT pg_snapshot_xmin(pg_current_snapshot())", 0, NULL, take_snapshot, devices);
  script_add(script, "COMMIT", 0, NULL, NULL, NULL);
  return script;
}

void intake_metrics(struct script *script, int32_t model, struct list *names, int limit, link_rows rows, void *arg) {
  struct decimal m = decimal(model);
  struct decimal l = decimal(limit);
  const char *parameters[] = {m.text, list_literal(names), l.text};
  script_add(script, "SELECT unnest(store.intern_metrics($1, $2, $3))", 3, parameters, rows, arg);
}

void intake_sets(struct script *script, struct list *devices, struct list *sets, int limit, link_rows rows, void *arg) {
  struct decimal l = decimal(limit);
  const char *parameters[] = {list_literal(devices), list_literal(sets), l.text};
  script_add(script,
             "SELECT store.intern_set(u.device, u.metrics::integer[], $3)"
             " FROM unnest($1::integer[], $2::text[]) WITH ORDINALITY AS u(device, metrics, place) ORDER BY u.place",
             3, parameters, rows, arg);
}

void intake_declare(struct script *script, int32_t model, int32_t metric, const char *kind, const char *unit) {
  struct decimal m = decimal(model);
  struct decimal n = decimal(metric);
  const char *parameters[] = {m.text, n.text, kind, unit};
  script_add(script, "SELECT store.declare_metric($1, $2, $3, $4)", 4, parameters, NULL, NULL);
}

void intake_probe_reports(struct script *script, const struct intake_keys *keys, link_rows rows, void *arg) {
  const char *parameters[] = {list_literal(keys->devices), list_literal(keys->times),     list_literal(keys->publishers),
                              list_literal(keys->boots),   list_literal(keys->sequences), list_literal(keys->digests)};
  script_add(script, "SELECT place, same FROM store.known_reports($1, $2, $3, $4, $5, $6)", 6, parameters, rows, arg);
}

void intake_probe_connectivity(struct script *script, const struct intake_keys *keys, link_rows rows, void *arg) {
  const char *parameters[] = {list_literal(keys->devices), list_literal(keys->boots), list_literal(keys->sequences),
                              list_literal(keys->publishers)};
  script_add(script,
             "SELECT u.place FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::smallint[])"
             " WITH ORDINALITY AS u(device, boot, connection, state, place) JOIN store.connectivity c ON c.device = u.device"
             " AND c.boot = u.boot AND c.connection = u.connection AND c.state = u.state",
             4, parameters, rows, arg);
}

static void add_copy(struct script *script, const char *table, const struct copy *copy) {
  char sql[192];
  if (copy->rows > 0) {
    snprintf(sql, sizeof sql, "COPY store.%s FROM STDIN (FORMAT binary)", table);
    script_copy(script, sql, copy->data, copy->used);
  }
}

static void add_batch_row(struct script *script, const struct intake_batch *b) {
  const struct decimal n[] = {decimal(b->feed),
                              decimal(b->number),
                              decimal((int64_t)b->first_record),
                              decimal((int64_t)b->next_record),
                              decimal((int64_t)b->journaled),
                              decimal(b->received_to),
                              decimal(b->seeing_since),
                              decimal(b->reports),
                              decimal(b->rows),
                              decimal(b->connectivity),
                              decimal(b->duplicates),
                              decimal(b->rejected),
                              decimal(b->shed)};
  const char *parameters[] = {n[0].text,
                              n[1].text,
                              n[2].text,
                              n[3].text,
                              n[4].text,
                              n[5].text,
                              n[6].text,
                              n[7].text,
                              n[8].text,
                              n[9].text,
                              n[10].text,
                              n[11].text,
                              n[12].text,
                              list_literal(b->days),
                              list_literal(b->unkept_devices),
                              list_literal(b->unkept_reasons),
                              list_literal(b->unkept_counts)};
  script_add(
      script,
      "INSERT INTO store.batch (feed, number, first_record, next_record, journaled, received_to, seeing_since, reports, rows,"
      " connectivity, duplicates, rejected, shed, days, unkept_devices, unkept_reasons, unkept_counts) VALUES ($1, $2, $3, $4, "
      "$5, " UNIX_TIME("$6") ", " UNIX_TIME(
          "$7") ","
                " $8, $9, $10, $11, $12, $13, ARRAY(SELECT date 'epoch' + d FROM unnest($14::integer[]) AS d), $15, $16, $17)",
      17, parameters, NULL, NULL);
}

static void add_exceptions(struct script *script, const struct intake_batch *b) {
  if (list_count(b->ledger_devices) == 0) {
    return;
  }
  struct decimal feed = decimal(b->feed);
  const char *parameters[] = {feed.text,
                              list_literal(b->ledger_devices),
                              list_literal(b->ledger_minutes),
                              list_literal(b->ledger_terms),
                              list_literal(b->ledger_reasons),
                              list_literal(b->ledger_counts)};
  script_add(
      script,
      "INSERT INTO store.ledger (device, minute, feed, term, reason, count)"
      " SELECT u.device, " UNIX_TIME(
          "u.minute") ", $1, u.term, u.reason, u.count"
                      " FROM unnest($2::integer[], $3::bigint[], $4::text[], $5::smallint[], $6::bigint[])"
                      " AS u(device, minute, term, reason, count)"
                      " ON CONFLICT (device, minute, feed, term, reason) DO UPDATE SET count = ledger.count + excluded.count",
      6, parameters, NULL, NULL);
}

static void add_books(struct script *script, const struct intake_batch *b) {
  if (list_count(b->book_minutes) == 0) {
    return;
  }
  struct decimal feed = decimal(b->feed);
  const char *parameters[] = {feed.text,
                              list_literal(b->book_minutes),
                              list_literal(b->received),
                              list_literal(b->stored),
                              list_literal(b->duplicate),
                              list_literal(b->rejected_by_minute),
                              list_literal(b->shed_by_minute),
                              list_literal(b->dead_letters)};
  script_add(script,
             "INSERT INTO store.minute AS m (feed, minute, received, stored, duplicate, rejected, shed, letters)"
             " SELECT $1, " UNIX_TIME(
                 "u.minute") ", u.received, u.stored, u.duplicate, u.rejected, u.shed, u.letters"
                             " FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], "
                             "$8::bigint[])"
                             " AS u(minute, received, stored, duplicate, rejected, shed, letters) ORDER BY u.minute"
                             " ON CONFLICT (feed, minute) DO UPDATE SET received = m.received + excluded.received, stored = "
                             "m.stored + excluded.stored,"
                             " duplicate = m.duplicate + excluded.duplicate, rejected = m.rejected + excluded.rejected,"
                             " shed = m.shed + excluded.shed, letters = m.letters + excluded.letters",
             8, parameters, NULL, NULL);
}

static void add_clocks(struct script *script, const struct intake_batch *b) {
  if (list_count(b->clock_devices) == 0) {
    return;
  }
  const char *parameters[] = {list_literal(b->clock_devices), list_literal(b->clocks_ahead), list_literal(b->clock_drifts),
                              list_literal(b->clock_times)};
  script_add(script,
             "INSERT INTO store.clock (device, ahead_us, drift_ppm, measured_at)"
             " SELECT DISTINCT ON (u.device) u.device, u.ahead, u.drift / 1000.0, " UNIX_TIME(
                 "u.at") " FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[]) AS u(device, ahead, drift, at)"
                         " ORDER BY u.device, u.at DESC"
                         " ON CONFLICT (device) DO UPDATE SET ahead_us = excluded.ahead_us, drift_ppm = excluded.drift_ppm,"
                         " measured_at = excluded.measured_at",
             4, parameters, NULL, NULL);
}

static void add_sequences(struct script *script, const struct intake_batch *b) {
  const struct intake_sequences *s = b->sequences;
  if (s == NULL) {
    return;
  }
  struct decimal feed = decimal(b->feed);
  struct decimal number = decimal(b->number);
  const char *parameters[] = {feed.text,
                              number.text,
                              list_literal(s->publishers),
                              list_literal(s->boots),
                              list_literal(s->firsts),
                              list_literal(s->lasts),
                              list_literal(s->sheds),
                              list_literal(s->kept)};
  script_add(script, "SELECT publisher, boot, through FROM store.note_sequences($1, $2, $3, $4, $5, $6, $7, $8)", 8, parameters,
             s->stored, s->arg);
}

struct script *intake_batch(const struct intake_batch *b) {
  struct script *script = script_new();
  const struct decimal erasure = decimal(b->erasure);
  const char *fence[] = {erasure.text};
  script_add(script, "BEGIN", 0, NULL, NULL, NULL);
  script_add(script, "SELECT store.fence($1)", 1, fence, NULL, NULL);
  // Before the rows, so that a commit that is repeated, or a worker that was retired, fails here and not on them.
  add_batch_row(script, b);
  add_copy(script, "report", b->report);
  add_copy(script, "traffic", b->traffic);
  add_copy(script, "event", b->event);
  add_copy(script, "firmware", b->firmware);
  add_copy(script, "connectivity", b->connectivity_rows);
  add_copy(script,
           "dead_letter (device, batch, record, received, reason, boot, sequence, size, topic, detail, payload, whole, marks)",
           b->letters);
  add_exceptions(script, b);
  add_books(script, b);
  add_clocks(script, b);
  add_sequences(script, b);
  script_add(script, "COMMIT", 0, NULL, NULL, NULL);
  return script;
}

struct script *intake_lost(int32_t feed, int64_t number, uint64_t first, uint64_t next, int64_t received_to) {
  struct script *script = script_new();
  const struct decimal n[] = {decimal(feed), decimal(number), decimal((int64_t)first), decimal((int64_t)next),
                              decimal(received_to)};
  const char *parameters[] = {n[0].text, n[1].text, n[2].text, n[3].text, n[4].text};
  script_add(script,
             "INSERT INTO store.batch (feed, number, kind, first_record, next_record, journaled, received_to, seeing_since)"
             " VALUES ($1, $2, 'lost', $3, $4, $4, " UNIX_TIME("$5") ", " UNIX_TIME("$5") ")",
             5, parameters, NULL, NULL);
  return script;
}

struct script *intake_claim_letters(int32_t feed, int most, int64_t most_bytes, link_rows rows, void *arg) {
  struct script *script = script_new();
  const struct decimal n[] = {decimal(feed), decimal(most), decimal(most_bytes)};
  const char *parameters[] = {n[0].text, n[1].text, n[2].text};
  script_add_binary(script, "SELECT id, topic, payload FROM store.claim_letters($1, $2, $3)", 3, parameters, rows, arg);
  return script;
}

struct script *intake_letters_replayed(int32_t feed, struct list *ids) {
  struct script *script = script_new();
  const struct decimal f = decimal(feed);
  const char *parameters[] = {f.text, list_literal(ids)};
  script_add(script, "SELECT store.letters_replayed($1, $2)", 2, parameters, NULL, NULL);
  return script;
}

struct script *intake_retained_cleared(struct list *devices) {
  struct script *script = script_new();
  const char *parameters[] = {list_literal(devices)};
  script_add(script, "SELECT store.retained_cleared($1)", 1, parameters, NULL, NULL);
  return script;
}

struct script *intake_forgot(int32_t feed, int64_t erasure) {
  struct script *script = script_new();
  const struct decimal n[] = {decimal(feed), decimal(erasure)};
  const char *parameters[] = {n[0].text, n[1].text};
  script_add(script, "SELECT store.journal_forgot($1, $2)", 2, parameters, NULL, NULL);
  return script;
}

int64_t intake_batch_key(int32_t feed, int64_t number) {
  return ((int64_t)feed << 40) | number;
}
