#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/db.h"
#include "cli/text.h"
#include "cli/when.h"

// ASCII only, so that no character of a device's text reaches a terminal as it is.
static const size_t JSON_FLAGS = JSON_ENSURE_ASCII | JSON_ENCODE_ANY;

static bool is_number(Oid type) {
  return type == OUTPUT_INT8 || type == OUTPUT_INT2 || type == OUTPUT_INT4 || type == OUTPUT_FLOAT4 || type == OUTPUT_FLOAT8 ||
         type == OUTPUT_NUMERIC;
}

json_t *output_value(const PGresult *result, int row, int column) {
  Oid type = PQftype(result, column);
  const char *text = PQgetvalue(result, row, column);
  int64_t time = 0;
  if (PQgetisnull(result, row, column) == 1) {
    return json_null();
  }
  if (type == OUTPUT_BOOL) {
    return json_boolean(*text == 't');
  }
  if (type == OUTPUT_TIMESTAMPTZ && when_from_store(text, &time)) {
    char utc[WHEN_SIZE];
    when_utc(time, utc);
    return json_string(utc);
  }
  if (is_number(type) || type == OUTPUT_JSON || type == OUTPUT_JSONB) {
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (value != NULL) {
      return value;
    }
  }
  return json_string(text);
}

json_t *output_row(const PGresult *result, int row) {
  json_t *object = json_object();
  for (int column = 0; column < PQnfields(result); column++) {
    if (json_object_set_new(object, PQfname(result, column), output_value(result, row, column)) != 0) {
      json_decref(object);
      return NULL;
    }
  }
  return object;
}

json_t *output_rows(const PGresult *result) {
  json_t *rows = json_array();
  for (int row = 0; row < PQntuples(result); row++) {
    if (json_array_append_new(rows, output_row(result, row)) != 0) {
      json_decref(rows);
      return NULL;
    }
  }
  return rows;
}

static int write_json(struct cli *cli, json_t *value, size_t flags) {
  bool written = value != NULL && json_dumpf(value, stdout, JSON_FLAGS | flags) == 0;
  json_decref(value);
  putchar('\n');
  if (!written) {
    return cli_fail(cli, CLI_FAILED, "cannot write JSON: %s", errno != 0 ? strerror(errno) : "out of memory");
  }
  return cli_flush(cli) ? CLI_FINE : CLI_FAILED;
}

int output_json(struct cli *cli, json_t *value) {
  return write_json(cli, value, JSON_INDENT(2));
}

int output_json_line(struct cli *cli, json_t *value) {
  return write_json(cli, value, JSON_COMPACT);
}

static bool ends_in_seconds(const char *name) {
  size_t length = strlen(name);
  return length > 2 && strcmp(name + length - 2, "_s") == 0;
}

char *output_text(const PGresult *result, int row, int column) {
  Oid type = PQftype(result, column);
  const char *text = PQgetvalue(result, row, column);
  char short_text[WHEN_SIZE];
  int64_t time = 0;
  if (PQgetisnull(result, row, column) == 1) {
    text = "-";
  } else if (type == OUTPUT_BOOL) {
    text = *text == 't' ? "yes" : "no";
  } else if (type == OUTPUT_TIMESTAMPTZ && when_from_store(text, &time)) {
    when_local(time, short_text);
    text = short_text;
  } else if (is_number(type) && ends_in_seconds(PQfname(result, column))) {
    when_duration(strtod(text, NULL), short_text);
    text = short_text;
  }
  return text_escape(text, strlen(text));
}

static const char *color_of(const char *word) {
  static const struct {
    const char *word;
    const char *color;
  } colors[] = {{"critical", "\033[1;31m"}, {"major", "\033[31m"},   {"silent", "\033[31m"},   {"not heard", "\033[31m"},
                {"warning", "\033[33m"},    {"offline", "\033[33m"}, {"pending", "\033[33m"},  {"open", "\033[33m"},
                {"online", "\033[32m"},     {"running", "\033[32m"}, {"cleared", "\033[32m"},  {"applied", "\033[32m"},
                {"changed", "\033[31m"},    {"late", "\033[33m"},    {"flapping", "\033[33m"}, {"frozen", "\033[33m"},
                {"link lost", "\033[33m"}};
  for (size_t i = 0; i < sizeof colors / sizeof colors[0]; i++) {
    if (strcmp(colors[i].word, word) == 0) {
      return colors[i].color;
    }
  }
  return NULL;
}

void output_word(const struct cli *cli, const char *text) {
  const char *color = cli_colors(cli) ? color_of(text) : NULL;
  if (color != NULL) {
    fputs(color, stdout);
  }
  fputs(text, stdout);
  if (color != NULL) {
    fputs("\033[0m", stdout);
  }
}

void output_field(const struct cli *cli, const PGresult *result, const char *column) {
  char *text = output_text(result, 0, PQfnumber(result, column));
  output_word(cli, text != NULL ? text : "");
  free(text);
}

void output_title(const struct cli *cli, const char *text) {
  if (cli_colors(cli)) {
    printf("\033[1m%s\033[0m", text);
  } else {
    fputs(text, stdout);
  }
}

struct table {
  int rows;
  int columns;
  char **cells;   // rows × columns, after a row of headings
  size_t *widths; // of each column
};

static char *heading(const char *name) {
  char *text = strdup(name);
  if (text != NULL && ends_in_seconds(text)) {
    text[strlen(text) - 2] = '\0';
  }
  for (char *c = text; c != NULL && *c != '\0'; c++) {
    *c = *c == '_' ? ' ' : *c;
  }
  return text;
}

static void table_free(struct table *table) {
  for (int i = 0; table->cells != NULL && i < table->rows * table->columns; i++) {
    free(table->cells[i]);
  }
  free(table->cells);
  free(table->widths);
}

static bool table_fill(struct table *table, const PGresult *result) {
  table->rows = PQntuples(result) + 1;
  table->columns = PQnfields(result);
  table->cells = calloc((size_t)table->rows * (size_t)table->columns, sizeof *table->cells);
  table->widths = calloc((size_t)table->columns, sizeof *table->widths);
  if (table->cells == NULL || table->widths == NULL) {
    return false;
  }
  for (int row = 0; row < table->rows; row++) {
    for (int column = 0; column < table->columns; column++) {
      char *cell = row == 0 ? heading(PQfname(result, column)) : output_text(result, row - 1, column);
      if (cell == NULL) {
        return false;
      }
      table->cells[row * table->columns + column] = cell;
      size_t width = text_width(cell);
      table->widths[column] = width > table->widths[column] ? width : table->widths[column];
    }
  }
  return true;
}

static void table_cell(const struct cli *cli, const struct table *table, const PGresult *result, int row, int column) {
  const char *cell = table->cells[row * table->columns + column];
  int padding = (int)(table->widths[column] - text_width(cell));
  bool right = is_number(PQftype(result, column));
  bool last = column + 1 == table->columns;
  printf("%*s", right ? padding : 0, "");
  if (row == 0) {
    output_title(cli, cell);
  } else {
    output_word(cli, cell);
  }
  printf("%*s", (right || last ? 0 : padding) + (last ? 0 : 2), "");
}

void output_table(const struct cli *cli, const PGresult *result, const char *none) {
  struct table table = {0};
  if (PQntuples(result) == 0) {
    puts(none);
    return;
  }
  if (table_fill(&table, result)) {
    for (int row = 0; row < table.rows; row++) {
      for (int column = 0; column < table.columns; column++) {
        table_cell(cli, &table, result, row, column);
      }
      putchar('\n');
    }
  } else {
    fprintf(stderr, "%s: out of memory\n", cli_program(cli));
  }
  table_free(&table);
}

int output_result(struct cli *cli, const PGresult *result, const char *none) {
  if (cli->json) {
    return output_json(cli, output_rows(result));
  }
  output_table(cli, result, none);
  return cli_flush(cli) ? CLI_FINE : CLI_FAILED;
}

int output_query(struct cli *cli, const char *role, const char *sql, int count, const char *const *values, const char *none) {
  PGconn *connection = db_open(cli, role, DB_READ_S);
  PGresult *result = connection != NULL ? db_query(cli, connection, sql, count, values) : NULL;
  int code = result != NULL ? output_result(cli, result, none) : cli->code;
  PQclear(result);
  PQfinish(connection);
  return code;
}

static void nested_scalar(const json_t *value) {
  if (json_is_string(value)) {
    text_write(stdout, json_string_value(value), json_string_length(value));
  } else if (json_is_real(value)) {
    printf("%.6g", json_real_value(value));
  } else if (json_is_integer(value)) {
    printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
  } else {
    fputs(json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-", stdout);
  }
}

// True for an array that fits on a line: no array or object in it.
static bool is_flat(const json_t *value) {
  size_t i = 0;
  json_t *item = NULL;
  json_array_foreach(value, i, item) {
    if (json_is_array(item) || json_is_object(item)) {
      return false;
    }
  }
  return true;
}

static void nested_line(const json_t *value, int indent);

static void nested_object(const json_t *value, int indent, bool first_in_place) {
  const char *key = NULL;
  json_t *item = NULL;
  json_object_foreach((json_t *)value, key, item) {
    printf("%*s", first_in_place ? 0 : indent, "");
    first_in_place = false;
    text_write(stdout, key, strlen(key));
    putchar(':');
    nested_line(item, indent + 2);
  }
}

// The items of an array that does not fit on a line, each after a dash.
static void nested_items(const json_t *value, int indent) {
  for (size_t i = 0; i < json_array_size(value); i++) {
    const json_t *item = json_array_get(value, i);
    printf("%*s-", indent, "");
    if (json_is_object(item) && json_object_size(item) > 0) {
      putchar(' ');
      nested_object(item, indent + 2, true);
    } else {
      nested_line(item, indent + 2);
    }
  }
}

// A value after its name: on the same line, or nested below it.
static void nested_line(const json_t *value, int indent) {
  if (json_is_object(value) && json_object_size(value) > 0) {
    putchar('\n');
    nested_object(value, indent, false);
  } else if (json_is_array(value) && !is_flat(value)) {
    putchar('\n');
    nested_items(value, indent);
  } else if (json_is_array(value) && json_array_size(value) > 0) {
    for (size_t i = 0; i < json_array_size(value); i++) {
      fputs(i > 0 ? ", " : " ", stdout);
      nested_scalar(json_array_get(value, i));
    }
    putchar('\n');
  } else {
    putchar(' ');
    nested_scalar(value);
    putchar('\n');
  }
}

void output_nested(const json_t *value, int indent) {
  nested_line(value, indent);
}
