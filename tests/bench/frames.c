#include "tests/bench/frames.h"

#include <stdlib.h>
#include <string.h>

enum { PUBLISH_QOS1 = 0x32, HEADER_MOST = 5, IDS = 65535 };

uint16_t frames_id(size_t index) {
  return (uint16_t)(index % IDS + 1);
}

size_t frames_start(const struct frames *frames, size_t index) {
  return index > 0 ? frames->ends[index - 1] : 0;
}

static size_t put_length(uint8_t *out, size_t length) {
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

bool frames_lay(struct frames *frames, const struct stock *stock, bool mqtt5) {
  size_t room = 0;
  *frames = (struct frames){.count = stock_count(stock)};
  for (size_t i = 0; i < frames->count; i++) {
    room += HEADER_MOST + 2 + STOCK_TOPIC + 2 + 1 + stock_get(stock, i).size;
  }
  frames->bytes = malloc(room + 1);
  frames->ends = calloc(frames->count + 1, sizeof *frames->ends);
  if (frames->bytes == NULL || frames->ends == NULL) {
    frames_free(frames);
    return false;
  }
  size_t used = 0;
  for (size_t i = 0; i < frames->count; i++) {
    struct stock_report report = stock_get(stock, i);
    used += put_packet(frames->bytes + used, &report, frames_id(i), mqtt5);
    frames->ends[i] = used;
  }
  return true;
}

void frames_free(struct frames *frames) {
  free(frames->bytes);
  free(frames->ends);
  *frames = (struct frames){0};
}
