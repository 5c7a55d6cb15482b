// Rows for people and for programs. A result's column names are the keys in JSON; as headings their underscores become spaces,
// and a name that ends in `_s` holds seconds, shown as a length of time. What is shown to people is escaped (cli/text.h).
#ifndef VEDETTE_CLI_OUTPUT_H
#define VEDETTE_CLI_OUTPUT_H

#include <jansson.h>
#include <libpq-fe.h>

#include "cli/cli.h"

// Type numbers of PostgreSQL (catalog/pg_type.dat): what a column of a result is shown as.
enum {
  OUTPUT_BOOL = 16,
  OUTPUT_INT8 = 20,
  OUTPUT_INT2 = 21,
  OUTPUT_INT4 = 23,
  OUTPUT_TEXT = 25,
  OUTPUT_JSON = 114,
  OUTPUT_FLOAT4 = 700,
  OUTPUT_FLOAT8 = 701,
  OUTPUT_TIMESTAMPTZ = 1184,
  OUTPUT_NUMERIC = 1700,
  OUTPUT_JSONB = 3802
};

// One field as JSON: number, boolean, nested JSON, RFC 3339 time or text, after its type in the database. A new reference.
json_t *output_value(const PGresult *result, int row, int column);

// One row as an object, all rows as an array of objects. New references; NULL without memory.
json_t *output_row(const PGresult *result, int row);
json_t *output_rows(const PGresult *result);

// Writes `value`, indented, and drops the reference. Returns the exit code.
int output_json(struct cli *cli, json_t *value);

// Writes `value` on one line, at once, and drops the reference. Returns the exit code.
int output_json_line(struct cli *cli, json_t *value);

// Writes a table with a heading, or the sentence `none` when there are no rows.
void output_table(const struct cli *cli, const PGresult *result, const char *none);

// output_json of all rows, or output_table. Returns the exit code. The result stays the caller's.
int output_result(struct cli *cli, const PGresult *result, const char *none);

// Runs a SELECT as `role`, in a session of its own, and writes what comes, as output_result does.
int output_query(struct cli *cli, const char *role, const char *sql, int count, const char *const *values, const char *none);

// A field as a person reads it, escaped. To be freed.
char *output_text(const PGresult *result, int row, int column);

// Writes `text` in bold where colours are wanted.
void output_title(const struct cli *cli, const char *text);

// Writes escaped text, coloured when it is one of the words that mean good or bad.
void output_word(const struct cli *cli, const char *text);

// Writes a field of the first row as a person reads it.
void output_field(const struct cli *cli, const PGresult *result, const char *column);

// Writes a JSON value for people behind its name: on the same line, or on lines of its own, indented.
void output_nested(const json_t *value, int indent);

#endif
