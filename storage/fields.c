#include "storage/fields.h"

#include "storage/copy.h"

#include <endian.h>
#include <string.h>

int64_t field_int8(const PGresult *rows, int row, int column) {
  uint64_t raw;
  if (PQgetisnull(rows, row, column)) {
    return 0;
  }
  memcpy(&raw, PQgetvalue(rows, row, column), sizeof raw);
  return (int64_t)be64toh(raw);
}

static int32_t int4_of(const char *bytes) {
  uint32_t raw;
  memcpy(&raw, bytes, sizeof raw);
  return (int32_t)be32toh(raw);
}

int32_t field_int4(const PGresult *rows, int row, int column) {
  return PQgetisnull(rows, row, column) ? 0 : int4_of(PQgetvalue(rows, row, column));
}

int16_t field_int2(const PGresult *rows, int row, int column) {
  uint16_t raw;
  if (PQgetisnull(rows, row, column)) {
    return 0;
  }
  memcpy(&raw, PQgetvalue(rows, row, column), sizeof raw);
  return (int16_t)be16toh(raw);
}

int64_t field_time(const PGresult *rows, int row, int column) {
  return PQgetisnull(rows, row, column) ? 0 : field_int8(rows, row, column) + PG_EPOCH_US;
}

double field_float8(const PGresult *rows, int row, int column) {
  int64_t bits = field_int8(rows, row, column);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

bool field_bool(const PGresult *rows, int row, int column) {
  return !PQgetisnull(rows, row, column) && PQgetvalue(rows, row, column)[0] != 0;
}

struct field_array field_array(const PGresult *rows, int row, int column) {
  enum { HEAD = 20 }; // dimensions, whether there are NULLs, type; elements, lower bound
  const char *bytes = PQgetvalue(rows, row, column);
  int size = PQgetlength(rows, row, column);
  if (PQgetisnull(rows, row, column) || size < HEAD || int4_of(bytes) != 1) {
    return (struct field_array){0};
  }
  return (struct field_array){.at = bytes + HEAD, .end = bytes + size, .left = int4_of(bytes + 12)};
}

bool field_next(struct field_array *array, const char **bytes, int32_t *size) {
  if (array->left <= 0 || array->end - array->at < 4) {
    return false;
  }
  int32_t length = int4_of(array->at);
  array->at += 4;
  array->left--;
  if (length > array->end - array->at) {
    return false;
  }
  *bytes = length < 0 ? NULL : array->at;
  *size = length < 0 ? 0 : length;
  array->at += *size;
  return true;
}
