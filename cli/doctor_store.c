// What the database tells about itself. Each question is one statement whose rows are findings: state, said, advice.
#include "cli/doctor.h"

#include <string.h>

#include "cli/db.h"
#include "cli/embedded.h"

struct question {
  const char *area;
  const char *sql;
};

// `setting` as a condition that has to hold.
#define SETTING(name, good, state, advice)                                                                                       \
  "SELECT CASE WHEN " good " THEN 'good' ELSE '" state "' END, '" name " is ' || current_setting('" name "'), '" advice          \
  "' FROM pg_settings WHERE name = '" name "'"
#define BYTES "setting::numeric * CASE unit WHEN '8kB' THEN 8192 WHEN 'kB' THEN 1024 WHEN 'MB' THEN 1048576 ELSE 1 END"

static const struct question questions[] = {
    {"server", "SELECT CASE WHEN current_setting('server_version_num')::int < 150000 THEN 'bad' ELSE 'good' END,"
               " 'PostgreSQL ' || current_setting('server_version'), 'Vedette needs PostgreSQL 15 or newer'"},
    {"server", "SELECT CASE WHEN current_setting('server_encoding') = 'UTF8' THEN 'good' ELSE 'bad' END,"
               " 'the database is in ' || current_setting('server_encoding'), 'make the database anew in UTF8'"},
    {"server", SETTING("fsync", "setting = 'on'", "bad", "a power cut can destroy the database: set it to on")},
    {"server", SETTING("full_page_writes", "setting = 'on'", "bad", "a power cut can destroy the database: set it to on")},
    {"server", SETTING("synchronous_commit", "setting <> 'off'", "bad",
                       "what devices are told is stored can be lost in a power cut: set it to on")},
    {"server", SETTING("autovacuum", "setting = 'on'", "bad", "tables grow and queries slow down: set it to on")},
    {"server",
     SETTING("shared_buffers", BYTES " >= 256 * 1048576", "warning", "a quarter of the memory is usual, at least 256MB")},
    {"server", SETTING("max_wal_size", BYTES " >= 2147483648", "warning",
                       "checkpoints come too often under load and rewrite too much: set it to 2GB or more")},
    {"server",
     SETTING("jit", "setting = 'off'", "warning", "compiling short statements costs more than it saves: set it to off")},
    {"server",
     "SELECT CASE WHEN current_setting('listen_addresses') = '' THEN 'good' WHEN current_setting('ssl') = 'on' THEN 'good'"
     " ELSE 'bad' END, CASE WHEN current_setting('listen_addresses') = '' THEN 'reachable by its Unix socket only'"
     " ELSE 'listens on ' || current_setting('listen_addresses') || ', ssl is ' || current_setting('ssl') END,"
     " 'let it listen on no address, or set ssl to on'"},
    {"server",
     "SELECT CASE WHEN used > most * 0.8 THEN 'warning' ELSE 'good' END, used || ' of ' || most || ' connections are used',"
     " 'raise max_connections, or find who keeps them (pg_stat_activity)' FROM (SELECT count(*) AS used,"
     " current_setting('max_connections')::int AS most FROM pg_stat_activity WHERE backend_type = 'client backend') c"},
    {"server", "SELECT CASE WHEN age > 1500000000 THEN 'bad' WHEN age > 500000000 THEN 'warning' ELSE 'good' END,"
               " 'the oldest transaction number is ' || to_char(age, 'FM999,999,999,999') || ' back',"
               " 'vacuum does not get through: look for old transactions and prepared ones, then VACUUM the database'"
               " FROM (SELECT age(datfrozenxid) AS age FROM pg_database WHERE datname = current_database()) a"},
    {"server",
     "SELECT CASE WHEN age > interval '1 hour' THEN 'warning' ELSE 'good' END,"
     " CASE WHEN age IS NULL THEN 'no transaction is open for long' ELSE 'a transaction is open since ' ||"
     " to_char(now() - age, 'YYYY-MM-DD HH24:MI') || ' UTC' END, 'vacuum cannot clean behind it: end it (pg_stat_activity)'"
     " FROM (SELECT max(now() - xact_start) FILTER (WHERE now() - xact_start > interval '1 hour') AS age FROM pg_stat_activity"
     " WHERE backend_type = 'client backend') a"},
    {"roles", "SELECT CASE WHEN count(*) = 6 THEN 'good' ELSE 'bad' END, count(*) || ' of 6 roles are there',"
              " 'run storage/bootstrap.sql as superuser (vedette migrate --print-bootstrap)' FROM pg_roles WHERE rolname IN"
              " ('vedette_admin', 'vedette_ingest', 'vedette_analysis', 'vedette_keeper', 'vedette_console', 'vedette_grafana')"},
    {"roles", "SELECT CASE WHEN names IS NULL THEN 'good' ELSE 'bad' END, coalesce(names || ' may do more than they need',"
              " 'none may more than it needs'), 'ALTER ROLE … NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS'"
              " FROM (SELECT string_agg(rolname, ', ') AS names FROM pg_roles WHERE rolname LIKE 'vedette%'"
              " AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)) r"},
    {"roles", "SELECT CASE WHEN names IS NULL THEN 'good' ELSE 'bad' END, coalesce(names || ' belong to others',"
              " 'everything belongs to vedette_admin'), 'ALTER TABLE … OWNER TO vedette_admin' FROM (SELECT string_agg(relname, "
              "', ') AS names"
              " FROM (SELECT relname FROM pg_class WHERE relnamespace IN (to_regnamespace('store'), to_regnamespace('vedette'))"
              " AND relowner <> to_regrole('vedette_admin') LIMIT 10) o) n"},
    {"partitions",
     "SELECT CASE WHEN missing > 0 THEN 'bad' ELSE 'good' END, CASE WHEN missing > 0 THEN 'partitions of today or tomorrow are "
     "missing'"
     " ELSE 'partitions are made ahead' END, 'see that vedette-keeper runs, and what it logs' FROM (SELECT count(*) AS missing"
     " FROM generate_series(0, 1) d, unnest(ARRAY['report', 'traffic']) t"
     " WHERE to_regclass('store.' || t || to_char((now() AT TIME ZONE 'UTC') + d * interval '1 day', '\"_\"YYYYMMDD')) IS NULL) "
     "m"},
    {"partitions",
     "SELECT CASE WHEN rows > 100000 THEN 'warning' ELSE 'good' END, CASE WHEN rows > 100000 THEN 'more than 100000' ELSE "
     "rows::text END"
     " || ' reports lie outside every day', 'clocks are wrong, or the keeper was away: see vedette.report, clock <> ''good'''"
     " FROM (SELECT count(*) AS rows FROM (SELECT FROM ONLY store.report_default LIMIT 100001) r) n"},
    {"retention", "SELECT CASE WHEN oldest < now() - keep - interval '2 days' THEN 'bad' ELSE 'good' END, coalesce('the oldest "
                  "day of reports is '"
                  " || to_char(oldest, 'YYYY-MM-DD'), 'no days of reports') || ', kept are ' || keep, 'see that vedette-keeper "
                  "runs, and what it logs'"
                  " FROM (SELECT min(to_date(substring(c.relname FROM '[0-9]+$'), 'YYYYMMDD'))::timestamptz AS oldest, "
                  "store.longest('report') AS keep"
                  " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass('store.report')"
                  " AND c.relname <> 'report_default') d"},
    {"compression",
     "SELECT CASE WHEN waiting > 3 THEN 'warning' ELSE 'good' END, waiting || ' day' || CASE waiting WHEN 1 THEN '' ELSE 's' END "
     "||"
     " ' older than four days wait for it', 'see that vedette-keeper runs and what it logs; raise keeper.share if it does not "
     "keep up'"
     " FROM (SELECT count(*) AS waiting FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid LEFT JOIN store.packing p"
     " ON p.day = to_date(substring(c.relname FROM '[0-9]+$'), 'YYYYMMDD') AND p.state = 'packed'"
     " WHERE i.inhparent = to_regclass('store.report') AND c.relname <> 'report_default' AND p.day IS NULL AND c.reltuples > 0"
     " AND substring(c.relname FROM '[0-9]+$') < to_char(now() - interval '4 days', 'YYYYMMDD')) w"},
    {"bloat", "SELECT CASE WHEN names IS NULL THEN 'good' ELSE 'warning' END, coalesce(names || ': more than a third of the rows "
              "are dead',"
              " 'no table is full of dead rows'), 'VACUUM them; if it comes back, vacuum does not get through' FROM (SELECT"
              " string_agg(relname, ', ') AS names FROM (SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'store'"
              " AND n_dead_tup > 50000 AND n_dead_tup * 2 > n_live_tup ORDER BY n_dead_tup DESC LIMIT 5) t) b"},
    {"ingest",
     "SELECT CASE WHEN late IS NULL THEN 'good' ELSE 'bad' END, coalesce('no batch for 30 s from ' || late, workers || ' worker'"
     " || CASE workers WHEN 1 THEN '' ELSE 's' END || ' at work'), 'start it; if it will not come back: vedette worker retire'"
     " FROM (SELECT string_agg(worker, ', ') FILTER (WHERE committed_at < now() - interval '30 seconds') AS late, count(*) AS "
     "workers"
     " FROM vedette.worker WHERE retired_at IS NULL) w"},
};

// How far the schema is; without one, the other questions have no sense.
static bool has_schema(struct doctor *doctor, PGconn *connection) {
  PGresult *result =
      db_query(doctor->cli, connection, "SELECT to_regclass('vedette_meta.vedette_migration') IS NOT NULL AS there", 0, NULL);
  bool there = result != NULL && *db_text(result, 0, "there") == 't';
  PQclear(result);
  result =
      there ? db_query(doctor->cli, connection, "SELECT max(number) AS at FROM vedette_meta.vedette_migration", 0, NULL) : NULL;
  long long at = result != NULL ? db_number(result, 0, "at") : 0;
  PQclear(result);
  doctor_note(doctor, "schema", at == (long long)embedded_count ? DOCTOR_GOOD : DOCTOR_BAD,
              at > (long long)embedded_count ? "use the newer vedette" : "run vedette migrate",
              "the database is at migration %lld of %zu", at, embedded_count);
  return at == (long long)embedded_count;
}

static enum doctor_state state_of(const char *word) {
  return strcmp(word, "good") == 0 ? DOCTOR_GOOD : strcmp(word, "warning") == 0 ? DOCTOR_WARNING : DOCTOR_BAD;
}

bool doctor_store(struct doctor *doctor, PGconn *connection) {
  if (!has_schema(doctor, connection)) {
    return PQstatus(connection) == CONNECTION_OK;
  }
  for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
    PGresult *result = db_query(doctor->cli, connection, questions[i].sql, 0, NULL);
    if (result == NULL && PQstatus(connection) != CONNECTION_OK) {
      return false;
    }
    for (int row = 0; result != NULL && row < PQntuples(result); row++) {
      doctor_note(doctor, questions[i].area, state_of(PQgetvalue(result, row, 0)), PQgetvalue(result, row, 2), "%s",
                  PQgetvalue(result, row, 1));
    }
    if (result == NULL) {
      doctor_note(doctor, questions[i].area, DOCTOR_UNKNOWN, "see the line above", "this could not be looked at");
    }
    PQclear(result);
  }
  return true;
}
