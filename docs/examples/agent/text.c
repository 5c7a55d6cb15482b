#include "docs/examples/agent/text.h"

#include <string.h>

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\0';
}

// The value of a digit; 255 for what is none.
static unsigned digit_of(char c) {
  if (c >= '0' && c <= '9') {
    return (unsigned)(c - '0');
  }
  if (c >= 'a' && c <= 'f') {
    return (unsigned)(c - 'a') + 10;
  }
  if (c >= 'A' && c <= 'F') {
    return (unsigned)(c - 'A') + 10;
  }
  return 255;
}

struct text text_of(const char *string) {
  return (struct text){string, string + strlen(string)};
}

size_t text_size(struct text text) {
  return (size_t)(text.end - text.at);
}

bool text_line(struct text *rest, struct text *line) {
  if (rest->at >= rest->end) {
    return false;
  }
  const char *feed = memchr(rest->at, '\n', text_size(*rest));
  *line = (struct text){rest->at, feed != NULL ? feed : rest->end};
  rest->at = feed != NULL ? feed + 1 : rest->end;
  return true;
}

bool text_word(struct text *rest, struct text *word) {
  while (rest->at < rest->end && is_blank(*rest->at)) {
    rest->at++;
  }
  word->at = rest->at;
  while (rest->at < rest->end && !is_blank(*rest->at)) {
    rest->at++;
  }
  word->end = rest->at;
  return word->at < word->end;
}

bool text_take(struct text *rest, char c) {
  if (rest->at < rest->end && *rest->at == c) {
    rest->at++;
    return true;
  }
  return false;
}

bool text_number(struct text *rest, unsigned base, uint64_t *value) {
  const char *at = rest->at;
  uint64_t sum = 0;
  for (; at < rest->end; at++) {
    unsigned digit = digit_of(*at);
    if (digit >= base) {
      break;
    }
    if (sum > (UINT64_MAX - digit) / base) {
      return false;
    }
    sum = sum * base + digit;
  }
  if (at == rest->at) {
    return false;
  }
  rest->at = at;
  *value = sum;
  return true;
}

bool text_decimal(struct text *rest, double *value) {
  struct text at = *rest;
  bool negative = text_take(&at, '-');
  uint64_t whole = 0;
  if (!text_number(&at, 10, &whole)) {
    return false;
  }
  double sum = (double)whole;
  if (text_take(&at, '.')) {
    double scale = 0.1;
    while (at.at < at.end && digit_of(*at.at) < 10) {
      sum += scale * digit_of(*at.at++);
      scale /= 10;
    }
  }
  *value = negative ? -sum : sum;
  *rest = at;
  return true;
}

bool text_is(struct text text, const char *string) {
  return text_size(text) == strlen(string) && memcmp(text.at, string, text_size(text)) == 0;
}

bool text_skip(struct text *rest, const char *prefix) {
  size_t size = strlen(prefix);
  if (text_size(*rest) < size || memcmp(rest->at, prefix, size) != 0) {
    return false;
  }
  rest->at += size;
  return true;
}

const char *text_find(struct text text, const char *needle) {
  return memmem(text.at, text_size(text), needle, strlen(needle));
}

const char *text_find_last(struct text text, const char *needle) {
  const char *last = NULL;
  const char *found = NULL;
  while ((found = text_find(text, needle)) != NULL) {
    last = found;
    text.at = found + 1;
  }
  return last;
}

size_t text_copy(struct text text, char *out, size_t size) {
  size_t used = text_size(text) < size ? text_size(text) : size - 1;
  memcpy(out, text.at, used);
  out[used] = '\0';
  return used;
}

// Bytes of the UTF-8 character at `at` that is printable text; 0 if there is none: broken, overlong, a surrogate or a control.
static size_t character_size(const unsigned char *at, size_t left) {
  if (at[0] >= 0x20 && at[0] < 0x7f) {
    return 1;
  }
  size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
  if (at[0] < 0xc2 || at[0] > 0xf4 || size > left) {
    return 0;
  }
  for (size_t i = 1; i < size; i++) {
    if ((at[i] & 0xc0) != 0x80) {
      return 0;
    }
  }
  bool control = at[0] == 0xc2 && at[1] < 0xa0;
  bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
  bool outside = (at[0] == 0xed && at[1] >= 0xa0) || (at[0] == 0xf4 && at[1] >= 0x90);
  return control || overlong || outside ? 0 : size;
}

size_t text_clean(struct text text, char *out, size_t size) {
  size_t used = 0;
  while (text.at < text.end) {
    size_t taken = character_size((const unsigned char *)text.at, text_size(text));
    if (used + (taken > 0 ? taken : 1) >= size) {
      break;
    }
    if (taken > 0) {
      memcpy(out + used, text.at, taken);
      used += taken;
    } else {
      out[used++] = '?';
    }
    text.at += taken > 0 ? taken : 1;
  }
  out[used] = '\0';
  return used;
}
