#include "cli/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/db.h"
#include "cli/text.h"

enum { COPY_CHUNK = 64 * 1024, COPY_LINE_MAX = 4096 }; // bytes; a checked line escaped is below 2,200

const char *const registry_columns[REGISTRY_COLUMNS] = {"credential", "model",   "firmware", "region",  "time_zone",
                                                        "site",       "gateway", "owner",    "critical"};

static const struct {
  size_t most; // bytes
  const char *too_long;
} limits[REGISTRY_COLUMNS] = {
    {128, "longer than 128 bytes"}, {128, "longer than 128 bytes"}, {64, "longer than 64 bytes"},
    {128, "longer than 128 bytes"}, {64, "longer than 64 bytes"},   {128, "longer than 128 bytes"},
    {128, "longer than 128 bytes"}, {128, "longer than 128 bytes"}, {8, "neither yes nor no (nor true, false, 1, 0)"}};

struct registry {
  struct cli *cli;
  PGconn *connection;
  struct problems *problems;
  size_t used;
  char chunk[COPY_CHUNK];
};

bool registry_read_flag(const char *text, bool *flag) {
  static const char *const words[] = {"no", "yes", "false", "true", "0", "1"};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    if (strcasecmp(text, words[i]) == 0) {
      *flag = i % 2 == 1;
      return true;
    }
  }
  return false;
}

const char *registry_check(const char *const fields[REGISTRY_COLUMNS], enum registry_column *column) {
  bool flag = false;
  for (*column = REGISTRY_CREDENTIAL; *column < REGISTRY_COLUMNS; (*column)++) {
    const char *field = fields[*column];
    size_t length = strlen(field);
    if (length == 0 && *column <= REGISTRY_MODEL) {
      return "is empty";
    }
    if (length > limits[*column].most) {
      return limits[*column].too_long;
    }
    if (!text_is_utf8(field, length)) {
      return "is not UTF-8";
    }
    if (text_has_control(field, length)) {
      return "holds a control character";
    }
    if (*column == REGISTRY_CREDENTIAL && strpbrk(field, "/+#") != NULL) {
      return "holds / or + or #, which topics cannot carry";
    }
    if (*column == REGISTRY_GATEWAY && length > 0 && strcmp(field, fields[REGISTRY_CREDENTIAL]) == 0) {
      return "is the device itself";
    }
    if (*column == REGISTRY_CRITICAL && length > 0 && !registry_read_flag(field, &flag)) {
      return limits[REGISTRY_CRITICAL].too_long;
    }
  }
  return NULL;
}

static bool run(struct registry *registry, const char *sql) {
  return db_run(registry->cli, registry->connection, sql, 0, NULL);
}

struct registry *registry_open(struct cli *cli, PGconn *connection, struct problems *problems) {
  struct registry *registry = calloc(1, sizeof *registry);
  if (registry == NULL) {
    cli_fail(cli, CLI_FAILED, "out of memory");
    return NULL;
  }
  registry->cli = cli;
  registry->connection = connection;
  registry->problems = problems;
  bool begun =
      run(registry, "BEGIN") && run(registry, "SET LOCAL lock_timeout = '10s'") &&
      run(registry, "CREATE TEMPORARY TABLE import_line (line bigint, credential text, model text, firmware text, region text,"
                    " time_zone text, site text, gateway text, owner text, critical boolean) ON COMMIT DROP");
  PGresult *result = begun ? PQexec(connection, "COPY pg_temp.import_line FROM STDIN") : NULL;
  if (result != NULL && PQresultStatus(result) != PGRES_COPY_IN) {
    db_fail(cli, connection, result);
    begun = false;
  }
  PQclear(result);
  if (!begun) {
    registry_close(registry);
    return NULL;
  }
  return registry;
}

void registry_close(struct registry *registry) {
  if (registry == NULL) {
    return;
  }
  if (PQtransactionStatus(registry->connection) == PQTRANS_ACTIVE) { // still within COPY
    (void)PQputCopyEnd(registry->connection, "abandoned");
    for (PGresult *result = PQgetResult(registry->connection); result != NULL; result = PQgetResult(registry->connection)) {
      PQclear(result);
    }
  }
  if (PQtransactionStatus(registry->connection) != PQTRANS_IDLE) {
    PQclear(PQexec(registry->connection, "ROLLBACK"));
  }
  free(registry);
}

static bool send_chunk(struct registry *registry) {
  int sent = registry->used == 0 ? 1 : PQputCopyData(registry->connection, registry->chunk, (int)registry->used);
  registry->used = 0;
  if (sent != 1) {
    db_fail(registry->cli, registry->connection, NULL);
  }
  return sent == 1;
}

// Appends a field in COPY's text form; NULL for what is empty. The line fits: registry_check bounds it.
static void put_field(struct registry *registry, const char *text) {
  char *out = registry->chunk + registry->used;
  *out++ = '\t';
  if (*text == '\0') {
    *out++ = '\\';
    *out++ = 'N';
  }
  for (; *text != '\0'; text++) {
    if (*text == '\\') {
      *out++ = '\\';
    }
    *out++ = *text;
  }
  registry->used = (size_t)(out - registry->chunk);
}

bool registry_put(struct registry *registry, unsigned long line, const char *const fields[REGISTRY_COLUMNS]) {
  enum registry_column column = REGISTRY_CREDENTIAL;
  const char *problem = registry_check(fields, &column);
  if (problem != NULL) {
    problems_add(registry->problems, line, registry_columns[column], "%s", problem);
    return true;
  }
  if (registry->used + COPY_LINE_MAX > sizeof registry->chunk && !send_chunk(registry)) {
    return false;
  }
  registry->used += (size_t)snprintf(registry->chunk + registry->used, 24, "%lu", line);
  for (column = REGISTRY_CREDENTIAL; column < REGISTRY_CRITICAL; column++) {
    put_field(registry, column == REGISTRY_TIME_ZONE && *fields[column] == '\0' ? "UTC" : fields[column]);
  }
  bool critical = false;
  (void)registry_read_flag(fields[REGISTRY_CRITICAL], &critical);
  put_field(registry, critical ? "t" : "f");
  registry->chunk[registry->used++] = '\n';
  return true;
}

static bool end_copy(struct registry *registry) {
  bool done = send_chunk(registry) && PQputCopyEnd(registry->connection, NULL) == 1;
  for (PGresult *result = PQgetResult(registry->connection); result != NULL; result = PQgetResult(registry->connection)) {
    if (done && PQresultStatus(result) != PGRES_COMMAND_OK) {
      db_fail(registry->cli, registry->connection, result);
      done = false;
    }
    PQclear(result);
  }
  return done;
}

// Runs a statement that takes bad lines out and returns their numbers and what is wrong. Returns how many, −1 with the error
// said.
static int take_out(struct registry *registry, const char *sql, enum registry_column column) {
  PGresult *result = db_query(registry->cli, registry->connection, sql, 0, NULL);
  if (result == NULL) {
    return -1;
  }
  int rows = PQntuples(result);
  for (int row = 0; row < rows; row++) {
    problems_add(registry->problems, strtoul(PQgetvalue(result, row, 0), NULL, 10), registry_columns[column], "%s",
                 PQgetvalue(result, row, 1));
  }
  PQclear(result);
  return rows;
}

// What lines can only be told from each other and from the registry. A line whose gateway is itself left out is left out too.
static bool judge(struct registry *registry) {
  static const char zones[] = "DELETE FROM pg_temp.import_line WHERE time_zone NOT IN (SELECT name FROM pg_timezone_names)"
                              " RETURNING line, format('''%s'' is not a time zone that PostgreSQL knows', time_zone)";
  static const char repeats[] =
      "DELETE FROM pg_temp.import_line l USING (SELECT line, min(line) OVER (PARTITION BY credential) AS first"
      " FROM pg_temp.import_line) f WHERE f.line = l.line AND f.first < l.line"
      " RETURNING l.line, format('%s is already on line %s', l.credential, f.first)";
  static const char gateways[] =
      "DELETE FROM pg_temp.import_line l WHERE gateway IS NOT NULL"
      " AND NOT EXISTS (SELECT FROM pg_temp.import_line g WHERE g.credential = l.gateway)"
      " AND NOT EXISTS (SELECT FROM store.device d WHERE d.credential = l.gateway AND d.life <> 'erased')"
      " RETURNING line, format('''%s'' is neither registered nor in the file (or its own line is bad)', gateway)";
  static const char erased[] = "DELETE FROM pg_temp.import_line l USING store.device d WHERE d.credential = l.credential"
                               " AND d.life = 'erased' RETURNING l.line, format('%s is of an erased device', l.credential)";
  if (!run(registry, "ANALYZE pg_temp.import_line") || take_out(registry, zones, REGISTRY_TIME_ZONE) < 0 ||
      take_out(registry, repeats, REGISTRY_CREDENTIAL) < 0 ||
      // From here on nobody else registers devices; ingest and analysis only read them.
      !run(registry, "LOCK TABLE store.device IN SHARE ROW EXCLUSIVE MODE") ||
      take_out(registry, erased, REGISTRY_CREDENTIAL) < 0) {
    return false;
  }
  int taken = 0;
  do {
    taken = take_out(registry, gateways, REGISTRY_GATEWAY);
  } while (taken > 0);
  return taken == 0;
}

static bool count(struct registry *registry, struct registry_summary *summary) {
  PGresult *result =
      db_query(registry->cli, registry->connection,
               "SELECT count(*) FILTER (WHERE d.id IS NULL) AS created, count(*) FILTER (WHERE d.id IS NOT NULL AND"
               " (m.name, d.firmware, d.region, d.time_zone, d.site, g.credential, o.name, d.critical) IS DISTINCT FROM"
               " (l.model, l.firmware, l.region, l.time_zone, l.site, l.gateway, l.owner, l.critical)) AS updated,"
               " count(*) AS lines FROM pg_temp.import_line l LEFT JOIN store.device d ON d.credential = l.credential"
               " LEFT JOIN store.model m ON m.id = d.model LEFT JOIN store.owner o ON o.id = d.owner"
               " LEFT JOIN store.device g ON g.id = d.gateway",
               0, NULL);
  if (result == NULL) {
    return false;
  }
  summary->created = db_number(result, 0, "created");
  summary->updated = db_number(result, 0, "updated");
  summary->unchanged = db_number(result, 0, "lines") - summary->created - summary->updated;
  PQclear(result);
  return true;
}

// Models and owners, then new devices, then what differs: the second also brings new devices their gateways in the same file.
static bool write_lines(struct registry *registry) {
  static const char *const statements[] = {
      "INSERT INTO store.model (name) SELECT DISTINCT l.model FROM pg_temp.import_line l"
      " WHERE NOT EXISTS (SELECT FROM store.model m WHERE m.name = l.model) ON CONFLICT DO NOTHING",
      "INSERT INTO store.owner (name) SELECT DISTINCT l.owner FROM pg_temp.import_line l WHERE l.owner IS NOT NULL"
      " AND NOT EXISTS (SELECT FROM store.owner o WHERE o.name = l.owner) ON CONFLICT DO NOTHING",
      "INSERT INTO store.device (credential, model, firmware, region, time_zone, site, gateway, owner, critical)"
      " SELECT l.credential, m.id, l.firmware, l.region, l.time_zone, l.site, g.id, o.id, l.critical"
      " FROM pg_temp.import_line l JOIN store.model m ON m.name = l.model LEFT JOIN store.owner o ON o.name = l.owner"
      " LEFT JOIN store.device g ON g.credential = l.gateway"
      " WHERE NOT EXISTS (SELECT FROM store.device d WHERE d.credential = l.credential) ORDER BY l.line",
      "UPDATE store.device d SET model = m.id, firmware = l.firmware, region = l.region, time_zone = l.time_zone, site = l.site,"
      " gateway = g.id, owner = o.id, critical = l.critical"
      " FROM pg_temp.import_line l JOIN store.model m ON m.name = l.model LEFT JOIN store.owner o ON o.name = l.owner"
      " LEFT JOIN store.device g ON g.credential = l.gateway WHERE d.credential = l.credential"
      " AND (d.model, d.firmware, d.region, d.time_zone, d.site, d.gateway, d.owner, d.critical) IS DISTINCT FROM"
      " (m.id, l.firmware, l.region, l.time_zone, l.site, g.id, o.id, l.critical)",
  };
  for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
    if (!run(registry, statements[i])) {
      return false;
    }
  }
  return true;
}

bool registry_finish(struct registry *registry, bool dry_run, struct registry_summary *summary) {
  if (!end_copy(registry) || !judge(registry) || !count(registry, summary)) {
    return false;
  }
  if (dry_run) {
    return run(registry, "ROLLBACK");
  }
  return write_lines(registry) && run(registry, "COMMIT");
}
