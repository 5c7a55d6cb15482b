// Mapping files: YAML into struct mapping, by one table for each kind of object.
#include "common/document.h"
#include "ingest/mapping_internal.h"

#include <errno.h>
#include <string.h>

struct reader {
  struct document document;
  struct mappings *mappings;
};

// Reads the value of a key into `target`. False with the error said.
typedef bool take_value(struct reader *reader, const yaml_node_t *node, const char *field, void *target);

struct key {
  const char *name;
  take_value *take;
  size_t offset; // of the target within the object's struct
  bool required;
};

static bool refuse(struct reader *reader, const yaml_node_t *at, const char *field, const char *why) {
  return document_refuse(&reader->document, document_line(at), field, "%s", why);
}

// --- objects and lists

static bool take_key(struct reader *reader, const yaml_node_t *name, const yaml_node_t *value, const struct key *keys,
                     void *object, uint32_t *seen) {
  const char *text = document_scalar(name);
  if (text == NULL) {
    return refuse(reader, name, "", "a key is not a word");
  }
  for (size_t i = 0; keys[i].name != NULL; i++) {
    if (strcmp(keys[i].name, text) != 0) {
      continue;
    }
    if (*seen & UINT32_C(1) << i) {
      return refuse(reader, name, text, "is given twice");
    }
    *seen |= UINT32_C(1) << i;
    return keys[i].take(reader, value, keys[i].name, (char *)object + keys[i].offset);
  }
  return document_refuse(&reader->document, document_line(name), "", "\"%.40s\" is not known here", text);
}

// Reads a YAML mapping by `keys`, which end with a name of NULL.
static bool take_object(struct reader *reader, const yaml_node_t *node, const char *field, const struct key *keys, void *object) {
  uint32_t seen = 0;
  if (node->type != YAML_MAPPING_NODE) {
    return refuse(reader, node, field, "its settings stand indented below it, `name: value`");
  }
  for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
    const yaml_node_t *name = yaml_document_get_node(&reader->document.yaml, pair->key);
    const yaml_node_t *value = yaml_document_get_node(&reader->document.yaml, pair->value);
    if (!take_key(reader, name, value, keys, object, &seen)) {
      return false;
    }
  }
  for (size_t i = 0; keys[i].name != NULL; i++) {
    if (keys[i].required && !(seen & UINT32_C(1) << i)) {
      return refuse(reader, node, keys[i].name, "is missing");
    }
  }
  return true;
}

// How many elements a list of 1 to `most` has; 0 with the error said.
static size_t list_length(struct reader *reader, const yaml_node_t *node, const char *field, size_t most) {
  size_t count = node->type == YAML_SEQUENCE_NODE ? (size_t)(node->data.sequence.items.top - node->data.sequence.items.start) : 0;
  if (count == 0 || count > most) {
    document_refuse(&reader->document, document_line(node), field, "has to be a list of 1 to %zu (`- …` lines)", most);
    return 0;
  }
  return count;
}

static const yaml_node_t *list_element(struct reader *reader, const yaml_node_t *node, size_t place) {
  return yaml_document_get_node(&reader->document.yaml, node->data.sequence.items.start[place]);
}

// --- texts

static bool take_text(struct reader *reader, const yaml_node_t *node, const char *field, size_t limit, char **out) {
  const char *text = document_scalar(node);
  if (text == NULL || text[0] == '\0' || !text_valid(text, limit) || strlen(text) != node->data.scalar.length) {
    return document_refuse(&reader->document, document_line(node), field,
                           "has to be a text of 1 to %zu bytes without control characters", limit);
  }
  *out = region_strdup(reader->mappings->region, text, strlen(text));
  if (*out == NULL) {
    refuse(reader, node, field, "the mappings take too much memory");
    return false;
  }
  return true;
}

static bool take_credential(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  char *text = NULL;
  if (!take_text(reader, node, field, CREDENTIAL_LIMIT, &text) || text == NULL) {
    return false;
  }
  *(const char **)target = text;
  return strpbrk(text, "/+#") == NULL || refuse(reader, node, field, "a credential has none of / + #");
}

static bool take_metric(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  return take_text(reader, node, field, METRIC_LIMIT, target) &&
         (metric_name_valid(*(char **)target) || refuse(reader, node, field, "is not 1 to 64 bytes of a-z 0-9 . _ / -"));
}

static bool take_unit(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  return take_text(reader, node, field, 32, target);
}

static bool take_path(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  const char *text = document_scalar(node);
  const char *wrong = text ? path_parse(target, reader->mappings->region, text) : "is not a path";
  return wrong == NULL || refuse(reader, node, field, wrong);
}

static bool take_filter(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  const char *text = document_scalar(node);
  const char *wrong = text ? filter_parse(target, reader->mappings->region, text) : "is not a topic filter";
  return wrong == NULL || refuse(reader, node, field, wrong);
}

// Finds the text among `words`, which end with NULL; -1 with the error said.
static int take_choice(struct reader *reader, const yaml_node_t *node, const char *field, const char *const *words) {
  const char *text = document_scalar(node);
  char list[128] = "";
  for (int i = 0; words[i] != NULL; i++) {
    if (text != NULL && strcmp(text, words[i]) == 0) {
      return i;
    }
    snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i > 0 ? ", " : "", words[i]);
  }
  document_refuse(&reader->document, document_line(node), field, "has to be one of %s", list);
  return -1;
}

static bool take_kind(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  static const char *const words[] = {"gauge", "counter", "state", NULL}; // in the order of the enumeration, which begins with 1
  int choice = take_choice(reader, node, field, words);
  *(Vedette__V1__MetricKind *)target = (Vedette__V1__MetricKind)(choice + 1);
  return choice >= 0;
}

static bool take_type(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  static const char *const words[] = {"number", "bool", "text", NULL};
  int choice = take_choice(reader, node, field, words);
  *(enum value_type *)target = choice < 0 ? VALUE_NUMBER : (enum value_type)choice;
  return choice >= 0;
}

static bool take_number(struct reader *reader, const yaml_node_t *node, const char *field, double *out) {
  const char *text = document_scalar(node);
  return document_number(&reader->document, document_line(node), field, text ? text : "a list", false, -1e300, 1e300, out);
}

static bool take_scale(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  double *scale = target;
  return take_number(reader, node, field, scale) && (*scale != 0 || refuse(reader, node, field, "would make everything 0"));
}

// --- times

static bool take_format(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  static const char *const words[] = {"unix-s", "unix-ms", "unix-us", "iso8601", NULL};
  int choice = take_choice(reader, node, field, words);
  *(enum time_format *)target = choice < 0 ? TIME_UNIX_S : (enum time_format)choice;
  return choice >= 0;
}

static bool take_zone(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  struct time_rule *rule = target;
  const char *text = document_scalar(node);
  rule->zoned = text != NULL && zone_parse(text, &rule->zone_s);
  return rule->zoned || refuse(reader, node, field, "is not a zone: Z, or +02:00 in quotation marks");
}

static bool take_time(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  static const struct key keys[] = {{"path", take_path, offsetof(struct time_rule, path), true},
                                    {"format", take_format, offsetof(struct time_rule, format), true},
                                    {"zone", take_zone, 0, false},
                                    {NULL, NULL, 0, false}};
  struct time_rule *rule = target;
  return take_object(reader, node, field, keys, rule) &&
         (!rule->zoned || rule->format == TIME_ISO8601 || refuse(reader, node, "zone", "only iso8601 has one"));
}

// --- samples

static bool take_words(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  struct rule *rule = target;
  size_t count = 0;
  if (node->type == YAML_MAPPING_NODE) {
    count = (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
  }
  if (count == 0 || count > WORDS_MOST) {
    return document_refuse(&reader->document, document_line(node), field, "has to be 1 to %d lines of `text: number`",
                           WORDS_MOST);
  }
  rule->words = region_zalloc(reader->mappings->region, count, sizeof *rule->words);
  for (size_t i = 0; rule->words != NULL && i < count; i++) {
    const yaml_node_pair_t *pair = &node->data.mapping.pairs.start[i];
    const yaml_node_t *value = yaml_document_get_node(&reader->document.yaml, pair->value);
    char *text = NULL;
    if (!take_text(reader, yaml_document_get_node(&reader->document.yaml, pair->key), field, 256, &text) ||
        !take_number(reader, value, field, &rule->words[i].value)) {
      return false;
    }
    rule->words[i].text = text;
    rule->word_count++;
  }
  return rule->words != NULL || refuse(reader, node, field, "the mappings take too much memory");
}

static bool take_when(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  struct rule *rule = target;
  if (node->type != YAML_MAPPING_NODE || node->data.mapping.pairs.top - node->data.mapping.pairs.start != 1) {
    return refuse(reader, node, field, "has to be one `path: value`");
  }
  const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
  char *text = NULL;
  if (!take_path(reader, yaml_document_get_node(&reader->document.yaml, pair->key), field, &rule->when) ||
      !take_text(reader, yaml_document_get_node(&reader->document.yaml, pair->value), field, 256, &text)) {
    return false;
  }
  rule->when_text = text;
  return true;
}

static bool take_rule(struct reader *reader, const yaml_node_t *node, struct rule *rule) {
  static const struct key keys[] = {{"path", take_path, offsetof(struct rule, path), true},
                                    {"metric", take_metric, offsetof(struct rule, declaration.metric), true},
                                    {"unit", take_unit, offsetof(struct rule, declaration.unit), false},
                                    {"kind", take_kind, offsetof(struct rule, declaration.kind), false},
                                    {"type", take_type, offsetof(struct rule, type), false},
                                    {"scale", take_scale, offsetof(struct rule, scale), false},
                                    {"values", take_words, 0, false},
                                    {"when", take_when, 0, false},
                                    {NULL, NULL, 0, false}};
  *rule = (struct rule){.declaration = VEDETTE__V1__METRIC_DECLARATION__INIT, .scale = 1};
  if (!take_object(reader, node, "samples", keys, rule)) {
    return false;
  }
  if (rule->word_count > 0 && rule->type != VALUE_NUMBER) {
    return refuse(reader, node, "type", "`values` make numbers of texts: leave it out");
  }
  rule->type = rule->word_count > 0 ? VALUE_WORD : rule->type;
  if (rule->scale != 1 && rule->type != VALUE_NUMBER) {
    return refuse(reader, node, "scale", "is for numbers only");
  }
  if (rule->declaration.kind == VEDETTE__V1__METRIC_KIND__METRIC_KIND_UNSPECIFIED) {
    rule->declaration.kind =
        rule->type == VALUE_NUMBER ? VEDETTE__V1__METRIC_KIND__METRIC_KIND_GAUGE : VEDETTE__V1__METRIC_KIND__METRIC_KIND_STATE;
  }
  return true;
}

static bool take_rules(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  struct group *group = target;
  size_t count = list_length(reader, node, field, RULES_MOST);
  group->rules = region_zalloc(reader->mappings->region, count, sizeof *group->rules);
  if (count == 0 || group->rules == NULL) {
    return count != 0 && refuse(reader, node, field, "the mappings take too much memory");
  }
  for (; group->rule_count < count; group->rule_count++) {
    if (!take_rule(reader, list_element(reader, node, group->rule_count), &group->rules[group->rule_count])) {
      return false;
    }
  }
  return true;
}

static bool take_each(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  static const struct key keys[] = {{"path", take_path, offsetof(struct group, path), true},
                                    {"time", take_time, offsetof(struct group, time), false},
                                    {"samples", take_rules, 0, true},
                                    {NULL, NULL, 0, false}};
  struct mapping *mapping = target;
  size_t count = list_length(reader, node, field, GROUPS_MOST - 1);
  for (size_t i = 0; i < count; i++) {
    if (!take_object(reader, list_element(reader, node, i), field, keys, &mapping->groups[mapping->group_count++])) {
      return false;
    }
  }
  return count > 0;
}

// --- mappings

// What the keys of a mapping have to be to each other.
static bool check_mapping(struct reader *reader, const yaml_node_t *node, const struct mapping *mapping) {
  bool in_topic = filter_has(&mapping->filter, LEVEL_PUBLISHER);
  if (in_topic == (mapping->publisher != NULL)) {
    return refuse(reader, node, "publisher",
                  in_topic ? "the topic has one already" : "the topic has no {publisher}, so it has to be named here");
  }
  if (mapping->child.text != NULL && filter_has(&mapping->filter, LEVEL_CHILD)) {
    return refuse(reader, node, "child", "the topic has one already");
  }
  if ((mapping->boot.text != NULL) != (mapping->sequence.text != NULL)) {
    return refuse(reader, node, mapping->boot.text ? "sequence" : "boot", "is missing: boot and sequence belong together");
  }
  return mapping->groups[0].rule_count > 0 || mapping->group_count > 1 ||
         refuse(reader, node, "samples", "there are neither samples nor each");
}

// A message has to have one meaning; and the broker would send it once for each filter.
static bool check_overlaps(struct reader *reader, const yaml_node_t *node, const struct mapping *mapping) {
  static const char *const taken[] = {"vedette/v1/+/report", "vedette/v1/+/connectivity", "vedette/v1/+/notice"};
  for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
    struct filter ours;
    if (filter_parse(&ours, reader->mappings->region, taken[i]) != NULL || filter_overlaps(&mapping->filter, &ours)) {
      return document_refuse(&reader->document, document_line(node), "topic", "overlaps %s", taken[i]);
    }
  }
  for (size_t i = 0; i < reader->mappings->count; i++) {
    const struct mapping *other = reader->mappings->list[i];
    if (filter_overlaps(&mapping->filter, &other->filter)) {
      return document_refuse(&reader->document, document_line(node), "topic", "overlaps %.100s of %.60s, line %zu",
                             other->filter.text, other->file, other->line);
    }
  }
  return true;
}

static bool take_mapping(struct reader *reader, const yaml_node_t *node) {
  static const struct key keys[] = {{"topic", take_filter, offsetof(struct mapping, filter), true},
                                    {"publisher", take_credential, offsetof(struct mapping, publisher), false},
                                    {"child", take_path, offsetof(struct mapping, child), false},
                                    {"time", take_time, offsetof(struct mapping, groups[0].time), false},
                                    {"boot", take_path, offsetof(struct mapping, boot), false},
                                    {"sequence", take_path, offsetof(struct mapping, sequence), false},
                                    {"samples", take_rules, offsetof(struct mapping, groups[0]), false},
                                    {"each", take_each, 0, false},
                                    {NULL, NULL, 0, false}};
  struct mappings *mappings = reader->mappings;
  struct mapping *mapping = region_zalloc(mappings->region, 1, sizeof *mapping);
  if (mapping == NULL || mappings->count == MAPPINGS_MOST) {
    return document_refuse(&reader->document, document_line(node), "mappings", "are more than %d, or take too much memory",
                           MAPPINGS_MOST);
  }
  *mapping = (struct mapping){.line = document_line(node), .group_count = 1};
  mapping->file = region_strdup(mappings->region, reader->document.path, strlen(reader->document.path));
  if (mapping->file == NULL || !take_object(reader, node, "mappings", keys, mapping) || !check_mapping(reader, node, mapping) ||
      !check_overlaps(reader, node, mapping)) {
    return false;
  }
  mappings->list[mappings->count++] = mapping;
  return true;
}

static bool take_mappings(struct reader *reader, const yaml_node_t *node, const char *field, void *target) {
  size_t count = list_length(reader, node, field, MAPPINGS_MOST);
  (void)target;
  for (size_t i = 0; i < count; i++) {
    if (!take_mapping(reader, list_element(reader, node, i))) {
      return false;
    }
  }
  return count > 0;
}

bool mapping_read_file(struct mappings *mappings, const char *path, char *error, size_t error_size) {
  static const struct key keys[] = {{"mappings", take_mappings, 0, true}, {NULL, NULL, 0, false}};
  struct reader reader = {.document = {.path = path, .error = error, .error_size = error_size}, .mappings = mappings};
  FILE *file = fopen(path, "re");
  if (file == NULL) {
    return document_refuse(&reader.document, 0, "", "the mappings cannot be read: %s", strerror(errno));
  }
  bool ok = document_read(&reader.document, file);
  fclose(file);
  if (!ok) {
    return false;
  }
  const yaml_node_t *root = yaml_document_get_root_node(&reader.document.yaml);
  ok = root != NULL ? take_object(&reader, root, "", keys, mappings)
                    : document_refuse(&reader.document, 0, "", "holds no mappings");
  yaml_document_delete(&reader.document.yaml);
  return ok;
}
