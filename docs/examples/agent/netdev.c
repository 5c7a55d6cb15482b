#include "docs/examples/agent/netdev.h"

#include <string.h>

// "  eth0: 1234 5 0 0 0 0 0 0 987 6 …": bytes and packets received are columns 1 and 2, those sent 9 and 10.
static bool parse_interface(struct text line, struct netdev_interface *out) {
  const char *colon = text_find_last(line, ":");
  if (colon == NULL) {
    return false;
  }
  struct text head = {line.at, colon};
  struct text name;
  struct text columns = {colon + 1, line.end};
  uint64_t value[10];
  if (!text_word(&head, &name) || text_size(name) >= sizeof out->name || text_is(name, "lo")) {
    return false;
  }
  for (size_t i = 0; i < 10; i++) {
    struct text word;
    if (!text_word(&columns, &word) || !text_number(&word, 10, &value[i]) || text_size(word) != 0) {
      return false;
    }
  }
  text_copy(name, out->name, sizeof out->name);
  out->bytes_in = value[0];
  out->packets_in = value[1];
  out->bytes_out = value[8];
  out->packets_out = value[9];
  return true;
}

void netdev_parse(struct text text, struct netdev *out) {
  struct text line;
  out->count = 0;
  while (out->count < NETDEV_MAX && text_line(&text, &line)) {
    if (parse_interface(line, &out->interfaces[out->count])) {
      out->count++;
    }
  }
}

static const struct netdev_interface *find(const struct netdev *in, const char *name) {
  for (size_t i = 0; i < in->count; i++) {
    if (strcmp(in->interfaces[i].name, name) == 0) {
      return &in->interfaces[i];
    }
  }
  return NULL;
}

static uint64_t grown(uint64_t before, uint64_t after) {
  return after >= before ? after - before : after;
}

struct netdev_traffic netdev_between(const struct netdev *before, const struct netdev *after) {
  static const struct netdev_interface zero = {0};
  struct netdev_traffic sum = {0};
  for (size_t i = 0; i < after->count; i++) {
    const struct netdev_interface *now = &after->interfaces[i];
    const struct netdev_interface *old = find(before, now->name);
    old = old != NULL ? old : &zero;
    sum.bytes_in += grown(old->bytes_in, now->bytes_in);
    sum.bytes_out += grown(old->bytes_out, now->bytes_out);
    sum.packets_in += grown(old->packets_in, now->packets_in);
    sum.packets_out += grown(old->packets_out, now->packets_out);
  }
  return sum;
}
