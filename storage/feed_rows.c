// The rows of batches, as analysis is shown them.
#include "storage/feed.h"

#include "storage/fields.h"

#include <endian.h>
#include <math.h>
#include <string.h>

// The columns that the rows of nearly all kinds begin with.
static struct feed_row row_head(const PGresult *rows, int row, enum feed_kind kind) {
  return (struct feed_row){.kind = kind,
                           .batch = field_int8(rows, row, 0),
                           .device = field_int4(rows, row, 1),
                           .publisher = field_int4(rows, row, 2),
                           .time = field_time(rows, row, 3),
                           .received = field_time(rows, row, 4),
                           .boot = field_int8(rows, row, 5),
                           .sequence = field_int8(rows, row, 6),
                           .marks = field_int4(rows, row, 7),
                           .text = ""};
}

// All kinds have one shape: batch, device, publisher, time, received, boot, sequence, marks, size, code, count, until, retained,
// text, hash; FEED_LEVEL has the level besides.
static void take_rows(const PGresult *rows, void *arg, enum feed_kind kind) {
  const struct feed_rows *out = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    struct feed_row row = row_head(rows, i, kind);
    row.size = field_int4(rows, i, 8);
    row.code = field_int4(rows, i, 9);
    row.count = field_int4(rows, i, 10);
    row.until = field_time(rows, i, 11);
    row.retained = field_bool(rows, i, 12);
    row.text = PQgetvalue(rows, i, 13);
    row.text_length = (size_t)PQgetlength(rows, i, 13);
    row.hash = PQgetlength(rows, i, 14) == 32 ? (const uint8_t *)PQgetvalue(rows, i, 14) : NULL;
    row.level = kind == FEED_LEVEL ? field_float8(rows, i, 15) : 0;
    out->row(&row, out->arg);
  }
}

static void take_connectivity_rows(const PGresult *rows, void *arg) {
  take_rows(rows, arg, FEED_CONNECTIVITY);
}

static void take_reports(const PGresult *rows, void *arg) {
  take_rows(rows, arg, FEED_REPORT);
}

static void take_levels(const PGresult *rows, void *arg) {
  take_rows(rows, arg, FEED_LEVEL);
}

// When it was received, and its marks, the report says that it came with: to join the two here costs more than all else.
static void take_traffic(const PGresult *rows, void *arg) {
  const struct feed_rows *out = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    const struct feed_row row = {.kind = FEED_TRAFFIC,
                                 .batch = field_int8(rows, i, 0),
                                 .device = field_int4(rows, i, 1),
                                 .publisher = field_int4(rows, i, 2),
                                 .time = field_time(rows, i, 3),
                                 .boot = field_int8(rows, i, 4),
                                 .sequence = field_int8(rows, i, 5),
                                 .text = "",
                                 .traffic = {.span = field_int8(rows, i, 6),
                                             .bytes_out = field_int8(rows, i, 7),
                                             .bytes_in = field_int8(rows, i, 8),
                                             .packets_out = field_int8(rows, i, 9),
                                             .packets_in = field_int8(rows, i, 10),
                                             .connections = field_int4(rows, i, 11),
                                             .destinations = field_int4(rows, i, 12),
                                             .listening = field_int4(rows, i, 13)}};
    out->row(&row, out->arg);
  }
}

static int32_t read_metrics(const PGresult *rows, int row, int column, int32_t out[FEED_VALUES_MOST]) {
  struct field_array array = field_array(rows, row, column);
  const char *bytes;
  int32_t size;
  int32_t count = 0;
  while (count < FEED_VALUES_MOST && field_next(&array, &bytes, &size)) {
    uint32_t word = 0;
    if (bytes != NULL && size == sizeof word) {
      memcpy(&word, bytes, sizeof word);
    }
    out[count++] = (int32_t)be32toh(word);
  }
  return count;
}

static int32_t read_values(const PGresult *rows, int row, int column, double out[FEED_VALUES_MOST]) {
  struct field_array array = field_array(rows, row, column);
  const char *bytes;
  int32_t size;
  int32_t count = 0;
  while (count < FEED_VALUES_MOST && field_next(&array, &bytes, &size)) {
    uint64_t word;
    out[count] = NAN;
    if (bytes != NULL && size == sizeof word) {
      memcpy(&word, bytes, sizeof word);
      word = be64toh(word);
      memcpy(&out[count], &word, sizeof word);
    }
    count++;
  }
  return count;
}

static void take_values(const PGresult *rows, void *arg) {
  const struct feed_rows *out = arg;
  int32_t metrics[FEED_VALUES_MOST];
  double values[FEED_VALUES_MOST];
  for (int i = 0; i < PQntuples(rows); i++) {
    int32_t named = read_metrics(rows, i, 8, metrics);
    int32_t given = read_values(rows, i, 9, values);
    struct feed_row row = row_head(rows, i, FEED_VALUES);
    row.metrics = metrics;
    row.values = values;
    row.value_count = named < given ? named : given;
    out->row(&row, out->arg);
  }
}

static void take_events(const PGresult *rows, void *arg) {
  take_rows(rows, arg, FEED_EVENT);
}

static void take_firmware(const PGresult *rows, void *arg) {
  take_rows(rows, arg, FEED_FIRMWARE);
}

static void take_letters(const PGresult *rows, void *arg) {
  take_rows(rows, arg, FEED_DEAD_LETTER);
}

static void take_unkept(const PGresult *rows, void *arg) {
  take_rows(rows, arg, FEED_UNKEPT);
}

#define NOTHING "NULL::timestamptz"
#define OF_BATCHES " WHERE batch = ANY ($1::bigint[])"

// How much the batteries have left, of the models that say which metric tells.
static void add_levels(struct script *script, const char *const *parameters, struct feed_rows *rows) {
  script_add_binary(
      script,
      "SELECT r.batch, r.device, r.publisher, r.time, r.received, r.boot, r.sequence, r.marks::integer, 0, 0, 0, " NOTHING
      ", false, '', NULL::bytea, r.values[array_position(s.metrics, x.id)] FROM store.report r"
      " JOIN store.device d ON d.id = r.device JOIN store.model m ON m.id = d.model AND m.battery IS NOT NULL"
      " JOIN store.metric x ON x.name = m.battery JOIN store.metric_set s ON s.device = r.device AND s.set = r.set" OF_BATCHES
      " AND r.values[array_position(s.metrics, x.id)] IS NOT NULL"
      " ORDER BY r.received, r.device, r.publisher, r.boot, r.sequence, r.time",
      1, parameters, take_levels, rows);
}

static void take_counts(const PGresult *rows, void *arg) {
  const struct feed_rows *out = arg;
  for (int i = 0; i < PQntuples(rows); i++) {
    out->count(field_int8(rows, i, 0), field_int4(rows, i, 1), out->arg);
  }
}

struct script *feed_rows(struct list *keys, struct feed_rows *rows) {
  struct script *script = script_new();
  const char *parameters[] = {list_literal(keys)};
  script_add(script, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL, NULL, NULL); // the counts fit the rows
  script_add_binary(script,
                    "SELECT k.key, b.rows FROM unnest($1::bigint[]) AS k(key)"
                    " JOIN store.batch b ON b.feed = (k.key >> 40)::integer AND b.number = k.key & ((1::bigint << 40) - 1)",
                    1, parameters, take_counts, rows);
  script_add_binary(
      script,
      "SELECT batch, device, device, time, received, boot, connection, 0, 0, state::integer, 0, until, retained, reason,"
      " NULL::bytea FROM store.connectivity" OF_BATCHES " ORDER BY received, device, boot, connection, state",
      1, parameters, take_connectivity_rows, rows);
  script_add_binary(script,
                    "SELECT batch, device, publisher, time, received, boot, sequence, marks::integer, size,"
                    " coalesce(hash_array(array_remove(values, NULL)), 0), 0, " NOTHING
                    ", false, '', NULL::bytea FROM store.report" OF_BATCHES
                    " ORDER BY received, device, publisher, boot, sequence, time",
                    1, parameters, take_reports, rows);
  if (rows->levels) {
    add_levels(script, parameters, rows);
  }
  script_add_binary(
      script,
      "SELECT batch, device, publisher, time, boot, sequence, span, bytes_out, bytes_in, packets_out, packets_in,"
      " connections, destinations, cardinality(listening_tcp) + cardinality(listening_udp) FROM store.traffic" OF_BATCHES
      " ORDER BY device, time, publisher, boot, sequence",
      1, parameters, take_traffic, rows);
  script_add_binary(
      script,
      "SELECT r.batch, r.device, r.publisher, r.time, r.received, r.boot, r.sequence, r.marks::integer, s.metrics[1:256],"
      " r.values[1:256] FROM store.report r JOIN store.metric_set s ON s.device = r.device AND s.set = r.set"
      " WHERE r.batch = ANY ($1::bigint[]) AND r.marks & 1 = 0"
      " ORDER BY r.received, r.device, r.publisher, r.boot, r.sequence, r.time",
      1, parameters, take_values, rows);
  script_add_binary(
      script,
      "SELECT batch, device, publisher, time, received, boot, sequence, marks::integer, 0, kind::integer, count, " NOTHING
      ", false, subject, NULL::bytea FROM store.event" OF_BATCHES " ORDER BY received, device, publisher, boot, sequence, place",
      1, parameters, take_events, rows);
  script_add_binary(
      script,
      "SELECT batch, device, publisher, time, received, boot, sequence, marks::integer, 0, verification::integer, 0, " NOTHING
      ", false, version, image_hash FROM store.firmware" OF_BATCHES " ORDER BY received, device, publisher, boot, sequence",
      1, parameters, take_firmware, rows);
  script_add_binary(
      script,
      "SELECT batch, device, device, received, received, boot, sequence, marks::integer, size, reason::integer, 1, " NOTHING
      ", false, store.without_erased(detail), NULL::bytea FROM store.dead_letter" OF_BATCHES
      " AND device <> 0 ORDER BY received, device, record",
      1, parameters, take_letters, rows);
  // Messages that were shed, or rejected past the dead letters that are kept: the batch only counts them.
  script_add_binary(
      script,
      "SELECT k.key, u.device, u.device, b.received_to, b.received_to, 0::bigint, 0::bigint, 0, 0, u.reason, u.count, " NOTHING
      ", false, '', NULL::bytea FROM unnest($1::bigint[]) AS k(key)"
      " JOIN store.batch b ON b.feed = (k.key >> 40)::integer AND b.number = k.key & ((1::bigint << 40) - 1)"
      " CROSS JOIN LATERAL unnest(b.unkept_devices, b.unkept_reasons, b.unkept_counts) AS u(device, reason, count)"
      " ORDER BY k.key, u.device, u.reason",
      1, parameters, take_unkept, rows);
  script_add(script, "COMMIT", 0, NULL, NULL, NULL);
  return script;
}
