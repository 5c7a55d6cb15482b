#include "storage/copy.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

static const char signature[] = "PGCOPY\n\377\r\n";

static void put(struct copy *copy, const void *data, size_t size) {
  if (copy->size - copy->used < size) {
    size_t wanted = (copy->used + size) * 2;
    char *grown = realloc(copy->data, wanted);
    if (grown == NULL) {
      copy->broken = true;
      return;
    }
    copy->data = grown;
    copy->size = wanted;
  }
  memcpy(copy->data + copy->used, data, size);
  copy->used += size;
}

static void put16(struct copy *copy, uint16_t value) {
  value = htobe16(value);
  put(copy, &value, sizeof value);
}

static void put32(struct copy *copy, uint32_t value) {
  value = htobe32(value);
  put(copy, &value, sizeof value);
}

static void put64(struct copy *copy, uint64_t value) {
  value = htobe64(value);
  put(copy, &value, sizeof value);
}

void copy_begin(struct copy *copy) {
  copy->used = 0;
  copy->rows = 0;
  copy->broken = false;
  put(copy, signature, sizeof signature); // with its terminating zero byte
  put32(copy, 0);                         // flags
  put32(copy, 0);                         // header extension
}

void copy_end(struct copy *copy) {
  put16(copy, UINT16_MAX);
}

void copy_free(struct copy *copy) {
  free(copy->data);
  *copy = (struct copy){0};
}

void copy_row(struct copy *copy, int columns) {
  put16(copy, (uint16_t)columns);
  copy->rows++;
}

void copy_null(struct copy *copy) {
  put32(copy, UINT32_MAX);
}

void copy_bool(struct copy *copy, bool value) {
  put32(copy, 1);
  put(copy, &(char){value}, 1);
}

void copy_int16(struct copy *copy, int16_t value) {
  put32(copy, 2);
  put16(copy, (uint16_t)value);
}

void copy_int32(struct copy *copy, int32_t value) {
  put32(copy, 4);
  put32(copy, (uint32_t)value);
}

void copy_int64(struct copy *copy, int64_t value) {
  put32(copy, 8);
  put64(copy, (uint64_t)value);
}

void copy_time(struct copy *copy, int64_t unix_us) {
  copy_int64(copy, unix_us - PG_EPOCH_US);
}

void copy_text(struct copy *copy, const char *text, size_t length) {
  put32(copy, (uint32_t)length);
  put(copy, text, length);
}

void copy_bits(struct copy *copy, const unsigned char *bits, size_t count) {
  size_t bytes = (count + 7) / 8;
  put32(copy, (uint32_t)(4 + bytes));
  put32(copy, (uint32_t)count);
  put(copy, bits, bytes);
}

void copy_address(struct copy *copy, const unsigned char *address, size_t length) {
  enum { PG_AF_INET = 2, PG_AF_INET6 = 3 };
  bool four = length == 4;
  const unsigned char head[4] = {four ? PG_AF_INET : PG_AF_INET6, four ? 32 : 128, 0, (unsigned char)length};
  put32(copy, (uint32_t)(sizeof head + length));
  put(copy, head, sizeof head);
  put(copy, address, length);
}

size_t copy_array(struct copy *copy, uint32_t oid, size_t count) {
  size_t start = copy->used;
  put32(copy, 0);             // length, known at the end
  put32(copy, count ? 1 : 0); // dimensions
  put32(copy, 1);             // may hold NULL
  put32(copy, oid);
  if (count > 0) {
    put32(copy, (uint32_t)count);
    put32(copy, 1); // lower bound
  }
  return start;
}

// The field that begins at `start` ends here.
static void put_length(struct copy *copy, size_t start) {
  if (copy->broken) {
    return;
  }
  uint32_t length = htobe32((uint32_t)(copy->used - start - 4));
  memcpy(copy->data + start, &length, sizeof length);
}

void copy_array_end(struct copy *copy, size_t start) {
  put_length(copy, start);
}

size_t copy_literal(struct copy *copy) {
  size_t start = copy->used;
  put32(copy, 0); // length, known at the end
  put(copy, "{", 1);
  return start;
}

// Quoted whatever it is, so that only two characters need an escape and no word is taken for NULL.
static void put_quoted(struct copy *copy, const char *text, size_t length) {
  size_t done = 0;
  put(copy, "\"", 1);
  for (size_t i = 0; i < length; i++) {
    if (text[i] == '"' || text[i] == '\\') {
      put(copy, text + done, i - done);
      put(copy, "\\", 1);
      done = i;
    }
  }
  put(copy, text + done, length - done);
  put(copy, "\"", 1);
}

void copy_literal_text(struct copy *copy, size_t start, const char *text, size_t length) {
  if (copy->used > start + 5) { // not the first one
    put(copy, ",", 1);
  }
  if (text != NULL) {
    put_quoted(copy, text, length);
  } else {
    put(copy, "NULL", 4);
  }
}

void copy_literal_end(struct copy *copy, size_t start) {
  put(copy, "}", 1);
  put_length(copy, start);
}

void copy_float8(struct copy *copy, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  put32(copy, 8);
  put64(copy, bits);
}
