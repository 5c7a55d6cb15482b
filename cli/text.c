#include "cli/text.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { ESCAPE_MAX = 10 }; // bytes of the longest escape, \u{10FFFF}

static size_t sequence_length(unsigned char first) {
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xc2 && first <= 0xdf) {
    return 2;
  }
  if ((first & 0xf0) == 0xe0) {
    return 3;
  }
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

size_t text_decode(const char *text, size_t length, uint32_t *character) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  if (length == 0) {
    return 0;
  }
  size_t size = sequence_length((unsigned char)text[0]);
  if (size == 0 || size > length) {
    return 0;
  }
  uint32_t value = (unsigned char)text[0] & mask[size];
  for (size_t i = 1; i < size; i++) {
    if (((unsigned char)text[i] & 0xc0) != 0x80) {
      return 0;
    }
    value = value << 6 | ((unsigned char)text[i] & 0x3f);
  }
  if (value < least[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
    return 0;
  }
  *character = value;
  return size;
}

bool text_is_utf8(const char *text, size_t length) {
  uint32_t character = 0;
  for (size_t at = 0; at < length;) {
    size_t size = text_decode(text + at, length - at, &character);
    if (size == 0 || character == 0) {
      return false;
    }
    at += size;
  }
  return true;
}

static bool is_control(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

bool text_has_control(const char *text, size_t length) {
  uint32_t character = 0;
  for (size_t at = 0; at < length;) {
    size_t size = text_decode(text + at, length - at, &character);
    if (size == 0 || is_control(character)) {
      return true;
    }
    at += size;
  }
  return false;
}

// Characters that move the cursor, reorder the line, or cannot be seen.
static bool is_unsafe(uint32_t c) {
  return is_control(c) || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
         c == 0x061c || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

// Writes one character, escaped if need be, to `out`, which has room for ESCAPE_MAX + 1 bytes. Returns the bytes of input taken.
static size_t escape_one(const char *text, size_t length, char *out) {
  uint32_t c = 0;
  size_t size = text_decode(text, length, &c);
  if (size == 0 || (size == 1 && is_unsafe(c))) {
    const char *name = size == 1 && c == '\n' ? "\\n" : size == 1 && c == '\t' ? "\\t" : size == 1 && c == '\r' ? "\\r" : NULL;
    if (name != NULL) {
      memcpy(out, name, 3);
    } else {
      (void)snprintf(out, ESCAPE_MAX + 1, "\\x%02X", (unsigned)(unsigned char)text[0]);
    }
    return 1;
  }
  if (is_unsafe(c)) {
    (void)snprintf(out, ESCAPE_MAX + 1, "\\u{%04X}", (unsigned)(c & 0x1fffff));
  } else {
    memcpy(out, text, size);
    out[size] = '\0';
  }
  return size;
}

void text_write(FILE *out, const char *text, size_t length) {
  char buffer[ESCAPE_MAX + 1];
  for (size_t at = 0; at < length;) {
    at += escape_one(text + at, length - at, buffer);
    fputs(buffer, out);
  }
}

char *text_escape(const char *text, size_t length) {
  char *escaped = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&escaped, &size);
  if (out == NULL) {
    return NULL;
  }
  text_write(out, text, length);
  if (fclose(out) != 0) {
    free(escaped);
    return NULL;
  }
  return escaped;
}

size_t text_width(const char *text) {
  size_t width = 0;
  size_t length = strlen(text);
  for (size_t at = 0; at < length;) {
    uint32_t c = 0;
    size_t size = text_decode(text + at, length - at, &c);
    int columns = size == 0 ? 1 : wcwidth((wchar_t)c);
    width += columns < 0 ? 1 : (size_t)columns;
    at += size == 0 ? 1 : size;
  }
  return width;
}

size_t text_distance(const char *a, const char *b) {
  enum { LONGEST = 63 };
  size_t row[LONGEST + 1];
  size_t a_length = strlen(a);
  size_t b_length = strlen(b);
  if (a_length > LONGEST || b_length > LONGEST) {
    return SIZE_MAX;
  }
  for (size_t j = 0; j <= b_length; j++) {
    row[j] = j;
  }
  for (size_t i = 1; i <= a_length; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b_length; j++) {
      size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      size_t shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
      row[j] = replaced < shorter ? replaced : shorter;
    }
  }
  return row[b_length];
}
