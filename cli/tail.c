// `vedette tail`: reports and alerts as they are committed.
//
// Asks once a second for what is new and never reads a table from its start. Reports are followed by their workers' batch
// numbers, which have no holes once committed; alerts by the number of the entry in their timeline. Those numbers can be
// committed out of order, so what is beyond a hole is read again until the hole is filled, or is HOLE_MS old (its transaction was
// undone).
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/when.h"

enum { POLL_MS = 1000, HOLE_MS = 10000, FEEDS = 1024, ENTRIES = 500, SHOWN = 200, VALUES = 8 };

struct feed {
  long long id;
  long long number; // all batches up to this one were shown
};

struct tail {
  struct cli *cli;
  const char *device; // NULL: all
  bool reports;
  bool alerts;
  bool started; // where we began is known
  struct feed feeds[FEEDS];
  size_t feed_count;
  long long settled;       // all entries up to this one were shown
  long long seen[ENTRIES]; // … and these beyond it, ascending
  size_t seen_count;
  int64_t hole_since; // microseconds; 0: no hole
};

// The feed's place, made at `number` when it is new. NULL when there are too many.
static struct feed *feed_of(struct tail *tail, long long id, long long number) {
  for (size_t i = 0; i < tail->feed_count; i++) {
    if (tail->feeds[i].id == id) {
      return &tail->feeds[i];
    }
  }
  if (tail->feed_count == FEEDS) {
    return NULL;
  }
  tail->feeds[tail->feed_count] = (struct feed){.id = id, .number = number};
  return &tail->feeds[tail->feed_count++];
}

// The first values of a report, as name=value.
static void show_values(const json_t *values) {
  const char *metric = NULL;
  json_t *value = NULL;
  size_t shown = 0;
  json_object_foreach((json_t *)values, metric, value) {
    if (shown++ == VALUES) {
      printf(" and %zu more", json_object_size(values) - VALUES);
      return;
    }
    putchar(' ');
    text_write(stdout, metric, strlen(metric));
    putchar('=');
    if (json_is_string(value)) {
      text_write(stdout, json_string_value(value), json_string_length(value));
    } else if (json_is_number(value)) {
      printf("%.6g", json_number_value(value));
    } else {
      putchar('-');
    }
  }
}

static void show_clock(const PGresult *result, int row, const char *column) {
  char clock[WHEN_SIZE] = "--:--:--";
  int64_t time = 0;
  if (when_from_store(db_text(result, row, column), &time)) {
    when_clock(time, clock);
  }
  printf("%s  ", clock);
}

static void show_field(const PGresult *result, int row, const char *column) {
  const char *text = db_text(result, row, column);
  text_write(stdout, text, strlen(text));
}

static bool show_json(struct tail *tail, const PGresult *result, int row, const char *type) {
  json_t *object = output_row(result, row);
  json_object_set_new(object, "type", json_string(type));
  return output_json_line(tail->cli, object) == CLI_FINE;
}

static bool show_report(struct tail *tail, const PGresult *result, int row) {
  if (tail->cli->json) {
    return show_json(tail, result, row, "report");
  }
  show_clock(result, row, "received");
  fputs("report  ", stdout);
  show_field(result, row, "credential");
  printf(" #%s%s", db_text(result, row, "sequence"), *db_text(result, row, "historical") == 't' ? " (historical)" : "");
  if (strcmp(db_text(result, row, "clock"), "good") != 0) {
    printf(" (clock %s)", db_text(result, row, "clock"));
  }
  json_t *values = output_value(result, row, PQfnumber(result, "values"));
  show_values(values);
  json_decref(values);
  putchar('\n');
  return true;
}

// Shows the reports of batches with these keys. `rows`: how many they have, of all devices.
static bool show_batches(struct tail *tail, PGconn *connection, const char *keys, long long rows) {
  static const char sql[] =
      "SELECT r.received, r.time, r.credential, r.publisher, r.boot, r.sequence, r.size, r.historical, r.clock, ("
      " SELECT jsonb_object_agg(s.metric, coalesce(to_jsonb(s.text), to_jsonb(s.value))) FROM vedette.sample s"
      " WHERE s.device = r.device AND s.time = r.time AND s.publisher = r.publisher AND s.boot = r.boot AND s.sequence = "
      "r.sequence"
      ") AS values FROM vedette.report r WHERE r.batch = ANY ($1::bigint[]) AND ($2::text IS NULL OR r.credential = $2)"
      " ORDER BY r.received LIMIT $3::bigint";
  char limit[16];
  (void)snprintf(limit, sizeof limit, "%d", SHOWN);
  const char *const values[] = {keys, tail->device, limit};
  PGresult *result = db_query(tail->cli, connection, sql, 3, values);
  bool fine = result != NULL;
  for (int row = 0; fine && row < PQntuples(result); row++) {
    fine = show_report(tail, result, row);
  }
  if (fine && tail->device == NULL && rows > SHOWN) {
    fprintf(stderr, "… %lld more reports in this second; --device shows one device's\n", rows - SHOWN);
  }
  PQclear(result);
  return fine;
}

// Goes on with one feed: its next batches without a hole.
static bool follow_feed(struct tail *tail, PGconn *connection, struct feed *feed) {
  static const char sql[] = "SELECT max(number) AS number, coalesce(sum(rows), 0) AS rows,"
                            " array_agg((feed::bigint << 40) | number) FILTER (WHERE rows > 0) AS keys FROM ("
                            " SELECT feed, number, rows, number - row_number() OVER (ORDER BY number) = $2::bigint AS next FROM ("
                            "  SELECT feed, number, rows FROM vedette.batch WHERE feed = $1::integer AND number > $2::bigint "
                            "ORDER BY number LIMIT 200) n) m"
                            " WHERE next";
  char id[24];
  char number[24];
  (void)snprintf(id, sizeof id, "%lld", feed->id);
  (void)snprintf(number, sizeof number, "%lld", feed->number);
  const char *const values[] = {id, number};
  PGresult *result = db_query(tail->cli, connection, sql, 2, values);
  bool fine = result != NULL;
  if (fine && PQgetisnull(result, 0, 0) == 0) {
    long long rows = db_number(result, 0, "rows");
    fine = rows == 0 || show_batches(tail, connection, db_text(result, 0, "keys"), rows);
    feed->number = fine ? db_number(result, 0, "number") : feed->number;
  }
  PQclear(result);
  return fine;
}

static bool follow_reports(struct tail *tail, PGconn *connection) {
  PGresult *result = db_query(
      tail->cli, connection,
      "SELECT feed, coalesce(batches, 0) AS batches FROM vedette.worker WHERE retired_at IS NULL ORDER BY feed", 0, NULL);
  bool fine = result != NULL;
  for (int row = 0; fine && row < PQntuples(result); row++) {
    long long newest = db_number(result, row, "batches");
    struct feed *feed = feed_of(tail, db_number(result, row, "feed"), tail->started ? 0 : newest);
    fine = feed == NULL || feed->number >= newest || follow_feed(tail, connection, feed);
  }
  PQclear(result);
  return fine;
}

static bool was_seen(const struct tail *tail, long long entry) {
  for (size_t i = 0; i < tail->seen_count; i++) {
    if (tail->seen[i] == entry) {
      return true;
    }
  }
  return false;
}

static bool show_alert(struct tail *tail, const PGresult *result, int row) {
  if (tail->cli->json) {
    return show_json(tail, result, row, "alert");
  }
  show_clock(result, row, "at");
  printf("alert   %s ", db_text(result, row, "change"));
  output_word(tail->cli, db_text(result, row, "severity"));
  printf(" %s %s: ", db_text(result, row, "alert"), db_text(result, row, "kind"));
  show_field(result, row, "detail");
  putchar('\n');
  return true;
}

// Moves `settled` over what was seen without a hole, and over a hole that is too old or too far back.
static void settle(struct tail *tail, const PGresult *result) {
  int row = 0;
  int rows = PQntuples(result);
  int64_t now = when_now();
  bool give_up = rows == ENTRIES || (tail->hole_since != 0 && now - tail->hole_since > (int64_t)HOLE_MS * 1000);
  for (; row < rows; row++) {
    long long entry = db_number(result, row, "entry");
    if (entry != tail->settled + 1 && !give_up) {
      break;
    }
    tail->settled = entry;
  }
  tail->seen_count = 0;
  for (; row < rows; row++) {
    tail->seen[tail->seen_count++] = db_number(result, row, "entry");
  }
  tail->hole_since = tail->seen_count == 0 ? 0 : tail->hole_since != 0 ? tail->hole_since : now;
}

static bool follow_alerts(struct tail *tail, PGconn *connection) {
  static const char sql[] =
      "SELECT e.entry, e.at, e.change, a.severity, a.kind, a.alert, a.credential, a.state, e.actor, e.detail FROM "
      "vedette.alert_event e"
      " JOIN vedette.alert a ON a.device = e.device AND a.alert = e.alert WHERE e.entry > $1::bigint ORDER BY e.entry LIMIT 500";
  char settled[24];
  (void)snprintf(settled, sizeof settled, "%lld", tail->settled);
  const char *const values[] = {settled};
  PGresult *result = db_query(tail->cli, connection, sql, 1, values);
  bool fine = result != NULL;
  for (int row = 0; fine && row < PQntuples(result); row++) {
    bool wanted = tail->device == NULL || strcmp(db_text(result, row, "credential"), tail->device) == 0;
    fine = !wanted || was_seen(tail, db_number(result, row, "entry")) || show_alert(tail, result, row);
  }
  if (fine) {
    settle(tail, result);
  }
  PQclear(result);
  return fine;
}

// Finds where the timeline of alerts ends now.
static bool start_alerts(struct tail *tail, PGconn *connection) {
  PGresult *result = db_query(tail->cli, connection, "SELECT coalesce(max(entry), 0) AS entry FROM vedette.alert_event", 0, NULL);
  if (result == NULL) {
    return false;
  }
  tail->settled = db_number(result, 0, "entry");
  PQclear(result);
  return true;
}

static bool poll_once(struct tail *tail, PGconn *connection) {
  if (tail->alerts && !(tail->started ? follow_alerts(tail, connection) : start_alerts(tail, connection))) {
    return false;
  }
  if (tail->reports && !follow_reports(tail, connection)) {
    return false;
  }
  tail->started = true;
  return cli_flush(tail->cli);
}

// Until Ctrl-C; a database that goes away later than at the start is waited for.
static int follow(struct tail *tail) {
  int code = CLI_FINE;
  PGconn *connection = NULL;
  cli_catch_stop();
  while (!cli_stopped()) {
    connection = connection != NULL ? connection : db_open(tail->cli, DB_CONSOLE, DB_READ_S);
    if (connection == NULL || !poll_once(tail, connection)) {
      bool gone = connection == NULL || PQstatus(connection) != CONNECTION_OK;
      PQfinish(connection);
      connection = NULL;
      if (!tail->started || !gone || ferror(stdout) != 0) {
        code = tail->cli->code;
        break;
      }
    }
    cli_sleep_ms(POLL_MS);
  }
  PQfinish(connection);
  return code;
}

int tail(struct cli *cli, const struct command *command, int argc, char **argv) {
  struct tail *tail = calloc(1, sizeof *tail);
  if (tail == NULL) {
    return cli_fail(cli, CLI_FAILED, "out of memory");
  }
  const struct option_spec specs[] = {{OPTION_TEXT, "device", &tail->device, "CREDENTIAL", "only of this device", 0, 0},
                                      {OPTION_FLAG, "alerts", &tail->alerts, NULL, "alerts and what changes about them", 0, 0},
                                      {OPTION_FLAG, "reports", &tail->reports, NULL, "reports", 0, 0},
                                      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  int code = options_parse(cli, command, specs, 0, 0, argc, argv) < 0 ? cli->code : -1;
  if (code < 0) {
    tail->cli = cli;
    if (!tail->alerts && !tail->reports) {
      tail->alerts = true;
      tail->reports = true;
    }
    code = follow(tail);
  }
  free(tail);
  return code;
}
