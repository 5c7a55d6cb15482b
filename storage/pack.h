// Columns of numbers in few bits, each number exactly: how old reports are kept (docs/store.md, "Compression").
//
// A packed column is a bit string, most significant bit first, that PostgreSQL holds as `bit varying` and reads with
// store.unpack_integers and store.unpack_values. Its head, then the numbers, each `width` bits, then those that stand alone:
//
//   kind      2 bits  PACK_WHOLE, PACK_DECIMAL, PACK_PATTERN: what becomes of the integers
//   delta     1 bit   the integers are differences: each adds to the one before it
//   exponent  5 bits  a power of ten
//   width     7 bits  of a number; 0: they are all equal
//   odd      11 bits  how many stand alone
//   base              is added to each number; as the next one a length of 7 bits, and so many bits of two's complement
//   first             with `delta` only: the integer before the first difference
//   odd × (place 11 bits, null 1 bit, and where it is not null the 64 bits of the double)
//
// An integer is base + number * 10^exponent (whole; 10^0 otherwise). A double is integer / 10^exponent (decimal), or has the
// integer's bits (pattern). Frame of reference and decimals are those of ALP (Afroozeh, Kuffó, Boncz: ALP: Adaptive Lossless
// floating-Point Compression, SIGMOD 2023), with a division by the power of ten, which is exact for what was once read from
// decimal text, and with differences where they are narrower. No state; one thread each.
#ifndef VEDETTE_STORAGE_PACK_H
#define VEDETTE_STORAGE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PACK_MOST = 2047 }; // numbers in a column

enum pack_kind { PACK_WHOLE, PACK_DECIMAL, PACK_PATTERN };

// A string of bits that grows and is used again.
struct bits {
  uint8_t *data;
  size_t count; // bits
  size_t size;  // bytes there is room for
  bool broken;  // out of memory: not to be used
};
void bits_clear(struct bits *bits);
void bits_free(struct bits *bits);

// Appends a column of `count` integers, or of doubles; where `nulls` (may be NULL) is true there is no number. `count` is at most
// PACK_MOST.
void pack_integers(struct bits *bits, const int64_t *values, size_t count);
void pack_doubles(struct bits *bits, const double *values, const bool *nulls, size_t count);

// Reads a column of `count` numbers that fills `bit_count` bits at `data`. False if it is not one; then what was written to the
// arrays means nothing.
bool unpack_integers(const uint8_t *data, size_t bit_count, int64_t *values, size_t count);
bool unpack_doubles(const uint8_t *data, size_t bit_count, double *values, bool *nulls, size_t count);

#endif
