#include "cli/line.h"

bool line_read(FILE *in, char *text, size_t most, size_t *length, bool *too_long) {
  int byte = getc_unlocked(in);
  *length = 0;
  *too_long = false;
  if (byte == EOF) {
    return false;
  }
  for (; byte != EOF && byte != '\n'; byte = getc_unlocked(in)) {
    if (*length < most) {
      text[(*length)++] = (char)byte;
    } else {
      *too_long = true;
    }
  }
  if (*length > 0 && text[*length - 1] == '\r') {
    (*length)--;
  }
  text[*length] = '\0';
  return true;
}
