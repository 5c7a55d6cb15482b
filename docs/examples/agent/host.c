#include "docs/examples/agent/host.h"

#include <string.h>

bool host_parse_load(struct text text, struct host_load *out) {
  for (size_t i = 0; i < 3; i++) {
    struct text word;
    if (!text_word(&text, &word) || !text_decimal(&word, &out->average[i])) {
      return false;
    }
  }
  struct text word;
  uint64_t running = 0;
  return text_word(&text, &word) && text_number(&word, 10, &running) && text_take(&word, '/') &&
         text_number(&word, 10, &out->processes);
}

// "MemTotal:       16318480 kB"
static bool parse_kilobytes(struct text line, const char *name, uint64_t *bytes) {
  struct text word;
  uint64_t value = 0;
  if (!text_word(&line, &word) || !text_is(word, name) || !text_word(&line, &word) || !text_number(&word, 10, &value) ||
      value > UINT64_MAX / 1024) {
    return false;
  }
  *bytes = value * 1024;
  return true;
}

bool host_parse_memory(struct text text, struct host_memory *out) {
  bool total = false;
  bool available = false;
  uint64_t swap_total = 0;
  uint64_t swap_free = 0;
  struct text line;
  while (text_line(&text, &line)) {
    total = parse_kilobytes(line, "MemTotal:", &out->total) || total;
    available = parse_kilobytes(line, "MemAvailable:", &out->available) || available;
    (void)parse_kilobytes(line, "SwapTotal:", &swap_total);
    (void)parse_kilobytes(line, "SwapFree:", &swap_free);
  }
  out->swap_used = swap_total > swap_free ? swap_total - swap_free : 0;
  return total && available;
}

bool host_parse_uptime(struct text text, double *seconds) {
  struct text word;
  return text_word(&text, &word) && text_decimal(&word, seconds) && *seconds >= 0;
}

bool host_parse_temperature(struct text text, double *celsius) {
  struct text word;
  double thousandths = 0;
  if (!text_word(&text, &word) || !text_decimal(&word, &thousandths)) {
    return false;
  }
  *celsius = thousandths / 1000;
  return *celsius >= -100 && *celsius <= 250;
}

static bool version_of(struct text line, const char *name, char *out, size_t size) {
  if (!text_skip(&line, name) || !text_take(&line, '=')) {
    return false;
  }
  while (line.at < line.end && (line.end[-1] == '\r' || line.end[-1] == ' ')) {
    line.end--;
  }
  char quote = line.at < line.end ? *line.at : '\0';
  if ((quote == '"' || quote == '\'') && text_size(line) >= 2 && line.end[-1] == quote) {
    line.at++;
    line.end--;
  }
  return text_clean(line, out, size < 65 ? size : 65) > 0;
}

bool host_parse_version(struct text text, char *out, size_t size) {
  static const char *const names[] = {"VERSION", "VERSION_ID", "BUILD_ID", "PRETTY_NAME"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    struct text rest = text;
    struct text line;
    while (text_line(&rest, &line)) {
      if (version_of(line, names[i], out, size)) {
        return true;
      }
    }
  }
  return false;
}

void host_name_part(struct text text, char *out, size_t size) {
  size_t used = 0;
  struct text word;
  if (!text_word(&text, &word)) {
    word = text_of("unnamed");
  }
  for (; word.at < word.end && used + 1 < size; word.at++) {
    char c = *word.at;
    if (c >= 'A' && c <= 'Z') {
      c = (char)(c - 'A' + 'a');
    }
    bool allowed = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    out[used++] = allowed ? c : '-';
  }
  out[used] = '\0';
}
