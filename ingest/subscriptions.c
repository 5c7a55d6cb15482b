#include "ingest/subscriptions.h"

#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STALE_MOST = 256, TOPIC_LIMIT = 512 };

struct subscriptions {
  char *path, *path_new;
  char *const *wanted;
  size_t count;
  char *stale[STALE_MOST];
  size_t stale_count;
};

static bool is_wanted(const struct subscriptions *s, const char *topic) {
  size_t at = 0;
  while (at < s->count && strcmp(s->wanted[at], topic) != 0) {
    at++;
  }
  return at < s->count;
}

// One topic a line. No file: nothing was subscribed to.
static bool read_stale(struct subscriptions *s) {
  char line[TOPIC_LIMIT];
  FILE *file = fopen(s->path, "re");
  if (file == NULL) {
    return errno == ENOENT;
  }
  while (s->stale_count < STALE_MOST && fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '\0' || is_wanted(s, line)) {
      continue;
    }
    s->stale[s->stale_count] = strdup(line);
    s->stale_count += s->stale[s->stale_count] != NULL;
  }
  bool ok = !ferror(file);
  fclose(file);
  return ok;
}

// The file is either as before or whole.
static bool save(struct subscriptions *s) {
  FILE *file = fopen(s->path_new, "we");
  if (file == NULL) {
    return false;
  }
  bool ok = true;
  for (size_t i = 0; i < s->count; i++) {
    ok = fprintf(file, "%s\n", s->wanted[i]) > 0 && ok;
  }
  for (size_t i = 0; i < s->stale_count; i++) {
    ok = fprintf(file, "%s\n", s->stale[i]) > 0 && ok;
  }
  ok = fflush(file) == 0 && fsync(fileno(file)) == 0 && ok;
  return fclose(file) == 0 && ok && rename(s->path_new, s->path) == 0;
}

static void complain(const struct subscriptions *s) {
  char quoted[300];
  log_warn("the list of subscriptions cannot be kept; what is taken out of the mappings may stay subscribed", "file=%s errno=%d",
           log_quote(quoted, sizeof quoted, s->path ? s->path : ""), errno);
}

struct subscriptions *subscriptions_open(const char *folder, char *const *wanted, size_t count) {
  struct subscriptions *s = calloc(1, sizeof *s);
  if (s == NULL) {
    return NULL;
  }
  s->wanted = wanted;
  s->count = count;
  if (asprintf(&s->path, "%s/subscriptions", folder) < 0) {
    s->path = NULL;
  } else if (asprintf(&s->path_new, "%s.new", s->path) < 0) {
    s->path_new = NULL;
  }
  if (s->path_new == NULL || !read_stale(s) || !save(s)) {
    complain(s);
    subscriptions_free(s);
    return NULL;
  }
  return s;
}

void subscriptions_free(struct subscriptions *s) {
  if (s == NULL) {
    return;
  }
  for (size_t i = 0; i < s->stale_count; i++) {
    free(s->stale[i]);
  }
  free(s->path);
  free(s->path_new);
  free(s);
}

char *const *subscriptions_stale(const struct subscriptions *s, size_t *count) {
  *count = s->stale_count;
  return s->stale;
}

void subscriptions_settle(struct subscriptions *s) {
  size_t count = s->stale_count;
  s->stale_count = 0; // for the file
  if (!save(s)) {
    complain(s);
  }
  for (size_t i = 0; i < count; i++) {
    free(s->stale[i]);
  }
}
