// Insides that the files of mapping.h share: mappings as read. All texts live in the mappings' region.
#ifndef VEDETTE_INGEST_MAPPING_INTERNAL_H
#define VEDETTE_INGEST_MAPPING_INTERNAL_H

#include "ingest/mapping.h"
#include "ingest/validate.h"

enum {
  MAPPINGS_MOST = 64,
  GROUPS_MOST = 8,    // a mapping's own samples, and those of 7 arrays
  RULES_MOST = 256,   // samples a group
  WORDS_MOST = 32,    // values of one `values`
  STEPS_MOST = 8,     // of a path
  LEVELS_MOST = 16,   // of a topic
  PATH_LIMIT = 128,   // bytes
  FILTER_LIMIT = 256, // bytes
};

// A step is a key of an object, or (key NULL) a place in an array.
struct step {
  const char *key;
  size_t length, place;
};

struct path {
  const char *text; // as written; NULL: there is none
  size_t count;     // 0: the value itself
  struct step steps[STEPS_MOST];
};

enum time_format { TIME_UNIX_S, TIME_UNIX_MS, TIME_UNIX_US, TIME_ISO8601 };

struct time_rule {
  struct path path;
  enum time_format format;
  bool zoned;     // texts without a zone are of …
  int64_t zone_s; // … this one, seconds east of Greenwich
};

struct word {
  const char *text;
  double value;
};

enum value_type { VALUE_NUMBER, VALUE_BOOL, VALUE_TEXT, VALUE_WORD };

struct rule {
  struct path path;
  Vedette__V1__MetricDeclaration declaration; // metric, kind, unit
  enum value_type type;
  double scale; // of numbers; 1: left as they are
  struct path when;
  const char *when_text; // taken only where `when` has this value
  struct word *words;
  size_t word_count;
  uint64_t declared_in; // the last message that its declaration was put into
};

// Samples of the message itself (the first group of a mapping), or of each element of an array.
struct group {
  struct path path;      // of the array
  struct time_rule time; // of the message, or of an element
  struct rule *rules;
  size_t rule_count;
};

enum level_kind { LEVEL_TEXT, LEVEL_ANY, LEVEL_PUBLISHER, LEVEL_CHILD, LEVEL_REST };

struct level {
  enum level_kind kind;
  const char *text;
  size_t length;
};

struct filter {
  char text[FILTER_LIMIT]; // as the broker takes it
  struct level levels[LEVELS_MOST];
  size_t count;
};

struct mapping {
  const char *file;
  size_t line;
  struct filter filter;
  const char *publisher; // of all messages, where the topic has none; NULL otherwise
  struct path child;     // of the credential of the device that the message is about
  struct path boot, sequence;
  struct group groups[GROUPS_MOST];
  size_t group_count;
};

// What a topic says.
struct topic_match {
  const char *publisher, *child; // NULL: not in the topic
  size_t publisher_length, child_length;
};

struct mappings {
  struct decoder decoder;
  struct region *region; // everything below
  struct region *tree;   // JSON of one message
  struct mapping *list[MAPPINGS_MOST];
  size_t count;
  uint64_t messages; // decoded so far
  // Of the message that is being decoded:
  Vedette__V1__Sample *samples[SAMPLES_LIMIT];
  Vedette__V1__MetricDeclaration *declarations[DECLARATIONS_LIMIT];
};

// Reads `{publisher}`, `{child}`, `+`, `#` and texts between slashes. Returns what is wrong, or NULL.
const char *filter_parse(struct filter *filter, struct region *region, const char *text);
bool filter_has(const struct filter *filter, enum level_kind kind);
bool filter_match(const struct filter *filter, const char *topic, size_t length, struct topic_match *match);
bool filter_overlaps(const struct filter *a, const struct filter *b);

// Reads a path such as `ENERGY.Power`, `temperature[0].value`, `"a.b"`, or `.` for the value itself. Returns what is wrong, or
// NULL.
const char *path_parse(struct path *path, struct region *region, const char *text);

// Reads a zone, `Z` or `+02:00` or `+0200`. False if it is none.
bool zone_parse(const char *text, int64_t *seconds);
// Reads `2026-11-23T20:39:31.5+01:00` into Unix microseconds. What has no zone takes the rule's. False if it is none.
bool iso8601_parse(const char *text, const struct time_rule *rule, int64_t *time);

// Adds the mappings of a file; false with the error said.
bool mapping_read_file(struct mappings *mappings, const char *path, char *error, size_t error_size);

// Has Jansson take its memory through us: from the tree while a message is decoded, by malloc otherwise. Any number of times.
void mapping_take_over_jansson(void);
bool mapping_decode(struct decoder *decoder, struct region *region, const struct record *record, struct decoded *out);

#endif
