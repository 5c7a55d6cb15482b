// `vedette status`: how the installation is doing, once or every two seconds.
#include <stdio.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/when.h"

enum { WATCH_MS = 2000, STATUS_S = 5, SELDOM = 15 }; // SELDOM: what is costly is asked every so many rounds of --watch

// One part of the picture: key in JSON, title, what to ask, what to say when there is nothing.
struct part {
  const char *key;
  const char *title;
  const char *sql;
  const char *none;
  bool costly;
};

static const struct part parts[] = {
    {"workers", "Ingest workers",
     "SELECT worker, feed, CASE WHEN committed_at IS NULL THEN 'new' WHEN committed_at < now() - interval '10 seconds' THEN 'not "
     "heard'"
     " ELSE 'running' END AS state, coalesce(batches, 0) AS batches, coalesce(pending, 0) AS pending,"
     " extract(epoch FROM now() - committed_at) AS last_batch_s, greatest(coalesce(batches, 0) - coalesce(analysed, 0), 0)"
     " AS not_analysed FROM vedette.worker WHERE retired_at IS NULL ORDER BY worker, feed",
     "none has connected yet", false},
    {"devices", "Devices",
     "SELECT connectivity, count(*) AS devices FROM vedette.device WHERE life NOT IN ('retired', 'erased')"
     " GROUP BY connectivity ORDER BY devices DESC, connectivity",
     "none registered; see vedette device add and vedette device import", false},
    {"last_minute", "Messages of the last minute",
     "SELECT coalesce(sum(reports), 0) AS reports, coalesce(sum(connectivity), 0) AS connectivity, coalesce(sum(duplicates), 0)"
     " AS duplicates, coalesce(sum(rejected), 0) AS rejected, coalesce(sum(shed), 0) AS shed FROM vedette.batch"
     " WHERE committed_at > now() - interval '1 minute'",
     "none", false},
    {"dead_letters", "Dead letters of the last hour",
     "SELECT reason, count(*) AS messages FROM vedette.dead_letter WHERE received > now() - interval '1 hour'"
     " GROUP BY reason ORDER BY messages DESC, reason",
     "none", false},
    {"alerts", "Open alerts",
     "SELECT severity, count(*) AS alerts, max(opened_at) AS newest FROM vedette.alert_open GROUP BY severity"
     " ORDER BY array_position(ARRAY['critical', 'major', 'warning', 'info'], severity)",
     "none", false},
    {"sequence_gaps", "Sequence gaps of the last hour",
     "SELECT count(*) AS gaps, sum(missing) AS missing_reports, count(DISTINCT device) AS devices FROM vedette.sequence_gap"
     " WHERE noticed_at > now() - interval '1 hour' HAVING count(*) > 0",
     "none", true},
    {"compression", "Compression, the latest days",
     "SELECT day, state, reports, round(100 * reports::numeric / greatest(expected, 1), 1) AS percent,"
     " round(ratio::numeric, 1) AS ratio, round(bytes_a_sample::numeric, 2) AS bytes_a_sample"
     " FROM vedette.compression ORDER BY state = 'packed', day DESC LIMIT 3",
     "no day is compressed yet", true},
};
enum { PARTS = sizeof parts / sizeof parts[0] };

// What was last heard of each part; NULL where it took too long.
struct picture {
  PGresult *parts[PARTS];
  unsigned round;
};

static void picture_clear(struct picture *picture) {
  for (size_t i = 0; i < PARTS; i++) {
    PQclear(picture->parts[i]);
    picture->parts[i] = NULL;
  }
  picture->round = 0;
}

// Asks for all parts that are due. False when the database failed, which is said.
static bool picture_ask(struct picture *picture, struct cli *cli, PGconn *connection) {
  for (size_t i = 0; i < PARTS; i++) {
    bool too_long = false;
    if (parts[i].costly && picture->round % SELDOM != 0) {
      continue;
    }
    PQclear(picture->parts[i]);
    picture->parts[i] = db_try(cli, connection, parts[i].sql, &too_long);
    if (picture->parts[i] == NULL && !too_long) {
      return false;
    }
  }
  picture->round++;
  return true;
}

static int show_json(struct cli *cli, const struct picture *picture, bool one_line) {
  char now[WHEN_SIZE];
  json_t *object = json_object();
  when_utc(when_now(), now);
  json_object_set_new(object, "at", json_string(now));
  for (size_t i = 0; i < PARTS; i++) {
    json_object_set_new(object, parts[i].key, picture->parts[i] == NULL ? json_null() : output_rows(picture->parts[i]));
  }
  return one_line ? output_json_line(cli, object) : output_json(cli, object);
}

static int show_text(struct cli *cli, const struct picture *picture) {
  for (size_t i = 0; i < PARTS; i++) {
    output_title(cli, parts[i].title);
    putchar('\n');
    if (picture->parts[i] == NULL) {
      printf("not known: it takes longer than %d s to count\n", STATUS_S);
    } else {
      output_table(cli, picture->parts[i], parts[i].none);
    }
    putchar('\n');
  }
  return cli_flush(cli) ? CLI_FINE : CLI_FAILED;
}

// One round of --watch. False when the connection is of no use any more, which is said.
static bool watch_round(struct cli *cli, PGconn *connection, struct picture *picture, bool terminal) {
  char now[WHEN_SIZE];
  if (!picture_ask(picture, cli, connection)) {
    return false;
  }
  if (cli->json) {
    return show_json(cli, picture, true) == CLI_FINE;
  }
  when_local(when_now(), now);
  printf("%sVedette, %s (Ctrl-C ends)\n\n", terminal ? "\033[H\033[J" : "", now);
  return show_text(cli, picture) == CLI_FINE;
}

// Shows it again and again; a database that goes away is waited for.
static int watch(struct cli *cli) {
  bool terminal = isatty(STDOUT_FILENO) == 1;
  struct picture picture = {0};
  PGconn *connection = NULL;
  int code = CLI_FINE;
  cli_catch_stop();
  while (!cli_stopped() && code == CLI_FINE) {
    connection = connection != NULL ? connection : db_open(cli, DB_CONSOLE, STATUS_S);
    if (connection == NULL) {
      code = cli->code == CLI_WRONG ? CLI_WRONG : CLI_FINE;
    } else if (!watch_round(cli, connection, &picture, terminal)) {
      code = ferror(stdout) != 0 ? CLI_FAILED : CLI_FINE;
      PQfinish(connection);
      connection = NULL;
      picture_clear(&picture);
    }
    cli_sleep_ms(code == CLI_FINE ? WATCH_MS : 0);
  }
  PQfinish(connection);
  picture_clear(&picture);
  return code;
}

static int show_once(struct cli *cli) {
  struct picture picture = {0};
  PGconn *connection = db_open(cli, DB_CONSOLE, STATUS_S);
  int code = CLI_FAILED;
  if (connection != NULL && picture_ask(&picture, cli, connection)) {
    code = cli->json ? show_json(cli, &picture, false) : show_text(cli, &picture);
  } else {
    code = cli->code;
  }
  PQfinish(connection);
  picture_clear(&picture);
  return code;
}

int status(struct cli *cli, const struct command *command, int argc, char **argv) {
  bool watching = false;
  const struct option_spec specs[] = {{OPTION_FLAG, "watch", &watching, NULL, "show it anew every 2 s, until Ctrl-C", 0, 0},
                                      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0) {
    return cli->code;
  }
  return watching ? watch(cli) : show_once(cli);
}
