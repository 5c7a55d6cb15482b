// The small texts of a mapping: topic filters, paths, times.
#include "ingest/mapping_internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

// --- topic filters

static bool is_level(const char *text, size_t length, const char *word) {
  return strlen(word) == length && memcmp(text, word, length) == 0;
}

// Appends `length` bytes and a slash before all but the first level. False when the filter is full.
static bool append_level(struct filter *filter, const char *text, size_t length) {
  size_t used = strlen(filter->text);
  if (filter->count == LEVELS_MOST || used + length + 2 > sizeof filter->text) {
    return false;
  }
  snprintf(filter->text + used, sizeof filter->text - used, "%s%.*s", filter->count > 0 ? "/" : "", (int)length, text);
  return true;
}

static const char *take_level(struct filter *filter, struct region *region, const char *text, size_t length, bool last) {
  struct level level = {.kind = LEVEL_TEXT, .text = text, .length = length};
  const char *shown = "+";
  if (is_level(text, length, "{publisher}")) {
    level.kind = LEVEL_PUBLISHER;
  } else if (is_level(text, length, "{child}")) {
    level.kind = LEVEL_CHILD;
  } else if (is_level(text, length, "+")) {
    level.kind = LEVEL_ANY;
  } else if (is_level(text, length, "#")) {
    level.kind = LEVEL_REST;
    shown = "#";
  } else if (memchr(text, '+', length) || memchr(text, '#', length) || memchr(text, '{', length)) {
    return "a level is a text, +, #, {publisher} or {child}";
  } else {
    level.text = shown = region_strdup(region, text, length);
  }
  if ((level.kind == LEVEL_PUBLISHER || level.kind == LEVEL_CHILD) && filter_has(filter, level.kind)) {
    return "{publisher} or {child} stands twice";
  }
  if (level.kind == LEVEL_REST && !last) {
    return "# can only be the last level";
  }
  if (shown == NULL || !append_level(filter, shown, level.kind == LEVEL_TEXT ? length : 1)) {
    return "has more than 16 levels or 255 bytes";
  }
  filter->levels[filter->count++] = level;
  return NULL;
}

const char *filter_parse(struct filter *filter, struct region *region, const char *text) {
  *filter = (struct filter){0};
  if (text[0] == '\0' || text[0] == '$' || !text_valid(text, FILTER_LIMIT)) {
    return "is not a topic filter: UTF-8 without control characters that does not begin with $";
  }
  for (const char *at = text;;) {
    size_t length = strcspn(at, "/");
    const char *wrong = take_level(filter, region, at, length, at[length] == '\0');
    if (wrong != NULL || at[length] == '\0') {
      return wrong;
    }
    at += length + 1;
  }
}

bool filter_has(const struct filter *filter, enum level_kind kind) {
  bool has = false;
  for (size_t i = 0; i < filter->count; i++) {
    has |= filter->levels[i].kind == kind;
  }
  return has;
}

// Whether a level takes the text; a name is remembered.
static bool take_name(const struct level *level, const char *text, size_t length, struct topic_match *match) {
  bool name = length > 0 && length <= CREDENTIAL_LIMIT;
  switch (level->kind) {
  case LEVEL_TEXT: return length == level->length && memcmp(text, level->text, length) == 0;
  case LEVEL_PUBLISHER:
    match->publisher = text;
    match->publisher_length = length;
    return name;
  case LEVEL_CHILD:
    match->child = text;
    match->child_length = length;
    return name;
  default: return true;
  }
}

bool filter_match(const struct filter *filter, const char *topic, size_t length, struct topic_match *match) {
  const char *end = topic + length;
  *match = (struct topic_match){0};
  if (length == 0 || topic[0] == '$') {
    return false;
  }
  for (size_t i = 0; i < filter->count; i++) {
    const struct level *level = &filter->levels[i];
    if (level->kind == LEVEL_REST) {
      return true;
    }
    if (topic == NULL) {
      return false;
    }
    const char *slash = memchr(topic, '/', (size_t)(end - topic));
    if (!take_name(level, topic, (size_t)((slash ? slash : end) - topic), match)) {
      return false;
    }
    topic = slash ? slash + 1 : NULL;
  }
  return topic == NULL;
}

bool filter_overlaps(const struct filter *a, const struct filter *b) {
  for (size_t i = 0;; i++) {
    if ((i < a->count && a->levels[i].kind == LEVEL_REST) || (i < b->count && b->levels[i].kind == LEVEL_REST)) {
      return true;
    }
    if (i == a->count || i == b->count) {
      return a->count == b->count;
    }
    const struct level *x = &a->levels[i];
    const struct level *y = &b->levels[i];
    if (x->kind == LEVEL_TEXT && y->kind == LEVEL_TEXT && (x->length != y->length || memcmp(x->text, y->text, x->length) != 0)) {
      return false;
    }
  }
}

// --- paths

// Takes one step off *at: `key`, `"any key"` or `[place]`. Returns what is wrong, or NULL.
static const char *take_step(struct step *step, struct region *region, const char **at) {
  const char *text = *at;
  size_t length;
  if (*text == '[') {
    length = strspn(text + 1, "0123456789");
    if (length == 0 || length > 4 || text[length + 1] != ']') {
      return "[ ] has to hold a place in an array, counted from 0";
    }
    for (size_t i = 1; i <= length; i++) {
      step->place = step->place * 10 + (size_t)(text[i] - '0');
    }
    *at = text + length + 2;
    return NULL;
  }
  bool quoted = *text == '"';
  text += quoted;
  length = strcspn(text, quoted ? "\"" : ".[\"");
  if (length == 0 || (quoted && text[length] != '"')) {
    return "has a key that is empty or whose quotation mark is missing";
  }
  step->key = region_strdup(region, text, length);
  step->length = length;
  *at = text + length + quoted;
  return step->key ? NULL : "out of memory";
}

const char *path_parse(struct path *path, struct region *region, const char *text) {
  const char *at = text;
  *path = (struct path){.text = region_strdup(region, text, strlen(text))};
  if (path->text == NULL || text[0] == '\0' || !text_valid(text, PATH_LIMIT)) {
    return "is not a path of 1 to 128 bytes";
  }
  if (strcmp(text, ".") == 0) {
    return NULL;
  }
  for (;;) {
    if (path->count == STEPS_MOST) {
      return "has more than 8 steps";
    }
    const char *wrong = take_step(&path->steps[path->count++], region, &at);
    if (wrong != NULL || *at == '\0') {
      return wrong;
    }
    if (*at == '.') {
      at++;
    } else if (*at != '[') {
      return "has a key that is not followed by . or [";
    }
  }
}

// --- times

// Takes exactly `count` digits off *at.
static bool take_digits(const char **at, int count, int *out) {
  *out = 0;
  for (int i = 0; i < count; i++, (*at)++) {
    if (**at < '0' || **at > '9') {
      return false;
    }
    *out = *out * 10 + (**at - '0');
  }
  return true;
}

static bool take_char(const char **at, char c) {
  bool there = **at == c;
  *at += there;
  return there;
}

bool zone_parse(const char *text, int64_t *seconds) {
  int hours = 0;
  int minutes = 0;
  int sign = *text == '-' ? -1 : 1;
  *seconds = 0;
  if (*text == 'Z') {
    return text[1] == '\0';
  }
  if ((*text != '+' && *text != '-') || (text++, !take_digits(&text, 2, &hours))) {
    return false;
  }
  if (*text != '\0' && (take_char(&text, ':'), !take_digits(&text, 2, &minutes))) {
    return false;
  }
  *seconds = sign * (hours * INT64_C(3600) + minutes * INT64_C(60));
  return *text == '\0' && hours <= 14 && minutes < 60;
}

static bool take_date(const char **at, struct tm *date) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (!take_digits(at, 4, &date->tm_year) || !take_char(at, '-') || !take_digits(at, 2, &date->tm_mon) || !take_char(at, '-') ||
      !take_digits(at, 2, &date->tm_mday) || date->tm_mon < 1 || date->tm_mon > 12 || date->tm_mday < 1) {
    return false;
  }
  bool leap = date->tm_year % 4 == 0 && (date->tm_year % 100 != 0 || date->tm_year % 400 == 0);
  int most = days[date->tm_mon - 1] + (leap && date->tm_mon == 2);
  date->tm_year -= 1900;
  date->tm_mon--;
  return date->tm_mday <= most;
}

// The seconds are optional; a second 60 is the next minute's 0.
static bool take_clock(const char **at, struct tm *date, int64_t *fraction_us) {
  *fraction_us = 0;
  if (!take_digits(at, 2, &date->tm_hour) || !take_char(at, ':') || !take_digits(at, 2, &date->tm_min) || date->tm_hour > 23 ||
      date->tm_min > 59) {
    return false;
  }
  if (!take_char(at, ':')) {
    return true;
  }
  if (!take_digits(at, 2, &date->tm_sec) || date->tm_sec > 60) {
    return false;
  }
  if (take_char(at, '.') || take_char(at, ',')) {
    int64_t unit = 100000;
    const char *start = *at;
    for (; **at >= '0' && **at <= '9'; (*at)++, unit /= 10) {
      *fraction_us += (**at - '0') * unit; // beyond microseconds `unit` is 0
    }
    return *at > start;
  }
  return true;
}

bool iso8601_parse(const char *text, const struct time_rule *rule, int64_t *time) {
  struct tm date = {0};
  int64_t fraction_us;
  int64_t zone_s = rule->zone_s;
  if (!take_date(&text, &date) || (!take_char(&text, 'T') && !take_char(&text, ' ')) || !take_clock(&text, &date, &fraction_us)) {
    return false;
  }
  if (*text == '\0' ? !rule->zoned : !zone_parse(text, &zone_s)) {
    return false;
  }
  *time = ((int64_t)timegm(&date) - zone_s) * 1000000 + fraction_us;
  return true;
}
