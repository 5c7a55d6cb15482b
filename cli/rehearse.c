#include "cli/rehearse.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/db.h"
#include "cli/output.h"
#include "cli/text.h"
#include "ingest/trial.h"

// What a letter would become: a reason of the contract, or one of these.
enum { STORED = 0, DUPLICATE = 31, OUTCOMES = 32 };

struct group {
  size_t count;
  long long id; // of the first, and what is said of it
  char detail[256];
};

struct rehearsal {
  struct cli *cli;
  PGconn *connection;
  struct mappings *mappings;
  struct trial *trial;
  json_t *letters;                         // with --json
  struct group groups[OUTCOMES][OUTCOMES]; // by what it was and what it would be
};

static const char *outcome_name(int outcome, char out[32]) {
  const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(&vedette__v1__reason__descriptor, outcome);
  const char *name = outcome == STORED      ? "stored"
                     : outcome == DUPLICATE ? "duplicate"
                     : value != NULL        ? value->name + strlen("REASON_")
                                            : "rejected";
  (void)snprintf(out, 32, "%s", name);
  for (char *c = out; *c != '\0'; c++) {
    *c = (char)(*c == '_' ? ' ' : tolower((unsigned char)*c));
  }
  return out;
}

static struct trial *make_trial(struct cli *cli, PGconn *connection, struct mappings *mappings) {
  PGresult *devices = db_query(cli, connection,
                               "SELECT id, credential, model, coalesce(gateway, 0) AS gateway, life = 'active' AS active,"
                               " store.keep_us(model) AS keep FROM store.device",
                               0, NULL);
  struct trial *trial = devices != NULL ? trial_new(mappings) : NULL;
  bool whole = trial != NULL;
  for (int row = 0; whole && row < PQntuples(devices); row++) {
    whole = trial_device(trial, &(struct intake_device){.id = (int32_t)db_number(devices, row, "id"),
                                                        .credential = db_text(devices, row, "credential"),
                                                        .model = (int32_t)db_number(devices, row, "model"),
                                                        .gateway = (int32_t)db_number(devices, row, "gateway"),
                                                        .active = *db_text(devices, row, "active") == 't',
                                                        .keep_us = db_number(devices, row, "keep")});
  }
  if (devices != NULL && !whole) {
    cli_fail(cli, CLI_FAILED, "out of memory");
    trial_free(trial);
    trial = NULL;
  }
  PQclear(devices);
  return trial;
}

// Asks the store for a message that would be taken: stored, a duplicate, or a conflict? −1 with the error said.
static int ask_store(struct rehearsal *r, const struct trial_result *result) {
  const bool report = result->kind == TOPIC_REPORT;
  int64_t numbers[] = {result->device, report ? result->time : result->state, result->publisher, result->boot, result->sequence,
                       result->digest};
  enum { NUMBERS = sizeof numbers / sizeof numbers[0] };
  char texts[NUMBERS][24];
  const char *values[NUMBERS];
  for (size_t i = 0; i < NUMBERS; i++) {
    (void)snprintf(texts[i], sizeof texts[i], "%" PRId64, numbers[i]);
    values[i] = texts[i];
  }
  PGresult *found =
      db_query(r->cli, r->connection,
               report ? "SELECT same FROM store.known_reports(ARRAY[$1::integer], ARRAY[$2::bigint], ARRAY[$3::integer],"
                        " ARRAY[$4::bigint], ARRAY[$5::bigint], ARRAY[$6::bigint])"
                      : "SELECT true FROM store.connectivity WHERE device = $1::integer AND state = $2::smallint"
                        " AND device = $3::integer AND boot = $4::bigint AND connection = $5::bigint AND $6::bigint IS NOT NULL",
               NUMBERS, values);
  if (found == NULL) {
    return -1;
  }
  int outcome = STORED;
  if (PQntuples(found) > 0) {
    outcome = *PQgetvalue(found, 0, 0) == 't' ? DUPLICATE : (int)VEDETTE__V1__REASON__REASON_CONFLICT;
  }
  PQclear(found);
  return outcome;
}

static void note(struct rehearsal *r, long long id, int was, int now, const char *detail) {
  char before[32];
  char after[32];
  struct group *group = &r->groups[was][now];
  if (r->letters != NULL) {
    json_array_append_new(r->letters, json_pack("{s:I,s:s,s:s,s:s}", "id", (json_int_t)id, "was", outcome_name(was, before),
                                                "now", outcome_name(now, after), "detail", detail));
  }
  if (group->count++ == 0) {
    group->id = id;
    (void)snprintf(group->detail, sizeof group->detail, "%s", detail);
  }
}

// One letter. False with the error said.
static bool try_letter(struct rehearsal *r, const PGresult *rows, int row) {
  struct trial_result result;
  size_t size = 0;
  unsigned char *payload = PQunescapeBytea((const unsigned char *)db_text(rows, row, "payload"), &size);
  bool done = payload != NULL && trial_message(r->trial, db_text(rows, row, "topic"), payload, size, &result);
  PQfreemem(payload);
  if (!done) {
    cli_fail(r->cli, CLI_FAILED, "out of memory");
    return false;
  }
  int was = (int)db_number(rows, row, "reason") % OUTCOMES;
  int now = (int)result.verdict.reason % OUTCOMES;
  const char *detail = now != STORED ? result.verdict.detail : "";
  if (now == STORED) {
    now = ask_store(r, &result);
    detail = now == (int)VEDETTE__V1__REASON__REASON_CONFLICT ? "same key as a stored report, another content" : "";
  }
  if (now >= 0) {
    note(r, db_number(rows, row, "id"), was, now, detail);
  }
  return now >= 0;
}

static bool try_all(struct rehearsal *r, const struct letters *letters) {
  static char chunk[LETTERS_TEXT];
  const char *const values[] = {chunk};
  bool done = true;
  for (size_t at = 0; done && at < letters->count;) {
    letters_progress(letters, at, "trying");
    // A few at a time: a payload may have 64 KiB.
    const struct letters some = {.ids = letters->ids, .count = at + 100 < letters->count ? at + 100 : letters->count};
    at += letters_chunk(&some, at, chunk);
    PGresult *rows =
        db_query(r->cli, r->connection,
                 "SELECT id, topic, payload, reason FROM store.dead_letter WHERE id = ANY ($1::bigint[]) ORDER BY id", 1, values);
    done = rows != NULL;
    for (int row = 0; done && row < PQntuples(rows); row++) {
      done = try_letter(r, rows, row);
    }
    PQclear(rows);
  }
  letters_progress(letters, letters->count, "trying");
  return done;
}

static void show_groups(const struct rehearsal *r) {
  char before[32];
  char after[32];
  for (int was = 0; was < OUTCOMES; was++) {
    for (int now = 0; now < OUTCOMES; now++) {
      const struct group *group = &r->groups[was][now];
      if (group->count == 0) {
        continue;
      }
      printf("%7zu  %-16s %s ", group->count, outcome_name(was, before), now == STORED || now == DUPLICATE ? "→" : "→ rejected:");
      output_word(r->cli, outcome_name(now, after));
      if (group->detail[0] != '\0') {
        printf(" (letter %lld: ", group->id);
        text_write(stdout, group->detail, strlen(group->detail));
        putchar(')');
      }
      putchar('\n');
    }
  }
}

static int show_outcome(struct rehearsal *r, const struct letters *letters) {
  if (r->cli->json) {
    json_t *all = r->letters;
    r->letters = NULL;
    return output_json(r->cli,
                       json_pack("{s:b,s:o,s:I}", "dry_run", true, "letters", all, "not_whole", (json_int_t)letters->not_whole));
  }
  printf("dry run, nothing was changed; %zu letter%s:\n", letters->count, letters->count == 1 ? "" : "s");
  show_groups(r);
  if (letters->not_whole > 0) {
    printf("%7zu  left out: not kept whole\n", letters->not_whole);
  }
  return cli_flush(r->cli) ? CLI_FINE : CLI_FAILED;
}

int rehearse(struct cli *cli, PGconn *connection, const struct letters *letters) {
  char error[1024] = "";
  struct rehearsal *r = calloc(1, sizeof *r);
  if (r == NULL) {
    return cli_fail(cli, CLI_FAILED, "out of memory");
  }
  r->cli = cli;
  r->connection = connection;
  r->letters = cli->json ? json_array() : NULL;
  r->mappings = mappings_load(cli_config(cli)->ingest.mappings, error, sizeof error);
  if (r->mappings == NULL) {
    cli_fail(cli, CLI_WRONG, "%s", error);
  }
  r->trial = r->mappings != NULL ? make_trial(cli, connection, r->mappings) : NULL;
  int code = r->trial != NULL && try_all(r, letters) ? show_outcome(r, letters) : cli->code;
  trial_free(r->trial);
  mappings_free(r->mappings);
  json_decref(r->letters);
  free(r);
  return code;
}
