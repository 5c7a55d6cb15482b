#include "docs/examples/agent/authlog.h"

#include <arpa/inet.h>
#include <string.h>

static void set_source(struct text text, struct authlog_failure *out) {
  char address[INET6_ADDRSTRLEN];
  if (text_size(text) >= sizeof address) {
    return;
  }
  text_copy(text, address, sizeof address);
  char *zone = strchr(address, '%'); // fe80::1%eth0
  if (zone != NULL) {
    *zone = '\0';
  }
  if (inet_pton(AF_INET, address, out->source) == 1) {
    out->source_size = 4;
  } else if (inet_pton(AF_INET6, address, out->source) == 1) {
    out->source_size = 16;
  }
}

// Splits "Nov  3 10:15:01 host sshd[123]: message" into the program's name and the message.
static bool split_line(struct text line, struct text *program, struct text *message) {
  const char *colon = text_find(line, ": ");
  if (colon == NULL) {
    return false;
  }
  struct text head = {line.at, colon};
  struct text word;
  program->at = program->end = line.at;
  while (text_word(&head, &word)) {
    *program = word;
  }
  const char *bracket = text_find(*program, "[");
  program->end = bracket != NULL ? bracket : program->end;
  *message = (struct text){colon + 2, line.end};
  return true;
}

// rsyslog: "message repeated 3 times: [ Failed password for … ]"
static uint32_t unfold(struct text *message) {
  struct text inner = *message;
  uint64_t times = 0;
  if (!text_skip(&inner, "message repeated ") || !text_number(&inner, 10, &times) || !text_skip(&inner, " times: [ ")) {
    return 1;
  }
  if (inner.at < inner.end && inner.end[-1] == ']') {
    inner.end--;
  }
  *message = inner;
  times = times > 0 ? times : 1; // a line that is there happened
  return times < UINT32_MAX ? (uint32_t)times : UINT32_MAX;
}

// "Failed password for [invalid user ]NAME from ADDRESS port N ssh2"
static bool parse_sshd(struct text message, struct authlog_failure *out) {
  out->count = unfold(&message);
  if (!text_skip(&message, "Failed password for ") && !text_skip(&message, "Failed keyboard-interactive/pam for ")) {
    return false;
  }
  (void)text_skip(&message, "invalid user ");
  const char *from = text_find_last(message, " from ");
  if (from == NULL && text_skip(&message, "from ")) { // an empty name
    from = message.at - 5;
    message.at = from;
  } else if (from == NULL) {
    return false;
  }
  struct text name = {message.at, from};
  struct text rest = {text_find_last((struct text){from, message.end}, "from ") + 5, message.end};
  struct text address;
  if (!text_word(&rest, &address)) {
    return false;
  }
  text_clean(name, out->subject, sizeof out->subject);
  set_source(address, out);
  return true;
}

// "pam_unix(login:auth): authentication failure; logname=… uid=0 euid=0 tty=tty1 ruser= rhost=ADDRESS  user=NAME"
static bool parse_pam(struct text message, struct authlog_failure *out) {
  const char *failure = text_find(message, ":auth): authentication failure; ");
  if (!text_skip(&message, "pam_unix(") || failure == NULL) {
    return false;
  }
  if (text_is((struct text){message.at, failure}, "sshd")) {
    return false;
  }
  const char *host = text_find(message, " rhost=");
  const char *user = host != NULL ? text_find((struct text){host, message.end}, " user=") : NULL;
  if (host != NULL) {
    struct text rest = {host + 7, message.end};
    struct text address;
    if (text_word(&rest, &address)) {
      set_source(address, out);
    }
  }
  out->count = 1;
  if (user != NULL) {
    text_clean((struct text){user + 6, message.end}, out->subject, sizeof out->subject);
  }
  return true;
}

bool authlog_parse(struct text line, struct authlog_failure *out) {
  struct text program;
  struct text message;
  memset(out, 0, sizeof *out);
  if (!split_line(line, &program, &message)) {
    return false;
  }
  if (text_is(program, "sshd") || text_is(program, "sshd-session")) {
    return parse_sshd(message, out);
  }
  return parse_pam(message, out);
}

static uint32_t add(uint32_t a, uint32_t b) {
  return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

static bool alike(const struct authlog_failure *a, const struct authlog_failure *b) {
  return a->source_size == b->source_size && memcmp(a->source, b->source, sizeof a->source) == 0 &&
         strcmp(a->subject, b->subject) == 0;
}

void authlog_tally_add(struct authlog_tally *tally, const struct authlog_failure *failure) {
  for (size_t i = 0; i < tally->count; i++) {
    if (alike(&tally->failures[i], failure)) {
      tally->failures[i].count = add(tally->failures[i].count, failure->count);
      return;
    }
  }
  if (tally->count < AUTHLOG_TALLY_MAX - 1) {
    tally->failures[tally->count++] = *failure;
    return;
  }
  struct authlog_failure rest = {.count = failure->count};
  if (tally->count == AUTHLOG_TALLY_MAX) {
    rest.count = add(rest.count, tally->failures[AUTHLOG_TALLY_MAX - 1].count);
  }
  tally->failures[AUTHLOG_TALLY_MAX - 1] = rest;
  tally->count = AUTHLOG_TALLY_MAX;
}
