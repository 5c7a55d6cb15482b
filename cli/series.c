// `vedette series`: what is known of the values of a device, and how far it has come.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/values.h"
#include "cli/commands.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/when.h"

static const char device_sql[] = "SELECT FROM vedette.device WHERE credential = $1";
static const char series_sql[] = "SELECT metric, unit, state, as_of FROM vedette.series_learned WHERE credential = $1"
                                 " AND ($2::text IS NULL OR metric = $2) ORDER BY metric";

static const char *training(const struct series *series) {
  return series_is_warm(series) ? "trained" : "in training";
}

static json_t *scores_of(const struct series *series) {
  json_t *scores = json_array();
  for (int block = SERIES_BLOCKS - 1; block >= 0; block--) {
    json_array_append_new(scores, json_real(series_block_score(series, block)));
  }
  return scores;
}

static json_t *as_json(const PGresult *rows, int row, const struct metric_value *value) {
  const struct series *series = &value->series;
  struct novelty_band band = novelty_band(&series->views[0]);
  json_t *object =
      json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:f, s:{s:f, s:f}, s:f, s:o, s:I, s:o}", "metric", db_text(rows, row, "metric"),
                "unit", db_text(rows, row, "unit"), "kind", series_kind_name(series_kind(series)), "training", training(series),
                "samples", (json_int_t)series->samples, "steps", (json_int_t)series->steps, "newest", series->looked, "usual",
                "low", band.low, "high", band.high, "news", (double)series->news, "scores", scores_of(series), "memory_bytes",
                (json_int_t)sizeof *value, "as_of", output_value(rows, row, PQfnumber(rows, "as_of")));
  if (object != NULL && value->since != 0) {
    char since[WHEN_SIZE];
    when_utc(value->since, since);
    json_object_set_new(object, "unusual",
                        json_pack("{s:s, s:f, s:f}", "since", since, "was_low", value->low, "was_high", value->high));
  }
  return object;
}

static void show(const struct cli *cli, const PGresult *rows, int row, const struct metric_value *value) {
  const struct series *series = &value->series;
  const struct novelty_band band = novelty_band(&series->views[0]);
  const char *unit = db_text(rows, row, "unit");
  char text[WHEN_SIZE];
  output_title(cli, db_text(rows, row, "metric"));
  when_duration((double)series->time / 1e6 - series->began, text);
  printf("\n  kind     %s, %s: %u samples, %u steps in %s\n", series_kind_name(series_kind(series)), training(series),
         series->samples, series->steps, text);
  printf("  newest   %.6g %s\n  usual    %.6g to %.6g\n  scores  ", series->looked, unit, band.low, band.high);
  for (int block = SERIES_BLOCKS - 1; block >= 0; block--) {
    printf(" %.2f", series_block_score(series, block));
  }
  printf("  (highest of each %d steps, the newest last; from 0.5 on it may be an alert)\n", SERIES_BLOCK_STEPS);
  if (value->since != 0) {
    when_local(value->since, text);
    printf("  unusual  since %s; before, it was %.6g to %.6g\n", text, value->low, value->high);
  }
  printf("  memory   %zu bytes\n", sizeof *value);
}

// Of a row; false when another version wrote it.
static bool read_value(const PGresult *rows, int row, struct metric_value *value) {
  size_t size = 0;
  unsigned char *bytes = PQunescapeBytea((const unsigned char *)db_text(rows, row, "state"), &size);
  bool fits = bytes != NULL && size == sizeof *value;
  if (fits) {
    memcpy(value, bytes, size);
    fits = value->series.version == SERIES_VERSION;
  }
  PQfreemem(bytes);
  return fits;
}

static int write_out(struct cli *cli, const PGresult *rows) {
  json_t *list = json_array();
  int shown = 0;
  for (int row = 0; row < PQntuples(rows); row++) {
    struct metric_value value;
    if (!read_value(rows, row, &value)) {
      fprintf(stderr, "%s: %s was written by another version and is learned anew\n", cli_program(cli),
              db_text(rows, row, "metric"));
    } else if (cli->json) {
      json_array_append_new(list, as_json(rows, row, &value));
    } else {
      fputs(shown++ > 0 ? "\n" : "", stdout);
      show(cli, rows, row, &value);
    }
  }
  if (cli->json) {
    return output_json(cli, list);
  }
  json_decref(list);
  return cli_flush(cli) ? CLI_FINE : CLI_FAILED;
}

static int look_up(struct cli *cli, PGconn *connection, const char *const values[2]) {
  int code;
  PGresult *rows = NULL;
  PGresult *device = db_query(cli, connection, device_sql, 1, values);
  if (device != NULL && PQntuples(device) == 0) {
    code = db_no_device(cli, values[0]);
  } else if (device == NULL || (rows = db_query(cli, connection, series_sql, 2, values)) == NULL) {
    code = cli->code;
  } else if (PQntuples(rows) == 0 && !cli->json) {
    code = cli_fail(cli, CLI_FAILED, "%s has no series%s%s yet: they are there after the first checkpoint of vedette-analysis",
                    values[0], values[1] != NULL ? " of " : "", values[1] != NULL ? values[1] : "");
  } else {
    code = write_out(cli, rows);
  }
  PQclear(rows);
  PQclear(device);
  return code;
}

int series_show(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  int given = options_parse(cli, command, specs, 1, 2, argc, argv);
  if (given < 0) {
    return cli->code;
  }
  const char *const values[] = {argv[0], given > 1 ? argv[1] : NULL};
  PGconn *connection = db_open(cli, DB_CONSOLE, DB_READ_S);
  int code = connection != NULL ? look_up(cli, connection, values) : cli->code;
  PQfinish(connection);
  return code;
}
