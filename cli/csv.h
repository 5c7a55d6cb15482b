// Reads comma-separated values (RFC 4180 quoting) one record at a time, in memory that is fixed by CSV_LINE. One record is one
// line: a quoted field that runs over the end of its line is a bad line, so that a forgotten quote costs one line and not the
// file. A byte order mark at the start, CRLF and empty lines are taken as they come.
#ifndef VEDETTE_CLI_CSV_H
#define VEDETTE_CLI_CSV_H

#include <stddef.h>
#include <stdio.h>

enum { CSV_LINE = 64 * 1024, CSV_FIELDS = 1100 }; // bytes of a line without its end, fields of a line

struct csv;

enum csv_result {
  CSV_RECORD, // csv_count, csv_field, csv_line
  CSV_BAD,    // csv_line, csv_problem; the next call goes on with the next line
  CSV_END,
  CSV_FAILED // reading failed; errno
};

// `in` stays the caller's. NULL without memory.
struct csv *csv_open(FILE *in);
void csv_close(struct csv *csv);

enum csv_result csv_next(struct csv *csv);

unsigned long csv_line(const struct csv *csv); // from 1
const char *csv_problem(const struct csv *csv);

// Fields live until the next csv_next; they are valid UTF-8 without NUL.
size_t csv_count(const struct csv *csv);
const char *csv_field(const struct csv *csv, size_t index);

#endif
