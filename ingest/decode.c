#include "ingest/decode.h"

#include "ingest/validate.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *region_printf(struct region *region, const char *format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  const char *kept = region_strdup(region, text, strlen(text));
  return kept ? kept : "";
}

enum topic_kind topic_parse(const char *topic, size_t length, const char **credential, size_t *credential_length) {
  static const char prefix[] = "vedette/v1/";
  enum { PREFIX = sizeof prefix - 1 };
  *credential = "";
  *credential_length = 0;
  if (length <= PREFIX || memcmp(topic, prefix, PREFIX) != 0) {
    return TOPIC_OTHER;
  }
  const char *name = topic + PREFIX;
  const char *slash = memchr(name, '/', length - PREFIX);
  if (slash == NULL || slash == name || slash - name > CREDENTIAL_LIMIT) {
    return TOPIC_OTHER;
  }
  *credential = name;
  *credential_length = (size_t)(slash - name);
  size_t rest = length - PREFIX - *credential_length - 1;
  if (rest == 6 && memcmp(slash + 1, "report", 6) == 0) {
    return TOPIC_REPORT;
  }
  return rest == 12 && memcmp(slash + 1, "connectivity", 12) == 0 ? TOPIC_CONNECTIVITY : TOPIC_OTHER;
}

// protobuf-c has no limits of its own (100 kB of empty submessages take 6 MB): it allocates through here.
struct budget {
  struct region *region;
  size_t left;
  bool exceeded;
};

static void *budget_alloc(void *data, size_t size) {
  struct budget *budget = data;
  void *out = size <= budget->left ? region_alloc(budget->region, size) : NULL;
  if (out == NULL) {
    budget->exceeded = true;
    return NULL;
  }
  budget->left -= size;
  return out;
}

static void budget_free(void *data, void *pointer) {
  (void)data; // given back with the region
  (void)pointer;
}

static struct verdict refuse_undecoded(struct region *region, const struct budget *budget, size_t size) {
  if (budget->exceeded) {
    return (struct verdict){VEDETTE__V1__REASON__REASON_OVERSIZED,
                            region_printf(region, "takes more than %d KiB when decoded", DECODE_BUDGET / 1024)};
  }
  return (struct verdict){VEDETTE__V1__REASON__REASON_MALFORMED, region_printf(region, "%zu bytes that are not a message", size)};
}

static struct verdict oversized(struct region *region, size_t size, int limit) {
  return (struct verdict){VEDETTE__V1__REASON__REASON_OVERSIZED,
                          region_printf(region, "%zu bytes, the limit is %d", size, limit)};
}

struct verdict decode_report(struct region *region, const uint8_t *payload, size_t size, Vedette__V1__Report **out) {
  struct budget budget = {.region = region, .left = DECODE_BUDGET};
  ProtobufCAllocator allocator = {.alloc = budget_alloc, .free = budget_free, .allocator_data = &budget};
  *out = NULL;
  if (size > MESSAGE_LIMIT) {
    return oversized(region, size, MESSAGE_LIMIT);
  }
  *out = vedette__v1__report__unpack(&allocator, size, payload);
  if (*out == NULL) {
    return refuse_undecoded(region, &budget, size);
  }
  struct verdict verdict = validate_report(region, *out);
  return verdict.reason != 0 ? verdict : validate_numbering(*out);
}

struct verdict decode_connectivity(struct region *region, const uint8_t *payload, size_t size, Vedette__V1__Connectivity **out) {
  struct budget budget = {.region = region, .left = DECODE_BUDGET};
  ProtobufCAllocator allocator = {.alloc = budget_alloc, .free = budget_free, .allocator_data = &budget};
  *out = NULL;
  if (size > CONNECTIVITY_LIMIT) {
    return oversized(region, size, CONNECTIVITY_LIMIT);
  }
  *out = vedette__v1__connectivity__unpack(&allocator, size, payload);
  return *out == NULL ? refuse_undecoded(region, &budget, size) : validate_connectivity(region, *out);
}

int64_t report_boot(const Vedette__V1__Report *report) {
  switch (report->boot_case) {
  case VEDETTE__V1__REPORT__BOOT_BOOT_COUNTER: return (int64_t)report->boot_counter;
  case VEDETTE__V1__REPORT__BOOT_BOOT_RANDOM: return (int64_t)report->boot_random;
  default: return 0;
  }
}

int64_t connectivity_boot(const Vedette__V1__Connectivity *connectivity) {
  switch (connectivity->boot_case) {
  case VEDETTE__V1__CONNECTIVITY__BOOT_BOOT_COUNTER: return (int64_t)connectivity->boot_counter;
  case VEDETTE__V1__CONNECTIVITY__BOOT_BOOT_RANDOM: return (int64_t)connectivity->boot_random;
  default: return 0;
  }
}

static bool decode_wire(struct decoder *decoder, struct region *region, const struct record *record, struct decoded *out) {
  (void)decoder;
  *out = (struct decoded){0};
  out->kind = topic_parse(record->topic, record->topic_length, &out->credential, &out->credential_length);
  if (out->kind == TOPIC_REPORT) {
    out->verdict = decode_report(region, record->payload, record->payload_length, &out->report);
  } else if (out->kind == TOPIC_CONNECTIVITY) {
    out->verdict = decode_connectivity(region, record->payload, record->payload_length, &out->connectivity);
  }
  return out->kind != TOPIC_OTHER;
}

struct decoder *decoder_wire(void) {
  static struct decoder wire = {decode_wire};
  return &wire;
}

static const int64_t second = 1000000, day = INT64_C(86400000000);
static const int64_t year_2000 = INT64_C(946684800000000); // clocks that were never set start before it
static const int64_t year_2100 = INT64_C(4102444800000000);

bool time_fits(int64_t time, int64_t received, int64_t keep_us) {
  return time >= 0 && time <= year_2100 && (time < year_2000 || time >= received - keep_us);
}

int time_marks(int64_t time, int64_t received, bool historical) {
  int marks = historical ? MARK_HISTORICAL : 0;
  if (time < year_2000) {
    return marks | MARK_NO_CLOCK;
  }
  if (time > received + 300 * second) {
    return marks | MARK_AHEAD;
  }
  return !historical && time < received - 7 * day ? marks | MARK_BEHIND : marks;
}
