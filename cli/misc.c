// `vedette config check` and `vedette version`.
#include <stdio.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/embedded.h"
#include "cli/options.h"
#include "cli/output.h"
#include "ingest/mapping.h"

static int say_fine(struct cli *cli, const struct mappings *mappings) {
  json_t *filters = json_array();
  if (!cli->json) {
    printf("%s is fine\n", cli_config_path(cli));
  }
  for (size_t i = 0; i < mappings_count(mappings); i++) {
    json_array_append_new(filters, json_string(mappings_filter(mappings, i)));
    if (!cli->json) {
      printf("JSON on %s is mapped\n", mappings_filter(mappings, i));
    }
  }
  if (cli->json) {
    return output_json(cli, json_pack("{s:s,s:b,s:o}", "file", cli_config_path(cli), "fine", 1, "mappings", filters));
  }
  json_decref(filters);
  return CLI_FINE;
}

int config_check(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  char error[512];
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0 || cli_config(cli) == NULL) {
    return cli->code;
  }
  struct mappings *mappings = mappings_load(cli_config(cli)->ingest.mappings, error, sizeof error);
  if (mappings == NULL) {
    return cli_fail(cli, CLI_WRONG, "%s", error);
  }
  int code = say_fine(cli, mappings);
  mappings_free(mappings);
  return code;
}

// What the database runs. False with the error said.
static bool ask_database(struct cli *cli, char *server, size_t size, long long *at) {
  PGconn *connection = db_open(cli, DB_CONSOLE, DB_READ_S);
  if (connection == NULL) {
    return false;
  }
  PGresult *result = db_query(
      cli, connection,
      "SELECT current_setting('server_version') AS server, max(number) AS at FROM vedette_meta.vedette_migration", 0, NULL);
  if (result != NULL) {
    (void)snprintf(server, size, "%s", db_text(result, 0, "server"));
    *at = db_number(result, 0, "at");
  }
  PQclear(result);
  PQfinish(connection);
  return result != NULL;
}

int version(struct cli *cli, const struct command *command, int argc, char **argv) {
  bool all = false;
  char server[64] = "";
  long long at = 0;
  const struct option_spec specs[] = {{OPTION_FLAG, "all", &all, NULL, "libraries, database and its migrations too", 0, 0},
                                      {OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0) {
    return cli->code;
  }
  if (!all) {
    if (cli->json) {
      return output_json(cli, json_pack("{s:s}", "vedette", VEDETTE_VERSION));
    }
    puts("vedette " VEDETTE_VERSION);
    return CLI_FINE;
  }
  bool reached = ask_database(cli, server, sizeof server, &at);
  int libpq = PQlibVersion();
  char library[32];
  (void)snprintf(library, sizeof library, "%d.%d", libpq / 10000, libpq % 10000);
  if (cli->json) {
    json_t *object =
        json_pack("{s:s,s:s,s:s,s:i,s:o,s:o}", "vedette", VEDETTE_VERSION, "libpq", library, "jansson", JANSSON_VERSION,
                  "migrations", (int)embedded_count, "postgresql", reached ? json_string(server) : json_null(), "database_at",
                  reached ? json_integer(at) : json_null());
    int code = output_json(cli, object);
    return reached ? code : cli->code;
  }
  printf("vedette     %s, migrations up to %zu\nlibpq       %s\njansson     %s\n", VEDETTE_VERSION, embedded_count, library,
         JANSSON_VERSION);
  if (!reached) {
    return cli->code;
  }
  printf("PostgreSQL  %s, database at migration %lld\n", server, at);
  return CLI_FINE;
}
