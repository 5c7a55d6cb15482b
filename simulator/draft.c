#include "simulator/draft.h"

#include <stdlib.h>
#include <string.h>

struct draft {
  Vedette__V1__Report report;
  Vedette__V1__Sample samples[DRAFT_SAMPLES];
  Vedette__V1__Sample *sample_list[DRAFT_SAMPLES];
  Vedette__V1__MetricDeclaration metrics[DRAFT_SAMPLES];
  Vedette__V1__MetricDeclaration *metric_list[DRAFT_SAMPLES];
  Vedette__V1__Event events[DRAFT_EVENTS];
  Vedette__V1__Event *event_list[DRAFT_EVENTS];
  Vedette__V1__Flow flows[DRAFT_FLOWS];
  Vedette__V1__Flow *flow_list[DRAFT_FLOWS];
  uint32_t tcp[DRAFT_PORTS];
  uint32_t udp[DRAFT_PORTS];
  Vedette__V1__Traffic traffic;
  Vedette__V1__Firmware firmware;
  size_t used; // of text
  char text[DRAFT_TEXT];
  uint8_t packed[DRAFT_PACKED];
};

struct draft *draft_new(void) {
  return calloc(1, sizeof(struct draft));
}

void draft_free(struct draft *draft) {
  free(draft);
}

void draft_begin(struct draft *draft, uint64_t boot, uint64_t sequence, int64_t time) {
  vedette__v1__report__init(&draft->report);
  draft->report.boot_case = VEDETTE__V1__REPORT__BOOT_BOOT_COUNTER;
  draft->report.boot_counter = boot;
  draft->report.sequence = sequence;
  draft->report.time = time;
  draft->report.samples = draft->sample_list;
  draft->report.metrics = draft->metric_list;
  draft->report.events = draft->event_list;
  draft->used = 0;
}

Vedette__V1__Report *draft_report(struct draft *draft) {
  return &draft->report;
}

// Copies bytes into the draft's room; NULL when it is full.
static void *keep(struct draft *draft, const void *bytes, size_t size) {
  if (size > DRAFT_TEXT - draft->used) {
    return NULL;
  }
  void *copy = draft->text + draft->used;
  memcpy(copy, bytes, size);
  draft->used += size;
  return copy;
}

static char *keep_text(struct draft *draft, const char *text) {
  return keep(draft, text, strlen(text) + 1);
}

void draft_set_sample(struct draft *draft, size_t index, const struct value *value) {
  Vedette__V1__Sample *sample = &draft->samples[index];
  switch (value->type) {
  case VALUE_NUMBER:
    sample->value_case = VEDETTE__V1__SAMPLE__VALUE_NUMBER;
    sample->number = value->number;
    break;
  case VALUE_INTEGER:
    sample->value_case = VEDETTE__V1__SAMPLE__VALUE_INTEGER;
    sample->integer = value->integer;
    break;
  case VALUE_FLAG:
    sample->value_case = VEDETTE__V1__SAMPLE__VALUE_FLAG;
    sample->flag = value->flag;
    break;
  case VALUE_TEXT:
    sample->value_case = VEDETTE__V1__SAMPLE__VALUE_TEXT;
    sample->text = keep_text(draft, value->text);
    if (sample->text == NULL) {
      sample->value_case = VEDETTE__V1__SAMPLE__VALUE__NOT_SET;
    }
    break;
  }
}

bool draft_sample(struct draft *draft, const char *name, const struct value *value) {
  size_t index = draft->report.n_samples;
  char *copy = index < DRAFT_SAMPLES ? keep_text(draft, name) : NULL;
  if (copy == NULL) {
    return false;
  }
  vedette__v1__sample__init(&draft->samples[index]);
  draft->samples[index].metric = copy;
  draft_set_sample(draft, index, value);
  draft->sample_list[index] = &draft->samples[index];
  draft->report.n_samples++;
  return true;
}

size_t draft_samples(const struct draft *draft) {
  return draft->report.n_samples;
}

bool draft_value(const struct draft *draft, size_t index, const char **metric, struct value *value) {
  const Vedette__V1__Sample *sample = &draft->samples[index];
  *metric = sample->metric;
  switch (sample->value_case) {
  case VEDETTE__V1__SAMPLE__VALUE_NUMBER: *value = (struct value){.type = VALUE_NUMBER, .number = sample->number}; return true;
  case VEDETTE__V1__SAMPLE__VALUE_INTEGER:
    *value = (struct value){.type = VALUE_INTEGER, .integer = sample->integer};
    return true;
  case VEDETTE__V1__SAMPLE__VALUE_FLAG: *value = (struct value){.type = VALUE_FLAG, .flag = sample->flag != 0}; return true;
  case VEDETTE__V1__SAMPLE__VALUE_TEXT: *value = (struct value){.type = VALUE_TEXT, .text = sample->text}; return true;
  default: return false;
  }
}

size_t draft_find_number(const struct draft *draft, const char *name) {
  for (size_t i = 0; i < draft->report.n_samples; i++) {
    const Vedette__V1__Sample *sample = &draft->samples[i];
    bool numeric =
        sample->value_case == VEDETTE__V1__SAMPLE__VALUE_NUMBER || sample->value_case == VEDETTE__V1__SAMPLE__VALUE_INTEGER;
    if (numeric && strcmp(sample->metric, name) == 0) {
      return i;
    }
  }
  return draft->report.n_samples;
}

void draft_add_to(struct draft *draft, size_t index, double amount) {
  Vedette__V1__Sample *sample = &draft->samples[index];
  if (sample->value_case == VEDETTE__V1__SAMPLE__VALUE_NUMBER) {
    sample->number += amount;
  } else if (sample->value_case == VEDETTE__V1__SAMPLE__VALUE_INTEGER) {
    sample->integer += (int64_t)amount;
  }
}

bool draft_declare(struct draft *draft, const struct value_metric *metric) {
  static const Vedette__V1__MetricKind kinds[] = {VEDETTE__V1__METRIC_KIND__METRIC_KIND_GAUGE,
                                                  VEDETTE__V1__METRIC_KIND__METRIC_KIND_COUNTER,
                                                  VEDETTE__V1__METRIC_KIND__METRIC_KIND_STATE};
  size_t index = draft->report.n_metrics;
  char *name = index < DRAFT_SAMPLES ? keep_text(draft, metric->name) : NULL;
  char *unit = name != NULL ? keep_text(draft, metric->unit) : NULL;
  if (unit == NULL) {
    return false;
  }
  vedette__v1__metric_declaration__init(&draft->metrics[index]);
  draft->metrics[index].metric = name;
  draft->metrics[index].kind = kinds[metric->kind];
  draft->metrics[index].unit = unit;
  draft->metric_list[index] = &draft->metrics[index];
  draft->report.n_metrics++;
  return true;
}

void draft_firmware(struct draft *draft, const char *version, const uint8_t *hash, bool verified) {
  Vedette__V1__Firmware *firmware = &draft->firmware;
  vedette__v1__firmware__init(firmware);
  char *name = keep_text(draft, version);
  uint8_t *copy = keep(draft, hash, 32);
  if (name == NULL || copy == NULL) {
    return;
  }
  firmware->version = name;
  firmware->image_hash = (ProtobufCBinaryData){.len = 32, .data = copy};
  firmware->boot_verification = verified ? VEDETTE__V1__BOOT_VERIFICATION__BOOT_VERIFICATION_VERIFIED
                                         : VEDETTE__V1__BOOT_VERIFICATION__BOOT_VERIFICATION_UNVERIFIED;
  draft->report.firmware = firmware;
}

bool draft_event(struct draft *draft, Vedette__V1__EventKind kind, uint32_t count, const char *subject, const uint8_t *source,
                 size_t source_size) {
  size_t index = draft->report.n_events;
  char *text = index < DRAFT_EVENTS ? keep_text(draft, subject) : NULL;
  uint8_t *address = text != NULL ? keep(draft, source, source_size) : NULL;
  if (address == NULL) {
    return false;
  }
  Vedette__V1__Event *event = &draft->events[index];
  vedette__v1__event__init(event);
  event->kind = kind;
  event->count = count;
  event->subject = text;
  event->source = (ProtobufCBinaryData){.len = source_size, .data = address};
  draft->event_list[index] = event;
  draft->report.n_events++;
  return true;
}

Vedette__V1__Traffic *draft_traffic(struct draft *draft) {
  if (draft->report.traffic == NULL) {
    vedette__v1__traffic__init(&draft->traffic);
    draft->traffic.flows = draft->flow_list;
    draft->traffic.listening_tcp = draft->tcp;
    draft->traffic.listening_udp = draft->udp;
    draft->report.traffic = &draft->traffic;
  }
  return &draft->traffic;
}

Vedette__V1__Flow *draft_flow(struct draft *draft, const uint8_t *address, size_t size, uint32_t port,
                              Vedette__V1__Transport transport) {
  Vedette__V1__Traffic *traffic = draft_traffic(draft);
  size_t index = traffic->n_flows;
  uint8_t *copy = index < DRAFT_FLOWS ? keep(draft, address, size) : NULL;
  if (copy == NULL) {
    return NULL;
  }
  Vedette__V1__Flow *flow = &draft->flows[index];
  vedette__v1__flow__init(flow);
  flow->address = (ProtobufCBinaryData){.len = size, .data = copy};
  flow->port = port;
  flow->transport = transport;
  draft->flow_list[index] = flow;
  traffic->n_flows++;
  return flow;
}

bool draft_listen(struct draft *draft, bool udp, uint32_t port) {
  Vedette__V1__Traffic *traffic = draft_traffic(draft);
  size_t *count = udp ? &traffic->n_listening_udp : &traffic->n_listening_tcp;
  if (*count >= DRAFT_PORTS) {
    return false;
  }
  (udp ? draft->udp : draft->tcp)[(*count)++] = port;
  return true;
}

uint8_t *draft_pack(struct draft *draft, size_t *size) {
  size_t needed = vedette__v1__report__get_packed_size(&draft->report);
  if (needed > DRAFT_PACKED) {
    return NULL;
  }
  *size = vedette__v1__report__pack(&draft->report, draft->packed);
  return draft->packed;
}
