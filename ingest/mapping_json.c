// One JSON message into a report, by the mapping of its topic.
//
// Jansson parses. Its memory comes from a region with a limit of its own, given back after each message; the report is made in
// the caller's. Jansson itself refuses: more than 2,048 levels, what is not UTF-8, a member twice (asked for), integers beyond 64
// bits, numbers beyond double, \u0000.
#include "ingest/mapping_internal.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FINE ((struct verdict){VEDETTE__V1__REASON__REASON_UNSPECIFIED, ""})
#define REFUSE(why, ...) ((struct verdict){VEDETTE__V1__REASON__REASON_##why, region_printf(region, __VA_ARGS__)})

// --- Jansson's memory

// Jansson's allocator has no argument: while a message is decoded this says where from. Otherwise it is malloc, for whoever else
// uses Jansson in the program. No JSON value lives on both sides.
static _Thread_local struct region *tree;
static _Thread_local bool tree_full;

static void *tree_alloc(size_t size) {
  if (tree == NULL) {
    return malloc(size);
  }
  void *out = region_alloc(tree, size);
  tree_full |= out == NULL;
  return out;
}

static void tree_free(void *pointer) {
  if (tree == NULL) {
    free(pointer);
  }
}

void mapping_take_over_jansson(void) {
  json_set_alloc_funcs(tree_alloc, tree_free);
}

// --- what is being made

struct making {
  struct mappings *mappings;
  const struct mapping *mapping;
  struct region *region;
  Vedette__V1__Report *report;
  int64_t newest; // time of an array's element; 0: none has one
};

static struct verdict too_large(void) {
  return (struct verdict){VEDETTE__V1__REASON__REASON_OVERSIZED, "the report takes too much memory"};
}

static const char *type_name(const json_t *value) {
  static const char *const names[] = {"an object", "an array", "a text", "an integer", "a number", "true", "false", "null"};
  return names[json_typeof(value)];
}

// Follows the path. *out is NULL where a member is missing or null. A step into what has no members is an error.
static struct verdict follow(struct region *region, const json_t *from, const struct path *path, const json_t **out) {
  *out = NULL;
  for (size_t i = 0; i < path->count; i++) {
    const struct step *step = &path->steps[i];
    if (json_is_null(from)) {
      return FINE;
    }
    if (step->key != NULL ? !json_is_object(from) : !json_is_array(from)) {
      return REFUSE(VALUE, "%s: step %zu goes into %s", path->text, i + 1, type_name(from));
    }
    from = step->key != NULL ? json_object_getn(from, step->key, step->length) : json_array_get(from, step->place);
    if (from == NULL) {
      return FINE;
    }
  }
  *out = json_is_null(from) ? NULL : from;
  return FINE;
}

// --- times

static bool unix_time(const json_t *value, int64_t unit_us, int64_t *time) {
  if (json_is_integer(value)) {
    return !__builtin_mul_overflow((int64_t)json_integer_value(value), unit_us, time);
  }
  double exact = json_real_value(value) * (double)unit_us;
  *time = fabs(exact) < 9e18 ? llround(exact) : 0;
  return fabs(exact) < 9e18;
}

// *time is 0 where there is none, or the device says so.
static struct verdict take_time(struct region *region, const json_t *from, const struct time_rule *rule, int64_t *time) {
  static const int64_t units[] = {[TIME_UNIX_S] = 1000000, [TIME_UNIX_MS] = 1000, [TIME_UNIX_US] = 1};
  const json_t *value;
  *time = 0;
  if (rule->path.text == NULL) {
    return FINE;
  }
  struct verdict verdict = follow(region, from, &rule->path, &value);
  if (verdict.reason != 0 || value == NULL) {
    return verdict;
  }
  bool text = rule->format == TIME_ISO8601;
  if (text ? !json_is_string(value) : !json_is_number(value)) {
    return REFUSE(TIME, "%s is %s, not %s", rule->path.text, type_name(value), text ? "an ISO 8601 text" : "a number");
  }
  if (text ? !iso8601_parse(json_string_value(value), rule, time) : !unix_time(value, units[rule->format], time)) {
    return REFUSE(TIME, "%s is not a time%s", rule->path.text,
                  !text || rule->zoned ? "" : ", or it has no zone and the mapping names none");
  }
  return FINE;
}

// --- samples

static bool holds(const json_t *value, const char *text) {
  char number[24];
  switch (value != NULL ? json_typeof(value) : JSON_NULL) {
  case JSON_STRING: return strcmp(json_string_value(value), text) == 0;
  case JSON_INTEGER: snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value)); break;
  case JSON_TRUE: return strcmp(text, "true") == 0;
  case JSON_FALSE: return strcmp(text, "false") == 0;
  default: return false;
  }
  return strcmp(number, text) == 0;
}

static struct verdict mistyped(struct region *region, const struct rule *rule, const json_t *value) {
  static const char *const wanted[] = {"a number", "true or false", "a text", "a text"};
  return REFUSE(VALUE, "%s is %s, not %s", rule->path.text, type_name(value), wanted[rule->type]);
}

static struct verdict take_number(struct region *region, const struct rule *rule, const json_t *value, Vedette__V1__Sample *out) {
  if (!json_is_number(value)) {
    return mistyped(region, rule, value);
  }
  if (json_is_integer(value) && rule->scale == 1) {
    out->value_case = VEDETTE__V1__SAMPLE__VALUE_INTEGER;
    out->integer = json_integer_value(value);
  } else {
    out->value_case = VEDETTE__V1__SAMPLE__VALUE_NUMBER;
    out->number = json_number_value(value) * rule->scale;
  }
  return FINE;
}

static struct verdict take_text(struct region *region, const struct rule *rule, const json_t *value, Vedette__V1__Sample *out) {
  if (!json_is_string(value)) {
    return mistyped(region, rule, value);
  }
  out->value_case = VEDETTE__V1__SAMPLE__VALUE_TEXT;
  out->text = region_strdup(region, json_string_value(value), json_string_length(value));
  return out->text != NULL ? FINE : too_large();
}

static struct verdict take_word(struct region *region, const struct rule *rule, const json_t *value, Vedette__V1__Sample *out) {
  if (!json_is_string(value)) {
    return mistyped(region, rule, value);
  }
  for (size_t i = 0; i < rule->word_count; i++) {
    if (strcmp(rule->words[i].text, json_string_value(value)) == 0) {
      out->value_case = VEDETTE__V1__SAMPLE__VALUE_NUMBER;
      out->number = rule->words[i].value;
      return FINE;
    }
  }
  return REFUSE(VALUE, "%s is a text that the mapping has no value for", rule->path.text);
}

static struct verdict take_value(struct region *region, const struct rule *rule, const json_t *value, Vedette__V1__Sample *out) {
  switch (rule->type) {
  case VALUE_NUMBER: return take_number(region, rule, value, out);
  case VALUE_TEXT: return take_text(region, rule, value, out);
  case VALUE_WORD: return take_word(region, rule, value, out);
  default:
    out->value_case = VEDETTE__V1__SAMPLE__VALUE_FLAG;
    out->flag = json_is_true(value);
    return json_is_boolean(value) ? FINE : mistyped(region, rule, value);
  }
}

static struct verdict add_sample(struct making *making, struct rule *rule, const json_t *value, int64_t time) {
  struct region *region = making->region;
  struct mappings *mappings = making->mappings;
  Vedette__V1__Report *report = making->report;
  if (report->n_samples == SAMPLES_LIMIT) {
    return REFUSE(OVERSIZED, "more than %d samples", SAMPLES_LIMIT);
  }
  Vedette__V1__Sample *sample = region_alloc(region, sizeof *sample);
  if (sample == NULL) {
    return too_large();
  }
  vedette__v1__sample__init(sample);
  sample->metric = rule->declaration.metric;
  sample->time = time;
  mappings->samples[report->n_samples++] = sample;
  if (rule->declared_in != mappings->messages) { // once a message; there are never more of them than samples
    rule->declared_in = mappings->messages;
    mappings->declarations[report->n_metrics++] = &rule->declaration;
  }
  return take_value(region, rule, value, sample);
}

// The samples of one object: the message, or an element of an array.
static struct verdict take_samples(struct making *making, const struct group *group, const json_t *from, int64_t time) {
  struct verdict verdict = FINE;
  for (size_t i = 0; verdict.reason == 0 && i < group->rule_count; i++) {
    struct rule *rule = &group->rules[i];
    const json_t *value;
    if (rule->when_text != NULL) {
      verdict = follow(making->region, from, &rule->when, &value);
      if (verdict.reason != 0 || !holds(value, rule->when_text)) {
        continue;
      }
    }
    verdict = follow(making->region, from, &rule->path, &value);
    if (verdict.reason == 0 && value != NULL) {
      verdict = add_sample(making, rule, value, time);
    }
  }
  return verdict;
}

static struct verdict take_array(struct making *making, const struct group *group, const json_t *root) {
  struct region *region = making->region;
  const json_t *array;
  struct verdict verdict = follow(region, root, &group->path, &array);
  if (verdict.reason != 0 || array == NULL) {
    return verdict;
  }
  if (!json_is_array(array)) {
    return REFUSE(VALUE, "%s is %s, not an array", group->path.text, type_name(array));
  }
  if (json_array_size(array) > SAMPLES_LIMIT) { // also a bound for the work
    return REFUSE(OVERSIZED, "%s has %zu elements, the limit is %d", group->path.text, json_array_size(array), SAMPLES_LIMIT);
  }
  for (size_t i = 0; verdict.reason == 0 && i < json_array_size(array); i++) {
    const json_t *element = json_array_get(array, i);
    int64_t time;
    verdict = take_time(region, element, &group->time, &time);
    making->newest = time > making->newest ? time : making->newest;
    if (verdict.reason == 0) {
      verdict = take_samples(making, group, element, time);
    }
  }
  return verdict;
}

// --- the report

static struct verdict take_count(struct region *region, const json_t *root, const struct path *path, uint64_t *out) {
  const json_t *value;
  struct verdict verdict = follow(region, root, path, &value);
  if (verdict.reason != 0 || value == NULL) {
    return verdict;
  }
  if (!json_is_integer(value) || json_integer_value(value) < 0) {
    return REFUSE(BOOT, "%s is %s, not an integer above 0", path->text, type_name(value));
  }
  *out = (uint64_t)json_integer_value(value);
  return FINE;
}

static struct verdict take_numbering(struct making *making, const json_t *root) {
  Vedette__V1__Report *report = making->report;
  const struct mapping *mapping = making->mapping;
  if (mapping->boot.text == NULL) {
    return FINE;
  }
  report->boot_case = VEDETTE__V1__REPORT__BOOT_BOOT_COUNTER;
  struct verdict verdict = take_count(making->region, root, &mapping->boot, &report->boot_counter);
  return verdict.reason != 0 ? verdict : take_count(making->region, root, &mapping->sequence, &report->sequence);
}

static struct verdict take_child(struct making *making, const json_t *root, const struct topic_match *match) {
  struct region *region = making->region;
  const struct path *path = &making->mapping->child;
  const json_t *value = NULL;
  char number[24];
  if (match->child != NULL) {
    making->report->child = region_strdup(region, match->child, match->child_length);
  } else if (path->text != NULL) {
    struct verdict verdict = follow(region, root, path, &value);
    if (verdict.reason != 0) {
      return verdict;
    }
    if (json_is_string(value) && json_string_length(value) > 0) {
      making->report->child = region_strdup(region, json_string_value(value), json_string_length(value));
    } else if (json_is_integer(value)) {
      int length = snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
      making->report->child = region_strdup(region, number, (size_t)length);
    } else {
      return REFUSE(IDENTITY, "%s names no device", path->text);
    }
  }
  return making->report->child != NULL ? FINE : too_large();
}

static bool keep_lists(struct making *making) {
  Vedette__V1__Report *report = making->report;
  report->samples = region_zalloc(making->region, report->n_samples, sizeof(Vedette__V1__Sample *));
  report->metrics = region_zalloc(making->region, report->n_metrics, sizeof(Vedette__V1__MetricDeclaration *));
  if (report->samples == NULL || report->metrics == NULL) {
    return false;
  }
  memcpy(report->samples, making->mappings->samples, report->n_samples * sizeof(Vedette__V1__Sample *));
  memcpy(report->metrics, making->mappings->declarations, report->n_metrics * sizeof(Vedette__V1__MetricDeclaration *));
  return true;
}

static struct verdict make_report(struct making *making, const json_t *root, const struct topic_match *match) {
  struct region *region = making->region;
  const struct mapping *mapping = making->mapping;
  struct verdict verdict = take_numbering(making, root);
  if (verdict.reason == 0) {
    verdict = take_child(making, root, match);
  }
  if (verdict.reason == 0) {
    verdict = take_time(region, root, &mapping->groups[0].time, &making->report->time);
  }
  if (verdict.reason == 0) {
    verdict = take_samples(making, &mapping->groups[0], root, 0);
  }
  for (size_t i = 1; verdict.reason == 0 && i < mapping->group_count; i++) {
    verdict = take_array(making, &mapping->groups[i], root);
  }
  if (verdict.reason == 0 && !keep_lists(making)) {
    verdict = too_large();
  }
  return verdict;
}

// A report has one time even if only the elements of its arrays do. Where its publisher neither numbers reports nor has a clock,
// equal messages could not be told apart: the time of receipt can.
static void settle_time(struct making *making, const struct record *record, struct decoded *out) {
  Vedette__V1__Report *report = making->report;
  report->time = report->time != 0 ? report->time : making->newest;
  bool no_clock = report->time >= 0 && time_marks(report->time, record->received, false) & MARK_NO_CLOCK;
  if ((out->marks & MARK_NO_SEQUENCE) && no_clock) {
    report->time = record->received;
    out->marks |= MARK_NO_CLOCK;
  }
}

// Parses the payload; NULL with the verdict set. The value lives in the tree.
static const json_t *parse(struct region *region, const struct record *record, struct verdict *verdict) {
  static const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
  json_error_t error;
  const json_t *root = json_loadb((const char *)record->payload, record->payload_length, flags, &error);
  if (root == NULL && tree_full) {
    *verdict = REFUSE(OVERSIZED, "takes too much memory as JSON");
  } else if (root == NULL) {
    char *near = strstr(error.text, " near '"); // what follows is the device's text
    *verdict = REFUSE(MALFORMED, "not JSON: %.*s at byte %d", (int)(near ? (size_t)(near - error.text) : strlen(error.text)),
                      error.text, error.position);
  }
  return root;
}

static void decode_payload(struct making *making, const struct record *record, const struct topic_match *match,
                           struct decoded *out) {
  struct region *region = making->region;
  if (record->payload_length > MESSAGE_LIMIT) {
    out->verdict = REFUSE(OVERSIZED, "%zu bytes, the limit is %d", record->payload_length, MESSAGE_LIMIT);
    return;
  }
  const json_t *root = parse(region, record, &out->verdict);
  making->report = root != NULL ? region_alloc(region, sizeof *making->report) : NULL;
  if (making->report == NULL) {
    out->verdict = out->verdict.reason != 0 ? out->verdict : too_large();
    return;
  }
  vedette__v1__report__init(making->report);
  out->verdict = make_report(making, root, match);
  if (out->verdict.reason != 0) {
    making->report->n_samples = making->report->n_metrics = 0; // not moved into lists of its own
  } else {
    settle_time(making, record, out);
    out->verdict = validate_report(region, making->report);
  }
  if (out->verdict.reason == 0 && !(out->marks & MARK_NO_SEQUENCE)) {
    out->verdict = validate_numbering(making->report);
  }
  out->report = making->report;
}

bool mapping_decode(struct decoder *decoder, struct region *region, const struct record *record, struct decoded *out) {
  struct mappings *mappings = (struct mappings *)decoder; // its first member
  struct topic_match match;
  size_t at = 0;
  while (at < mappings->count && !filter_match(&mappings->list[at]->filter, record->topic, record->topic_length, &match)) {
    at++;
  }
  if (at == mappings->count) {
    return false;
  }
  struct making making = {.mappings = mappings, .mapping = mappings->list[at], .region = region};
  *out = (struct decoded){.kind = TOPIC_REPORT, .credential = match.publisher, .credential_length = match.publisher_length};
  out->marks = making.mapping->boot.text == NULL ? MARK_NO_SEQUENCE : 0;
  if (match.publisher == NULL) {
    out->credential = making.mapping->publisher;
    out->credential_length = strlen(out->credential);
  }
  mappings->messages++;
  tree = mappings->tree;
  tree_full = false;
  decode_payload(&making, record, &match, out);
  tree = NULL;
  region_reset(mappings->tree);
  return true;
}
