// What `vedette-eval scenarios` shows. Every table is a result made here, so that people and programs get it as from the store.
#include "analysis/eval/scenarios.h"

#include <stdlib.h>
#include <string.h>

#include "cli/db.h"
#include "cli/output.h"
#include "cli/when.h"

enum { LIST_LIMIT = 20, COLUMNS_MOST = 16, NUMBER_SIZE = 32 };

struct column {
  const char *key;     // in JSON
  const char *heading; // for people
  Oid type;
};

// A table in the making.
struct table {
  const char *key;
  const char *title;
  const char *none;
  PGresult *rows; // NULL when memory ran out
  size_t total;   // rows that were added
  size_t most;    // rows that are kept
};

static void table_fail(struct table *table) {
  PQclear(table->rows);
  table->rows = NULL;
}

static struct table table_make(const struct cli *cli, const char *key, const char *title, const char *none,
                               const struct column *columns, int count, size_t most) {
  PGresAttDesc attributes[COLUMNS_MOST] = {0};
  struct table table = {.key = key, .title = title, .none = none, .most = cli->json ? SIZE_MAX : most};
  for (int i = 0; i < count; i++) {
    attributes[i].name = (char *)(cli->json ? columns[i].key : columns[i].heading); // copied below
    attributes[i].typid = columns[i].type;
    attributes[i].typlen = -1;
    attributes[i].atttypmod = -1;
  }
  table.rows = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
  if (table.rows != NULL && PQsetResultAttrs(table.rows, count, attributes) == 0) {
    table_fail(&table);
  }
  return table;
}

// NULL values are NULL in the row; there is one a column.
static void table_add(struct table *table, const char *const *values, size_t count) {
  int row = PQntuples(table->rows);
  table->total++;
  for (size_t i = 0; table->rows != NULL && table->total <= table->most && i < count; i++) {
    int length = values[i] != NULL ? (int)strlen(values[i]) : -1;
    if (PQsetvalue(table->rows, row, (int)i, (char *)values[i], length) == 0) { // copies it
      table_fail(table);
    }
  }
}

#define TABLE_ADD(table, values) table_add(table, values, sizeof(values) / sizeof((values)[0]))

static bool is_shown(const struct scenarios *scenarios, const char *kind) {
  for (size_t i = 0; i < scenarios->kinds.count; i++) {
    if (strcmp(scenarios->kinds.list[i], kind) == 0) {
      return true;
    }
  }
  return scenarios->kinds.count == 0;
}

static const char *count_text(size_t count, char out[NUMBER_SIZE]) {
  (void)snprintf(out, NUMBER_SIZE, "%zu", count);
  return out;
}

// A number that cannot be told is `n/a` for people and null for programs.
static const char *number_text(const struct cli *cli, bool known, int digits, double number, char out[NUMBER_SIZE]) {
  if (!known) {
    return cli->json ? NULL : "n/a";
  }
  (void)snprintf(out, NUMBER_SIZE, "%.*f", digits, number);
  return out;
}

static const char *share_text(const struct cli *cli, size_t part, size_t whole, char out[NUMBER_SIZE]) {
  return number_text(cli, whole > 0, 3, whole > 0 ? (double)part / (double)whole : 0, out);
}

static void add_figures(const struct cli *cli, struct table *table, const struct figures *f) {
  char texts[13][NUMBER_SIZE];
  const char *const values[] = {f->kind,
                                count_text(f->truths, texts[0]),
                                count_text(f->raised, texts[1]),
                                count_text(f->true_positives, texts[2]),
                                count_text(f->false_positives, texts[3]),
                                count_text(f->repeats, texts[4]),
                                count_text(f->excused, texts[5]),
                                count_text(f->found, texts[6]),
                                count_text(f->missed, texts[7]),
                                share_text(cli, f->true_positives, f->true_positives + f->false_positives, texts[8]),
                                share_text(cli, f->found, f->truths, texts[9]),
                                number_text(cli, f->found > 0, 1, f->delay_median, texts[10]),
                                number_text(cli, f->found > 0, 1, f->delay_p95, texts[11]),
                                count_text(f->alerts, texts[12])};
  TABLE_ADD(table, values);
}

// A row a kind; for people only where there is something, or where they asked for it.
static struct table make_kinds(const struct cli *cli, const struct scenarios *scenarios) {
  static const struct column columns[] = {{"kind", "kind", OUTPUT_TEXT},
                                          {"truths", "truths", OUTPUT_INT8},
                                          {"raised", "raised", OUTPUT_INT8},
                                          {"true_positives", "true", OUTPUT_INT8},
                                          {"false_positives", "false", OUTPUT_INT8},
                                          {"repeats", "repeats", OUTPUT_INT8},
                                          {"excused", "excused", OUTPUT_INT8},
                                          {"found", "found", OUTPUT_INT8},
                                          {"missed", "missed", OUTPUT_INT8},
                                          {"precision", "precision", OUTPUT_FLOAT8},
                                          {"recall", "recall", OUTPUT_FLOAT8},
                                          {"delay_median_s", "median, s", OUTPUT_FLOAT8},
                                          {"delay_p95_s", "p95, s", OUTPUT_FLOAT8},
                                          {"alerts", "alerts", OUTPUT_INT8}};
  struct table table = table_make(cli, "kinds", NULL, "nothing was expected, and nothing was raised", columns,
                                  sizeof columns / sizeof columns[0], SIZE_MAX);
  for (size_t i = 0; i < scenarios->match.figures_count; i++) {
    const struct figures *figures = &scenarios->match.figures[i];
    bool something = figures->truths + figures->raised + figures->alerts > 0;
    if (is_shown(scenarios, figures->kind) && (something || cli->json || scenarios->kinds.count > 0)) {
      add_figures(cli, &table, figures);
    }
  }
  return table;
}

// Why a fault is not judged; NULL where it is.
static const char *why_not(const struct judged *judged) {
  switch (judged->fate) {
  case FATE_UNJUDGED: return "nothing is expected of it";
  case FATE_UNSURE: return "nothing was raised, and whether it should be the truth does not say";
  case FATE_CHILD: return "a gateway has the fault";
  case FATE_NOTHING: return "nothing may be raised";
  case FATE_OUTSIDE:
  case FATE_FOUND:
  case FATE_MISSED: break;
  }
  return NULL;
}

// A fault that is not judged.
struct unjudged {
  const char *kind, *why;
};

static int compare_unjudged(const void *left, const void *right) {
  const struct unjudged *a = left;
  const struct unjudged *b = right;
  int order = strcmp(a->kind, b->kind);
  return order != 0 ? order : strcmp(a->why, b->why);
}

// Adds a row for each kind of fault and reason of the sorted list.
static void add_runs(struct table *table, const struct unjudged *list, size_t count) {
  for (size_t i = 0, next = 0; i < count; i = next) {
    char text[NUMBER_SIZE];
    while (next < count && compare_unjudged(&list[i], &list[next]) == 0) {
      next++;
    }
    const char *const values[] = {list[i].kind, count_text(next - i, text), list[i].why};
    TABLE_ADD(table, values);
  }
}

static struct table make_unjudged(const struct cli *cli, const struct scenarios *scenarios) {
  static const struct column columns[] = {
      {"fault", "fault", OUTPUT_TEXT}, {"count", "count", OUTPUT_INT8}, {"why", "why", OUTPUT_TEXT}};
  const struct match *match = &scenarios->match;
  struct table table = table_make(cli, "not_judged", "not judged", NULL, columns, 3, SIZE_MAX);
  struct unjudged *list = calloc(match->judged_count + 1, sizeof *list);
  size_t count = 0;
  if (list == NULL) {
    table_fail(&table);
    return table;
  }
  for (size_t i = 0; i < match->judged_count; i++) {
    const char *why = why_not(&match->judged[i]);
    if (why != NULL) {
      list[count++] = (struct unjudged){match->judged[i].truth->kind, why};
    }
  }
  qsort(list, count, sizeof *list, compare_unjudged);
  add_runs(&table, list, count);
  free(list);
  return table;
}

static const char *expected_text(const struct truth *truth, char *out, size_t size) {
  const struct expectation *expected = expectation_find(truth->kind);
  if (truth->expect != NULL || expected == NULL) {
    return truth->expect;
  }
  bool two = expected->kinds[1] != NULL;
  (void)snprintf(out, size, "%s%s%s", expected->kinds[0], two ? " or " : "", two ? expected->kinds[1] : "");
  return out;
}

static struct table make_missed(const struct cli *cli, const struct scenarios *scenarios) {
  static const struct column columns[] = {{"device", "device", OUTPUT_TEXT},      {"fault", "fault", OUTPUT_TEXT},
                                          {"kind", "kind", OUTPUT_TEXT},          {"expected", "expected", OUTPUT_TEXT},
                                          {"start", "start", OUTPUT_TIMESTAMPTZ}, {"end", "end", OUTPUT_TIMESTAMPTZ}};
  struct table table = table_make(cli, "missed", "missed", NULL, columns, 6, scenarios->all ? SIZE_MAX : LIST_LIMIT);
  for (size_t i = 0; i < scenarios->match.judged_count; i++) {
    char start[WHEN_SIZE];
    char end[WHEN_SIZE];
    char expected[128];
    const struct judged *judged = &scenarios->match.judged[i];
    const struct truth *truth = judged->truth;
    if (judged->fate != FATE_MISSED || !is_shown(scenarios, judged->kind)) {
      continue;
    }
    when_utc(truth->start, start);
    when_utc(judged->end, end);
    const char *const values[] = {truth->device, truth->fault,
                                  truth->kind,   expected_text(truth, expected, sizeof expected),
                                  start,         truth->end == TRUTH_OPEN ? NULL : end};
    TABLE_ADD(&table, values);
  }
  return table;
}

static struct table make_false(const struct cli *cli, const struct scenarios *scenarios) {
  static const struct column columns[] = {{"device", "device", OUTPUT_TEXT},
                                          {"kind", "kind", OUTPUT_TEXT},
                                          {"key", "key", OUTPUT_TEXT},
                                          {"opened_at", "opened", OUTPUT_TIMESTAMPTZ},
                                          {"sentence", "sentence", OUTPUT_TEXT}};
  struct table table = table_make(cli, "false_raises", "false raises", NULL, columns, 5, scenarios->all ? SIZE_MAX : LIST_LIMIT);
  for (size_t i = 0; i < scenarios->count; i++) {
    const struct raise *raise = &scenarios->raises[i];
    if (raise->verdict != VERDICT_FALSE || !is_shown(scenarios, raise->kind)) {
      continue;
    }
    const char *const values[] = {raise->device, raise->kind, db_text(scenarios->rows, raise->row, "key"),
                                  db_text(scenarios->rows, raise->row, "at"), db_text(scenarios->rows, raise->row, "sentence")};
    TABLE_ADD(&table, values);
  }
  return table;
}

static const char *verdict_text(enum verdict verdict) {
  switch (verdict) {
  case VERDICT_TRUE: return "true";
  case VERDICT_FALSE: return "false";
  case VERDICT_REPEAT: return "repeat";
  case VERDICT_EXCUSED: return "excused";
  case VERDICT_LISTED:
  case VERDICT_OUTSIDE: break;
  }
  return NULL;
}

static struct table make_system(const struct cli *cli, const struct scenarios *scenarios) {
  static const struct column columns[] = {{"kind", "kind", OUTPUT_TEXT},
                                          {"key", "key", OUTPUT_TEXT},
                                          {"opened_at", "opened", OUTPUT_TIMESTAMPTZ},
                                          {"cleared_at", "cleared", OUTPUT_TIMESTAMPTZ},
                                          {"verdict", "verdict", OUTPUT_TEXT},
                                          {"sentence", "sentence", OUTPUT_TEXT}};
  struct table table = table_make(cli, "system", "of the system itself", NULL, columns, 6, SIZE_MAX);
  for (size_t i = 0; i < scenarios->count; i++) {
    const struct raise *raise = &scenarios->raises[i];
    const PGresult *rows = scenarios->rows;
    const char *cleared = db_text(rows, raise->row, "cleared_at");
    if (!raise->system || raise->verdict == VERDICT_OUTSIDE || !is_shown(scenarios, raise->kind)) {
      continue;
    }
    const char *const values[] = {raise->kind,
                                  db_text(rows, raise->row, "key"),
                                  db_text(rows, raise->row, "at"),
                                  *cleared != '\0' ? cleared : NULL,
                                  verdict_text(raise->verdict),
                                  db_text(rows, raise->row, "sentence")};
    TABLE_ADD(&table, values);
  }
  return table;
}

static void show_table(const struct cli *cli, const struct table *table) {
  if (table->total == 0 && table->none == NULL) {
    return;
  }
  if (table->title != NULL) {
    putchar('\n');
    output_title(cli, table->title);
    printf(": %zu\n", table->total);
  }
  output_table(cli, table->rows, table->none);
  if (table->total > table->most) {
    printf("… and %zu more; --all lists them\n", table->total - table->most);
  }
}

static json_t *time_json(int64_t at, int64_t none) {
  char utc[WHEN_SIZE];
  if (at == none) {
    return json_null();
  }
  when_utc(at, utc);
  return json_string(utc);
}

static int write_json(struct cli *cli, const struct match_window *window, const struct table *tables, size_t count) {
  json_t *object = json_pack("{s:o,s:o,s:I}", "since", time_json(window->since, INT64_MIN), "until",
                             time_json(window->until, INT64_MAX), "grace_s", (json_int_t)(window->grace / 1000000));
  for (size_t i = 0; object != NULL && i < count; i++) {
    if (json_object_set_new(object, tables[i].key, output_rows(tables[i].rows)) != 0) {
      json_decref(object);
      object = NULL;
    }
  }
  return output_json(cli, object);
}

static int compare_devices(const void *left, const void *right) {
  const struct raise *a = left;
  const struct raise *b = right;
  int order = strcmp(a->device, b->device);
  if (order == 0) {
    order = (a->at > b->at) - (a->at < b->at);
  }
  return order != 0 ? order : (a->row > b->row) - (a->row < b->row);
}

int scenarios_print(struct cli *cli, struct scenarios *scenarios) {
  if (scenarios->count > 1) {
    qsort(scenarios->raises, scenarios->count, sizeof *scenarios->raises, compare_devices);
  }
  const struct table tables[] = {make_kinds(cli, scenarios), make_unjudged(cli, scenarios), make_missed(cli, scenarios),
                                 make_false(cli, scenarios), make_system(cli, scenarios)};
  enum { TABLES = sizeof tables / sizeof tables[0] };
  bool whole = true;
  for (size_t i = 0; i < TABLES; i++) {
    whole = whole && tables[i].rows != NULL;
  }
  int code = CLI_FINE;
  if (!whole) {
    code = cli_fail(cli, CLI_FAILED, "out of memory");
  } else if (cli->json) {
    code = write_json(cli, &scenarios->window, tables, TABLES);
  } else {
    for (size_t i = 0; i < TABLES; i++) {
      show_table(cli, &tables[i]);
    }
  }
  for (size_t i = 0; i < TABLES; i++) {
    PQclear(tables[i].rows);
  }
  return code;
}
