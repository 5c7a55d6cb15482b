#include "tests/bench/frames.h"

#include <stdlib.h>
#include <string.h>

enum { PUBLISH_QOS1 = 0x32, PUBLISH_DUP = 0x08, HEADER_MOST = 5, IDS = 65535 };
enum { SEQUENCE = 3, TIME = 4 }; // fields of vedette.v1.Report

uint16_t frames_id(size_t index) {
  return (uint16_t)(index % IDS + 1);
}

size_t frames_start(const struct frames *frames, size_t index) {
  return index > 0 ? frames->ends[index - 1] : 0;
}

// Length of a packet, or a number in protobuf: both are varints.
static size_t put_length(uint8_t *out, uint64_t length) {
  size_t used = 0;
  do {
    out[used] = (uint8_t)(length & 127);
    length >>= 7;
    out[used] |= (uint8_t)(length > 0 ? 128 : 0);
    used++;
  } while (length > 0);
  return used;
}

static size_t put_number(uint8_t *out, size_t number) {
  out[0] = (uint8_t)(number >> 8);
  out[1] = (uint8_t)number;
  return 2;
}

// The end of the varint at `at`.
static uint8_t *skip_number(uint8_t *at) {
  while (*at & 128) {
    at++;
  }
  return at + 1;
}

// The field of a report, of those before its samples.
static uint8_t *field_value(uint8_t *payload, unsigned field) {
  while ((unsigned)(*payload >> 3) < field) {
    payload = skip_number(payload + 1);
  }
  return payload + 1;
}

static size_t put_packet(uint8_t *out, const struct stock_report *report, uint16_t id, bool mqtt5) {
  char topic[STOCK_TOPIC];
  stock_topic(report->device, topic);
  size_t topic_size = strlen(topic);
  size_t used = 0;
  out[used++] = PUBLISH_QOS1;
  used += put_length(out + used, 2 + topic_size + 2 + mqtt5 + report->size);
  used += put_number(out + used, topic_size);
  memcpy(out + used, topic, topic_size);
  used += topic_size;
  used += put_number(out + used, id);
  if (mqtt5) {
    out[used++] = 0; // no properties
  }
  memcpy(out + used, report->payload, report->size);
  return used + report->size;
}

// How often a report is sent.
static size_t times_sent(const struct stock_report *report, const struct frames_repeats *repeats) {
  return report->device < repeats->devices ? 2 : 1;
}

bool frames_lay(struct frames *frames, const struct stock *stock, const struct frames_repeats *repeats, bool mqtt5) {
  size_t room = 0;
  *frames = (struct frames){.mqtt5 = mqtt5};
  for (size_t i = 0; i < stock_count(stock); i++) {
    struct stock_report report = stock_get(stock, i);
    size_t times = times_sent(&report, repeats);
    room += times * (HEADER_MOST + 2 + STOCK_TOPIC + 2 + 1 + report.size);
    frames->count += times;
  }
  frames->bytes = malloc(room + 1);
  frames->ends = calloc(frames->count + 1, sizeof *frames->ends);
  if (frames->bytes == NULL || frames->ends == NULL) {
    frames_free(frames);
    return false;
  }
  size_t used = 0;
  size_t packet = 0;
  for (size_t i = 0; i < stock_count(stock); i++) {
    struct stock_report report = stock_get(stock, i);
    for (size_t time = 0; time < times_sent(&report, repeats); time++, packet++) {
      uint8_t *out = frames->bytes + used;
      used += put_packet(out, &report, frames_id(packet), mqtt5);
      out[0] |= (uint8_t)(time > 0 && repeats->marked ? PUBLISH_DUP : 0);
      frames->ends[packet] = used;
    }
  }
  return true;
}

void frames_renew(struct frames *frames, size_t index, uint16_t id, uint64_t sequence, int64_t time) {
  uint8_t *at = skip_number(frames->bytes + frames_start(frames, index) + 1);
  at += 2 + ((size_t)at[0] << 8 | at[1]); // topic
  at += put_number(at, id) + frames->mqtt5;
  put_length(field_value(at, SEQUENCE), sequence);
  put_length(field_value(at, TIME), (uint64_t)time);
}

void frames_free(struct frames *frames) {
  free(frames->bytes);
  free(frames->ends);
  *frames = (struct frames){0};
}
