#include "simulator/names.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

static bool metric_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("._/-", c) != NULL);
}

void names_metric(const char *raw, char *out) {
  size_t used = 0;
  for (; used < NAMES_METRIC_MAX && raw[used] != '\0'; used++) {
    char c = raw[used];
    if (c >= 'A' && c <= 'Z') {
      c = (char)(c - 'A' + 'a');
    }
    out[used] = metric_byte(c) ? c : '_';
  }
  if (used == 0) {
    out[used++] = '_';
  }
  out[used] = '\0';
}

bool names_is_metric(const char *name) {
  size_t length = strlen(name);
  if (length == 0 || length > NAMES_METRIC_MAX) {
    return false;
  }
  for (size_t i = 0; i < length; i++) {
    if (!metric_byte(name[i])) {
      return false;
    }
  }
  return true;
}

// A name that is in use, and the number to try next for another one like it: counting from 2 each time would cost the cube of the
// columns where all are called alike.
struct used_name {
  const char *text;
  size_t next;
  UT_hash_handle hh;
};

static struct used_name *find_used(struct used_name *used, const char *name) {
  struct used_name *found = NULL;
  HASH_FIND_STR(used, name, found);
  return found;
}

static void make_unique(struct used_name *used, char *name) {
  struct used_name *like = find_used(used, name);
  char plain[NAMES_METRIC_MAX + 1];
  memcpy(plain, name, sizeof plain);
  while (like != NULL && find_used(used, name) != NULL) {
    char suffix[24];
    int length = snprintf(suffix, sizeof suffix, "-%zu", like->next++);
    snprintf(name, NAMES_METRIC_MAX + 1, "%.*s%s", NAMES_METRIC_MAX - length, plain, suffix);
  }
}

char **names_metrics(char *const *raw, size_t count) {
  char **names = malloc(count * (sizeof *names + NAMES_METRIC_MAX + 1) + 1);
  struct used_name *pool = calloc(count + 1, sizeof *pool);
  struct used_name *used = NULL;
  if (names == NULL || pool == NULL) {
    free(names);
    free(pool);
    return NULL;
  }
  char *text = (char *)(names + count);
  for (size_t i = 0; i < count; i++) {
    char *name = text + i * (NAMES_METRIC_MAX + 1);
    memset(name, 0, NAMES_METRIC_MAX + 1);
    names_metric(raw[i], name);
    make_unique(used, name);
    names[i] = name;
    pool[i] = (struct used_name){.text = name, .next = 2};
    HASH_ADD_KEYPTR(hh, used, pool[i].text, strlen(pool[i].text), &pool[i]);
  }
  HASH_CLEAR(hh, used);
  free(pool);
  return names;
}

void names_credential(const char *prefix, const char *raw, char *out, size_t size) {
  size_t limit = size - 1 < NAMES_CREDENTIAL_MAX ? size - 1 : NAMES_CREDENTIAL_MAX;
  size_t used = 0;
  for (; *prefix != '\0' && used < limit; prefix++) {
    out[used++] = *prefix;
  }
  for (; *raw != '\0' && used < limit; raw++) {
    out[used++] = isalnum((unsigned char)*raw) || strchr("._-", *raw) != NULL ? *raw : '-';
  }
  out[used] = '\0';
}
