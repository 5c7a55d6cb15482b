// `vedette doctor`: looks at everything that goes wrong slowly, and says what to do about it.
#include "cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/db.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/text.h"

static const char *const states[] = {"good", "warning", "bad", "unknown"};

void doctor_note(struct doctor *doctor, const char *area, enum doctor_state state, const char *advice, const char *said, ...) {
  char *text = NULL;
  va_list arguments;
  va_start(arguments, said);
  int length = vasprintf(&text, said, arguments);
  va_end(arguments);
  doctor->counts[state]++;
  json_array_append_new(doctor->findings,
                        json_pack("{s:s,s:s,s:s,s:s?}", "area", area, "state", states[state], "said",
                                  length < 0 ? "out of memory" : text, "advice", state == DOCTOR_GOOD ? NULL : advice));
  free(length < 0 ? NULL : text);
}

static void show(const struct doctor *doctor) {
  size_t i = 0;
  json_t *finding = NULL;
  json_array_foreach(doctor->findings, i, finding) {
    const char *state = json_string_value(json_object_get(finding, "state"));
    const char *area = json_string_value(json_object_get(finding, "area"));
    const char *said = json_string_value(json_object_get(finding, "said"));
    const char *advice = json_string_value(json_object_get(finding, "advice")); // NULL for none
    if (state == NULL || area == NULL || said == NULL) {
      continue; // out of memory
    }
    output_word(doctor->cli, state);
    printf("%*s %-12s ", (int)(8 - strlen(state)), "", area);
    text_write(stdout, said, strlen(said));
    putchar('\n');
    if (advice != NULL) {
      printf("%22s-> ", "");
      text_write(stdout, advice, strlen(advice));
      putchar('\n');
    }
  }
}

int doctor(struct cli *cli, const struct command *command, int argc, char **argv) {
  const struct option_spec specs[] = {{OPTION_END, NULL, NULL, NULL, NULL, 0, 0}};
  if (options_parse(cli, command, specs, 0, 0, argc, argv) < 0 || cli_config(cli) == NULL) {
    return cli->code;
  }
  struct doctor doctor = {.cli = cli, .findings = json_array()};
  PGconn *connection = db_open(cli, DB_ADMIN, DB_READ_S);
  if (connection == NULL) { // said already; what else can be looked at is
    doctor_note(&doctor, "server", DOCTOR_BAD, "see the line above", "the database cannot be reached");
  }
  if (connection != NULL && !doctor_store(&doctor, connection)) {
    doctor_note(&doctor, "server", DOCTOR_BAD, "try again", "the database was lost while it was looked at");
  }
  doctor_host(&doctor, connection);
  PQfinish(connection);
  int code = doctor.counts[DOCTOR_BAD] > 0 ? CLI_FAILED : CLI_FINE;
  if (cli->json) {
    return output_json(cli, doctor.findings) == CLI_FINE ? code : CLI_FAILED;
  }
  show(&doctor);
  printf("%zu good, %zu warning%s, %zu bad, %zu unknown\n", doctor.counts[DOCTOR_GOOD], doctor.counts[DOCTOR_WARNING],
         doctor.counts[DOCTOR_WARNING] == 1 ? "" : "s", doctor.counts[DOCTOR_BAD], doctor.counts[DOCTOR_UNKNOWN]);
  json_decref(doctor.findings);
  return code;
}
