// Fields of results in binary format. NULL reads as 0 or false; the caller knows the types.
#ifndef VEDETTE_STORAGE_FIELDS_H
#define VEDETTE_STORAGE_FIELDS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

int64_t field_int8(const PGresult *rows, int row, int column);
int32_t field_int4(const PGresult *rows, int row, int column);
int16_t field_int2(const PGresult *rows, int row, int column);
int64_t field_time(const PGresult *rows, int row, int column); // timestamptz: Unix microseconds
double field_float8(const PGresult *rows, int row, int column);
bool field_bool(const PGresult *rows, int row, int column);

// A one-dimensional array, element by element.
struct field_array {
  const char *at, *end;
  int32_t left; // elements
};
// Opens the array in a field; one without elements for NULL.
struct field_array field_array(const PGresult *rows, int row, int column);
// The next element: its bytes (NULL for SQL's NULL) and their number. False when there is none, or the field is no array.
bool field_next(struct field_array *array, const char **bytes, int32_t *size);

#endif
