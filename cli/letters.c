#include "cli/letters.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/db.h"
#include "cli/value.h"
#include "vedette/v1/telemetry.pb-c.h"

// "REASON_UNKNOWN_DEVICE" as the store says it: "unknown device".
static void name_of(const ProtobufCEnumValue *value, char out[32]) {
  (void)snprintf(out, 32, "%s", value->name + strlen("REASON_"));
  for (char *c = out; *c != '\0'; c++) {
    *c = (char)(*c == '_' ? ' ' : tolower((unsigned char)*c));
  }
}

static bool check_reason(struct cli *cli, struct letters_choice *choice) {
  enum { REASONS = 32 };
  char names[REASONS][32];
  const char *words[REASONS];
  char typed[32];
  char list[512] = "";
  size_t count = 0;
  (void)snprintf(typed, sizeof typed, "%s", choice->reason);
  for (char *c = typed; *c != '\0'; c++) {
    *c = (char)(*c == '-' || *c == '_' ? ' ' : tolower((unsigned char)*c));
  }
  const ProtobufCEnumDescriptor *type = &vedette__v1__reason__descriptor;
  for (unsigned i = 0; i < type->n_values && count < REASONS; i++) {
    if (type->values[i].value == 0) {
      continue;
    }
    name_of(&type->values[i], names[count]);
    if (strcmp(names[count], typed) == 0) {
      memcpy(choice->reason_name, typed, sizeof typed);
      return true;
    }
    size_t used = strlen(list);
    (void)snprintf(list + used, sizeof list - used, "%s%s", count > 0 ? ", " : "", names[count]);
    words[count] = names[count];
    count++;
  }
  const char *near = options_nearest(typed, words, count);
  if (near != NULL) {
    cli_fail(cli, CLI_WRONG, "--reason '%s' is unknown, did you mean '%s'?", choice->reason, near);
  } else {
    cli_fail(cli, CLI_WRONG, "--reason '%s' is none of: %s", choice->reason, list);
  }
  return false;
}

bool letters_check(struct cli *cli, struct letters_choice *choice) {
  static const char *const states[] = {"open", "queued", "replayed", "dropped", "all"};
  int64_t at = 0;
  for (int i = 0; i < choice->id_count; i++) {
    if (!value_id(cli, choice->ids[i], "a dead letter", "vedette deadletter list")) {
      return false;
    }
  }
  if (choice->state != NULL && !value_choice(cli, "--state", choice->state, states, sizeof states / sizeof states[0])) {
    return false;
  }
  if (choice->reason != NULL && !check_reason(cli, choice)) {
    return false;
  }
  if (choice->since != NULL && !value_time(cli, "--since", choice->since, &at)) {
    return false;
  }
  when_utc(at, choice->since_utc);
  return true;
}

// The typed numbers as an array for the store, to be freed; NULL without memory.
static char *id_array(const struct letters_choice *choice) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (out == NULL) {
    return NULL;
  }
  for (int i = 0; i < choice->id_count; i++) {
    fprintf(out, "%c%s", i == 0 ? '{' : ',', choice->ids[i]);
  }
  fputc('}', out);
  return fclose(out) == 0 ? text : NULL;
}

PGresult *letters_query(struct cli *cli, PGconn *connection, const struct letters_choice *choice, const char *columns,
                        const char *tail) {
  char sql[1024];
  char *ids = NULL;
  if (choice->id_count > 0 && (ids = id_array(choice)) == NULL) {
    cli_fail(cli, CLI_FAILED, "out of memory");
    return NULL;
  }
  const char *state = choice->state != NULL && strcmp(choice->state, "all") != 0 ? choice->state : NULL;
  const char *const values[] = {ids, choice->device, choice->reason != NULL ? choice->reason_name : NULL,
                                choice->since != NULL ? choice->since_utc : NULL, state};
  // Nobody knows the letters of a stranger by a device, but its name is in the topic.
  (void)snprintf(sql, sizeof sql,
                 "SELECT %s FROM vedette.dead_letter WHERE ($1::bigint[] IS NULL OR id = ANY ($1))"
                 " AND ($2::text IS NULL OR credential = $2 OR split_part(topic, '/', 3) = $2)"
                 " AND ($3::text IS NULL OR reason = $3) AND ($4::timestamptz IS NULL OR received >= $4)"
                 " AND ($5::text IS NULL OR state = $5) %s",
                 columns, tail);
  PGresult *result = db_query(cli, connection, sql, 5, values);
  free(ids);
  return result;
}

// Every number that was typed has to be a letter that the command can do something with.
static bool check_named(struct cli *cli, const struct letters_choice *choice, const PGresult *rows) {
  for (int i = 0; i < choice->id_count; i++) {
    long long id = strtoll(choice->ids[i], NULL, 10);
    int row = 0;
    while (row < PQntuples(rows) && db_number(rows, row, "id") != id) {
      row++;
    }
    if (row == PQntuples(rows)) {
      cli_fail(cli, CLI_FAILED, "there is no dead letter %lld; nothing was done", id);
      return false;
    }
    if (*db_text(rows, row, "fit") != 't') {
      cli_fail(cli, CLI_FAILED, "letter %lld is %s already; nothing was done", id, db_text(rows, row, "state"));
      return false;
    }
    if (*db_text(rows, row, "enough") != 't') {
      cli_fail(cli, CLI_FAILED, "letter %lld was not kept whole, it cannot be replayed; nothing was done", id);
      return false;
    }
  }
  return true;
}

bool letters_find(struct cli *cli, PGconn *connection, const struct letters_choice *choice, const char *const states[2],
                  bool whole, struct letters *letters) {
  char columns[160];
  *letters = (struct letters){0};
  (void)snprintf(columns, sizeof columns, "id, state, state IN ('%s', '%s') AS fit, %s AS enough", states[0], states[1],
                 whole ? "whole" : "true");
  PGresult *rows = letters_query(cli, connection, choice, columns, "ORDER BY id");
  bool done = rows != NULL && check_named(cli, choice, rows);
  letters->ids = done ? calloc((size_t)PQntuples(rows) + 1, sizeof *letters->ids) : NULL;
  if (done && letters->ids == NULL) {
    cli_fail(cli, CLI_FAILED, "out of memory");
    done = false;
  }
  for (int row = 0; done && row < PQntuples(rows); row++) {
    bool fit = *db_text(rows, row, "fit") == 't';
    bool enough = *db_text(rows, row, "enough") == 't';
    letters->not_whole += fit && !enough;
    if (fit && enough) {
      letters->ids[letters->count++] = db_number(rows, row, "id");
    }
  }
  PQclear(rows);
  return done;
}

size_t letters_chunk(const struct letters *letters, size_t at, char *text) {
  size_t used = 0;
  size_t count = 0;
  for (; count < LETTERS_CHUNK && at + count < letters->count; count++) {
    used += (size_t)snprintf(text + used, LETTERS_TEXT - used, "%c%lld", count == 0 ? '{' : ',', letters->ids[at + count]);
  }
  (void)snprintf(text + used, LETTERS_TEXT - used, "%s", count > 0 ? "}" : "{}");
  return count;
}

void letters_progress(const struct letters *letters, size_t at, const char *doing) {
  if (letters->count <= LETTERS_CHUNK || isatty(STDERR_FILENO) != 1) {
    return;
  }
  if (at < letters->count) {
    fprintf(stderr, "\r\033[K%s: %zu of %zu letters", doing, at, letters->count);
  } else {
    fputs("\r\033[K", stderr);
  }
}
