// Rows in PostgreSQL's binary COPY format (documentation of COPY, "Binary Format"), in a buffer that is used again for each
// batch.
#ifndef VEDETTE_STORAGE_COPY_H
#define VEDETTE_STORAGE_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct copy {
  char *data;
  size_t used, size; // bytes
  uint32_t rows;
  bool broken; // out of memory: the buffer must not be sent
};

void copy_begin(struct copy *copy); // empties the buffer and writes the header
void copy_end(struct copy *copy);   // writes the trailer
void copy_free(struct copy *copy);

void copy_row(struct copy *copy, int columns); // then exactly that many of these:
void copy_null(struct copy *copy);
void copy_bool(struct copy *copy, bool value);
void copy_int16(struct copy *copy, int16_t value);
void copy_int32(struct copy *copy, int32_t value);
void copy_int64(struct copy *copy, int64_t value);
void copy_time(struct copy *copy, int64_t unix_us);                         // timestamptz
void copy_text(struct copy *copy, const char *text, size_t length);         // text, bytea
void copy_bits(struct copy *copy, const unsigned char *bits, size_t count); // bit varying: `count` bits, the first one highest
void copy_address(struct copy *copy, const unsigned char *address, size_t length); // inet, of 4 or 16 bytes

// Opens a one-dimensional array of `count` elements of the type with this oid; then its elements; then copy_array_end with what
// this returned. An empty array has no elements and is closed likewise.
size_t copy_array(struct copy *copy, uint32_t oid, size_t count);
void copy_array_end(struct copy *copy, size_t start);
void copy_float8(struct copy *copy, double value);

enum {
  OID_INT8 = 20,
  OID_INT2 = 21,
  OID_INT4 = 23,
  OID_TEXT = 25,
  OID_FLOAT8 = 701,
  OID_INET = 869,
  OID_DATE = 1082,
  OID_VARBIT = 1562
};

// Opens a field of type text that holds the literal of a text[]; then its elements (NULL for SQL's NULL), each with what this
// returned; then copy_literal_end with it.
size_t copy_literal(struct copy *copy);
void copy_literal_text(struct copy *copy, size_t start, const char *text, size_t length);
void copy_literal_end(struct copy *copy, size_t start);

// PostgreSQL counts microseconds from 2000-01-01.
#define PG_EPOCH_US INT64_C(946684800000000)

#endif
